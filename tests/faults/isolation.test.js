// A webhook that hangs on every attempt, and a healthy one beside it in the same workspace, under 50 events a second.
//
// Each event goes to both. How long it takes to arrive at the healthy endpoint is measured for a webhook that is alone,
// for one beside another that answers, and for one beside another that hangs, in turns of one run, so that what else the
// machine does falls on all. Here one thread runs all objects and one disk takes all their commits, which in production
// are machines of their own: what a second webhook costs by that alone is what the one that answers shows.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { eventually } from "../support/eventually.js";
import { hang } from "../support/receiver.js";
import { postEvent, startRelay } from "../support/relay.js";
import { alert, setUpWebhook } from "../support/steps.js";
import { inForm } from "./form.js";

const EVENTS_A_SECOND = 50;
const TURNS = inForm(5, 2);
const TURN_MS = inForm(10_000, 1_500);
const WARM_MS = 1_000;
const SERIES = 3;
const MOST = 1.2;
// A tick of the clock, and of the machine.
const ALLOWED_MS = 10;

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

const percentile = (values, percent) =>
  values.toSorted((a, b) => a - b)[Math.ceil((values.length * percent) / 100) - 1];

test("the healthy webhook's p99 beside a hanging one is within 20 % of what it is without", {
  timeout: 300_000,
}, async (t) => {
  const scenes = {
    alone: await setUpWebhook(t, relay),
    "beside one that answers": await setUpWebhook(t, relay),
    "beside one that hangs": await setUpWebhook(t, relay),
  };
  await setUpWebhook(t, relay, undefined, { workspace: scenes["beside one that answers"].workspace });
  const hanging = await setUpWebhook(t, relay, hang, { workspace: scenes["beside one that hangs"].workspace });
  // Until they are warm.
  for (const scene of Object.values(scenes)) await measure(scene, WARM_MS);
  // A hiccup of the machine falls on one of them; a wait for the hanging endpoint would fall on every series.
  for (let series = 1; ; series++) {
    const { without, beside } = await compare(t, scenes);
    assert.ok(hanging.receiver.events().length > 0, "nothing hung: this proved nothing");
    if (beside <= without * MOST + ALLOWED_MS) return;
    assert.ok(series < SERIES, `p99 ${beside} ms beside one that hangs, ${without} ms without`);
  }
});

/** Measures each in turns and returns the p99 beside the hanging webhook and the worse one of the other two. */
async function compare(t, scenes) {
  const took = Object.fromEntries(Object.keys(scenes).map((name) => [name, []]));
  for (let turn = 0; turn < TURNS; turn++) {
    for (const [name, scene] of Object.entries(scenes)) took[name].push(...(await measure(scene)));
  }
  const p99 = Object.fromEntries(Object.entries(took).map(([name, values]) => [name, percentile(values, 99)]));
  for (const [name, values] of Object.entries(took)) {
    t.diagnostic(
      `${name}: ${values.length} events, p50 ${percentile(values, 50).toFixed(1)} ms, p99 ${p99[name].toFixed(1)} ms`,
    );
  }
  return { without: Math.max(p99.alone, p99["beside one that answers"]), beside: p99["beside one that hangs"] };
}
