// Cancelling: no further attempt is made, and one already in flight may still arrive.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { eventually } from "../support/eventually.js";
import { answerWith } from "../support/receiver.js";
import { startRelay } from "../support/relay.js";
import {
  acceptForOne,
  alert,
  answered,
  assertRefused,
  awaitDelivery,
  awaitSettled,
  changeWebhook,
  pathOf,
  readDelivery,
  setUpWebhook,
} from "../support/steps.js";

let relay;
before(async () => (relay = await startRelay()));
after(() => relay?.stop());

const cancel = (scene, { id }) => relay.fetch(pathOf(scene, `/deliveries/${id}/cancel`), { method: "POST" });

function assertCancelled({ status, reason, next_attempt_at: next }) {
  assert.deepEqual([status, reason, next], ["failed", "cancelled", null]);
}

/** An endpoint whose answer to an event's first attempt waits until `release(status)`; later ones are answered 500. */
function answerLater() {
  /** @type {(status: number) => void} */
  let release;
  const released = new Promise((resolve) => (release = resolve));
  const answer = (_request, number) =>
    number === 1 ? (response) => released.then((status) => response.writeHead(status).end()) : { status: 500 };
  return { answer, release };
}

describe("a cancelled delivery", () => {
  test("that was waiting for its retry ends as failed and is not tried again", async (t) => {
    const scene = await setUpWebhook(t, relay, answerWith(500));
    const entry = await acceptForOne(relay, scene.workspace);
    await awaitDelivery(relay, scene.workspace, entry, ({ attempts }) => attempts.length > 0);
    assertCancelled(answered(await cancel(scene, entry), 200));
    const made = scene.receiver.attemptsOf(entry.id).length;
    // Alarms run for as long as the whole schedule of the cancelled delivery would have lasted.
    await awaitSettled(relay, scene.workspace, await acceptForOne(relay, scene.workspace));
    const delivery = await readDelivery(relay, scene.workspace, entry);
    assertCancelled(delivery);
    // An attempt may have been in flight when it was cancelled.
    assert.ok(scene.receiver.attemptsOf(entry.id).length <= made + 1, "it was tried again");
    assert.ok(delivery.attempts.length >= 1 && delivery.attempts.length <= made + 1);
  });

  test("that was held ends as failed without an attempt", async (t) => {
    const scene = await setUpWebhook(t, relay);
    await changeWebhook(relay, scene, { status: "disabled" });
    const entry = await acceptForOne(relay, scene.workspace);
    assertCancelled(answered(await cancel(scene, entry), 200));
    await changeWebhook(relay, scene, { status: "enabled" });
    const next = await acceptForOne(relay, scene.workspace);
    await awaitSettled(relay, scene.workspace, next);
    const delivery = await readDelivery(relay, scene.workspace, entry);
    assertCancelled(delivery);
    assert.deepEqual([delivery.attempt_count, delivery.attempts], [0, []]);
    assert.deepEqual([...scene.receiver.receivedIds()], [next.id]);
  });

  test("stays so after a restart", async (t) => {
    const scene = await setUpWebhook(t, relay, answerWith(500));
    const entry = await acceptForOne(relay, scene.workspace);
    await awaitDelivery(relay, scene.workspace, entry, ({ attempts }) => attempts.length > 0);
    answered(await cancel(scene, entry), 200);
    await relay.restart();
    await awaitSettled(relay, scene.workspace, await acceptForOne(relay, scene.workspace));
    assertCancelled(await readDelivery(relay, scene.workspace, entry));
  });

  test("can be resent", async (t) => {
    let healthy = false;
    const scene = await setUpWebhook(t, relay, () => ({ status: healthy ? 200 : 500 }));
    const entry = await acceptForOne(relay, scene.workspace);
    await awaitDelivery(relay, scene.workspace, entry, ({ attempts }) => attempts.length > 0);
    answered(await cancel(scene, entry), 200);
    healthy = true;
    answered(await relay.fetch(pathOf(scene, `/deliveries/${entry.id}/resend`), { method: "POST" }), 202);
    const { status, reason } = await awaitSettled(relay, scene.workspace, entry);
    assert.deepEqual([status, reason], ["delivered", null]);
  });
});

describe("an attempt in flight when its delivery is cancelled", () => {
  /** @param {import("node:test").TestContext} t */
  async function cancelInFlight(t) {
    const { answer, release } = answerLater();
    const scene = await setUpWebhook(t, relay, answer);
    const entry = await acceptForOne(relay, scene.workspace);
    await eventually(() => scene.receiver.attemptsOf(entry.id).length === 1);
    answered(await cancel(scene, entry), 200);
    return { scene, entry, release };
  }

  test("makes it delivered if it succeeds", async (t) => {
    const { scene, entry, release } = await cancelInFlight(t);
    release(200);
    const delivered = ({ status }) => status === "delivered";
    const delivery = await awaitDelivery(relay, scene.workspace, entry, delivered);
    assert.deepEqual([delivery.reason, delivery.attempt_count], [null, 1]);
    assert.equal(delivery.attempts[0].outcome, "succeeded");
  });

  test("leaves it cancelled if it fails, and is not repeated", async (t) => {
    const { scene, entry, release } = await cancelInFlight(t);
    release(500);
    await awaitSettled(
      relay,
      scene.workspace,
      await acceptForOne(relay, scene.workspace, alert({ type: "agent.error" })),
    );
    assertCancelled(await readDelivery(relay, scene.workspace, entry));
    assert.equal(scene.receiver.attemptsOf(entry.id).length, 1);
  });
});

describe("a delivery cannot be cancelled", () => {
  test("if it is already delivered, failed or cancelled", async (t) => {
    let status = 200;
    const scene = await setUpWebhook(t, relay, () => ({ status }));
    const delivered = await acceptForOne(relay, scene.workspace);
    await awaitSettled(relay, scene.workspace, delivered);
    status = 500;
    const failed = await acceptForOne(relay, scene.workspace);
    await awaitSettled(relay, scene.workspace, failed);
    const cancelled = await acceptForOne(relay, scene.workspace);
    await awaitDelivery(relay, scene.workspace, cancelled, ({ attempts }) => attempts.length > 0);
    answered(await cancel(scene, cancelled), 200);
    for (const entry of [delivered, failed, cancelled]) {
      const before = await readDelivery(relay, scene.workspace, entry);
      assertRefused(await cancel(scene, entry), 409, { code: "already_settled" });
      assert.deepEqual(await readDelivery(relay, scene.workspace, entry), before);
    }
  });
});
