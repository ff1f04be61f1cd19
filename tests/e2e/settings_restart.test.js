// A stored change takes effect, even if the relay is killed before it has passed it on.
//
// The snapshot in KV is written at most once a second: the second of two changes is stored and waits to be written when
// SIGKILL arrives. Its caller gets no answer; after the restart it is in force.
import assert from "node:assert/strict";
import { test } from "node:test";
import { eventually } from "../support/eventually.js";
import { startRelayProcess } from "../support/relay.js";
import {
  acceptEvent,
  alert,
  answered,
  awaitSettled,
  changeWebhook,
  createKey,
  pathOf,
  setUpWebhook,
} from "../support/steps.js";

const RECOVERY_MS = 20_000;

async function start(t) {
  const relay = await startRelayProcess();
  t.after(() => relay.stop());
  return relay;
}

/** Makes a change whose answer may be lost, waits until a read shows it, and kills and restarts the relay. */
async function killAfter(relay, change, isShown) {
  const swallowed = change().catch(() => {});
  await eventually(isShown);
  await relay.kill();
  await swallowed;
  await relay.restart();
}

test("newly selected events are sent and deselected ones are not", { timeout: 60_000 }, async (t) => {
  const relay = await start(t);
  const scene = await setUpWebhook(t, relay, undefined, { events: ["alert.triggered"] });
  await changeWebhook(relay, scene, { description: "just before" });
  const select = () => relay.fetch(pathOf(scene), { method: "PATCH", body: { events: ["agent.error"] } });
  const read = async () => answered(await relay.fetch(pathOf(scene)), 200);
  await killAfter(relay, select, async () => (await read()).events.includes("agent.error"));

  assert.deepEqual((await read()).events, ["agent.error"]);
  const accepted = async (type) => {
    const [entry] = await acceptEvent(relay, scene.workspace, alert({ type }));
    return entry;
  };
  const entry = await eventually(() => accepted("agent.error"), { timeout: RECOVERY_MS });
  assert.equal((await awaitSettled(relay, scene.workspace, entry)).status, "delivered");
  await eventually(async () => (await accepted("alert.triggered")) === undefined, { timeout: RECOVERY_MS });
});

test("a disabled webhook holds its events", { timeout: 60_000 }, async (t) => {
  const relay = await start(t);
  const scene = await setUpWebhook(t, relay);
  await changeWebhook(relay, scene, { description: "just before" });
  const disable = () => relay.fetch(pathOf(scene), { method: "PATCH", body: { status: "disabled" } });
  const read = async () => answered(await relay.fetch(pathOf(scene)), 200);
  await killAfter(relay, disable, async () => (await read()).status === "disabled");

  const holds = async () => (await acceptEvent(relay, scene.workspace))[0].status === "held";
  await eventually(holds, { timeout: RECOVERY_MS });
  assert.deepEqual([(await read()).status, (await read()).disabled_reason], ["disabled", "manual"]);
});

test("a deleted webhook gets nothing", { timeout: 60_000 }, async (t) => {
  const relay = await start(t);
  const scene = await setUpWebhook(t, relay);
  await changeWebhook(relay, scene, { description: "just before" });
  const remove = () => relay.fetch(pathOf(scene), { method: "DELETE" });
  await killAfter(relay, remove, async () => (await relay.fetch(pathOf(scene))).status === 404);

  assert.equal((await relay.fetch(pathOf(scene))).status, 404);
  await eventually(async () => (await acceptEvent(relay, scene.workspace)).length === 0, { timeout: RECOVERY_MS });
});

test("a revoked key posts no more events", { timeout: 60_000 }, async (t) => {
  const relay = await start(t);
  const scene = await setUpWebhook(t, relay);
  const { id, key } = await createKey(relay, scene.workspace);
  const keys = `/v1/workspaces/${scene.workspace}/keys`;
  const revoke = () => relay.fetch(`${keys}/${id}`, { method: "DELETE" });
  await killAfter(relay, revoke, async () => answered(await relay.fetch(keys), 200).data.length === 0);

  const post = () =>
    relay.fetch(`/v1/workspaces/${scene.workspace}/events`, { method: "POST", body: alert(), token: key });
  await eventually(async () => (await post()).status === 401, { timeout: RECOVERY_MS });
  assert.equal((await relay.fetch(`/v1/workspaces/${scene.workspace}/webhooks`, { token: key })).status, 401);
});
