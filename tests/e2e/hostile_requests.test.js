// Hostile requests: another workspace's resources by key, session and page, odd paths, bodies made to choke a parser,
// and line breaks in values that become headers. Each is refused quickly, and the relay keeps working.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { DOCUMENT } from "../support/contract.js";
import { eventually } from "../support/eventually.js";
import { requestRaw } from "../support/raw_request.js";
import { createWorkspace, postEvent, startRelay } from "../support/relay.js";
import { REPOSITORY } from "../support/relay_options.js";
import {
  acceptForOne,
  alert,
  answered,
  assertRefused,
  awaitSettled,
  createKey,
  pathOf,
  setUpWebhook,
  startResend,
} from "../support/steps.js";
import { assertPage, signIn } from "../support/visitor.js";

/** @import { RequestOptions } from "../support/types.d.ts" */

const LIMIT_OF_A_REQUEST = 4 * 1024 * 1024;
const METHODS = ["get", "post", "patch", "delete"];
const UNKNOWN_KEY = `sk_unknown.${"0".repeat(64)}`;

let relay;
before(async () => (relay = await startRelay()));
after(() => relay?.stop());

const isHealthy = async () => answered(await relay.fetch("/healthz", { token: null }), 200);

/** A workspace with a key, a session, a webhook, a finished delivery and a resend job. */
async function setUpOwner(t) {
  const scene = await setUpWebhook(t, relay);
  const key = await createKey(relay, scene.workspace);
  const delivery = await acceptForOne(relay, scene.workspace, alert({ event_id: `event-of-${scene.workspace}` }));
  await awaitSettled(relay, scene.workspace, delivery);
  const job = await startResend(relay, scene);
  const visitor = await signIn(relay, scene.workspace);
  const links = `/v1/workspaces/${scene.workspace}/dashboard-links`;
  const link = answered(await relay.fetch(links, { method: "POST", body: {} }), 201);
  const ids = {
    workspace_id: scene.workspace,
    webhook_id: scene.webhook.id,
    delivery_id: delivery.id,
    resend_id: job.id,
    key_id: key.id,
    link_id: link.id,
    event_id: `event-of-${scene.workspace}`,
  };
  const asKey = { token: key.key };
  const asSession = { token: null, headers: { cookie: visitor.cookie, origin: relay.origin } };
  return { key: key.key, callers: { asKey, asSession }, visitor, ids, scene };
}

const namesOf = (template) => [...template.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);

/** Every operation of the document with a workspace in its path, and the parameters of that path. */
const CALLS = Object.entries(DOCUMENT.paths).flatMap(([template, item]) => {
  const names = namesOf(template);
  return METHODS.filter((method) => method in item && names.includes("workspace_id")).map((method) => ({
    method: method.toUpperCase(),
    template,
    names,
  }));
});

const fill = (template, ids) =>
  template.replaceAll(/\{(\w+)\}/g, (_, name) => ids[name] ?? assert.fail(`the test has no value for {${name}}`));

// Every dashboard route with ids in its path, read from the source.
const DASHBOARD = readFileSync(path.join(REPOSITORY, "src/runtime/worker/dashboard/page_routes.rs"), "utf8");
const PAGES = [...DASHBOARD.matchAll(/^ +route\("(GET|POST)", "(\/settings\/[^"]*\{[^"]*)"/gm)].map(
  ([, method, template]) => ({ posts: method === "POST", template, names: namesOf(template) }),
);
assert.ok(PAGES.length > 10);

// Valid bodies, so that the path and not the body is refused.
const BODIES = {
  "/keys": { name: "Theirs", scopes: ["webhooks:read"] },
  "/events": alert(),
  "/rotate": {},
  "/test": { type: "agent.error" },
  "/resend": { status: "failed" },
  "/preview": { status: "failed" },
  "/webhooks": { url: "http://127.0.0.1:1/", events: ["agent.error"] },
  "/dashboard-links": {},
};
const bodyOf = ({ method, template }) => {
  if (method === "PATCH") return template.endsWith("{workspace_id}") ? { name: "Theirs" } : { description: "theirs" };
  if (method !== "POST") return undefined;
  return Object.entries(BODIES).find(([end]) => template.endsWith(end))?.[1];
};

// Which ids of a path are another workspace's: each in turn, and all of them.
const someOf = (names) => (names.length > 1 ? [...names.map((name) => [name]), names] : names.map((name) => [name]));
const pick = (ids, names) => Object.fromEntries(names.map((name) => [name, ids[name]]));

function assertUntouched({ scene: { webhook } }, present) {
  assert.deepEqual(
    [present.status, present.updated_at, present.description],
    ["enabled", webhook.updated_at, webhook.description],
  );
}

describe("another workspace's resources", () => {
  test("are out of reach for a key and a session on every path, as if the workspace did not exist", {
    timeout: 60_000,
  }, async (t) => {
    const [mine, theirs] = [await setUpOwner(t), await setUpOwner(t)];
    assert.ok(CALLS.length >= 20, `the document has ${CALLS.length} calls that name a workspace`);
    for (const call of CALLS) {
      const ask = (ids, caller) =>
        relay.fetch(fill(call.template, ids), { method: call.method, body: bodyOf(call), ...caller });
      for (const caller of Object.values(mine.callers)) {
        const [there, absent] = [
          await ask(theirs.ids, caller),
          await ask({ ...theirs.ids, workspace_id: "ws_unknown" }, caller),
        ];
        assertRefused(there, 404, { code: "not_found" });
        assert.equal(there.text, absent.text, `${call.method} ${call.template} tells that the workspace is there`);
      }
      assertRefused(await ask(theirs.ids, { token: UNKNOWN_KEY }), 401, { code: "unauthorized" });
    }
    assertUntouched(theirs, answered(await relay.fetch(pathOf(theirs.scene)), 200));
    t.diagnostic(
      `${CALLS.length} calls, each with another workspace's key and session, and with a key that nobody has`,
    );
  });

  test("are not found through the caller's own workspace, for each id in the path", { timeout: 60_000 }, async (t) => {
    const [mine, theirs] = [await setUpOwner(t), await setUpOwner(t)];
    let tried = 0;
    for (const call of CALLS) {
      for (const names of someOf(call.names.filter((name) => name !== "workspace_id"))) {
        const target = fill(call.template, { ...mine.ids, ...pick(theirs.ids, names) });
        const ask = (caller) => relay.fetch(target, { method: call.method, body: bodyOf(call), ...caller });
        for (const caller of Object.values(mine.callers))
          assertRefused(await ask(caller), /\/(keys|dashboard-links)\//.test(call.template) ? 403 : 404);
        assertRefused(await ask({ token: relay.operatorToken }), 404);
        tried += 3;
      }
    }
    assertUntouched(theirs, answered(await relay.fetch(pathOf(theirs.scene)), 200));
    for (const caller of Object.values(theirs.callers))
      answered(await relay.fetch(`/v1/workspaces/${theirs.ids.workspace_id}/webhooks`, caller), 200);
    t.diagnostic(`${tried} requests with another workspace's ids`);
  });

  test("are pages that do not exist, on every route of the dashboard that names one", {
    timeout: 60_000,
  }, async (t) => {
    const [mine, theirs] = [await setUpOwner(t), await setUpOwner(t)];
    const sent = theirs.scene.receiver.requests.length;
    // Valid fields, by what follows the webhook's id.
    const url = theirs.scene.receiver.url;
    const forms = {
      "": { url, events: "agent.error" },
      "/rotate": { overlap_seconds: "0" },
      "/test": { type: "agent.error" },
      "/resend": { status: "failed" },
    };
    assert.ok(PAGES.length >= 13, `${PAGES.length} routes were found`);
    let tried = 0;
    for (const { posts, template, names } of PAGES) {
      for (const some of someOf(names)) {
        const target = fill(template, { ...mine.ids, ...pick(theirs.ids, some) });
        const fields = forms[template.split("{webhook_id}")[1]] ?? {};
        const html = assertPage(posts ? await mine.visitor.post(target, fields) : await mine.visitor.get(target), 404);
        assert.ok(!html.includes(url), `${target} shows where the webhook leads`);
        tried += 1;
      }
    }
    for (const id of [theirs.ids.delivery_id, theirs.ids.event_id]) {
      const { text } = await mine.visitor.get(`/settings/events?id=${id}`);
      for (const shown of [theirs.ids.webhook_id, url]) assert.ok(!text.includes(shown), text);
    }
    assert.equal(theirs.scene.receiver.requests.length, sent);
    assertUntouched(theirs, answered(await relay.fetch(pathOf(theirs.scene)), 200));
    t.diagnostic(`${tried} pages and forms of ${PAGES.length} routes`);
  });
});

test("a key that was cut, lengthened, changed or moved to another workspace is refused", async (t) => {
  const [mine, theirs] = [await setUpOwner(t), await setUpOwner(t)];
  const owner = (ids) => ids.workspace_id.slice("ws_".length);
  const { key } = mine;
  const forged = [
    key.slice(0, -1),
    key.slice(1),
    `${key}0`,
    `${key} `.repeat(2).trim(),
    key.toUpperCase(),
    key.replace(/.$/, (last) => (last === "0" ? "1" : "0")),
    key.replace("sk_", "se_"),
    key.replace("sk_", "dl_"),
    key.replace(owner(mine.ids), owner(theirs.ids)),
    key.replace(owner(mine.ids), ""),
    key.split(".").at(-1),
    `${key},${key}`,
    `${key}\u00a0`,
    Buffer.from(key).toString("base64"),
    "null",
    "undefined",
    "",
  ];
  for (const token of forged) {
    for (const { workspace_id: workspace } of [mine.ids, theirs.ids]) {
      for (const [path, init] of /** @type {[string, RequestOptions][]} */ ([
        ["/webhooks", {}],
        ["/events", { method: "POST", body: alert() }],
      ])) {
        assertRefused(await relay.fetch(`/v1/workspaces/${workspace}${path}`, { ...init, token }), 401, {
          code: "unauthorized",
        });
      }
    }
  }
});

test("no spelling of a path reaches another workspace's data or causes an internal error", async (t) => {
  const [mine, theirs] = [await setUpOwner(t), await setUpOwner(t)];
  const own = `/v1/workspaces/${mine.ids.workspace_id}`;
  const other = `/v1/workspaces/${theirs.ids.workspace_id}/webhooks`;
  const up = ["..", "%2e%2e", "%2E%2E", ".%2e", "..%2f", "..;", "%252e%252e", "..%00", "..\\"];
  const paths = [
    ...up.flatMap((dots) => [
      `${own}/${dots}/${theirs.ids.workspace_id}/webhooks`,
      `${own}/webhooks/${dots}/${dots}/${theirs.ids.workspace_id}/webhooks`,
    ]),
    `/${other}`,
    `//v1//workspaces//${theirs.ids.workspace_id}//webhooks`,
    `${other}/`,
    `${other};a=b`,
    `${other}%2f`,
    `${other}%00`,
    `${other}%0d%0aX:1`,
    other.toUpperCase(),
    other.replace("v1", "V1"),
    other.replace("workspaces", "%77orkspaces"),
    `${own}%2f${theirs.ids.workspace_id}/webhooks`,
    `${own}%2f..%2f${theirs.ids.workspace_id}/webhooks`,
    `${own}/webhooks/${theirs.ids.webhook_id}/secret`,
    `${own}/webhooks/..%2f${theirs.ids.webhook_id}`,
    `/./v1/./workspaces/${theirs.ids.workspace_id}/webhooks`,
    `http://127.0.0.1${other}`,
    `${own}/webhooks/%ff`,
    `${own}/events/%ff`,
    `${own}/webhooks/${"a".repeat(8_000)}`,
    `/v1/workspaces/${theirs.ids.workspace_id.replace("ws_", "WS_")}/webhooks`,
    `/v1/workspaces/%20${theirs.ids.workspace_id}/webhooks`,
    "/v1/workspaces/%00/webhooks",
  ];
  for (const path of paths) {
    const answer = await requestRaw(relay.origin, path, { token: mine.key });
    assert.ok(answer.status >= 300 && answer.status < 500, `${path} answered ${answer.status}: ${answer.text}`);
    for (const shown of [theirs.ids.webhook_id, theirs.scene.receiver.url])
      assert.ok(!answer.text.includes(shown), `${path} shows ${shown}`);
  }
  await isHealthy();
  t.diagnostic(`${paths.length} spellings`);
});

describe("a body made to choke its parser", () => {
  const nested = (open, close, depth) => open.repeat(depth) + close.repeat(depth);
  const keys = (count) => `{${Array.from({ length: count }, (_, index) => `"k${index.toString(36)}":1`).join(",")}}`;
  const event = (data) => `{"type":"alert.triggered","data":${data}}`;
  const REFUSED = {
    "100,000 nested arrays": [nested("[", "]", 100_000), 400],
    "40,000 nested objects": [nested('{"a":', "}", 40_000).replace("}", "1}"), 400],
    "100,000 nested arrays in data": [event(nested("[", "]", 100_000)), 400],
    "100,000 arrays that never end": ["[".repeat(100_000), 400],
    "300,000 members": [keys(300_000), 413],
    "20,000 members": [keys(20_000), 400],
    "a number of 200,000 digits as a type": [`{"type":${"9".repeat(200_000)},"data":{}}`, 400],
    "a number with a huge exponent as data": [event("1e999999999"), 400],
    "a lone surrogate in a type": ['{"type":"\\ud800","data":{}}', 400],
    "a lone surrogate in an event_id": ['{"type":"alert.triggered","data":{},"event_id":"\\udfff"}', 400],
    "a byte order mark": [`\ufeff${event("{}")}`, 400],
    "an empty body": ["", 400],
    "bytes that are not UTF-8": [Buffer.from([0x7b, 0xff, 0xfe, 0x7d]), 400],
    "an overlong NUL": [
      Buffer.concat([Buffer.from('{"type":"'), Buffer.from([0xc0, 0x80]), Buffer.from('","data":{}}')]),
      400,
    ],
    "a NUL at the end": [`${event("{}")}\0`, 400],
    "101 events": [`[${Array(101).fill(event("{}")).join(",")}]`, 422],
    "a million commas": [`[${",".repeat(1_000_000)}]`, 400],
    "data of 256 KiB": [event(`{"a":"${"x".repeat(256 * 1024)}"}`), 413],
  };
  for (const [what, [body, status]] of Object.entries(REFUSED)) {
    test(`such as ${what} is refused, and the relay keeps working`, async () => {
      const workspace = await createWorkspace(relay);
      for (const path of ["events", "webhooks"]) {
        const answer = await relay.fetch(`/v1/workspaces/${workspace}/${path}`, {
          method: "POST",
          body,
          headers: { "content-type": "application/json" },
        });
        assertRefused(answer, path === "events" ? status : [400, 413, 422]);
        assert.ok(answer.text.length < 2_000, `the refusal has ${answer.text.length} characters`);
      }
      answered(await postEvent(relay, workspace, alert()), 202);
    });
  }

  for (const [how, part, length] of /** @type {[string, string | Buffer, object][]} */ ([
    ["declared, before any of it is sent", " ", { "content-length": String(LIMIT_OF_A_REQUEST + 1) }],
    ["in chunks, without a length", Buffer.alloc(LIMIT_OF_A_REQUEST + 1, " "), {}],
  ])) {
    test(`of 4 MiB and a byte ${how}, is refused`, async () => {
      const workspace = await createWorkspace(relay);
      const options = {
        method: "POST",
        token: relay.operatorToken,
        headers: { "content-type": "application/json", ...length },
        part,
      };
      const answer = await requestRaw(relay.origin, `/v1/workspaces/${workspace}/events`, options);
      assert.equal(answer.status, 413, answer.text);
      await isHealthy();
    });
  }

  test("is passed on unchanged if it is valid: deep nesting, big numbers, many members", async (t) => {
    const scene = await setUpWebhook(t, relay);
    const data = `{"deep":${nested("[", "]", 100)},"big":1e400,"digits":${"9".repeat(1_000)},"surrogate":"\\ud83d\\ude00","many":${keys(5_000)}}`;
    const { id } = await acceptForOne(relay, scene.workspace, event(data));
    const isThere = async () => scene.receiver.attemptsOf(id)[0];
    assert.ok((await eventually(isThere)).text.endsWith(`"data":${data}}`));
  });
});

test("no value of a header or request line may have a line break, a NUL or a non-ASCII character", async (t) => {
  const scene = await setUpWebhook(t, relay);
  const webhooks = `/v1/workspaces/${scene.workspace}/webhooks`;
  const INJECTIONS = [
    "a\r\nX-Evil: 1",
    "a\nX-Evil: 1",
    "a\rX-Evil: 1",
    "a\0b",
    "a\u2028b",
    "aéb",
    "a\u010dn\u010a",
    "\tab",
    "a\u007fb",
  ];
  const good = { url: scene.receiver.url, events: ["agent.error"] };
  let tried = 0;
  for (const text of INJECTIONS) {
    const wrong = [
      { ...good, headers: { "X-Team": `value ${text}` } },
      { ...good, headers: { [text]: "a" } },
      { ...good, secret: `secret-${text}` },
      { ...good, url: `https://${text}@hooks.example.com/` },
      { ...good, events: [text] },
    ];
    for (const body of wrong) {
      assertRefused(await relay.fetch(webhooks, { method: "POST", body }), [400, 422]);
      tried += 1;
    }
    for (const body of [alert({ type: text }), alert({ event_id: text }), alert({ timestamp: text })]) {
      assertRefused(await postEvent(relay, scene.workspace, body), [400, 422]);
      tried += 1;
    }
  }
  assert.deepEqual(scene.receiver.events(), []);
  t.diagnostic(`${tried} requests`);
});

test("a stored URL that the rule refuses is blocked at every attempt of the schedule and reaches nobody", async (t) => {
  const own = await startRelay();
  t.after(() => own.stop());
  const scene = await setUpWebhook(t, own);
  const before = scene.receiver.requests.length;
  await own.restart({ vars: { ALLOW_PRIVATE_ENDPOINTS: "false", RETRY_SCHEDULE: "50ms,50ms" } });
  const delivery = await awaitSettled(own, scene.workspace, await acceptForOne(own, scene.workspace));
  assert.deepEqual([delivery.status, delivery.reason], ["failed", "schedule_spent"]);
  assert.deepEqual(
    delivery.attempts.map(({ outcome }) => outcome),
    ["blocked", "blocked", "blocked"],
  );
  assert.equal(scene.receiver.requests.length, before);
});
