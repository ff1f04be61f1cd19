// Once a day every webhook deletes what is too old, which no alarm waits for, and looks at its alarm: what an object
// without one still owes is sent, and nothing is written for the others.
//
// On a day whose quota of rows is spent, the platform gives up on an alarm and no other can be set.
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { unstable_readConfig as readConfig } from "wrangler";
import { eventually } from "../support/eventually.js";
import { turn } from "../support/hooks.js";
import { answerInTurn } from "../support/receiver.js";
import { createWorkspace, startRelay } from "../support/relay.js";
import { REPOSITORY } from "../support/relay_options.js";
import {
  acceptArray,
  acceptForOne,
  alert,
  answered,
  awaitDelivery,
  changeWebhook,
  listDeliveries,
  setUpWebhook,
} from "../support/steps.js";
import { alarmsFile, armedAlarm, objectFiles, onDatabase } from "../support/stored_state.js";

const CRON = "5-55/5 0 * * *";
// Here all objects share a thread with the walk, which wakes hundreds of them.
const VARS = { RETRY_SCHEDULE: "1h,1h,1h,1h,1h", ATTEMPT_TIMEOUT: "12s" };
const LATER_MS = 7_200_000;
const TWO_DAYS_MS = 172_800_000;
const RECOVERY_MS = 40_000;
const TIMEOUT_MS = 180_000;
const IDLE_MS = 60_000;

/** Runs the daily handler to its end. */
async function runDaily(relay) {
  const worker = await relay.miniflare().getWorker("webhook-relay");
  const { outcome } = await worker.scheduled({ cron: CRON });
  assert.equal(outcome, "ok", relay.logs.slice(-5).join("\n"));
}

/** Deletes the alarm of each webhook's object; the relay must not be running. */
function loseAlarms(state) {
  onDatabase(alarmsFile(state, "WebhookObject"), (database) => database.exec("DELETE FROM _cf_ALARM"));
  for (const file of objectFiles(state, "WebhookObject"))
    onDatabase(file, (database) => database.exec("DELETE FROM _cf_METADATA"));
}

/**
 * A relay that has restarted after the alarms of all webhooks were lost, two hours later by its clock: what `prepare`
 * made, deliveries that have failed once, is due.
 */
async function restartWithoutAlarms(t, prepare) {
  const persist = await mkdtemp(path.join(tmpdir(), "relay-scheduled-"));
  let relay;
  t.after(async () => {
    await relay?.stop();
    await rm(persist, { recursive: true, force: true });
  });
  const first = await startRelay({ persist, hooks: true, vars: VARS });
  const scenes = await prepare(first).finally(() => first.stop());
  loseAlarms(persist);
  const vars = { ...VARS, TEST_SWITCHES: JSON.stringify({ skew_ms: LATER_MS }) };
  relay = await startRelay({ persist, hooks: true, vars });
  for (const scene of scenes) assert.equal(armedAlarm(relay, scene), undefined, "it still has its alarm");
  return { relay, scenes };
}

/** A webhook with a delivery that has failed once and will succeed. */
async function failOnce(t, relay, workspace) {
  const scene = await setUpWebhook(t, relay, answerInTurn(500, 200), { workspace });
  const entry = await acceptForOne(relay, scene.workspace);
  await awaitDelivery(relay, scene.workspace, entry, ({ attempts }) => attempts.length === 1);
  return { ...scene, entry };
}

const attemptsOf = ({ receiver, entry }) =>
  receiver.attemptsOf(entry.id).map(({ headers }) => headers["x-secureagentics-attempt"]);
const arrives = (relay, scene) => {
  const look = () => {
    assert.equal(attemptsOf(scene).length, 2, `${scene.workspace}: ${relay.logs.slice(-5).join("\n")}`);
    return true;
  };
  return eventually(look, { timeout: RECOVERY_MS });
};

test("a deployment runs it daily", () => {
  for (const env of [undefined, "staging"]) {
    const { triggers } = readConfig({ config: path.join(REPOSITORY, "wrangler.toml"), env }, { hideWarnings: true });
    assert.deepEqual([...(triggers.crons ?? [])], [CRON], env ?? "production");
  }
});

test("a pending delivery of an object that has lost its alarm is sent, and nothing else called the object", {
  timeout: TIMEOUT_MS,
}, async (t) => {
  const {
    relay,
    scenes: [scene],
  } = await restartWithoutAlarms(t, async (first) => [await failOnce(t, first)]);
  assert.deepEqual(attemptsOf(scene), ["1"]);
  await runDaily(relay);
  await arrives(relay, scene);
  const { status } = await awaitDelivery(relay, scene.workspace, scene.entry, ({ attempts }) => attempts.length === 2);
  assert.equal(status, "delivered");
  assert.deepEqual(attemptsOf(scene), ["1", "2"]);
});

test("more than a page of workspaces is gone through in a few runs, those that are deleted left out", {
  timeout: TIMEOUT_MS,
}, async (t) => {
  // More than one run asks.
  const COPIES = 600;
  const RUNS = 3;
  const AT_ONCE = 50;
  const ends = ["ws_0first", "ws_zlast"];
  const { relay, scenes } = await restartWithoutAlarms(t, async (first) => {
    for (const id of ends)
      answered(await first.fetch("/v1/workspaces", { method: "POST", body: { id, name: id } }), 201);
    return Promise.all(ends.map((id) => failOnce(t, first, id)));
  });
  const kv = await relay.miniflare().getKVNamespace("SUBSCRIPTIONS");
  // A put that was slow when the relay stopped is made again after its start.
  for (const id of ends) await eventually(() => kv.get(`ws/${id}`));
  const deleted = await setUpWebhook(t, relay);
  const { value, metadata } = await kv.getWithMetadata(`ws/${deleted.workspace}`);
  answered(await relay.fetch(`/v1/workspaces/${deleted.workspace}`, { method: "DELETE" }), 204);
  // Old copies of workspaces that no longer exist, between the two.
  for (let count = 0; count < COPIES; count += AT_ONCE)
    await Promise.all(
      Array.from({ length: AT_ONCE }, (_, index) => kv.put(`ws/ws_1old${count + index}`, value, { metadata })),
    );
  await kv.put(`ws/${deleted.workspace}`, value, { metadata });
  const before = objectFiles(relay.state, "WebhookObject").length;
  for (let run = 0; run < RUNS && scenes.some((scene) => attemptsOf(scene).length < 2); run++) await runDaily(relay);
  for (const scene of scenes) {
    await arrives(relay, scene);
    assert.deepEqual(attemptsOf(scene), ["1", "2"]);
  }
  assert.equal(objectFiles(relay.state, "WebhookObject").length, before, "an object was made for a deleted workspace");
});

describe("where no alarm is missing,", { timeout: TIMEOUT_MS }, () => {
  let relay;
  before(async () => (relay = await startRelay({ hooks: true, vars: VARS })));
  after(() => relay?.stop());

  const count = async ({ workspace, webhook }) =>
    answered(await relay.fetch(`/test/rows/${workspace}/${webhook.id}`), 200);
  // With nothing pending it has no alarm.
  const becomesIdle = (scene) =>
    eventually(() => !(Number(armedAlarm(relay, scene)) < Date.now() + IDLE_MS), { timeout: RECOVERY_MS });

  /** What a run of the handler adds to the counts of an object; what counting itself adds is taken off. */
  async function measure(scene) {
    await becomesIdle(scene);
    const alarm = armedAlarm(relay, scene);
    const counts = [await count(scene), await count(scene)];
    await runDaily(relay);
    counts.push(await count(scene));
    assert.equal(armedAlarm(relay, scene), alarm);
    const added = (member) => counts[2][member] - counts[1][member] - (counts[1][member] - counts[0][member]);
    return { rows: added("rows_written"), alarms: added("alarms_set"), requests: added("object_requests") };
  }

  test("a webhook with a pending delivery is asked once and writes no row", async (t) => {
    const scene = await failOnce(t, relay);
    assert.deepEqual(await measure(scene), { rows: 0, alarms: 0, requests: 1 });
    assert.deepEqual(attemptsOf(scene), ["1"]);
  });

  test("a webhook with nothing pending is asked once and writes no row", async (t) => {
    const scene = await setUpWebhook(t, relay);
    assert.deepEqual(await measure(scene), { rows: 0, alarms: 0, requests: 1 });
  });

  test("a disabled webhook is asked too, and one that was enabled again", async (t) => {
    const workspace = await createWorkspace(relay);
    const scene = await setUpWebhook(t, relay, undefined, { workspace });
    const other = await setUpWebhook(t, relay, undefined, { workspace });
    for (const one of [scene, other]) await changeWebhook(relay, one, { status: "disabled" });
    await changeWebhook(relay, other, { status: "enabled" });
    assert.deepEqual(await measure(scene), { rows: 0, alarms: 0, requests: 1 });
    assert.deepEqual(await measure(other), { rows: 0, alarms: 0, requests: 1 });
  });
});

describe("what is older than the retention is deleted daily, and nothing else called the object", () => {
  for (const status of ["enabled", "disabled"])
    test(`at ${status === "enabled" ? "an" : "a"} ${status} webhook`, { timeout: TIMEOUT_MS }, async (t) => {
      const relay = await startRelay({ hooks: true, vars: { RETENTION_DAYS: "1" } });
      t.after(() => relay.stop());
      const scene = await setUpWebhook(t, relay);
      const entries = await acceptArray(relay, scene.workspace, Array(100).fill(alert()));
      await eventually(() => scene.receiver.events().length === entries.length);
      const logged = () => listDeliveries(relay, scene.workspace, scene.webhook.id);
      await eventually(
        async () =>
          (await listDeliveries(relay, scene.workspace, scene.webhook.id, { status: "pending" })).length === 0,
      );
      await changeWebhook(relay, scene, { status });
      await turn(relay, { skew_ms: TWO_DAYS_MS });
      assert.equal((await logged()).length, 101);
      await runDaily(relay);
      assert.deepEqual(await logged(), []);
    });
});
