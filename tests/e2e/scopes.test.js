// Who may make which call: each route of the contract, with the scope that it needs.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { startReceiver } from "../support/receiver.js";
import { createWebhook, createWorkspace, startRelay } from "../support/relay.js";
import {
  SCOPES,
  acceptForOne,
  alert,
  answered,
  assertRefused,
  awaitSettled,
  createKey,
  pathOf,
  setUpWebhook,
} from "../support/steps.js";
import { signIn } from "../support/visitor.js";

const OPERATOR = "operator";
// Well-formed but never assigned.
const NOBODY = "00000000000070008000000000000000";

// Each route of a workspace, in an order in which all can be called one after the other: the needed scope, the request,
// and the answer to a caller who has the scope.
/**
 * @typedef {{ url?: string, [member: string]: unknown }} Body
 * @typedef {Awaited<ReturnType<typeof startReceiver>>} Receiver
 * @typedef {[method: string, below: string, needed: string, status: number, body?: Body]} Route
 */
/** @type {Route[]} */
const ROUTES = [
  ["POST", "/events", "events:write", 202, alert()],
  ["GET", "/webhooks", "webhooks:read", 200],
  ["GET", "/webhooks/{wh}", "webhooks:read", 200],
  ["GET", "/webhooks/{wh}/stats", "webhooks:read", 200],
  ["GET", "/webhooks/{wh}/deliveries", "webhooks:read", 200],
  ["GET", "/webhooks/{wh}/deliveries/{evt}", "webhooks:read", 200],
  ["GET", `/webhooks/{wh}/resend/rs_${NOBODY}`, "webhooks:read", 404],
  ["POST", "/webhooks", "webhooks:write", 201, { url: "{url}", events: ["agent.error"] }],
  ["PATCH", "/webhooks/{wh}", "webhooks:write", 200, { description: "changed" }],
  ["GET", "/webhooks/{wh}/secret", "webhooks:write", 200],
  ["POST", "/webhooks/{wh}/secret/rotate", "webhooks:write", 200, {}],
  ["DELETE", "/webhooks/{wh}/secret/previous", "webhooks:write", 204],
  ["POST", "/webhooks/{wh}/test", "webhooks:write", 200, { type: "agent.error" }],
  ["POST", "/webhooks/{wh}/deliveries/{evt}/resend", "webhooks:write", 202],
  ["POST", `/webhooks/{wh}/deliveries/evt_${NOBODY}/send-now`, "webhooks:write", 404],
  ["POST", `/webhooks/{wh}/deliveries/evt_${NOBODY}/cancel`, "webhooks:write", 404],
  ["POST", "/webhooks/{wh}/resend", "webhooks:write", 202, { status: "failed" }],
  ["POST", "/webhooks/{wh}/resend/preview", "webhooks:write", 200, { status: "failed" }],
  ["DELETE", `/webhooks/{wh}/resend/rs_${NOBODY}`, "webhooks:write", 404],
  ["DELETE", "/webhooks/{wh}", "webhooks:write", 204],
  ["GET", "", OPERATOR, 200],
  ["PATCH", "", OPERATOR, 200, { name: "Changed" }],
  ["GET", "/keys", OPERATOR, 200],
  ["POST", "/keys", OPERATOR, 201, { name: "A", scopes: ["webhooks:read"] }],
  ["DELETE", `/keys/key_${NOBODY}`, OPERATOR, 404],
  ["POST", "/dashboard-links", OPERATOR, 201, {}],
  ["GET", "/dashboard-links", OPERATOR, 200],
  ["DELETE", `/dashboard-links/acc_${NOBODY}`, OPERATOR, 404],
  ["DELETE", "/dashboard-links", OPERATOR, 204],
  ["DELETE", "", OPERATOR, 204],
];

let relay;
/** @type {import("../support/types.d.ts").Scene & { receiver: Receiver, delivery?: string }} */
let scene;
let foreign;
const keyWith = {};
const keyWithout = {};

before(async () => {
  relay = await startRelay();
  const receiver = await startReceiver();
  const workspace = await createWorkspace(relay);
  scene = { workspace, receiver, webhook: await createWebhook(relay, workspace, { url: receiver.url }) };
  const entry = await acceptForOne(relay, scene.workspace);
  await awaitSettled(relay, scene.workspace, entry);
  scene.delivery = entry.id;
  for (const scope of SCOPES) {
    keyWith[scope] = (await createKey(relay, scene.workspace, [scope])).key;
    keyWithout[scope] = (
      await createKey(
        relay,
        scene.workspace,
        SCOPES.filter((other) => other !== scope),
      )
    ).key;
  }
  keyWithout[OPERATOR] = (await createKey(relay, scene.workspace)).key;
  const other = await createWorkspace(relay);
  foreign = (await createKey(relay, other)).key;
});
after(async () => {
  await relay?.stop();
  await scene?.receiver.stop();
});

/** @param {Route} route */
function call([method, below, , , body], token) {
  const path = below.replace("{wh}", scene.webhook.id).replace("{evt}", scene.delivery);
  const filled = body?.url === "{url}" ? { ...body, url: scene.receiver.url } : body;
  return relay.fetch(`/v1/workspaces/${scene.workspace}${path}`, { method, body: filled, token });
}

describe("each route", () => {
  for (const route of ROUTES) {
    const [method, below, needed, status] = route;
    test(`${method} …${below} is for ${needed}`, async () => {
      assertRefused(await call(route, null), 401, { code: "unauthorized" });
      assertRefused(await call(route, "wrong"), 401, { code: "unauthorized" });
      assertRefused(await call(route, keyWithout[needed]), 403, { code: "forbidden" });
      assertRefused(await call(route, foreign), 404, { code: "not_found" });
      const token = needed === OPERATOR ? relay.operatorToken : keyWith[needed];
      answered(await call(route, token), status);
    });
  }
});

test("only the operator can make calls outside a workspace", async () => {
  const workspace = await createWorkspace(relay);
  const { key } = await createKey(relay, workspace);
  const revoked = await createKey(relay, workspace);
  answered(await relay.fetch(`/v1/workspaces/${workspace}/keys/${revoked.id}`, { method: "DELETE" }), 204);
  const invalid = [null, "wrong", `${key.slice(0, -64)}${"0".repeat(64)}`, `sk_unknown.${"0".repeat(64)}`, revoked.key];
  for (const [method, path, body] of [
    ["GET", "/v1/workspaces"],
    ["POST", "/v1/workspaces", { name: "A" }],
    ["GET", "/metrics"],
    ["PUT", "/v1/event-types/order.paid", { description: "Paid.", sample: {} }],
    ["DELETE", "/v1/event-types/agent.error"],
  ]) {
    for (const token of invalid) {
      assertRefused(await relay.fetch(path, { method, body, token }), 401, { code: "unauthorized" });
    }
    assertRefused(await relay.fetch(path, { method, body, token: key }), 403, { code: "forbidden" });
  }
});

test("another workspace's ids under the caller's own path are not found, never forbidden", async (t) => {
  const theirs = await setUpWebhook(t, relay);
  const entry = await acceptForOne(relay, theirs.workspace);
  await awaitSettled(relay, theirs.workspace, entry);
  const own = await createWorkspace(relay);
  const { key } = await createKey(relay, own);
  const below = ROUTES.filter(([, path]) => path.startsWith("/webhooks/{wh}"));
  for (const token of [key, relay.operatorToken]) {
    for (const [method, path, , , body] of below) {
      const target = `/v1/workspaces/${own}${path.replace("{wh}", theirs.webhook.id).replace("{evt}", entry.id)}`;
      assertRefused(await relay.fetch(target, { method, body, token }), 404, { code: "not_found" });
    }
  }
  answered(await relay.fetch(`/v1/workspaces/${theirs.workspace}/webhooks/${theirs.webhook.id}`), 200);
  assert.equal(theirs.receiver.events().length, 1, "a foreign call sent something");
});

test("a valid key cannot tell another workspace that exists from one that does not", async () => {
  const { key } = await createKey(relay, await createWorkspace(relay));
  const paths = [await createWorkspace(relay), "ws_unknown", "ws_IMPOSSIBLE"].map(
    (workspace) => `/v1/workspaces/${workspace}/webhooks`,
  );
  const answers = await Promise.all(paths.map((path) => relay.fetch(path, { token: key })));
  for (const answer of answers) {
    assertRefused(answer, 404, { code: "not_found" });
    assert.equal(answer.text, answers[0].text);
  }
  for (const path of paths) assertRefused(await relay.fetch(path, { token: "wrong" }), 401, { code: "unauthorized" });
});

test("the signatures of a ping and a test are for those who may see the secret, and nobody else", async (t) => {
  // From the body and its signature, a short secret is found in no time.
  const scene = await setUpWebhook(t, relay, undefined, { secret: "zx81qwty" });
  const { workspace, webhook } = scene;
  const tested = await relay.fetch(pathOf(scene, "/test"), { method: "POST", body: { type: "alert.triggered" } });
  const probes = [webhook.ping, answered(tested, 200)];
  const SIGNED = ["webhook-signature", "x-secureagentics-signature"];
  const signaturesOf = ({ request }) => SIGNED.map((name) => request.headers[name]);
  const sent = probes.map(signaturesOf);
  assert.deepEqual(
    sent.map((signatures) => signatures.map((signature) => signature.replace(/[A-Za-z0-9+/=]{40,}/, "…"))),
    [
      ["v1,…", "…"],
      ["v1,…", "…"],
    ],
  );

  const { key: reader } = await createKey(relay, workspace, ["webhooks:read"]);
  const { key: writer } = await createKey(relay, workspace, ["webhooks:read", "webhooks:write"]);
  const visitor = await signIn(relay, workspace, ["webhooks:read"]);
  for (const [index, probe] of probes.entries()) {
    const read = async (token) => answered(await relay.fetch(pathOf(scene, `/deliveries/${probe.id}`), { token }), 200);
    assert.deepEqual(signaturesOf(await read(reader)), ["…", "…"]);
    assert.deepEqual(signaturesOf(await read(writer)), sent[index]);
    const pages = ["", `?${probe.kind === "ping" ? "created" : "test"}=${probe.id}`, `/deliveries/${probe.id}`];
    const others = ["", "/deliveries", "/stats"].map((below) => pathOf(scene, below));
    const answers = [
      ...(await Promise.all(pages.map((page) => visitor.get(`/settings/webhooks/${webhook.id}${page}`)))),
      ...(await Promise.all([
        ...others.map((path) => relay.fetch(path, { token: reader })),
        relay.fetch(`/v1/workspaces/${workspace}/webhooks`, { token: reader }),
        relay.fetch(`/v1/workspaces/${workspace}/events/${probe.event_id}`, { token: reader }),
      ])),
    ];
    for (const { status, text } of answers) {
      assert.equal(status, 200, text);
      for (const signature of sent[index].map((value) => value.replace("v1,", "")))
        assert.ok(!text.includes(signature), text);
    }
  }
});
