// Where the CPU of an event goes: the Worker and the objects each in a process of its own.
//
// In production they are different machines, and a webhook's object is the one that cannot be multiplied. Their calls
// cross a socket here, which takes CPU on both sides; the skeleton's, which are the same calls, say how much.
import { SCENARIOS } from "./scenarios.mjs";
import { startSystem } from "./systems.mjs";
import { table } from "./table.mjs";

const SYSTEMS = ["skeleton", "relay"];
const WANTED = ["1 producer", "32 producers, 1 webhook", "32 producers, 50 webhooks", "32 producers, 1000 webhooks"];

/** Measures both systems by turns. */
export async function measureApart({ stage, makeState, withCleanUp, progress }) {
  return withCleanUp(async (later) => {
    const systems = [];
    for (const system of SYSTEMS) {
      const running = await startSystem(system, await makeState(later), { apart: true });
      later(() => running.stop("SIGKILL"));
      await stage.warmUp(running);
      systems.push(running);
    }
    const measured = [];
    for (const scenario of SCENARIOS.filter(({ name }) => WANTED.includes(name))) {
      progress(`Worker and objects apart: ${scenario.name}`);
      measured.push({ scenario: scenario.name, results: await stage.compare(systems, scenario) });
    }
    return measured;
  });
}

/** The CPU of each, as a table. */
export function showApart(measured) {
  const rows = measured.flatMap(({ scenario, results }) =>
    results.map(({ system, cpuPerEvent, objectCpuPerEvent, deliveredPerSecond }) => [
      `${scenario}, ${system}`,
      cpuPerEvent.toFixed(2),
      objectCpuPerEvent.toFixed(2),
      deliveredPerSecond.toFixed(0),
    ]),
  );
  return table(["Worker and objects apart", "Worker: CPU ms an event", "objects", "delivered/s"], rows);
}
