// The cost of a delivered event in rows written, which are billed; each setAlarm is one of them.
//
// The build with test hooks counts them in the webhook's object, from the object's start.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { eventually } from "../support/eventually.js";
import { answerInTurn, answerWith } from "../support/receiver.js";
import { startRelay } from "../support/relay.js";
import { armedAlarm } from "../support/stored_state.js";
import { acceptArray, acceptForOne, alert, awaitSettled, listDeliveries, setUpWebhook } from "../support/steps.js";

const EVENTS = 300;

let relay;
before(async () => (relay = await startRelay({ hooks: true })));
after(() => relay?.stop());

async function readCounts({ workspace, webhook }, of = relay) {
  const answer = await of.fetch(`/test/rows/${workspace}/${webhook.id}`);
  assert.equal(answer.status, 200, answer.text);
  const { rows_written: written, rows_read: read, alarms_set: alarms, alarms_run: run } = answer.body;
  const { object_requests: commands } = answer.body;
  for (const count of [written, read, alarms, run, commands])
    assert.ok(Number.isInteger(count) && count >= 0, answer.text);
  return { written, read, alarms, run, commands };
}

/** Posts `count` events one by one, waits until all are settled as delivered, and returns the rows that it took. */
async function deliverOneByOne(scene, count, eventOf) {
  const { workspace, webhook, receiver } = scene;
  const before = await readCounts(scene);
  const received = receiver.events().length;
  for (let number = 0; number < count; number++) await acceptForOne(relay, workspace, eventOf(number));
  await eventually(() => receiver.events().length >= received + count, { timeout: 60_000 });
  // Before the list is read, which reads more rows.
  const { read } = await readCounts(scene);
  await eventually(
    async () => (await listDeliveries(relay, workspace, webhook.id, { status: "pending" })).length === 0,
  );
  const after = await readCounts(scene);
  assert.equal(receiver.events().length, received + count, "not every event was delivered at its first attempt");
  return { written: after.written - before.written, alarms: after.alarms - before.alarms, read: read - before.read };
}

describe("rows written by a delivered event, its alarms counted", () => {
  /** @type {Record<string, [eventOf: (number: number) => import("../support/types.d.ts").Event, most: number]>} */
  const CASES = {
    "without event_id": [() => alert(), 2],
    "with event_id": [(number) => alert({ event_id: `order-${number}` }), 3],
  };
  for (const [what, [eventOf, most]] of Object.entries(CASES)) {
    test(`${what} are at most ${most}`, { timeout: 180_000 }, async (t) => {
      const scene = await setUpWebhook(t, relay);
      const { written, alarms } = await deliverOneByOne(scene, EVENTS, eventOf);
      const each = (written + alarms) / EVENTS;
      t.diagnostic(
        `${each.toFixed(3)} rows an event: ${written} written and ${alarms} alarms set for ${EVENTS} events`,
      );
      // Broken counters would meet any bound: storing an event writes at least a row.
      assert.ok(written >= EVENTS, `only ${written} rows were counted`);
      assert.ok(each <= most, `${each} rows an event`);
    });
  }
});

test("an event that comes alone takes 3 rows, its alarm counted, and 3 requests of its object", async (t) => {
  const scene = await setUpWebhook(t, relay);
  const isIdle = () => eventually(() => armedAlarm(relay, scene) === undefined, { timeout: 30_000 });
  // The ping was made under a lease as well, and of the first event its workspace is told.
  await acceptForOne(relay, scene.workspace);
  await isIdle();
  const before = await readCounts(scene);
  await acceptForOne(relay, scene.workspace);
  await isIdle();
  const after = await readCounts(scene);
  assert.equal(scene.receiver.events().length, 2);
  const used = Object.fromEntries(Object.entries(after).map(([name, count]) => [name, count - before[name]]));
  t.diagnostic(JSON.stringify(used));
  assert.equal(used.written + used.alarms, 3);
  assert.equal(used.commands + used.run, 3);
  assert.equal(armedAlarm(relay, scene), undefined, "an alarm is armed although nothing is pending");
});

describe("an event that fails once", () => {
  // Longer than a lease, as in production.
  const RETRY_AFTER_MS = 8_000;
  let slow;
  before(async () => (slow = await startRelay({ hooks: true, vars: { RETRY_SCHEDULE: `${RETRY_AFTER_MS}ms,1h` } })));
  after(() => slow?.stop());

  test("takes 14 rows with its retry, alarms counted, and 6 requests of its object", { timeout: 90_000 }, async (t) => {
    const scene = await setUpWebhook(t, slow, answerInTurn(500, 200));
    const isIdle = () => eventually(() => armedAlarm(slow, scene) === undefined, { timeout: 60_000 });
    await isIdle();
    const before = await readCounts(scene, slow);
    await acceptForOne(slow, scene.workspace);
    await eventually(() => scene.receiver.events().length === 2, { timeout: 60_000 });
    await isIdle();
    const after = await readCounts(scene, slow);
    const used = Object.fromEntries(Object.entries(after).map(([name, count]) => [name, count - before[name]]));
    t.diagnostic(JSON.stringify(used));
    // Four of them to tell its workspace that it is retrying, and that it is healthy again.
    assert.ok(used.written + used.alarms <= 14, `${used.written + used.alarms} rows`);
    assert.ok(used.commands + used.run <= 6, `${used.commands + used.run} requests`);
  });
});

test("rows written by an event of an array of 100 are at most 1.1, alarms counted", { timeout: 120_000 }, async (t) => {
  const scene = await setUpWebhook(t, relay);
  const before = await readCounts(scene);
  for (let array = 0; array < EVENTS / 100; array++)
    await acceptArray(
      relay,
      scene.workspace,
      Array.from({ length: 100 }, () => alert()),
    );
  await eventually(() => scene.receiver.events().length >= EVENTS, { timeout: 60_000 });
  await eventually(
    async () => (await listDeliveries(relay, scene.workspace, scene.webhook.id, { status: "pending" })).length === 0,
  );
  const after = await readCounts(scene);
  const each = (after.written - before.written + after.alarms - before.alarms) / EVENTS;
  t.diagnostic(`${each.toFixed(3)} rows an event`);
  assert.ok(each > 0 && each <= 1.1, `${each} rows an event`);
});

test("the rows that a wake-up reads do not grow with the log", { timeout: 180_000 }, async (t) => {
  const scene = await setUpWebhook(t, relay, answerWith(200));
  const readByOne = async () => {
    const { read } = await deliverOneByOne(scene, 50, () => alert());
    return read / 50;
  };
  const empty = await readByOne();
  await deliverOneByOne(scene, EVENTS, () => alert());
  const full = await readByOne();
  t.diagnostic(
    `${empty.toFixed(1)} rows read an event with an empty log, ${full.toFixed(1)} with ${EVENTS} deliveries in it`,
  );
  assert.ok(full <= empty * 2 + 20, `${empty} rows read an event before, ${full} after ${EVENTS} deliveries`);
});

test("a duplicate writes nothing", async (t) => {
  const scene = await setUpWebhook(t, relay);
  const entry = await acceptForOne(relay, scene.workspace, alert({ event_id: "order-1" }));
  await awaitSettled(relay, scene.workspace, entry);
  const before = await readCounts(scene);
  for (let again = 0; again < 20; again++) await acceptForOne(relay, scene.workspace, alert({ event_id: "order-1" }));
  const after = await readCounts(scene);
  assert.equal(after.written, before.written);
});

test("only the operator can read the counts", async (t) => {
  const { workspace, webhook } = await setUpWebhook(t, relay);
  const answer = await relay.fetch(`/test/rows/${workspace}/${webhook.id}`, { token: null });
  assert.equal(answer.status, 401);
});
