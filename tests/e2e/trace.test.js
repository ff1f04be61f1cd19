// Tracing: GET /v1/workspaces/{ws}/events/{event_id} gives each webhook's delivery, or why there is none.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { answerWith } from "../support/receiver.js";
import { createWorkspace, startRelay } from "../support/relay.js";
import {
  acceptEvent,
  alert,
  answered,
  assertRefused,
  awaitSettled,
  changeWebhook,
  createKey,
  pathOf,
  setUpWebhook,
} from "../support/steps.js";

const UNKNOWN_DELIVERY = "evt_00000000000070008000000000000000";

let relay;
before(async () => (relay = await startRelay({ vars: { MAX_BACKLOG: "2" } })));
after(() => relay?.stop());

const ask = (workspace, id, query = {}, init) =>
  relay.fetch(`/v1/workspaces/${workspace}/events/${encodeURIComponent(id)}?${new URLSearchParams(query)}`, init);
const trace = async (...args) => answered(await ask(...args), 200);
const reasonOf = (traced, { webhook }) => traced.webhooks.find(({ webhook_id: id }) => id === webhook.id)?.reason;
const deliveryOf = (traced, { webhook }) => traced.webhooks.find(({ webhook_id: id }) => id === webhook.id)?.delivery;

/** A time after everything that was done before and before everything that is done after. */
async function between() {
  await sleep(5);
  const now = new Date().toISOString();
  await sleep(5);
  return now;
}

describe("an event that is kept", () => {
  let workspace;
  let delivered;
  let failing;
  let deselected;
  let deleted;
  let later;
  let entries;

  before(async () => {
    // The receivers run as long as this group of tests.
    const scope = { after: (stop) => after(stop) };
    workspace = await createWorkspace(relay);
    deleted = await setUpWebhook(scope, relay, undefined, { workspace });
    answered(await relay.fetch(pathOf(deleted), { method: "DELETE" }), 204);
    delivered = await setUpWebhook(scope, relay, undefined, { workspace });
    failing = await setUpWebhook(scope, relay, answerWith(410), { workspace });
    deselected = await setUpWebhook(scope, relay, undefined, { workspace, events: ["agent.error"] });
    entries = await acceptEvent(relay, workspace, alert({ event_id: "order:1" }));
    for (const entry of entries) await awaitSettled(relay, workspace, entry);
    await between();
    later = await setUpWebhook(scope, relay, undefined, { workspace });
    // Later changes do not change the answer.
    await changeWebhook(relay, deselected, { events: ["alert.triggered"] });
  });

  const assertExplained = (traced) => {
    assert.equal(traced.event_id, "order:1");
    assert.equal(traced.type, "alert.triggered");
    assert.equal(traced.webhooks.length, 5);
    const statusOf = (scene) => {
      const { id, status, attempts } = deliveryOf(traced, scene);
      return [id, status, attempts.map(({ outcome, response_status: code }) => [outcome, code])];
    };
    const idOf = ({ webhook }) => entries.find((entry) => entry.webhook_id === webhook.id).id;
    assert.deepEqual(statusOf(delivered), [idOf(delivered), "delivered", [["succeeded", 200]]]);
    assert.deepEqual(statusOf(failing), [idOf(failing), "failed", [["http_error", 410]]]);
    assert.equal(deliveryOf(traced, failing).reason, "gone");
    assert.equal(reasonOf(traced, deselected), "type_not_selected");
    assert.equal(reasonOf(traced, deleted), "webhook_deleted");
    assert.equal(reasonOf(traced, later), "webhook_did_not_exist");
  };

  test("is explained for every webhook by its event id", async () =>
    assertExplained(await trace(workspace, "order:1")));

  test("and by the id of any of its deliveries", async () => {
    for (const { id } of entries) assertExplained(await trace(workspace, id));
  });

  test("with the type and time of the stored delivery, even if others are given", async () => {
    assertExplained(await trace(workspace, "order:1", { type: "agent.registered", at: "2020-01-01T00:00:00Z" }));
  });

  test("to a key that may read webhooks, and to no other", async () => {
    const reader = await createKey(relay, workspace, ["webhooks:read"]);
    const writer = await createKey(relay, workspace, ["events:write"]);
    assertExplained(await trace(workspace, "order:1", {}, { token: reader.key }));
    assertRefused(await ask(workspace, "order:1", {}, { token: writer.key }), 403, { code: "forbidden" });
    const elsewhere = await createWorkspace(relay);
    assertRefused(await ask(elsewhere, "order:1"), 404, { code: "event_not_found" });
    assertRefused(await ask(elsewhere, entries[0].id), 404, { code: "event_not_found" });
  });
});

test("an event is found by an id that the relay generated", async (t) => {
  const scene = await setUpWebhook(t, relay);
  const answer = await relay.fetch(`/v1/workspaces/${scene.workspace}/events`, { method: "POST", body: alert() });
  const { event_id: eventId, deliveries } = answered(answer, 202);
  assert.equal(deliveryOf(await trace(scene.workspace, eventId), scene).id, deliveries[0].id);
});

describe("an event that is not kept", () => {
  test("is 404, naming the two parameters that still explain it", async (t) => {
    const { workspace } = await setUpWebhook(t, relay);
    for (const id of ["never-posted", UNKNOWN_DELIVERY]) {
      const { message } = assertRefused(await ask(workspace, id), 404, { code: "event_not_found" });
      for (const member of ["type", "at"]) assert.match(message, new RegExp(`\\b${member}\\b`), message);
    }
  });

  test("is explained by a type and a time", async (t) => {
    const workspace = await createWorkspace(relay);
    const beforeAll = await between();
    const scene = await setUpWebhook(t, relay, undefined, { workspace, events: ["alert.triggered"] });
    const selected = await between();
    await changeWebhook(relay, scene, { events: ["agent.error"] });
    const deselected = await between();
    answered(await relay.fetch(pathOf(scene), { method: "DELETE" }), 204);
    const why = async (at) => {
      const traced = await trace(workspace, "never-posted", { type: "alert.triggered", ...(at ? { at } : {}) });
      assert.equal(deliveryOf(traced, scene), null);
      return reasonOf(traced, scene);
    };
    assert.equal(await why(beforeAll), "webhook_did_not_exist");
    assert.equal(await why(selected), "not_stored");
    assert.equal(await why(deselected), "type_not_selected");
    assert.equal(await why(), "webhook_deleted", "without a time it is now");
  });

  test("because its webhook's backlog was full, is not_stored at that webhook", async (t) => {
    const { workspace, webhook, receiver } = await setUpWebhook(t, relay, answerWith(500));
    const scene = { workspace, webhook };
    await acceptEvent(relay, workspace, alert());
    await acceptEvent(relay, workspace, alert());
    const [refused] = await acceptEvent(relay, workspace, alert({ event_id: "one-too-many" }));
    assert.deepEqual([refused.status, refused.reason], ["refused", "backlog_full"]);
    assertRefused(await ask(workspace, "one-too-many"), 404, { code: "event_not_found" });
    assert.equal(reasonOf(await trace(workspace, "one-too-many", { type: "alert.triggered" }), scene), "not_stored");
    assert.ok(receiver.events().length > 0);
  });

  test("is refused with an unknown type and an invalid time", async (t) => {
    const { workspace } = await setUpWebhook(t, relay);
    assertRefused(await ask(workspace, "never-posted", { type: "nothing" }), 422, {
      code: "unknown_event_type",
      field: "type",
    });
    assertRefused(await ask(workspace, "never-posted", { at: "yesterday" }), 400, { field: "at" });
  });
});
