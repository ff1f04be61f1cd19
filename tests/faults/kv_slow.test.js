// A KV whose writes take seconds or fail: the copy ends up right, no call waits for it, and a revoked key cannot post.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { eventually } from "../support/eventually.js";
import { turn } from "../support/hooks.js";
import { createWorkspace, startRelay } from "../support/relay.js";
import {
  acceptEvent,
  acceptForOne,
  alert,
  answered,
  assertRefused,
  awaitSettled,
  changeWebhook,
  createKey,
  listDeliveries,
  pathOf,
  setUpWebhook,
} from "../support/steps.js";

const ALERT = "alert.triggered";
const SLOW_MS = 2_500;
const VERY_SLOW_MS = 20_000;
// The workspace's alarm publishes again after 5 s.
const TOLD_AGAIN_MS = 40_000;
const POSTS = 20;

let relay;
let kv;
before(async () => {
  relay = await startRelay({ hooks: true });
  kv = await relay.miniflare().getKVNamespace("SUBSCRIPTIONS");
});
after(() => relay?.stop());

/** What KV has of a workspace: the ids of its webhooks, how many keys, and its name. */
async function readCopy(workspace, from = kv) {
  const { value, metadata } = await from.getWithMetadata(`ws/${workspace}`);
  const { webhooks, keys } = JSON.parse(value);
  return { webhooks: webhooks.map(({ id }) => id).sort(), keys: keys.length, name: metadata.name };
}

/** Waits until KV has these webhooks and as many keys. */
function awaitCopy(workspace, scenes, keys, name = "Test") {
  const webhooks = scenes.map(({ webhook }) => webhook.id).sort();
  const isPresent = async () => {
    assert.deepEqual(await readCopy(workspace), { webhooks, keys, name });
    return true;
  };
  return eventually(isPresent, { timeout: TOLD_AGAIN_MS });
}

const postWith = (token, workspace, event = alert()) =>
  relay.fetch(`/v1/workspaces/${workspace}/events`, { method: "POST", body: event, token });
const revoke = async (workspace, { id }) =>
  answered(await relay.fetch(`/v1/workspaces/${workspace}/keys/${id}`, { method: "DELETE" }), 204);
const awaitRefused = (workspace, { key }) =>
  eventually(async () => (await postWith(key, workspace)).status === 401, { timeout: TOLD_AGAIN_MS });
const countPuts = async (at, scene) =>
  answered(await at.fetch(`/test/rows/${scene.workspace}/${scene.webhook.id}`), 200).kv_puts;

describe("a put that takes seconds", () => {
  /** Begins `work`, and waits until its put, which takes long, is under way. */
  async function beginSlowly(t, scene, work) {
    const putsBefore = await countPuts(relay, scene);
    t.after(() => turn(relay));
    await turn(relay, { kv_delays_ms: [SLOW_MS] });
    const done = work();
    await eventually(async () => (await countPuts(relay, scene)) > putsBefore);
    return { done };
  }

  test("does not undo that of a later webhook: the copy has both, and both get events", {
    timeout: 90_000,
  }, async (t) => {
    const first = await setUpWebhook(t, relay);
    const { workspace } = first;
    const { done } = await beginSlowly(t, first, () => setUpWebhook(t, relay, undefined, { workspace }));
    const later = await setUpWebhook(t, relay, undefined, { workspace });
    const slow = await done;
    await awaitCopy(workspace, [first, slow, later], 0);
    const deliveries = await eventually(async () => {
      const accepted = await acceptEvent(relay, workspace);
      return accepted.length === 3 && accepted;
    });
    for (const entry of deliveries) await awaitSettled(relay, workspace, entry);
    for (const { webhook, receiver } of [slow, later]) {
      const { id } = deliveries.find(({ webhook_id: of }) => of === webhook.id);
      assert.equal(receiver.attemptsOf(id).length, 1);
    }
  });

  test("does not bring back a key that was revoked meanwhile", { timeout: 90_000 }, async (t) => {
    const first = await setUpWebhook(t, relay);
    const { workspace } = first;
    const [revoked, kept] = [await createKey(relay, workspace), await createKey(relay, workspace)];
    answered(await postWith(revoked.key, workspace), 202);
    const { done } = await beginSlowly(t, first, () => setUpWebhook(t, relay, undefined, { workspace }));
    await revoke(workspace, revoked);
    const slow = await done;
    await awaitCopy(workspace, [first, slow], 1);
    await awaitRefused(workspace, revoked);
    answered(await postWith(kept.key, workspace), 202);
  });

  test("holds up no call until its end: a webhook is made and gets events before the copy has it", {
    timeout: 120_000,
  }, async (t) => {
    const workspace = await createWorkspace(relay);
    t.after(() => turn(relay));
    await turn(relay, { kv_delays_ms: [VERY_SLOW_MS] });
    const scene = await setUpWebhook(t, relay, undefined, { workspace });
    assert.deepEqual((await readCopy(workspace)).webhooks, [], "the webhook was answered after its put");
    const entry = await acceptForOne(relay, workspace);
    assert.equal((await awaitSettled(relay, workspace, entry)).status, "delivered");
    assert.equal(scene.receiver.attemptsOf(entry.id).length, 1);
    await awaitCopy(workspace, [scene], 0);
  });
});

describe("while KV refuses writes,", () => {
  async function refuseWrites(t) {
    t.after(() => turn(relay));
    await turn(relay, { kv_refuses: true });
  }

  test("a revoked key soon cannot post, and what it then posts is stored nowhere", { timeout: 120_000 }, async (t) => {
    const scene = await setUpWebhook(t, relay);
    const { workspace, webhook } = scene;
    const [revoked, kept] = [await createKey(relay, workspace), await createKey(relay, workspace)];
    answered(await postWith(revoked.key, workspace), 202);
    await refuseWrites(t);
    await revoke(workspace, revoked);

    const taken = [];
    const refused = [];
    const post = async () => {
      const event = alert({ event_id: `order-${taken.length + refused.length}` });
      const answer = await postWith(revoked.key, workspace, event);
      if (answer.status === 401) assertRefused(answer, 401, { code: "unauthorized" });
      else answered(answer, 202);
      (answer.status === 401 ? refused : taken).push(event.event_id);
      return answer.status === 401;
    };
    await eventually(post, { timeout: TOLD_AGAIN_MS });
    for (let again = 0; again < POSTS; again++) assert.ok(await post(), "it can post again");
    assert.equal((await readCopy(workspace)).keys, 2, "KV took a write");

    for (const token of [kept.key, relay.operatorToken]) {
      const [entry, ...others] = answered(await postWith(token, workspace), 202).deliveries;
      assert.deepEqual([entry.duplicate, others], [false, []]);
      assert.equal((await awaitSettled(relay, workspace, entry)).status, "delivered");
    }
    const listed = await listDeliveries(relay, workspace, webhook.id, { kind: "event" });
    const stored = new Set(listed.map(({ event_id: id }) => id));
    assert.deepEqual(
      refused.filter((id) => stored.has(id)),
      [],
    );
    // The post before the revocation and the last two; whatever was posted before the key was refused.
    assert.equal(listed.length, 3 + taken.length);
    await eventually(() => scene.receiver.receivedIds().size === listed.length);

    await turn(relay);
    await awaitCopy(workspace, [scene], 1);
    assertRefused(await postWith(revoked.key, workspace), 401, { code: "unauthorized" });
  });

  test("a key goes on posting while another is revoked, each event once to each webhook", {
    timeout: 120_000,
  }, async (t) => {
    const first = await setUpWebhook(t, relay);
    const { workspace } = first;
    const scenes = [first, await setUpWebhook(t, relay, undefined, { workspace })];
    const [revoked, kept] = [await createKey(relay, workspace), await createKey(relay, workspace)];
    await refuseWrites(t);
    const accepted = [];
    const post = async (token) => {
      const { deliveries } = answered(await postWith(token, workspace), 202);
      assert.deepEqual([deliveries.length, deliveries.some(({ duplicate }) => duplicate)], [2, false]);
      accepted.push(...deliveries);
    };
    await post(kept.key);
    const revocation = revoke(workspace, revoked);
    for (let number = 0; number < POSTS; number++) {
      await post(kept.key);
      await post(relay.operatorToken);
    }
    await revocation;
    await post(kept.key);
    await awaitRefused(workspace, revoked);
    await post(kept.key);
    assert.equal((await readCopy(workspace)).keys, 2, "KV took a write");
    for (const entry of accepted) await awaitSettled(relay, workspace, entry);
    for (const { webhook, receiver } of scenes)
      for (const { id } of accepted.filter(({ webhook_id: of }) => of === webhook.id))
        assert.equal(receiver.attemptsOf(id).length, 1);
    await turn(relay);
    await awaitCopy(workspace, scenes, 1);
  });

  test("changes wait, and the copy gets the present state by itself when they are taken again", {
    timeout: 120_000,
  }, async (t) => {
    const deleted = await setUpWebhook(t, relay);
    const { workspace } = deleted;
    const revoked = await createKey(relay, workspace);
    await refuseWrites(t);
    const made = await setUpWebhook(t, relay, undefined, { workspace });
    for (let count = 0; count < 2; count++) await createKey(relay, workspace);
    answered(await relay.fetch(`/v1/workspaces/${workspace}`, { method: "PATCH", body: { name: "Renamed" } }), 200);
    answered(await relay.fetch(pathOf(deleted), { method: "DELETE" }), 204);
    await revoke(workspace, revoked);
    assert.deepEqual(await readCopy(workspace), { webhooks: [deleted.webhook.id], keys: 1, name: "Test" });
    await turn(relay);
    await awaitCopy(workspace, [made], 2, "Renamed");
  });
});

describe("KV is", () => {
  // A relay of its own, so that nothing else is put.
  let quiet;
  let itsKv;
  before(async () => {
    quiet = await startRelay({ hooks: true });
    itsKv = await quiet.miniflare().getKVNamespace("SUBSCRIPTIONS");
  });
  after(() => quiet?.stop());

  /** Makes a webhook, and waits until KV has it: the first one of a workspace is answered before. */
  async function setUpInKv(t, options = {}) {
    const scene = await setUpWebhook(t, quiet, undefined, options);
    await eventually(async () => (await readCopy(scene.workspace, itsKv)).webhooks.includes(scene.webhook.id));
    return scene;
  }

  const putsOf = async (scene, work) => {
    const putsBefore = await countPuts(quiet, scene);
    await work();
    return (await countPuts(quiet, scene)) - putsBefore;
  };
  const workspaceOf = ({ workspace }) => `/v1/workspaces/${workspace}`;

  const UNSEEN = {
    "20 changes of the description": async (scene) => {
      for (let number = 0; number < 20; number++) await changeWebhook(quiet, scene, { description: `No. ${number}` });
    },
    "a change of the URL": (scene) => changeWebhook(quiet, scene, { url: `${scene.receiver.origin}/moved` }),
    "a change of the headers": (scene) => changeWebhook(quiet, scene, { headers: { "X-Team": "a" } }),
    "a rotation of the secret": async (scene) =>
      answered(await quiet.fetch(pathOf(scene, "/secret/rotate"), { method: "POST", body: {} }), 200),
  };
  for (const [what, change] of Object.entries(UNSEEN)) {
    test(`not written by ${what}`, async (t) => {
      const scene = await setUpInKv(t);
      // Puts of a workspace are a second apart, so another workspace with a webhook takes longer than a put waits.
      const another = () => setUpInKv(t);
      const usual = await putsOf(scene, another);
      const puts = await putsOf(scene, async () => {
        await change(scene);
        await another();
      });
      assert.ok(usual > 0, "the puts are not counted");
      assert.equal(puts, usual);
    });
  }

  const SEEN = {
    "a change of the selected types": (scene) => changeWebhook(quiet, scene, { events: [ALERT] }),
    "a new key": ({ workspace }) => createKey(quiet, workspace),
    "a new webhook": ({ workspace }, t) => setUpInKv(t, { workspace }),
    "a rename of the workspace": async (scene) =>
      answered(await quiet.fetch(workspaceOf(scene), { method: "PATCH", body: { name: "Renamed" } }), 200),
    "a deletion of a webhook": async (scene) => answered(await quiet.fetch(pathOf(scene), { method: "DELETE" }), 204),
  };
  for (const [what, change] of Object.entries(SEEN)) {
    test(`written once by ${what}`, async (t) => {
      const scene = await setUpInKv(t);
      // The object of a deleted webhook is not asked any more.
      const counting = await setUpInKv(t);
      assert.equal(await putsOf(counting, () => change(scene, t)), 1);
    });
  }
});
