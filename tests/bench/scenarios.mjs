// The scenarios: how many producers post what, to how many webhooks, on which systems.
//
// `seconds` ends a scenario by time, `events` by number; requests in flight at the end are awaited. `turns` splits its
// seconds into parts, in which the systems take turns. `perSecond` holds posts to a rate. A message between processes
// cannot carry Infinity.
const UNBOUNDED = 1e9;
const ALL = ["forwarder", "skeleton", "relay", "textbook"];
const BOUND = ["forwarder", "skeleton", "relay"];
const STORING = ["relay", "textbook"];

/** The name of a scenario that runs only if it is named: it takes half a minute for each system. */
export const SPARSE = "sparse events";

/** In the order in which they run. */
export const SCENARIOS = [
  { name: "1 producer", producers: 1, seconds: 2, turns: 4 },
  { name: "8 producers, 1 webhook", producers: 8, seconds: 3, turns: 6 },
  { name: "32 producers, 1 webhook", producers: 32, seconds: 4, turns: 8 },
  { name: "64 producers, 1 webhook", producers: 64, seconds: 4, turns: 8 },
  { name: "128 producers, 1 webhook", producers: 128, seconds: 4, turns: 8 },
  { name: "32 producers, 50 webhooks", producers: 32, workspaces: 50, seconds: 3, turns: 4 },
  { name: "32 producers, 300 webhooks", producers: 32, workspaces: 300, seconds: 4, turns: 4, systems: BOUND },
  { name: "32 producers, 1000 webhooks", producers: 32, workspaces: 1000, seconds: 6, turns: 4, systems: BOUND },
  // To each webhook, an event further from the next than a lease lasts and an object stays in memory.
  { name: SPARSE, producers: 4, workspaces: 160, perSecond: 10, events: 320, seconds: 40, systems: BOUND },
  { name: "arrays of 100", producers: 4, batch: 100, events: 2000, seconds: 10 },
  { name: "fan-out to 20 webhooks", producers: 4, webhooks: 20, events: 60, seconds: 10 },
  { name: "endpoint at 300 ms", producers: 32, behaviour: "slow", events: 100, seconds: 10 },
  { name: "beside a hanging webhook", producers: 8, hanging: true, seconds: 2, turns: 4, systems: STORING },
].map((scenario) => ({
  batch: 1,
  webhooks: 1,
  workspaces: 1,
  behaviour: "ok",
  events: UNBOUNDED,
  systems: ALL,
  ...scenario,
}));

/** The events that are posted to count requests and rows for the bill. */
export const BILLED = [
  // Further apart than a lease lasts. One event a turn.
  { name: "alone", producers: 1, batch: 1, events: 4, turns: 4, alone: true, systems: ["relay"] },
  { name: "one by one", producers: 1, batch: 1, events: 300 },
  { name: "one by one, with event_id", producers: 1, batch: 1, events: 300, withIds: true, systems: ["relay"] },
  { name: "32 producers", producers: 32, batch: 1, events: 1000 },
  { name: "arrays of 100", producers: 4, batch: 100, events: 2000 },
  { name: "endpoint at 300 ms", producers: 4, batch: 100, events: 400, behaviour: "slow", systems: ["relay"] },
  { name: "endpoint that hangs", producers: 1, batch: 40, events: 40, behaviour: "hang", systems: ["relay"] },
].map((run) => ({ seconds: 20, systems: STORING, ...run }));
