// Faults of the webhook's object: panics, failing storage, past or lost alarms, clock jumps, eviction.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { eventually } from "../support/eventually.js";
import { gate, turn } from "../support/hooks.js";
import { answerInTurn, answerWith } from "../support/receiver.js";
import { postEvent, startRelay, startRelayProcess } from "../support/relay.js";
import {
  acceptArray,
  acceptForOne,
  alert,
  awaitDelivery,
  awaitSettled,
  changeWebhook,
  listDeliveries,
  readDelivery,
  setUpWebhook,
} from "../support/steps.js";
import { alarmsFile, armedAlarm, objectFiles, onDatabase } from "../support/stored_state.js";
import { inShortForm } from "./form.js";

// A lease ends ATTEMPT_TIMEOUT + 5 s after it was granted; after a fault the alarm tries again in 5 or 10 s.
const RECOVERY_MS = 40_000;
const VARS = { ATTEMPT_TIMEOUT: "500ms" };

let relay;
before(async () => (relay = await startRelay({ hooks: true, vars: VARS })));
after(() => relay?.stop());

const events = (count) => Array.from({ length: count }, (_, number) => alert({ event_id: `event-${number}` }));
const listEvents = ({ workspace, webhook }, query) =>
  listDeliveries(relay, workspace, webhook.id, { kind: "event", ...query });
const faults = (t, fault) => {
  t.after(() => turn(relay));
  return turn(relay, { fault });
};

const linesWith = (text) => relay.logs.filter((line) => line.includes(text)).length;

/** Waits until the alarm of the ping's lease has run, so that no alarm soon helps by chance. */
const awaitIdleAlarm = (scene) =>
  eventually(() => Number(armedAlarm(relay, scene)) > Date.now() + 60_000, { timeout: RECOVERY_MS });

describe("an object that panics", () => {
  test("while it accepts an event promises nothing, and the same event posted again is delivered once", {
    timeout: 90_000,
  }, async (t) => {
    const scene = await setUpWebhook(t, relay);
    await faults(t, { statement: "INSERT", times: 1, panics: true });
    const refused = await postEvent(relay, scene.workspace, alert({ event_id: "order-1" }));
    assert.ok([500, 503].includes(refused.status), refused.text);
    const entry = await eventually(async () => {
      const { status, body } = await postEvent(relay, scene.workspace, alert({ event_id: "order-1" }));
      return status === 202 && body.deliveries[0];
    });
    assert.equal((await awaitSettled(relay, scene.workspace, entry, { timeout: RECOVERY_MS })).status, "delivered");
    assert.equal((await listEvents(scene)).length, 1);
  });

  // The first update stores the lease of the alarm's retry: the delivery left its segment with its failed attempt.
  const IN_THE_ALARM = {
    "before its alarm sends": { statement: "UPDATE" },
    "after its alarm has sent": { statement: "DELETE FROM stats" },
  };
  for (const [when, fault] of Object.entries(IN_THE_ALARM)) {
    test(`${when} continues with a later alarm`, { skip: inShortForm, timeout: 90_000 }, async (t) => {
      const scene = await setUpWebhook(t, relay, answerInTurn(500, 200));
      const before = linesWith("alarm aborted");
      await faults(t, { ...fault, times: 1, panics: true });
      const first = await acceptForOne(relay, scene.workspace);
      await eventually(() => linesWith("alarm aborted") > before, { timeout: RECOVERY_MS });
      assert.equal((await awaitSettled(relay, scene.workspace, first, { timeout: RECOVERY_MS })).status, "delivered");
      const second = await acceptForOne(relay, scene.workspace);
      assert.equal((await awaitSettled(relay, scene.workspace, second, { timeout: RECOVERY_MS })).status, "delivered");
      t.diagnostic(`${scene.receiver.attemptsOf(first.id).length} requests for the delivery`);
    });
  }
});

describe("storage that fails", () => {
  test("while an event is accepted: 503, and the same event posted again is stored and delivered once", {
    timeout: 60_000,
  }, async (t) => {
    const scene = await setUpWebhook(t, relay);
    await faults(t, { statement: "INSERT", times: 1 });
    const refused = await postEvent(relay, scene.workspace, alert());
    assert.equal(refused.status, 503, refused.text);
    assert.equal(refused.body.error.code, "not_stored");
    const entry = await acceptForOne(relay, scene.workspace, alert({ event_id: refused.body.event_id }));
    assert.equal((await awaitSettled(relay, scene.workspace, entry)).status, "delivered");
    assert.deepEqual([(await listEvents(scene)).length, scene.receiver.events().length], [1, 1]);
  });

  test("in the middle of an array: 503, and the array posted again has each event once", {
    skip: inShortForm,
    timeout: 60_000,
  }, async (t) => {
    const scene = await setUpWebhook(t, relay);
    await faults(t, { statement: "INSERT", after: 9, times: 1 });
    const refused = await postEvent(relay, scene.workspace, events(10));
    assert.equal(refused.status, 503, refused.text);
    const answers = await acceptArray(relay, scene.workspace, events(10));
    for (const {
      deliveries: [entry],
    } of answers) {
      assert.equal((await awaitSettled(relay, scene.workspace, entry, { timeout: RECOVERY_MS })).status, "delivered");
    }
    assert.equal((await listEvents(scene)).length, 10);
    assert.equal(scene.receiver.receivedIds().size, 10);
  });

  test("in the middle of an array that nobody posts again: what was stored is delivered without any request", {
    skip: inShortForm,
    timeout: 90_000,
  }, async (t) => {
    const scene = await setUpWebhook(t, relay);
    await awaitIdleAlarm(scene);
    // The second of two segments.
    await faults(t, { statement: "INSERT INTO segments", after: 1, times: 1 });
    assert.equal((await postEvent(relay, scene.workspace, events(20))).status, 503);
    await eventually(() => scene.receiver.events().length >= 16, { timeout: RECOVERY_MS });
    const stored = await listEvents(scene);
    assert.deepEqual(new Set(stored.map(({ id }) => id)), scene.receiver.receivedIds());
  });

  test("once when a report is stored: it is reported again, and the attempt is not repeated", {
    timeout: 60_000,
  }, async (t) => {
    const held = gate();
    const scene = await setUpWebhook(t, relay, held.answer);
    const entry = await acceptForOne(relay, scene.workspace);
    await held.holds(1);
    await faults(t, { statement: "UPDATE", times: 1 });
    await held.release(200);
    const { status, attempt_count: made } = await awaitSettled(relay, scene.workspace, entry, { timeout: RECOVERY_MS });
    assert.deepEqual([status, made, scene.receiver.events().length], ["delivered", 1, 1]);
  });

  test("every time a report is stored: its lease is lost and the same attempt is made again", {
    skip: inShortForm,
    timeout: 60_000,
  }, async (t) => {
    const held = gate();
    const scene = await setUpWebhook(t, relay, held.answer);
    const entry = await acceptForOne(relay, scene.workspace);
    await held.holds(1);
    await faults(t, { statement: "UPDATE", times: 3 });
    await held.release(200);
    await eventually(() => held.held() === 1, { timeout: RECOVERY_MS });
    await held.release(200);
    const { status, attempt_count: made } = await awaitSettled(relay, scene.workspace, entry, { timeout: RECOVERY_MS });
    assert.deepEqual([status, made], ["delivered", 1]);
    assert.deepEqual(
      scene.receiver.events().map(({ headers }) => headers["x-secureagentics-attempt"]),
      ["1", "1"],
    );
  });

  test("in the alarm: a later alarm makes the retry", { skip: inShortForm, timeout: 60_000 }, async (t) => {
    const scene = await setUpWebhook(t, relay, answerInTurn(500, 200));
    const before = linesWith("storage does not work");
    await faults(t, { statement: "UPDATE", times: 1 });
    const entry = await acceptForOne(relay, scene.workspace);
    await eventually(() => linesWith("storage does not work") > before, { timeout: RECOVERY_MS });
    const { status, attempt_count: made } = await awaitSettled(relay, scene.workspace, entry, { timeout: RECOVERY_MS });
    assert.deepEqual([status, made], ["delivered", 2]);
  });
});

describe("an object evicted between lease and report", () => {
  let slow;
  before(async () => (slow = await startRelay({ vars: { ATTEMPT_TIMEOUT: "5s" } })));
  after(() => slow?.stop());
  const evict = ({ workspace, webhook }) =>
    slow.miniflare().unsafeEvictDurableObject("webhook-relay", "WebhookObject", { name: `${workspace}/${webhook.id}` });

  test("accepts the report after it has restarted", { timeout: 60_000 }, async (t) => {
    const held = gate();
    const scene = await setUpWebhook(t, slow, held.answer);
    const entry = await acceptForOne(slow, scene.workspace);
    await held.holds(1);
    await evict(scene);
    await held.release(200);
    const { status, attempt_count: made } = await awaitSettled(slow, scene.workspace, entry, { timeout: RECOVERY_MS });
    assert.deepEqual([status, made, scene.receiver.events().length], ["delivered", 1, 1]);
  });

  test("in the middle of its alarm repeats only the attempt in flight, at most once", {
    skip: inShortForm,
    timeout: 60_000,
  }, async (t) => {
    const held = gate();
    const scene = await setUpWebhook(t, slow, (_request, number) => (number === 1 ? { status: 500 } : held.answer()));
    const entry = await acceptForOne(slow, scene.workspace);
    await held.holds(1);
    // The platform waits for the alarm, or aborts it with the object.
    const evicted = evict(scene);
    const settled = await eventually(
      async () => {
        if (held.held() > 0) await held.release(200);
        const read = await readDelivery(slow, scene.workspace, entry);
        return read.status !== "pending" && read;
      },
      { timeout: RECOVERY_MS },
    );
    await evicted;
    assert.deepEqual([settled.status, settled.attempt_count], ["delivered", 2]);
    const attempts = scene.receiver.events().map(({ headers }) => headers["x-secureagentics-attempt"]);
    t.diagnostic(`attempts received: ${attempts}`);
    assert.ok(["1,2", "1,2,2"].includes(attempts.join()), attempts.join());
  });
});

describe("an alarm", () => {
  const CASES = {
    "in 1970": "UPDATE _cf_ALARM SET scheduled_time = 1",
    "that the platform has lost": "DELETE FROM _cf_ALARM",
  };
  for (const [what, statement] of Object.entries(CASES)) {
    test(`${what} delays what is due at most until the next request`, {
      skip: inShortForm,
      timeout: 90_000,
    }, async (t) => {
      const process = await startRelayProcess({ vars: { ...VARS, RETRY_SCHEDULE: "3s,3s,3s,3s,3s" } });
      t.after(() => process.stop());
      const { workspace, receiver } = await setUpWebhook(t, process, answerInTurn(500, 200));
      const entry = await acceptForOne(process, workspace);
      await awaitDelivery(process, workspace, entry, ({ attempts }) => attempts.length === 1);
      await process.kill();
      onDatabase(alarmsFile(process.state, "WebhookObject"), (database) => database.exec(statement));
      if (statement.startsWith("DELETE")) {
        for (const file of objectFiles(process.state, "WebhookObject"))
          onDatabase(file, (database) => database.exec("DELETE FROM _cf_METADATA"));
      }
      await process.restart();
      if (statement.startsWith("UPDATE"))
        await eventually(() => receiver.attemptsOf(entry.id).length === 2, { timeout: RECOVERY_MS });
      const { status, attempts } = await awaitSettled(process, workspace, entry, { timeout: RECOVERY_MS });
      assert.deepEqual([status, attempts.map(({ response_status: answer }) => answer)], ["delivered", [500, 200]]);
    });
  }
});

describe("a clock that jumps", () => {
  const HOUR_MS = 3_600_000;
  let patient;
  before(
    async () => (patient = await startRelay({ hooks: true, vars: { ...VARS, RETRY_SCHEDULE: "1h,1h,1h,1h,1h" } })),
  );
  after(() => patient?.stop());
  const failOnce = async (t) => {
    const scene = await setUpWebhook(t, patient, ({ headers, text }) => ({
      status: headers["x-secureagentics-attempt"] === "1" && text.includes("retried") ? 500 : 200,
    }));
    const entry = await acceptForOne(patient, scene.workspace, alert({ data: { event: "retried" } }));
    await awaitDelivery(patient, scene.workspace, entry, ({ attempts }) => attempts.length === 1);
    t.after(() => turn(patient));
    return { ...scene, entry };
  };

  test("forward sends what has fallen due at the next request", { timeout: 60_000 }, async (t) => {
    const { workspace, entry } = await failOnce(t);
    await turn(patient, { skew_ms: 2 * HOUR_MS });
    const { status, attempt_count: made } = await awaitSettled(patient, workspace, entry, { timeout: RECOVERY_MS });
    assert.deepEqual([status, made], ["delivered", 2]);
  });

  test("backward delays what waits by at most the jump, and delays nothing new", {
    timeout: 60_000,
  }, async (t) => {
    const scene = await failOnce(t);
    const { workspace, entry } = scene;
    await turn(patient, { skew_ms: -2 * HOUR_MS });
    const fresh = await acceptForOne(patient, workspace);
    assert.equal((await awaitSettled(patient, workspace, fresh)).status, "delivered");
    await changeWebhook(patient, scene, { description: "answered at once" });
    assert.equal((await readDelivery(patient, workspace, entry)).attempt_count, 1);
    await turn(patient, { skew_ms: 2 * HOUR_MS });
    assert.equal((await awaitSettled(patient, workspace, entry, { timeout: RECOVERY_MS })).status, "delivered");
  });

  test("forward ends a lease early: the attempt is repeated, and its late success counts", {
    timeout: 60_000,
  }, async (t) => {
    const scene = await setUpWebhook(t, patient, answerWith(200));
    await turn(patient, { skew_ms: 0 });
    t.after(() => turn(patient));
    const entry = await acceptForOne(patient, scene.workspace);
    await turn(patient, { skew_ms: 2 * HOUR_MS });
    const { status, attempt_count: made } = await awaitSettled(patient, scene.workspace, entry, {
      timeout: RECOVERY_MS,
    });
    assert.deepEqual([status, made], ["delivered", 1]);
  });
});
