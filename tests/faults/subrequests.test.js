// The platform limits the requests of an invocation: no attempt is spent on a request that the relay could not send.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { eventually } from "../support/eventually.js";
import { startRelay } from "../support/relay.js";
import { acceptArray, alert, listDeliveries, readDelivery, setUpWebhook } from "../support/steps.js";

const EVENTS = 200;
const TIMEOUT_MS = 120_000;

/** Posts arrays to an endpoint that fails each first attempt, and waits until all are settled. */
async function deliver(t, options) {
  const relay = await startRelay(options);
  t.after(() => relay.stop());
  const seen = new Set();
  const answer = ({ headers }) => {
    const id = headers["webhook-id"];
    const status = seen.has(id) ? 200 : 500;
    seen.add(id);
    return { status };
  };
  const scene = await setUpWebhook(t, relay, answer);
  for (let posted = 0; posted < EVENTS; posted += 100)
    await acceptArray(relay, scene.workspace, Array(100).fill(alert()));
  const list = (filter) => listDeliveries(relay, scene.workspace, scene.webhook.id, { kind: "event", ...filter });
  await eventually(async () => (await list({ status: "pending" })).length === 0, { timeout: TIMEOUT_MS });
  const deliveries = await list({ limit: 100 });
  const outcomes = new Set();
  for (const { id, webhook_id } of deliveries) {
    const { attempts } = await readDelivery(relay, scene.workspace, { id, webhook_id });
    for (const { outcome } of attempts) outcomes.add(outcome);
  }
  return { failed: await list({ status: "failed" }), outcomes: [...outcomes].sort(), scene };
}

describe("under the platform's limit of requests", () => {
  test("of 50, as on the free plan, every event is attempted until it is delivered", {
    timeout: TIMEOUT_MS * 2,
  }, async (t) => {
    const { failed, outcomes, scene } = await deliver(t, { subrequests: 50 });
    assert.deepEqual(failed, []);
    assert.deepEqual(outcomes, ["http_error", "succeeded"]);
    assert.equal(scene.receiver.events().length, 2 * EVENTS);
  });

  test("that SUBREQUESTS makes as low as 3, too", { timeout: TIMEOUT_MS * 2 }, async (t) => {
    const { failed, outcomes } = await deliver(t, { subrequests: 3, vars: { SUBREQUESTS: "3" } });
    assert.deepEqual(failed, []);
    assert.deepEqual(outcomes, ["http_error", "succeeded"]);
  });

  test("a request that it refuses is a lost lease and not an attempt", { timeout: TIMEOUT_MS * 2 }, async (t) => {
    const { failed, outcomes } = await deliver(t, {
      subrequests: 20,
      vars: { SUBREQUESTS: "50", ATTEMPT_TIMEOUT: "5s" },
    });
    assert.deepEqual(failed, []);
    assert.deepEqual(outcomes, ["http_error", "succeeded"]);
  });
});
