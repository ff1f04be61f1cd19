// Steps that most end-to-end tests share: making a webhook with an endpoint, posting an event, awaiting a delivery.
import assert from "node:assert/strict";
import { eventually } from "./eventually.js";
import { startReceiver } from "./receiver.js";
import { createWebhook, createWorkspace, postEvent } from "./relay.js";

/**
 * @import { AcceptedDelivery, AcceptedEvent, Answer, CreatedKey, Delivery, DeliverySummary, Event,
 *   Relay, RelayAnswer, Resend, Scene, Webhook, WebhookOptions } from "./types.d.ts"
 */

/**
 * An event that the relay accepts, with the given members.
 * @returns {Event}
 */
export const alert = (rest = {}) => ({ type: "alert.triggered", data: { alert_id: "alrt_xyz" }, ...rest });

/**
 * A webhook whose endpoint answers with `answer` (see receiver.js) until the test `t` is over.
 * In a new workspace unless one is given; `settings` are members of the webhook.
 * @param {{ after: (stop: () => unknown) => unknown }} t
 * @param {Relay} relay
 * @param {Answer} [answer]
 * @param {WebhookOptions} [options]
 */
export async function setUpWebhook(t, relay, answer, { workspace, ping, tls, ...settings } = {}) {
  const receiver = await startReceiver(answer, { ping, tls });
  t.after(() => receiver.stop());
  const inWorkspace = workspace ?? (await createWorkspace(relay));
  const webhook = await createWebhook(relay, inWorkspace, { url: receiver.url, ...settings });
  return { workspace: inWorkspace, webhook, receiver };
}

/**
 * Posts one event and returns the deliveries of its 202.
 * @param {Relay} relay
 * @param {string} workspace
 * @param {unknown} [event]
 * @returns {Promise<AcceptedDelivery[]>}
 */
export async function acceptEvent(relay, workspace, event = alert()) {
  const answer = await postEvent(relay, workspace, event);
  assert.equal(answer.status, 202, answer.text);
  return answer.body.deliveries;
}

/**
 * Posts one event that matches one webhook and returns the delivery of its 202.
 * @param {Relay} relay
 * @param {string} workspace
 * @param {unknown} [event]
 */
export async function acceptForOne(relay, workspace, event) {
  const deliveries = await acceptEvent(relay, workspace, event);
  assert.equal(deliveries.length, 1, JSON.stringify(deliveries));
  return deliveries[0];
}

/**
 * Posts an array and returns the answers to its events, in their order.
 * @param {Relay} relay
 * @param {string} workspace
 * @param {unknown[]} events
 * @returns {Promise<AcceptedEvent[]>}
 */
export async function acceptArray(relay, workspace, events) {
  const answer = await postEvent(relay, workspace, events);
  assert.equal(answer.status, 202, answer.text);
  return answer.body.events;
}

/**
 * The body of an answer that must have this status.
 * @param {RelayAnswer} answer
 * @param {number} status
 */
export function answered(answer, status) {
  assert.equal(answer.status, status, answer.text);
  return answer.body;
}

export const SCOPES = ["events:write", "webhooks:read", "webhooks:write"];

/**
 * Makes an API key, with every scope unless `scopes` says which, and returns the relay's answer.
 * @param {Relay} relay
 * @param {string} workspace
 * @returns {Promise<CreatedKey>}
 */
export async function createKey(relay, workspace, scopes = SCOPES) {
  return answered(
    await relay.fetch(`/v1/workspaces/${workspace}/keys`, { method: "POST", body: { name: "Test", scopes } }),
    201,
  );
}

/**
 * The path of a scene's webhook, or of a resource below it.
 * @param {Scene} scene
 */
export const pathOf = ({ workspace, webhook }, below = "") =>
  `/v1/workspaces/${workspace}/webhooks/${webhook.id}${below}`;

/**
 * Changes members of a scene's webhook and returns the answered webhook.
 * @param {Relay} relay
 * @param {Scene} scene
 * @param {object} members
 * @returns {Promise<Webhook>}
 */
export async function changeWebhook(relay, scene, members) {
  return answered(await relay.fetch(pathOf(scene), { method: "PATCH", body: members }), 200);
}

/**
 * Starts a bulk resend of the scene's webhook and returns its job.
 * @param {Relay} relay
 * @param {Scene} scene
 * @param {object} [body]
 * @returns {Promise<Resend>}
 */
export async function startResend(relay, scene, body = { status: "failed" }) {
  return answered(await relay.fetch(pathOf(scene, "/resend"), { method: "POST", body }), 202);
}

/**
 * The job of a bulk resend once it has ended.
 * @param {Relay} relay
 * @param {Scene} scene
 * @param {{ id: string }} job
 * @returns {Promise<Resend>}
 */
export function awaitResend(relay, scene, { id }, { timeout = 30_000 } = {}) {
  const read = async () => {
    const job = answered(await relay.fetch(pathOf(scene, `/resend/${id}`)), 200);
    assert.notEqual(job.status, "running", JSON.stringify(job));
    return job;
  };
  return eventually(read, { timeout });
}

const deliveriesPath = (workspace, webhookId) => `/v1/workspaces/${workspace}/webhooks/${webhookId}/deliveries`;

/**
 * The whole delivery that an entry `{id, webhook_id}` stands for.
 * @param {Relay} relay
 * @param {string} workspace
 * @param {{ id: string, webhook_id: string }} entry
 * @returns {Promise<Delivery>}
 */
export async function readDelivery(relay, workspace, { id, webhook_id: webhookId }) {
  const answer = await relay.fetch(`${deliveriesPath(workspace, webhookId)}/${id}`);
  assert.equal(answer.status, 200, answer.text);
  return answer.body;
}

/**
 * Reads a delivery until `isSo(delivery)`, and returns it.
 * @param {Relay} relay
 * @param {string} workspace
 * @param {{ id: string, webhook_id: string }} entry
 * @param {(delivery: Delivery) => boolean} isSo
 * @returns {Promise<Delivery>}
 */
export function awaitDelivery(relay, workspace, entry, isSo, { timeout = 15_000 } = {}) {
  const read = async () => {
    const delivery = await readDelivery(relay, workspace, entry);
    assert.ok(isSo(delivery), `waiting for ${isSo}, have ${JSON.stringify(delivery)}`);
    return delivery;
  };
  return eventually(read, { timeout });
}

/**
 * The delivery once it is delivered, failed or held.
 * @param {Relay} relay
 * @param {string} workspace
 * @param {{ id: string, webhook_id: string }} entry
 * @param {{ timeout?: number }} [options]
 */
export const awaitSettled = (relay, workspace, entry, options) =>
  awaitDelivery(relay, workspace, entry, ({ status }) => status !== "pending", options);

/**
 * All deliveries of a webhook, over all pages. `query` filters, for example `{status: "failed"}`.
 * @param {Relay} relay
 * @param {string} workspace
 * @param {string} webhookId
 * @returns {Promise<DeliverySummary[]>}
 */
export async function listDeliveries(relay, workspace, webhookId, query = {}) {
  const found = [];
  let cursor;
  do {
    const search = new URLSearchParams({ limit: "100", ...query, ...(cursor ? { cursor } : {}) });
    const answer = await relay.fetch(`${deliveriesPath(workspace, webhookId)}?${search}`);
    assert.equal(answer.status, 200, answer.text);
    found.push(...answer.body.data);
    cursor = answer.body.next_cursor;
  } while (cursor);
  return found;
}

/**
 * Asserts an error answer in the one shape of the contract.
 * `status` may be a list if the contract allows both malformed and refused.
 * @param {RelayAnswer} answer
 * @param {number | number[]} status
 * @param {{ code?: string, field?: string | RegExp }} [expected]
 */
export function assertRefused(answer, status, { code, field } = {}) {
  assert.ok([status].flat().includes(answer.status), `expected ${status}, have ${answer.status}: ${answer.text}`);
  assert.match(answer.headers.get("content-type"), /^application\/json/);
  const { error } = answer.body;
  assert.match(error.code, /^[a-z_]+$/);
  assert.ok(error.message.length > 0, "the message is empty");
  if (code) assert.equal(error.code, code, answer.text);
  if (field) assert.equal(error.field, field, answer.text);
  return error;
}

/** Malformed (400) or well-formed but refused (422): the contract does not say which for a wrong value. */
export const MALFORMED_OR_REFUSED = [400, 422];

export const ISO_MILLISECONDS = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
