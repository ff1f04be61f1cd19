// Signing in to the dashboard by key or by link, and the page that says whose workspace it is.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { after, before, describe, test } from "node:test";
import { eventually } from "../support/eventually.js";
import { createWorkspace, startRelay } from "../support/relay.js";
import { answered, createKey } from "../support/steps.js";
import { isStored, readStorage } from "../support/storage.js";
import { assertLeadsTo, assertPage, createLink, createVisitor, signIn } from "../support/visitor.js";

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
