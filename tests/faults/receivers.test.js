// Endpoints that misbehave below and within HTTP: each attempt ends in time with the documented outcome, and neither
// the relay nor another webhook's next delivery is affected.
import assert from "node:assert/strict";
import { once } from "node:events";
import { createGzip } from "node:zlib";
import { after, before, describe, test } from "node:test";
import { peakMemory } from "../support/memory.js";
import { startTcpReceiver } from "../support/receiver.js";
import { createWebhook, createWorkspace, startRelay } from "../support/relay.js";
import { acceptForOne, alert, awaitDelivery, awaitSettled, setUpWebhook } from "../support/steps.js";
import { inForm } from "./form.js";

const ATTEMPT_TIMEOUT_MS = 1_000;
// What a busy machine needs beyond the timeout.
const LATE_AT_MOST_MS = 5_000;
const HOUR_MS = 3_600_000;
const BODY_KEPT = 16_384;

let relay;
let healthy;
let stopHealthy;
before(async () => {
  relay = await startRelay({ vars: { ATTEMPT_TIMEOUT: `${ATTEMPT_TIMEOUT_MS}ms`, RETRY_SCHEDULE: "1h,1h,1h,1h,2h" } });
  healthy = await setUpWebhook({ after: (stop) => (stopHealthy = stop) }, relay);
});
after(async () => {
  await stopHealthy?.();
  await relay?.stop();
});

/** Makes the first attempt at an endpoint that runs `talk`, and asserts that a healthy webhook still gets its event. */
async function attempt(t, talk, event) {
  const receiver = await startTcpReceiver(talk);
  t.after(() => receiver.stop());
  const workspace = await createWorkspace(relay);
  await createWebhook(relay, workspace, { url: receiver.url });
  const began = performance.now();
  const entry = await acceptForOne(relay, workspace, event);
  const delivery = await awaitDelivery(relay, workspace, entry, ({ attempts }) => attempts.length > 0);
  const took = performance.now() - began;
  assert.ok(took < ATTEMPT_TIMEOUT_MS + LATE_AT_MOST_MS, `the attempt took ${Math.round(took)} ms`);
  assert.equal((await relay.fetch("/healthz", { token: null })).status, 200);
  const next = await awaitSettled(relay, healthy.workspace, await acceptForOne(relay, healthy.workspace));
  assert.deepEqual([next.status, next.attempt_count], ["delivered", 1]);
  return { ...delivery.attempts[0], delivery, receiver, workspace };
}

/** Calls `answer` at each request of a connection, which begins with its method. */
const onRequest = (socket, answer) =>
  socket.on("data", (chunk) => chunk.subarray(0, 5).equals(Buffer.from("POST ")) && answer());
/** Writes `text` at each request. */
const say =
  (...parts) =>
  (socket) =>
    onRequest(socket, () => {
      for (const part of parts) socket.write(part);
    });
/** Writes a part every `milliseconds`, for ever. */
const drip =
  (part, milliseconds, first = "") =>
  (socket) =>
    onRequest(socket, () => {
      socket.write(first);
      let number = 0;
      const timer = setInterval(() => socket.write(typeof part === "function" ? part(number++) : part), milliseconds);
      socket.on("close", () => clearInterval(timer));
    });

const CASES = {
  "resets the connection before it reads": [
    (socket) => socket.resetAndDestroy(),
    { outcome: "unreachable", response_status: null },
  ],
  "resets in the middle of the head": [
    (socket) =>
      socket.once("data", () => socket.write("HTTP/1.1 200 O", () => setImmediate(() => socket.resetAndDestroy()))),
    { outcome: "unreachable", response_status: null },
  ],
  "closes without an answer": [
    (socket) => socket.once("data", () => socket.end()),
    { outcome: "unreachable", response_status: null },
  ],
  "accepts and never reads": [(socket) => socket.pause(), { outcome: "timeout", response_status: null }],
  "reads and never answers": [(socket) => socket.resume(), { outcome: "timeout", response_status: null }],
  "speaks SSH": [say("SSH-2.0-OpenSSH_9.6\r\n"), { outcome: "unreachable", response_status: null }],
  "sends random bytes": [
    say(Buffer.from(Array.from({ length: 5_000 }, (_, index) => (index * 7919) % 256))),
    { outcome: "unreachable", response_status: null },
  ],
  "sends headers for ever": [
    drip((number) => `X-Endless-${number}: ${"a".repeat(1_000)}\r\n`, 1, "HTTP/1.1 200 OK\r\n"),
    { outcome: ["timeout", "unreachable"], response_status: null },
  ],
  "sends one header for ever": [
    drip("a".repeat(10_000), 1, "HTTP/1.1 200 OK\r\nX-Endless: "),
    { outcome: ["timeout", "unreachable"], response_status: null },
  ],
  "sends a byte of its head every 300 ms": [
    drip((number) => "HTTP/1.1 200 OK\r\n\r\n"[number] ?? " ", 300),
    { outcome: "timeout", response_status: null },
  ],
  "answers 100 and 103 before 200": [
    say(
      "HTTP/1.1 100 Continue\r\n\r\n",
      "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n",
      "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    ),
    { outcome: "succeeded", response_status: 200, response_body: "ok" },
  ],
  "answers 204 with a body": [
    say("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello"),
    { outcome: "succeeded", response_status: 204 },
  ],
  "declares more than it sends and hangs": [
    say("HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\nhalf"),
    { outcome: "succeeded", response_status: 200, response_truncated: true, response_body: "half" },
  ],
  "declares a few bytes, sends less and hangs": [
    say("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"),
    { outcome: "succeeded", response_status: 200, response_truncated: true },
  ],
  "declares a few bytes and sends chunks": [
    say(
      "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n",
    ),
    { outcome: "succeeded", response_status: 200, response_truncated: false, response_body: "hello world" },
  ],
  "declares a few bytes and sends chunks for ever": [
    drip(
      `400\r\n${"a".repeat(1_024)}\r\n`,
      1,
      "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
    ),
    { outcome: "succeeded", response_status: 200, response_truncated: true, response_body: "a".repeat(BODY_KEPT) },
  ],
  "sends malformed chunks": [
    say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\nnot-a-length\r\n"),
    { outcome: "succeeded", response_status: 200, response_truncated: true },
  ],
  "declares gzip and sends plain text": [
    say("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nplain"),
    { outcome: "succeeded", response_status: 200, response_truncated: true },
  ],
};

describe("an endpoint that", { concurrency: 8 }, () => {
  for (const [what, [talk, expected]] of Object.entries(CASES)) {
    test(what, async (t) => {
      const made = await attempt(t, talk);
      t.diagnostic(`${made.outcome}${made.error ? `: ${made.error}` : ""}, ${made.duration_ms} ms`);
      for (const [member, value] of Object.entries(expected)) {
        assert.ok(
          [value].flat().includes(made[member]),
          `${member} is ${JSON.stringify(made[member])}: ${JSON.stringify(made)}`,
        );
      }
      if (made.response_status === null) assert.ok(made.error.length > 0);
    });
  }

  test("never reads a payload that does not fit into the socket", async (t) => {
    const event = alert({ data: { text: "a".repeat(250_000) } });
    assert.equal((await attempt(t, (socket) => socket.pause(), event)).outcome, "timeout");
  });

  test("sends 10,000 headers", async (t) => {
    const headers = Array.from({ length: 10_000 }, (_, number) => `X-Header-${number}: ${number}\r\n`).join("");
    const made = await attempt(t, say(`HTTP/1.1 200 OK\r\nContent-Length: 0\r\n${headers}\r\n`));
    t.diagnostic(`${made.outcome}, ${Object.keys(made.response_headers).length} headers kept; ${made.error}`);
    if (made.outcome === "succeeded")
      assert.ok(made.response_truncated && JSON.stringify(made.response_headers).length < 65_536);
    else assert.equal(made.outcome, "unreachable");
  });

  test("answers 204 with a body still gets its next delivery", async (t) => {
    const { receiver, workspace } = await attempt(t, say("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello"));
    const entry = await acceptForOne(relay, workspace);
    const next = await awaitDelivery(relay, workspace, entry, ({ attempts }) => attempts.length > 0);
    t.diagnostic(`${next.attempts[0].outcome} over ${receiver.connections()} connections; ${next.attempts[0].error}`);
    assert.equal(next.attempts[0].outcome, "succeeded");
  });
});

// Not concurrent, because this measures the memory of all of workerd.
describe("an endpoint that, not concurrently,", () => {
  test("sends a gzip bomb: only what is kept is unpacked", async (t) => {
    const megabytes = inForm(1_024, 256);
    const gzip = createGzip({ level: 1 });
    const packed = [];
    gzip.on("data", (chunk) => packed.push(chunk));
    for (let count = 0; count < megabytes; count++)
      if (!gzip.write(Buffer.alloc(1_048_576, "x"))) await once(gzip, "drain");
    gzip.end();
    await once(gzip, "end");
    const bomb = Buffer.concat(packed);
    const before = peakMemory();
    const made = await attempt(
      t,
      say(`HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: ${bomb.length}\r\n\r\n`, bomb),
    );
    const grown = peakMemory() - before;
    t.diagnostic(`${megabytes} MB packed to ${bomb.length} bytes: workerd grew by ${grown} MB`);
    assert.deepEqual(
      [made.outcome, made.response_truncated, made.response_body.length],
      ["succeeded", true, BODY_KEPT],
    );
    assert.ok(grown < 64, `workerd grew by ${grown} MB`);
  });
});

describe("a Retry-After of", { concurrency: 8 }, () => {
  // The next step is an hour and the longest is two, so the next attempt is due within these bounds.
  /** @type {Record<string, [string, number]>} */
  const VALUES = {
    "a negative number": ["-5", 1],
    1970: ["Thu, 01 Jan 1970 00:00:00 GMT", 1],
    "the year 9999": ["Fri, 31 Dec 9999 23:59:59 GMT", 2],
    "a number beyond 64 bits": ["99999999999999999999999999", 2],
    "a number with a fraction": ["1.5", 1],
    "a number in another notation": ["1e9", 1],
    "two numbers": ["5, 10", 1],
    "a text of 8 kB": ["a".repeat(8_000), 1],
    "a number of 8,000 digits": ["9".repeat(8_000), 2],
  };
  for (const [what, [value, hours]] of Object.entries(VALUES)) {
    test(what, async (t) => {
      const {
        delivery,
        started_at: startedAt,
        duration_ms: duration,
      } = await attempt(t, say(`HTTP/1.1 503 Busy\r\nRetry-After: ${value}\r\nContent-Length: 0\r\n\r\n`));
      const delay = Date.parse(delivery.next_attempt_at) - Date.parse(startedAt) - duration;
      assert.ok(Math.abs(delay - hours * HOUR_MS) < 5_000, `due after ${delay / HOUR_MS} hours`);
    });
  }
});
