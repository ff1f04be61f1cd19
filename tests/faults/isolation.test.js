// A webhook that hangs on every attempt, and a healthy one in the same workspace, under 50 events a second.
//
// Each event goes to both. Waiting for the hanging endpoint would delay an event by the timeout. The diagnostics show
// how much the hanging one slows the other down, and the bench measures it.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { eventually } from "../support/eventually.js";
import { hang } from "../support/receiver.js";
import { postEvent, startRelay } from "../support/relay.js";
import { alert, setUpWebhook } from "../support/steps.js";
import { inForm } from "./form.js";

const TIMEOUT_MS = 10_000;
const EVENTS_A_SECOND = 50;
const TURNS = inForm(5, 2);
const TURN_MS = inForm(10_000, 1_500);

let relay;
before(
  async () =>
    (relay = await startRelay({ vars: { ATTEMPT_TIMEOUT: `${TIMEOUT_MS}ms`, RETRY_SCHEDULE: "1h,1h,1h,1h,1h" } })),
);
after(() => relay?.stop());

/** Posts for one turn and returns how long each event took from post to arrival at the healthy endpoint. */
async function measure({ workspace, receiver }) {
  const posts = [];
  const received = receiver.events().length;
  const began = performance.now();
  for (let number = 0; number < (TURN_MS * EVENTS_A_SECOND) / 1_000; number++) {
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

const percentile = (values, percent) =>
  values.toSorted((a, b) => a - b)[Math.ceil((values.length * percent) / 100) - 1];

test("a healthy webhook gets its events while another one of its workspace hangs", { timeout: 300_000 }, async (t) => {
  const scenes = {
    alone: await setUpWebhook(t, relay),
    "beside one that answers": await setUpWebhook(t, relay),
    "beside one that hangs": await setUpWebhook(t, relay),
  };
  await setUpWebhook(t, relay, undefined, { workspace: scenes["beside one that answers"].workspace });
  const hanging = await setUpWebhook(t, relay, hang, { workspace: scenes["beside one that hangs"].workspace });
  const took = Object.fromEntries(Object.keys(scenes).map((name) => [name, []]));
  for (let turn = 0; turn < TURNS; turn++) {
    for (const [name, scene] of Object.entries(scenes)) took[name].push(...(await measure(scene)));
  }
  for (const [name, values] of Object.entries(took)) {
    const [p50, p99] = [50, 99].map((percent) => percentile(values, percent).toFixed(1));
    t.diagnostic(`${name}: ${values.length} events, p50 ${p50} ms, p99 ${p99} ms`);
  }
  assert.ok(hanging.receiver.events().length > 0, "nothing hung: this proved nothing");
  const longest = Math.max(...took["beside one that hangs"]);
  assert.ok(longest < TIMEOUT_MS / 2, `an event took ${longest} ms: it waited for the webhook that hangs`);
});
