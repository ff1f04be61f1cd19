// The first post of an event_id wins: later posts with it change nothing and are answered with the same deliveries.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { eventually } from "../support/eventually.js";
import { answerAfter, answerInTurn } from "../support/receiver.js";
import { postEvent, startRelay } from "../support/relay.js";
import {
  acceptArray,
  acceptEvent,
  acceptForOne,
  alert,
  awaitSettled,
  listDeliveries,
  setUpWebhook,
} from "../support/steps.js";

let relay;
before(async () => (relay = await startRelay()));
after(() => relay?.stop());

/**
 * Asserts that this delivery is all that the webhook has under its event_id, and that it was sent once.
 * Another event is delivered first, so that there was time for a second attempt.
 */
async function assertSentOnce({ workspace, webhook, receiver }, { id }) {
  await awaitSettled(relay, workspace, { id, webhook_id: webhook.id });
  await awaitSettled(relay, workspace, await acceptForOne(relay, workspace, alert({ event_id: "the-one-after" })));
  const listed = await listDeliveries(relay, workspace, webhook.id, { kind: "event" });
  const others = listed.filter(({ event_id }) => event_id !== "the-one-after").map((delivery) => delivery.id);
  assert.deepEqual(others, [id]);
  assert.equal(receiver.events().length, 2);
  assert.equal(receiver.attemptsOf(id).length, 1);
}

test("the same post again is answered with the same delivery, marked as duplicate, and sent once", async (t) => {
  const scene = await setUpWebhook(t, relay);
  const first = await acceptForOne(relay, scene.workspace, alert({ event_id: "order-1" }));
  assert.equal(first.duplicate, false);
  for (let again = 0; again < 3; again++) {
    const answer = await postEvent(relay, scene.workspace, alert({ event_id: "order-1" }));
    assert.equal(answer.status, 202, answer.text);
    assert.equal(answer.body.event_id, "order-1");
    const [{ id, duplicate, webhook_id }] = answer.body.deliveries;
    assert.deepEqual({ id, duplicate, webhook_id }, { id: first.id, duplicate: true, webhook_id: scene.webhook.id });
  }
  await assertSentOnce(scene, first);
});

test("a duplicate shows the current status of its delivery", async (t) => {
  const { workspace } = await setUpWebhook(t, relay);
  const first = await acceptForOne(relay, workspace, alert({ event_id: "order-1" }));
  await awaitSettled(relay, workspace, first);
  const { status, duplicate } = await acceptForOne(relay, workspace, alert({ event_id: "order-1" }));
  assert.deepEqual({ status, duplicate }, { status: "delivered", duplicate: true });
});

test("other data under the same event_id is not sent", async (t) => {
  const scene = await setUpWebhook(t, relay);
  const first = await acceptForOne(relay, scene.workspace, alert({ event_id: "order-1", data: { version: 1 } }));
  const second = await acceptForOne(relay, scene.workspace, alert({ event_id: "order-1", data: { version: 2 } }));
  assert.deepEqual([second.id, second.duplicate], [first.id, true]);
  await assertSentOnce(scene, first);
  assert.deepEqual(JSON.parse(scene.receiver.attemptsOf(first.id)[0].text).data, { version: 1 });
});

test("another type under the same event_id is not sent", async (t) => {
  const scene = await setUpWebhook(t, relay);
  const first = await acceptForOne(relay, scene.workspace, alert({ event_id: "order-1" }));
  const second = await acceptForOne(relay, scene.workspace, { type: "policy.violated", data: {}, event_id: "order-1" });
  assert.deepEqual([second.id, second.duplicate], [first.id, true]);
  await assertSentOnce(scene, first);
  assert.equal(scene.receiver.attemptsOf(first.id)[0].headers["x-secureagentics-event"], "alert.triggered");
});

test("another type under the same event_id reaches no webhook that selected only that type", async (t) => {
  const scene = await setUpWebhook(t, relay, undefined, { events: ["alert.triggered"] });
  const other = await setUpWebhook(t, relay, undefined, { workspace: scene.workspace, events: ["policy.violated"] });
  const first = await acceptForOne(relay, scene.workspace, alert({ event_id: "order-1" }));
  const again = await acceptForOne(relay, scene.workspace, { type: "policy.violated", data: {}, event_id: "order-1" });
  assert.deepEqual([again.id, again.webhook_id, again.duplicate], [first.id, scene.webhook.id, true]);
  await assertSentOnce(scene, first);
  const [next] = await acceptEvent(relay, scene.workspace, { type: "policy.violated", data: {} });
  await awaitSettled(relay, scene.workspace, next);
  assert.deepEqual([...other.receiver.receivedIds()], [next.id]);
});

test("an event posted singly and again within an array is sent once", async (t) => {
  const scene = await setUpWebhook(t, relay);
  const first = await acceptForOne(relay, scene.workspace, alert({ event_id: "order-1" }));
  const [again] = await acceptArray(relay, scene.workspace, [alert({ event_id: "order-1", data: { other: true } })]);
  assert.equal(again.event_id, "order-1");
  assert.deepEqual([again.deliveries[0].id, again.deliveries[0].duplicate], [first.id, true]);
  await assertSentOnce(scene, first);
});

test("an event posted within an array and again singly is sent once", async (t) => {
  const scene = await setUpWebhook(t, relay);
  const [
    {
      deliveries: [first],
    },
  ] = await acceptArray(relay, scene.workspace, [alert({ event_id: "order-1" })]);
  const again = await acceptForOne(relay, scene.workspace, alert({ event_id: "order-1" }));
  assert.deepEqual([again.id, again.duplicate], [first.id, true]);
  await assertSentOnce(scene, first);
});

test("within one array the first of an event_id wins", async (t) => {
  const scene = await setUpWebhook(t, relay);
  const event = (version) => alert({ event_id: "order-1", data: { version } });
  const answers = await acceptArray(relay, scene.workspace, [event(1), event(2), event(3)]);
  const entries = answers.map(({ deliveries: [{ id, duplicate }] }) => ({ id, duplicate }));
  const { id } = entries[0];
  assert.deepEqual(entries, [
    { id, duplicate: false },
    { id, duplicate: true },
    { id, duplicate: true },
  ]);
  await assertSentOnce(scene, { id });
  assert.deepEqual(JSON.parse(scene.receiver.attemptsOf(id)[0].text).data, { version: 1 });
});

test("concurrent posts share one delivery", async (t) => {
  const scene = await setUpWebhook(t, relay);
  const answers = await Promise.all(
    Array.from({ length: 10 }, (_, number) =>
      acceptForOne(relay, scene.workspace, alert({ event_id: "order-1", data: { number } })),
    ),
  );
  assert.equal(new Set(answers.map(({ id }) => id)).size, 1);
  assert.equal(answers.filter(({ duplicate }) => !duplicate).length, 1);
  await assertSentOnce(scene, answers[0]);
});

test("a post while the first attempt is in flight does not wait and sends nothing", async (t) => {
  const scene = await setUpWebhook(t, relay, answerInTurn(answerAfter(600), 200));
  const first = await acceptForOne(relay, scene.workspace, alert({ event_id: "order-1" }));
  await eventually(() => scene.receiver.events().length === 1);
  const again = await acceptForOne(relay, scene.workspace, alert({ event_id: "order-1" }));
  assert.deepEqual([again.id, again.status, again.duplicate], [first.id, "pending", true]);
  await assertSentOnce(scene, first);
});

test("a post while a retry is waiting neither speeds it up nor repeats it", async (t) => {
  const { workspace, webhook, receiver } = await setUpWebhook(t, relay, answerInTurn(500, 500, 500, 200));
  const first = await acceptForOne(relay, workspace, alert({ event_id: "order-1" }));
  await eventually(() => receiver.attemptsOf(first.id).length === 3);
  const again = await acceptForOne(relay, workspace, alert({ event_id: "order-1" }));
  assert.deepEqual([again.id, again.duplicate], [first.id, true]);
  const { attempt_count: made } = await awaitSettled(relay, workspace, first);
  assert.equal(made, 4);
  const arrivals = receiver.attemptsOf(first.id).map(({ arrivedAt }) => arrivedAt);
  assert.equal(arrivals.length, 4);
  assert.ok(arrivals[3] - arrivals[2] >= 595, `${arrivals[3] - arrivals[2]} ms before the fourth attempt`);
  assert.equal((await listDeliveries(relay, workspace, webhook.id, { kind: "event" })).length, 1);
});

test("the same event_id in another workspace is another event", async (t) => {
  const scenes = [await setUpWebhook(t, relay), await setUpWebhook(t, relay)];
  const ids = [];
  for (const { workspace, receiver } of scenes) {
    const entry = await acceptForOne(relay, workspace, alert({ event_id: "order-1" }));
    assert.equal(entry.duplicate, false);
    await eventually(() => receiver.attemptsOf(entry.id).length === 1);
    ids.push(entry.id);
  }
  assert.notEqual(ids[0], ids[1]);
});

test("events without event_id are never duplicates of each other", async (t) => {
  const { workspace, receiver } = await setUpWebhook(t, relay);
  const answers = [await postEvent(relay, workspace, alert()), await postEvent(relay, workspace, alert())];
  assert.notEqual(answers[0].body.event_id, answers[1].body.event_id);
  await eventually(() => receiver.receivedIds().size === 2);
});
