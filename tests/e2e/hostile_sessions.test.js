// Cookies and links that were forged, cut, altered, moved or kept too long: none works, on the API or on pages.
//
// Guessing is limited per address (tests/e2e/sessions.test.js); here each refused visit comes from another address, so
// that the cookie causes the refusal.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { after, before, describe, test } from "node:test";
import { createWorkspace, startRelay } from "../support/relay.js";
import {
  acceptForOne,
  alert,
  answered,
  assertRefused,
  awaitSettled,
  createKey,
  pathOf,
  setUpWebhook,
} from "../support/steps.js";
import { assertLeadsTo, assertPage, createLink, createVisitor, signIn } from "../support/visitor.js";

const HOME = "/settings/webhooks";
const NO_RANDOM = "0".repeat(64);

let relay;
let scene;
let other;
before(async () => {
  relay = await startRelay();
  scene = await setUpWebhook({ after }, relay);
  await awaitSettled(relay, scene.workspace, await acceptForOne(relay, scene.workspace));
  other = await createWorkspace(relay);
});
after(() => relay?.stop());

const sha256 = (text) => createHash("sha256").update(text).digest("hex");
const tokenOf = ({ cookie }) => cookie.slice("session=".length);
const ownerOf = (workspace) => workspace.slice("ws_".length);
const randomOf = (token) => token.split(/[._]/).at(-1);
/** Another character of the same alphabet. */
const changeAt = (text, place) => `${text.slice(0, place)}${text[place] === "0" ? "1" : "0"}${text.slice(place + 1)}`;
const times = (count, make) => Array.from({ length: count }, (_, index) => make(index));

let addresses = 0;
const fromElsewhere = () => ({ "cf-connecting-ip": `198.18.${Math.floor(addresses / 256)}.${addresses++ % 256}` });

/** Tries a Cookie header on reads and writes, on the API and on pages; each must be refused as unauthenticated. */
async function assertNobody(cookie, { workspace = scene.workspace, webhook = scene.webhook } = {}) {
  const headers = () => ({ cookie, origin: relay.origin, ...fromElsewhere() });
  const path = pathOf({ workspace, webhook });
  const calls = [
    ["GET", path],
    ["PATCH", path, { description: "theirs" }],
    ["GET", `${path}/secret`],
    ["POST", `/v1/workspaces/${workspace}/events`, alert()],
  ];
  for (const [method, target, body] of calls) {
    assertRefused(await relay.fetch(target, { method, body, token: null, headers: headers() }), 401, {
      code: "unauthorized",
    });
  }
  const pages = [
    ["get", HOME],
    ["post", `${HOME}/${webhook.id}/secret`],
    ["post", `${HOME}/${webhook.id}/disable`],
  ];
  for (const [ask, target] of pages) {
    // A new visitor each time, because the relay removes such a cookie.
    const visitor = createVisitor(relay, cookie);
    const answer =
      ask === "get"
        ? await visitor.get(target, { headers: fromElsewhere() })
        : await visitor.post(target, {}, { headers: fromElsewhere() });
    assertLeadsTo(answer, /^\/sign-in/);
    assert.ok(!answer.text.includes(scene.receiver.url), answer.text);
  }
  return calls.length + pages.length;
}

async function assertUntouched() {
  const { status, description, updated_at: updatedAt } = answered(await relay.fetch(pathOf(scene)), 200);
  assert.deepEqual([status, description, updatedAt], ["enabled", scene.webhook.description, scene.webhook.updated_at]);
}

async function assertAllNobody(t, cookies) {
  let tried = 0;
  for (const cookie of cookies) tried += await assertNobody(cookie);
  await assertUntouched();
  t.diagnostic(`${cookies.length} cookies, ${tried} requests`);
}

describe("not a session:", () => {
  test("a cookie that was cut or altered anywhere", { timeout: 120_000 }, async (t) => {
    const visitor = await signIn(relay, scene.workspace);
    const token = tokenOf(visitor);
    const random = token.length - randomOf(token).length;
    const cut = [1, 2, 3, random - 1, random, random + 1, random + 32, token.length - 1].flatMap((length) => [
      token.slice(0, length),
      token.slice(length),
    ]);
    const altered = times(randomOf(token).length, (place) => changeAt(token, random + place));
    const padded = [
      `${token}00`,
      `0${token}`,
      `${token}%00`,
      `${token}=`,
      `${token}\u00a0`,
      `${token}/`,
      `${token}|${token}`,
      `${token}${token}`,
    ];
    const spelled = [
      token.toUpperCase(),
      token.slice(0, random) + randomOf(token).toUpperCase(),
      token.replace("se_", "SE_"),
      token.replace("se_", "se__"),
      encodeURIComponent(token).replaceAll("_", "%5F"),
      Buffer.from(token).toString("base64"),
      [...token].reverse().join(""),
      `'${token}'`,
      `Bearer ${token}`,
    ];
    await assertAllNobody(
      t,
      [...cut, ...altered, ...padded, ...spelled].map((made) => `session=${made}`),
    );
    assertPage(await visitor.get(HOME));
  });

  test("a token of another kind or workspace in its place, and what is stored of one", {
    timeout: 60_000,
  }, async (t) => {
    const visitor = await signIn(relay, scene.workspace);
    const elsewhere = await signIn(relay, other);
    const { token: link } = await createLink(relay, scene.workspace);
    const [own, foreign] = [ownerOf(scene.workspace), ownerOf(other)];
    const made = [
      // A session's random part with another prefix, and that of another workspace under this one's id.
      tokenOf(visitor).replace(own, foreign),
      tokenOf(elsewhere).replace(foreign, own),
      tokenOf(visitor).replace(own, "unknown"),
      tokenOf(visitor).replace(own, ""),
      tokenOf(visitor).replace(own, `${own}_${own}`),
      tokenOf(visitor).replace(own, `${foreign}_${own}`),
      tokenOf(visitor).replace(own, own.toUpperCase()),
      tokenOf(visitor).replace(own, `../${own}`),
      tokenOf(visitor).replace(own, `ws_${own}`),
      // The random part of other tokens.
      visitor.key,
      visitor.key.replace("sk_", "se_"),
      link,
      link.replace("dl_", "se_"),
      relay.operatorToken,
      `se_${own}.${NO_RANDOM}`,
      // Hashes, as someone who reads the storage has.
      sha256(tokenOf(visitor)),
      `se_${own}.${sha256(tokenOf(visitor))}`,
      `se_${own}.${sha256(visitor.key)}`,
      `se_${own}.${sha256(randomOf(tokenOf(visitor)))}`,
    ];
    await assertAllNobody(
      t,
      made.map((token) => `session=${token}`),
    );
    for (const one of [visitor, elsewhere]) assertPage(await one.get(HOME));
  });

  test("a header that has it twice, or under another name", { timeout: 60_000 }, async (t) => {
    const good = await signIn(relay, scene.workspace);
    const { cookie } = good;
    const elsewhere = await signIn(relay, other);
    await assertAllNobody(t, [
      `${cookie}; ${cookie}`,
      `${cookie};${elsewhere.cookie}`,
      `session=; ${cookie}`,
      `${cookie}; session=`,
      `session=x; a=b; ${cookie}`,
      `__Host-${cookie}`,
      `__Secure-${cookie}`,
      `SESSION=${tokenOf(good)}`,
      `session[]=${tokenOf(good)}`,
      `session:${tokenOf(good)}`,
      `a="; ${cookie}; ${cookie}"`,
      `$Version=1; $session=${tokenOf(good)}`,
      `a=${cookie}`,
      tokenOf(good),
      `session ${tokenOf(good)}`,
      `${"a=b; ".repeat(500)}${cookie}x`,
    ]);
    assertPage(await createVisitor(relay, `${"a=b; ".repeat(500)}${cookie}`).get(HOME));
  });

  test("one that was signed out, whose key was revoked, or whose workspace was deleted", {
    timeout: 60_000,
  }, async (t) => {
    const revoke = ({ keyId }) => relay.fetch(`/v1/workspaces/${scene.workspace}/keys/${keyId}`, { method: "DELETE" });
    const [out, revoked, still] = [
      await signIn(relay, scene.workspace),
      await signIn(relay, scene.workspace),
      await signIn(relay, scene.workspace),
    ];
    const kept = [out.cookie, revoked.cookie];
    for (const visitor of [out, revoked, still]) assertPage(await visitor.get(HOME));
    await out.post("/sign-out");
    answered(await revoke(revoked), 204);
    await assertAllNobody(t, kept);
    // Signing in again does not restore the old one.
    assertLeadsTo(await createVisitor(relay).post("/sign-in", { key: out.key }), HOME);
    await assertAllNobody(t, kept);
    assertPage(await still.get(HOME));

    const gone = await createWorkspace(relay);
    const visitor = await signIn(relay, gone);
    const { token: link } = await createLink(relay, gone);
    answered(await relay.fetch(`/v1/workspaces/${gone}`, { method: "DELETE" }), 204);
    // Nobody can reuse its id, which would give access to what was made for it.
    assertRefused(await relay.fetch("/v1/workspaces", { method: "POST", body: { id: gone, name: "Anew" } }), 409);
    await assertNobody(visitor.cookie, { workspace: gone });
    assertRefused(await relay.fetch(`/v1/workspaces/${gone}/webhooks`, { token: visitor.key }), 401);
    for (const fields of [{ link }, { key: visitor.key }])
      assertPage(await createVisitor(relay).post("/sign-in", fields), 422);
  });

  test("one that the visitor already had before signing in", async () => {
    const { key } = await createKey(relay, scene.workspace);
    const planted = `session=se_${ownerOf(scene.workspace)}.${"ab".repeat(32)}`;
    const visitor = createVisitor(relay, planted);
    assertLeadsTo(await visitor.post("/sign-in", { key }), HOME);
    assert.notEqual(visitor.cookie, planted);
    assertPage(await visitor.get(HOME));
    await assertNobody(planted);
  });
});

test("only the cookie with the name for the request's scheme counts", {
  timeout: 60_000,
}, async (t) => {
  const visitor = await signIn(relay, scene.workspace);
  const [token, forged] = [tokenOf(visitor), `se_${ownerOf(scene.workspace)}.${NO_RANDOM}`];
  const statuses = async (scheme, cookie) => {
    const origin = `${scheme}://relay.example.com`;
    const headers = { cookie, origin, ...fromElsewhere() };
    const ask = async (path, init) => {
      const answer = await relay.dispatch(`${origin}${path}`, { redirect: "manual", headers, ...init });
      await answer.text();
      return answer.status;
    };
    return [
      await ask(pathOf(scene)),
      await ask(HOME),
      await ask(pathOf(scene), {
        method: "PATCH",
        body: "{}",
        headers: { ...headers, "content-type": "application/json" },
      }),
    ];
  };
  const [REFUSED, TAKEN] = [
    [401, 303, 401],
    [200, 200, 200],
  ];
  const cases = [
    ["https", `session=${token}`, REFUSED],
    ["https", `__host-session=${token}`, REFUSED],
    ["https", `__Host-session=${forged}; session=${token}`, REFUSED],
    ["https", `__Host-session=${token}; __Host-session=${token}`, REFUSED],
    ["https", `__Host-session=; session=${token}`, REFUSED],
    ["http", `__Host-session=${token}`, REFUSED],
    ["http", `session=${forged}; __Host-session=${token}`, REFUSED],
    ["https", `__Host-session=${token}; session=${forged}`, TAKEN],
    ["http", `session=${token}; __Host-session=${forged}`, TAKEN],
  ];
  for (const [scheme, cookie, expected] of cases)
    assert.deepEqual(await statuses(scheme, cookie), expected, `${scheme} ${cookie}`);
  t.diagnostic(`${cases.length} headers, three requests each`);
});

test("a link that was cut, altered, moved or turned into another token opens nothing, and the real one still works", {
  timeout: 60_000,
}, async (t) => {
  const { token: link } = await createLink(relay, scene.workspace);
  const { token: foreign } = await createLink(relay, other);
  const [own, theirs] = [ownerOf(scene.workspace), ownerOf(other)];
  const random = link.length - randomOf(link).length;
  const wrong = [
    ...[1, 3, random, random + 1, link.length - 1].flatMap((length) => [link.slice(0, length), link.slice(length)]),
    ...times(randomOf(link).length, (place) => changeAt(link, random + place)),
    link.replace(own, theirs),
    foreign.replace(theirs, own),
    link.replace(own, "unknown"),
    link.replace(own, ""),
    link.replace(own, own.toUpperCase()),
    link.toUpperCase(),
    link.slice(0, random) + randomOf(link).toUpperCase(),
    link.replace("dl_", "sk_"),
    link.replace("dl_", "se_"),
    link.replace("dl_", "dl__"),
    `${link}0`,
    `${link}${link}`,
    `${link},${link}`,
    `${link}\0`,
    encodeURIComponent(link).replaceAll("_", "%5F"),
    `https://relay.example.com/sign-in?link=${link}`,
    `dl_${own}.${sha256(link)}`,
    sha256(link),
    "\ud800",
    "x".repeat(10_000),
  ];
  for (const token of wrong) {
    for (const field of ["link", "key"]) {
      const visitor = createVisitor(relay);
      assertPage(await visitor.post("/sign-in", { [field]: token }, { headers: fromElsewhere() }), 422);
      assert.equal(visitor.cookie, undefined);
    }
    // A GET only shows the page, for example to a mail scanner.
    assertPage(await createVisitor(relay).get(`/sign-in?link=${encodeURIComponent(token.toWellFormed())}`));
  }
  for (const [token, workspace] of [
    [link, scene.workspace],
    [foreign, other],
  ]) {
    const visitor = createVisitor(relay);
    assertLeadsTo(await visitor.post("/sign-in", { link: token }), HOME);
    assert.ok(visitor.cookie.startsWith(`session=se_${ownerOf(workspace)}.`), visitor.cookie);
    // Used up, as a link and as any other token.
    for (const used of [token, token.replace("dl_", "sk_")]) {
      assertPage(await createVisitor(relay).post("/sign-in", { link: used }, { headers: fromElsewhere() }), 422);
      assertRefused(
        await relay.fetch(`/v1/workspaces/${workspace}/webhooks`, { token: used, headers: fromElsewhere() }),
        401,
        { code: "unauthorized" },
      );
    }
    assertPage(await visitor.get(HOME));
  }
  t.diagnostic(`${wrong.length} links, each posted as a link and as a key, and shown`);
});
