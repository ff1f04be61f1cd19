// How a sender treats answers: what counts as delivered, what is retried and when, what ends an endpoint.
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { load } from "./load.mjs";

const { answers, redirects, retry_after: retryAfter } = load("answers");

// Tolerance for the clocks of two machines, or a timer that fires a little early.
const EARLY_MS = 50;
// A sender that reads this much of an endless answer would read all of it.
const ENDLESS_BYTES = 64 * 1024 * 1024;
const CHUNK = Buffer.alloc(64 * 1024, "x");
const DRIP_EVERY_MS = 50;

const ok = { status: 200 };
const onceThenOk = (answer) => (number) => (number === 1 ? answer : ok);
const gap = ([first, second]) => second.arrivedOn - first.arrivedOn;

/** Waits until a second attempt after the first delay would have arrived, and asserts that there is none. */
async function assertNoSecond(stage, endpoint) {
  await endpoint.receive(1, stage.marginMs);
  await sleep(stage.sender.schedule[0] * 2 + 1_000);
  assert.equal(endpoint.requests.length, 1, "it was tried again");
}

/** Returns the first two attempts, and asserts that the second is not before the first delay. */
async function assertSecond(stage, endpoint) {
  const { schedule, timeout } = stage.sender;
  const both = await endpoint.receive(2, schedule[0] + timeout + stage.marginMs);
  assert.ok(
    gap(both) >= schedule[0] - EARLY_MS,
    `the second attempt came after ${gap(both)} ms, not after ${schedule[0]} ms`,
  );
  return both;
}

const EXPECTATIONS = {
  delivered: assertNoSecond,
  retried: assertSecond,
  async disabled(stage, endpoint) {
    await assertNoSecond(stage, endpoint);
    if (stage.sender.isDisabled)
      assert.ok(await stage.sender.isDisabled(endpoint.handle), "the endpoint is not disabled");
    // A sender may refuse or keep the event, but the endpoint must get no more requests.
    await stage.send(endpoint).catch(() => {});
    await sleep(stage.sender.schedule[0] + 1_000);
    assert.equal(endpoint.requests.length, 1, "another event came");
  },
};

const statusCases = answers.map(({ name, status, body, expect }) => ({
  id: `answers/${name} is ${expect}`,
  async run(stage) {
    const endpoint = await stage.register(onceThenOk({ status, body }));
    await stage.send(endpoint);
    await EXPECTATIONS[expect](stage, endpoint);
  },
}));

const redirectCases = redirects.map((status) => ({
  id: `redirects/${status} is not followed, and tried again`,
  async run(stage) {
    const elsewhere = await stage.listen();
    const endpoint = await stage.register(onceThenOk({ status, headers: { location: elsewhere.url } }));
    await stage.send(endpoint);
    await assertSecond(stage, endpoint);
    assert.equal(elsewhere.requests.length, 0, "it was followed");
  },
}));

const retryAfterCases = retryAfter.map(
  ({ name, status, value, date_in_seconds: seconds, at_least_seconds: wanted }) => ({
    id: `retry-after/${name}`,
    async run(stage) {
      const { schedule } = stage.sender;
      const longest = Math.max(...schedule);
      assert.ok(
        longest >= wanted * 1_000,
        `the sender's schedule has no delay of ${wanted} s: it could not honour this`,
      );
      const header = () => value ?? new Date(Date.now() + seconds * 1_000).toUTCString();
      const endpoint = await stage.register((number) =>
        number === 1 ? { status, headers: { "retry-after": header() } } : ok,
      );
      await stage.send(endpoint);
      const both = await endpoint.receive(2, longest + stage.marginMs);
      const least = Math.max(schedule[0], wanted * 1_000);
      // The date has whole seconds, so it may be up to one second earlier.
      assert.ok(gap(both) >= least - EARLY_MS, `the second attempt came after ${gap(both)} ms, not after ${least} ms`);
    },
  }),
);

/** Registers an endpoint that begins a 200 by hand, sends an event, and waits until the sender ends the connection. */
async function assertLetGo(stage, answer) {
  const endpoint = await stage.register(onceThenOk(answer));
  await stage.send(endpoint);
  const [request] = await endpoint.receive(1, stage.marginMs);
  const deadline = Date.now() + stage.sender.timeout + stage.marginMs;
  while (request.endedOn === undefined) {
    if (Date.now() > deadline) throw new Error("the sender did not end the connection");
    await sleep(20);
  }
}

export const answerCases = [
  ...statusCases,
  ...redirectCases,
  ...retryAfterCases,
  {
    id: "schedule/as many attempts as it has, none before its delay, and then no more",
    async run(stage) {
      const { schedule, timeout } = stage.sender;
      const endpoint = await stage.register(() => ({ status: 500 }));
      await stage.send(endpoint);
      const whole = schedule.reduce((sum, delay) => sum + delay, 0) + timeout * (schedule.length + 1);
      const requests = await endpoint.receive(schedule.length + 1, whole + stage.marginMs);
      for (const [index, delay] of schedule.entries()) {
        const waited = gap(requests.slice(index, index + 2));
        assert.ok(waited >= delay - EARLY_MS, `attempt ${index + 2} came after ${waited} ms, not after ${delay} ms`);
      }
      await sleep(Math.max(...schedule) + 1_000);
      assert.equal(endpoint.requests.length, schedule.length + 1, "it went on");
    },
  },
  {
    id: "timeouts/an endpoint that never answers is let go, and tried again",
    async run(stage) {
      const endpoint = await stage.register(onceThenOk(() => {}));
      await stage.send(endpoint);
      const [first] = await assertSecond(stage, endpoint);
      assert.ok(first.endedOn !== undefined, "the first connection is still open");
    },
  },
  {
    id: "timeouts/an endpoint that ends the connection is tried again",
    async run(stage) {
      const endpoint = await stage.register(onceThenOk((response) => response.socket.resetAndDestroy()));
      await stage.send(endpoint);
      await assertSecond(stage, endpoint);
    },
  },
  {
    id: "timeouts/an endpoint that hangs does not delay another one",
    async run(stage) {
      const hanging = await stage.register(() => () => {});
      const other = await stage.register();
      await stage.send(hanging);
      const [hung] = await hanging.receive(1, stage.marginMs);
      await stage.send(other);
      const [received] = await other.receive(1, stage.marginMs);
      assert.ok(
        hung.endedOn === undefined || received.arrivedOn < hung.endedOn,
        "it waited until the hanging endpoint was let go",
      );
    },
  },
  {
    id: "response/a body that never ends is not waited for",
    run: (stage) =>
      assertLetGo(stage, (response) => {
        response.writeHead(200).flushHeaders();
        const timer = setInterval(() => response.write("."), DRIP_EVERY_MS);
        response.on("close", () => clearInterval(timer));
      }),
  },
  {
    id: "response/a body without bounds is not read without bounds",
    async run(stage) {
      let written = 0;
      await assertLetGo(stage, (response) => {
        response.writeHead(200);
        const fill = () => {
          while (!response.destroyed && written < ENDLESS_BYTES) {
            written += CHUNK.length;
            if (!response.write(CHUNK)) return;
          }
        };
        response.on("drain", fill);
        fill();
      });
      assert.ok(written < ENDLESS_BYTES, `${written} bytes were taken`);
    },
  },
];
