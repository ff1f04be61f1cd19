// A session of the dashboard: what it may do, what ends it, and how many there may be.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { after, before, describe, test } from "node:test";
import { eventually } from "../support/eventually.js";
import { createWorkspace, startRelay } from "../support/relay.js";
import { acceptEvent, alert, answered, assertRefused, createKey, setUpWebhook } from "../support/steps.js";
import { readStorage } from "../support/storage.js";
import { assertLeadsTo, assertPage, createLink, createVisitor, signIn } from "../support/visitor.js";

/** @import { RequestOptions } from "../support/types.d.ts" */

const HOME = "/settings/webhooks";
const FOREIGN = "https://evil.example.com";

let relay;
before(async () => (relay = await startRelay()));
after(() => relay?.stop());

const sha256 = (text) => createHash("sha256").update(text).digest("hex");
const assertSignedIn = async (visitor) => assertPage(await visitor.get(HOME));
const assertSignedOut = async (visitor) => assertLeadsTo(await visitor.get(HOME), "/sign-in");
const revoke = (workspace, id) => relay.fetch(`/v1/workspaces/${workspace}/keys/${id}`, { method: "DELETE" });

describe("a session ends", () => {
  test("with signing out, at the relay and not only in the browser", async () => {
    const visitor = await signIn(relay, await createWorkspace(relay));
    const { cookie } = visitor;
    const answer = await visitor.post("/sign-out");
    assertLeadsTo(answer, "/sign-in");
    assert.deepEqual(answer.headers.getSetCookie(), [
      "notice=signed-out; Path=/; Max-Age=60; HttpOnly; SameSite=Lax",
      "session=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax",
    ]);
    await assertSignedOut(createVisitor(relay, cookie));
    assert.ok(assertPage(await visitor.get("/sign-in")).includes("You are signed out."));
    assert.ok(!assertPage(await visitor.get("/sign-in?done=signed-out")).includes("You are signed out."));
    // Signing out twice does no harm.
    assertLeadsTo(await createVisitor(relay, cookie).post("/sign-out"), /^\/sign-in/);
    assertLeadsTo(await createVisitor(relay).post("/sign-out"), /^\/sign-in/);
  });

  test("with its key, and other sessions do not", async () => {
    const workspace = await createWorkspace(relay);
    const [visitor, other] = [await signIn(relay, workspace), await signIn(relay, workspace)];
    const byLink = createVisitor(relay);
    await byLink.post("/sign-in", { link: (await createLink(relay, workspace)).token });
    const token = visitor.cookie.split("=")[1];
    answered(await revoke(workspace, visitor.keyId), 204);
    await assertSignedOut(visitor);
    assert.ok(!readStorage(relay).rows.includes(sha256(token)), "the ended session is still stored");
    for (const still of [other, byLink]) await assertSignedIn(still);
  });

  test("with its workspace", async () => {
    const workspace = await createWorkspace(relay);
    const visitor = await signIn(relay, workspace);
    const { token } = await createLink(relay, workspace);
    answered(await relay.fetch(`/v1/workspaces/${workspace}`, { method: "DELETE" }), 204);
    await assertSignedOut(visitor);
    assertPage(await createVisitor(relay).post("/sign-in", { link: token }), 422);
    assertPage(await createVisitor(relay).post("/sign-in", { key: visitor.key }), 422);
  });

  test("and the browser's cookie is removed then", async () => {
    const visitor = createVisitor(relay, `session=se_a.${"0".repeat(64)}`);
    assertLeadsTo(await visitor.get(HOME), "/sign-in");
    assert.equal(visitor.cookie, undefined);
  });
});

describe("a cookie", () => {
  test("is not a session if it is malformed or sent twice", async () => {
    const { cookie } = await signIn(relay, await createWorkspace(relay));
    const token = cookie.split("=")[1];
    const other = (await signIn(relay, await createWorkspace(relay))).cookie;
    const wrong = [
      "session=",
      `session="${token}"`,
      `session=${token.toUpperCase()}`,
      `session=${token}0`,
      `Session=${token}`,
      `__Host-session=${token}`,
      `session=${token.replace("se_", "sk_")}`,
      `${cookie}; ${cookie}`,
      `${cookie}; ${other}`,
      `theme=${cookie}`,
      `session=${token}, a=b`,
    ];
    for (const cookies of wrong) await assertSignedOut(createVisitor(relay, cookies));
    for (const cookies of [`theme=dark; ${cookie}`, `${cookie};lang=en`])
      await assertSignedIn(createVisitor(relay, cookies));
  });

  test("has the __Host- prefix over https, and is not sent over plain http", async () => {
    const { key } = await createKey(relay, await createWorkspace(relay));
    const origin = "https://relay.example.com";
    const headers = { "content-type": "application/x-www-form-urlencoded", origin };
    const answer = await relay.dispatch(`${origin}/sign-in`, {
      method: "POST",
      redirect: "manual",
      headers,
      body: `key=${key}`,
    });
    assert.equal(answer.status, 303);
    const set = answer.headers.get("set-cookie");
    assert.match(set, /^__Host-session=se_\w+\.\w+; Path=\/; Max-Age=43200; HttpOnly; SameSite=Lax; Secure$/);

    const [pair] = set.split(";");
    const statusWith = async (cookie) => {
      const shown = await relay.dispatch(`${origin}${HOME}`, { redirect: "manual", headers: { cookie } });
      await shown.text();
      return shown.status;
    };
    assert.equal(await statusWith(pair), 200);
    // A sibling host could have set the name without the prefix.
    assert.equal(await statusWith(pair.replace("__Host-", "")), 303);
    await assertSignedOut(createVisitor(relay, pair));
    // The other scheme of the same host is another origin.
    const crossScheme = { ...headers, origin: "http://relay.example.com", cookie: pair };
    const refused = await relay.dispatch(`${origin}/sign-out`, {
      method: "POST",
      redirect: "manual",
      headers: crossScheme,
    });
    assert.equal(refused.status, 403);
    await refused.text();
    assert.equal(await statusWith(pair), 200);
  });
});

describe("another site", () => {
  const ORIGINS = {
    "its own origin": FOREIGN,
    "no origin": null,
    "an opaque origin": "null",
    "an origin that begins alike": "suffix",
  };
  for (const [what, given] of Object.entries(ORIGINS)) {
    test(`cannot post a form with ${what}`, async (t) => {
      const scene = await setUpWebhook(t, relay);
      const visitor = await signIn(relay, scene.workspace);
      const origin = given === "suffix" ? `${relay.origin}.evil.example.com` : given;
      const webhook = `${HOME}/${scene.webhook.id}`;
      for (const path of [`${webhook}/disable`, `${webhook}/delete`, `${webhook}/rotate`, `${HOME}/new`, "/sign-out"]) {
        assertPage(await visitor.post(path, {}, { origin }), 403);
      }
      await assertSignedIn(visitor);
      const left = answered(await relay.fetch(`/v1/workspaces/${scene.workspace}/webhooks`), 200).data;
      assert.deepEqual(
        left.map(({ id, status }) => [id, status]),
        [[scene.webhook.id, "enabled"]],
      );
    });

    test(`cannot sign a browser in with ${what}`, async () => {
      const { token } = await createLink(relay, await createWorkspace(relay));
      const origin = given === "suffix" ? `${relay.origin}.evil.example.com` : given;
      const visitor = createVisitor(relay);
      assertPage(await visitor.post("/sign-in", { link: token }, { origin }), 403);
      assert.equal(visitor.cookie, undefined);
      assertLeadsTo(await visitor.post("/sign-in", { link: token }), HOME);
    });
  }
});

describe("a session on the API", () => {
  /**
   * @param {{ cookie?: string }} visitor
   * @param {string} path
   * @param {RequestOptions & { origin?: string }} [init]
   */
  const call = (visitor, path, { origin = relay.origin, headers = {}, ...init } = {}) => {
    const sent = { cookie: visitor.cookie, ...(origin === null ? {} : { origin }), ...headers };
    return relay.fetch(path, { token: null, headers: sent, ...init });
  };

  test("reads without an Origin, and writes only with the relay's own", async (t) => {
    const scene = await setUpWebhook(t, relay);
    const visitor = await signIn(relay, scene.workspace);
    const webhook = `/v1/workspaces/${scene.workspace}/webhooks/${scene.webhook.id}`;
    assert.equal(answered(await call(visitor, webhook, { origin: null }), 200).id, scene.webhook.id);
    const change = { method: "PATCH", body: { description: "changed" } };
    for (const origin of [null, FOREIGN, "null", `${relay.origin}/`]) {
      assertRefused(await call(visitor, webhook, { ...change, origin }), 403, { code: "forbidden" });
      const event = { method: "POST", body: alert(), origin };
      assertRefused(await call(visitor, `/v1/workspaces/${scene.workspace}/events`, event), 403, { code: "forbidden" });
      assertRefused(await call(visitor, webhook, { method: "DELETE", origin }), 403, { code: "forbidden" });
    }
    assert.equal(answered(await call(visitor, webhook), 200).description, "");
    assert.equal(answered(await call(visitor, webhook, change), 200).description, "changed");
    answered(await call(visitor, `/v1/workspaces/${scene.workspace}/events`, { method: "POST", body: alert() }), 202);
  });

  test("has scopes as a key has", async (t) => {
    const scene = await setUpWebhook(t, relay);
    await acceptEvent(relay, scene.workspace);
    const webhook = `/v1/workspaces/${scene.workspace}/webhooks/${scene.webhook.id}`;
    const reader = await signIn(relay, scene.workspace, ["webhooks:read"]);
    answered(await call(reader, `${webhook}/deliveries`), 200);
    for (const [path, init] of /** @type {[string, RequestOptions][]} */ ([
      [`${webhook}/secret`, {}],
      [webhook, { method: "PATCH", body: { description: "x" } }],
      [`/v1/workspaces/${scene.workspace}/events`, { method: "POST", body: alert() }],
    ]))
      assertRefused(await call(reader, path, init), 403, { code: "forbidden" });
    const writer = await signIn(relay, scene.workspace, ["events:write", "webhooks:write"]);
    answered(await call(writer, `/v1/workspaces/${scene.workspace}/events`, { method: "POST", body: alert() }), 202);
    assertRefused(await call(writer, webhook), 403, { code: "forbidden" });
  });

  test("has no operator rights, and works only in its own workspace", async (t) => {
    const theirs = await setUpWebhook(t, relay);
    const own = await createWorkspace(relay);
    const visitor = await signIn(relay, own);
    for (const path of ["/v1/workspaces", "/metrics", `/v1/workspaces/${own}`, `/v1/workspaces/${own}/keys`]) {
      assertRefused(await call(visitor, path), 403, { code: "forbidden" });
    }
    assertRefused(await call(visitor, `/v1/workspaces/${own}/webhooks/${theirs.webhook.id}`), 404, {
      code: "not_found",
    });
    for (const other of [theirs.workspace, "ws_unknown"]) {
      assertRefused(await call(visitor, `/v1/workspaces/${other}/webhooks`), 404, { code: "not_found" });
    }
  });

  test("yields to any Authorization header, even a wrong one", async () => {
    const workspace = await createWorkspace(relay);
    const visitor = await signIn(relay, workspace);
    const path = `/v1/workspaces/${workspace}/webhooks`;
    for (const authorization of ["Bearer wrong", "Basic abc", "Bearer"]) {
      assertRefused(await call(visitor, path, { headers: { authorization } }), 401, { code: "unauthorized" });
    }
    const { key } = await createKey(relay, workspace);
    const asKey = { origin: FOREIGN, headers: { authorization: `Bearer ${key}` }, method: "POST", body: alert() };
    answered(await call(visitor, `/v1/workspaces/${workspace}/events`, asKey), 202);
  });

  test("ends there too", async () => {
    const workspace = await createWorkspace(relay);
    const visitor = await signIn(relay, workspace);
    const { cookie } = visitor;
    await visitor.post("/sign-out");
    assertRefused(await call({ cookie }, `/v1/workspaces/${workspace}/webhooks`), 401, { code: "unauthorized" });
    // A session's token is not a bearer token.
    const other = await signIn(relay, workspace);
    const asToken = await relay.fetch(`/v1/workspaces/${workspace}/webhooks`, { token: other.cookie.split("=")[1] });
    assertRefused(asToken, 401, { code: "unauthorized" });
  });
});

test("guessing keys, links and sessions is limited together with tokens, and valid ones never are", {
  timeout: 120_000,
}, async (t) => {
  const own = await startRelay();
  t.after(() => own.stop());
  const workspace = await createWorkspace(own);
  const { key } = await createKey(own, workspace);
  const guesses = [
    (visitor) => visitor.post("/sign-in", { key: "nonsense" }),
    (visitor) => visitor.post("/sign-in", { link: `dl_${workspace.slice(3)}.${"0".repeat(64)}` }),
    (visitor) => Object.assign(visitor, { cookie: `session=se_${workspace.slice(3)}.${"0".repeat(64)}` }).get(HOME),
    () => own.fetch("/v1/workspaces", { token: "wrong" }),
  ];
  const statuses = new Map();
  // Twice as many as a minute allows: if the minute ends in between, the next one ends the guessing.
  for (let number = 0; number < 640; number += 20) {
    const some = Array.from({ length: 20 }, (_, index) => guesses[index % guesses.length](createVisitor(own)));
    for (const { status } of await Promise.all(some)) statuses.set(status, (statuses.get(status) ?? 0) + 1);
  }
  t.diagnostic(JSON.stringify([...statuses]));
  assert.ok(statuses.get(429) > 0, "no guess was limited");
  assert.deepEqual([...statuses.keys()].sort(), [303, 401, 422, 429]);
  // A minute may have ended since, so guessing continues until it is limited again.
  const limited = await eventually(
    async () => {
      const answers = await Promise.all(Array.from({ length: 20 }, () => guesses[0](createVisitor(own))));
      return answers.find(({ status }) => status === 429);
    },
    { timeout: 60_000 },
  );
  assertPage(limited, 429);
  assert.match(limited.headers.get("retry-after"), /^\d+$/);
  const visitor = createVisitor(own);
  assertLeadsTo(await visitor.post("/sign-in", { key }), HOME);
  assertPage(await visitor.get(HOME));
});

const SESSIONS_OF_KEY = 50;
const AT_ONCE = 20;

/** Signs in with a key as many times as `count`, which is a multiple of ten. */
async function signInOften(key, count) {
  for (let number = 0; number < count; number += AT_ONCE) {
    const visitors = Array.from({ length: Math.min(AT_ONCE, count - number) }, () => createVisitor(relay));
    for (const answer of await Promise.all(visitors.map((visitor) => visitor.post("/sign-in", { key }))))
      assert.equal(answer.status, 303);
  }
}

test("a workspace keeps its thousand newest sessions", { timeout: 120_000 }, async () => {
  const workspace = await createWorkspace(relay);
  const first = await signIn(relay, workspace);
  await assertSignedIn(first);
  for (let number = 0; number < 1_000; number += SESSIONS_OF_KEY)
    await signInOften((await createKey(relay, workspace)).key, SESSIONS_OF_KEY);
  await assertSignedOut(first);
  const last = await signIn(relay, workspace);
  await assertSignedIn(last);
});

test("a key keeps its fifty newest sessions, and puts out nobody else", { timeout: 60_000 }, async () => {
  const workspace = await createWorkspace(relay);
  const { key } = await createKey(relay, workspace);
  const colleagues = [await signIn(relay, workspace), createVisitor(relay)];
  await colleagues[1].post("/sign-in", { link: (await createLink(relay, workspace)).token });
  const first = createVisitor(relay);
  await first.post("/sign-in", { key });
  await signInOften(key, SESSIONS_OF_KEY - 10);
  await assertSignedIn(first);
  await signInOften(key, 10);
  await assertSignedOut(first);
  await signInOften(key, SESSIONS_OF_KEY);
  for (const visitor of colleagues) await assertSignedIn(visitor);
  const { data } = answered(await relay.fetch(`/v1/workspaces/${workspace}/dashboard-links?limit=100`), 200);
  assert.equal(data.length, SESSIONS_OF_KEY + colleagues.length);
});
