// Making webhooks: what the answer has, what the ping shows, and what is refused.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { answerWith, hang, refusedUrl, startReceiver } from "../support/receiver.js";
import { createWorkspace, startRelay } from "../support/relay.js";
import { ISO_MILLISECONDS, MALFORMED_OR_REFUSED, assertRefused, setUpWebhook } from "../support/steps.js";

const MOST_WEBHOOKS = 50;

let relay;
let endpoint;
before(async () => {
  relay = await startRelay();
  endpoint = await startReceiver();
});
after(async () => {
  await relay?.stop();
  await endpoint?.stop();
});

/** Tries to make a webhook in `workspace` from valid members and the given ones; `undefined` leaves one out. */
const create = (workspace, members, at = relay) =>
  at.fetch(`/v1/workspaces/${workspace}/webhooks`, {
    method: "POST",
    body: { url: endpoint.url, events: ["alert.triggered"], ...members },
  });

async function assertNoneMade(workspace) {
  const { body } = await relay.fetch(`/v1/workspaces/${workspace}/webhooks`);
  assert.deepEqual(body, { data: [], next_cursor: null });
}

describe("a new webhook", () => {
  test("is answered with all settings, the defaults, its secret and its ping", async (t) => {
    const set = {
      events: ["policy.violated", "alert.triggered"],
      description: "Tickets – für alle",
      headers: { "X-Team": "a" },
      secret: "a-signing-secret",
    };
    const { webhook, receiver } = await setUpWebhook(t, relay, undefined, set);
    const { id, secret, ping, created_at: created, updated_at: updated, events, ...rest } = webhook;
    assert.match(id, /^wh_[A-Za-z0-9_-]+$/);
    assert.equal(secret, "a-signing-secret");
    assert.match(created, ISO_MILLISECONDS);
    assert.match(updated, ISO_MILLISECONDS);
    assert.deepEqual([...events].sort(), [...set.events].sort());
    assert.deepEqual(rest, {
      url: receiver.url,
      description: set.description,
      headers: set.headers,
      ordered: false,
      rate_limit: null,
      retry_schedule: null,
      status: "enabled",
      disabled_reason: null,
      disabled_at: null,
      failing_since: null,
      health: { state: "no_events", since: created, consecutive_failures: 0 },
      log_since: null,
    });
    assert.equal(ping.type, "ping");
  });

  test("can be read and listed, without its secret", async (t) => {
    const { workspace, webhook } = await setUpWebhook(t, relay);
    const { secret, ping, ...shown } = webhook;
    const read = await relay.fetch(`/v1/workspaces/${workspace}/webhooks/${webhook.id}`);
    assert.equal(read.status, 200, read.text);
    const { health, ...settings } = read.body;
    const { state, since, consecutive_failures } = health;
    assert.deepEqual({ ...settings, health: { state, since, consecutive_failures } }, shown);
    const listed = await relay.fetch(`/v1/workspaces/${workspace}/webhooks`);
    assert.deepEqual(listed.body, { data: [shown], next_cursor: null });
    for (const { text } of [read, listed]) assert.ok(!text.includes(secret), "the secret is shown");
    assert.equal(ping.webhook_id, webhook.id);
  });

  test("has a generated secret if none was given, which its owner can reveal", async (t) => {
    const { workspace, webhook } = await setUpWebhook(t, relay);
    assert.match(webhook.secret, /^whsec_[A-Za-z0-9+/]{43}=$/);
    const { status, body } = await relay.fetch(`/v1/workspaces/${workspace}/webhooks/${webhook.id}/secret`);
    const revealed = { secret: webhook.secret, previous_expires_at: null, sign_header_with: "current" };
    assert.deepEqual([status, body], [200, revealed]);
  });

  test("belongs only to its workspace", async (t) => {
    const { webhook } = await setUpWebhook(t, relay);
    const other = await createWorkspace(relay);
    assertRefused(await relay.fetch(`/v1/workspaces/${other}/webhooks/${webhook.id}`), 404, { code: "not_found" });
    assertRefused(await relay.fetch(`/v1/workspaces/${other}/webhooks/${webhook.id}/secret`), 404, {
      code: "not_found",
    });
    assertRefused(await create("ws_unknown"), 404, { code: "not_found" });
  });
});

describe("the ping", () => {
  test("that succeeds is a delivery of one attempt that shows request and response", async (t) => {
    const options = { ping: answerWith(200, { "x-pong": "1" }, "pong"), headers: { "X-Team": "a" } };
    const { webhook, receiver } = await setUpWebhook(t, relay, undefined, options);
    const { ping } = webhook;
    assert.match(ping.id, /^evt_/);
    assert.deepEqual([ping.kind, ping.type, ping.status, ping.attempt_count], ["ping", "ping", "delivered", 1]);
    assert.deepEqual(ping.payload.data, { webhook_id: webhook.id });
    const [attempt, ...others] = ping.attempts;
    assert.deepEqual(others, []);
    assert.deepEqual([attempt.outcome, attempt.response_status, attempt.response_body], ["succeeded", 200, "pong"]);
    assert.equal(attempt.response_headers["x-pong"], "1");
    const [received] = receiver.pings();
    assert.equal(ping.request.url, receiver.url);
    assert.equal(ping.request.body, received.text);
    assert.equal(ping.request.headers["x-team"], "a");
    assert.equal(ping.request.headers["x-secureagentics-event"], "ping");
    assert.equal(ping.request.headers["x-secureagentics-signature"], received.headers["x-secureagentics-signature"]);
  });

  /** Asserts that a webhook is made and stays enabled although its only ping failed. */
  async function assertMadeAllTheSame(url, outcome, status) {
    const workspace = await createWorkspace(relay);
    const answer = await create(workspace, { url });
    assert.equal(answer.status, 201, answer.text);
    const { ping } = answer.body;
    assert.deepEqual([ping.status, ping.reason, ping.attempt_count], ["failed", "single_attempt", 1]);
    assert.deepEqual([ping.attempts[0].outcome, ping.attempts[0].response_status], [outcome, status]);
    assert.equal(answer.body.status, "enabled");
    assert.equal(answer.body.failing_since, null);
    return workspace;
  }

  test("that is answered with an error does not refuse the webhook and is not repeated", async (t) => {
    const receiver = await startReceiver(undefined, { ping: answerWith(500) });
    t.after(() => receiver.stop());
    const workspace = await assertMadeAllTheSame(receiver.url, "http_error", 500);
    // Takes longer than the first steps of the schedule: the settings of a second webhook wait for KV.
    assert.equal((await create(workspace)).status, 201);
    assert.equal(receiver.requests.length, 1);
  });

  test("that hangs does not refuse the webhook", async (t) => {
    const receiver = await startReceiver(undefined, { ping: hang });
    t.after(() => receiver.stop());
    await assertMadeAllTheSame(receiver.url, "timeout", null);
  });

  test("that reaches nobody does not refuse the webhook", async () => {
    await assertMadeAllTheSame(await refusedUrl(), "unreachable", null);
  });
});

describe("refused", () => {
  /** Each case: members, and the error that names the member to blame. */
  function refuse(cases, status, expected) {
    for (const [what, members] of Object.entries(cases)) {
      test(what, async () => {
        const workspace = await createWorkspace(relay);
        const error = assertRefused(await create(workspace, members), status, { code: expected.code });
        assert.match(error.field ?? "(no field)", expected.field);
        await assertNoneMade(workspace);
      });
    }
  }

  describe("url", () => {
    refuse(
      {
        "not a URL": { url: "not a url" },
        "an empty one": { url: "" },
        "another scheme": { url: "ftp://hooks.example.com/" },
        "a scheme that runs programs": { url: "javascript:alert(1)" },
        "a user and a password": { url: "https://user:password@hooks.example.com/" },
        "a fragment": { url: "https://hooks.example.com/#here" },
        "more than 2,048 characters": { url: `https://hooks.example.com/${"a".repeat(2_048)}` },
        "a private address": { url: "https://10.0.0.1/" },
        "the address of cloud metadata": { url: "http://169.254.169.254/latest/meta-data/" },
        "a name of one label": { url: "https://intranet/" },
        "a name that only the local network knows": { url: "https://printer.local/" },
      },
      422,
      { code: "invalid_url", field: /^url$/ },
    );
  });

  describe("events", () => {
    refuse(
      {
        "an empty list": { events: [] },
        "an unknown type": { events: ["alert.triggered", "alert.trigered"] },
        "ping, which cannot be selected": { events: ["ping"] },
        "a string": { events: "alert.triggered" },
        "a number among them": { events: [5] },
        none: { events: undefined },
      },
      MALFORMED_OR_REFUSED,
      { field: /^events/ },
    );
  });

  describe("secret", () => {
    const whsec = (bytes) => `whsec_${Buffer.alloc(bytes, 7).toString("base64")}`;
    refuse(
      {
        "7 characters": { secret: "a".repeat(7) },
        "257 characters": { secret: "a".repeat(257) },
        "a space": { secret: "your signing secret" },
        "a letter outside ASCII": { secret: "geheimnisvölle" },
        "a control character": { secret: "secret\u0007secret" },
        "whsec_ with nothing after it": { secret: "whsec_" },
        "whsec_ with 15 bytes": { secret: whsec(15) },
        "whsec_ with 65 bytes": { secret: whsec(65) },
        "whsec_ with something else than base64": { secret: "whsec_this-is-not-standard-base64!!" },
        "whsec_ with base64 of the URL kind": { secret: `whsec_${"-_".repeat(16)}` },
      },
      422,
      { code: "invalid_secret", field: /^secret$/ },
    );

    for (const secret of ["a".repeat(8), "~".repeat(256), whsec(16), whsec(64), "WHSEC_x-is-plain", `!"#$%&'()<>\\`]) {
      test(`but ${secret.length} characters beginning with ${secret.slice(0, 6)} are kept exactly`, async (t) => {
        const { workspace, webhook } = await setUpWebhook(t, relay, undefined, { secret });
        assert.equal(webhook.secret, secret);
        const { body } = await relay.fetch(`/v1/workspaces/${workspace}/webhooks/${webhook.id}/secret`);
        assert.equal(body.secret, secret);
      });
    }
  });

  describe("headers", () => {
    const reserved = [
      "Host",
      "Connection",
      "Transfer-Encoding",
      "TE",
      "Trailer",
      "Upgrade",
      "Expect",
      "Accept-Encoding",
      "User-Agent",
      "X-Forwarded-For",
      "Content-Type",
      "Content-Length",
      "CF-Connecting-IP",
      "Webhook-Id",
      "webhook-signature",
      "X-Secureagentics-Signature",
    ];
    refuse(
      {
        ...Object.fromEntries(reserved.map((name) => [`the name ${name}`, { headers: { [name]: "a" } }])),
        "a name with a space": { headers: { "X Team": "a" } },
        "an empty name": { headers: { "": "a" } },
        "an empty value": { headers: { "X-Team": "" } },
        "a value of 1,025 characters": { headers: { "X-Team": "a".repeat(1_025) } },
        "a value with a line break": { headers: { "X-Team": "a\r\nX-Other: b" } },
        "a value with a letter outside ASCII": { headers: { "X-Team": "blå" } },
        "a value with a space around it": { headers: { "X-Team": " a" } },
        "a number as value": { headers: { "X-Team": 5 } },
        "a list": { headers: ["X-Team"] },
        "eleven of them": { headers: Object.fromEntries(Array.from({ length: 11 }, (_, n) => [`X-H${n}`, "a"])) },
      },
      MALFORMED_OR_REFUSED,
      { field: /^headers/ },
    );

    test("but ten with values of 1,024 characters are sent", async (t) => {
      const headers = Object.fromEntries(Array.from({ length: 10 }, (_, n) => [`X-H${n}`, `${n}`.repeat(1_024)]));
      const { receiver } = await setUpWebhook(t, relay, undefined, { headers });
      for (const [name, value] of Object.entries(headers)) {
        assert.equal(receiver.pings()[0].headers[name.toLowerCase()], value);
      }
    });
  });

  describe("other members", () => {
    refuse(
      {
        "an unknown one": { event: ["alert.triggered"] },
        "one that only the relay sets": { id: "wh_mine" },
        "another that only the relay sets": { failing_since: null },
      },
      400,
      { code: "unknown_field", field: /^(event|id|failing_since)$/ },
    );

    refuse({ "a number as description": { description: 5 } }, MALFORMED_OR_REFUSED, { field: /^description$/ });
    refuse({ "no url": { url: undefined } }, MALFORMED_OR_REFUSED, { field: /^url$/ });
  });
});

test("a workspace has at most 50 webhooks", { timeout: 120_000 }, async () => {
  const workspace = await createWorkspace(relay);
  const answers = await Promise.all(Array.from({ length: MOST_WEBHOOKS }, () => create(workspace)));
  assert.deepEqual(
    answers.map(({ status }) => status),
    Array(MOST_WEBHOOKS).fill(201),
  );
  assertRefused(await create(workspace), 409, { code: "too_many_webhooks" });
  const listed = await relay.fetch(`/v1/workspaces/${workspace}/webhooks`);
  assert.equal(listed.body.data.length, MOST_WEBHOOKS);

  const [{ body: first }] = answers;
  assert.equal(
    (await relay.fetch(`/v1/workspaces/${workspace}/webhooks/${first.id}`, { method: "DELETE" })).status,
    204,
  );
  assert.equal((await create(workspace)).status, 201);
});

describe("without ALLOW_PRIVATE_ENDPOINTS", () => {
  let strict;
  before(async () => (strict = await startRelay({ vars: { ALLOW_PRIVATE_ENDPOINTS: "false" } })));
  after(() => strict?.stop());

  const REFUSED = [
    "http://hooks.example.com/",
    "http://127.0.0.1/",
    "https://127.0.0.1/",
    "https://localhost/",
    "https://[::1]/",
    "https://2130706433/",
    "https://0x7f.1/",
  ];
  for (const url of REFUSED) {
    test(`${url} is refused`, async () => {
      const workspace = await createWorkspace(strict);
      assertRefused(await create(workspace, { url }, strict), 422, { code: "invalid_url", field: "url" });
    });
  }
});
