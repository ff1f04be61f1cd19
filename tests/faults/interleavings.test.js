// Concurrent operations, each pair in an order that the test forces: by a receiver that holds its answer until told,
// and by killing the relay at a given step.
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { eventually } from "../support/eventually.js";
import { gate, startStepGate, turn } from "../support/hooks.js";
import { answerWith, startReceiver } from "../support/receiver.js";
import { createWebhook, createWorkspace, startRelay, startRelayProcess } from "../support/relay.js";
import {
  acceptEvent,
  acceptForOne,
  alert,
  answered,
  awaitDelivery,
  awaitSettled,
  changeWebhook,
  pathOf,
  readDelivery,
  setUpWebhook,
} from "../support/steps.js";
import { alarmsFile, objectFiles, onDatabase } from "../support/stored_state.js";
import { LONG, inForm } from "./form.js";

const RECOVERY_MS = 30_000;
// Long enough to make an armed alarm overdue, so that the next request looks for what is due.
const LEASE_OVER_MS = 120_000;

let relay;
before(
  async () =>
    (relay = await startRelay({ hooks: true, vars: { ATTEMPT_TIMEOUT: "10s", RETRY_SCHEDULE: "500ms,1s,1s,1s,1s" } })),
);
after(() => relay?.stop());

const read = async (scene) => answered(await relay.fetch(pathOf(scene)), 200);

/** A webhook whose endpoint holds the attempt of an event. */
async function holdAttempt(t, rest) {
  const held = gate();
  const scene = await setUpWebhook(t, relay, held.answer, rest);
  const entry = await acceptForOne(relay, scene.workspace);
  await held.holds(1);
  return { ...scene, held, entry };
}

const settled = ({ workspace, entry }) => awaitSettled(relay, workspace, entry, { timeout: RECOVERY_MS });

describe("between the lease and the report of an attempt,", { concurrency: 8 }, () => {
  test("a changed URL: the old endpoint's 410 fails its delivery and leaves the webhook enabled", async (t) => {
    const scene = await holdAttempt(t);
    const moved = await startReceiver();
    t.after(() => moved.stop());
    await changeWebhook(relay, scene, { url: moved.url });
    await scene.held.release(410);
    const { status, reason } = await settled(scene);
    assert.deepEqual([status, reason], ["failed", "gone"]);
    assert.equal((await read(scene)).status, "enabled");
    const next = await acceptForOne(relay, scene.workspace);
    assert.equal((await awaitSettled(relay, scene.workspace, next)).status, "delivered");
    assert.equal(moved.attemptsOf(next.id).length, 1);
    assert.equal((await read(scene)).status, "enabled");
  });

  test("a changed URL: the next attempt of the same delivery goes to the new one", async (t) => {
    const scene = await holdAttempt(t);
    const moved = await startReceiver();
    t.after(() => moved.stop());
    await changeWebhook(relay, scene, { url: moved.url });
    await scene.held.release(500);
    const { status, attempt_count: made } = await settled(scene);
    assert.deepEqual([status, made, moved.attemptsOf(scene.entry.id).length], ["delivered", 2, 1]);
  });

  test("a disable: a success makes it delivered", async (t) => {
    const scene = await holdAttempt(t);
    await changeWebhook(relay, scene, { status: "disabled" });
    await scene.held.release(200);
    assert.equal((await settled(scene)).status, "delivered");
  });

  test("a disable: a failure makes it held, and no further attempt follows", async (t) => {
    const scene = await holdAttempt(t);
    await changeWebhook(relay, scene, { status: "disabled" });
    await scene.held.release(500);
    const { status, attempt_count: made } = await settled(scene);
    assert.deepEqual([status, made, scene.receiver.events().length], ["held", 1, 1]);
  });

  test("a disable and an enable: the person's choice outlives the older 410", async (t) => {
    const scene = await holdAttempt(t);
    await changeWebhook(relay, scene, { status: "disabled" });
    await changeWebhook(relay, scene, { status: "enabled" });
    await scene.held.release(410);
    assert.equal((await settled(scene)).reason, "gone");
    assert.equal((await read(scene)).status, "enabled");
  });

  for (const status of [200, 410, 500]) {
    test(`a delete: the ${status} changes nothing, and no further attempt follows`, async (t) => {
      const scene = await holdAttempt(t);
      answered(await relay.fetch(pathOf(scene), { method: "DELETE" }), 204);
      await scene.held.release(status);
      const witness = await setUpWebhook(t, relay, undefined, { workspace: scene.workspace });
      const entry = await acceptForOne(relay, scene.workspace);
      assert.equal(entry.webhook_id, witness.webhook.id);
      assert.equal((await awaitSettled(relay, scene.workspace, entry)).status, "delivered");
      assert.equal((await relay.fetch(pathOf(scene))).status, 404);
      assert.equal((await relay.fetch(pathOf(scene, `/deliveries/${scene.entry.id}`))).status, 404);
      assert.equal(scene.receiver.events().length, 1);
    });
  }

  test("a rotation: the next attempt has the same bytes, signed with both secrets", async (t) => {
    const scene = await holdAttempt(t, { secret: "the-first-secret" });
    answered(
      await relay.fetch(pathOf(scene, "/secret/rotate"), { method: "POST", body: { secret: "the-second-secret" } }),
      200,
    );
    await scene.held.release(500);
    await scene.held.release(200);
    assert.equal((await settled(scene)).status, "delivered");
    const [first, second] = scene.receiver.attemptsOf(scene.entry.id);
    assert.equal(first.text, second.text);
    const hex = (secret) => createHmac("sha256", secret).update(first.text).digest("hex");
    assert.equal(first.headers["x-secureagentics-signature"], hex("the-first-secret"));
    assert.equal(second.headers["x-secureagentics-signature"], hex("the-second-secret"));
    assert.equal(second.headers["webhook-signature"].split(" ").length, 2);
  });

  test("a cancel: a 410 leaves it cancelled and the webhook enabled", async (t) => {
    const scene = await holdAttempt(t);
    answered(await relay.fetch(pathOf(scene, `/deliveries/${scene.entry.id}/cancel`), { method: "POST" }), 200);
    await scene.held.release(410);
    const next = await acceptForOne(relay, scene.workspace);
    await scene.held.release(200);
    assert.equal((await awaitSettled(relay, scene.workspace, next)).status, "delivered");
    assert.equal((await settled(scene)).reason, "cancelled");
    assert.equal((await read(scene)).status, "enabled");
  });
});

describe("a report that comes after its lease was lost", () => {
  /** Holds two requests of the same attempt: the lease of the first has ended. */
  async function loseLease(t) {
    const scene = await holdAttempt(t);
    t.after(() => turn(relay));
    await turn(relay, { skew_ms: LEASE_OVER_MS });
    await readDelivery(relay, scene.workspace, scene.entry);
    await scene.held.holds(2);
    const attempts = scene.receiver.events().map(({ headers }) => headers["x-secureagentics-attempt"]);
    assert.deepEqual(attempts, ["1", "1"]);
    return scene;
  }

  test("as a failure changes nothing: the attempt that followed counts", async (t) => {
    const scene = await loseLease(t);
    await scene.held.release(500);
    // Once a later delivery's report has arrived, so has the first one's.
    await scene.held.release(200);
    const { status, attempt_count: made } = await settled(scene);
    assert.deepEqual([status, made], ["delivered", 1]);
  });

  test("as a success settles the delivery, and the report that follows changes nothing", async (t) => {
    const scene = await loseLease(t);
    await scene.held.release(200);
    assert.equal((await settled(scene)).status, "delivered");
    await scene.held.release(500);
    const next = await acceptForOne(relay, scene.workspace);
    await scene.held.release(200);
    await awaitSettled(relay, scene.workspace, next);
    const { status, attempts } = await settled(scene);
    assert.deepEqual([status, attempts.map(({ response_status: answer }) => answer)], ["delivered", [200]]);
  });

  test("as a 410 does not disable the webhook", async (t) => {
    const scene = await loseLease(t);
    await scene.held.release(410);
    await scene.held.release(200);
    assert.equal((await settled(scene)).status, "delivered");
    assert.equal((await read(scene)).status, "enabled");
  });
});

// A little longer than an isolate keeps what it read from KV.
const COPY_KEPT_MS = 5_100;

describe("two Workers with copies of different age", { concurrency: 2 }, () => {
  async function twoCopies(t) {
    const first = await setUpWebhook(t, relay);
    const { workspace } = first;
    const kv = await relay.miniflare().getKVNamespace("SUBSCRIPTIONS");
    const key = `ws/${workspace}`;
    const old = await kv.get(key);
    const second = await setUpWebhook(t, relay, undefined, { workspace });
    const present = await kv.get(key);
    assert.notEqual(old, present);
    const show = async (copy) => {
      await kv.put(key, copy);
      // Another Worker would not have this isolate's copy.
      await sleep(COPY_KEPT_MS);
    };
    return { workspace, first, second, show, old, present };
  }
  const receivedBy = ({ receiver }) => receiver.events().length;

  test("the same event posted to both is delivered once to each webhook that either knows", async (t) => {
    for (const order of [
      ["old", "present"],
      ["present", "old"],
    ]) {
      const scene = await twoCopies(t);
      for (const age of order) {
        await scene.show(scene[age]);
        for (const entry of await acceptEvent(relay, scene.workspace, alert({ event_id: "order-1" })))
          await awaitSettled(relay, scene.workspace, entry);
      }
      assert.deepEqual([receivedBy(scene.first), receivedBy(scene.second)], [1, 1], `${order}`);
    }
  });

  test("neither sends what a webhook has deselected, nor to a deleted one", async (t) => {
    const scene = await twoCopies(t);
    await changeWebhook(relay, scene.first, { events: ["agent.error"] });
    answered(await relay.fetch(pathOf(scene.second), { method: "DELETE" }), 204);
    await scene.show(scene.present);
    assert.deepEqual(await acceptEvent(relay, scene.workspace), []);
    const entry = await acceptForOne(relay, scene.workspace, alert({ type: "agent.error" }));
    await awaitSettled(relay, scene.workspace, entry);
    assert.deepEqual([receivedBy(scene.first), receivedBy(scene.second)], [1, 0]);
  });
});

describe("a kill between two steps of", () => {
  // The steps of the workspace's object when a webhook is made, changed or deleted, in order.
  const STEPS = ["stored", "applied", "told", "put", "published"];
  const MOVED = "/moved";

  const OPERATIONS = {
    "creating a webhook": {
      prepare: () => {},
      call: (relay, { workspace, receiver }) =>
        relay.fetch(`/v1/workspaces/${workspace}/webhooks`, {
          method: "POST",
          body: { url: receiver.url, events: ["alert.triggered"] },
        }),
      verify: async (relay, { workspace, receiver }) => {
        const { data } = answered(await relay.fetch(`/v1/workspaces/${workspace}/webhooks`), 200);
        assert.equal(data.length, 1);
        await assertDelivered(relay, workspace, receiver, "/hooks");
      },
    },
    "changing a webhook": {
      prepare: async (relay, { workspace, receiver }) => ({
        webhook: await createWebhook(relay, workspace, { url: receiver.url }),
      }),
      // The types too: a change of only the URL is not put to KV.
      call: (relay, scene) =>
        relay.fetch(pathOf(scene), {
          method: "PATCH",
          body: { url: scene.receiver.origin + MOVED, events: ["alert.triggered"] },
        }),
      verify: async (relay, scene) => {
        assert.equal(answered(await relay.fetch(pathOf(scene)), 200).url, scene.receiver.origin + MOVED);
        await assertDelivered(relay, scene.workspace, scene.receiver, MOVED);
      },
    },
    "deleting a webhook": {
      prepare: async (relay, { workspace, receiver }) => ({
        webhook: await createWebhook(relay, workspace, { url: receiver.url }),
      }),
      call: (relay, scene) => relay.fetch(pathOf(scene), { method: "DELETE" }),
      verify: async (relay, scene) => {
        assert.equal((await relay.fetch(pathOf(scene))).status, 404);
        const before = scene.receiver.events().length;
        await eventually(async () => (await acceptEvent(relay, scene.workspace)).length === 0, {
          timeout: RECOVERY_MS,
        });
        // What was accepted before the webhook's object learned of it may still be attempted; after that nothing is.
        const sent = scene.receiver.events().length;
        assert.deepEqual(await acceptEvent(relay, scene.workspace), []);
        assert.ok(scene.receiver.events().length <= Math.max(sent, before) + 1);
      },
    },
  };

  async function assertDelivered(relay, workspace, receiver, path) {
    const arrived = async () => {
      const entry = await acceptForOne(relay, workspace);
      await awaitDelivery(relay, workspace, entry, ({ attempts }) => attempts.length > 0);
      return receiver.attemptsOf(entry.id)[0].url === path;
    };
    await eventually(arrived, { timeout: RECOVERY_MS });
  }

  let relay;
  let steps;
  /** @type {(step: string) => Promise<void>} */
  let reached = async () => {};
  before(async () => {
    steps = await startStepGate((step) => reached(step));
    relay = await startRelayProcess({ hooks: true, vars: { TEST_SWITCHES: JSON.stringify({ gate: steps.origin }) } });
  });
  after(async () => {
    await relay?.stop();
    await steps?.stop();
  });

  /** Deletes every alarm of the workspaces' objects, because the platform may lose them. */
  function loseAlarms(state) {
    onDatabase(alarmsFile(state, "WorkspaceObject"), (database) => database.exec("DELETE FROM _cf_ALARM"));
    for (const file of objectFiles(state, "WorkspaceObject"))
      onDatabase(file, (database) => database.exec("DELETE FROM _cf_METADATA"));
  }

  for (const [what, { prepare, call, verify }] of Object.entries(OPERATIONS)) {
    const kills = inForm(STEPS, []).map((step) => ({ step, alarm: "", meanwhile: () => {} }));
    if (LONG || what === "changing a webhook")
      kills.push({ step: "stored", alarm: " and its alarm is lost", meanwhile: loseAlarms });
    for (const { step, alarm, meanwhile } of kills) {
      test(`${what}, when it is ${step}${alarm}: it is finished after the restart`, { timeout: 90_000 }, async (t) => {
        const receiver = await startReceiver(answerWith(200));
        t.after(() => receiver.stop());
        const workspace = await createWorkspace(relay);
        const scene = { workspace, receiver, ...(await prepare(relay, { workspace, receiver })) };
        let killed;
        const isKilled = new Promise((resolve) => {
          reached = (passed) => {
            if (passed !== step || killed) return undefined;
            killed = relay.kill();
            resolve();
            return killed;
          };
        });
        const swallowed = call(relay, scene).catch(() => "swallowed");
        await isKilled;
        await killed;
        assert.equal(await swallowed, "swallowed", "the call was answered before the kill: this proved nothing");
        meanwhile(relay.state);
        await relay.restart();
        await verify(relay, scene);
      });
    }
  }
});
