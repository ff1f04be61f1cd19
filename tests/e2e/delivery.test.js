// What counts as delivered and what as a failure, and what the delivery's record says.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { makeSelfSignedCertificate } from "../support/certificate.js";
import { eventually } from "../support/eventually.js";
import {
  answerInTurn,
  answerWith,
  dripForEver,
  refusedUrl,
  reset,
  resetInTheBody,
  startReceiver,
  startTcpReceiver,
} from "../support/receiver.js";
import { createWebhook, createWorkspace, startRelay } from "../support/relay.js";
import {
  ISO_MILLISECONDS,
  acceptArray,
  acceptEvent,
  acceptForOne,
  alert,
  awaitDelivery,
  awaitSettled,
  listDeliveries,
  setUpWebhook,
} from "../support/steps.js";

const ATTEMPT_TIMEOUT_MS = 1_000;
const KEPT_OF_A_BODY = 16 * 1024;

let relay;
before(async () => (relay = await startRelay()));
after(() => relay?.stop());

/** Posts one event and returns its delivery once the first attempt is over. */
async function makeFirstAttempt(workspace) {
  const entry = await acceptForOne(relay, workspace);
  return awaitDelivery(relay, workspace, entry, ({ attempts }) => attempts.length > 0);
}

describe("a 2xx", () => {
  test("an event is delivered at once and its record is complete", async (t) => {
    const answer = answerWith(200, { "X-Request-Number": "7", "Set-Cookie": ["a=1", "b=2"] }, "thank you");
    const { workspace, webhook, receiver } = await setUpWebhook(t, relay, answer);
    const posted = performance.now();
    const entry = await acceptForOne(relay, workspace, alert({ event_id: "order-1" }));
    const delivery = await awaitSettled(relay, workspace, entry);

    const [request, ...others] = receiver.events();
    assert.deepEqual(others, []);
    assert.ok(request.arrivedAt - posted < 1_000, `arrived after ${request.arrivedAt - posted} ms`);
    assert.equal(request.method, "POST");
    assert.equal(request.url, "/hooks");

    const { attempts, payload, created_at: createdAt, ...rest } = delivery;
    assert.equal(rest.id, entry.id);
    assert.equal(rest.event_id, "order-1");
    assert.equal(rest.webhook_id, webhook.id);
    assert.equal(rest.type, "alert.triggered");
    assert.equal(rest.status, "delivered");
    assert.equal(rest.kind, "event");
    assert.equal(rest.reason, null);
    assert.equal(rest.attempt_count, 1);
    assert.match(createdAt, ISO_MILLISECONDS);
    assert.deepEqual(payload, JSON.parse(request.text));

    assert.equal(attempts.length, 1);
    const { started_at: startedAt, duration_ms: duration, response_headers: headers, ...attempt } = attempts[0];
    assert.match(startedAt, ISO_MILLISECONDS);
    assert.ok(Number.isInteger(duration) && duration >= 0 && duration < 1_000, `duration_ms ${duration}`);
    assert.equal(headers["x-request-number"], "7");
    assert.equal(headers["set-cookie"], "a=1, b=2");
    assert.deepEqual(attempt, {
      attempt: 1,
      outcome: "succeeded",
      response_status: 200,
      response_body: "thank you",
      response_truncated: false,
      error: null,
    });
  });

  test("the list shows the delivery without payload, headers and bodies", async (t) => {
    const { workspace, webhook } = await setUpWebhook(
      t,
      relay,
      answerWith(200, { "x-a": "b" }, "a-body-of-the-endpoint"),
    );
    const entry = await acceptForOne(relay, workspace, alert({ data: { marker: "a-part-of-the-data" } }));
    await awaitSettled(relay, workspace, entry);
    const [listed, ...others] = await listDeliveries(relay, workspace, webhook.id, { kind: "event" });
    assert.deepEqual(others, []);
    assert.equal(listed.id, entry.id);
    assert.equal(listed.status, "delivered");
    assert.equal(listed.attempt_count, 1);
    assert.doesNotMatch(JSON.stringify(listed), /a-body-of-the-endpoint|a-part-of-the-data|x-a/);
  });

  test("each status from 200 to 299 is a success", async (t) => {
    const statuses = [201, 202, 204, 299];
    const { workspace } = await setUpWebhook(t, relay, answerInTurn(...statuses));
    for (const status of statuses) {
      const delivery = await makeFirstAttempt(workspace);
      assert.equal(delivery.status, "delivered");
      assert.equal(delivery.attempts[0].outcome, "succeeded");
      assert.equal(delivery.attempts[0].response_status, status);
    }
  });

  test("every webhook that selected the type gets its own delivery", async (t) => {
    const first = await setUpWebhook(t, relay);
    const second = await setUpWebhook(t, relay, undefined, { workspace: first.workspace });
    const deliveries = await acceptEvent(relay, first.workspace);
    assert.equal(deliveries.length, 2);
    for (const { receiver, webhook } of [first, second]) {
      const { id } = deliveries.find(({ webhook_id }) => webhook_id === webhook.id);
      await eventually(() => receiver.attemptsOf(id).length === 1);
    }
    assert.notEqual(deliveries[0].id, deliveries[1].id);
  });
});

describe("a failure", () => {
  test("a 500 is tried again and the 200 that follows ends it", async (t) => {
    const answer = answerInTurn(answerWith(500, {}, "not today"), 200);
    const { workspace, receiver } = await setUpWebhook(t, relay, answer);
    const entry = await acceptForOne(relay, workspace);
    const { status, attempts } = await awaitSettled(relay, workspace, entry);
    assert.equal(status, "delivered");
    assert.deepEqual(
      attempts.map(({ attempt, outcome }) => [attempt, outcome]),
      [
        [1, "http_error"],
        [2, "succeeded"],
      ],
    );
    assert.equal(attempts[0].response_status, 500);
    assert.equal(attempts[0].response_body, "not today");
    assert.equal(receiver.attemptsOf(entry.id).length, 2);
  });

  for (const status of [400, 401, 404, 418, 503]) {
    test(`${status} is an http_error and is tried again`, async (t) => {
      const { workspace } = await setUpWebhook(t, relay, answerInTurn(status, 200));
      const delivery = await awaitSettled(relay, workspace, await acceptForOne(relay, workspace));
      assert.equal(delivery.status, "delivered");
      assert.equal(delivery.attempts[0].outcome, "http_error");
      assert.equal(delivery.attempts[0].response_status, status);
    });
  }

  for (const status of [301, 302, 303, 307, 308]) {
    test(`a ${status} is not followed and counts as a failure`, async (t) => {
      const elsewhere = await startReceiver();
      t.after(() => elsewhere.stop());
      const answer = answerInTurn(answerWith(status, { location: elsewhere.url }), 200);
      const { workspace, receiver } = await setUpWebhook(t, relay, answer);
      const delivery = await awaitSettled(relay, workspace, await acceptForOne(relay, workspace));
      assert.equal(delivery.attempts[0].outcome, "http_error");
      assert.equal(delivery.attempts[0].response_status, status);
      assert.equal(delivery.attempts[0].response_headers.location, elsewhere.url);
      assert.equal(delivery.attempts[1].outcome, "succeeded");
      assert.equal(receiver.events().length, 2);
      assert.deepEqual(elsewhere.requests, []);
    });
  }

  for (const status of [520, 522, 527, 530]) {
    test(`a ${status}, Cloudflare's word for an unreachable origin, is unreachable and keeps its status`, async (t) => {
      const { workspace } = await setUpWebhook(t, relay, answerInTurn(status, 200));
      const { attempts } = await awaitSettled(relay, workspace, await acceptForOne(relay, workspace));
      assert.equal(attempts[0].outcome, "unreachable");
      assert.equal(attempts[0].response_status, status);
      assert.ok(attempts[0].error.length > 0);
    });
  }

  /** @param {import("../support/types.d.ts").Delivery} delivery */
  const assertUnreachable = ({ status, attempts: [attempt] }) => {
    assert.notEqual(status, "delivered");
    assert.equal(attempt.outcome, "unreachable");
    assert.equal(attempt.response_status, null);
    assert.ok(attempt.error.length > 0, "the error says nothing");
  };

  test("a refused connection is unreachable", async () => {
    const workspace = await createWorkspace(relay);
    await createWebhook(relay, workspace, { url: await refusedUrl() });
    assertUnreachable(await makeFirstAttempt(workspace));
  });

  test("an untrusted certificate is unreachable and nothing is sent", async (t) => {
    const tls = await makeSelfSignedCertificate();
    const { workspace, receiver } = await setUpWebhook(t, relay, undefined, { tls });
    assertUnreachable(await makeFirstAttempt(workspace));
    assert.deepEqual(receiver.requests, []);
  });

  test("a connection reset before the answer is unreachable, and the next attempt may succeed", async (t) => {
    const { workspace } = await setUpWebhook(t, relay, answerInTurn(reset, 200));
    const delivery = await awaitSettled(relay, workspace, await acceptForOne(relay, workspace));
    assert.equal(delivery.attempts[0].outcome, "unreachable");
    assert.equal(delivery.attempts[1].outcome, "succeeded");
  });

  const ODD_PEERS = {
    "that is closed without a byte": (socket) => socket.once("data", () => socket.end()),
    "on which something else than HTTP is spoken": (socket) =>
      socket.once("data", () => socket.end("SSH-2.0-OpenSSH_9.6\r\n")),
    "that is closed within the head of the answer": (socket) =>
      socket.once("data", () => socket.end("HTTP/1.1 200 OK\r\nContent-Le")),
  };
  for (const [what, talk] of Object.entries(ODD_PEERS)) {
    test(`a connection ${what} is unreachable`, async (t) => {
      const receiver = await startTcpReceiver(talk);
      t.after(() => receiver.stop());
      const workspace = await createWorkspace(relay);
      await createWebhook(relay, workspace, { url: receiver.url });
      assertUnreachable(await makeFirstAttempt(workspace));
    });
  }
});

describe("the body of the answer", () => {
  test("of 5 MB is cut to 16 KiB and the relay keeps running", async (t) => {
    const answer = answerInTurn(answerWith(200, {}, "0123456789abcdef".repeat(312_500)), answerWith(200, {}, "small"));
    const { workspace } = await setUpWebhook(t, relay, answer);
    const delivery = await makeFirstAttempt(workspace);
    assert.equal(delivery.status, "delivered");
    const [attempt] = delivery.attempts;
    assert.equal(attempt.outcome, "succeeded");
    assert.equal(attempt.response_truncated, true);
    assert.equal(attempt.response_body, "0123456789abcdef".repeat(KEPT_OF_A_BODY / 16));

    assert.equal((await relay.fetch("/healthz", { token: null })).status, 200);
    assert.equal((await makeFirstAttempt(workspace)).attempts[0].response_body, "small");
  });

  test("of exactly 16 KiB is kept whole and of one byte more is marked as cut", async (t) => {
    const answer = (_, number) => ({ status: 200, body: "x".repeat(KEPT_OF_A_BODY + number - 1) });
    const { workspace } = await setUpWebhook(t, relay, answer);
    const whole = (await makeFirstAttempt(workspace)).attempts[0];
    assert.equal(whole.response_body.length, KEPT_OF_A_BODY);
    assert.equal(whole.response_truncated, false);
    const cut = (await makeFirstAttempt(workspace)).attempts[0];
    assert.equal(cut.response_body.length, KEPT_OF_A_BODY);
    assert.equal(cut.response_truncated, true);
  });

  test("of a failed attempt is cut too", async (t) => {
    const answer = answerInTurn(answerWith(500, {}, "x".repeat(100_000)), 200);
    const { workspace } = await setUpWebhook(t, relay, answer);
    const { attempts } = await awaitSettled(relay, workspace, await acceptForOne(relay, workspace));
    assert.equal(attempts[0].outcome, "http_error");
    assert.equal(attempts[0].response_body.length, KEPT_OF_A_BODY);
    assert.equal(attempts[0].response_truncated, true);
  });

  test("that drips for ever is cut by the deadline and the delivery is delivered", async (t) => {
    const { workspace } = await setUpWebhook(t, relay, dripForEver);
    const delivery = await makeFirstAttempt(workspace);
    assert.equal(delivery.status, "delivered");
    const [attempt] = delivery.attempts;
    assert.equal(attempt.outcome, "succeeded");
    assert.equal(attempt.response_truncated, true);
    assert.match(attempt.response_body, /^\.+$/);
    assert.ok(attempt.duration_ms <= ATTEMPT_TIMEOUT_MS + 500, `duration_ms ${attempt.duration_ms}`);
  });

  test("that is reset half-way is marked and does not change the outcome", async (t) => {
    const { workspace } = await setUpWebhook(t, relay, resetInTheBody);
    const delivery = await makeFirstAttempt(workspace);
    assert.equal(delivery.status, "delivered");
    assert.equal(delivery.attempts[0].response_truncated, true);
  });

  test("that is not text is kept as text and does no harm", async (t) => {
    const bytes = Buffer.from([0xff, 0xfe, 0x00, 0x80, 0x41]);
    const { workspace } = await setUpWebhook(t, relay, answerWith(200, {}, bytes));
    const delivery = await makeFirstAttempt(workspace);
    assert.equal(delivery.status, "delivered");
    assert.ok(delivery.attempts[0].response_body.endsWith("A"), delivery.attempts[0].response_body);
  });
});

test("a hundred deliveries fail and succeed side by side, each with its own record", async (t) => {
  const failed = new Set();
  const answer = ({ headers, text }) => {
    const id = headers["webhook-id"];
    if (JSON.parse(text).data.number % 2 === 0 || failed.has(id)) return { status: 200, body: id };
    failed.add(id);
    return { status: 500, body: id };
  };
  const { workspace } = await setUpWebhook(t, relay, answer);
  const answers = await acceptArray(
    relay,
    workspace,
    Array.from({ length: 100 }, (_, number) => alert({ data: { number } })),
  );
  for (const [number, { deliveries }] of answers.entries()) {
    const { status, attempts, id } = await awaitSettled(relay, workspace, deliveries[0], { timeout: 30_000 });
    assert.equal(status, "delivered");
    assert.deepEqual(
      attempts.map(({ response_status }) => response_status),
      number % 2 === 0 ? [200] : [500, 200],
    );
    for (const { response_body: body } of attempts) assert.equal(body, id);
  }
});
