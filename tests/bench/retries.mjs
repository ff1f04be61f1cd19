// The rate of second attempts: events whose first attempts all fail, at an endpoint that takes 100 ms for the second.
import { setTimeout as sleep } from "node:timers/promises";
import { startSystem } from "./systems.mjs";

const EVENTS = 1_000;
// Longer than all first attempts take, so that the second ones fall due close together.
const RETRY_AFTER_MS = 5_000;
const TIMEOUT_MS = 120_000;
let runs = 0;

/** Measures the relay, with the settings of the free plan and with those of the paid one. */
export async function measureRetries(stage, makeState) {
  const figures = [];
  for (const subrequests of [50, 10_000]) figures.push(await measureSecond(stage, await makeState(), subrequests));
  return figures;
}

/** Measures it with one setting; `clone` is the folder of another clone of the repository, whose build is measured. */
export async function measureSecond(stage, state, subrequests, clone) {
  const vars = { RETRY_SCHEDULE: `${RETRY_AFTER_MS}ms,1h`, SUBREQUESTS: `${subrequests}`, MAX_LEASES: "50" };
  const relay = await startSystem("relay", state, { vars, clone });
  try {
    await stage.warmUp(relay);
    const run = `retries${runs++}`;
    const target = await relay.makeWorkspace(run, [stage.url("failfirst", run, 0)]);
    await stage.post(relay, { targets: [target], producers: 2, batch: 100, events: EVENTS, seconds: 30 });
    const deadline = Date.now() + TIMEOUT_MS;
    for (;;) {
      const { later } = await stage.receiver.ask({ ask: "later", run });
      if (later.count >= EVENTS)
        return { subrequests, perSecond: (EVENTS * 1000) / (later.last - later.first), ...later };
      if (Date.now() > deadline) throw new Error(`${EVENTS - later.count} second attempts have not arrived`);
      await sleep(100);
    }
  } finally {
    await relay.stop("SIGKILL");
  }
}
