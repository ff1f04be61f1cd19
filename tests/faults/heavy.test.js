// The heaviest requests that are permitted: what they take of the Worker's memory, and whether others wait for them.
//
// The Worker is a script of its own here, as in production: otherwise it would share one memory with all objects.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { startReceiver } from "../support/receiver.js";
import { createWebhook, createWorkspace, postEvent, startRelay } from "../support/relay.js";
import { acceptEvent, alert, answered, changeWebhook, setUpWebhook } from "../support/steps.js";

const MIB = 1024 * 1024;
const WEBHOOKS = 50;
const TIMEOUT_MS = 300_000;

const memory = async (relay) => answered(await relay.fetch("/test/memory"), 200).bytes;
const eventOf = (bytes) => alert({ data: { text: "x".repeat(bytes) } });
const arrayOf = (length, bytes) => Array.from({ length }, () => eventOf(bytes));

/**
 * Starts a relay of its own, as the memory of a Wasm instance never shrinks, with a workspace of 50 webhooks. All but one are
 * disabled, so that it has their deliveries stored, and 50 objects do not share one thread with it to send them too.
 */
async function startScene(t) {
  const relay = await startRelay({ hooks: true, versions: { worker: "current", objects: "current" } });
  t.after(() => relay.stop());
  const receiver = await startReceiver();
  t.after(() => receiver.stop());
  const workspace = await createWorkspace(relay);
  const made = Array.from({ length: WEBHOOKS }, () => createWebhook(relay, workspace, { url: receiver.url }));
  const [, ...others] = await Promise.all(made);
  await Promise.all(others.map((webhook) => changeWebhook(relay, { workspace, webhook }, { status: "disabled" })));
  return { relay, workspace };
}

describe("a heavy request", { timeout: TIMEOUT_MS }, () => {
  const POSTS = {
    "an event of 255 KiB": { body: eventOf(255 * 1024), others: 1 },
    "100 events of 40 KB": { body: arrayOf(100, 40_000), others: 8 },
  };
  for (const [what, { body, others }] of Object.entries(POSTS)) {
    test(`${what} to ${WEBHOOKS} webhooks takes 48 MiB at most, and others are answered meanwhile`, async (t) => {
      const { relay, workspace } = await startScene(t);
      const other = await setUpWebhook(t, relay);
      await acceptEvent(relay, other.workspace);
      const rest = await memory(relay);
      let ended = false;
      const heavy = postEvent(relay, workspace, body).finally(() => (ended = true));
      let meanwhile = 0;
      const waited = [];
      while (!ended) {
        const begun = performance.now();
        await acceptEvent(relay, other.workspace);
        waited.push(performance.now() - begun);
        if (!ended) meanwhile++;
      }
      const answer = answered(await heavy, 202);
      const answers = answer.events ?? [answer];
      assert.deepEqual(new Set(answers.map(({ deliveries }) => deliveries.length)), new Set([WEBHOOKS]));
      assert.ok(meanwhile >= others, `${meanwhile} others were answered meanwhile`);
      const taken = (await memory(relay)) - rest;
      t.diagnostic(`${(taken / MIB).toFixed(1)} MiB, others waited ${waited.map(Math.round).join(", ")} ms`);
      assert.ok(taken <= 48 * MIB, `${(taken / MIB).toFixed(1)} MiB`);
    });
  }

  const REFUSED = {
    "an array of two million numbers": [`[${"0,".repeat(2 * MIB - 2)}0]`, "invalid_event_count"],
    "an event of many members": [`{${Array.from({ length: 20_000 }, (_, n) => `"m${n}":0`).join()}}`, "unknown_field"],
  };
  test("what is refused for its number of parts is not held in memory", async (t) => {
    const { relay, workspace } = await startScene(t);
    for (const [what, [body, code]] of Object.entries(REFUSED)) {
      const rest = await memory(relay);
      const answer = await postEvent(relay, workspace, body);
      assert.equal(answer.body?.error?.code, code, answer.text.slice(0, 200));
      const taken = (await memory(relay)) - rest;
      t.diagnostic(`${what}: ${(taken / MIB).toFixed(1)} MiB`);
      assert.ok(taken <= 16 * MIB, `${what}: ${(taken / MIB).toFixed(1)} MiB`);
    }
  });
});
