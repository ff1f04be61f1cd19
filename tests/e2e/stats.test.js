// Hourly stats of a webhook: what counts, and what does not.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { eventually } from "../support/eventually.js";
import { answerAfter, answerInTurn, answerWith } from "../support/receiver.js";
import { createWorkspace, startRelay } from "../support/relay.js";
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
  pathOf,
  setUpWebhook,
} from "../support/steps.js";

const HOUR_MS = 3_600_000;
const FULL_HOUR = /^\d{4}-\d\d-\d\dT\d\d:00:00\.000Z$/;

let relay;
// An answer that is slow on a busy machine is no failed attempt.
const VARS = { RETRY_SCHEDULE: "10ms,10ms,10ms,10ms,10ms", ATTEMPT_TIMEOUT: "10s" };
before(async () => (relay = await startRelay({ vars: VARS })));
after(() => relay?.stop());

const ask = (scene, query = "") => relay.fetch(pathOf(scene, `/stats${query}`));

/** The sums over all hours, because the hour may change within a test. */
async function readSums(scene) {
  const { data } = answered(await ask(scene), 200);
  const sum = (member) => data.reduce((total, row) => total + row[member], 0);
  return { delivered: sum("delivered"), failed: sum("failed"), attempts: sum("attempts") };
}

/** Waits for these sums: an attempt is counted when its report has arrived. */
const awaitSums = (scene, wanted) =>
  eventually(async () => {
    assert.deepEqual(await readSums(scene), wanted);
    return true;
  });

async function settleOne(scene, event) {
  return awaitSettled(relay, scene.workspace, await acceptForOne(relay, scene.workspace, event));
}

describe("the stats", () => {
  test("count deliveries that ended delivered, that ended failed, and every attempt of both", async (t) => {
    const scene = await setUpWebhook(t, relay, ({ text }) => ({ status: JSON.parse(text).data.fail ? 500 : 200 }));
    for (let count = 0; count < 3; count++) await settleOne(scene);
    await settleOne(scene, alert({ data: { fail: true } }));
    await awaitSums(scene, { delivered: 3, failed: 1, attempts: 9 });
  });

  test("name the hour of each row, with attempts and their durations", async (t) => {
    const scene = await setUpWebhook(t, relay);
    const began = Date.now();
    await settleOne(scene);
    await awaitSums(scene, { delivered: 1, failed: 0, attempts: 1 });
    const { data, ...rest } = answered(await ask(scene), 200);
    assert.deepEqual(
      Object.keys(rest).filter((name) => name !== "next_cursor"),
      [],
    );
    for (const row of data) {
      assert.deepEqual(Object.keys(row).sort(), [
        "attempts",
        "delivered",
        "failed",
        "failed_attempts",
        "hour",
        "p50_ms",
        "p95_ms",
      ]);
      assert.match(row.hour, FULL_HOUR);
      if (row.attempts === 0) assert.deepEqual([row.p50_ms, row.p95_ms], [null, null]);
    }
    assert.equal(new Set(data.map(({ hour }) => hour)).size, data.length, "an hour has two rows");
    const [row] = data.filter(({ attempts }) => attempts > 0);
    assert.ok(
      Math.floor(began / HOUR_MS) <= Date.parse(row.hour) / HOUR_MS && Date.parse(row.hour) <= Date.now(),
      row.hour,
    );
  });

  test("show the median and the slow end of the durations", async (t) => {
    const quick = answerWith(200);
    const slow = answerAfter(600);
    const scene = await setUpWebhook(t, relay, (_request, number) => (number % 5 === 0 ? slow() : quick()));
    for (let count = 0; count < 10; count++) await settleOne(scene);
    await awaitSums(scene, { delivered: 10, failed: 0, attempts: 10 });
    const { data } = answered(await ask(scene), 200);
    const rows = data.filter(({ attempts }) => attempts > 0);
    // If the hour changed, each hour has only a part of them.
    if (rows.length > 1) return t.diagnostic("the hour changed within this test");
    const [{ p50_ms: middle, p95_ms: end }] = rows;
    assert.ok(middle >= 0 && middle < 400, `p50_ms ${middle}`);
    assert.ok(end >= 570 && end < 1_000, `p95_ms ${end}`);
  });

  test("count only events, not pings or tests", async (t) => {
    const scene = await setUpWebhook(t, relay, answerWith(500), { ping: answerWith(500) });
    answered(await relay.fetch(pathOf(scene, "/test"), { method: "POST", body: { type: "agent.error" } }), 200);
    // An event after them is counted: so were they, if they were to be.
    await settleOne(scene);
    await awaitSums(scene, { delivered: 0, failed: 1, attempts: 6 });
  });

  // Stats show how the endpoint performs, and neither is an answer of it.
  test("count neither cancelled nor held deliveries", async (t) => {
    const scene = await setUpWebhook(t, relay);
    await changeWebhook(relay, scene, { status: "disabled" });
    const [
      {
        deliveries: [entry],
      },
    ] = await acceptArray(relay, scene.workspace, [alert(), alert()]);
    answered(await relay.fetch(pathOf(scene, `/deliveries/${entry.id}/cancel`), { method: "POST" }), 200);
    await changeWebhook(relay, scene, { status: "enabled" });
    // An event after them is counted: so were they, if they were to be.
    await settleOne(scene);
    await awaitSums(scene, { delivered: 1, failed: 0, attempts: 1 });
  });

  test("count the attempts that failed", async (t) => {
    const scene = await setUpWebhook(t, relay, answerInTurn(500, 500, 200));
    await settleOne(scene);
    await awaitSums(scene, { delivered: 1, failed: 0, attempts: 3 });
    const { data } = answered(await ask(scene), 200);
    assert.equal(
      data.reduce((total, row) => total + row.failed_attempts, 0),
      2,
    );
  });

  test("count a resent event once, as it ended last", async (t) => {
    let healthy = false;
    const scene = await setUpWebhook(t, relay, () => ({ status: healthy ? 200 : 500 }));
    const failed = await settleOne(scene);
    healthy = true;
    answered(await relay.fetch(pathOf(scene, `/deliveries/${failed.id}/resend`), { method: "POST" }), 202);
    await awaitDelivery(relay, scene.workspace, failed, ({ status }) => status === "delivered");
    const moved = { delivered: 1, failed: 0, attempts: 7 };
    await awaitSums(scene, moved);
    await relay.restart();
    assert.deepEqual(await readSums(scene), moved);
    healthy = false;
    answered(await relay.fetch(pathOf(scene, `/deliveries/${failed.id}/resend`), { method: "POST" }), 202);
    await awaitDelivery(relay, scene.workspace, failed, ({ status }) => status === "failed");
    await awaitSums(scene, { delivered: 0, failed: 1, attempts: 13 });
  });

  test("keep an event where it ended while a resend of it is under way or was cancelled", async (t) => {
    let healthy = false;
    const scene = await setUpWebhook(t, relay, () => ({ status: healthy ? 200 : 500 }));
    const failed = await settleOne(scene);
    const before = { delivered: 0, failed: 1, attempts: 6 };
    await awaitSums(scene, before);
    await changeWebhook(relay, scene, { status: "paused" });
    answered(await relay.fetch(pathOf(scene, `/deliveries/${failed.id}/resend`), { method: "POST" }), 202);
    assert.deepEqual(await readSums(scene), before);
    answered(await relay.fetch(pathOf(scene, `/deliveries/${failed.id}/cancel`), { method: "POST" }), 200);
    assert.deepEqual(await readSums(scene), before);
    healthy = true;
    answered(await relay.fetch(pathOf(scene, `/deliveries/${failed.id}/resend`), { method: "POST" }), 202);
    await changeWebhook(relay, scene, { status: "enabled" });
    await awaitDelivery(relay, scene.workspace, failed, ({ status }) => status === "delivered");
    await awaitSums(scene, { delivered: 1, failed: 0, attempts: 7 });
  });

  test("are the same after a restart", async (t) => {
    const scene = await setUpWebhook(t, relay);
    await acceptArray(relay, scene.workspace, Array(40).fill(alert()));
    const wanted = { delivered: 40, failed: 0, attempts: 40 };
    await awaitSums(scene, wanted);
    await relay.restart();
    assert.deepEqual(await readSums(scene), wanted);
    await settleOne(scene);
    await awaitSums(scene, { delivered: 41, failed: 0, attempts: 41 });
  });

  test("count every one of many", { timeout: 60_000 }, async (t) => {
    const scene = await setUpWebhook(t, relay);
    for (let count = 0; count < 3; count++) await acceptArray(relay, scene.workspace, Array(100).fill(alert()));
    await eventually(() => scene.receiver.receivedIds().size === 300, { timeout: 30_000 });
    await awaitSums(scene, { delivered: 300, failed: 0, attempts: scene.receiver.events().length });
  });

  test("are kept per webhook", async (t) => {
    const scene = await setUpWebhook(t, relay, undefined, { events: ["alert.triggered"] });
    const other = await setUpWebhook(t, relay, undefined, { workspace: scene.workspace, events: ["agent.error"] });
    await settleOne(scene);
    await awaitSums(scene, { delivered: 1, failed: 0, attempts: 1 });
    assert.deepEqual(await readSums(other), { delivered: 0, failed: 0, attempts: 0 });
  });
});

describe("the hours", () => {
  test("are 1 to 720", async (t) => {
    const scene = await setUpWebhook(t, relay);
    await settleOne(scene);
    for (const hours of [1, 24, 720]) {
      const { data } = answered(await ask(scene, `?hours=${hours}`), 200);
      assert.ok(data.length <= hours + 1, `${data.length} rows for ${hours} hours`);
      const first = Math.floor(Date.now() / HOUR_MS) - hours;
      for (const { hour } of data)
        assert.ok(Date.parse(hour) / HOUR_MS >= first, `${hour} is not one of the last ${hours}`);
    }
  });

  for (const hours of ["0", "721", "-1", "1.5", "day", ""]) {
    test(`are refused as ${JSON.stringify(hours)}`, async (t) => {
      const scene = await setUpWebhook(t, relay);
      assertRefused(await ask(scene, `?hours=${hours}`), MALFORMED_OR_REFUSED, { field: "hours" });
    });
  }

  test("are the only parameter", async (t) => {
    const scene = await setUpWebhook(t, relay);
    assertRefused(await ask(scene, "?days=1"), 400, { code: "unknown_field", field: "days" });
  });
});

test("a webhook that does not exist has no stats", async () => {
  const unknown = { workspace: await createWorkspace(relay), webhook: { id: "wh_00000000000070008000000000000000" } };
  assertRefused(await ask(unknown), 404, { code: "not_found" });
});
