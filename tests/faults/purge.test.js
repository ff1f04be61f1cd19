// What is older than the retention is deleted as fast as deliveries come in, also by an object whose alarm is busy.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { eventually } from "../support/eventually.js";
import { gate, turn } from "../support/hooks.js";
import { startRelay } from "../support/relay.js";
import { acceptArray, acceptForOne, alert, answered, awaitDelivery, pathOf, setUpWebhook } from "../support/steps.js";

const ARRAYS = 15;
const TWO_DAYS_MS = 2 * 24 * 60 * 60 * 1000;
const VARS = { RETRY_SCHEDULE: "500ms", RETENTION_DAYS: "1", ATTEMPT_TIMEOUT: "12s" };

let relay;
before(async () => (relay = await startRelay({ hooks: true, vars: VARS })));
after(() => relay?.stop());

test("old deliveries are deleted while an alarm's attempts are still under way", { timeout: 180_000 }, async (t) => {
  t.after(() => turn(relay));
  const held = gate();
  let hangs = false;
  const scene = await setUpWebhook(t, relay, () => (hangs ? held.answer() : { status: 500 }));
  const find = async (query) =>
    answered(await relay.fetch(pathOf(scene, `/deliveries?limit=1&${new URLSearchParams(query)}`)), 200).data.length >
    0;
  for (let posted = 0; posted < ARRAYS; posted++) await acceptArray(relay, scene.workspace, Array(100).fill(alert()));
  await eventually(async () => !(await find({ status: "pending" })), { timeout: 120_000 });
  const until = new Date().toISOString();
  assert.ok(await find({ until, kind: "event" }));

  await turn(relay, { skew_ms: TWO_DAYS_MS });
  const entry = await acceptForOne(relay, scene.workspace);
  await awaitDelivery(relay, scene.workspace, entry, ({ attempts }) => attempts.length === 1);
  hangs = true;
  await held.holds(1);
  await eventually(async () => !(await find({ until, kind: "event" })), { timeout: 60_000 });
  const { attempts } = await awaitDelivery(relay, scene.workspace, entry, () => true);
  assert.equal(attempts.length, 1, "its second attempt has ended");
  await held.release(200);
});
