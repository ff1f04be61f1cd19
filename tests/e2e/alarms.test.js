// An alarm runs only if something is due that can be done: setting an alarm writes a row, running one is a request.
import assert from "node:assert/strict";
import { test } from "node:test";
import { eventually } from "../support/eventually.js";
import { startRelay } from "../support/relay.js";
import { acceptEvent, alert, answered, setUpWebhook } from "../support/steps.js";

const TIMEOUT_MS = 2_000;
const EVENTS = 30;

test("while a hanging endpoint holds every lease, alarms run at most twice per attempt", {
  timeout: 60_000,
}, async (t) => {
  const vars = { MAX_LEASES: "8", ATTEMPT_TIMEOUT: `${TIMEOUT_MS}ms`, RETRY_SCHEDULE: "1h,1h,1h,1h,1h" };
  const relay = await startRelay({ hooks: true, vars });
  t.after(() => relay.stop());
  const { workspace, webhook, receiver } = await setUpWebhook(t, relay, () => () => {});
  const count = async () => answered(await relay.fetch(`/test/rows/${workspace}/${webhook.id}`), 200);
  const before = await count();
  // One by one: their Workers take every lease, so the alarm has nothing to send.
  for (let number = 0; number < EVENTS; number++) await acceptEvent(relay, workspace, alert());
  await eventually(() => receiver.events().length === EVENTS, { timeout: 40_000 });
  const { alarms_run: run, alarms_set: set } = await count();
  t.diagnostic(`${run - before.alarms_run} alarms run and ${set - before.alarms_set} set for ${EVENTS} attempts`);
  assert.ok(run - before.alarms_run <= 2 * EVENTS, `${run - before.alarms_run} alarms for ${EVENTS} attempts`);
  assert.ok(set - before.alarms_set <= 2 * EVENTS, `${set - before.alarms_set} alarms set`);
});
