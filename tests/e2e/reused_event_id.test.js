// A later post of an event_id reaches only webhooks that the first was for and that lack it; after 24 hours it is new.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { eventually } from "../support/eventually.js";
import { turn } from "../support/hooks.js";
import { createWebhook, createWorkspace, postEvent, startRelay } from "../support/relay.js";
import {
  acceptArray,
  acceptEvent,
  acceptForOne,
  alert,
  answered,
  assertRefused,
  awaitSettled,
  changeWebhook,
  listDeliveries,
  pathOf,
  setUpWebhook,
} from "../support/steps.js";

const HOUR_MS = 3_600_000;
const ALERT = "alert.triggered";
const VIOLATION = "policy.violated";
const WITNESS = "witness";
// The statement with which a webhook's object stores what it accepted.
const ACCEPT = "INSERT INTO segments";

let relay;
before(async () => (relay = await startRelay({ hooks: true })));
after(() => relay?.stop());

/** One post of the event `order-1`, or of another one; the version tells whose data was stored. */
const post = (version, rest = {}) => alert({ event_id: "order-1", data: { version }, ...rest });

/** A post of each of these events. */
const posts = (version, ids) => ids.map((id) => post(version, { event_id: id }));

/** Deliveries of an answer by their webhook, in any order: their ids, and which are duplicates. */
const shown = (deliveries) =>
  Object.fromEntries(deliveries.map(({ webhook_id: webhook, id, duplicate }) => [webhook, { id, duplicate }]));
const asDuplicates = (deliveries) => shown(deliveries.map((delivery) => ({ ...delivery, duplicate: true })));

/** The delivery of an answer that is a scene's. */
const entryOf = ({ webhook }, deliveries) => deliveries.find(({ webhook_id: id }) => id === webhook.id);

/** A webhook's deliveries of an event, newest first. */
async function listOf(eventId, { workspace, webhook }) {
  const listed = await listDeliveries(relay, workspace, webhook.id, { kind: "event" });
  return listed.filter(({ event_id: id }) => id === eventId);
}

/**
 * Asserts for each scene which versions of an event it has stored, newest first, and that it received each once and
 * nothing else of the event. Events of both types are delivered first, so that there was time for what must not come.
 */
async function assertStored(eventId, ...expected) {
  const [[{ workspace }]] = expected;
  const witnesses = await acceptArray(relay, workspace, [
    alert({ data: { version: WITNESS, event: eventId } }),
    { type: VIOLATION, data: { version: WITNESS, event: eventId } },
  ]);
  for (const entry of witnesses.flatMap(({ deliveries }) => deliveries)) await awaitSettled(relay, workspace, entry);
  for (const [{ webhook, receiver }, versions] of expected) {
    const listed = await listOf(eventId, { workspace, webhook });
    const entries = listed.map(({ id }) => ({ id, webhook_id: webhook.id }));
    const stored = await Promise.all(entries.map((entry) => awaitSettled(relay, workspace, entry)));
    assert.deepEqual(
      stored.map(({ status, payload }) => [status, payload.data.version]),
      versions.map((version) => ["delivered", version]),
    );
    for (const { id, payload } of stored)
      assert.deepEqual(
        receiver.attemptsOf(id).map(({ text }) => JSON.parse(text)),
        [payload],
      );
  }
}

/** Asserts that an endpoint received as many events as this, without the witnesses. */
function assertReceived({ receiver }, count) {
  const texts = receiver.events().map(({ text }) => text);
  const events = texts.filter((text) => JSON.parse(text).data.version !== WITNESS);
  assert.equal(events.length, count, `${events}`);
}

/** A webhook for each list of types, in one workspace. */
async function setUpWebhooks(t, ...selections) {
  const workspace = await createWorkspace(relay);
  const scenes = [];
  for (const events of selections) scenes.push(await setUpWebhook(t, relay, undefined, { workspace, events }));
  return scenes;
}

describe("a later post of an event_id", { concurrency: 4 }, () => {
  test("is answered with the deliveries of the first, marked as duplicates, whatever its body", async (t) => {
    const scenes = await setUpWebhooks(t, [ALERT, VIOLATION], [ALERT]);
    const [{ workspace }] = scenes;
    const first = await acceptEvent(relay, workspace, post(1));
    assert.equal(first.length, 2);
    assert.ok(first.every(({ duplicate }) => !duplicate));
    const others = [{}, { timestamp: "2026-01-15T10:30:00Z" }, { type: VIOLATION }, { data: {} }];
    for (const other of [post(1), ...others.map((rest) => post(2, rest))])
      assert.deepEqual(shown(await acceptEvent(relay, workspace, other)), asDuplicates(first));
    await assertStored("order-1", ...scenes.map((scene) => [scene, [1]]));
    for (const scene of scenes) assertReceived(scene, 1);
  });

  test("is not stored with a webhook that selects only its type, and not that of the first", async (t) => {
    const [first, other] = await setUpWebhooks(t, [ALERT], [VIOLATION]);
    const accepted = await acceptEvent(relay, first.workspace, post(1));
    assert.deepEqual(Object.keys(shown(accepted)), [first.webhook.id]);
    const again = await acceptEvent(relay, first.workspace, post(2, { type: VIOLATION }));
    assert.deepEqual(shown(again), asDuplicates(accepted));
    await assertStored("order-1", [first, [1]], [other, []]);
    assertReceived(other, 0);
  });

  test("is not stored with a webhook that was made after the first", async (t) => {
    const [first] = await setUpWebhooks(t, [ALERT, VIOLATION]);
    const { workspace } = first;
    const accepted = await acceptEvent(relay, workspace, post(1));
    const later = await setUpWebhook(t, relay, undefined, { workspace, events: [ALERT, VIOLATION] });
    for (const again of [post(1), post(2), post(3, { type: VIOLATION })])
      assert.deepEqual(shown(await acceptEvent(relay, workspace, again)), asDuplicates(accepted));
    await assertStored("order-1", [first, [1]], [later, []]);
    assertReceived(later, 0);
    assert.equal((await acceptEvent(relay, workspace)).length, 2, "the later one gets no events at all");
  });

  test("is not stored with a webhook that selected the type only after the first", async (t) => {
    const [first, other] = await setUpWebhooks(t, [ALERT], [VIOLATION]);
    const { workspace } = first;
    const accepted = await acceptEvent(relay, workspace, post(1));
    await changeWebhook(relay, other, { events: [ALERT, VIOLATION] });
    for (const again of [post(1), post(2), post(3, { type: VIOLATION })])
      assert.deepEqual(shown(await acceptEvent(relay, workspace, again)), asDuplicates(accepted));
    await assertStored("order-1", [first, [1]], [other, []]);
    assertReceived(other, 0);
    assert.equal((await acceptEvent(relay, workspace)).length, 2, "the other one gets no events at all");
  });

  test("is not stored with a new webhook at the URL of one that was deleted", async (t) => {
    const [kept, deleted] = await setUpWebhooks(t, [ALERT], [ALERT]);
    const { workspace } = kept;
    const accepted = await acceptEvent(relay, workspace, post(1));
    await awaitSettled(relay, workspace, entryOf(deleted, accepted));
    answered(await relay.fetch(pathOf(deleted), { method: "DELETE" }), 204);
    const webhook = await createWebhook(relay, workspace, { url: deleted.receiver.url, events: [ALERT] });
    const again = await acceptEvent(relay, workspace, post(2));
    assert.deepEqual(shown(again), asDuplicates([entryOf(kept, accepted)]));
    await assertStored("order-1", [kept, [1]], [{ ...deleted, webhook }, []]);
    assertReceived(deleted, 1);
  });
});

test("an event that no webhook matched is not remembered", async (t) => {
  const [other] = await setUpWebhooks(t, [VIOLATION]);
  const { workspace } = other;
  assert.deepEqual(await acceptEvent(relay, workspace, post(1)), []);
  const scene = await setUpWebhook(t, relay, undefined, { workspace, events: [ALERT] });
  const { webhook_id: accepted, duplicate } = await acceptForOne(relay, workspace, post(2));
  assert.deepEqual([accepted, duplicate], [scene.webhook.id, false]);
  await assertStored("order-1", [scene, [2]], [other, []]);
});

describe("a later post of an event that was not stored everywhere", () => {
  /** Two webhooks, one of which could not store what was posted. */
  async function leaveOut(t, posted) {
    const scenes = await setUpWebhooks(t, [ALERT], [ALERT]);
    const [{ workspace }] = scenes;
    t.after(() => turn(relay));
    await turn(relay, { fault: { statement: ACCEPT, times: 1 } });
    const refused = await postEvent(relay, workspace, posted);
    assertRefused(refused, 503, { code: "not_stored" });
    await turn(relay);
    const [[has, lacks], kept] = await eventually(async () => {
      const [[first], [second]] = [await listOf("order-1", scenes[0]), await listOf("order-1", scenes[1])];
      assert.ok((first === undefined) !== (second === undefined), "not one of the two has stored it");
      return first ? [scenes, first] : [scenes.toReversed(), second];
    });
    return { workspace, has, lacks, kept: { ...kept, webhook_id: has.webhook.id }, refused: refused.body };
  }

  test("is stored where the first was not, with its own data, and changes nothing elsewhere", async (t) => {
    const { workspace, has, lacks, kept, refused } = await leaveOut(t, post(1));
    assert.equal(refused.event_id, "order-1");
    const again = await acceptEvent(relay, workspace, post(2));
    assert.equal(again.length, 2);
    assert.deepEqual(shown([entryOf(has, again)]), asDuplicates([kept]));
    assert.equal(entryOf(lacks, again).duplicate, false);
    assert.deepEqual(shown(await acceptEvent(relay, workspace, post(3))), asDuplicates(again));
    await assertStored("order-1", [has, [1]], [lacks, [2]]);
    for (const scene of [has, lacks]) assertReceived(scene, 1);
  });

  test("is not stored with a webhook that was made in between", async (t) => {
    const { workspace, has, lacks } = await leaveOut(t, post(1));
    const later = await setUpWebhook(t, relay, undefined, { workspace, events: [ALERT] });
    const again = await acceptEvent(relay, workspace, post(2));
    assert.deepEqual(again.map(({ webhook_id: id }) => id).sort(), [has.webhook.id, lacks.webhook.id].sort());
    assert.deepEqual([entryOf(has, again).duplicate, entryOf(lacks, again).duplicate], [true, false]);
    await assertStored("order-1", [has, [1]], [lacks, [2]], [later, []]);
    assertReceived(later, 0);
  });

  test("in an array is stored where it is missing, beside what is new", async (t) => {
    const ids = ["order-1", "order-2", "order-3"];
    const { workspace, has, lacks, refused } = await leaveOut(t, posts(1, ids.slice(0, 2)));
    assert.deepEqual(refused.event_ids, ids.slice(0, 2));
    const answers = await acceptArray(relay, workspace, posts(2, ids));
    const duplicatesOf = (scene) => answers.map(({ deliveries }) => entryOf(scene, deliveries).duplicate);
    assert.deepEqual(duplicatesOf(has), [true, true, false]);
    assert.deepEqual(duplicatesOf(lacks), [false, false, false]);
    for (const [index, id] of ids.entries()) await assertStored(id, [has, [index === 2 ? 2 : 1]], [lacks, [2]]);
    for (const scene of [has, lacks]) assertReceived(scene, 3);
  });
});

describe("in an array,", { concurrency: 2 }, () => {
  test("the first of an event_id wins, also over one of a type that another webhook selected", async (t) => {
    const [first, other] = await setUpWebhooks(t, [ALERT], [VIOLATION]);
    const { workspace } = first;
    const answers = await acceptArray(relay, workspace, [post(1), post(2, { type: VIOLATION }), post(3)]);
    const [accepted, ...again] = answers.map(({ deliveries }) => deliveries);
    assert.deepEqual([accepted.length, accepted[0].duplicate], [1, false]);
    for (const deliveries of again) assert.deepEqual(shown(deliveries), asDuplicates(accepted));
    await assertStored("order-1", [first, [1]], [other, []]);
  });

  test("what is posted again reaches no later webhook, and what is new reaches all", async (t) => {
    const [first] = await setUpWebhooks(t, [ALERT]);
    const { workspace } = first;
    const accepted = await acceptArray(relay, workspace, posts(1, ["order-1", "order-2"]));
    const later = await setUpWebhook(t, relay, undefined, { workspace, events: [ALERT] });
    const [second, third, one] = await acceptArray(relay, workspace, posts(2, ["order-2", "order-3", "order-1"]));
    assert.deepEqual(shown(one.deliveries), asDuplicates(accepted[0].deliveries));
    assert.deepEqual(shown(second.deliveries), asDuplicates(accepted[1].deliveries));
    assert.deepEqual([third.deliveries.length, third.deliveries.some(({ duplicate }) => duplicate)], [2, false]);
    for (const id of ["order-1", "order-2"]) await assertStored(id, [first, [1]], [later, []]);
    await assertStored("order-3", [first, [2]], [later, [2]]);
    assertReceived(first, 3);
    assertReceived(later, 1);
  });
});

test("after 23 hours a later post is a duplicate, and after 25 hours a new event for all webhooks", async (t) => {
  const [first] = await setUpWebhooks(t, [ALERT]);
  const { workspace } = first;
  const accepted = await acceptForOne(relay, workspace, post(1));
  await awaitSettled(relay, workspace, accepted);
  const later = await setUpWebhook(t, relay, undefined, { workspace, events: [ALERT] });
  t.after(() => turn(relay));
  await turn(relay, { skew_ms: 23 * HOUR_MS });
  assert.deepEqual(shown(await acceptEvent(relay, workspace, post(2))), asDuplicates([accepted]));
  await turn(relay, { skew_ms: 25 * HOUR_MS });
  const anew = await acceptEvent(relay, workspace, post(3));
  assert.deepEqual([anew.length, anew.some(({ duplicate }) => duplicate)], [2, false]);
  assert.notEqual(entryOf(first, anew).id, accepted.id);
  await assertStored("order-1", [first, [3, 1]], [later, [3]]);
});
