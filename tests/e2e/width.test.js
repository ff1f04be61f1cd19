// The width of a webhook: fewer attempts at a time at an endpoint that is overloaded, and more again as it recovers.
import assert from "node:assert/strict";
import { test } from "node:test";
import { eventually } from "../support/eventually.js";
import { startRelay } from "../support/relay.js";
import { acceptArray, alert, listDeliveries, setUpWebhook } from "../support/steps.js";

const MAX_LEASES = 50;
const NARROWEST = 6;
const EVENTS = 200;
/** Attempts that are answered 503. */
const OVERLOADED = 120;
/** Attempts of these that may have been leased before the width was halved for the last time. */
const BEFORE_NARROW = 90;
const ANSWERED_AFTER_MS = 200;

test("an endpoint that answers 503 gets six attempts at a time, and more with each success", {
  timeout: 120_000,
}, async (t) => {
  const relay = await startRelay({ vars: { MAX_LEASES: `${MAX_LEASES}`, RETRY_SCHEDULE: "2s,2s,2s,2s,2s" } });
  t.after(() => relay.stop());
  let underWay = 0;
  /** How many attempts were under way as each one arrived. */
  const seen = [];
  const answer = () => {
    const status = seen.push(++underWay) <= OVERLOADED ? 503 : 200;
    return (response) => {
      response.on("close", () => underWay--);
      setTimeout(() => response.writeHead(status).end(), ANSWERED_AFTER_MS);
    };
  };
  const { workspace, webhook } = await setUpWebhook(t, relay, answer);
  for (let from = 0; from < EVENTS; from += 100) await acceptArray(relay, workspace, Array(100).fill(alert()));
  const count = async (status) =>
    (await listDeliveries(relay, workspace, webhook.id, { status, kind: "event" })).length;
  await eventually(async () => (await count("pending")) === 0, { timeout: 90_000 });
  assert.equal(await count("delivered"), EVENTS);

  const widest = (from, to) => Math.max(...seen.slice(from, to));
  const [before, narrow, after] = [widest(0, BEFORE_NARROW), widest(BEFORE_NARROW, OVERLOADED), widest(OVERLOADED)];
  t.diagnostic(`under way: at most ${before} at first, then ${narrow}, and ${after} after it recovered`);
  assert.ok(before > 2 * NARROWEST, "it was never wide: this proved nothing");
  assert.ok(narrow <= NARROWEST, `${narrow} were under way at an overloaded endpoint`);
  assert.ok(after > 3 * NARROWEST, "it did not grow back");
  assert.ok(after <= MAX_LEASES);
});
