// Making dashboard links. Other files test the dashboard itself.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { eventually } from "../support/eventually.js";
import { createWorkspace, startRelay } from "../support/relay.js";
import {
  ISO_MILLISECONDS,
  MALFORMED_OR_REFUSED,
  SCOPES,
  answered,
  assertRefused,
  createKey,
} from "../support/steps.js";
import { isStored } from "../support/storage.js";
import { assertLeadsTo, assertPage, createLink, createVisitor, signIn } from "../support/visitor.js";

const LONGEST_S = 604_800;

let relay;
before(async () => (relay = await startRelay()));
after(() => relay?.stop());

const create = (workspace, body, init) =>
  relay.fetch(`/v1/workspaces/${workspace}/dashboard-links`, { method: "POST", body, ...init });

function assertEndsIn(until, seconds) {
  const left = Date.parse(until) - Date.now();
  assert.ok(Math.abs(left - seconds * 1_000) < 30_000, `${until} is ${left} ms from now, not ${seconds} s`);
}

describe("a dashboard link", () => {
  test("leads to the relay's own sign-in page and is valid for an hour by default", async () => {
    const workspace = await createWorkspace(relay);
    const { id, url, expires_at: until, ...rest } = answered(await create(workspace, {}), 201);
    assert.match(id, /^acc_[0-9a-f]{32}$/);
    assert.deepEqual(rest, {});
    const { origin, pathname, searchParams } = new URL(url);
    assert.deepEqual(
      [origin, pathname, [...searchParams.keys()]],
      [new URL(relay.origin).origin, "/sign-in", ["link"]],
    );
    // 256 random bits after the workspace's id.
    assert.match(searchParams.get("link"), new RegExp(`^dl_${workspace.slice(3)}\\.[A-Za-z0-9_-]{43,64}$`));
    assert.match(until, ISO_MILLISECONDS);
    assertEndsIn(until, 3_600);
  });

  test("can be valid for one second up to seven days, and have chosen scopes", async () => {
    const workspace = await createWorkspace(relay);
    for (const seconds of [1, LONGEST_S])
      assertEndsIn(answered(await create(workspace, { expires_in: seconds }), 201).expires_at, seconds);
    for (const scopes of [["webhooks:read"], SCOPES]) answered(await create(workspace, { scopes }), 201);
  });

  test("is different each time, and is stored only as a hash", async () => {
    const workspace = await createWorkspace(relay);
    const links = [];
    for (let count = 0; count < 2; count++)
      links.push(new URL(answered(await create(workspace, {}), 201).url).searchParams.get("link"));
    assert.notEqual(links[0], links[1]);
    for (const text of links.flatMap((link) => [link, link.split(".").at(-1)])) {
      assert.ok(!isStored(relay, text), "the link is stored");
      assert.ok(!relay.logs.join("\n").includes(text), "the link is in the log");
    }
  });

  test("is not a bearer token", async () => {
    const workspace = await createWorkspace(relay);
    const link = new URL(answered(await create(workspace, {}), 201).url).searchParams.get("link");
    assertRefused(await relay.fetch(`/v1/workspaces/${workspace}/webhooks`, { token: link }), 401, {
      code: "unauthorized",
    });
  });
});

describe("a dashboard link is refused", () => {
  /** @type {import("../support/types.d.ts").Refusals} */
  const REFUSED = {
    "for no time": [{ expires_in: 0 }, MALFORMED_OR_REFUSED, "expires_in"],
    "for a negative time": [{ expires_in: -1 }, MALFORMED_OR_REFUSED, "expires_in"],
    "for more than seven days": [{ expires_in: LONGEST_S + 1 }, MALFORMED_OR_REFUSED, "expires_in"],
    "for half a second": [{ expires_in: 0.5 }, MALFORMED_OR_REFUSED, "expires_in"],
    "for a time that is a string": [{ expires_in: "3600" }, MALFORMED_OR_REFUSED, "expires_in"],
    "with an unknown scope": [{ scopes: ["webhooks:delete"] }, MALFORMED_OR_REFUSED, "scopes"],
    "with a string as scopes": [{ scopes: "webhooks:read" }, MALFORMED_OR_REFUSED, "scopes"],
    "with a scope that opens no page": [{ scopes: ["events:write"] }, 422, "scopes", "invalid_scopes"],
    "for nobody": [{ actor: "" }, 422, "actor", "invalid_actor"],
    "for spaces": [{ actor: "  " }, 422, "actor", "invalid_actor"],
    "for somebody with a long name": [{ actor: "a".repeat(101) }, 422, "actor", "invalid_actor"],
    "for a name that reads backwards": [{ actor: "Ada\u202e" }, 422, "actor", "invalid_actor"],
    "for a number": [{ actor: 1 }, 400, "actor", "invalid_type"],
    "to another site": [{ page: "https://evil.example.com/settings/webhooks" }, 422, "page", "invalid_page"],
    "to another host": [{ page: "//evil.example.com" }, 422, "page", "invalid_page"],
    "to the API": [{ page: "/v1/workspaces" }, 422, "page", "invalid_page"],
    "to an action": [
      { page: "/settings/webhooks/wh_00000000000070008000000000000000/disable" },
      422,
      "page",
      "invalid_page",
    ],
    "with an unknown member": [{ expires: 60 }, 400, "expires"],
  };
  for (const [what, [body, status, field, code]] of Object.entries(REFUSED)) {
    test(what, async () => {
      const error = assertRefused(await create(await createWorkspace(relay), body), status, { code });
      assert.match(error.field ?? "(no field)", new RegExp(`^${field}`));
    });
  }

  test("to everyone but the operator", async () => {
    const workspace = await createWorkspace(relay);
    const { key } = await createKey(relay, workspace);
    assertRefused(await create(workspace, {}, { token: key }), 403, { code: "forbidden" });
    for (const token of [null, "wrong"])
      assertRefused(await create(workspace, {}, { token }), 401, { code: "unauthorized" });
  });

  test("in a workspace that does not exist", async () => {
    assertRefused(await create("ws_unknown", {}), 404, { code: "not_found" });
  });
});

describe("links and sessions", () => {
  const HOME = "/settings/webhooks";
  const path = (workspace, below = "") => `/v1/workspaces/${workspace}/dashboard-links${below}`;
  const list = async (workspace, query = "") => answered(await relay.fetch(path(workspace, query)), 200);
  const end = (workspace, below = "") => relay.fetch(path(workspace, below), { method: "DELETE" });

  /** Signs a new visitor in by a new link; the visitor and the link's id. */
  async function signInByLink(workspace, body) {
    const { id, token } = await createLink(relay, workspace, body);
    const visitor = createVisitor(relay);
    assertLeadsTo(await visitor.post("/sign-in", { link: token }), HOME);
    return { id, visitor };
  }

  test("are listed with whom they are for, and without their tokens", async () => {
    const workspace = await createWorkspace(relay);
    assert.deepEqual(await list(workspace), { data: [], next_cursor: null });
    const link = await createLink(relay, workspace, { actor: "ada@example.com", scopes: ["webhooks:read"] });
    const nameless = await createLink(relay, workspace);
    const used = await signInByLink(workspace, { actor: "Grace" });
    const byKey = await signIn(relay, workspace, ["events:write", "webhooks:write"]);
    const { data, next_cursor: next } = await list(workspace);
    assert.equal(next, null);
    const both = ["webhooks:read", "webhooks:write"];
    const last = data.at(-1).id;
    assert.deepEqual(
      data.map(({ id, kind, actor, scopes }) => [id, kind, actor, scopes]),
      [
        [link.id, "link", "ada@example.com", ["webhooks:read"]],
        [nameless.id, "link", null, both],
        // A session keeps the id of its link.
        [used.id, "session", "Grace", both],
        // That of a key is named after the key.
        [last, "session", "Test", ["events:write", "webhooks:write"]],
      ],
    );
    for (const { created_at: created, expires_at: expires, kind } of data) {
      assert.ok(Math.abs(Date.parse(created) - Date.now()) < 60_000, created);
      assertEndsIn(expires, kind === "link" ? 3_600 : 43_200);
    }
    const text = JSON.stringify(data);
    for (const token of [link.token, used.visitor.cookie.split("=")[1], byKey.cookie.split("=")[1]])
      assert.ok(!text.includes(token.split(".").at(-1)), text);
  });

  test("are listed page by page, and those that have expired are not", async () => {
    const workspace = await createWorkspace(relay);
    const short = await createLink(relay, workspace, { expires_in: 1 });
    const ids = [];
    for (let count = 0; count < 5; count++) ids.push((await createLink(relay, workspace)).id);
    await eventually(() => Date.now() > Date.parse(short.expires_at));
    const found = [];
    let cursor = "";
    let pages = 0;
    do {
      const { data, next_cursor: next } = await list(workspace, `?limit=2${cursor}`);
      found.push(...data.map(({ id }) => id));
      cursor = next === null ? null : `&cursor=${next}`;
      pages += 1;
    } while (cursor);
    assert.deepEqual([found, pages], [ids, 3]);
    for (const query of ["?limit=0", "?limit=101", "?cursor=1", "?page=2"])
      assertRefused(await relay.fetch(path(workspace, query)), 400);
  });

  test("are ended one by one, by the id of the link", async () => {
    const workspace = await createWorkspace(relay);
    const link = await createLink(relay, workspace);
    const [one, other] = [await signInByLink(workspace), await signInByLink(workspace)];
    const byKey = await signIn(relay, workspace);
    const ofKey = (await list(workspace)).data.at(-1).id;
    answered(await end(workspace, `/${link.id}`), 204);
    answered(await end(workspace, `/${one.id}`), 204);
    assertPage(await createVisitor(relay).post("/sign-in", { link: link.token }), 422);
    assertLeadsTo(await one.visitor.get(HOME), "/sign-in");
    for (const visitor of [other.visitor, byKey]) assertPage(await visitor.get(HOME));
    answered(await end(workspace, `/${ofKey}`), 204);
    assertLeadsTo(await byKey.get(HOME), "/sign-in");
    assert.deepEqual(
      (await list(workspace)).data.map(({ id }) => id),
      [other.id],
    );
    const elsewhere = await createWorkspace(relay);
    for (const [owner, id] of [
      [workspace, one.id],
      [workspace, "acc_1"],
      [elsewhere, other.id],
    ])
      assertRefused(await end(owner, `/${id}`), 404, { code: "not_found" });
    assertPage(await other.visitor.get(HOME));
  });

  test("are ended all at once, also where there are none", async () => {
    const workspace = await createWorkspace(relay);
    answered(await end(workspace), 204);
    const link = await createLink(relay, workspace);
    const visitors = [(await signInByLink(workspace)).visitor, await signIn(relay, workspace)];
    answered(await end(workspace), 204);
    assert.deepEqual((await list(workspace)).data, []);
    for (const visitor of visitors) assertLeadsTo(await visitor.get(HOME), "/sign-in");
    assertPage(await createVisitor(relay).post("/sign-in", { link: link.token }), 422);
    // A key signs in again.
    assertLeadsTo(await createVisitor(relay).post("/sign-in", { key: visitors[1].key }), HOME);
  });

  test("are the operator's alone", async () => {
    const workspace = await createWorkspace(relay);
    const { key } = await createKey(relay, workspace);
    const { id } = await createLink(relay, workspace);
    for (const [method, below] of [
      ["GET", ""],
      ["DELETE", ""],
      ["DELETE", `/${id}`],
    ]) {
      assertRefused(await relay.fetch(path(workspace, below), { method, token: key }), 403, { code: "forbidden" });
      assertRefused(await relay.fetch(path(workspace, below), { method, token: null }), 401, { code: "unauthorized" });
    }
  });
});

test("a link leads to the page that it was made for", async () => {
  const workspace = await createWorkspace(relay);
  const page = "/settings/events?id=order%204711";
  const { url, token } = await createLink(relay, workspace, { page });
  const { pathname, search } = new URL(url);
  const visitor = createVisitor(relay);
  const [, action] = assertPage(await visitor.get(pathname + search)).match(/<form method="post" action="([^"]*)">/);
  assertLeadsTo(await visitor.post(action.replaceAll("&#38;", "&"), { link: token }), page);
});
