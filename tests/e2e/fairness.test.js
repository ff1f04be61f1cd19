// An endpoint that hangs delays nobody else.
//
// The timeout is long here: waiting for the hanging endpoint would cost far more than a busy machine does.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { eventually } from "../support/eventually.js";
import { hang } from "../support/receiver.js";
import { startRelay } from "../support/relay.js";
import { acceptArray, acceptEvent, acceptForOne, alert, readDelivery, setUpWebhook } from "../support/steps.js";

const IN_TIME_MS = 2_000;

let relay;
before(async () => (relay = await startRelay({ vars: { ATTEMPT_TIMEOUT: "6s" } })));
after(() => relay?.stop());

/** Waits until the receiver has `count` deliveries and asserts that the last one came in time. */
async function assertInTime(receiver, count, posted) {
  await eventually(() => receiver.receivedIds().size >= count, { timeout: 20_000 });
  const last = Math.max(...receiver.events().map(({ arrivedAt }) => arrivedAt));
  assert.ok(last - posted < IN_TIME_MS, `the last of ${count} arrived after ${Math.round(last - posted)} ms`);
}

test("the 202 does not wait for a receiver", async (t) => {
  const { workspace } = await setUpWebhook(t, relay, hang);
  const posted = performance.now();
  await acceptForOne(relay, workspace);
  const answered = performance.now() - posted;
  assert.ok(answered < IN_TIME_MS, `answered after ${Math.round(answered)} ms`);
});

test("another webhook of the same workspace gets the event at once", async (t) => {
  const slow = await setUpWebhook(t, relay, hang);
  const healthy = await setUpWebhook(t, relay, undefined, { workspace: slow.workspace });
  const posted = performance.now();
  const deliveries = await acceptEvent(relay, slow.workspace);
  await assertInTime(healthy.receiver, 1, posted);
  const waiting = deliveries.find(({ webhook_id }) => webhook_id === slow.webhook.id);
  const { status, attempts } = await readDelivery(relay, slow.workspace, waiting);
  assert.deepEqual([status, attempts], ["pending", []], "the hanging attempt was over already: this proved nothing");
});

test("an array of events reaches a healthy webhook while every one of them hangs at another", async (t) => {
  const slow = await setUpWebhook(t, relay, hang);
  const healthy = await setUpWebhook(t, relay, undefined, { workspace: slow.workspace });
  const posted = performance.now();
  await acceptArray(relay, slow.workspace, Array(40).fill(alert()));
  await assertInTime(healthy.receiver, 40, posted);
  assert.ok(slow.receiver.events().length > 0);
});

test("several hanging webhooks of a workspace do not starve a healthy one", async (t) => {
  const slow = [await setUpWebhook(t, relay, hang)];
  const { workspace } = slow[0];
  slow.push(...(await Promise.all(Array.from({ length: 7 }, () => setUpWebhook(t, relay, hang, { workspace })))));
  const healthy = await setUpWebhook(t, relay, undefined, { workspace });
  const posted = performance.now();
  await acceptArray(relay, workspace, Array(5).fill(alert()));
  await assertInTime(healthy.receiver, 5, posted);
});

test("another workspace is not delayed", async (t) => {
  const slow = await setUpWebhook(t, relay, hang);
  const healthy = await setUpWebhook(t, relay);
  await acceptArray(relay, slow.workspace, Array(40).fill(alert()));
  const posted = performance.now();
  for (let count = 0; count < 10; count++) await acceptForOne(relay, healthy.workspace);
  await assertInTime(healthy.receiver, 10, posted);
});

test("the hanging webhook itself gets its next event while earlier attempts still hang", async (t) => {
  const { workspace, receiver } = await setUpWebhook(t, relay, hang);
  await acceptForOne(relay, workspace);
  await eventually(() => receiver.events().length === 1);
  const posted = performance.now();
  const next = await acceptForOne(relay, workspace);
  await eventually(() => receiver.attemptsOf(next.id).length === 1);
  assert.ok(receiver.attemptsOf(next.id)[0].arrivedAt - posted < IN_TIME_MS);
});
