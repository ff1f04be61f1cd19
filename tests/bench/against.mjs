// Compares two builds of the relay, that of another clone and this one, by turns in one run.
//
// A scenario is repeated in rounds; in each the two take turns, and the order changes from round to round. What counts is
// the median of the rounds' ratios: a host that is slow for a while is slow for both.
import { usageOf } from "./bill.mjs";
import { median } from "./figures.mjs";
import { measureSecond } from "./retries.mjs";
import { BILLED, SCENARIOS, SPARSE } from "./scenarios.mjs";
import { startSystem } from "./systems.mjs";
import { table } from "./table.mjs";

const WITHOUT = [SPARSE, "fan-out to 20 webhooks", "endpoint at 300 ms", "beside a hanging webhook"];
// Of a round, if a scenario ends by time.
const SECONDS = 6;
const TURNS = 8;

/**
 * What is compared of the speed: a name, and how it is read from a result.
 * @type {[string, (result: any) => number][]}
 */
const SPEED = [
  ["CPU ms an event", ({ cpuPerEvent }) => cpuPerEvent],
  ["delivered/s", ({ deliveredPerSecond }) => deliveredPerSecond],
  ["end to end p50 ms", ({ endToEnd }) => endToEnd.p50],
  ["end to end p99 ms", ({ endToEnd }) => endToEnd.p99],
];

/**
 * What is compared of what is billed, for an event.
 * @type {[string, (usage: any) => number][]}
 */
const USAGE = [
  ["rows written", ({ rows_written }) => rows_written],
  ["object requests", ({ object_requests }) => object_requests],
  ["alarms run", ({ alarms_run }) => alarms_run],
];

/**
 * Compares in the scenarios with `wanted` in their name; `bill`, or `bill: one by one`, compares what is billed,
 * `retries` second attempts.
 * Returns pairs of figures, of the other clone and of this one, a list of rounds for each name.
 */
export async function measureAgainst({ stage, clone, wanted, rounds, makeState, withCleanUp, progress }) {
  const clones = [clone, undefined];
  /** @type {Map<string, [number, number][]>} */
  const pairs = new Map();
  const add = (name, both) => pairs.set(name, [...(pairs.get(name) ?? []), both]);
  // Both at the same time, so that they can take turns.
  const onBoth = (hooks, work) =>
    withCleanUp(async (later) => {
      const systems = [];
      for (const one of clones) {
        const running = await startSystem("relay", await makeState(later), { hooks, clone: one });
        later(() => running.stop("SIGKILL"));
        await stage.warmUp(running);
        systems.push(running);
      }
      for (let round = 0; round < rounds; round++) {
        progress(`round ${round + 1} of ${rounds}`);
        await work(async (scenario) => {
          const order = round % 2 === 0 ? systems : systems.toReversed();
          const results = scenario.turns ? await stage.compare(order, scenario) : await oneByOne(order, scenario);
          return order === systems ? results : results.reverse();
        });
      }
    });
  // An object that waits for the other's only turn is evicted, and its counts with it.
  const oneByOne = async (systems, scenario) => {
    const results = [];
    for (const system of systems) results.push(await stage.measure(system, scenario));
    return results;
  };
  const scenarios = SCENARIOS.filter(({ name }) => name.includes(wanted) && !WITHOUT.includes(name));
  if (scenarios.length > 0)
    await onBoth(false, async (compare) => {
      for (const scenario of scenarios) {
        const [other, own] = await compare(scenario.turns ? { ...scenario, seconds: SECONDS, turns: TURNS } : scenario);
        for (const [name, read] of SPEED) add(`${scenario.name}: ${name}`, [read(other), read(own)]);
      }
    });
  const billed = BILLED.filter(({ name, alone }) => `bill: ${name}`.startsWith(wanted) && !alone);
  if (billed.length > 0)
    await onBoth(true, async (compare) => {
      for (const { name: billing, systems: _, ...run } of billed) {
        const results = await compare({ workspaces: 1, webhooks: 1, behaviour: "ok", counted: true, ...run });
        const [other, own] = results.map((result) => usageOf({ events: result.accepted, ...result }));
        for (const [name, read] of USAGE) add(`bill: ${billing}: ${name}`, [read(other), read(own)]);
      }
    });
  if ("retries".startsWith(wanted))
    for (let round = 0; round < rounds; round++)
      for (const subrequests of [50, 10_000]) {
        progress(`second attempts, SUBREQUESTS ${subrequests}, round ${round + 1} of ${rounds}`);
        const measure = (one) =>
          withCleanUp(
            async (later) => (await measureSecond(stage, await makeState(later), subrequests, one)).perSecond,
          );
        add(`second attempts/s, SUBREQUESTS ${subrequests}`, [await measure(clones[0]), await measure(clones[1])]);
      }
  return pairs;
}

/** The comparison as a table. */
export function showAgainst(pairs) {
  const shown = (value) => value.toFixed(value < 10 ? 3 : 0);
  const rows = [...pairs].map(([name, rounds]) => {
    const ratios = rounds.map(([other, own]) => (other === 0 ? 1 : own / other));
    const range = [Math.min(...ratios), Math.max(...ratios)].map((ratio) => ratio.toFixed(2)).join(" to ");
    return [
      name,
      shown(median(rounds.map(([other]) => other))),
      shown(median(rounds.map(([, own]) => own))),
      median(ratios).toFixed(3),
      range,
    ];
  });
  return table(["medians", "other clone", "this one", "ratio", "of all rounds"], rows);
}
