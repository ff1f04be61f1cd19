// Test events: one attempt through the code that sends real deliveries, answered with its request and response.
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { after, before, describe, test } from "node:test";
import { Webhook } from "standardwebhooks";
import { answerWith, dripForEver, hang, refusedUrl, reset } from "../support/receiver.js";
import { createWebhook, createWorkspace, startRelay } from "../support/relay.js";
import {
  ISO_MILLISECONDS,
  MALFORMED_OR_REFUSED,
  acceptForOne,
  alert,
  answered,
  assertRefused,
  awaitSettled,
  changeWebhook,
  listDeliveries,
  pathOf,
  readDelivery,
  setUpWebhook,
} from "../support/steps.js";

const SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const ATTEMPT_TIMEOUT_MS = 1_000;

let relay;
before(async () => (relay = await startRelay()));
after(() => relay?.stop());

const send = (scene, /** @type {unknown} */ body = { type: "alert.triggered" }) =>
  relay.fetch(pathOf(scene, "/test"), { method: "POST", body });
const sendTest = async (scene, body) => answered(await send(scene, body), 200);
const readWebhook = async (scene) => answered(await relay.fetch(pathOf(scene)), 200);

async function readStats(scene) {
  const { data } = answered(await relay.fetch(pathOf(scene, "/stats")), 200);
  return data.reduce(
    (sums, { delivered, failed, attempts }) => [sums[0] + delivered, sums[1] + failed, sums[2] + attempts],
    [0, 0, 0],
  );
}

describe("a test that succeeds", () => {
  test("answers with the exact request and response", async (t) => {
    const answer = answerWith(201, { "X-Request-Number": "7", "Set-Cookie": ["a=1", "b=2"] }, "thank you");
    const scene = await setUpWebhook(t, relay, answer, { secret: SECRET, headers: { "X-Team": "a" } });
    const delivery = await sendTest(scene);

    const [received, ...others] = scene.receiver.events();
    assert.deepEqual(others, []);
    const { id, event_id: eventId, created_at: createdAt, payload, attempts, request, ...rest } = delivery;
    assert.match(id, /^evt_/);
    assert.equal(typeof eventId, "string");
    assert.match(createdAt, ISO_MILLISECONDS);
    assert.deepEqual(rest, {
      webhook_id: scene.webhook.id,
      type: "alert.triggered",
      status: "delivered",
      kind: "test",
      reason: null,
      next_attempt_at: null,
      attempt_count: 1,
    });
    assert.deepEqual(payload, JSON.parse(received.text));
    assert.equal(payload.id, id);

    assert.equal(request.url, scene.receiver.url);
    assert.equal(request.body, received.text);
    for (const [name, value] of Object.entries(request.headers)) assert.equal(received.headers[name], value, name);
    assert.equal(request.headers["x-team"], "a");
    assert.equal(request.headers["x-secureagentics-event"], "alert.triggered");
    assert.equal(request.headers["x-secureagentics-attempt"], "1");
    assert.equal(
      request.headers["x-secureagentics-signature"],
      createHmac("sha256", SECRET).update(received.body).digest("hex"),
    );
    new Webhook(SECRET).verify(request.body, request.headers);

    assert.equal(attempts.length, 1);
    const { started_at: startedAt, duration_ms: duration, response_headers: headers, ...attempt } = attempts[0];
    assert.match(startedAt, ISO_MILLISECONDS);
    assert.ok(Number.isInteger(duration) && duration >= 0 && duration < ATTEMPT_TIMEOUT_MS, `duration_ms ${duration}`);
    assert.deepEqual([headers["x-request-number"], headers["set-cookie"]], ["7", "a=1, b=2"]);
    assert.deepEqual(attempt, {
      attempt: 1,
      outcome: "succeeded",
      response_status: 201,
      response_body: "thank you",
      response_truncated: false,
      error: null,
    });
  });

  test("is in the list as a test, and reading it again shows the same", async (t) => {
    const scene = await setUpWebhook(t, relay);
    const delivery = await sendTest(scene);
    const [listed, ...others] = await listDeliveries(relay, scene.workspace, scene.webhook.id, { kind: "test" });
    assert.deepEqual(others, []);
    assert.deepEqual(
      [listed.id, listed.kind, listed.status, listed.attempt_count],
      [delivery.id, "test", "delivered", 1],
    );
    assert.deepEqual(await readDelivery(relay, scene.workspace, delivery), delivery);
  });

  test("sends the sample of its type from the catalogue, whether selected or not", async (t) => {
    const scene = await setUpWebhook(t, relay, undefined, { events: ["agent.error"] });
    const { data: catalogue } = answered(await relay.fetch("/v1/event-types", { token: null }), 200);
    for (const { name, sample } of catalogue) {
      const { payload, status } = await sendTest(scene, { type: name });
      assert.equal(status, "delivered");
      assert.equal(payload.type, name);
      // A sample may be the data or the whole payload around it.
      assert.deepEqual(payload.data, sample.data ?? sample);
    }
  });

  const DATA = {
    "numbers that no double holds": '{"n":9007199254740993,"m":1e400,"o":1.0}',
    "escapes as they were written": '{"s":"\\u00e9\\/\\ud83d\\ude00"}',
    "the order of members, repeated ones too": '{ "z":1,\n"a":2,"10":3,"a":4 }',
    "no member at all": "{}",
    "members named as those of the payload": '{"id":"evt_mine","data":{"data":{}}}',
  };
  for (const [what, data] of Object.entries(DATA)) {
    test(`sends the data that is posted with it: ${what}`, async (t) => {
      const scene = await setUpWebhook(t, relay);
      const delivery = await sendTest(scene, ` {"data" : ${data} , "type":"agent.error"} `);
      const [received] = scene.receiver.events();
      assert.ok(received.text.endsWith(`,"data":${data}}`), received.text);
      assert.deepEqual([delivery.type, delivery.request.body], ["agent.error", received.text]);
    });
  }

  test("sends up to 256 KiB, as an event's", async (t) => {
    const scene = await setUpWebhook(t, relay);
    const body = (length) => `{"type":"agent.error","data":{"a":"${"x".repeat(length)}"}}`;
    const text = body(256 * 1024 - body(0).length);
    const { status } = await sendTest(scene, text);
    assert.equal(status, "delivered");
    assertRefused(await send(scene, body(256 * 1024 - body(0).length + 1)), 413, { code: "payload_too_large" });
  });

  test("is also sent on a disabled webhook, which stays disabled", async (t) => {
    const scene = await setUpWebhook(t, relay);
    await changeWebhook(relay, scene, { status: "disabled" });
    assert.equal((await sendTest(scene)).status, "delivered");
    assert.equal((await readWebhook(scene)).status, "disabled");
  });

  test("cuts a body of the endpoint at 16 KiB", async (t) => {
    const scene = await setUpWebhook(t, relay, answerWith(200, {}, "x".repeat(20_000)));
    const [attempt] = (await sendTest(scene)).attempts;
    assert.deepEqual([attempt.response_body.length, attempt.response_truncated], [16_384, true]);
  });

  test("does not wait for a body that never ends", async (t) => {
    const scene = await setUpWebhook(t, relay, dripForEver);
    const { status, attempts } = await sendTest(scene);
    assert.deepEqual([status, attempts[0].response_truncated], ["delivered", true]);
  });
});

describe("a test that fails", () => {
  /** Asserts what every failed test shows, and returns its one attempt. */
  function assertFailed(
    { status, reason, attempt_count: made, next_attempt_at: next, attempts, request },
    outcome,
    responseStatus,
  ) {
    assert.deepEqual([status, reason, made, next], ["failed", "single_attempt", 1, null]);
    assert.equal(attempts.length, 1);
    assert.deepEqual([attempts[0].outcome, attempts[0].response_status], [outcome, responseStatus]);
    assert.ok(request.headers["webhook-signature"].length > 0, "the request is shown all the same");
    return attempts[0];
  }

  test("with an error shows it, and is not tried again", async (t) => {
    const scene = await setUpWebhook(t, relay, answerWith(500, { "x-why": "broken" }, "not today"));
    const delivery = await sendTest(scene);
    const attempt = assertFailed(delivery, "http_error", 500);
    assert.deepEqual([attempt.response_headers["x-why"], attempt.response_body], ["broken", "not today"]);
    // An event that runs the whole schedule takes longer than any retry of the test would wait.
    await awaitSettled(relay, scene.workspace, await acceptForOne(relay, scene.workspace));
    assert.equal(scene.receiver.attemptsOf(delivery.id).length, 1);
    assert.deepEqual(await readDelivery(relay, scene.workspace, delivery), delivery);
  });

  test("by hanging is answered after the timeout", async (t) => {
    const scene = await setUpWebhook(t, relay, hang);
    const attempt = assertFailed(await sendTest(scene), "timeout", null);
    assert.ok(attempt.duration_ms >= ATTEMPT_TIMEOUT_MS - 5, `duration_ms ${attempt.duration_ms}`);
    assert.ok(attempt.error.length > 0);
  });

  test("because nobody listens says so", async () => {
    const workspace = await createWorkspace(relay);
    const webhook = await createWebhook(relay, workspace, { url: await refusedUrl() });
    const attempt = assertFailed(await sendTest({ workspace, webhook }), "unreachable", null);
    assert.ok(attempt.error.length > 0);
  });

  test("because the connection is reset says so", async (t) => {
    const scene = await setUpWebhook(t, relay, reset);
    assertFailed(await sendTest(scene), "unreachable", null);
  });

  test("because of a redirect does not follow it", async (t) => {
    const elsewhere = await setUpWebhook(t, relay);
    const scene = await setUpWebhook(t, relay, answerWith(302, { location: elsewhere.receiver.url }));
    const attempt = assertFailed(await sendTest(scene), "http_error", 302);
    assert.equal(attempt.response_headers.location, elsewhere.receiver.url);
    assert.equal(elsewhere.receiver.events().length, 0);
  });

  test("with 410 leaves the webhook enabled", async (t) => {
    const scene = await setUpWebhook(t, relay, answerWith(410));
    assertFailed(await sendTest(scene), "http_error", 410);
    const { status, disabled_reason: reason } = await readWebhook(scene);
    assert.deepEqual([status, reason], ["enabled", null]);
  });
});

test("tests change neither status, failing_since, the stats nor updated_at", async (t) => {
  const scene = await setUpWebhook(t, relay, answerWith(500));
  const before = await readWebhook(scene);
  for (let count = 0; count < 3; count++) await sendTest(scene);
  assert.deepEqual(await readWebhook(scene), before);
  assert.deepEqual(await readStats(scene), [0, 0, 0]);
});

test("several tests at once each get their own answer", async (t) => {
  const scene = await setUpWebhook(t, relay, ({ headers }) => ({ status: 200, body: String(headers["webhook-id"]) }));
  const deliveries = await Promise.all(Array.from({ length: 8 }, () => sendTest(scene)));
  assert.equal(new Set(deliveries.map(({ id }) => id)).size, 8);
  for (const { id, attempts } of deliveries) assert.equal(attempts[0].response_body, id);
});

describe("a test or a ping", () => {
  test("cannot be resent", async (t) => {
    const scene = await setUpWebhook(t, relay, answerWith(500), { ping: answerWith(500) });
    const tested = await sendTest(scene);
    for (const { id } of [tested, scene.webhook.ping]) {
      assertRefused(await relay.fetch(pathOf(scene, `/deliveries/${id}/resend`), { method: "POST" }), 409, {
        code: "not_resendable",
      });
      assert.equal(scene.receiver.attemptsOf(id).length, 1);
    }
  });

  test("cannot be cancelled when it is over", async (t) => {
    const scene = await setUpWebhook(t, relay);
    for (const { id } of [await sendTest(scene), scene.webhook.ping]) {
      assertRefused(await relay.fetch(pathOf(scene, `/deliveries/${id}/cancel`), { method: "POST" }), 409, {
        code: "already_settled",
      });
    }
  });
});

describe("a test is refused", () => {
  /** @type {import("../support/types.d.ts").Refusals} */
  const REFUSED = {
    "with an unknown type": [{ type: "alert.trigered" }, 422, "type", "unknown_event_type"],
    "with ping, which is not in the catalogue": [{ type: "ping" }, 422, "type", "unknown_event_type"],
    "with a type that is not a string": [{ type: 5 }, MALFORMED_OR_REFUSED, "type"],
    "without a type": [{}, MALFORMED_OR_REFUSED, "type"],
    "with data that is no object": [{ type: "agent.error", data: [] }, 400, "data", "invalid_type"],
    "with null for data": [{ type: "agent.error", data: null }, 400, "data", "invalid_type"],
    "with what only an event has": [alert({ event_id: "order-1" }), 400, "event_id", "unknown_field"],
  };
  for (const [what, [body, status, field, code]] of Object.entries(REFUSED)) {
    test(`${what}, and nothing is sent`, async (t) => {
      const scene = await setUpWebhook(t, relay);
      assertRefused(await send(scene, body), status, { code, field });
      assert.deepEqual(scene.receiver.events(), []);
      assert.deepEqual(await listDeliveries(relay, scene.workspace, scene.webhook.id, { kind: "test" }), []);
    });
  }

  test("if there is no such webhook", async () => {
    const workspace = await createWorkspace(relay);
    const unknown = { workspace, webhook: { id: "wh_00000000000070008000000000000000" } };
    assertRefused(await send(unknown), 404, { code: "not_found" });
  });
});
