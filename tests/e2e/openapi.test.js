// The OpenAPI document is served, the routes are its paths and methods, and an answer that violates it is noticed.
//
// Every test checks the form of each answer: see support/contract.js.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { DOCUMENT, checkAnswer, documentedMethods, operationOf, resolve, validate } from "../support/contract.js";
import { startRelay } from "../support/relay.js";
import { assertRefused } from "../support/steps.js";

// The worker crate does not know QUERY and would treat it as GET.
const METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY"];

let relay;
before(async () => (relay = await startRelay()));
after(() => relay?.stop());

/** A path of the document with its own example ids, none of which exists. */
function fillIn(template) {
  const examples = (DOCUMENT.paths[template].parameters ?? [])
    .map(resolve)
    .map(({ name, example }) => [`{${name}}`, example]);
  return examples.reduce((filled, [name, example]) => filled.replace(name, example), template);
}

test("the document is served to anyone, exactly as in the sources", async () => {
  const answer = await relay.fetch("/openapi.json", { token: null });
  assert.equal(answer.status, 200, answer.text);
  assert.deepEqual(answer.body, DOCUMENT);
});

describe("each schema of the document", () => {
  for (const [name, { examples = [] }] of Object.entries(DOCUMENT.components.schemas)) {
    test(`${name} can be checked, and its examples are valid`, () => {
      for (const example of examples) assert.deepEqual(validate(`/components/schemas/${name}`, example), []);
      // No schema allows undefined: that it refuses it shows that it compiles.
      assert.notDeepEqual(validate(`/components/schemas/${name}`, undefined), []);
    });
  }
});

describe("each path of the document", () => {
  for (const template of Object.keys(DOCUMENT.paths)) {
    const documented = documentedMethods(template);
    test(`${template} accepts ${documented} and no other method`, async () => {
      for (const method of METHODS) {
        // A call that needs a body stores nothing without one.
        const answer = await relay.fetch(fillIn(template), { method });
        if (documented.includes(method)) {
          assert.notEqual(answer.status, 405, `${method}: ${answer.text}`);
          assert.notEqual(answer.body?.error?.message, "there is no such page", method);
        } else {
          // An answer to HEAD has no body to say it in.
          if (method === "HEAD") assert.equal(answer.status, 405);
          else assertRefused(answer, 405, { code: "method_not_allowed" });
          assert.deepEqual(answer.headers.get("allow").split(", ").sort(), documented.toSorted());
        }
      }
    });
  }

  test("needs a token, unless it is public", async () => {
    for (const template of Object.keys(DOCUMENT.paths)) {
      for (const method of documentedMethods(template)) {
        const isPublic = operationOf(template, method).security.length === 0;
        const answer = await relay.fetch(fillIn(template), { method, token: null });
        assert.equal(answer.status === 401, !isPublic, `${method} ${template}: ${answer.status} ${answer.text}`);
      }
    }
  });
});

describe("an answer that violates the document is noticed:", () => {
  const HEADERS = { "content-type": "application/json", "x-request-id": "1" };
  /**
   * @typedef {{ method: string, pathname: string, status?: number, headers?: Record<string, string>, body?: object }}
   *   Given
   */
  const HEALTHY = { method: "GET", pathname: "/healthz", body: { status: "ok", version: "1" } };

  /**
   * Checks an answer that is as the document has it but for what is given.
   * @param {Given} given
   */
  function check({ method, pathname, status = 200, headers = HEADERS, body }) {
    const text = body === undefined ? "" : JSON.stringify(body);
    checkAnswer({ method, pathname }, { status, headers: new Headers(headers), text, body });
  }

  test("and one that matches it is not", () => {
    check(HEALTHY);
    check({ method: "DELETE", pathname: "/v1/workspaces/ws_a", status: 204, headers: { "x-request-id": "1" } });
    check({ method: "GET", pathname: "/settings/webhooks", headers: { "content-type": "text/html" } });
  });

  const refusal = (code) => ({ error: { code, message: "no" } });
  /** @type {Record<string, [change: Partial<Given>, message: RegExp]>} */
  const OFF = {
    "a status": [{ status: 201 }, /no status 201/],
    "a missing member": [{ body: { status: "ok" } }, /version/],
    "an undocumented member": [{ body: { status: "ok", version: "1", uptime: 1 } }, /uptime/],
    "a value": [{ body: { status: "fine", version: "1" } }, /\/status/],
    "a media type": [{ headers: { ...HEADERS, "content-type": "text/plain" } }, /text\/plain/],
    "a missing header": [{ headers: { "content-type": "application/json" } }, /X-Request-Id is missing/],
    "a code under another status": [{ status: 500, body: refusal("not_found") }, /code/],
    "an undocumented body": [{ method: "DELETE", pathname: "/v1/workspaces/ws_a", status: 204 }, /no body/],
    "a path that answers": [{ pathname: "/v1/secret-door" }, /no such operation/],
    "a method that answers": [{ method: "PUT" }, /no such operation/],
    "an Allow": [
      { method: "PUT", status: 405, headers: { ...HEADERS, allow: "GET, PATCH" }, body: refusal("method_not_allowed") },
      /Allow/,
    ],
    "a Retry-After": [
      { status: 429, headers: { ...HEADERS, "retry-after": "soon" }, body: refusal("rate_limited") },
      /Retry-After is "soon"/,
    ],
  };
  for (const [what, [change, message]] of Object.entries(OFF)) {
    test(what, () => assert.throws(() => check({ ...HEALTHY, ...change }), message));
  }
});
