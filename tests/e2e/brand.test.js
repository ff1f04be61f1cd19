// Whose product it is: name, header names, colour, logo and support are settings, and no other name is left anywhere.
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { after, before, describe, test } from "node:test";
import { Webhook as SvixWebhook } from "svix";
import { eventually } from "../support/eventually.js";
import { answerWith } from "../support/receiver.js";
import { createWebhook, createWorkspace, startRelay } from "../support/relay.js";
import {
  acceptForOne,
  alert,
  answered,
  assertRefused,
  awaitDelivery,
  awaitSettled,
  pathOf,
  setUpWebhook,
} from "../support/steps.js";
import { assertPage, createVisitor, signIn } from "../support/visitor.js";

// A PNG of one pixel.
const LOGO = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==";
const BRAND = {
  PRODUCT_NAME: "Acme & Co",
  HEADER_PREFIX: "X-Acme",
  STANDARD_HEADERS: "svix",
  ACCENT_COLOR: "#ffde00",
  LOGO,
  SUPPORT_URL: "https://acme.example/help?from=webhooks&a=b",
};
const SECRET = "whsec_GBkaGxwdHh8gISIjJCUmJygpKissLS4v";
const DEFAULT_NAME = /secureagentics/i;
// Headers that every HTTP client adds.
const OF_THE_CLIENT = ["host", "content-length", "connection", "accept-encoding", "cf-worker"];

const ownNames = ({ headers }) =>
  Object.keys(headers)
    .filter((name) => !OF_THE_CLIENT.includes(name))
    .sort();

describe("a relay of another brand", () => {
  let relay;
  before(async () => (relay = await startRelay({ vars: BRAND })));
  after(() => relay?.stop());

  async function receive(t, settings) {
    const scene = await setUpWebhook(t, relay, undefined, { secret: SECRET, ...settings });
    const { id } = await acceptForOne(relay, scene.workspace);
    return { ...scene, id, request: await eventually(() => scene.receiver.attemptsOf(id)[0]) };
  }

  test("sends its own header names and its own User-Agent, and no other sender's", async (t) => {
    const { request, receiver, id } = await receive(t);
    const { version } = answered(await relay.fetch("/healthz"), 200);
    for (const sent of [request, ...receiver.pings()])
      assert.deepEqual(ownNames(sent), [
        "accept",
        "content-type",
        "svix-id",
        "svix-signature",
        "svix-timestamp",
        "user-agent",
        "x-acme-attempt",
        "x-acme-event",
        "x-acme-signature",
      ]);
    const { headers, body } = request;
    assert.equal(headers["user-agent"], `AcmeCo-Webhooks/${version}`);
    assert.deepEqual([headers["x-acme-event"], headers["x-acme-attempt"]], ["alert.triggered", "1"]);
    assert.equal(headers["x-acme-signature"], createHmac("sha256", SECRET).update(body).digest("hex"));
    assert.equal(headers["svix-id"], id);
  });

  test("is verified by the package svix, as receivers of a sender with Svix have it", async (t) => {
    const { request } = await receive(t);
    const { headers, text } = request;
    assert.ok(!Object.keys(headers).some((name) => name.startsWith("webhook-")));
    new SvixWebhook(SECRET).verify(text, headers);
    const other = new SvixWebhook(`whsec_${Buffer.alloc(24, 7).toString("base64")}`);
    assert.throws(() => other.verify(text, headers), /No matching signature/);
  });

  test("refuses what comes from its own webhooks, and says by which header", async () => {
    const { message } = assertRefused(await relay.fetch("/healthz", { headers: { "X-Acme-Attempt": "1" } }), 508, {
      code: "loop_detected",
    });
    assert.match(message, /X-Acme-Attempt/);
    for (const name of ["x-secureagentics-attempt", "x-acme-event", "svix-id"])
      answered(await relay.fetch("/healthz", { headers: { [name]: "1" } }), 200);
  });

  test("keeps its names, and those of either standard, from custom headers", async (t) => {
    const scene = await setUpWebhook(t, relay);
    const visitor = await signIn(relay, scene.workspace);
    for (const name of ["X-Acme-Team", "x-acme-event", "Svix-Id", "webhook-id"]) {
      const answer = await relay.fetch(pathOf(scene), { method: "PATCH", body: { headers: { [name]: "a" } } });
      assertRefused(answer, 422, { code: "invalid_header", field: "headers" });
      const form = { url: scene.receiver.url, events: "alert.triggered", headers: `${name}: a` };
      assert.match(assertPage(await visitor.post("/settings/webhooks/new", form), 422), /cannot be set/);
    }
    const body = { headers: { "X-Secureagentics-Team": "a", "X-Acmes": "b" } };
    answered(await relay.fetch(pathOf(scene), { method: "PATCH", body }), 200);
  });

  test("shows its own name on every page, and nobody else's", async (t) => {
    const { workspace, webhook, id } = await receive(t);
    const visitor = await signIn(relay, workspace);
    const path = `/settings/webhooks/${webhook.id}`;
    for (const page of [
      "/docs",
      "/sign-in",
      "/settings/webhooks",
      "/settings/webhooks/new",
      path,
      `${path}?chart=7d`,
      `${path}/delete`,
      `${path}/deliveries/${id}`,
      `/settings/events?id=${id}`,
    ]) {
      const html = assertPage(await visitor.get(page));
      assert.doesNotMatch(html, DEFAULT_NAME, page);
      assert.match(html, / · Acme &#38; Co<\/title>/, page);
      assert.match(html, /<a href="https:\/\/acme\.example\/help\?from=webhooks&#38;a=b"[^>]*>Support<\/a>/, page);
      assert.match(html, /<link rel="stylesheet" href="\/assets\/theme\.css\?accent=ffde00">/, page);
      assert.match(html, /<img class="logo" src="\/assets\/logo\?[0-9a-f]{16}" alt="">/, page);
    }
    const missing = assertPage(await visitor.get("/settings/nothing"), 404);
    assert.doesNotMatch(missing, DEFAULT_NAME);
    const looped = assertPage(await createVisitor(relay).get("/docs", { headers: { "x-acme-attempt": "1" } }), 508);
    assert.match(looped, / · Acme &#38; Co<\/title>/);
  });

  test("documents its own header names, to customers and to producers", async () => {
    const { text } = await relay.fetch("/docs", { token: null });
    for (const name of [
      "X-Acme-Event",
      "X-Acme-Attempt",
      "X-Acme-Signature",
      "svix-id",
      "svix-timestamp",
      "svix-signature",
    ])
      assert.ok(text.includes(`<tr><td><code>${name}</code></td>`), name);
    assert.doesNotMatch(text, /webhook-(id|timestamp|signature)/);
    assert.match(text, /request\.headers\.get\(&#34;X-Acme-Signature&#34;/);
    assert.match(text, /from svix\.webhooks import Webhook/);
    const document = await relay.fetch("/openapi.json", { token: null });
    assert.doesNotMatch(document.text, DEFAULT_NAME);
    assert.match(document.body.info.description, /the webhooks of Acme & Co/);
    assert.deepEqual(document.body.info["x-delivery"], {
      user_agent: "AcmeCo-Webhooks",
      header_prefix: "X-Acme",
      standard_headers: "svix",
    });
  });

  test("serves its logo and its colours from its own origin, and lets browsers keep them", async () => {
    const { text, headers: policy } = await relay.fetch("/docs", { token: null });
    assert.doesNotMatch(policy.get("content-security-policy"), /data:|unsafe/);
    const [address] = text.match(/\/assets\/logo\?[0-9a-f]{16}/);
    const response = await relay.dispatch(`${relay.origin}${address}`, {});
    assert.equal(response.status, 200);
    assert.deepEqual(Buffer.from(await response.arrayBuffer()), Buffer.from(LOGO, "base64"));
    assert.equal(response.headers.get("content-type"), "image/png");
    assert.equal(response.headers.get("x-content-type-options"), "nosniff");
    assert.match(response.headers.get("cache-control"), /immutable/);
    const unaddressed = await relay.dispatch(`${relay.origin}/assets/logo?another`, {});
    assert.equal(unaddressed.headers.get("cache-control"), "no-cache");
    await unaddressed.arrayBuffer();

    const theme = await relay.fetch("/assets/theme.css?accent=ffde00", { token: null });
    assert.equal(theme.headers.get("content-type"), "text/css; charset=utf-8");
    assert.match(theme.headers.get("cache-control"), /^public, max-age=\d+$/);
    assert.match(theme.text, /--accent: #[0-9a-f]{6};/);
    assert.match(theme.text, /prefers-color-scheme: dark\) \{ :root \{ --accent: #ffde00;/);
    for (const query of ["?accent=red", "?accent=ffde00;}body{}", "?other=ffde00"])
      assertPage(await relay.fetch(`/assets/theme.css${query}`, { token: null }), 404);
  });
});

test("the relay's own headers win over custom ones that were saved under another brand", async (t) => {
  const relay = await startRelay();
  t.after(() => relay.stop());
  const headers = { "X-Acme-Event": "mine", "x-acme-signature": "mine", "X-Team": "a" };
  const scene = await setUpWebhook(t, relay, undefined, { headers });
  await relay.restart({ vars: { HEADER_PREFIX: "X-Acme" } });
  const { id } = await acceptForOne(relay, scene.workspace);
  const request = await eventually(() => scene.receiver.attemptsOf(id)[0]);
  assert.equal(request.headers["x-acme-event"], "alert.triggered");
  assert.match(request.headers["x-acme-signature"], /^[0-9a-f]{64}$/);
  assert.equal(request.headers["x-team"], "a");
  const answer = await relay.fetch(pathOf(scene, "/test"), { method: "POST", body: { type: "agent.error" } });
  const shown = answered(answer, 200).request.headers;
  assert.equal(shown["x-acme-event"], "agent.error");
  assert.equal(answer.text.match(/"x-acme-event"/gi).length, 1);
});

test("both families of names carry the same values", async (t) => {
  const relay = await startRelay({ vars: { STANDARD_HEADERS: "webhook,svix" } });
  t.after(() => relay.stop());
  const scene = await setUpWebhook(t, relay, answerWith(200), { secret: SECRET });
  const { id } = await acceptForOne(relay, scene.workspace);
  const { headers } = await eventually(() => scene.receiver.attemptsOf(id)[0]);
  for (const end of ["id", "timestamp", "signature"]) {
    assert.ok(headers[`webhook-${end}`]);
    assert.equal(headers[`svix-${end}`], headers[`webhook-${end}`]);
  }
  const { text } = await relay.fetch("/docs", { token: null });
  for (const family of ["webhook", "svix"]) assert.ok(text.includes(`<tr><td><code>${family}-id</code></td>`));
});

test("without a logo there is none, and the page has a sign of its own", async (t) => {
  const relay = await startRelay();
  t.after(() => relay.stop());
  const html = assertPage(await relay.fetch("/docs", { token: null }));
  assert.match(html, / · Secureagentics<\/title>/);
  assert.match(html, /href="\/assets\/theme\.css\?accent=4338ca"/);
  assert.doesNotMatch(html, /<img|>Support</);
  assertPage(await relay.fetch("/assets/logo", { token: null }), 404);
});

test("a value that does not parse is an error on every request, which names it and says what is allowed", async (t) => {
  const relay = await startRelay();
  t.after(() => relay.stop());
  const workspace = await createWorkspace(relay);
  await createWebhook(relay, workspace, { url: "http://127.0.0.1:9/" });
  const svg = Buffer.from("<svg xmlns='http://www.w3.org/2000/svg'/>").toString("base64");
  for (const [variable, value, allowed] of [
    ["PRODUCT_NAME", "Acme <b>", /1 to 40 characters/],
    ["HEADER_PREFIX", "X-Forwarded", /such as X-Acme/],
    ["HEADER_PREFIX", "Acme", /such as X-Acme/],
    ["STANDARD_HEADERS", "svix,webhook", /webhook, svix, or webhook,svix/],
    ["ACCENT_COLOR", "#fd0", /such as #4338ca/],
    ["LOGO", svg, /PNG or WebP/],
    ["SUPPORT_URL", "javascript:alert(1)", /https:\/\/example\.com\/support/],
  ]) {
    await relay.restart({ vars: { [/** @type {string} */ (variable)]: value } });
    for (const [path, init] of /** @type {[string, object?][]} */ ([
      ["/healthz"],
      ["/v1/workspaces"],
      [`/v1/workspaces/${workspace}/events`, { method: "POST", body: alert() }],
    ])) {
      const { message } = assertRefused(await relay.fetch(path, init), 500, { code: "misconfigured" });
      assert.ok(message.includes(`${variable} is "${value}"`), message);
      assert.match(message, /** @type {RegExp} */ (allowed));
    }
    // Whose product it is cannot be known, so the page names nobody.
    const page = assertPage(await relay.fetch("/docs", { token: null }), 500);
    assert.match(page, new RegExp(`${variable}`));
    assert.doesNotMatch(page, DEFAULT_NAME);
  }
});

test("an event that was accepted under one brand is retried under another", async (t) => {
  const vars = { RETRY_SCHEDULE: "3s" };
  const relay = await startRelay({ vars });
  t.after(() => relay.stop());
  const scene = await setUpWebhook(t, relay, answerWith(500), { secret: SECRET });
  const entry = await acceptForOne(relay, scene.workspace);
  await awaitDelivery(relay, scene.workspace, entry, ({ attempts }) => attempts.length === 1);
  await relay.restart({ vars: { ...vars, HEADER_PREFIX: "X-Acme" } });
  await awaitSettled(relay, scene.workspace, entry);
  const [first, second] = scene.receiver.attemptsOf(entry.id);
  assert.equal(first.headers["x-secureagentics-attempt"], "1");
  assert.equal(second.headers["x-acme-attempt"], "2");
  assert.equal(second.text, first.text);
});
