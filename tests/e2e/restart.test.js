// Every accepted event arrives, even if the relay is killed at any moment.
//
// SIGKILL to the whole process group, workerd included: nothing can be written any more.
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import { eventually } from "../support/eventually.js";
import { answerAfter, answerInTurn, answerWith } from "../support/receiver.js";
import { postEvent, startRelayProcess } from "../support/relay.js";
import { acceptForOne, alert, awaitDelivery, awaitSettled, listDeliveries, setUpWebhook } from "../support/steps.js";

// A lease that died with its Worker ends ATTEMPT_TIMEOUT + 5 s after it was granted.
const RECOVERY_MS = 30_000;
const PRODUCERS = 4;
const MOST_EVENTS_OF_A_PRODUCER = 100;
const KILLED_AFTER = 60;

/** Starts a relay whose storage outlives it; `again()` starts another on the same storage. */
async function startDurable(t) {
  const persist = await mkdtemp(path.join(tmpdir(), "relay-restart-"));
  const started = [];
  t.after(async () => {
    for (const relay of started) await relay.stop();
    await rm(persist, { recursive: true, force: true });
  });
  const again = async () => {
    const relay = await startRelayProcess({ persist });
    started.push(relay);
    return relay;
  };
  return { relay: await again(), again };
}

/** Posts events one by one until the relay is gone, and adds the ids of the accepted deliveries. */
async function produce(relay, workspace, accepted) {
  for (let count = 0; count < MOST_EVENTS_OF_A_PRODUCER; count++) {
    try {
      const { status, body } = await postEvent(relay, workspace, alert());
      if (status === 202) accepted.push(body.deliveries[0].id);
    } catch {
      // The relay was killed during this request, so nothing was promised.
      return;
    }
  }
}

const ENDPOINTS = {
  "answers at once": answerWith(200),
  "takes 300 ms": answerAfter(300),
  "fails at first": answerInTurn(...Array(40).fill(500), 200),
};
for (const [endpoint, answer] of Object.entries(ENDPOINTS)) {
  test(`a relay killed under load delivers all that it accepted to an endpoint that ${endpoint}`, {
    timeout: 120_000,
  }, async (t) => {
    const { relay, again } = await startDurable(t);
    const { workspace, webhook, receiver } = await setUpWebhook(t, relay, answer);
    const accepted = [];
    const producers = Array.from({ length: PRODUCERS }, () => produce(relay, workspace, accepted));
    await eventually(() => accepted.length >= KILLED_AFTER, { timeout: RECOVERY_MS });
    await relay.kill();
    await Promise.all(producers);
    assert.ok(
      accepted.length < PRODUCERS * MOST_EVENTS_OF_A_PRODUCER,
      "all was accepted before the kill: this proved little",
    );

    const revived = await again();
    await eventually(
      () => {
        const missing = accepted.filter((id) => !receiver.receivedIds().has(id));
        assert.deepEqual(missing, [], `${missing.length} of ${accepted.length} accepted deliveries have not arrived`);
        return true;
      },
      { timeout: RECOVERY_MS },
    );
    await eventually(
      async () => {
        const delivered = new Set(
          (await listDeliveries(revived, workspace, webhook.id, { status: "delivered" })).map(({ id }) => id),
        );
        assert.deepEqual(
          accepted.filter((id) => !delivered.has(id)),
          [],
          "these arrived and are not marked as delivered",
        );
        return true;
      },
      { timeout: RECOVERY_MS },
    );
    t.diagnostic(`${accepted.length} accepted before the kill, ${receiver.events().length} requests made for them`);
  });
}

test("a delivery in the middle of its schedule continues where it was", { timeout: 60_000 }, async (t) => {
  const { relay, again } = await startDurable(t);
  const { workspace, receiver } = await setUpWebhook(t, relay, answerInTurn(500, 500, 200));
  const entry = await acceptForOne(relay, workspace);
  await awaitDelivery(relay, workspace, entry, ({ attempts }) => attempts.length === 2);
  await relay.kill();
  const delivery = await awaitSettled(await again(), workspace, entry, { timeout: RECOVERY_MS });
  assert.equal(delivery.status, "delivered");
  assert.deepEqual(
    delivery.attempts.map(({ attempt, response_status }) => [attempt, response_status]),
    [
      [1, 500],
      [2, 500],
      [3, 200],
    ],
  );
  const bodies = receiver.attemptsOf(entry.id).map(({ text }) => text);
  assert.equal(new Set(bodies).size, 1, "the payload changed over the restart");
});

test("an event_id is still known after the restart", { timeout: 60_000 }, async (t) => {
  const { relay, again } = await startDurable(t);
  const { workspace, receiver } = await setUpWebhook(t, relay);
  const first = await acceptForOne(relay, workspace, alert({ event_id: "order-1" }));
  await awaitSettled(relay, workspace, first);
  await relay.kill();
  const revived = await again();
  const second = await acceptForOne(revived, workspace, alert({ event_id: "order-1" }));
  assert.deepEqual([second.id, second.status, second.duplicate], [first.id, "delivered", true]);
  assert.equal(receiver.attemptsOf(first.id).length, 1);
});
