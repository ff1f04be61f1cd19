// What every request passes before its route, whichever it is: no attempt of a webhook, https alone in production; and
// what every answer carries.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { DOCUMENT, resolve } from "../support/contract.js";
import { createWorkspace, postEvent, startRelay } from "../support/relay.js";
import {
  acceptForOne,
  answered,
  assertRefused,
  awaitDelivery,
  awaitSettled,
  changeWebhook,
  pathOf,
  readDelivery,
  setUpWebhook,
} from "../support/steps.js";
import { assertPage, createVisitor } from "../support/visitor.js";

const METHODS = ["get", "post", "put", "patch", "delete"];
const PAGES = [
  "/",
  "/sign-in",
  "/sign-out",
  "/docs",
  "/settings/webhooks",
  "/settings/webhooks/new",
  "/settings/events",
  "/settings/find",
];

/** Every operation of the document, its path filled in with the document's own examples. */
const OPERATIONS = Object.entries(DOCUMENT.paths).flatMap(([template, item]) => {
  const examples = (item.parameters ?? []).map(resolve);
  const path = examples.reduce((filled, { name, example }) => filled.replace(`{${name}}`, example), template);
  return METHODS.filter((method) => method in item).map((method) => [method.toUpperCase(), path]);
});

describe("a request with the header of an attempt", () => {
  let relay;
  before(async () => (relay = await startRelay()));
  after(() => relay?.stop());

  const headers = { "x-secureagentics-attempt": "1" };

  test("is refused on every route", async () => {
    for (const [method, path] of [...OPERATIONS, ["GET", "/v1/nothing"]]) {
      const answer = await relay.dispatch(`${relay.origin}${path}`, { method, headers, redirect: "manual" });
      assert.equal(answer.status, 508, `${method} ${path}`);
      assert.equal(/** @type {any} */ (await answer.json()).error.code, "loop_detected");
    }
    for (const [method, path] of OPERATIONS)
      assertRefused(await relay.fetch(path, { method, headers }), 508, { code: "loop_detected" });
    const visitor = createVisitor(relay);
    for (const path of [...PAGES, "/assets/style.css"]) assertPage(await visitor.get(path, { headers }), 508);
    for (const path of ["/sign-in", "/sign-out", "/settings/webhooks/new"])
      assertPage(await visitor.post(path, {}, { headers }), 508);
  });

  test("is no request with another header of that kind", async () => {
    for (const name of ["x-secureagentics-event", "x-secureagentics-attempts", "x-attempt", "webhook-id"])
      answered(await relay.fetch("/healthz", { headers: { [name]: "1" } }), 200);
  });

  test("ends two webhooks that resend each other's deliveries", async (t) => {
    const workspace = await createWorkspace(relay);
    const authorization = `Bearer ${relay.operatorToken}`;
    const one = await setUpWebhook(t, relay, undefined, { workspace, events: ["alert.triggered"] });
    const other = await setUpWebhook(t, relay, undefined, { workspace, events: ["agent.error"] });
    const first = await acceptForOne(relay, workspace);
    const second = await acceptForOne(relay, workspace, { type: "agent.error", data: {} });
    for (const entry of [first, second]) await awaitSettled(relay, workspace, entry);
    const resendOf = (scene, { id }) => pathOf(scene, `/deliveries/${id}/resend`);
    const turn = async (scene, path) =>
      changeWebhook(relay, scene, { url: `${relay.origin}${path}`, headers: { Authorization: authorization } });
    await turn(one, resendOf(other, second));
    await turn(other, resendOf(one, first));

    answered(await relay.fetch(resendOf(one, first), { method: "POST" }), 202);
    const isOver = ({ status, attempts }) => status === "failed" && attempts.length === 7;
    const { attempts } = await awaitDelivery(relay, workspace, first, isOver);
    assert.deepEqual(
      attempts.slice(1).map(({ response_status: status }) => status),
      Array(6).fill(508),
    );
    assert.equal((await readDelivery(relay, workspace, second)).attempt_count, 1);
  });
});

describe("in production", () => {
  const HOST = "relay.example.com";
  let relay;
  before(async () => (relay = await startRelay({ vars: { ALLOW_PRIVATE_ENDPOINTS: "false" }, isolated: true })));
  after(() => relay?.stop());

  /** The answer to a request at exactly this URL. */
  async function ask(url, init = {}) {
    const answer = await relay.dispatch(url, { redirect: "manual", ...init });
    return { status: answer.status, headers: answer.headers, text: await answer.text() };
  }

  test("what reads over plain http is redirected to https, without its port", async () => {
    const paths = OPERATIONS.filter(([method]) => method === "GET").map(([, path]) => path);
    for (const path of [...paths, ...PAGES, "/v1/nothing?a=%2F&b", "/assets/style.css?1"]) {
      for (const method of ["GET", "HEAD"]) {
        for (const host of [HOST, `${HOST}:8080`]) {
          const { status, headers, text } = await ask(`http://${host}${path}`, { method });
          assert.deepEqual([status, text], [308, ""], `${method} ${path}`);
          assert.equal(headers.get("location"), `https://${HOST}${path}`);
          assert.equal(headers.get("strict-transport-security"), null, "browsers ignore it over http");
        }
      }
    }
  });

  test("what writes over plain http is refused, and does nothing", async () => {
    const authorization = `Bearer ${relay.operatorToken}`;
    const headers = { authorization, "content-type": "application/json" };
    const body = JSON.stringify({ id: "ws_overhttp", name: "Test" });
    const answer = await ask(`http://${HOST}/v1/workspaces`, { method: "POST", headers, body });
    assert.equal(answer.status, 403, answer.text);
    const { error } = JSON.parse(answer.text);
    assert.equal(error.code, "https_required");
    assert.match(error.message, /https/);
    assertRefused(await relay.fetch("/v1/workspaces/ws_overhttp"), 404);
    for (const [method, path] of OPERATIONS.filter(([method]) => method !== "GET"))
      assert.equal((await ask(`http://${HOST}${path}`, { method, headers: { authorization } })).status, 403);
    const form = { method: "POST", headers: { "content-type": "application/x-www-form-urlencoded" }, body: "key=a" };
    const page = await ask(`http://${HOST}/sign-in`, form);
    assert.equal(page.status, 403);
    assert.match(page.headers.get("content-type"), /^text\/html/);
    assert.match(page.text, /https/);
  });

  test("every answer over https tells browsers to use https only", async () => {
    const workspace = await createWorkspace(relay);
    for (const path of [...PAGES, "/healthz", "/openapi.json", "/v1/nothing", `/v1/workspaces/${workspace}/webhooks`]) {
      const { headers } = await relay.fetch(path);
      assert.equal(headers.get("strict-transport-security"), "max-age=31536000", path);
    }
    const accepted = await postEvent(relay, workspace, { type: "agent.error", data: {} });
    assert.equal(accepted.status, 202, accepted.text);
    assert.equal(accepted.headers.get("strict-transport-security"), "max-age=31536000");
  });
});

describe("every answer", () => {
  let relay;
  before(async () => (relay = await startRelay()));
  after(() => relay?.stop());

  const assertProtected = ({ headers }, what, cache = "no-store") => {
    const found = (name) => headers.get(name);
    assert.equal(found("x-content-type-options"), "nosniff", what);
    assert.equal(found("cross-origin-opener-policy"), "same-origin", what);
    assert.equal(found("cross-origin-resource-policy"), "same-origin", what);
    assert.equal(found("cache-control"), cache, what);
    assert.equal(found("strict-transport-security"), null, `${what}: not in development`);
  };

  test("is kept by nobody, guessed at by no browser, and shared with no other site", async (t) => {
    const scene = await setUpWebhook(t, relay);
    for (const [method, path] of OPERATIONS.filter(([, path]) => path !== "/openapi.json"))
      assertProtected(await relay.fetch(path, { method }), `${method} ${path}`);
    for (const path of [pathOf(scene), pathOf(scene, "/secret"), "/v1/nothing"])
      assertProtected(await relay.fetch(path), path);
    assertProtected(await relay.fetch(pathOf(scene), { token: null }), "401");
    assertProtected(await relay.fetch(pathOf(scene), { method: "PUT" }), "405");
    assertProtected(await relay.fetch(pathOf(scene), { method: "DELETE" }), "204");
    const visitor = createVisitor(relay);
    for (const path of [...PAGES, "/settings/nothing"]) assertProtected(await visitor.get(path), path);
  });

  test("is cached only where it is a public document or file", async () => {
    assertProtected(await relay.fetch("/openapi.json"), "document", "public, max-age=300");
    const { text } = await relay.fetch("/docs");
    const [, style] = text.match(/"(\/assets\/style\.css\?[^"]+)"/);
    assertProtected(await relay.fetch(style), "style", "public, max-age=31536000, immutable");
    assertProtected(await relay.fetch("/assets/style.css"), "style without its hash", "no-cache");
  });
});
