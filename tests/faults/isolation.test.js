// A webhook that hangs on every attempt, and a healthy one beside it in the same workspace, under 50 events a second.
//
// Each event goes to both. How long the healthy one's first attempt takes to come is measured alone and beside the
// hanging one, in turns of one run, so that what else the machine does falls on both.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { eventually } from "../support/eventually.js";
import { hang } from "../support/receiver.js";
import { postEvent, startRelay } from "../support/relay.js";
import { alert, setUpWebhook } from "../support/steps.js";
import { inForm } from "./form.js";

const EVENTS_A_SECOND = 50;
const TURNS = inForm(6, 2);
const TURN_MS = inForm(10_000, 3_000);
const WARM_MS = 1_000;
const MOST = 1.2;
// What the hanging webhook's own work (a second object stores each event and leases) costs on a machine that workerd,
// the receivers and the producer share: some milliseconds of processor time for each event, by no means a time-out.
const ALLOWED_MS = 40;

let relay;
before(async () => (relay = await startRelay({ vars: { ATTEMPT_TIMEOUT: "5s", RETRY_SCHEDULE: "1h,1h,1h,1h,1h" } })));
after(() => relay?.stop());

/** Posts for one turn and returns how long each event took from its post to its arrival at the healthy endpoint. */
async function measure({ workspace, receiver }, lasting = TURN_MS) {
  const posts = [];
  const received = receiver.events().length;
  const began = performance.now();
  for (let number = 0; number < (lasting * EVENTS_A_SECOND) / 1_000; number++) {
    const wait = began + (number * 1_000) / EVENTS_A_SECOND - performance.now();
    if (wait > 0) await sleep(wait);
    const event = `${began}-${number}`;
    posts.push({ event, at: performance.now(), answer: postEvent(relay, workspace, alert({ data: { event } })) });
  }
  for (const { answer } of posts) assert.equal((await answer).status, 202);
  await eventually(() => receiver.events().length === received + posts.length, { timeout: 30_000 });
  const arrivals = new Map(receiver.events().map(({ text, arrivedAt }) => [JSON.parse(text).data.event, arrivedAt]));
  return posts.map(({ event, at }) => arrivals.get(event) - at);
}

const percentile = (values, percent) => values.toSorted((a, b) => a - b)[Math.ceil((values.length * percent) / 100) - 1];

test("the healthy webhook's p99 beside a hanging one is within 20 % of what it is alone", { timeout: 300_000 }, async (t) => {
  const alone = await setUpWebhook(t, relay);
  const beside = await setUpWebhook(t, relay);
  const hanging = await setUpWebhook(t, relay, hang, { workspace: beside.workspace });
  // Until both are warm.
  await measure(alone, WARM_MS);
  await measure(beside, WARM_MS);
  const took = { alone: [], beside: [] };
  for (let turn = 0; turn < TURNS; turn++) {
    took.alone.push(...(await measure(alone)));
    took.beside.push(...(await measure(beside)));
  }
  const [p50Alone, p50Beside] = [percentile(took.alone, 50), percentile(took.beside, 50)];
  const [p99Alone, p99Beside] = [percentile(took.alone, 99), percentile(took.beside, 99)];
  t.diagnostic(
    `${took.alone.length} events each: alone p50 ${p50Alone.toFixed(1)} ms, p99 ${p99Alone.toFixed(1)} ms; ` +
      `beside a hanging one p50 ${p50Beside.toFixed(1)} ms, p99 ${p99Beside.toFixed(1)} ms; it had ${hanging.receiver.events().length} attempts`,
  );
  assert.ok(hanging.receiver.events().length > 0, "nothing hung: this proved nothing");
  assert.ok(p99Beside <= p99Alone * MOST + ALLOWED_MS, `p99 ${p99Beside} ms beside it, ${p99Alone} ms alone`);
});
