// Sending now, one delivery or many, and what ends the wait that an endpoint asked for with 429 and Retry-After.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { eventually } from "../support/eventually.js";
import { answerInTurn, answerWith } from "../support/receiver.js";
import { startRelay } from "../support/relay.js";
import {
  acceptArray,
  acceptEvent,
  acceptForOne,
  alert,
  answered,
  assertRefused,
  awaitDelivery,
  awaitResend,
  awaitSettled,
  changeWebhook,
  pathOf,
  readDelivery,
  setUpWebhook,
  startResend,
} from "../support/steps.js";

const HOUR_MS = 3_600_000;
// The relay's clock counts whole milliseconds, the test's clock does not.
const CLOCK_MS = 5;

let relay;
// An attempt under way stays so while a test looks at it.
before(async () => (relay = await startRelay({ vars: { ATTEMPT_TIMEOUT: "10s" } })));
after(() => relay?.stop());

const sendNow = (scene, { id }) => relay.fetch(pathOf(scene, `/deliveries/${id}/send-now`), { method: "POST" });
const failed = (times) => (delivery) => delivery.attempt_count === times && delivery.next_attempt_at !== null;
const awaitFailures = (scene, entry, times = 1) => awaitDelivery(relay, scene.workspace, entry, failed(times));

/** Makes an attempt that nothing holds back: whatever the webhook would have sent before has been sent by then. */
const sendTest = async (scene) =>
  answered(await relay.fetch(pathOf(scene, "/test"), { method: "POST", body: { type: "agent.error" } }), 200);

/** When the next attempt is due after the latest one began, in milliseconds. */
const delayOf = ({ next_attempt_at: next, attempts }) => Date.parse(next) - Date.parse(attempts.at(-1).started_at);

describe("sending now", { concurrency: 4 }, () => {
  test("makes an attempt that was hours away at once, and the schedule goes on from there", async (t) => {
    const scene = await setUpWebhook(t, relay, answerWith(500), { retry_schedule: ["1h", "400ms", "2h"] });
    const entry = await acceptForOne(relay, scene.workspace);
    const before = await awaitFailures(scene, entry);
    assert.ok(delayOf(before) >= HOUR_MS - CLOCK_MS);
    const now = answered(await sendNow(scene, entry), 202);
    assert.deepEqual([now.id, now.status, now.attempt_count], [entry.id, "pending", 1]);
    assert.ok(Date.parse(now.next_attempt_at) <= Date.now() + CLOCK_MS);

    const third = await awaitFailures(scene, entry, 3);
    const [, second, last] = scene.receiver.attemptsOf(entry.id).map(({ arrivedAt }) => arrivedAt);
    assert.ok(last - second >= 400 - CLOCK_MS, `${last - second} ms`);
    assert.ok(delayOf(third) >= 2 * HOUR_MS - CLOCK_MS);
  });

  test("is refused while an attempt is under way", async (t) => {
    const open = [];
    const scene = await setUpWebhook(t, relay, () => (response) => open.push(response));
    const entry = await acceptForOne(relay, scene.workspace);
    await eventually(() => scene.receiver.attemptsOf(entry.id).length === 1);
    assertRefused(await sendNow(scene, entry), 409, { code: "attempt_under_way" });
    for (const response of open) response.writeHead(200).end();
    await awaitSettled(relay, scene.workspace, entry);
    assert.equal(scene.receiver.attemptsOf(entry.id).length, 1);
  });

  test("is refused if the delivery has ended, of an event, a ping or a test", async (t) => {
    const scene = await setUpWebhook(t, relay);
    const entry = await acceptForOne(relay, scene.workspace);
    await awaitSettled(relay, scene.workspace, entry);
    for (const ended of [entry, scene.webhook.ping, await sendTest(scene)])
      assertRefused(await sendNow(scene, ended), 409, { code: "already_settled" });
  });

  test("is refused while the webhook is disabled, and sends what was held once it is enabled", async (t) => {
    const scene = await setUpWebhook(t, relay);
    await changeWebhook(relay, scene, { status: "disabled" });
    const entry = await acceptForOne(relay, scene.workspace);
    assertRefused(await sendNow(scene, entry), 409, { code: "webhook_disabled" });
    await changeWebhook(relay, scene, { status: "enabled" });
    assert.equal((await readDelivery(relay, scene.workspace, entry)).status, "held");
    assert.equal(answered(await sendNow(scene, entry), 202).status, "pending");
    const { status, attempt_count: made } = await awaitSettled(relay, scene.workspace, entry);
    assert.deepEqual([status, made], ["delivered", 1]);
  });

  test("waits in a paused webhook", async (t) => {
    const scene = await setUpWebhook(t, relay, answerWith(500), { retry_schedule: ["1h", "1h"] });
    const entry = await acceptForOne(relay, scene.workspace);
    await awaitFailures(scene, entry);
    await changeWebhook(relay, scene, { status: "paused" });
    answered(await sendNow(scene, entry), 202);
    await sendTest(scene);
    assert.equal(scene.receiver.attemptsOf(entry.id).length, 1);
    await changeWebhook(relay, scene, { status: "enabled" });
    await awaitFailures(scene, entry, 2);
  });
});

describe("a bulk resend of pending deliveries", { concurrency: 4 }, () => {
  test("sends each at once, however far its retry is away", async (t) => {
    let works = false;
    const scene = await setUpWebhook(t, relay, () => ({ status: works ? 200 : 500 }), { retry_schedule: ["1h", "1h"] });
    const accepted = await acceptArray(relay, scene.workspace, Array(30).fill(alert()));
    const entries = accepted.map(({ deliveries: [entry] }) => entry);
    for (const entry of entries) await awaitFailures(scene, entry);
    works = true;
    const none = await startResend(relay, scene, { status: "pending", until: "2026-01-01T00:00:00Z" });
    assert.deepEqual([none.status, none.total], ["finished", 0]);
    const job = await startResend(relay, scene, { status: "pending" });
    assert.equal(job.total, 30);
    const ended = await awaitResend(relay, scene, job);
    assert.deepEqual([ended.status, ended.done, ended.delivered], ["finished", 30, 30]);
    for (const entry of entries) {
      const { status, attempt_count: made } = await readDelivery(relay, scene.workspace, entry);
      assert.deepEqual([status, made], ["delivered", 2]);
    }
  });

  test("leaves the schedule as it is: what fails again waits for the next step", async (t) => {
    const scene = await setUpWebhook(t, relay, answerWith(500), { retry_schedule: ["1h", "5h"] });
    const entry = await acceptForOne(relay, scene.workspace);
    await awaitFailures(scene, entry);
    const ended = await awaitResend(relay, scene, await startResend(relay, scene, { status: "pending" }));
    assert.deepEqual([ended.done, ended.delivered], [1, 0]);
    assert.ok(delayOf(await awaitFailures(scene, entry, 2)) >= 5 * HOUR_MS - CLOCK_MS);
  });
});

describe("Retry-After", { concurrency: 4 }, () => {
  /** A webhook whose endpoint answered its first event like this, and then works; and another that gets the same. */
  async function answerFirst(t, status, retryAfter) {
    const answer = answerInTurn(answerWith(status, { "retry-after": retryAfter }), 200);
    const scene = await setUpWebhook(t, relay, answer, { retry_schedule: ["200ms", "1h"] });
    const first = await acceptForOne(relay, scene.workspace);
    await awaitFailures(scene, first);
    return { ...scene, first, control: await setUpWebhook(t, relay, undefined, { workspace: scene.workspace }) };
  }

  /** Posts an event, and returns the delivery to the webhook once the other one has got its own. */
  async function postAnother({ workspace, webhook, control }) {
    const entries = await acceptEvent(relay, workspace);
    const of = ({ id }) => entries.find((entry) => entry.webhook_id === id);
    await awaitSettled(relay, workspace, of(control.webhook));
    return of(webhook);
  }

  test("of a 429 holds the other events of the webhook back, and sending one now ends that", async (t) => {
    const scene = await answerFirst(t, 429, "3600");
    const others = [await postAnother(scene), await postAnother(scene)];
    await sendTest(scene);
    for (const other of others) {
      assert.equal(scene.receiver.attemptsOf(other.id).length, 0, "the endpoint asked to be left alone");
      assert.equal((await readDelivery(relay, scene.workspace, other)).status, "pending");
    }
    answered(await sendNow(scene, scene.first), 202);
    for (const entry of [scene.first, ...others])
      assert.equal((await awaitSettled(relay, scene.workspace, entry)).status, "delivered");
  });

  test("of a 429 is over when it says so", async (t) => {
    const scene = await answerFirst(t, 429, "2");
    const [{ arrivedAt: asked }] = scene.receiver.attemptsOf(scene.first.id);
    const other = await postAnother(scene);
    await awaitSettled(relay, scene.workspace, other);
    const [{ arrivedAt: sent }] = scene.receiver.attemptsOf(other.id);
    assert.ok(sent - asked >= 2_000 - CLOCK_MS, `${sent - asked} ms`);
  });

  test("of a 429 does not hold back what is sent to another URL", async (t) => {
    const scene = await answerFirst(t, 429, "3600");
    const other = await postAnother(scene);
    await changeWebhook(relay, scene, { url: `${scene.receiver.origin}/moved` });
    assert.equal((await awaitSettled(relay, scene.workspace, other)).status, "delivered");
  });

  test("of a 429 is ended by a bulk resend of what is pending", async (t) => {
    const scene = await answerFirst(t, 429, "3600");
    const other = await postAnother(scene);
    await startResend(relay, scene, { status: "pending" });
    for (const entry of [scene.first, other])
      assert.equal((await awaitSettled(relay, scene.workspace, entry)).status, "delivered");
  });

  test("of a 503 holds back its own delivery alone", async (t) => {
    const scene = await answerFirst(t, 503, "3600");
    const other = await postAnother(scene);
    assert.equal((await awaitSettled(relay, scene.workspace, other)).status, "delivered");
    const first = await readDelivery(relay, scene.workspace, scene.first);
    assert.deepEqual([first.status, first.attempt_count], ["pending", 1]);
    assert.ok(delayOf(first) >= HOUR_MS - CLOCK_MS);
  });
});
