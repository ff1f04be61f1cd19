// Guessing tokens is slowed down; callers with a valid one are never limited.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { createWorkspace, startRelay } from "../support/relay.js";
import { alert, answered, assertRefused, createKey } from "../support/steps.js";

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
