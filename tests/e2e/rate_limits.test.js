// Guessing tokens is slowed down, callers with a valid one are not; and what a workspace may do within a time is limited.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { eventually } from "../support/eventually.js";
import { createWorkspace, postEvent, startRelay } from "../support/relay.js";
import { alert, answered, assertRefused, changeWebhook, createKey, pathOf, setUpWebhook } from "../support/steps.js";
import { assertLeadsTo, assertPage, signIn } from "../support/visitor.js";

const FAILURES_A_MINUTE = 300;
const AT_ONCE = 20;

let relay;
before(async () => (relay = await startRelay()));
after(() => relay?.stop());

/** The answers to `count` requests with different wrong tokens, to the given paths in turn. */
async function guess(paths, count) {
  const answers = [];
  for (let number = 0; number < count; number += AT_ONCE) {
    const tokens = Array.from({ length: AT_ONCE }, (_, index) => `wrong-token-${number + index}-0123456789`);
    answers.push(
      ...(await Promise.all(tokens.map((token, index) => relay.fetch(paths[index % paths.length], { token })))),
    );
  }
  return answers;
}

test("after 300 failed authentications within a minute an address is told to wait, and valid tokens still work", {
  timeout: 120_000,
}, async (t) => {
  const workspace = await createWorkspace(relay);
  const { key } = await createKey(relay, workspace);
  const webhooks = `/v1/workspaces/${workspace}/webhooks`;
  const paths = ["/v1/workspaces", webhooks, "/metrics", `/v1/workspaces/${workspace}/keys`];

  const first = await guess(paths, FAILURES_A_MINUTE);
  for (const answer of first) assertRefused(answer, 401, { code: "unauthorized" });
  // The same number again: if the minute ended in between, the next one ends the guessing.
  const more = await guess(paths, FAILURES_A_MINUTE + AT_ONCE);
  const limited = more.filter(({ status }) => status === 429);
  t.diagnostic(`${limited.length} of ${more.length} further guesses were answered 429`);
  assert.ok(limited.length > 0, "no guess was limited");
  for (const answer of limited) {
    const { code } = assertRefused(answer, 429);
    assert.notEqual(code, "unauthorized");
    const seconds = Number(answer.headers.get("retry-after"));
    assert.ok(
      Number.isInteger(seconds) && seconds >= 1 && seconds <= 60,
      `Retry-After: ${answer.headers.get("retry-after")}`,
    );
  }

  for (const token of [relay.operatorToken, key]) {
    answered(await relay.fetch(webhooks, { token }), 200);
    answered(await relay.fetch(`/v1/workspaces/${workspace}/events`, { method: "POST", body: alert(), token }), 202);
  }
  answered(await relay.fetch("/healthz", { token: null }), 200);
  answered(await relay.fetch("/v1/event-types", { token: null }), 200);
});

test("valid tokens are never limited, however many requests they make", { timeout: 120_000 }, async () => {
  const workspace = await createWorkspace(relay);
  const { key } = await createKey(relay, workspace);
  for (let count = 0; count < 2 * FAILURES_A_MINUTE; count += AT_ONCE) {
    const asked = Array.from({ length: AT_ONCE }, () =>
      relay.fetch(`/v1/workspaces/${workspace}/webhooks`, { token: key }),
    );
    for (const answer of await Promise.all(asked)) answered(answer, 200);
  }
});

const MINUTE_MS = 60_000;
const minuteOf = () => Math.floor(Date.now() / MINUTE_MS);

/** A relay with a limit of its own, in a minute that is not about to end. */
async function startLimited(t, name, limit) {
  const limited = await startRelay({
    hooks: true,
    limits: { [name]: { namespace_id: "9", simple: { limit, period: 60 } } },
  });
  t.after(() => limited.stop());
  await eventually(() => Date.now() % MINUTE_MS < 40_000, { timeout: MINUTE_MS });
  return limited;
}

function assertLimited(answer) {
  assertRefused(answer, 429, { code: "rate_limited" });
  assert.match(answer.headers.get("retry-after"), /^([1-9]|[1-5]\d|60)$/);
}

test("a workspace's calls that write or send are limited together, and nothing else is", {
  timeout: 2 * MINUTE_MS,
}, async (t) => {
  const limited = await startLimited(t, "MANAGEMENT", 10);
  // The second call; making its workspace was the first.
  const scene = await setUpWebhook(t, limited);
  const { key } = await createKey(limited, scene.workspace);
  const { key: reader } = await createKey(limited, scene.workspace, ["webhooks:read"]);
  const visitor = await signIn(limited, scene.workspace);
  const minute = minuteOf();
  // Who may not write does not use it up.
  for (let count = 0; count < 10; count++)
    assertRefused(await limited.fetch(pathOf(scene, "/test"), { method: "POST", body: {}, token: reader }), 403);
  await changeWebhook(limited, scene, { description: "sixth" });
  answered(
    await limited.fetch(pathOf(scene, "/test"), { method: "POST", body: { type: "agent.error" }, token: key }),
    200,
  );
  assertLeadsTo(await visitor.post(`/settings/webhooks/${scene.webhook.id}/disable`), /^\/settings\/webhooks\//);
  assertLeadsTo(await visitor.post(`/settings/webhooks/${scene.webhook.id}/enable`), /^\/settings\/webhooks\//);
  await changeWebhook(limited, scene, { description: "tenth" });

  for (const [method, path, body] of [
    ["PATCH", pathOf(scene), { description: "eleventh" }],
    ["POST", pathOf(scene, "/test"), { type: "agent.error" }],
    ["DELETE", pathOf(scene)],
    ["POST", `/v1/workspaces/${scene.workspace}/keys`, { name: "x", scopes: ["webhooks:read"] }],
    ["POST", `/v1/workspaces/${scene.workspace}/dashboard-links`, {}],
  ]) {
    const answer = await limited.fetch(path, { method, body });
    assertLimited(answer);
    assert.equal(answer.headers.get("x-object-calls"), "{}");
  }
  assertPage(await visitor.post(`/settings/webhooks/${scene.webhook.id}/disable`), 429);
  assert.equal(answered(await limited.fetch(pathOf(scene)), 200).description, "tenth");
  answered(await postEvent(limited, scene.workspace, alert()), 202);
  assertPage(await visitor.get(`/settings/webhooks/${scene.webhook.id}`));
  assert.equal(answered(await limited.fetch(pathOf(await setUpWebhook(t, limited))), 200).status, "enabled");
  assert.equal(minuteOf(), minute, "the minute ended, so that the limit began again");
});

test("posts count once for each matching webhook, where a limit of posts is bound", {
  timeout: 2 * MINUTE_MS,
}, async (t) => {
  const limited = await startLimited(t, "INGEST", 10);
  const { workspace } = await setUpWebhook(t, limited);
  await setUpWebhook(t, limited, undefined, { workspace });
  await setUpWebhook(t, limited, undefined, { workspace, events: ["agent.error"] });
  const minute = minuteOf();
  const both = [alert(), alert(), alert({ type: "agent.error" })];
  // 2, 2 and 3 of ten; a type that no webhook selects counts nothing.
  for (const event of [alert(), [alert(), alert()], both]) answered(await postEvent(limited, workspace, event), 202);
  const own = await createWorkspace(limited);
  for (let count = 0; count < 12; count++) answered(await postEvent(limited, own, alert()), 202);
  answered(await postEvent(limited, workspace, both), 202);
  assertLimited(await postEvent(limited, workspace, alert()));
  const other = await setUpWebhook(t, limited);
  answered(await postEvent(limited, other.workspace, alert()), 202);
  assert.equal(minuteOf(), minute, "the minute ended, so that the limit began again");
});
