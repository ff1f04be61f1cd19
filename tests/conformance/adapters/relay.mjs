// The relay of this repository as a sender for the suite: the built Worker with a short schedule, and for the URLs that
// it must refuse a second one with the deployed settings and without a network.
import { randomUUID } from "node:crypto";
import { eventually } from "../../support/eventually.js";
import { startReceiver } from "../../support/receiver.js";
import { createWebhook, createWorkspace, startRelay } from "../../support/relay.js";

// The longest step is as long as the Retry-After of a case.
const SCHEDULE = [300, 1_200, 3_000];
const TIMEOUT = 1_000;

async function answered(request, status) {
  const answer = await request;
  if (answer.status !== status) throw new Error(`the relay answered ${answer.status}: ${answer.text}`);
  return answer.body;
}

// What is another product's with BRAND=another.
const ANOTHER = {
  PRODUCT_NAME: "Acme & Co",
  HEADER_PREFIX: "X-Acme",
  STANDARD_HEADERS: "webhook,svix",
  ACCENT_COLOR: "#ffde00",
};

export async function start() {
  const brand = process.env.BRAND === "another" ? ANOTHER : {};
  const prefix = (brand.HEADER_PREFIX ?? "X-Secureagentics").toLowerCase();
  const vars = {
    ...brand,
    RETRY_SCHEDULE: SCHEDULE.map((delay) => `${delay}ms`).join(","),
    ATTEMPT_TIMEOUT: `${TIMEOUT}ms`,
  };
  const relay = await startRelay({ vars });
  const production = await startRelay({ vars: { ...vars, ALLOW_PRIVATE_ENDPOINTS: "false" }, isolated: true });
  const closed = await createWorkspace(production);
  // The first attempt of a process compiles what sends, which on a busy machine takes as long as an attempt may.
  const receiver = await startReceiver();
  await createWebhook(relay, await createWorkspace(relay), { url: receiver.url });
  await eventually(() => receiver.pings().length > 0);
  await receiver.stop();
  const pathOf = ({ workspace, id }, below = "") => `/v1/workspaces/${workspace}/webhooks/${id}${below}`;
  return {
    name: process.env.BRAND === "another" ? "webhook-relay with another brand" : "webhook-relay",
    schedule: SCHEDULE,
    timeout: TIMEOUT,
    bodySignatureHeader: `${prefix}-signature`,
    isPing: ({ headers }) => headers[`${prefix}-event`] === "ping",
    // A separate workspace, so that an event goes only to this endpoint.
    async createEndpoint({ url, secret }) {
      const workspace = await createWorkspace(relay);
      const webhook = await createWebhook(relay, workspace, { url, secret });
      return { workspace, id: webhook.id, secret: webhook.secret };
    },
    // As text, because the data must be sent exactly as the case has it.
    async sendEvent({ workspace }, { data }) {
      const body = `{"type":"alert.triggered","event_id":"${randomUUID()}","data":${data}}`;
      await answered(relay.fetch(`/v1/workspaces/${workspace}/events`, { method: "POST", body }), 202);
    },
    async rotateSecret(endpoint, { secret, overlapSeconds }) {
      const body = { secret, overlap_seconds: overlapSeconds };
      await answered(relay.fetch(pathOf(endpoint, "/secret/rotate"), { method: "POST", body }), 200);
    },
    async isDisabled(endpoint) {
      return (await answered(relay.fetch(pathOf(endpoint)), 200)).status === "disabled";
    },
    async refusesUrl(url) {
      const body = { url, events: ["alert.triggered"] };
      const answer = await production.fetch(`/v1/workspaces/${closed}/webhooks`, { method: "POST", body });
      return answer.status === 422 && answer.body.error.field === "url";
    },
    async stop() {
      await Promise.all([relay.stop(), production.stop()]);
    },
  };
}
