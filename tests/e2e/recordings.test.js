// What machines are told and ask for on an everyday path, with retries, resends, changes and deletions, recorded into
// target/recordings. `cargo test --features test-hooks --test replay` does it again natively and wants the same bytes.
import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { eventually } from "../support/eventually.js";
import { turn } from "../support/hooks.js";
import { answerAfter, answerInTurn } from "../support/receiver.js";
import { OPERATOR_TOKEN, REPOSITORY } from "../support/relay_options.js";
import { startRelay } from "../support/relay.js";
import {
  acceptArray,
  acceptForOne,
  alert,
  answered,
  awaitDelivery,
  awaitSettled,
  changeWebhook,
  createKey,
  listDeliveries,
  pathOf,
  setUpWebhook,
} from "../support/steps.js";

const FOLDER = path.join(REPOSITORY, "target/recordings");
const [KEY, NEW_KEY] = [1, 2].map((number) => `k${number}:${Buffer.alloc(32, number).toString("base64")}`);

/** A webhook with every member of the pace: a retry in order, a cancelled attempt under way, a pause, a delivery sent now. */
async function keepPace(t, relay) {
  const pace = { ordered: true, rate_limit: { per_second: 20 }, retry_schedule: ["300ms", "1h"] };
  const scene = await setUpWebhook(t, relay, answerInTurn(500, 500, 200, 200, 200, answerAfter(300), 200), pace);
  const { workspace } = scene;
  const call = async (entry, name) =>
    answered(await relay.fetch(pathOf(scene, `/deliveries/${entry.id}/${name}`), { method: "POST" }), 202);
  const posted = await acceptArray(relay, workspace, Array(3).fill(alert()));
  const [first, ...others] = posted.map(({ deliveries }) => deliveries[0]);
  await awaitDelivery(relay, workspace, first, ({ attempt_count: count }) => count === 2);
  await call(first, "send-now");
  for (const entry of [first, ...others]) await awaitSettled(relay, workspace, entry);

  const cancelled = await acceptForOne(relay, workspace);
  await eventually(() => scene.receiver.attemptsOf(cancelled.id).length === 1);
  const waits = await acceptForOne(relay, workspace);
  answered(await relay.fetch(pathOf(scene, `/deliveries/${cancelled.id}/cancel`), { method: "POST" }), 200);
  await awaitSettled(relay, workspace, waits);
  await changeWebhook(relay, scene, { status: "paused" });
  const paused = await acceptForOne(relay, workspace);
  await call(paused, "send-now");
  await changeWebhook(relay, scene, { status: "enabled", rate_limit: { per_second: 50 } });
  await awaitSettled(relay, workspace, paused);
}

test("an everyday path is recorded, machine by machine", { timeout: 120_000 }, async (t) => {
  const vars = { RETRY_SCHEDULE: "300ms,300ms", ENCRYPTION_KEYS: KEY };
  const relay = await startRelay({ hooks: true, vars });
  t.after(() => relay.stop());
  const taken = [];
  // Not by relay.fetch: a recording has all secrets, for which that looks in each answer.
  const takeSome = async (instance) => {
    const headers = { authorization: `Bearer ${OPERATOR_TOKEN}` };
    const answer = await fetch(`${relay.origin}/test/recordings`, { headers });
    assert.equal(answer.status, 200);
    const some = await answer.json();
    if (some.lines.length > 0) taken.push([instance, some]);
    return some.lines.length;
  };
  // Until nothing more is recorded: what is stored after the last take is missing in the replay.
  const take = async (instance) => {
    await takeSome(instance);
    await eventually(async () => (await takeSome(instance)) === 0 && (await takeSome(instance)) === 0);
  };
  await turn(relay, { records: true });
  const scene = await setUpWebhook(t, relay, answerInTurn(500, 503, 200, 500, 500, 500, 200));
  const { workspace, webhook } = scene;
  const one = pathOf(scene);
  const change = async (method, url, body, status = 200) =>
    answered(await relay.fetch(url, { method, ...(body ? { body } : {}) }), status);

  const type = { description: "Recorded.", sample: {} };
  await change("PUT", "/v1/event-types/order.recorded", type, 201);
  await change("DELETE", "/v1/event-types/order.recorded", undefined, 204);

  const retried = await acceptForOne(relay, workspace);
  assert.equal((await awaitSettled(relay, workspace, retried)).status, "delivered");
  const failed = await acceptForOne(relay, workspace, alert({ event_id: "order-1" }));
  assert.equal((await awaitSettled(relay, workspace, failed)).status, "failed");
  await change("POST", pathOf(scene, `/deliveries/${failed.id}/resend`), undefined, 202);
  assert.equal((await awaitSettled(relay, workspace, failed)).status, "delivered");
  for (const answer of await acceptArray(relay, workspace, Array(20).fill(alert())))
    await awaitSettled(relay, workspace, answer.deliveries[0]);

  await change("PATCH", one, { description: "changed", headers: { "X-Team": "blue" } });
  await change("POST", pathOf(scene, "/secret/rotate"), {});
  await change("PATCH", one, { status: "disabled" });
  const held = await acceptForOne(relay, workspace);
  await change("POST", pathOf(scene, `/deliveries/${held.id}/cancel`));
  await change("PATCH", one, { status: "enabled" });
  await listDeliveries(relay, workspace, webhook.id);
  await keepPace(t, relay);
  await change("POST", `/v1/workspaces/${workspace}/keys`, { name: "ci", scopes: ["events:write"] }, 201);

  // A key is revoked while KV keeps the old copy: the webhook's object refuses it, and the workspace is asked.
  const withKey = await createKey(relay, workspace);
  const revoked = await createKey(relay, workspace);
  const post = (token) => relay.fetch(`/v1/workspaces/${workspace}/events`, { method: "POST", body: alert(), token });
  const settled = async (answer) => awaitSettled(relay, workspace, answered(answer, 202).deliveries[0]);
  await settled(await post(revoked.key));
  await turn(relay, { records: true, kv_refuses: true });
  answered(await relay.fetch(`/v1/workspaces/${workspace}/keys/${revoked.id}`, { method: "DELETE" }), 204);
  await settled(await post(withKey.key));
  answered(await post(revoked.key), 401);
  await turn(relay, { records: true });
  await take(1);

  // Another life of everything, on the same rows, with a new key: what is sealed again takes nonces.
  const records = JSON.stringify({ records: true });
  await relay.restart({ vars: { ...vars, ENCRYPTION_KEYS: `${NEW_KEY},${KEY}`, TEST_SWITCHES: records } });
  await change("PATCH", one, { description: "sealed again" });
  await awaitSettled(relay, workspace, await acceptForOne(relay, workspace));
  await change("PUT", "/v1/event-types/order.recorded", type, 201);
  const deleted = await relay.fetch(one, { method: "DELETE" });
  assert.ok(deleted.status < 300, deleted.text);
  await take(2);

  const lines = taken.map(([, { lines }]) => lines.length);
  t.diagnostic(`${lines.join(" and ")} inputs`);
  assert.deepEqual(new Set(taken.map(([instance]) => instance)), new Set([1, 2]));
  await mkdir(FOLDER, { recursive: true });
  await writeFile(path.join(FOLDER, "everyday.jsonl"), taken.map((one) => `${JSON.stringify(one)}\n`).join(""));
});
