// How fast a backlog drains, and what an endpoint that hangs and comes back gets.
import { setTimeout as sleep } from "node:timers/promises";
import { clock } from "./figures.mjs";
import { cpuOf } from "./processes.mjs";
import { startSystem } from "./systems.mjs";
import { table } from "./table.mjs";

const DUE = 10_000;
// What an endpoint takes to answer, by the name of its behaviour in receiver.mjs.
const ENDPOINTS = { ok: 0, later: 100, slow: 300 };
const TIMEOUT_MS = 180_000;

const HANGING = 2_000;
const HANGS_MS = 60_000;
// Attempts time out after 10 s. Then the width has had the time to shrink.
const NARROW_AFTER_MS = 15_000;
const NEIGHBOUR = { producers: 2, batch: 1, events: 1e9 };
const NEIGHBOUR_SECONDS = 10;
let runs = 0;

/** Lets a webhook have so many events that are due, of which none is attempted before it is resumed. */
async function makeBacklog(stage, relay, behaviour, events) {
  const run = `drain${runs++}`;
  const target = await relay.makeWorkspace(run, [stage.url(behaviour, run, 0)]);
  const webhook = `/v1/workspaces/${target.workspace}/webhooks/${target.webhooks[0]}`;
  await relay.call("PATCH", webhook, { status: "paused" });
  await stage.post(relay, { targets: [target], producers: 2, batch: 100, events, seconds: 60 });
  return { run, resume: () => relay.call("PATCH", webhook, { status: "enabled" }) };
}

async function measureDrain(stage, relay, behaviour) {
  const { run, resume } = await makeBacklog(stage, relay, behaviour, DUE);
  const [began, cpu] = [clock(), cpuOf(relay.workerd)];
  await resume();
  for (const deadline = began + TIMEOUT_MS; ; await sleep(50)) {
    const { count, last } = await stage.receiver.ask({ ask: "count", run });
    if (count >= DUE)
      return { perSecond: (DUE * 1000) / (last - began), cpuPerEvent: (cpuOf(relay.workerd) - cpu) / DUE };
    if (clock() > deadline) throw new Error(`${DUE - count} of ${DUE} have not arrived`);
  }
}

/** The time from post to arrival at a webhook of another workspace, while something lasts. */
async function measureNeighbour(stage, relay) {
  const run = `neighbour${runs++}`;
  const target = await relay.makeWorkspace(run, [stage.url("ok", run, 0)]);
  const { accepted } = await stage.post(relay, { targets: [target], ...NEIGHBOUR, seconds: NEIGHBOUR_SECONDS });
  await stage.arrival(run, accepted);
  return (await stage.receiver.ask({ ask: "figures", run })).latency;
}

async function measureReturn(stage, relay) {
  const alone = await measureNeighbour(stage, relay);
  const { run, resume } = await makeBacklog(stage, relay, "returns", HANGING);
  const began = clock();
  await resume();
  const openNow = async () => (await stage.receiver.ask({ ask: "hanging", run })).hanging;
  let [first, narrow] = [0, 0];
  const watching = (async () => {
    while (clock() < began + HANGS_MS) {
      const { open } = await openNow();
      if (clock() < began + NARROW_AFTER_MS) first = Math.max(first, open);
      else narrow = Math.max(narrow, open);
      await sleep(50);
    }
  })();
  await sleep(NARROW_AFTER_MS);
  const beside = await measureNeighbour(stage, relay);
  await watching;
  const back = clock();
  await stage.receiver.ask({ ask: "return", run });
  for (const deadline = back + TIMEOUT_MS; ; await sleep(50)) {
    const { firstAnswer, wideAt } = await openNow();
    if (wideAt > 0)
      return { first, narrow, alone, beside, firstAnswer: firstAnswer - back, wideAfter: wideAt - firstAnswer };
    if (clock() > deadline) throw new Error("the webhook has not become wide again");
  }
}

/** Measures the relay with an endpoint of each kind. */
export async function measureDrains({ stage, makeState, withCleanUp, progress }) {
  return withCleanUp(async (later) => {
    const relay = await startSystem("relay", await makeState(later));
    later(() => relay.stop("SIGKILL"));
    await stage.warmUp(relay);
    const drains = [];
    for (const [behaviour, takes] of Object.entries(ENDPOINTS)) {
      progress(`${DUE} due, endpoint at ${takes} ms`);
      drains.push({ takes, ...(await measureDrain(stage, relay, behaviour)) });
    }
    progress("an endpoint that hangs for a minute and comes back");
    return { drains, returned: await measureReturn(stage, relay) };
  });
}

/** The drains and the return, as tables. */
export function showDrains({ drains, returned }) {
  const rows = drains.map(({ takes, perSecond, cpuPerEvent }) => [
    `${takes} ms`,
    perSecond.toFixed(0),
    cpuPerEvent.toFixed(2),
  ]);
  const { first, narrow, alone, beside, firstAnswer, wideAfter } = returned;
  const facts = [
    ["attempts under way at first, at most", String(first)],
    ["after ten have timed out, at most", String(narrow)],
    ["first answer after it is back, ms", firstAnswer.toFixed(0)],
    ["from then until 50 are under way, ms", wideAfter.toFixed(0)],
    ["a neighbour's p50 / p99 before, ms", `${alone.p50.toFixed(1)} / ${alone.p99.toFixed(1)}`],
    ["while it hangs, ms", `${beside.p50.toFixed(1)} / ${beside.p99.toFixed(1)}`],
  ];
  return [
    table([`${DUE} due, an endpoint that takes`, "delivered/s", "CPU ms an event"], rows),
    table(["an endpoint that hangs for 60 s", ""], facts),
  ].join("\n\n");
}
