// Guessing tokens wakes few objects, whatever workspaces the guesser names, and is limited by the client's network.
import assert from "node:assert/strict";
import { randomBytes, randomUUID } from "node:crypto";
import { after, before, test } from "node:test";
import { createWorkspace, startRelay } from "../support/relay.js";
import { alert, answered, assertRefused, createKey } from "../support/steps.js";
import { assertLeadsTo, assertPage, createLink, createVisitor } from "../support/visitor.js";

const FAILURES_A_MINUTE = 300;
const HOME = "/settings/webhooks";
const TIMEOUT_MS = 120_000;

let relay;
before(async () => (relay = await startRelay({ hooks: true })));
after(() => relay?.stop());

const from = (address) => ({ "cf-connecting-ip": address });
const randomPart = () => randomBytes(32).toString("hex");
const someWorkspace = () => randomUUID().replaceAll("-", "");
/** The names of the objects that were asked for an answer. */
const asked = ({ headers }) => Object.keys(JSON.parse(headers.get("x-object-calls")));

/** Guesses a key of a workspace; a new one each time unless it is given. */
const guessKey = (headers, owner = someWorkspace()) =>
  relay.fetch(`/v1/workspaces/ws_${owner}/webhooks`, { token: `sk_${owner}.${randomPart()}`, headers });

/** Guesses until the client is limited: at once, or in the next minute if one ends in between. */
async function guessUntilLimited(headers) {
  for (let count = 0; count <= 2 * FAILURES_A_MINUTE + 1; count++) {
    const answer = await guessKey(headers);
    if (answer.status === 429) return;
    assertRefused(answer, 401, { code: "unauthorized" });
  }
  assert.fail("the guesses were not limited");
}

// Each is a guess at a workspace that the guesser names.
const GUESSES = {
  "a key": (headers) => guessKey(headers),
  "a key for posting": (headers, owner = someWorkspace()) =>
    relay.fetch(`/v1/workspaces/ws_${owner}/events`, {
      method: "POST",
      body: alert(),
      token: `sk_${owner}.${randomPart()}`,
      headers,
    }),
  "a key elsewhere": (headers) => relay.fetch("/metrics", { token: `sk_${someWorkspace()}_${randomPart()}`, headers }),
  "a session on the API": (headers, owner = someWorkspace()) =>
    relay.fetch(`/v1/workspaces/ws_${owner}/webhooks`, {
      token: null,
      headers: { ...headers, cookie: `session=se_${owner}.${randomPart()}` },
    }),
  "a session on a page": (headers) =>
    createVisitor(relay, `session=se_${someWorkspace()}.${randomPart()}`).get(HOME, { headers }),
  "a key to sign in": (headers) =>
    createVisitor(relay).post("/sign-in", { key: `sk_${someWorkspace()}.${randomPart()}` }, { headers }),
  "a link to sign in": (headers) =>
    createVisitor(relay).post("/sign-in", { link: `dl_${someWorkspace()}.${randomPart()}` }, { headers }),
  "a link that is shown": (headers) =>
    createVisitor(relay).get(`/sign-in?link=dl_${someWorkspace()}.${randomPart()}`, { headers }),
  "a session to sign out": (headers) =>
    createVisitor(relay, `session=se_${someWorkspace()}.${randomPart()}`).post("/sign-out", {}, { headers }),
};

test("a thousand guesses from one address wake three hundred objects a minute at most", {
  timeout: TIMEOUT_MS,
}, async (t) => {
  const headers = from("198.51.100.1");
  const began = Date.now();
  const woken = new Set();
  const guesses = Object.values(GUESSES);
  for (let count = 0; count < 1_000; count++)
    for (const name of asked(await guesses[count % guesses.length](headers))) woken.add(name);
  const minutes = Math.floor(Date.now() / 60_000) - Math.floor(began / 60_000) + 1;
  t.diagnostic(`${woken.size} objects were woken in ${minutes} minute(s)`);
  assert.ok(woken.size <= FAILURES_A_MINUTE * minutes, `${woken.size} objects were woken`);
});

test("a limited address is answered before any object is asked, whatever it guesses", {
  timeout: TIMEOUT_MS,
}, async () => {
  const headers = from("198.51.100.2");
  await guessUntilLimited(headers);
  // A workspace that exists is spared as one that does not.
  const owner = (await createWorkspace(relay)).slice(3);
  for (const [what, guess] of Object.entries(GUESSES)) {
    for (const named of [undefined, owner]) {
      const answer = await guess(headers, named);
      assert.equal(answer.status, 429, `${what}: ${answer.text}`);
      assert.match(answer.headers.get("retry-after"), /^([1-9]|[1-5]\d|60)$/);
      assert.deepEqual(asked(answer), [], what);
    }
  }
});

test("valid tokens work from a limited address: a key that KV has, and a session that was opened there", {
  timeout: TIMEOUT_MS,
}, async () => {
  const headers = from("198.51.100.3");
  const workspace = await createWorkspace(relay);
  const { key } = await createKey(relay, workspace);
  const before = createVisitor(relay);
  assertLeadsTo(await before.post("/sign-in", { link: (await createLink(relay, workspace)).token }, { headers }), HOME);
  await guessUntilLimited(headers);
  for (const token of [relay.operatorToken, key]) {
    answered(await relay.fetch(`/v1/workspaces/${workspace}/webhooks`, { token, headers }), 200);
    const posted = { method: "POST", body: alert(), token, headers };
    answered(await relay.fetch(`/v1/workspaces/${workspace}/events`, posted), 202);
  }
  assertPage(await before.get(HOME, { headers }));
  const now = createVisitor(relay);
  assertLeadsTo(await now.post("/sign-in", { key }, { headers }), HOME);
  assertPage(await now.get(HOME, { headers }));
  assertLeadsTo(await now.post("/sign-out", {}, { headers }), /^\/sign-in/);
});

test("the addresses of one IPv6 /64 are one client, and so are an IPv4 address and its mapped form", {
  timeout: TIMEOUT_MS,
}, async () => {
  const spread = {
    "2001:db8:1:2::": (count) => `2001:db8:1:2:${count.toString(16)}::${count}`,
    "198.51.100.4": (count) => (count % 2 === 0 ? "198.51.100.4" : "::ffff:198.51.100.4"),
  };
  for (const [network, address] of Object.entries(spread)) {
    let limited = 0;
    for (let count = 1; count <= 2 * FAILURES_A_MINUTE + 2 && limited < 2; count++)
      if ((await guessKey(from(address(count)))).status === 429) limited++;
    assert.equal(limited, 2, `${network} was not limited`);
  }
  for (const other of ["2001:db8:1:3::1", "198.51.100.5"])
    assertRefused(await guessKey(from(other)), 401, { code: "unauthorized" });
});
