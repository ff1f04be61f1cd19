// When the next attempt is made, and when there are no more.
//
// These tests use a short schedule of five growing delays, with tolerances for a busy machine. They run concurrently,
// since each has its own webhook and mostly waits.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { eventually } from "../support/eventually.js";
import { answerAfter, answerInTurn, answerWith, hang, startTcpReceiver } from "../support/receiver.js";
import { createWebhook, createWorkspace, startRelay } from "../support/relay.js";
import { acceptArray, acceptForOne, alert, awaitDelivery, awaitSettled, setUpWebhook } from "../support/steps.js";

const SCHEDULE_MS = [200, 400, 600, 800, 1_000];
const ATTEMPT_TIMEOUT_MS = 1_000;
// The promise is "never early"; how late depends on the machine.
const LATE_AT_MOST_MS = 5_000;
// The relay's clock counts whole milliseconds, the test's clock does not.
const CLOCK_MS = 5;

let relay;
before(async () => (relay = await startRelay()));
after(() => relay?.stop());

const gapsOf = (receiver, id) => {
  const arrivals = receiver.attemptsOf(id).map(({ arrivedAt }) => arrivedAt);
  return arrivals.slice(1).map((arrival, index) => arrival - arrivals[index]);
};

function assertGap(gap, delay) {
  assert.ok(gap >= delay - CLOCK_MS, `${gap} ms between attempts, scheduled were ${delay}`);
  assert.ok(gap <= delay + LATE_AT_MOST_MS, `${gap} ms between attempts, scheduled were ${delay}`);
}

describe("the schedule", { concurrency: 4 }, () => {
  test("six failures at the five delays of the schedule end as failed", async (t) => {
    const { workspace, receiver } = await setUpWebhook(t, relay, answerWith(500));
    const entry = await acceptForOne(relay, workspace);
    const delivery = await awaitSettled(relay, workspace, entry);
    assert.equal(delivery.status, "failed");
    assert.equal(delivery.reason, "schedule_spent");
    assert.equal(delivery.attempt_count, 6);
    assert.deepEqual(
      delivery.attempts.map(({ attempt }) => attempt),
      [1, 2, 3, 4, 5, 6],
    );
    const gaps = gapsOf(receiver, entry.id);
    assert.equal(gaps.length, 5);
    for (const [index, delay] of SCHEDULE_MS.entries()) assertGap(gaps[index], delay);
  });

  test("after the sixth failure there is no further attempt", async (t) => {
    const { workspace, receiver } = await setUpWebhook(t, relay, answerWith(500));
    const entry = await acceptForOne(relay, workspace);
    await awaitSettled(relay, workspace, entry);
    // A second delivery runs its whole schedule: longer than the longest step, with the same alarm.
    await awaitSettled(relay, workspace, await acceptForOne(relay, workspace));
    assert.equal(receiver.attemptsOf(entry.id).length, 6);
    assert.equal(receiver.events().length, 12);
  });

  test("a pending delivery says when its next attempt is due", async (t) => {
    const { workspace } = await setUpWebhook(t, relay, answerWith(500));
    const entry = await acceptForOne(relay, workspace);
    // While an attempt is under way there is no next one yet.
    const waits = ({ attempt_count: made, next_attempt_at: next }) => made >= 1 && made <= 5 && next !== null;
    const delivery = await awaitDelivery(relay, workspace, entry, waits);
    const readAt = Date.now();
    const startedAt = Date.parse(delivery.attempts.at(-1).started_at);
    // The delay begins when the attempt is reported: after its start, and before the answer that shows it.
    const reportedAt = Date.parse(delivery.next_attempt_at) - SCHEDULE_MS[delivery.attempt_count - 1];
    assert.ok(
      reportedAt >= startedAt - CLOCK_MS && reportedAt <= readAt + CLOCK_MS,
      `the delay began ${reportedAt - startedAt} ms after the attempt, ${readAt - reportedAt} ms before it was read`,
    );
    await awaitSettled(relay, workspace, entry);
  });

  test("failing deliveries of one webhook keep their own schedules", async (t) => {
    const { workspace, receiver } = await setUpWebhook(t, relay, answerWith(500));
    const answers = await acceptArray(relay, workspace, Array(20).fill(alert()));
    for (const {
      deliveries: [entry],
    } of answers) {
      const { status, attempt_count: made } = await awaitSettled(relay, workspace, entry, { timeout: 30_000 });
      assert.deepEqual([status, made], ["failed", 6]);
      gapsOf(receiver, entry.id).forEach((gap, index) => {
        assert.ok(gap >= SCHEDULE_MS[index] - CLOCK_MS, `${gap} ms before attempt ${index + 2}`);
      });
    }
  });
});

describe("the attempt's timeout", { concurrency: 4 }, () => {
  test("an attempt at an endpoint that hangs ends after the timeout and is made again", async (t) => {
    const { workspace, receiver } = await setUpWebhook(t, relay, answerInTurn(hang, 200));
    const entry = await acceptForOne(relay, workspace);
    const { status, attempts } = await awaitSettled(relay, workspace, entry);
    assert.equal(status, "delivered");
    const [first, second] = attempts;
    assert.equal(first.outcome, "timeout");
    assert.equal(first.response_status, null);
    assert.ok(first.error.length > 0);
    assert.ok(first.duration_ms >= ATTEMPT_TIMEOUT_MS - CLOCK_MS, `duration_ms ${first.duration_ms}`);
    assert.ok(first.duration_ms <= ATTEMPT_TIMEOUT_MS + LATE_AT_MOST_MS, `duration_ms ${first.duration_ms}`);
    assert.equal(second.outcome, "succeeded");
    // The timeout began when the request was sent, a little before it arrived.
    const [gap] = gapsOf(receiver, entry.id);
    assert.ok(gap >= ATTEMPT_TIMEOUT_MS + SCHEDULE_MS[0] - 100, `${gap} ms`);
    assert.ok(gap <= ATTEMPT_TIMEOUT_MS + SCHEDULE_MS[0] + LATE_AT_MOST_MS, `${gap} ms`);
  });

  test("a response head that drips in for longer than the timeout is a timeout", async (t) => {
    const receiver = await startTcpReceiver((socket) => {
      socket.once("data", () => {
        socket.write("HTTP/1.1 200 OK\r\nX-Drip: ");
        const timer = setInterval(() => socket.write("."), 50);
        socket.on("close", () => clearInterval(timer));
      });
    });
    t.after(() => receiver.stop());
    const workspace = await createWorkspace(relay);
    await createWebhook(relay, workspace, { url: receiver.url });
    const entry = await acceptForOne(relay, workspace);
    const { attempts } = await awaitDelivery(relay, workspace, entry, (delivery) => delivery.attempts.length > 0);
    assert.equal(attempts[0].outcome, "timeout");
  });

  test("a delivery to an endpoint that always hangs ends as failed after six timeouts", async (t) => {
    const { workspace } = await setUpWebhook(t, relay, hang);
    const delivery = await awaitSettled(relay, workspace, await acceptForOne(relay, workspace), { timeout: 30_000 });
    assert.equal(delivery.status, "failed");
    assert.equal(delivery.reason, "schedule_spent");
    assert.deepEqual(
      delivery.attempts.map(({ outcome }) => outcome),
      Array(6).fill("timeout"),
    );
  });

  test("starts when the request is sent: deliveries that wait for a slot still get the whole timeout", async (t) => {
    let open = 0;
    let mostOpen = 0;
    const answerSlowly = answerAfter(700);
    const answer = () => (response) => {
      mostOpen = Math.max(mostOpen, ++open);
      response.on("close", () => open--);
      answerSlowly()(response);
    };
    const LEASES = 12;
    const narrow = await startRelay({ vars: { MAX_LEASES: `${LEASES}` } });
    t.after(() => narrow.stop());
    const { workspace, receiver } = await setUpWebhook(t, narrow, answer);
    const answers = await acceptArray(narrow, workspace, Array(30).fill(alert()));
    for (const {
      deliveries: [entry],
    } of answers) {
      const { attempts } = await awaitSettled(narrow, workspace, entry, { timeout: 30_000 });
      assert.deepEqual(
        attempts.map(({ outcome }) => outcome),
        ["succeeded"],
      );
    }
    assert.equal(receiver.events().length, 30);
    assert.ok(mostOpen <= LEASES, `${mostOpen} requests were open at once`);
  });
});

describe("Retry-After", { concurrency: 4 }, () => {
  // The last step is the longest one, and longer than a second, so that whole seconds fit between the steps.
  const LONGEST_MS = 2_500;
  let patient;
  before(async () => (patient = await startRelay({ vars: { RETRY_SCHEDULE: "200ms,400ms,600ms,800ms,2500ms" } })));
  after(() => patient?.stop());

  /** The delay before the second attempt, after a first answer of `status` with this Retry-After. */
  async function measureDelay(t, status, retryAfter) {
    const answer = answerInTurn(() => ({ status, headers: { "retry-after": retryAfter() } }), 200);
    const { workspace, receiver } = await setUpWebhook(t, patient, answer);
    const { id } = await acceptForOne(patient, workspace);
    await eventually(() => receiver.attemptsOf(id).length === 2);
    return gapsOf(receiver, id)[0];
  }

  for (const status of [429, 503]) {
    test(`of a ${status} lengthens the delay`, async (t) => {
      assertGap(await measureDelay(t, status, () => "1"), 1_000);
    });

    test(`of a ${status} lengthens it to at most the longest step`, async (t) => {
      assertGap(await measureDelay(t, status, () => "86400"), LONGEST_MS);
    });
  }

  test("may be a date", async (t) => {
    const date = () => new Date(Date.now() + 3_600_000).toUTCString();
    assertGap(await measureDelay(t, 429, date), LONGEST_MS);
  });

  const IGNORED = {
    "a date in the past": () => "Wed, 21 Oct 2015 07:28:00 GMT",
    zero: () => "0",
    "a word": () => "soon",
    "a negative number": () => "-5",
    "an empty value": () => "",
  };
  for (const [what, value] of Object.entries(IGNORED)) {
    test(`is ignored if it is ${what}`, async (t) => {
      assertGap(await measureDelay(t, 429, value), SCHEDULE_MS[0]);
    });
  }

  test("of another failure is ignored", async (t) => {
    assertGap(await measureDelay(t, 500, () => "1"), SCHEDULE_MS[0]);
  });

  test("never shortens a step", async (t) => {
    const { workspace, receiver } = await setUpWebhook(t, patient, answerWith(429, { "retry-after": "1" }));
    const entry = await acceptForOne(patient, workspace);
    const delivery = await awaitSettled(patient, workspace, entry, { timeout: 30_000 });
    assert.deepEqual([delivery.status, delivery.reason], ["failed", "schedule_spent"]);
    const gaps = gapsOf(receiver, entry.id);
    for (const [index, delay] of [1_000, 1_000, 1_000, 1_000, LONGEST_MS].entries()) assertGap(gaps[index], delay);
  });
});

test("a webhook whose endpoint recovers gets new events at once while the old ones wait", async (t) => {
  const { workspace, receiver } = await setUpWebhook(t, relay, answerInTurn(500, 500, 500, 200));
  const old = await acceptForOne(relay, workspace);
  await eventually(() => receiver.attemptsOf(old.id).length === 3);
  const fresh = await acceptForOne(relay, workspace);
  await awaitSettled(relay, workspace, fresh);
  const [request] = receiver.attemptsOf(fresh.id);
  const { status, attempt_count: made } = await awaitSettled(relay, workspace, old);
  assert.deepEqual([status, made], ["delivered", 4]);
  const last = receiver.attemptsOf(old.id).at(-1);
  assert.ok(request.arrivedAt < last.arrivedAt, "the new event waited for the old one");
});
