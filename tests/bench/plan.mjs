// `npm run bench:plan`: what the platform's limits mean beyond one machine; only arithmetic, nothing is measured.
//
// LIMITS are Cloudflare's, LOAD is the planned load; change a number and run it again.
import { table } from "./table.mjs";

const LIMITS = {
  /** Requests a second that an object handles if each writes: the cautious and the optimistic reading of the guide. */
  objectWrites: [200, 500],
  /** KV writes per second and key. */
  kvWrites: 1,
  /** Subrequests of one invocation. */
  subrequests: { free: 50, paid: 10_000 },
};
/** Requests that an object gets for one event: accept and report. */
const REQUESTS_OF_AN_EVENT = 2;
/** `MAX_LEASES`: attempts of one webhook under way. */
const MAX_LEASES = 50;
const LOAD = { eventsPerSecond: 1_000, webhooks: 100_000, lostRegionSeconds: 60 };

const perSecond = (value) => `${value.toFixed(value < 10 ? 1 : 0)}/s`;

const objects = LIMITS.objectWrites.map((writes) => {
  const events = writes / REQUESTS_OF_AN_EVENT;
  return [perSecond(writes), perSecond(events), String(Math.ceil(LOAD.eventsPerSecond / events))];
});
console.log(
  `A webhook at ${LOAD.eventsPerSecond} events/s, ${REQUESTS_OF_AN_EVENT} requests of its object for each:\n`,
);
console.log(table(["an object handles", "events of one object", "sub-objects wh_...#n needed"], objects));

const retries = [0.05, 0.3, 1, 10].map((seconds) => {
  const rate = MAX_LEASES / seconds;
  return [`${seconds * 1000} ms`, perSecond(rate), `${(100_000 / rate / 60).toFixed(0)} min`];
});
console.log("\nRetries, of which MAX_LEASES are under way at a time:\n");
console.log(table(["the endpoint answers after", "one webhook retries", "a backlog of 100,000 takes"], retries));

// Each delivery of one invocation is an accept, a send and a report; the key's snapshot is one more.
const fanOut = Object.entries(LIMITS.subrequests).map(([plan, limit]) => [
  plan,
  String(limit),
  String(Math.floor((limit - 1) / 3)),
]);
console.log("\nWebhooks that one event may reach from one Worker request:\n");
console.log(table(["plan", "subrequests", "webhooks (at most 50 per workspace)"], fanOut));

const share = LOAD.eventsPerSecond / LOAD.webhooks;
console.log(
  `\n${LOAD.webhooks.toLocaleString("en")} webhooks are as many objects; at ${LOAD.eventsPerSecond} events/s over all of them each gets`,
);
console.log(
  `${share} events/s, ${((100 * share * REQUESTS_OF_AN_EVENT) / LIMITS.objectWrites[0]).toFixed(3)} % of what an object handles. A workspace's settings change at most ${LIMITS.kvWrites} time a second.`,
);

const waiting = LOAD.eventsPerSecond * LOAD.lostRegionSeconds;
console.log(
  `\nA region that is lost for ${LOAD.lostRegionSeconds} s at ${LOAD.eventsPerSecond} events/s: ${waiting.toLocaleString("en")} events are answered 503 (producers`,
);
console.log(
  "post them again with the same event_id), and accepted events wait in the objects' replicas for their alarms.",
);
