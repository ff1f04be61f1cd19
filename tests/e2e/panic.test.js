// A panic while one delivery is sent harms no other delivery and no later request.
//
// The build with test hooks panics when it sends a delivery whose data has the member "x-test-hook": "panic". A panic
// kills every attempt in flight in the same Wasm instance, so healthy deliveries may arrive late and twice, but they
// arrive: their leases end, and the alarm continues by itself.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { eventually } from "../support/eventually.js";
import { startRelay } from "../support/relay.js";
import {
  acceptArray,
  acceptForOne,
  alert,
  awaitDelivery,
  awaitSettled,
  readDelivery,
  setUpWebhook,
} from "../support/steps.js";

// A lease ends ATTEMPT_TIMEOUT + 5 s after it was granted and an aborted alarm is set to 5 s later; the delivery that
// panics has three leases before its attempt counts as lost.
const RECOVERY_MS = 60_000;
const PANICS = { "x-test-hook": "panic" };

let relay;
before(async () => (relay = await startRelay({ hooks: true })));
after(() => relay?.stop());

const receivedAll = (receiver, entries) => () => entries.every(({ id }) => receiver.receivedIds().has(id));

const countPanics = () => relay.logs.filter((line) => /panicked/.test(line)).length;

/** A webhook that is deleted after the test, so that its panicking delivery disturbs no other test. */
async function setUpDoomed(t) {
  const scene = await setUpWebhook(t, relay);
  const path = `/v1/workspaces/${scene.workspace}/webhooks/${scene.webhook.id}`;
  t.after(() => relay.fetch(path, { method: "DELETE" }));
  return scene;
}

/** Posts an event whose delivery panics and waits for the first panic. */
async function provokePanic(workspace) {
  const before = countPanics();
  const entry = await acceptForOne(relay, workspace, alert({ data: PANICS }));
  await eventually(() => countPanics() > before);
  return entry;
}

test("ten deliveries behind one that always panics arrive without any further request", {
  timeout: 2 * RECOVERY_MS,
}, async (t) => {
  const { workspace, receiver } = await setUpDoomed(t);
  const before = countPanics();
  const events = [alert({ data: PANICS }), ...Array.from({ length: 10 }, (_, number) => alert({ data: { number } }))];
  const answers = await acceptArray(relay, workspace, events);
  const [panicking, ...healthy] = answers.map(({ deliveries: [entry] }) => entry);
  // Asks only the receiver: a request to the relay could wake it.
  await eventually(receivedAll(receiver, healthy), { timeout: RECOVERY_MS });
  await eventually(() => countPanics() > before, { timeout: RECOVERY_MS });
  assert.ok(!receiver.receivedIds().has(panicking.id));
});

test("the relay answers and delivers after a panic", { timeout: 2 * RECOVERY_MS }, async (t) => {
  const bad = await setUpDoomed(t);
  const good = await setUpWebhook(t, relay);
  const panicking = await provokePanic(bad.workspace);
  assert.equal((await relay.fetch("/healthz", { token: null })).status, 200);
  const entries = [];
  for (let count = 0; count < 5; count++) entries.push(await acceptForOne(relay, good.workspace));
  await eventually(receivedAll(good.receiver, entries), { timeout: RECOVERY_MS });
  const { status } = await readDelivery(relay, bad.workspace, panicking);
  assert.notEqual(status, "delivered");
});

test("the webhook of the panicking delivery still delivers later events", { timeout: 2 * RECOVERY_MS }, async (t) => {
  const { workspace } = await setUpDoomed(t);
  await provokePanic(workspace);
  const later = await acceptForOne(relay, workspace);
  assert.equal((await awaitSettled(relay, workspace, later, { timeout: RECOVERY_MS })).status, "delivered");
});

test("three lost leases count as a failed attempt with the outcome lost", { timeout: 3 * RECOVERY_MS }, async (t) => {
  const { workspace } = await setUpDoomed(t);
  const panicking = await provokePanic(workspace);
  const isOver = ({ attempts }) => attempts.length > 0;
  const { attempts } = await awaitDelivery(relay, workspace, panicking, isOver, { timeout: 2 * RECOVERY_MS });
  assert.equal(attempts[0].outcome, "lost");
  // The Worker that made it is gone, so nobody logs it.
  const logged = relay.logs.find((line) => line.includes('"outcome":"lost"') && line.includes(panicking.id));
  assert.ok(logged, "the lost attempt is in the log");
  assert.equal(attempts[0].response_status, null);
});

test("a panic while rendering a page is answered with an error page", async () => {
  for (const path of ["/", "/sign-in", "/settings/webhooks"]) {
    const answer = await relay.fetch(`${path}?x-test-hook=panic`, { token: null });
    assert.equal(answer.status, 500);
    assert.match(answer.headers.get("content-type"), /^text\/html/);
    assert.ok(answer.text.includes(answer.headers.get("x-request-id")), answer.text);
    assert.ok(!/panicked|wasm|\.rs/.test(answer.text), answer.text);
  }
  assert.equal((await relay.fetch("/sign-in", { token: null })).status, 200);
});
