// The health of a webhook: at once on the list, and with the last attempts where it is read alone.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { eventually } from "../support/eventually.js";
import { answerInTurn, answerWith } from "../support/receiver.js";
import { createWorkspace, startRelay } from "../support/relay.js";
import {
  ISO_MILLISECONDS,
  acceptForOne,
  answered,
  awaitSettled,
  changeWebhook,
  pathOf,
  setUpWebhook,
} from "../support/steps.js";

// An object tells a success after failures ten seconds after it told the failures, at the latest.
const TOLD_WITHIN = { timeout: 30_000 };
const LISTED = ["consecutive_failures", "since", "state"];
const SINGLE = [...LISTED, "last_failure_at", "last_success_at", "oldest_due_at", "pending", "under_way", "width"];

let relay;
before(async () => (relay = await startRelay({ vars: { RETRY_SCHEDULE: "10ms,10ms,1h" } })));
after(() => relay?.stop());

const read = async (scene) => answered(await relay.fetch(pathOf(scene)), 200).health;
const list = async ({ workspace, webhook }) => {
  const { data } = answered(await relay.fetch(`/v1/workspaces/${workspace}/webhooks`), 200);
  return data.find(({ id }) => id === webhook.id).health;
};
const awaitListed = (scene, wanted) =>
  eventually(async () => {
    const health = await list(scene);
    assert.equal(health.state, wanted, JSON.stringify(health));
    return health;
  }, TOLD_WITHIN);
const awaitRead = (scene, wanted) =>
  eventually(async () => {
    const health = await read(scene);
    assert.equal(health.state, wanted, JSON.stringify(health));
    return health;
  });

describe("the health of a webhook", { concurrency: 4 }, () => {
  test("is no_events until its first event, whatever its ping and its tests came to", async (t) => {
    const scene = await setUpWebhook(t, relay, answerWith(500), { ping: answerWith(500) });
    answered(await relay.fetch(pathOf(scene, "/test"), { method: "POST", body: { type: "agent.error" } }), 200);
    const none = { state: "no_events", since: scene.webhook.created_at, consecutive_failures: 0 };
    assert.deepEqual(scene.webhook.health, none);
    assert.deepEqual(await list(scene), none);
    assert.deepEqual((await changeWebhook(relay, scene, { description: "a" })).health, none);
    const { state, since, last_success_at: success, last_failure_at: failure, ...rest } = await read(scene);
    assert.deepEqual([state, since, success, failure], ["no_events", none.since, null, null]);
    assert.deepEqual(rest, { consecutive_failures: 0, pending: 0, oldest_due_at: null, width: 50, under_way: 0 });
  });

  test("is healthy after a success, on the list too", async (t) => {
    const scene = await setUpWebhook(t, relay);
    await awaitSettled(relay, scene.workspace, await acceptForOne(relay, scene.workspace));
    const listed = await awaitListed(scene, "healthy");
    assert.deepEqual(Object.keys(listed).sort(), LISTED);
    assert.match(listed.since, ISO_MILLISECONDS);
    const health = await read(scene);
    assert.deepEqual(Object.keys(health).sort(), [...SINGLE].sort());
    assert.equal(health.since, listed.since);
    assert.match(health.last_success_at, ISO_MILLISECONDS);
    assert.equal(health.last_failure_at, null);
  });

  test("is retrying after one failure, with what is pending", async (t) => {
    const own = await startRelay({ vars: { RETRY_SCHEDULE: "1h,1h" } });
    t.after(() => own.stop());
    const scene = await setUpWebhook(t, own, answerWith(500));
    await acceptForOne(own, scene.workspace);
    const health = await eventually(async () => {
      const { health } = answered(await own.fetch(pathOf(scene)), 200);
      assert.equal(health.state, "retrying");
      return health;
    });
    assert.deepEqual([health.consecutive_failures, health.pending, health.last_success_at], [1, 1, null]);
    assert.match(health.last_failure_at, ISO_MILLISECONDS);
  });

  test("is failing on the list at once after the third failed attempt, and healthy again after a success", async (t) => {
    const scene = await setUpWebhook(t, relay, answerInTurn(200, 500, 500, 500, 200));
    await awaitSettled(relay, scene.workspace, await acceptForOne(relay, scene.workspace));
    const { last_success_at: succeeded } = await awaitRead(scene, "healthy");
    const entry = await acceptForOne(relay, scene.workspace);
    await eventually(() => scene.receiver.attemptsOf(entry.id).length === 3);
    const third = Date.now();
    const listed = await awaitListed(scene, "failing");
    t.diagnostic(`shown ${Date.now() - third} ms after the third failed attempt`);
    assert.equal(listed.consecutive_failures, 3);
    const failing = await read(scene);
    assert.deepEqual([failing.state, failing.since], ["failing", listed.since]);
    assert.equal(failing.last_success_at, succeeded);
    assert.ok(failing.since <= failing.last_failure_at, JSON.stringify(failing));
    const sendNow = await relay.fetch(pathOf(scene, `/deliveries/${entry.id}/send-now`), { method: "POST" });
    answered(sendNow, 202);
    assert.equal((await awaitRead(scene, "healthy")).consecutive_failures, 0);
    assert.ok((await awaitListed(scene, "healthy")).since > listed.since);
  });

  test("survives a restart, with the last attempts", async (t) => {
    const own = await startRelay({ vars: { RETRY_SCHEDULE: "10ms,10ms,1h" } });
    t.after(() => own.stop());
    const scene = await setUpWebhook(t, own, answerInTurn(200, 500));
    await awaitSettled(own, scene.workspace, await acceptForOne(own, scene.workspace));
    const entry = await acceptForOne(own, scene.workspace);
    await eventually(() => scene.receiver.attemptsOf(entry.id).length === 3);
    const readOwn = async () => answered(await own.fetch(pathOf(scene)), 200).health;
    const before = await eventually(async () => {
      const health = await readOwn();
      assert.deepEqual([health.state, health.under_way], ["failing", 0]);
      return health;
    });
    await own.restart();
    const { width: _, ...after } = await readOwn();
    const { width: __, ...expected } = before;
    assert.deepEqual(after, expected);
  });

  test("is of one webhook, and says nothing of another one in its workspace", async (t) => {
    const workspace = await createWorkspace(relay);
    const failing = await setUpWebhook(t, relay, answerWith(500), { workspace, events: ["agent.error"] });
    const idle = await setUpWebhook(t, relay, undefined, { workspace, events: ["alert.triggered"] });
    await acceptForOne(relay, workspace, { type: "agent.error", data: {} });
    await awaitListed(failing, "failing");
    assert.equal((await list(idle)).state, "no_events");
  });
});
