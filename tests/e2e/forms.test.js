// What HTTP allows and what the relay makes of it: HEAD, encoded bodies, times, ids, secrets, custom headers, and
// answers without a body.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { gzipSync } from "node:zlib";
import { DOCUMENT, resolve } from "../support/contract.js";
import { eventually } from "../support/eventually.js";
import { createWorkspace, postEvent, startRelay } from "../support/relay.js";
import {
  acceptForOne,
  alert,
  answered,
  assertRefused,
  awaitSettled,
  pathOf,
  setUpWebhook,
  startResend,
} from "../support/steps.js";
import { createLink, createVisitor, assertLeadsTo, assertPage, signIn } from "../support/visitor.js";

/** @import { RequestOptions } from "../support/types.d.ts" */

let relay;
before(async () => (relay = await startRelay()));
after(() => relay?.stop());

/** The paths of the document that have one of the methods, filled in with ids (or with the document's own examples). */
function pathsWith(methods, ids = {}) {
  return Object.entries(DOCUMENT.paths).flatMap(([template, item]) => {
    const examples = (item.parameters ?? []).map(resolve).map(({ name, example }) => [name, ids[name] ?? example]);
    const path = examples.reduce((filled, [name, id]) => filled.replace(`{${name}}`, id), template);
    return methods.filter((method) => method in item).map((method) => [method.toUpperCase(), path]);
  });
}

describe("HEAD is answered as GET, without a body,", () => {
  // Different in each answer, or about how the body is sent.
  const OWN = ["date", "x-request-id", "connection", "keep-alive", "content-length", "transfer-encoding"];
  const headersOf = (answer) => Object.fromEntries([...answer.headers].filter(([name]) => !OWN.includes(name)));

  async function assertSameHead(path, /** @type {RequestOptions} */ { token, headers } = {}, status = undefined) {
    const shown = await relay.fetch(path, { token, headers });
    if (status !== undefined) assert.equal(shown.status, status, shown.text);
    const head = await relay.fetch(path, { method: "HEAD", token, headers });
    assert.equal(head.status, shown.status, `HEAD ${path}`);
    assert.equal(head.text, "", path);
    assert.deepEqual(headersOf(head), headersOf(shown), path);
  }

  test("on every path of the API, and on one that does not exist", async (t) => {
    const scene = await setUpWebhook(t, relay);
    const delivery = await acceptForOne(relay, scene.workspace);
    await awaitSettled(relay, scene.workspace, delivery);
    const job = await startResend(relay, scene);
    const ids = {
      workspace_id: scene.workspace,
      webhook_id: scene.webhook.id,
      delivery_id: delivery.id,
      resend_id: job.id,
      event_id: delivery.id,
      name: "agent.error",
    };
    const paths = pathsWith(["get"], ids);
    assert.ok(paths.length > 10);
    for (const [, path] of paths) await assertSameHead(path, {}, 200);
    await assertSameHead("/v1/nothing", {}, 404);
    await assertSameHead(pathOf(scene), { token: null }, 401);
    assertRefused(await relay.fetch(pathOf(scene, "/test")), 405);
    assert.equal((await relay.fetch(pathOf(scene, "/test"), { method: "HEAD" })).status, 405);
  });

  test("on every page, file and document", async (t) => {
    const scene = await setUpWebhook(t, relay);
    const { id } = await acceptForOne(relay, scene.workspace);
    const visitor = await signIn(relay, scene.workspace);
    const page = `/settings/webhooks/${scene.webhook.id}`;
    const signedIn = { token: null, headers: { cookie: visitor.cookie } };
    for (const path of [
      "/settings/webhooks",
      "/settings/webhooks/new",
      page,
      `${page}/delete`,
      `${page}/deliveries/${id}`,
      "/settings/events",
      "/settings/find",
      "/docs",
      "/sign-in",
    ]) {
      await assertSameHead(path, signedIn, 200);
    }
    for (const path of ["/assets/style.css", "/assets/dashboard.js", "/assets/icon.svg"])
      await assertSameHead(path, { token: null }, 200);
    await assertSameHead("/", { token: null }, 302);
    await assertSameHead("/settings/webhooks", { token: null }, 303);
    // With a session and without an Origin, as a browser asks for what it may read.
    await assertSameHead(pathOf(scene), signedIn, 200);
  });

  test("and does not use up a sign-in link", async () => {
    const { token } = await createLink(relay, await createWorkspace(relay));
    const visitor = createVisitor(relay);
    const path = `/sign-in?link=${token}`;
    for (const method of ["HEAD", "GET"]) assert.equal((await visitor.get(path, { method })).status, 200);
    assertLeadsTo(await visitor.post("/sign-in", { link: token }), "/settings/webhooks");
  });
});

describe("a body with Content-Encoding is refused", () => {
  const headers = { "content-encoding": "gzip" };

  test("by every call that can have a body", async () => {
    for (const [method, path] of pathsWith(["post", "put", "patch", "delete"])) {
      const answer = await relay.fetch(path, { method, headers, body: gzipSync("{}") });
      const { message } = assertRefused(answer, 415, { code: "unsupported_media_type" });
      assert.match(message, /Content-Encoding/);
    }
  });

  test("by every form, and no event of it is stored", async (t) => {
    const scene = await setUpWebhook(t, relay);
    const visitor = await signIn(relay, scene.workspace);
    const page = `/settings/webhooks/${scene.webhook.id}`;
    for (const path of ["/sign-in", "/settings/webhooks/new", page, `${page}/delete`, `${page}/test`])
      assert.match(assertPage(await visitor.post(path, {}, { headers }), 415), /Content-Encoding/);
    assertRefused(
      await relay.fetch(`/v1/workspaces/${scene.workspace}/events`, { method: "POST", headers, body: alert() }),
      415,
    );
    answered(await relay.fetch(pathOf(scene)), 200);
    assert.deepEqual(scene.receiver.events(), []);
  });
});

test("an event_id that cannot stand in a path is refused, and one that only looks so is not", async (t) => {
  const { workspace } = await setUpWebhook(t, relay);
  for (const id of [".", ".."]) {
    const { message } = assertRefused(await postEvent(relay, workspace, [alert(), alert({ event_id: id })]), 422, {
      code: "invalid_event_id",
      field: "[1].event_id",
    });
    assert.match(message, /neither \. nor \.\./);
  }
  for (const id of ["...", ".a", "a..", "-"]) {
    await acceptForOne(relay, workspace, alert({ event_id: id }));
    const path = `/v1/workspaces/${workspace}/events/${encodeURIComponent(id)}`;
    assert.equal(answered(await relay.fetch(path), 200).event_id, id);
  }
});

describe("a timestamp", () => {
  test("of any form that RFC 3339 allows is sent on as posted", async (t) => {
    const { workspace, receiver } = await setUpWebhook(t, relay);
    for (const timestamp of [
      "2026-01-15t10:30:00z",
      "2026-01-15T10:30:00-00:00",
      "2026-01-15T10:30:00.123456789012345678Z",
      "2026-01-15T10:30:00+23:59",
      "2016-12-31T23:59:60Z",
      "1990-12-31T15:59:60.5-08:00",
      "0000-01-01T00:00:00Z",
      "9999-12-31T23:59:59.999Z",
      "2024-02-29T00:00:00Z",
    ]) {
      const { id } = await acceptForOne(relay, workspace, alert({ timestamp }));
      const { text } = await eventually(() => receiver.attemptsOf(id)[0]);
      assert.ok(text.includes(`"timestamp":"${timestamp}"`), text);
    }
  });

  test("that does not exist is refused", async () => {
    const workspace = await createWorkspace(relay);
    for (const timestamp of [
      "2026-01-15T10:30:60Z",
      "2026-06-30T23:59:60Z",
      "2016-12-31T23:59:60-08:00",
      "2016-12-31T23:59:61Z",
      "2026-02-29T00:00:00Z",
      "2026-01-15T10:30:00+24:00",
      "2026-01-15T10:30:00",
      "2026-01-15 10:30:00Z",
    ]) {
      const answer = await postEvent(relay, workspace, alert({ timestamp }));
      assertRefused(answer, 422, { code: "invalid_timestamp", field: "timestamp" });
    }
  });
});

describe("custom headers", () => {
  // What fetch, HTTP libraries or proxies know, beside names that nobody does.
  const NAMES = [
    ..."Accept Accept-Charset Accept-Language Access-Control-Request-Method Age Allow Alt-Svc Authorization".split(" "),
    ..."Cache-Control Cookie Date Digest DNT DPoP ETag Expires From If-Match If-Modified-Since Link Location".split(
      " ",
    ),
    ..."Max-Forwards Origin Pragma Priority Range Referer Refresh Retry-After Sec-Fetch-Mode Sec-GPC".split(" "),
    ..."Sec-WebSocket-Extensions Sec-WebSocket-Key Sec-WebSocket-Protocol Server Signature Traceparent".split(" "),
    ..."Vary Warning WWW-Authenticate X-Api-Key X-Request-Id X-Team __proto__ constructor 1 007 !#$%&'*+.^_`|~".split(
      " ",
    ),
  ];
  const VALUES = ["a", 'a  b, "c"; d=e\\', "~".repeat(1_024)];

  test("that are accepted arrive at the endpoint exactly", async (t) => {
    const workspace = await createWorkspace(relay);
    for (let first = 0; first < NAMES.length; first += 10) {
      const names = NAMES.slice(first, first + 10);
      const headers = Object.fromEntries(names.map((name, number) => [name, VALUES[number % VALUES.length]]));
      const { receiver } = await setUpWebhook(t, relay, undefined, { workspace, headers });
      const [ping] = receiver.pings();
      const arrived = ping.rawHeaders.map(([name, value]) => [name.toLowerCase(), value]);
      for (const [name, value] of Object.entries(headers)) {
        const found = arrived.filter(([other]) => other === name.toLowerCase());
        assert.deepEqual(found, [[name.toLowerCase(), value]], name);
      }
    }
  });

  test("that the relay, the transport or a proxy would change are refused", async (t) => {
    const { workspace, receiver } = await setUpWebhook(t, relay);
    for (const name of [
      ..."Host Connection Keep-Alive Via Forwarded CDN-Loop X-Real-IP True-Client-IP X-HTTP-Method-Override".split(" "),
      ..."Set-Cookie Transfer-Encoding TE Trailer Upgrade Expect Accept-Encoding User-Agent Content-Type".split(" "),
      ..."Content-Length Proxy-Authorization Proxy-Connection X-Forwarded-For CF-Ray CF-Worker Webhook-Id".split(" "),
      ..."Webhook-Signature X-Secureagentics-Attempt".split(" "),
    ]) {
      const body = { url: receiver.url, events: ["agent.error"], headers: { [name]: "a" } };
      const answer = await relay.fetch(`/v1/workspaces/${workspace}/webhooks`, { method: "POST", body });
      assertRefused(answer, 422, { code: "invalid_header", field: "headers" });
    }
  });

  test("name what the webhook accepts, which is anything unless they say otherwise", async (t) => {
    const plain = await setUpWebhook(t, relay);
    assert.equal(plain.receiver.pings()[0].headers.accept, "*/*");
    const { id } = await acceptForOne(relay, plain.workspace);
    assert.equal((await eventually(() => plain.receiver.attemptsOf(id)[0])).headers.accept, "*/*");
    assert.equal(plain.webhook.ping.request.headers.accept, "*/*");
    const own = await setUpWebhook(t, relay, undefined, { headers: { Accept: "text/plain" } });
    assert.equal(own.receiver.pings()[0].headers.accept, "text/plain");
  });
});

test("an endpoint's empty answer is never shown as cut", async (t) => {
  const empty = {
    "with a length": [200, { "content-length": "0" }],
    "in chunks": [200, { "transfer-encoding": "chunked" }],
    "said to be compressed": [200, { "content-encoding": "gzip", "content-length": "0" }],
    "compressed, in chunks": [200, { "content-encoding": "gzip", "transfer-encoding": "chunked" }],
    "compressed in another way": [500, { "content-encoding": "br", "content-length": "0" }],
    "of a status without a body": [204, { "content-encoding": "gzip" }],
    "that resets a form": [205, {}],
    "not modified": [304, { "content-length": "1000" }],
  };
  for (const [what, [status, headers]] of Object.entries(empty)) {
    const answer = () => (response) => response.writeHead(status, headers).end();
    const { webhook } = await setUpWebhook(t, relay, undefined, { ping: answer });
    const [attempt] = webhook.ping.attempts;
    assert.equal(attempt.response_status, status, what);
    assert.deepEqual([attempt.response_body, attempt.response_truncated], ["", false], what);
  }
});

describe("a mistake in what was pasted is said:", () => {
  test("a secret with the version of its signatures before it", async (t) => {
    const scene = await setUpWebhook(t, relay);
    const secret = `v1,whsec_${Buffer.alloc(24, 7).toString("base64")}`;
    const body = { url: scene.receiver.url, events: ["agent.error"], secret };
    const made = await relay.fetch(`/v1/workspaces/${scene.workspace}/webhooks`, { method: "POST", body });
    const rotated = await relay.fetch(pathOf(scene, "/secret/rotate"), { method: "POST", body: { secret } });
    for (const answer of [made, rotated]) {
      const { message } = assertRefused(answer, 422, { code: "invalid_secret", field: "secret" });
      assert.match(message, /without the "v1," .* begins with whsec_/);
    }
    const visitor = await signIn(relay, scene.workspace);
    const fields = { url: scene.receiver.url, events: "agent.error", secret };
    const html = assertPage(await visitor.post("/settings/webhooks/new", fields), 422);
    assert.match(html, /begins with whsec_/);
  });

  test("an invisible character in a URL", async () => {
    const workspace = await createWorkspace(relay);
    for (const [url, named] of [
      ["https://hooks.example.com/\u200babc", "U+200B"],
      ["https://hooks\u00ad.example.com/", "U+00AD"],
      ["\ufeffhttps://hooks.example.com/", "U+FEFF"],
      ["https://hooks.example.com/?a=\u202eb", "U+202E"],
      ["https://hooks.example.com/a\u{e0041}", "U+E0041"],
    ]) {
      const body = { url, events: ["agent.error"] };
      const answer = await relay.fetch(`/v1/workspaces/${workspace}/webhooks`, { method: "POST", body });
      const { message } = assertRefused(answer, 422, { code: "invalid_url", field: "url" });
      assert.ok(message.includes(named), message);
    }
  });
});
