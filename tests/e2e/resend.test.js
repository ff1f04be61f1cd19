// Resending one delivery: the same id and payload, continuing attempt numbers, and a schedule that starts again.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { answerWith, hang } from "../support/receiver.js";
import { startRelay } from "../support/relay.js";
import {
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

// Short, so that a schedule ends soon, and growing, so that a restarted schedule differs from a continued one.
const SCHEDULE_MS = [50, 100, 150, 200, 700];

let relay;
before(
  async () =>
    (relay = await startRelay({ vars: { RETRY_SCHEDULE: SCHEDULE_MS.map((step) => `${step}ms`).join(",") } })),
);
after(() => relay?.stop());

const resend = (scene, { id }) => relay.fetch(pathOf(scene, `/deliveries/${id}/resend`), { method: "POST" });

/** A webhook whose endpoint answers with the current `endpoint.status`. */
async function setUpSwitched(t, status, options) {
  const endpoint = { status };
  const scene = await setUpWebhook(t, relay, () => ({ status: endpoint.status }), options);
  return { ...scene, endpoint };
}

async function acceptSettled(scene, event) {
  const entry = await acceptForOne(relay, scene.workspace, event);
  return awaitSettled(relay, scene.workspace, entry);
}

describe("a resent delivery", () => {
  test("that was delivered is sent again with the same id and the same bytes", async (t) => {
    const scene = await setUpSwitched(t, 200);
    const first = await acceptSettled(scene, alert({ event_id: "order-1", data: { number: 1.0, text: "é" } }));
    const answer = answered(await resend(scene, first), 202);
    assert.deepEqual([answer.id, answer.webhook_id, answer.event_id], [first.id, scene.webhook.id, "order-1"]);
    const again = await awaitDelivery(relay, scene.workspace, first, ({ attempts }) => attempts.length === 2);
    assert.deepEqual([again.status, again.reason, again.attempt_count], ["delivered", null, 2]);
    assert.deepEqual(
      again.attempts.map(({ attempt, outcome }) => [attempt, outcome]),
      [
        [1, "succeeded"],
        [2, "succeeded"],
      ],
    );
    assert.deepEqual([again.payload, again.created_at], [first.payload, first.created_at]);
    const [one, two] = scene.receiver.attemptsOf(first.id);
    assert.ok(one.body.equals(two.body), "the bytes differ");
    assert.deepEqual([one.headers["x-secureagentics-attempt"], two.headers["x-secureagentics-attempt"]], ["1", "2"]);
    const listed = await listDeliveries(relay, scene.workspace, scene.webhook.id, { kind: "event" });
    assert.deepEqual(
      listed.map(({ id }) => id),
      [first.id],
      "a resend is no further delivery",
    );
  });

  test("that failed has six more attempts, with continued numbers, at the delays of the schedule", async (t) => {
    const scene = await setUpSwitched(t, 500);
    const failed = await acceptSettled(scene);
    assert.deepEqual([failed.reason, failed.attempt_count], ["schedule_spent", 6]);
    const answer = answered(await resend(scene, failed), 202);
    assert.deepEqual([answer.status, answer.reason], ["pending", null]);
    const again = await awaitSettled(relay, scene.workspace, failed);
    assert.deepEqual([again.status, again.reason, again.attempt_count], ["failed", "schedule_spent", 12]);
    assert.deepEqual(
      again.attempts.map(({ attempt }) => attempt),
      Array.from({ length: 12 }, (_, index) => index + 1),
    );
    const arrivals = scene.receiver
      .attemptsOf(failed.id)
      .slice(6)
      .map(({ arrivedAt }) => arrivedAt);
    SCHEDULE_MS.forEach((step, index) => {
      const gap = arrivals[index + 1] - arrivals[index];
      assert.ok(gap >= step - 5, `${gap} ms before attempt ${index + 8}, scheduled were ${step}`);
    });
    // If the old schedule continued, every step would be the longest.
    assert.ok(
      arrivals[1] - arrivals[0] < SCHEDULE_MS.at(-1),
      `${arrivals[1] - arrivals[0]} ms after the resend's first attempt`,
    );
  });

  test("that failed is delivered once the endpoint has recovered", async (t) => {
    const scene = await setUpSwitched(t, 500);
    const failed = await acceptSettled(scene);
    scene.endpoint.status = 200;
    answered(await resend(scene, failed), 202);
    const again = await awaitSettled(relay, scene.workspace, failed);
    assert.deepEqual(
      [again.status, again.reason, again.attempt_count, again.next_attempt_at],
      ["delivered", null, 7, null],
    );
  });

  test("that was delivered and then fails ends as failed, and keeps its earlier attempts", async (t) => {
    const scene = await setUpSwitched(t, 200);
    const first = await acceptSettled(scene);
    scene.endpoint.status = 500;
    answered(await resend(scene, first), 202);
    const again = await awaitDelivery(relay, scene.workspace, first, ({ status }) => status === "failed");
    assert.equal(again.attempt_count, 7);
    assert.equal(again.attempts[0].outcome, "succeeded");
  });

  test("can be resent repeatedly", async (t) => {
    const scene = await setUpSwitched(t, 200);
    const first = await acceptSettled(scene);
    for (let count = 2; count <= 4; count++) {
      answered(await resend(scene, first), 202);
      await awaitDelivery(
        relay,
        scene.workspace,
        first,
        ({ status, attempts }) => status === "delivered" && attempts.length === count,
      );
    }
    assert.equal(scene.receiver.attemptsOf(first.id).length, 4);
  });

  test("is sent with the current settings: the new secret and the new url", async (t) => {
    const scene = await setUpSwitched(t, 200, { secret: "the-old-secret" });
    const elsewhere = await setUpWebhook(t, relay);
    const first = await acceptSettled(scene);
    answered(
      await relay.fetch(pathOf(scene, "/secret/rotate"), {
        method: "POST",
        body: { secret: "the-new-secret", overlap_seconds: 0 },
      }),
      200,
    );
    await changeWebhook(relay, scene, { url: elsewhere.receiver.url });
    answered(await resend(scene, first), 202);
    await awaitDelivery(
      relay,
      scene.workspace,
      first,
      ({ status, attempts }) => status === "delivered" && attempts.length === 2,
    );
    const [old] = scene.receiver.attemptsOf(first.id);
    const [fresh] = elsewhere.receiver.attemptsOf(first.id);
    assert.ok(fresh.body.equals(old.body), "the bytes differ");
    assert.notEqual(fresh.headers["x-secureagentics-signature"], old.headers["x-secureagentics-signature"]);
  });
});

describe("a resend is refused", () => {
  test("while the delivery is pending", async (t) => {
    const scene = await setUpWebhook(t, relay, hang);
    const entry = await acceptForOne(relay, scene.workspace);
    assertRefused(await resend(scene, entry), 409, { code: "already_pending" });
  });

  test("to the second of two at once", async (t) => {
    const scene = await setUpWebhook(t, relay, (_request, number) => (number === 1 ? { status: 200 } : () => {}));
    const first = await acceptSettled(scene);
    const answers = await Promise.all([resend(scene, first), resend(scene, first), resend(scene, first)]);
    assert.deepEqual(answers.map(({ status }) => status).sort(), [202, 409, 409]);
    for (const answer of answers.filter(({ status }) => status === 409))
      assertRefused(answer, 409, { code: "already_pending" });
  });

  test("while the webhook is disabled, and nothing is sent", async (t) => {
    const scene = await setUpSwitched(t, 200);
    const first = await acceptSettled(scene);
    await changeWebhook(relay, scene, { status: "disabled" });
    const held = await acceptForOne(relay, scene.workspace);
    for (const entry of [first, held]) {
      const before = await readDelivery(relay, scene.workspace, entry);
      assertRefused(await resend(scene, entry), 409, { code: "webhook_disabled" });
      assert.deepEqual(await readDelivery(relay, scene.workspace, entry), before);
    }
    assert.equal(scene.receiver.events().length, 1);
  });

  test("for a ping that failed", async (t) => {
    const scene = await setUpWebhook(t, relay, undefined, { ping: answerWith(500) });
    assertRefused(await resend(scene, scene.webhook.ping), 409, { code: "not_resendable" });
  });
});
