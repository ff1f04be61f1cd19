// How the relay refuses, on every operation of its OpenAPI document, so that none can be forgotten.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { requestRaw } from "../support/raw_request.js";
import { startReceiver } from "../support/receiver.js";
import { createWebhook, createWorkspace, startRelay } from "../support/relay.js";
import { answered, assertRefused } from "../support/steps.js";

const LARGEST_REQUEST = 4 * 1024 * 1024;
const ALL_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
// Well-formed but never assigned.
const NOBODY = "00000000000070008000000000000000";

let relay;
let receiver;
let scene;
let paths;
before(async () => {
  relay = await startRelay();
  receiver = await startReceiver();
  const workspace = await createWorkspace(relay);
  scene = { workspace, webhook: await createWebhook(relay, workspace, { url: receiver.url }) };
  ({ paths } = answered(await relay.fetch("/openapi.json", { token: null }), 200));
});
after(async () => {
  await relay?.stop();
  await receiver?.stop();
});

/** Fills the ids of this file's webhook into a path of the document, and unknown ids for what is below it. */
function fill(template) {
  const values = {
    workspace_id: scene.workspace,
    webhook_id: scene.webhook.id,
    key_id: `key_${NOBODY}`,
    link_id: `acc_${NOBODY}`,
    event_id: "unknown",
    name: "nobody.made",
  };
  Object.assign(values, { delivery_id: `evt_${NOBODY}`, resend_id: `rs_${NOBODY}` });
  return template.replaceAll(/\{(\w+)\}/g, (_, name) => {
    assert.ok(name in values, `${template}: this test does not know ${name}`);
    return values[name];
  });
}

const methodsOf = (template) => ALL_METHODS.filter((method) => method.toLowerCase() in paths[template]);

/** Each operation of the document, as [method, path]; only those with a JSON body if `withBody`. */
function operations({ withBody = false } = {}) {
  const all = Object.keys(paths).flatMap((template) => methodsOf(template).map((method) => [method, template]));
  const wanted = all.filter(([method, template]) => !withBody || paths[template][method.toLowerCase()].requestBody);
  assert.ok(wanted.length >= (withBody ? 10 : 25), `the document has only ${wanted.length} of them`);
  return wanted.map(([method, template]) => [method, fill(template)]);
}

describe("a body", () => {
  test("that is not declared as JSON is refused with 415 on each call with a body", async () => {
    for (const [method, path] of operations({ withBody: true })) {
      for (const type of [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/jsonp",
      ]) {
        const answer = await relay.fetch(path, { method, body: "{}", headers: { "content-type": type } });
        assertRefused(answer, 415, { code: "unsupported_media_type" });
      }
    }
  });

  test("that is not JSON is malformed on each call with a body", async () => {
    for (const [method, path] of operations({ withBody: true })) {
      for (const body of ["{", "", "nonsense", '{"a":1}}', "\u0000", '{"a":}']) {
        assertRefused(await relay.fetch(path, { method, body }), 400, { code: "invalid_json" });
      }
    }
  });

  test("that is not an object is refused on each call with a body", async () => {
    for (const [method, path] of operations({ withBody: true })) {
      for (const body of ["null", "5", '"text"', "true"]) {
        assertRefused(await relay.fetch(path, { method, body }), [400, 422]);
      }
    }
  });

  test("with an unknown member is refused with its name on each call with a body", async () => {
    for (const [method, path] of operations({ withBody: true })) {
      const answer = await relay.fetch(path, { method, body: { colour: "red" } });
      assertRefused(answer, 400, { code: "unknown_field", field: "colour" });
    }
  });

  test("with a duplicate member is refused with its name", async () => {
    for (const body of ['{"name":"A","name":"B"}', '{"name":"A","n\\u0061me":"B"}']) {
      assertRefused(await relay.fetch("/v1/workspaces", { method: "POST", body }), 400, { field: "name" });
    }
  });

  test("with a declared length that is too large is refused before it is sent, on each call with a body", async () => {
    for (const [method, path] of operations({ withBody: true })) {
      const headers = { "content-type": "application/json", "content-length": String(LARGEST_REQUEST + 1) };
      const answer = await requestRaw(relay.origin, path, { method, token: relay.operatorToken, headers, part: '{"' });
      assertRefused(answer, 413, { code: "payload_too_large" });
    }
  });

  test("without an end is refused as soon as it is too large", async () => {
    const headers = { "content-type": "application/json", "transfer-encoding": "chunked" };
    const part = `{"name":"${"a".repeat(LARGEST_REQUEST)}`;
    const answer = await requestRaw(relay.origin, "/v1/workspaces", {
      method: "POST",
      token: relay.operatorToken,
      headers,
      part,
    });
    assertRefused(answer, 413, { code: "payload_too_large" });
  });

  test("nested too deep crashes nothing", async () => {
    const deep = `{"name":${"[".repeat(100_000)}${"]".repeat(100_000)}}`;
    for (const [method, path] of operations({ withBody: true })) {
      assertRefused(await relay.fetch(path, { method, body: deep }), [400, 422]);
    }
    answered(await relay.fetch("/healthz", { token: null }), 200);
  });
});

test("an unknown query parameter is refused with its name on each call that reads a list", async () => {
  const lists = operations().filter(
    ([method, path]) => method === "GET" && /\/(workspaces|keys|webhooks|deliveries|stats)$|\/metrics$/.test(path),
  );
  assert.equal(lists.length, 6);
  for (const [method, path] of lists) {
    assertRefused(await relay.fetch(`${path}?colour=red`, { method }), 400, { code: "unknown_field", field: "colour" });
  }
});

describe("what does not exist", () => {
  const UNKNOWN = [
    "/v1",
    "/v2/workspaces",
    "/v1/workspace",
    "/v1/nothing",
    "/metrics/ws_a",
    "/healthz/live",
    "/openapi.yaml",
    "/v1/workspaces/ws_a/nothing",
    "/v1/workspaces/ws_a/webhooks/wh_a/nothing",
    "/v1/workspaces/ws_a/webhooks/wh_a/deliveries/evt_a/nothing",
    "/.env",
    "/index.html",
  ];
  for (const path of UNKNOWN) {
    test(`${path} is not found, with and without a token`, async () => {
      for (const token of [relay.operatorToken, null]) {
        for (const method of ["GET", "POST"]) {
          assertRefused(await relay.fetch(path, { method, token, body: method === "POST" ? {} : undefined }), [404], {
            code: "not_found",
          });
        }
      }
    });
  }

  // If the relay treated these like the paths that they resemble, they could bypass a filter on paths.
  const TRICKS = {
    "a double slash at the start": () => "//v1/event-types",
    "a double slash within": () => "/v1//event-types",
    "a slash at the end": () => "/v1/event-types/",
    "a slash at the end of a list": () => `/v1/workspaces/${scene.workspace}/webhooks/`,
    capitals: () => "/V1/event-types",
    "capitals in a word": () => `/v1/workspaces/${scene.workspace}/Webhooks`,
    "an encoded slash": () => "/v1%2fevent-types",
    "an encoded letter": () => "/v1/%65vent-types",
    "an encoded letter of an id": () => `/v1/workspaces/%77s_${scene.workspace.slice(3)}`,
    "an encoded letter of a name": () => "/v1/event-types/agent%2eerror",
    "an id in capitals": () => `/v1/workspaces/${scene.workspace.toUpperCase()}`,
    "a null byte": () => "/v1/event-types%00",
    "a semicolon": () => "/v1/event-types;a=b",
    "an empty id": () => "/v1/workspaces//webhooks",
  };
  for (const [what, path] of Object.entries(TRICKS)) {
    test(`is a path with ${what}`, async () => {
      assertRefused(await requestRaw(relay.origin, path(), { token: relay.operatorToken }), 404, { code: "not_found" });
    });
  }
});

// URL parsing normalises these first: the relay sees only the normalised path.
describe("a path that the URL standard normalises is answered like the normalised one", () => {
  const TIDIED = {
    dots: () => "/v1/nothing/../event-types",
    "encoded dots": () => "/v1/nothing/%2e%2E/event-types",
    "dots that lead out of a workspace": () => `/v1/workspaces/${scene.workspace}/%2e%2e/%2e%2e/event-types`,
    "a backslash": () => "/v1\\event-types",
  };
  for (const [what, path] of Object.entries(TIDIED)) {
    test(`with ${what}`, async () => {
      const tidy = answered(await relay.fetch("/v1/event-types", { token: null }), 200);
      assert.deepEqual(answered(await requestRaw(relay.origin, path()), 200), tidy);
    });
  }

  test("and is refused if the normalised one is", async () => {
    const path = `/v1/event-types/%2e%2e/workspaces/${scene.workspace}/webhooks`;
    assertRefused(await requestRaw(relay.origin, path), 401, { code: "unauthorized" });
  });
});

describe("every answer", () => {
  test("has its own id, which is also in the log", async () => {
    const ids = new Set();
    for (const [path, token] of [
      ["/healthz", null],
      ["/v1/nothing", null],
      ["/v1/workspaces", null],
      ["/v1/workspaces", undefined],
    ]) {
      const { headers } = await relay.fetch(path, { token });
      assert.ok(headers.get("x-request-id")?.length > 0, `${path} has no X-Request-Id`);
      ids.add(headers.get("x-request-id"));
    }
    assert.equal(ids.size, 4);
  });

  test("of the API is JSON and must not be cached", async () => {
    for (const path of ["/v1/workspaces", `/v1/workspaces/${scene.workspace}/webhooks/${scene.webhook.id}/secret`]) {
      const { headers } = await relay.fetch(path);
      assert.match(headers.get("content-type"), /^application\/json/);
      assert.match(headers.get("cache-control"), /no-store/);
    }
  });
});
