// A KV that refuses writes, or answers with an old copy, with nothing or with nonsense.
//
// KV is a copy: the objects decide. What a test writes into it simulates what another location still answers.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { eventually } from "../support/eventually.js";
import { turn } from "../support/hooks.js";
import { startReceiver } from "../support/receiver.js";
import { startRelay } from "../support/relay.js";
import {
  acceptEvent,
  acceptForOne,
  alert,
  answered,
  awaitSettled,
  changeWebhook,
  createKey,
  pathOf,
  setUpWebhook,
} from "../support/steps.js";

// The workspace's alarm publishes again after 5 s.
const TOLD_AGAIN_MS = 20_000;

let relay;
let kv;
before(async () => {
  relay = await startRelay({ hooks: true });
  kv = await relay.miniflare().getKVNamespace("SUBSCRIPTIONS");
});
after(() => relay?.stop());

const keyOf = ({ workspace }) => `ws/${workspace}`;
const delivered = async (workspace, event) =>
  (await awaitSettled(relay, workspace, await acceptForOne(relay, workspace, event))).status === "delivered";
const postWith = (token, workspace) =>
  relay.fetch(`/v1/workspaces/${workspace}/events`, { method: "POST", body: alert(), token });

describe("a KV that refuses writes", () => {
  test("prevents no change, and has all of them when it accepts writes again", {
    timeout: 60_000,
  }, async (t) => {
    t.after(() => turn(relay));
    const scene = await setUpWebhook(t, relay, undefined, { events: ["alert.triggered"] });
    const { workspace } = scene;
    const { id, key } = await createKey(relay, workspace);
    await turn(relay, { kv_refuses: true });

    const other = await setUpWebhook(t, relay, undefined, { workspace, events: ["agent.error"] });
    assert.ok(
      await delivered(workspace, alert({ type: "agent.error" })),
      "a new webhook of its own type gets its events at once",
    );
    const moved = await startReceiver();
    t.after(() => moved.stop());
    await changeWebhook(relay, scene, { url: moved.url });
    const entry = await acceptForOne(relay, workspace);
    await awaitSettled(relay, workspace, entry);
    assert.equal(moved.attemptsOf(entry.id).length, 1);
    answered(await relay.fetch(pathOf(scene), { method: "DELETE" }), 204);
    assert.deepEqual(await acceptEvent(relay, workspace), [], "a deleted webhook gets nothing, whatever KV has");
    answered(await relay.fetch(`/v1/workspaces/${workspace}/keys/${id}`, { method: "DELETE" }), 204);
    assert.equal((await relay.fetch(`/v1/workspaces/${workspace}/webhooks`, { token: key })).status, 401);
    const stale = JSON.parse(await kv.get(keyOf(scene)));
    assert.deepEqual(
      [stale.webhooks.map(({ id }) => id), stale.keys.length],
      [[scene.webhook.id], 1],
      "KV took a write",
    );

    await turn(relay);
    await eventually(
      async () => {
        const { webhooks, keys } = JSON.parse(await kv.get(keyOf(scene)));
        assert.deepEqual([webhooks.map(({ id }) => id), keys], [[other.webhook.id], []]);
        return true;
      },
      { timeout: TOLD_AGAIN_MS },
    );
    // For five seconds the isolate trusts the copy that it read while KV refused writes.
    await eventually(async () => (await postWith(key, workspace)).status === 401, { timeout: 10_000 });
  });
});

describe("an old copy", { concurrency: 4 }, () => {
  /** Makes a change and restores what KV had before it. */
  async function behind(scene, change) {
    const old = await kv.get(keyOf(scene));
    const result = await change();
    await eventually(async () => (await kv.get(keyOf(scene))) !== old);
    await kv.put(keyOf(scene), old);
    return result;
  }

  test("still has a deleted webhook: it gets nothing and the 202 leaves it out", async (t) => {
    const scene = await setUpWebhook(t, relay);
    await behind(scene, async () => answered(await relay.fetch(pathOf(scene), { method: "DELETE" }), 204));
    assert.deepEqual(await acceptEvent(relay, scene.workspace), []);
    assert.deepEqual(scene.receiver.events(), []);
  });

  test("does not matter for a new URL and a disable, which it does not have: both are in force", async (t) => {
    const scene = await setUpWebhook(t, relay);
    const moved = await startReceiver();
    t.after(() => moved.stop());
    await changeWebhook(relay, scene, { url: moved.url });
    assert.ok(await delivered(scene.workspace));
    assert.deepEqual([scene.receiver.events().length, moved.events().length], [0, 1]);
    await changeWebhook(relay, scene, { status: "disabled" });
    assert.equal((await acceptForOne(relay, scene.workspace)).status, "held");
  });

  test("still has a type that was deselected: nothing is sent", async (t) => {
    const scene = await setUpWebhook(t, relay);
    await behind(scene, () => changeWebhook(relay, scene, { events: ["agent.error"] }));
    assert.deepEqual(await acceptEvent(relay, scene.workspace), []);
  });

  test("lacks a new webhook of another type, and a new key: the workspace is asked", async (t) => {
    const scene = await setUpWebhook(t, relay, undefined, { events: ["alert.triggered"] });
    await behind(scene, () =>
      setUpWebhook(t, relay, undefined, { workspace: scene.workspace, events: ["agent.error"] }),
    );
    assert.ok(await delivered(scene.workspace, alert({ type: "agent.error" })));
    const { key } = await behind(scene, () => createKey(relay, scene.workspace));
    assert.equal((await postWith(key, scene.workspace)).status, 202);
  });
});

describe("a copy that is", { concurrency: 5 }, () => {
  const COPIES = {
    gone: undefined,
    empty: "",
    "no JSON": "<html>",
    "of a version that is to come": '{"version":99,"revision":1,"webhooks":[],"keys":[]}',
    "of another shape": '{"version":1}',
  };
  for (const [what, copy] of Object.entries(COPIES)) {
    test(`${what}: the workspace is asked, and events are delivered`, async (t) => {
      const scene = await setUpWebhook(t, relay);
      const { key } = await createKey(relay, scene.workspace);
      if (copy === undefined) await kv.delete(keyOf(scene));
      else await kv.put(keyOf(scene), copy);
      assert.ok(await delivered(scene.workspace));
      assert.equal((await postWith(key, scene.workspace)).status, 202);
      await createKey(relay, scene.workspace);
      assert.equal(JSON.parse(await kv.get(keyOf(scene))).webhooks.length, 1);
    });
  }
});
