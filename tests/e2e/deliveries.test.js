// Listing deliveries with every filter and stable cursors, and reading one in full.
//
// The schedule is long here, so that a delivery that failed once stays pending as long as a test needs.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { eventually } from "../support/eventually.js";
import { startReceiver } from "../support/receiver.js";
import { createWebhook, createWorkspace, startRelay } from "../support/relay.js";
import {
  MALFORMED_OR_REFUSED,
  acceptArray,
  acceptForOne,
  alert,
  answered,
  assertRefused,
  awaitDelivery,
  awaitSettled,
  changeWebhook,
  listDeliveries,
  pathOf,
  readDelivery,
  setUpWebhook,
} from "../support/steps.js";

const UNKNOWN = "evt_00000000000070008000000000000000";

let relay;
before(async () => (relay = await startRelay({ vars: { RETRY_SCHEDULE: "1h,1h,1h,1h,1h" } })));
after(() => relay?.stop());

const page = (scene, query = {}) => relay.fetch(pathOf(scene, `/deliveries?${new URLSearchParams(query)}`));
const idsOf = (deliveries) => deliveries.map(({ id }) => id);

/** Waits until the clock has advanced, so that what follows has a later time. */
async function passTime() {
  const since = Date.now();
  await eventually(() => Date.now() > since + 30);
  return new Date(Date.now() - 15).toISOString();
}

describe("the list", () => {
  // One delivery of each status and kind, and the times between them.
  const made = {};
  const between = [];
  let receiver;
  /** @type {{ workspace: string, webhook: import("../support/types.d.ts").CreatedWebhook, receiver: object }} */
  let scene;

  before(async () => {
    receiver = await startReceiver(({ text }) => ({ status: JSON.parse(text).data.fail ? 500 : 200 }));
    const workspace = await createWorkspace(relay);
    scene = { workspace, receiver, webhook: await createWebhook(relay, workspace, { url: receiver.url }) };
    made.ping = scene.webhook.ping.id;
    between.push(await passTime());
    const delivered = await acceptForOne(relay, workspace, alert({ event_id: "order-1" }));
    await awaitSettled(relay, workspace, delivered);
    made.delivered = delivered.id;
    between.push(await passTime());
    const other = await acceptForOne(relay, workspace, alert({ type: "agent.error" }));
    await awaitSettled(relay, workspace, other);
    made.other = other.id;
    between.push(await passTime());
    const failed = await acceptForOne(relay, workspace, alert({ data: { fail: true } }));
    await awaitDelivery(relay, workspace, failed, ({ attempts }) => attempts.length > 0);
    answered(await relay.fetch(pathOf(scene, `/deliveries/${failed.id}/cancel`), { method: "POST" }), 200);
    made.failed = failed.id;
    made.failedEvent = (await readDelivery(relay, workspace, failed)).event_id;
    const pending = await acceptForOne(relay, workspace, alert({ data: { fail: true } }));
    await awaitDelivery(relay, workspace, pending, ({ attempts }) => attempts.length > 0);
    made.pending = pending.id;
    between.push(await passTime());
    const tested = answered(
      await relay.fetch(pathOf(scene, "/test"), { method: "POST", body: { type: "agent.error" } }),
      200,
    );
    [made.test, made.testEvent] = [tested.id, tested.event_id];
    await changeWebhook(relay, scene, { status: "disabled" });
    made.held = (await acceptForOne(relay, workspace)).id;
  });
  after(() => receiver?.stop());

  const NEWEST_FIRST = ["held", "test", "pending", "failed", "other", "delivered", "ping"];

  // The names of what a query finds, newest first; `times[n]` is between what was made before and after it.
  /** @type {Record<string, [query: () => Record<string, string>, names: string[]]>} */
  const FOUND = {
    "everything, newest first": [() => ({}), NEWEST_FIRST],
    "pending ones": [() => ({ status: "pending" }), ["pending"]],
    "delivered ones": [() => ({ status: "delivered" }), ["test", "other", "delivered", "ping"]],
    "failed ones": [() => ({ status: "failed" }), ["failed"]],
    "held ones": [() => ({ status: "held" }), ["held"]],
    "those of a type": [() => ({ type: "agent.error" }), ["test", "other"]],
    "pings by their type": [() => ({ type: "ping" }), ["ping"]],
    "those of kind event": [() => ({ kind: "event" }), ["held", "pending", "failed", "other", "delivered"]],
    "those of kind ping": [() => ({ kind: "ping" }), ["ping"]],
    "those of kind test": [() => ({ kind: "test" }), ["test"]],
    "those of a kind and a status": [() => ({ kind: "event", status: "delivered" }), ["other", "delivered"]],
    "those of a type, a kind and a status": [
      () => ({ type: "agent.error", kind: "event", status: "delivered" }),
      ["other"],
    ],
    "those that are tried again": [() => ({ status: "retrying" }), ["pending"]],
    "those whose last attempt was answered with a status": [() => ({ response_status: "500" }), ["pending", "failed"]],
    "those whose last attempt was answered with a class of statuses": [
      () => ({ response_status: "2xx" }),
      ["test", "other", "delivered", "ping"],
    ],
    "those whose last attempt had an outcome": [() => ({ outcome: "http_error" }), ["pending", "failed"]],
    "those whose last attempt succeeded": [() => ({ outcome: "succeeded", kind: "event" }), ["other", "delivered"]],
    "those of a status, an outcome and an answer": [
      () => ({ status: "failed", outcome: "http_error", response_status: "5xx" }),
      ["failed"],
    ],
    "nothing, if no last attempt was answered so": [() => ({ response_status: "503" }), []],
    "nothing, if an outcome has no such answer": [() => ({ outcome: "timeout", response_status: "5xx" }), []],
    "those of an event": [() => ({ event_id: "order-1" }), ["delivered"]],
    "those of an event whose id was generated": [() => ({ event_id: made.failedEvent }), ["failed"]],
    "a test by its event": [() => ({ event_id: made.testEvent }), ["test"]],
    "nothing of an event with another status": [() => ({ event_id: "order-1", status: "failed" }), []],
    "nothing of an event that was never posted": [() => ({ event_id: "order-2" }), []],
    "nothing, if no delivery matches": [() => ({ status: "held", type: "agent.error" }), []],
    "those made since a time": [() => ({ since: between[3] }), ["held", "test"]],
    "those made until a time": [() => ({ until: between[1] }), ["delivered", "ping"]],
    "those made between two times": [() => ({ since: between[1], until: between[2] }), ["other"]],
    "nothing since tomorrow": [() => ({ since: new Date(Date.now() + 86_400_000).toISOString() }), []],
    "nothing until a time long ago": [() => ({ until: "2020-01-01T00:00:00.000Z" }), []],
    "those made since a time with a status": [
      () => ({ since: between[0], status: "delivered" }),
      ["test", "other", "delivered"],
    ],
  };
  for (const [what, [query, names]] of Object.entries(FOUND)) {
    test(`has ${what}`, async () => {
      const { data, next_cursor: next } = answered(await page(scene, query()), 200);
      const nameOf = (id) => Object.keys(made).find((name) => made[name] === id) ?? id;
      assert.deepEqual(idsOf(data).map(nameOf), names);
      assert.equal(next, null);
    });
  }

  test("has the same with a filter on pages of one delivery", async () => {
    const paged = await listDeliveries(relay, scene.workspace, scene.webhook.id, { limit: "1", status: "delivered" });
    assert.deepEqual(
      idsOf(paged),
      ["test", "other", "delivered", "ping"].map((name) => made[name]),
    );
  });

  test("shows each delivery as a read does, without payload, headers and bodies", async () => {
    for (const listed of answered(await page(scene), 200).data) {
      const { payload, request, attempts, ...whole } = await readDelivery(relay, scene.workspace, listed);
      assert.ok(payload.data, "the whole delivery has its payload");
      const { attempts: listedAttempts, last_attempt: last, ...rest } = listed;
      assert.deepEqual(rest, whole);
      const ended = attempts.at(-1);
      const members = ["outcome", "response_status", "duration_ms", "started_at"];
      assert.deepEqual(last, ended ? Object.fromEntries(members.map((name) => [name, ended[name]])) : null);
      for (const [index, attempt] of (listedAttempts ?? []).entries()) {
        const { response_headers: _, response_body: __, response_truncated: ___, ...shown } = attempts[index];
        assert.deepEqual(attempt, shown);
      }
    }
  });

  test("does not have the deliveries of another webhook", async (t) => {
    const other = await setUpWebhook(t, relay, undefined, { workspace: scene.workspace });
    assert.deepEqual(idsOf(answered(await page(other), 200).data), [other.webhook.ping.id]);
    assertRefused(await relay.fetch(pathOf(other, `/deliveries/${made.delivered}`)), 404, { code: "not_found" });
  });

  const REFUSED = [
    ["status", "open"],
    ["status", ""],
    ["kind", "resend"],
    ["response_status", "600"],
    ["response_status", "50x"],
    ["response_status", "5XX"],
    ["response_status", ""],
    ["outcome", "failed"],
    ["event_id", ""],
    ["event_id", "order 1"],
    ["since", "yesterday"],
    ["since", "2026-01-15"],
    ["until", "1768473000"],
    ["limit", "0"],
    ["limit", "101"],
    ["limit", "-1"],
    ["limit", "ten"],
    ["limit", "1.5"],
    ["limit", ""],
    ["cursor", "nonsense"],
  ];
  for (const [field, value] of REFUSED) {
    test(`is refused with ${field}=${value}`, async () => {
      assertRefused(await page(scene, { [field]: value }), MALFORMED_OR_REFUSED, { field });
    });
  }

  test("is refused with an unknown parameter", async () => {
    assertRefused(await page(scene, { offset: "10" }), 400, { code: "unknown_field", field: "offset" });
  });
});

describe("pages", () => {
  test("continue after the cursor while new deliveries arrive: none twice, none missing", async (t) => {
    const scene = await setUpWebhook(t, relay);
    const accepted = await acceptArray(relay, scene.workspace, Array(30).fill(alert()));
    const wanted = accepted.map(({ deliveries: [{ id }] }) => id);
    const seen = [];
    let cursor;
    do {
      const { data, next_cursor: next } = answered(
        await page(scene, { limit: "7", kind: "event", ...(cursor ? { cursor } : {}) }),
        200,
      );
      assert.ok(data.length <= 7, `${data.length} on a page of 7`);
      seen.push(...idsOf(data));
      cursor = next;
      await acceptArray(relay, scene.workspace, Array(5).fill(alert()));
    } while (cursor);
    assert.deepEqual([...seen].sort(), [...wanted].sort());
    assert.deepEqual(seen, [...seen].sort().reverse(), "newest first over all pages");
  });

  test("have at least one and at most a hundred deliveries", async (t) => {
    const scene = await setUpWebhook(t, relay);
    await acceptArray(relay, scene.workspace, Array(100).fill(alert()));
    await acceptArray(relay, scene.workspace, Array(20).fill(alert()));
    assert.equal(answered(await page(scene, { limit: "1" }), 200).data.length, 1);
    const first = answered(await page(scene, { limit: "100" }), 200);
    assert.equal(first.data.length, 100);
    const second = answered(await page(scene, { limit: "100", cursor: first.next_cursor }), 200);
    assert.deepEqual([second.data.length, second.next_cursor], [21, null]);
    assert.equal(new Set(idsOf([...first.data, ...second.data])).size, 121);
  });

  test("end with null even if the last one is exactly full", async (t) => {
    const scene = await setUpWebhook(t, relay);
    await acceptArray(relay, scene.workspace, Array(9).fill(alert()));
    assert.equal((await listDeliveries(relay, scene.workspace, scene.webhook.id, { limit: "5" })).length, 10);
    const { data, next_cursor: next } = answered(await page(scene, { limit: "10" }), 200);
    assert.deepEqual([data.length, next], [10, null]);
  });
});

describe("one delivery", () => {
  test("of an event is read without the request, which is kept only for pings and tests", async (t) => {
    const scene = await setUpWebhook(t, relay);
    const delivery = await awaitSettled(relay, scene.workspace, await acceptForOne(relay, scene.workspace));
    assert.ok(!("request" in delivery), "an event's delivery shows a request");
    assert.ok("request" in (await readDelivery(relay, scene.workspace, scene.webhook.ping)));
  });

  test("is not found if there is none", async (t) => {
    const scene = await setUpWebhook(t, relay);
    for (const id of [UNKNOWN, "nonsense", scene.webhook.id]) {
      for (const [method, below] of [
        ["GET", ""],
        ["POST", "/resend"],
        ["POST", "/send-now"],
        ["POST", "/cancel"],
      ]) {
        assertRefused(await relay.fetch(pathOf(scene, `/deliveries/${id}${below}`), { method }), 404, {
          code: "not_found",
        });
      }
    }
  });

  test("is not found under another webhook of the workspace, to read, resend, send now or cancel", async (t) => {
    const scene = await setUpWebhook(t, relay);
    const [entry] = [await acceptForOne(relay, scene.workspace)];
    const other = await setUpWebhook(t, relay, undefined, { workspace: scene.workspace });
    for (const [method, below] of [
      ["GET", ""],
      ["POST", "/resend"],
      ["POST", "/send-now"],
      ["POST", "/cancel"],
    ]) {
      assertRefused(await relay.fetch(pathOf(other, `/deliveries/${entry.id}${below}`), { method }), 404, {
        code: "not_found",
      });
    }
  });
});
