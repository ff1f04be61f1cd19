// Signing in to the dashboard by key or by link, what a session may do, and what ends it.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { after, before, describe, test } from "node:test";
import { eventually } from "../support/eventually.js";
import { createWorkspace, startRelay } from "../support/relay.js";
import { acceptEvent, alert, answered, assertRefused, createKey, setUpWebhook } from "../support/steps.js";
import { isStored, readStorage } from "../support/storage.js";
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

describe("signing in by key", () => {
  test("opens a session that only this browser's pages can use", async () => {
    const workspace = await createWorkspace(relay);
    const { key } = await createKey(relay, workspace);
    const visitor = createVisitor(relay);
    const answer = await visitor.post("/sign-in", { key });
    assertLeadsTo(answer, HOME);
    const form = new RegExp(
      `^session=se_${workspace.slice(3)}\\.[0-9a-f]{64}; Path=/; Max-Age=43200; HttpOnly; SameSite=Lax$`,
    );
    assert.match(answer.headers.get("set-cookie"), form);
    await assertSignedIn(visitor);
  });

  test("accepts a key pasted with spaces around it", async () => {
    const { key } = await createKey(relay, await createWorkspace(relay));
    assertLeadsTo(await createVisitor(relay).post("/sign-in", { key: `  ${key}\n` }), HOME);
  });

  test("continues to the requested page, and to no other site", async () => {
    const { key } = await createKey(relay, await createWorkspace(relay));
    const wanted = `${HOME}/wh_00000000000070008000000000000000?status=failed&type=a%20b`;
    const location = assertLeadsTo(await createVisitor(relay).get(wanted), /^\/sign-in\?next=/);
    // The form posts to the page's own address unless it names another.
    const [, action = location] = assertPage(await createVisitor(relay).get(location)).match(
      /<form method="post"(?: action="([^"]*)")?>/,
    );
    assertLeadsTo(await createVisitor(relay).post(action, { key }), wanted);
    for (const next of [
      "//evil.example.com",
      FOREIGN,
      "/\\evil.example.com",
      "javascript:alert(1)",
      "/\t/evil.example.com",
    ]) {
      assertLeadsTo(await createVisitor(relay).post(`/sign-in?next=${encodeURIComponent(next)}`, { key }), HOME);
    }
  });

  test("refuses an invalid key, without repeating it", async () => {
    const workspace = await createWorkspace(relay);
    const { id, key } = await createKey(relay, workspace);
    answered(await revoke(workspace, id), 204);
    const invented = `sk_${workspace.slice(3)}.${"0".repeat(64)}`;
    for (const wrong of [
      key,
      invented,
      `sk_unknown.${"0".repeat(64)}`,
      "nonsense",
      "",
      relay.operatorToken,
      `${key}0`,
    ]) {
      const visitor = createVisitor(relay);
      const html = assertPage(await visitor.post("/sign-in", { key: wrong }), 422);
      assert.ok(wrong === "" || !html.includes(wrong), "the page repeats the key");
      assert.equal(visitor.cookie, undefined);
    }
  });

  test("stores the session only as a hash, and keeps it out of the log", async () => {
    const visitor = await signIn(relay, await createWorkspace(relay));
    const token = visitor.cookie.split("=")[1];
    assert.ok(readStorage(relay).rows.includes(sha256(token)), "the session is not where this test looks for it");
    for (const text of [token, token.split(".").at(-1)]) {
      assert.ok(!isStored(relay, text), "the session is stored");
      assert.ok(!relay.logs.join("\n").includes(text), "the session is in the log");
    }
  });
});

describe("signing in by link", () => {
  test("is not used up by opening the link, and then opens one session", async () => {
    const { url, token } = await createLink(relay, await createWorkspace(relay));
    const { pathname, search } = new URL(url);
    const scanner = createVisitor(relay);
    for (const method of ["GET", "HEAD", "GET"]) {
      const answer = await scanner.get(pathname + search, { method });
      assert.equal(answer.status, 200);
      assert.equal(answer.headers.get("set-cookie"), null);
    }
    const html = assertPage(await scanner.get(pathname + search));
    assert.match(html, new RegExp(`<input[^>]+name="link"[^>]+value="${token}"`));

    const visitor = createVisitor(relay);
    assertLeadsTo(await visitor.post("/sign-in", { link: token }), HOME);
    await assertSignedIn(visitor);

    const second = createVisitor(relay);
    assertPage(await second.post("/sign-in", { link: token }), 422);
    assert.equal(second.cookie, undefined);
    await assertSignedIn(visitor);
    assert.ok(!readStorage(relay).rows.includes(sha256(token)), "the used link is still stored");
  });

  test("opens one session if it is posted many times at once", async () => {
    const { token } = await createLink(relay, await createWorkspace(relay));
    const visitors = Array.from({ length: 8 }, () => createVisitor(relay));
    const answers = await Promise.all(visitors.map((visitor) => visitor.post("/sign-in", { link: token })));
    assert.deepEqual(answers.map(({ status }) => status).sort(), [303, ...Array(7).fill(422)]);
  });

  test("refuses an expired link, and deletes it", async () => {
    const workspace = await createWorkspace(relay);
    const link = await createLink(relay, workspace, { expires_in: 1 });
    await eventually(() => Date.now() > Date.parse(link.expires_at));
    assertPage(await createVisitor(relay).post("/sign-in", { link: link.token }), 422);

    const unused = await createLink(relay, workspace, { expires_in: 1 });
    assert.ok(readStorage(relay).rows.includes(sha256(unused.token)));
    await eventually(() => Date.now() > Date.parse(unused.expires_at));
    await createLink(relay, workspace);
    assert.ok(!readStorage(relay).rows.includes(sha256(unused.token)), "an expired link is still stored");
  });

  test("gives the link's scopes and no others", async () => {
    const workspace = await createWorkspace(relay);
    const { token } = await createLink(relay, workspace, { scopes: ["webhooks:read"] });
    const visitor = createVisitor(relay);
    assertLeadsTo(await visitor.post("/sign-in", { link: token }), HOME);
    await assertSignedIn(visitor);
    assertPage(await visitor.get(`${HOME}/new`), 403);
  });

  test("refuses a token that is not a link, on the page and when it is posted", async () => {
    const own = (await createWorkspace(relay)).slice(3);
    const { key } = await createKey(relay, `ws_${own}`);
    for (const link of [`dl_${own}.${"0".repeat(64)}`, `dl_${own}_0`, `se_${own}.${"0".repeat(64)}`, "nonsense"]) {
      assertPage(await createVisitor(relay).get(`/sign-in?link=${link}`));
      assertPage(await createVisitor(relay).post("/sign-in", { link }), 422);
    }
    const shown = assertPage(
      await createVisitor(relay).get(`/sign-in?link=${encodeURIComponent(`"><script>alert(1)</script>`)}`),
    );
    assert.ok(!shown.includes("<script>alert"), shown);
    assert.ok(
      !assertPage(await createVisitor(relay).get(`/sign-in?link=${key}`)).includes(key),
      "the page repeats a key",
    );
  });
});

describe("a session ends", () => {
  test("with signing out, at the relay and not only in the browser", async () => {
    const visitor = await signIn(relay, await createWorkspace(relay));
    const { cookie } = visitor;
    const answer = await visitor.post("/sign-out");
    assertLeadsTo(answer, /^\/sign-in\?/);
    assert.match(answer.headers.get("set-cookie"), /^session=; Path=\/; Max-Age=0; HttpOnly; SameSite=Lax$/);
    await assertSignedOut(createVisitor(relay, cookie));
    assertPage(await visitor.get("/sign-in?done=signed-out"));
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

describe("the sign-in page", () => {
  const optionalText = (html) => html.replaceAll(/<[^>]+>/g, "").replaceAll(/\s+/g, " ");
  const makeWorkspace = async (name) => {
    const id = await createWorkspace(relay);
    answered(await relay.fetch(`/v1/workspaces/${id}`, { method: "PATCH", body: { name } }), 200);
    return id;
  };

  test("names the workspace of a link and its id before the button", async () => {
    const workspace = await makeWorkspace("Acme <Corp>");
    const { token } = await createLink(relay, workspace);
    const html = assertPage(await createVisitor(relay).get(`/sign-in?link=${token}`));
    const before = html.slice(0, html.indexOf("<button"));
    assert.match(optionalText(before), new RegExp(`workspace Acme &#60;Corp&#62; \\(${workspace}\\)`));
    assert.doesNotMatch(before, /You are signed in/);
  });

  test("shows no button for a link that is not good, and names nothing then", async () => {
    const workspace = await makeWorkspace("Hidden Ltd");
    const { token } = await createLink(relay, workspace);
    assertLeadsTo(await createVisitor(relay).post("/sign-in", { link: token }), HOME);
    for (const link of [token, `dl_${workspace.slice(3)}.${"0".repeat(64)}`, "nonsense"]) {
      const html = assertPage(await createVisitor(relay).get(`/sign-in?link=${link}`));
      assert.match(html, /This link is not valid/);
      assert.doesNotMatch(html, /Hidden Ltd|name="link"/);
    }
  });

  test("says which session is open, and signing in ends that one, in whichever workspace", async () => {
    const own = await makeWorkspace("Own");
    const theirs = await makeWorkspace("Theirs");
    const visitor = await signIn(relay, own);
    const former = visitor.cookie;
    const { token } = await createLink(relay, theirs);
    const html = optionalText(assertPage(await visitor.get(`/sign-in?link=${token}`)));
    assert.match(html, new RegExp(`workspace Theirs \\(${theirs}\\).*signed in to another workspace \\(${own}\\)`));
    assert.match(
      optionalText(assertPage(await visitor.get("/sign-in"))),
      new RegExp(`signed in to the workspace ${own}`),
    );
    // Nothing has ended yet, also when a link is refused.
    assertPage(await visitor.post("/sign-in", { link: `dl_${own.slice(3)}.${"0".repeat(64)}` }), 422);
    await assertSignedIn(visitor);

    assertLeadsTo(await visitor.post("/sign-in", { link: token }), HOME);
    assert.notEqual(visitor.cookie, former);
    await assertSignedIn(visitor);
    await assertSignedOut(createVisitor(relay, former));
    const open = answered(await relay.fetch(`/v1/workspaces/${own}/dashboard-links`), 200).data;
    assert.deepEqual(open, []);

    // The same in one workspace, by key.
    const before = visitor.cookie;
    const { key } = await createKey(relay, theirs);
    assertLeadsTo(await visitor.post("/sign-in", { key }), HOME);
    await assertSignedOut(createVisitor(relay, before));
    await assertSignedIn(visitor);
  });

  test("refuses a key without a scope of webhooks, and keeps the session that is open", async () => {
    const workspace = await createWorkspace(relay);
    const { key } = await createKey(relay, workspace, ["events:write"]);
    const visitor = await signIn(relay, workspace);
    const { cookie } = visitor;
    const html = assertPage(await visitor.post("/sign-in", { key }), 422);
    assert.match(html, /neither the scope webhooks:read nor webhooks:write/);
    assert.equal(visitor.cookie, cookie);
    await assertSignedIn(visitor);
    const { data } = answered(await relay.fetch(`/v1/workspaces/${workspace}/dashboard-links`), 200);
    assert.equal(data.length, 1);
  });
});
