// The pace that an owner sets: order, rate limit, own retry schedule, pausing; and how late a webhook is.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { eventually } from "../support/eventually.js";
import { answerWith, hang } from "../support/receiver.js";
import { startRelay } from "../support/relay.js";
import {
  ISO_MILLISECONDS,
  acceptArray,
  acceptEvent,
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

// The relay's clock counts whole milliseconds, the test's clock does not.
const CLOCK_MS = 5;
const NO_PACE = { ordered: false, rate_limit: null, retry_schedule: null };

let relay;
before(async () => (relay = await startRelay()));
after(() => relay?.stop());

const paceOf = ({ ordered, rate_limit, retry_schedule }) => ({ ordered, rate_limit, retry_schedule });
const read = async (scene, below = "", of = relay) => answered(await of.fetch(pathOf(scene, below)), 200);
const post = (scene, below, body = undefined, of = relay) =>
  of.fetch(pathOf(scene, below), { method: "POST", ...(body === undefined ? {} : { body }) });
const failedOnce = ({ attempt_count: made, next_attempt_at: next }) => made === 1 && next !== null;

/** Makes an attempt that no pace holds back: whatever the webhook would have sent before has been sent by then. */
async function sendTest(scene, of = relay) {
  const { attempts } = answered(await post(scene, "/test", { type: "agent.error" }, of), 200);
  assert.equal(attempts.length, 1);
}

const gapsOf = (receiver, id) => {
  const arrivals = receiver.attemptsOf(id).map(({ arrivedAt }) => arrivedAt);
  return arrivals.slice(1).map((arrival, index) => arrival - arrivals[index]);
};

describe("the members of the pace", { concurrency: 4 }, () => {
  const pace = { ordered: true, rate_limit: { per_second: 0.25 }, retry_schedule: ["60s", "2h"] };

  test("are answered as they were posted, wherever a webhook is", async (t) => {
    const scene = await setUpWebhook(t, relay, undefined, pace);
    assert.deepEqual(paceOf(scene.webhook), pace);
    assert.deepEqual(paceOf(await read(scene)), pace);
    const path = `/v1/workspaces/${scene.workspace}/webhooks`;
    const [listed] = answered(await relay.fetch(path), 200).data;
    assert.deepEqual(paceOf(listed), pace);
    for (const { health } of [listed, scene.webhook]) assert.ok(!("width" in health), "a list asks no object");
  });

  test("are none unless they are given", async (t) => {
    const scene = await setUpWebhook(t, relay);
    assert.deepEqual(paceOf(await read(scene)), NO_PACE);
  });

  test("are changed one by one, and null removes one", async (t) => {
    const scene = await setUpWebhook(t, relay, undefined, pace);
    const change = async (members) => paceOf(await changeWebhook(relay, scene, members));
    assert.deepEqual(await change({ description: "x" }), pace);
    assert.deepEqual(await change({ rate_limit: { per_second: 1000 } }), { ...pace, rate_limit: { per_second: 1000 } });
    assert.deepEqual(await change({ rate_limit: null }), { ...pace, rate_limit: null });
    assert.deepEqual(await change({ ordered: false, retry_schedule: null }), NO_PACE);
    assert.deepEqual(paceOf(await read(scene)), NO_PACE);
  });

  /** @type {import("../support/types.d.ts").Refusals} */
  const refusals = {
    "an order that is no boolean": [{ ordered: "yes" }, 400, "ordered", "invalid_type"],
    "no order": [{ ordered: null }, 400, "ordered", "invalid_type"],
    "a bare rate": [{ rate_limit: 5 }, 400, "rate_limit", "invalid_type"],
    "an empty rate": [{ rate_limit: {} }, 400, "rate_limit.per_second", "missing_field"],
    "a rate of another unit": [{ rate_limit: { per_minute: 5 } }, 400, "rate_limit.per_minute", "unknown_field"],
    "a rate as text": [{ rate_limit: { per_second: "5" } }, 400, "rate_limit.per_second", "invalid_type"],
    "a rate that is too low": [
      { rate_limit: { per_second: 0.09 } },
      422,
      "rate_limit.per_second",
      "invalid_rate_limit",
    ],
    "a rate that is too high": [
      { rate_limit: { per_second: 1000.5 } },
      422,
      "rate_limit.per_second",
      "invalid_rate_limit",
    ],
    "a rate with four decimals": [
      { rate_limit: { per_second: 0.1234 } },
      422,
      "rate_limit.per_second",
      "invalid_rate_limit",
    ],
    "a schedule as text": [{ retry_schedule: "1m,5m" }, 400, "retry_schedule", "invalid_type"],
    "a delay as a number": [{ retry_schedule: [60] }, 400, "retry_schedule", "invalid_type"],
    "an empty schedule": [{ retry_schedule: [] }, 422, "retry_schedule", "invalid_retry_schedule"],
    "21 delays": [{ retry_schedule: Array(21).fill("1m") }, 422, "retry_schedule", "invalid_retry_schedule"],
    "a delay of more than a day": [{ retry_schedule: ["25h"] }, 422, "retry_schedule", "invalid_retry_schedule"],
    "a delay without a unit": [{ retry_schedule: ["60"] }, 422, "retry_schedule", "invalid_retry_schedule"],
    "another status": [{ status: "stopped" }, 422, "status", "invalid_status"],
  };
  for (const [what, [members, status, field, code]] of Object.entries(refusals)) {
    test(`are refused: ${what}`, async (t) => {
      const scene = await setUpWebhook(t, relay);
      assertRefused(await relay.fetch(pathOf(scene), { method: "PATCH", body: members }), status, { code, field });
      if (what !== "another status") {
        const path = `/v1/workspaces/${scene.workspace}/webhooks`;
        const body = { url: scene.receiver.url, events: ["agent.error"], .../** @type {object} */ (members) };
        assertRefused(await relay.fetch(path, { method: "POST", body }), status, { code, field });
      }
      assert.deepEqual(paceOf(await read(scene)), NO_PACE);
    });
  }
});

describe("a paused webhook", { concurrency: 4 }, () => {
  test("accepts events and sends none, makes tests, and sends all when it is enabled again", async (t) => {
    const scene = await setUpWebhook(t, relay);
    const { status, disabled_reason: reason } = await changeWebhook(relay, scene, { status: "paused" });
    assert.deepEqual([status, reason], ["paused", null]);
    const accepted = await acceptArray(relay, scene.workspace, Array(8).fill(alert()));
    const entries = accepted.map(({ deliveries: [entry] }) => entry);
    assert.deepEqual(
      entries.map((entry) => entry.status),
      Array(8).fill("pending"),
    );
    await sendTest(scene);
    assert.equal(scene.receiver.events().length, 1, "more than the test was sent");
    const waiting = await listDeliveries(relay, scene.workspace, scene.webhook.id, { status: "pending" });
    assert.equal(waiting.length, 8);

    await changeWebhook(relay, scene, { status: "enabled" });
    for (const entry of entries) assert.equal((await awaitSettled(relay, scene.workspace, entry)).status, "delivered");
  });

  test("makes no retries until it is enabled again", async (t) => {
    const scene = await setUpWebhook(t, relay, answerWith(500), { retry_schedule: ["300ms", "1h"] });
    const control = await setUpWebhook(t, relay, answerWith(500), {
      workspace: scene.workspace,
      retry_schedule: ["300ms", "300ms", "300ms"],
    });
    const accepted = await acceptEvent(relay, scene.workspace);
    const of = ({ webhook }) => accepted.find((entry) => entry.webhook_id === webhook.id);
    await changeWebhook(relay, scene, { status: "paused" });
    const made = scene.receiver.attemptsOf(of(scene).id).length;
    // The other webhook runs through a longer schedule meanwhile.
    assert.equal((await awaitSettled(relay, scene.workspace, of(control))).attempt_count, 4);
    await sendTest(scene);
    // One may have been under way.
    assert.ok(scene.receiver.attemptsOf(of(scene).id).length <= Math.max(1, made));
    await changeWebhook(relay, scene, { status: "enabled" });
    await eventually(() => scene.receiver.attemptsOf(of(scene).id).length === 2);
  });

  test("can be disabled, which holds what waits", async (t) => {
    const scene = await setUpWebhook(t, relay);
    await changeWebhook(relay, scene, { status: "paused" });
    const entry = await acceptForOne(relay, scene.workspace);
    const { status, disabled_reason: reason } = await changeWebhook(relay, scene, { status: "disabled" });
    assert.deepEqual([status, reason], ["disabled", "manual"]);
    await awaitDelivery(relay, scene.workspace, entry, (delivery) => delivery.status === "held");
    assert.equal(scene.receiver.events().length, 0);
  });

  test("holds as much as any webhook, and stays paused over a restart", async (t) => {
    const own = await startRelay({ vars: { MAX_BACKLOG: "3" } });
    t.after(() => own.stop());
    const scene = await setUpWebhook(t, own);
    await changeWebhook(own, scene, { status: "paused" });
    const entries = (await acceptArray(own, scene.workspace, Array(4).fill(alert()))).map(
      ({ deliveries: [one] }) => one,
    );
    assert.deepEqual(
      entries.map(({ status, reason }) => reason ?? status),
      ["pending", "pending", "pending", "backlog_full"],
    );
    await own.restart();
    await sendTest(scene, own);
    assert.equal(scene.receiver.events().length, 1);
    assert.equal((await read(scene, "", own)).status, "paused");
    await changeWebhook(own, scene, { status: "enabled" });
    await Promise.all(entries.slice(0, 3).map((entry) => awaitSettled(own, scene.workspace, entry)));
    assert.equal(scene.receiver.events().length, 4);
  });
});

describe("an ordered webhook", { concurrency: 4 }, () => {
  /** An ordered webhook whose endpoint has failed the first of three events: its retry is an hour away. */
  async function holdUp(t) {
    let works = false;
    const scene = await setUpWebhook(t, relay, () => ({ status: works ? 200 : 500 }), {
      ordered: true,
      retry_schedule: ["1h", "1h"],
    });
    const head = await acceptForOne(relay, scene.workspace);
    await awaitDelivery(relay, scene.workspace, head, failedOnce);
    const behind = [await acceptForOne(relay, scene.workspace), await acceptForOne(relay, scene.workspace)];
    return { ...scene, head, behind, mend: () => (works = true) };
  }

  const receivedInOrder = ({ receiver }) => [...new Set(receiver.events().map(({ headers }) => headers["webhook-id"]))];

  test("sends nothing behind an event that fails, and says what each waits for", async (t) => {
    const scene = await holdUp(t);
    await sendTest(scene);
    assert.equal(scene.receiver.events().length, 2, "more than the first event and the test was sent");
    for (const entry of scene.behind) {
      const { status, waiting_for: head, next_attempt_at: next } = await readDelivery(relay, scene.workspace, entry);
      assert.deepEqual([status, head, next], ["pending", scene.head.id, null]);
    }
    const listed = await listDeliveries(relay, scene.workspace, scene.webhook.id, { kind: "event" });
    assert.deepEqual(
      listed.map((delivery) => delivery.waiting_for),
      [scene.head.id, scene.head.id, undefined],
    );
    const head = await readDelivery(relay, scene.workspace, scene.head);
    assert.ok(!("waiting_for" in head) && head.next_attempt_at !== null);
  });

  test("goes on when it is delivered", async (t) => {
    const scene = await holdUp(t);
    scene.mend();
    answered(await post(scene, `/deliveries/${scene.head.id}/send-now`), 202);
    for (const entry of [scene.head, ...scene.behind])
      assert.equal((await awaitSettled(relay, scene.workspace, entry)).status, "delivered");
    assert.deepEqual(
      receivedInOrder(scene),
      [scene.head, ...scene.behind].map(({ id }) => id),
    );
  });

  test("goes on when it is cancelled", async (t) => {
    const scene = await holdUp(t);
    scene.mend();
    answered(await post(scene, `/deliveries/${scene.head.id}/cancel`), 200);
    for (const entry of scene.behind) await awaitSettled(relay, scene.workspace, entry);
    assert.deepEqual(
      receivedInOrder(scene),
      [scene.head, ...scene.behind].map(({ id }) => id),
    );
    assert.equal(scene.receiver.attemptsOf(scene.head.id).length, 1);
  });

  test("goes on when its schedule is spent", async (t) => {
    const scene = await setUpWebhook(t, relay, (_request, number) => ({ status: number <= 2 ? 500 : 200 }), {
      ordered: true,
      retry_schedule: ["200ms"],
    });
    const entries = (await acceptArray(relay, scene.workspace, [alert(), alert()])).map(({ deliveries: [one] }) => one);
    const [first, second] = await Promise.all(entries.map((entry) => awaitSettled(relay, scene.workspace, entry)));
    assert.deepEqual([first.status, second.status], ["failed", "delivered"]);
    assert.deepEqual([first.attempt_count, second.attempt_count], [2, 1]);
  });

  test("sends at the end what is resent", async (t) => {
    const scene = await holdUp(t);
    const [second, third] = scene.behind;
    answered(await post(scene, `/deliveries/${second.id}/cancel`), 200);
    answered(await post(scene, `/deliveries/${second.id}/resend`), 202);
    scene.mend();
    answered(await post(scene, `/deliveries/${scene.head.id}/cancel`), 200);
    await awaitSettled(relay, scene.workspace, second);
    assert.deepEqual(receivedInOrder(scene), [scene.head.id, third.id, second.id]);
  });

  test("sends fifty events one at a time in the order of acceptance, whatever fails on the way", async (t) => {
    let open = 0;
    let mostOpen = 0;
    const scene = await setUpWebhook(
      t,
      relay,
      (_request, number) => (response) => {
        mostOpen = Math.max(mostOpen, ++open);
        response.on("close", () => open--);
        response.writeHead(number % 7 === 0 ? 500 : 200).end();
      },
      { ordered: true, retry_schedule: Array(5).fill("20ms") },
    );
    const entries = [];
    for (let number = 0; number < 25; number++) entries.push(await acceptForOne(relay, scene.workspace));
    const array = await acceptArray(relay, scene.workspace, Array(25).fill(alert()));
    entries.push(...array.map(({ deliveries: [entry] }) => entry));
    for (const entry of entries)
      assert.equal((await awaitSettled(relay, scene.workspace, entry, { timeout: 60_000 })).status, "delivered");
    const arrived = scene.receiver.events().map(({ headers }) => headers["webhook-id"]);
    // What failed came again before anything else.
    const inOrder = arrived.filter((id, index) => id !== arrived[index - 1]);
    assert.deepEqual(
      inOrder,
      entries.map(({ id }) => id),
    );
    assert.ok(arrived.length > entries.length, "nothing failed on the way");
    assert.equal(mostOpen, 1);
  });
});

test("a rate limit is kept over first attempts and retries", async (t) => {
  const [rate, count, slack] = [10, 50, 4];
  const scene = await setUpWebhook(t, relay, (_request, number) => ({ status: number <= 10 ? 500 : 200 }), {
    rate_limit: { per_second: rate },
    retry_schedule: ["500ms", "500ms", "500ms"],
  });
  const accepted = await acceptArray(relay, scene.workspace, Array(count).fill(alert()));
  for (const { deliveries } of accepted)
    assert.equal((await awaitSettled(relay, scene.workspace, deliveries[0], { timeout: 60_000 })).status, "delivered");
  const arrivals = scene.receiver.events().map(({ arrivedAt }) => arrivedAt);
  assert.ok(arrivals.length >= count + 10, `${arrivals.length} requests`);
  // What a second allows may come at once, and as much again within the second; on the way, a few may bunch together.
  for (const [index, from] of arrivals.entries()) {
    const within = arrivals.slice(index).filter((at) => at < from + 1_000).length;
    assert.ok(within <= 2 * rate + slack, `${within} requests within a second`);
  }
  const atLeast = ((arrivals.length - rate - slack) / rate) * 1_000;
  assert.ok(arrivals.at(-1) - arrivals[0] >= atLeast, `${arrivals.length} in ${arrivals.at(-1) - arrivals[0]} ms`);
});

describe("a retry schedule of its own", { concurrency: 4 }, () => {
  test("is followed in place of the relay's", async (t) => {
    const scene = await setUpWebhook(t, relay, answerWith(500), { retry_schedule: ["100ms", "700ms"] });
    const entry = await acceptForOne(relay, scene.workspace);
    const { status, reason, attempt_count: made } = await awaitSettled(relay, scene.workspace, entry);
    assert.deepEqual([status, reason, made], ["failed", "schedule_spent", 3]);
    const gaps = gapsOf(scene.receiver, entry.id);
    for (const [index, delay] of [100, 700].entries()) assert.ok(gaps[index] >= delay - CLOCK_MS, `${gaps}`);
  });

  test("is for what is accepted or resent from then on", async (t) => {
    const scene = await setUpWebhook(t, relay, answerWith(500), { retry_schedule: ["1h"] });
    const old = await acceptForOne(relay, scene.workspace);
    await awaitDelivery(relay, scene.workspace, old, failedOnce);
    await changeWebhook(relay, scene, { retry_schedule: ["50ms", "50ms", "50ms"] });
    const fresh = await awaitSettled(relay, scene.workspace, await acceptForOne(relay, scene.workspace));
    assert.equal(fresh.attempt_count, 4);
    const waiting = await readDelivery(relay, scene.workspace, old);
    assert.deepEqual([waiting.status, waiting.attempt_count], ["pending", 1]);

    answered(await post(scene, `/deliveries/${old.id}/cancel`), 200);
    answered(await post(scene, `/deliveries/${old.id}/resend`), 202);
    assert.equal((await awaitSettled(relay, scene.workspace, old)).attempt_count, 5);
    await changeWebhook(relay, scene, { retry_schedule: null });
    answered(await post(scene, `/deliveries/${old.id}/resend`), 202);
    // The relay's own: six attempts.
    assert.equal((await awaitSettled(relay, scene.workspace, old)).attempt_count, 11);
  });
});

describe("how late a webhook is", { concurrency: 4 }, () => {
  /** The gauges of a scene's webhook, by name. */
  async function scrape({ workspace, webhook }) {
    const { text } = await relay.fetch(`/metrics?workspace=${workspace}`);
    const found = text.matchAll(/^(relay_\w+)\{webhook_id="(\w+)"\} (\d+)$/gm);
    const own = [...found].filter(([, , id]) => id === webhook.id);
    return Object.fromEntries(own.map(([, name, , value]) => [name, Number(value)]));
  }

  test("is told of one that has nothing to do", async (t) => {
    const scene = await setUpWebhook(t, relay);
    const { oldest_due_at: oldest, width, under_way: underWay } = (await read(scene)).health;
    assert.deepEqual([oldest, width, underWay], [null, 50, 0]);
    const gauges = await scrape(scene);
    assert.deepEqual([gauges.relay_width, gauges.relay_attempts_under_way], [50, 0]);
    assert.ok(!("relay_oldest_due_timestamp_seconds" in gauges));
  });

  test("is told of one that waits", async (t) => {
    const scene = await setUpWebhook(t, relay);
    await changeWebhook(relay, scene, { status: "paused" });
    const before = Date.now();
    const entry = await acceptForOne(relay, scene.workspace);
    await acceptForOne(relay, scene.workspace);
    const { oldest_due_at: oldest, under_way: underWay } = (await read(scene)).health;
    assert.match(oldest, ISO_MILLISECONDS);
    assert.equal(oldest, (await readDelivery(relay, scene.workspace, entry)).next_attempt_at);
    assert.ok(Date.parse(oldest) >= before - CLOCK_MS);
    assert.equal(underWay, 0);
    const seconds = Math.floor(Date.parse(oldest) / 1_000);
    assert.equal((await scrape(scene)).relay_oldest_due_timestamp_seconds, seconds);
  });

  test("is told of one whose attempt is under way, one at a time if it is ordered", async (t) => {
    const scene = await setUpWebhook(t, relay, hang, { ordered: true });
    await acceptForOne(relay, scene.workspace);
    // An attempt that hangs ends after a second, and the next one begins.
    await eventually(async () => {
      const { oldest_due_at: oldest, width, under_way: underWay } = (await read(scene)).health;
      assert.deepEqual([oldest, width, underWay], [null, 1, 1]);
      return true;
    });
    await eventually(async () => (await scrape(scene)).relay_attempts_under_way === 1);
  });
});
