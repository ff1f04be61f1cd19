// A stored value opens only in its own field, and only encrypted where that is required: whoever can write to the
// storage can neither make a header's value the secret nor plant a value of their own.
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import { eventually } from "../support/eventually.js";
import { startRelay } from "../support/relay.js";
import {
  acceptForOne,
  answered,
  assertRefused,
  awaitSettled,
  pathOf,
  readDelivery,
  setUpWebhook,
} from "../support/steps.js";
import { objectFiles, onDatabase } from "../support/stored_state.js";

const KEYS = { ENCRYPTION_KEYS: `k1:${Buffer.alloc(32, 1).toString("base64")}` };
const STRICT = { ...KEYS, REQUIRE_ENCRYPTION: "true" };
const SETTINGS = { secret: "the-secret-of-a-customer", headers: { "X-Key": "known-to-the-attacker" } };

/** A folder for relays one after the other: `run` starts one on what is stored, `stop` ends it. */
async function prepare(t, vars) {
  const state = await mkdtemp(path.join(tmpdir(), "relay-fields-"));
  let running;
  const stop = async () => {
    await running?.stop();
    running = undefined;
  };
  const run = async (/** @type {Record<string, string>} */ others = vars) =>
    (running = await startRelay({ persist: state, vars: others }));
  t.after(async () => {
    await stop();
    await rm(state, { recursive: true, force: true });
  });
  return { state, run, stop };
}

/** Changes the settings of the one webhook that is stored, in both objects; returns how many it changed. */
function changeStored(state, change) {
  let changed = 0;
  for (const [className, table, key] of [
    ["WorkspaceObject", "webhooks", "id"],
    ["WebhookObject", "meta", "key"],
  ]) {
    for (const file of objectFiles(state, className)) {
      onDatabase(file, (database) => {
        for (const row of database.prepare(`SELECT ${key} AS key, value FROM ${table}`).all()) {
          const stored = JSON.parse(/** @type {string} */ (row.value));
          const settings = stored?.settings ?? stored;
          if (settings?.secret === undefined) continue;
          change(settings);
          database.prepare(`UPDATE ${table} SET value = ? WHERE ${key} = ?`).run(JSON.stringify(stored), row.key);
          changed += 1;
        }
      });
    }
  }
  return changed;
}

test("a header's value does not open in the secret's place, nor in another header's", async (t) => {
  const { state, run, stop } = await prepare(t, KEYS);
  let relay = await run();
  const scene = await setUpWebhook(t, relay, undefined, SETTINGS);
  await stop();
  let kept;
  const moved = changeStored(state, (settings) => {
    kept = settings.secret;
    settings.secret = settings.headers[0].value;
  });
  assert.equal(moved, 2);

  relay = await run();
  const before = scene.receiver.requests.length;
  const entry = await acceptForOne(relay, scene.workspace);
  await eventually(() => relay.logs.some((line) => /not sent: a stored value .*another field/.test(line)));
  assert.deepEqual((await readDelivery(relay, scene.workspace, entry)).attempts, []);
  assertRefused(await relay.fetch(pathOf(scene, "/secret")), 500, { code: "internal" });
  assert.equal(scene.receiver.requests.length, before, "nothing was signed with a value that the attacker knows");
  await stop();

  changeStored(state, (settings) => {
    settings.secret = kept;
    settings.headers[0].name = "X-Shown";
  });
  relay = await run();
  assertRefused(await relay.fetch(pathOf(scene)), 500, { code: "internal" });
  await stop();

  changeStored(state, (settings) => (settings.headers[0].name = "X-Key"));
  relay = await run();
  assert.equal((await awaitSettled(relay, scene.workspace, entry)).status, "delivered");
  assert.equal(answered(await relay.fetch(pathOf(scene, "/secret")), 200).secret, SETTINGS.secret);
});

test("where encryption is required, a plain value is neither read nor sent, and its owner enters it again", async (t) => {
  const { run, stop } = await prepare(t, {});
  let relay = await run();
  const scene = await setUpWebhook(t, relay, undefined, SETTINGS);
  await stop();

  relay = await run(STRICT);
  const before = scene.receiver.requests.length;
  await acceptForOne(relay, scene.workspace);
  await eventually(() => relay.logs.some((line) => /not sent: .*not encrypted.*REQUIRE_ENCRYPTION/.test(line)));
  for (const target of [pathOf(scene), pathOf(scene, "/secret")])
    assertRefused(await relay.fetch(target), 500, { code: "internal" });
  assert.equal(scene.receiver.requests.length, before);

  const rotation = { method: "POST", body: { secret: "another-secret-of-the-customer", overlap_seconds: 0 } };
  answered(await relay.fetch(pathOf(scene), { method: "PATCH", body: { headers: {} } }), 200);
  answered(await relay.fetch(pathOf(scene, "/secret/rotate"), rotation), 200);
  const entry = await acceptForOne(relay, scene.workspace);
  assert.equal((await awaitSettled(relay, scene.workspace, entry)).status, "delivered");
});

test("REQUIRE_ENCRYPTION without keys, or without a meaning, is an error on every request", async (t) => {
  const { run, stop } = await prepare(t, {});
  let relay = await run({ REQUIRE_ENCRYPTION: "true" });
  const { message } = assertRefused(await relay.fetch("/healthz"), 500, { code: "misconfigured" });
  assert.match(message, /ENCRYPTION_KEYS must be set, because REQUIRE_ENCRYPTION is true/);
  await stop();
  relay = await run({ REQUIRE_ENCRYPTION: "yes" });
  const wrong = assertRefused(await relay.fetch("/healthz"), 500, { code: "misconfigured" });
  assert.match(wrong.message, /REQUIRE_ENCRYPTION is "yes"; it must be true or false/);
});
