// Who makes the attempts that are not the first: Senders that the object's alarm hires, six attempts each at a time.
//
// The build with test hooks logs with which deliveries a Sender begins and, when one ends, how many attempts it made and
// how many at a time; and it refuses hires if it is asked to.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { eventually } from "../support/eventually.js";
import { turn } from "../support/hooks.js";
import { answerInTurn } from "../support/receiver.js";
import { startRelay } from "../support/relay.js";
import {
  acceptArray,
  acceptForOne,
  alert,
  awaitSettled,
  listDeliveries,
  readDelivery,
  setUpWebhook,
} from "../support/steps.js";

const CONNECTIONS = 6;
const MAX_LEASES = 50;
const SUBREQUESTS = 50;
const HOUR_MS = 3_600_000;

/** What the senders of a relay said when they ended. */
const endedSenders = (relay) =>
  relay.logs
    .map((line) => line.match(/sender ended (\{.*\})/))
    .filter((found) => found !== null)
    .map(([, said]) => JSON.parse(said));

/** The deliveries with which each Sender of a relay began. */
const hired = (relay) =>
  relay.logs
    .map((line) => line.match(/sender hired (\[.*\])/))
    .filter((found) => found !== null)
    .map(([, ids]) => JSON.parse(ids));

/** An `answer` that fails first attempts, takes `milliseconds` for the others, and counts how many are under way. */
function failFirst(milliseconds = 0) {
  const counts = { underWay: 0, most: 0, later: [] };
  const answer = ({ headers }) => {
    counts.most = Math.max(counts.most, ++counts.underWay);
    const isFirst = headers["x-secureagentics-attempt"] === "1";
    if (!isFirst) counts.later.push({ underWay: counts.underWay, at: performance.now() });
    return (response) => {
      response.on("close", () => counts.underWay--);
      setTimeout(() => response.writeHead(isFirst ? 500 : 200).end(), isFirst ? 0 : milliseconds);
    };
  };
  return { counts, answer };
}

/** Posts events and waits until the first attempt of each has failed and been reported. */
async function failAll(relay, { workspace, webhook, receiver }, count) {
  const posted = Array.from({ length: count }, (_, number) => alert({ data: { number } }));
  const entries = [];
  for (let from = 0; from < count; from += 100) {
    const answers = await acceptArray(relay, workspace, posted.slice(from, from + 100));
    entries.push(...answers.map(({ deliveries: [entry] }) => entry));
  }
  await eventually(() => receiver.events().length === count, { timeout: 60_000 });
  const unreported = async () => {
    const pending = await listDeliveries(relay, workspace, webhook.id, { status: "pending", kind: "event" });
    return pending.filter(({ attempt_count: made }) => made === 0).length;
  };
  await eventually(async () => (await unreported()) === 0, { timeout: 30_000 });
  return entries;
}

const allDelivered = (relay, { workspace, webhook }) =>
  eventually(
    async () =>
      (await listDeliveries(relay, workspace, webhook.id, { status: "pending", kind: "event" })).length === 0 &&
      (await listDeliveries(relay, workspace, webhook.id, { status: "failed", kind: "event" })).length === 0,
    { timeout: 60_000 },
  );

test("1,000 second attempts are several times as wide as one invocation, and never wider than MAX_LEASES", {
  timeout: 180_000,
}, async (t) => {
  const vars = { RETRY_SCHEDULE: "1h,1h", ATTEMPT_TIMEOUT: "10s", MAX_LEASES: `${MAX_LEASES}` };
  const relay = await startRelay({ hooks: true, vars: { ...vars, SUBREQUESTS: `${SUBREQUESTS}` } });
  t.after(() => relay.stop());
  const { counts, answer } = failFirst(100);
  const scene = await setUpWebhook(t, relay, answer);
  const EVENTS = 1_000;
  await failAll(relay, scene, EVENTS);
  // All fall due at once; a request wakes the object, whose alarm is set by the platform's clock.
  await turn(relay, { skew_ms: 2 * HOUR_MS });
  await listDeliveries(relay, scene.workspace, scene.webhook.id, { limit: "1", status: "delivered" });
  await eventually(() => scene.receiver.events().length >= 2 * EVENTS, { timeout: 120_000 });
  await allDelivered(relay, scene);
  assert.equal(scene.receiver.events().length, 2 * EVENTS, "an attempt was made twice");

  const widest = Math.max(...counts.later.map(({ underWay }) => underWay));
  const seconds = (counts.later.at(-1).at - counts.later[0].at) / 1_000;
  t.diagnostic(`${(EVENTS / seconds).toFixed(0)} second attempts a second, at most ${widest} at a time`);
  assert.ok(widest >= 4 * CONNECTIONS, `at most ${widest} second attempts were under way at a time`);
  assert.ok(counts.most <= MAX_LEASES, `${counts.most} attempts were under way at a time`);

  const senders = endedSenders(relay);
  const hires = senders.filter(({ sender }) => sender === "hired");
  t.diagnostic(`${hires.length} Senders made ${hires.reduce((sum, { made }) => sum + made, 0)} attempts`);
  assert.ok(hires.length >= MAX_LEASES / CONNECTIONS, "too few Senders ended");
  for (const { most, made } of senders) {
    assert.ok(most <= CONNECTIONS, `a sender had ${most} attempts under way`);
    assert.ok(made <= SUBREQUESTS, `a sender made ${made} attempts`);
  }
});

describe("a refused hire", () => {
  let relay;
  before(async () => (relay = await startRelay({ hooks: true })));
  after(() => relay?.stop());

  test("costs no lost lease: the attempt is made by a later hire", { timeout: 60_000 }, async (t) => {
    const { workspace, receiver } = await setUpWebhook(t, relay, answerInTurn(500, 200));
    const before = hired(relay).length;
    await turn(relay, { hires_refused: 1 });
    t.after(() => turn(relay));
    const entry = await acceptForOne(relay, workspace);
    const { status, attempts } = await awaitSettled(relay, workspace, entry);
    assert.ok(
      relay.logs.some((line) => line.includes("1 of 1 hires failed")),
      "no hire was refused",
    );
    assert.deepEqual([status, attempts.map(({ outcome }) => outcome)], ["delivered", ["http_error", "succeeded"]]);
    assert.equal(receiver.events().length, 2);
    assert.deepEqual(hired(relay).slice(before), [[entry.id]]);
    // Sooner than a lease ends: it was given back, not lost.
    const [first, second] = receiver.events();
    assert.ok(second.arrivedAt - first.arrivedAt < 5_000, `${second.arrivedAt - first.arrivedAt} ms`);
  });

  test("after another and another, for ever: retries are made all the same, six at a time", {
    timeout: 120_000,
  }, async (t) => {
    const { counts, answer } = failFirst(20);
    const scene = await setUpWebhook(t, relay, answer);
    const before = hired(relay).length;
    await turn(relay, { hires_refused: 4_000_000_000 });
    t.after(() => turn(relay));
    const EVENTS = 40;
    const answers = await acceptArray(relay, scene.workspace, Array(EVENTS).fill(alert()));
    await allDelivered(relay, scene);
    assert.equal(hired(relay).length, before, "a Sender was hired");
    for (const {
      deliveries: [entry],
    } of answers) {
      const { attempts } = await readDelivery(relay, scene.workspace, entry);
      assert.deepEqual(
        attempts.map(({ outcome }) => outcome),
        ["http_error", "succeeded"],
      );
    }
    const alone = endedSenders(relay).filter(({ sender }) => sender === "alarm");
    assert.ok(alone.length > 0, "the alarm sent nothing itself");
    for (const { most } of alone) assert.ok(most <= CONNECTIONS, `the alarm had ${most} attempts under way`);
    const widest = Math.max(...counts.later.map(({ underWay }) => underWay));
    assert.ok(widest <= CONNECTIONS, `${widest} retries were under way at a time`);
    // When hiring works again, Senders are hired again, as soon as the wait after the last refusal is over.
    await turn(relay);
    const isHiredAgain = async () => {
      const later = await acceptForOne(relay, scene.workspace);
      await awaitSettled(relay, scene.workspace, later);
      return hired(relay).some((ids) => ids.includes(later.id));
    };
    await eventually(isHiredAgain, { timeout: 60_000 });
  });
});

test("a delivery that ends its sender is sent alone after two lost leases, and takes none along for good", {
  timeout: 120_000,
}, async (t) => {
  const relay = await startRelay({ hooks: true, vars: { ATTEMPT_TIMEOUT: "500ms", RETRY_SCHEDULE: "1h,1h" } });
  t.after(() => relay.stop());
  const { workspace, receiver } = await setUpWebhook(t, relay);
  const events = [alert({ data: { "x-test-hook": "panic" } }), ...Array(11).fill(alert())];
  const answers = await acceptArray(relay, workspace, events);
  const [panicking, ...healthy] = answers.map(({ deliveries: [entry] }) => entry);
  const lost = await eventually(
    async () => {
      const read = await readDelivery(relay, workspace, panicking);
      return read.attempts.length > 0 && read;
    },
    { timeout: 60_000 },
  );
  assert.equal(lost.attempts[0].outcome, "lost");
  await eventually(() => healthy.every(({ id }) => receiver.receivedIds().has(id)), { timeout: 30_000 });
  for (const entry of healthy) {
    const { status, attempts } = await awaitSettled(relay, workspace, entry);
    assert.deepEqual([status, attempts.map(({ outcome }) => outcome)], ["delivered", ["succeeded"]]);
  }
  // Its first lease was the Worker's.
  const hires = hired(relay).filter((ids) => ids.includes(panicking.id));
  t.diagnostic(JSON.stringify(hires.map((ids) => ids.length)));
  assert.equal(hires.length, 2);
  assert.ok(hires[0].length > 1, "it was alone from the first: this proved nothing");
  assert.deepEqual(hires[1], [panicking.id]);
});
