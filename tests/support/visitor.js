// A browser without a screen: keeps the session's cookie, posts forms as the relay's own pages do, follows no redirect.
import assert from "node:assert/strict";
import { answered, createKey } from "./steps.js";

const FORM = "application/x-www-form-urlencoded";

/** A visitor who has not signed in, or who has the given cookie. */
export function createVisitor(relay, cookie) {
  const visitor = {
    cookie,
    /** The cookie of the notice that the next page shows. */
    notice: undefined,
    async get(path, /** @type {{ method?: string, headers?: object }} */ { method = "GET", headers = {} } = {}) {
      return take(await relay.fetch(path, { method, token: null, headers: { ...cookieOf(visitor), ...headers } }));
    },
    /** Posts a form; `fields` are an object or pairs. `origin` is the Origin header; null sends none. */
    async post(path, fields = {}, { origin = relay.origin, headers = {} } = {}) {
      const sent = { "content-type": FORM, ...(origin === null ? {} : { origin }), ...cookieOf(visitor), ...headers };
      const body = new URLSearchParams(fields).toString();
      return take(await relay.fetch(path, { method: "POST", token: null, body, headers: sent }));
    },
  };
  function take(answer) {
    for (const set of answer.headers.getSetCookie()) {
      const [pair] = set.split(";");
      const kept = /Max-Age=0/.test(set) ? undefined : pair;
      if (/^(__Host-)?notice=/.test(pair)) visitor.notice = kept;
      else visitor.cookie = kept;
    }
    return answer;
  }
  return visitor;
}

function cookieOf({ cookie, notice }) {
  const cookies = [cookie, notice].filter((one) => one !== undefined);
  return cookies.length === 0 ? {} : { cookie: cookies.join("; ") };
}

/** A visitor who has signed in with a new key of the workspace, with every scope unless `scopes` says which. */
export async function signIn(relay, workspace, scopes) {
  const { id, key } = await createKey(relay, workspace, scopes);
  const visitor = createVisitor(relay);
  assertLeadsTo(await visitor.post("/sign-in", { key }), "/settings/webhooks");
  assert.ok(visitor.cookie, "signing in set no cookie");
  return Object.assign(visitor, { keyId: id, key });
}

/** The token of a new dashboard link of the workspace, and its whole answer. */
export async function createLink(relay, workspace, body = {}) {
  const path = `/v1/workspaces/${workspace}/dashboard-links`;
  const link = answered(await relay.fetch(path, { method: "POST", body }), 201);
  return { ...link, token: new URL(link.url).searchParams.get("link") };
}

/** Asserts a redirect after a form, to a path or one that matches a pattern; returns its path and query. */
export function assertLeadsTo(answer, location, status = 303) {
  assert.equal(answer.status, status, `${answer.status}: ${answer.text.slice(0, 500)}`);
  const found = answer.headers.get("location");
  if (location instanceof RegExp) assert.match(found, location);
  else assert.equal(found, location);
  return found;
}

/** Asserts that the last answer carries the notice of a word to the next page. */
export function assertTells(visitor, word) {
  assert.equal(visitor.notice, `notice=${word}`);
}

/** Asserts a page, never JSON, and returns its HTML. */
export function assertPage(answer, status = 200) {
  assert.equal(answer.status, status, `${answer.status}: ${answer.text.slice(0, 500)}`);
  assert.equal(answer.headers.get("content-type"), "text/html; charset=utf-8");
  assert.match(answer.text, /^<!doctype html>/);
  return answer.text;
}
