// This release reads and continues what an earlier one stored.
//
// Each folder of tests/fixtures is the state of one stored format, recorded by record.js there. A relay starts on it
// with its clock two minutes after the recording, so everything that was pending is due.
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { readFileSync, readdirSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { eventually } from "../support/eventually.js";
import { postEvent, startRelay } from "../support/relay.js";
import {
  acceptEvent,
  acceptForOne,
  alert,
  answered,
  awaitResend,
  awaitSettled,
  changeWebhook,
  listDeliveries,
  pathOf,
  readDelivery,
  startResend,
} from "../support/steps.js";
import { objectFiles, onDatabase, restoreObjects } from "../support/stored_state.js";

const FIXTURES = path.join(import.meta.dirname, "../fixtures");
const LATER_MS = 120_000;
const SETTLED_MS = 30_000;

const formats = readdirSync(FIXTURES, { withFileTypes: true }).filter(
  (entry) => entry.isDirectory() && entry.name.startsWith("schema-"),
);
const PLAIN = { how: "", vars: {} };
const ENCRYPTED = {
  how: ", under a relay that encrypts,",
  vars: { ENCRYPTION_KEYS: `first:${Buffer.alloc(32, 7).toString("base64")}` },
};
const cases = formats.flatMap(({ name: format }) => [PLAIN, ENCRYPTED].map((rest) => ({ format, ...rest })));
for (const { format, how, vars } of cases)
  describe(`the state of ${format}${how}`, () => {
    const folder = path.join(FIXTURES, format);
    const readJson = (name) => JSON.parse(readFileSync(path.join(folder, name), "utf8"));
    const { recorded_at: recordedAt, workspace, key, webhooks, job } = readJson("scene.json");
    const sceneOf = (name) => ({ workspace, webhook: { id: webhooks[name] } });
    const requests = [];
    let relay;
    let state;

    before(async () => {
      state = await mkdtemp(path.join(tmpdir(), "relay-upgrade-"));
      restoreObjects(folder, state);
      const switches = JSON.stringify({ skew_ms: recordedAt + LATER_MS - Date.now() });
      const outbound = async (request) => {
        requests.push({ url: request.url, headers: Object.fromEntries(request.headers), text: await request.text() });
        return new Response("taken");
      };
      relay = await startRelay({
        hooks: true,
        persist: state,
        outbound,
        vars: { ...vars, TEST_SWITCHES: switches, RETRY_SCHEDULE: "1m,5m,30m,2h,8h" },
      });
      const kv = await relay.miniflare().getKVNamespace("SUBSCRIPTIONS");
      for (const { key, value, metadata } of readJson("kv.json")) await kv.put(key, value, { metadata });
    });
    after(async () => {
      await relay?.stop();
      await rm(state, { recursive: true, force: true });
    });

    const list = (name, query) => listDeliveries(relay, workspace, webhooks[name], query);
    const find = async (name, eventId) => (await list(name)).find(({ event_id: found }) => found === eventId);
    const requestsOf = (name) =>
      requests.filter(({ url, headers }) => url.endsWith(`/${name}`) && headers["x-secureagentics-event"] !== "ping");

    test("pending deliveries are sent without any request: a retry, a lost lease, and a running resend", async () => {
      await eventually(() => requestsOf("orders").length === 2 && requestsOf("failing").length === 12, {
        timeout: SETTLED_MS,
      });
      const attempts = (name) =>
        requestsOf(name)
          .map(({ headers }) => headers["x-secureagentics-attempt"])
          .sort();
      assert.deepEqual(attempts("orders"), ["1", "2"]);
      assert.deepEqual(attempts("failing"), Array(12).fill("7"));
    });

    test("it is signed with both secrets of the rotation and has its custom header", () => {
      const [{ headers, text }] = requestsOf("orders");
      assert.equal(
        headers["x-secureagentics-signature"],
        createHmac("sha256", "the-second-secret").update(text).digest("hex"),
      );
      const signed = `${headers["webhook-id"]}.${headers["webhook-timestamp"]}.${text}`;
      const expected = ["the-second-secret", "the-first-secret"].map(
        (secret) => `v1,${createHmac("sha256", secret).update(signed).digest("base64")}`,
      );
      assert.equal(headers["webhook-signature"], expected.join(" "));
      assert.equal(headers["x-team"], "fixture-team");
    });

    test("the lists are complete and every delivery can be read", async () => {
      await eventually(async () => (await list("orders", { status: "pending" })).length === 0, { timeout: SETTLED_MS });
      const shown = async (name) =>
        (await list(name))
          .map(
            ({ kind, status, event_id: id }) =>
              `${kind === "event" ? id.replace(/^ev_.*/, "generated") : kind} ${status}`,
          )
          .sort();
      assert.deepEqual(await shown("orders"), [
        "cancelled failed",
        "leased delivered",
        "order-1 delivered",
        "order-2 delivered",
        "order-3 delivered",
        "ping delivered",
        "retried delivered",
        "test delivered",
      ]);
      assert.deepEqual(await shown("paused"), ["ping delivered", "policy-1 held", "policy-2 held", "policy-3 held"]);
      assert.deepEqual(await shown("gone"), ["generated failed", "ping failed"]);
      const failing = await shown("failing");
      assert.deepEqual([failing.length, failing.filter((line) => /^error-\d+ delivered$/.test(line)).length], [13, 12]);
      for (const name of Object.keys(webhooks)) {
        for (const { id } of await list(name)) {
          const { payload } = await readDelivery(relay, workspace, { id, webhook_id: webhooks[name] });
          assert.equal(payload.id, id);
        }
      }
    });

    test("attempts made before are shown beside those made since", async () => {
      const { id } = await find("orders", "retried");
      const { attempts } = await readDelivery(relay, workspace, { id, webhook_id: webhooks.orders });
      assert.deepEqual(
        attempts.map(({ attempt, response_status: status, response_body: body }) => [attempt, status, body]),
        [
          [1, 500, "answered"],
          [2, 200, "taken"],
        ],
      );
      const tested = (await list("orders", { kind: "test" }))[0];
      const { request } = await readDelivery(relay, workspace, { id: tested.id, webhook_id: webhooks.orders });
      assert.equal(request.url, "https://receiver.example.com/orders");
      assert.equal(request.headers["X-Team"] ?? request.headers["x-team"], "fixture-team");
    });

    test("the running resend is finished", async () => {
      const { status, total, done, delivered } = await awaitResend(relay, sceneOf("failing"), { id: job });
      assert.deepEqual([status, total, done, delivered], ["finished", 12, 12, 12]);
    });

    test("stats keep the hour before the upgrade and continue to count", async () => {
      const { data } = answered(await relay.fetch(pathOf(sceneOf("failing"), "/stats?hours=2")), 200);
      const sum = (member) => data.reduce((sum, hour) => sum + hour[member], 0);
      assert.deepEqual([sum("failed"), sum("delivered"), sum("attempts")], [12, 12, 84]);
    });

    test("an event_id finds its delivery", async () => {
      const { id } = await find("orders", "order-1");
      const [again] = await acceptEvent(relay, workspace, alert({ event_id: "order-1" }));
      assert.deepEqual([again.id, again.status, again.duplicate], [id, "delivered", true]);
    });

    test("webhooks, their secrets and the workspace's key are unchanged", async () => {
      const { data } = answered(await relay.fetch(`/v1/workspaces/${workspace}/webhooks`, { token: key }), 200);
      assert.deepEqual(
        data.map(({ description, status, disabled_reason: reason }) => [description, status, reason]).sort(),
        [
          ["failing", "enabled", null],
          ["gone", "disabled", "gone"],
          ["orders", "enabled", null],
          ["paused", "disabled", "manual"],
        ],
      );
      const secret = answered(await relay.fetch(pathOf(sceneOf("orders"), "/secret"), { token: key }), 200);
      assert.equal(secret.secret, "the-second-secret");
      assert.ok(Date.parse(secret.previous_expires_at) > recordedAt);
      assert.equal(
        answered(await relay.fetch(pathOf(sceneOf("gone"), "/secret")), 200).secret,
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
      );
    });

    test("held deliveries are sent when the webhook is enabled and a person asks", async () => {
      await changeWebhook(relay, sceneOf("paused"), { status: "enabled" });
      const { total } = await startResend(relay, sceneOf("paused"), { status: "held" });
      assert.equal(total, 3);
      await eventually(async () => (await list("paused", { status: "delivered", kind: "event" })).length === 3);
    });

    test("a webhook that was disabled as gone accepts events once it is enabled", async () => {
      await changeWebhook(relay, sceneOf("gone"), { status: "enabled" });
      const entry = await acceptForOne(relay, workspace, alert({ type: "agent.registered" }));
      assert.equal((await awaitSettled(relay, workspace, entry)).status, "delivered");
    });

    test("what was stored under a type that is deleted since is read, and its webhook keeps the type", async () => {
      const { events } = answered(await relay.fetch(pathOf(sceneOf("paused"))), 200);
      for (const type of events) answered(await relay.fetch(`/v1/event-types/${type}`, { method: "DELETE" }), 204);
      const held = await list("paused", { type: "policy.violated", kind: "event" });
      assert.equal(held.length, 3);
      for (const { id } of held) {
        const { type, payload } = await readDelivery(relay, workspace, { id, webhook_id: webhooks.paused });
        assert.deepEqual([type, payload.type], ["policy.violated", "policy.violated"]);
      }
      assert.deepEqual((await changeWebhook(relay, sceneOf("paused"), { description: "kept", events })).events, events);
    });
  });

/**
 * A webhook's object of a stored format, opened by this release: what its events' posts are answered, and its log.
 * @param {import("node:test").TestContext} t
 * @param {string} format
 * @param {{ switches?: object, change?: (database: import("node:sqlite").DatabaseSync) => void }} [options]
 */
async function startOn(t, format, { switches = {}, change } = {}) {
  const folder = path.join(FIXTURES, format);
  const scene = JSON.parse(readFileSync(path.join(folder, "scene.json"), "utf8"));
  const state = await mkdtemp(path.join(tmpdir(), "relay-upgrade-"));
  restoreObjects(folder, state);
  if (change) for (const file of objectFiles(state, "WebhookObject")) onDatabase(file, change);
  const skew_ms = scene.recorded_at + LATER_MS - Date.now();
  const relay = await startRelay({
    hooks: true,
    persist: state,
    outbound: () => new Response("taken"),
    vars: { TEST_SWITCHES: JSON.stringify({ skew_ms, ...switches }), RETRY_SCHEDULE: "1m,5m,30m,2h,8h" },
  });
  t.after(async () => {
    await relay.stop();
    await rm(state, { recursive: true, force: true });
  });
  const kv = await relay.miniflare().getKVNamespace("SUBSCRIPTIONS");
  for (const { key, value, metadata } of JSON.parse(readFileSync(path.join(folder, "kv.json"), "utf8")))
    await kv.put(key, value, { metadata });
  const { workspace, webhooks } = scene;
  return { relay, workspace, webhooks, list: (name) => listDeliveries(relay, workspace, webhooks[name]) };
}

for (const statement of ["INTO segments", "DROP TABLE segments_2"]) {
  test(`a migration in which "${statement}" failed once is repeated`, { timeout: 60_000 }, async (t) => {
    // In the object that opens first.
    const { list, webhooks } = await startOn(t, "schema-2", { switches: { fault: { statement, times: 1 } } });
    for (const name of Object.keys(webhooks)) {
      await eventually(() => list(name).catch(() => undefined), { timeout: SETTLED_MS });
    }
    assert.equal((await list("orders")).length, 8);
  });
}

test("a migration that an earlier release left unfinished is completed", async (t) => {
  const { list } = await startOn(t, "schema-2", {
    change: (database) => database.exec("ALTER TABLE segments RENAME TO segments_2"),
  });
  assert.equal((await list("orders")).length, 8);
});

test("tables of a later release are not touched, and each command logs it", async (t) => {
  const later = "UPDATE meta SET value = '99' WHERE key = 'schema'";
  const { relay, workspace, webhooks } = await startOn(t, "schema-3", { change: (database) => database.exec(later) });
  assert.equal((await relay.fetch(`/v1/workspaces/${workspace}/webhooks/${webhooks.orders}/deliveries`)).status, 503);
  const { status, body } = await postEvent(relay, workspace, alert());
  assert.deepEqual([status, body.error?.code], [503, "not_stored"]);
  assert.ok(
    relay.logs.some((line) => line.includes("schema 99")),
    relay.logs.join("\n"),
  );
});
