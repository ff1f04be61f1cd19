// The measurements of `npm run bench`, after bench.mjs has built everything.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { cpus, tmpdir } from "node:os";
import path from "node:path";
import { ROOT, runAsProgram } from "../../scripts/programs.mjs";
import { measureAgainst, showAgainst } from "./against.mjs";
import { measureApart, showApart } from "./apart.mjs";
import { PRICES, usageOf } from "./bill.mjs";
import { measureDrains, showDrains } from "./drains.mjs";
import { measureLarge } from "./large.mjs";
import { Stage } from "./measure.mjs";
import { startProcess } from "./processes.mjs";
import { measureRetries } from "./retries.mjs";
import { mergeRounds } from "./rounds.mjs";
import { BILLED, SCENARIOS, SPARSE } from "./scenarios.mjs";
import { bundleSize, measureStartUp, showBundle } from "./startup.mjs";
import { startSystem } from "./systems.mjs";
import { showBill, showLarge, showRetries, showScenarios } from "./table.mjs";

const SYSTEMS = ["forwarder", "skeleton", "relay", "textbook"];
const BASELINES = ["forwarder", "skeleton", "textbook"];
const progress = (line) => console.error(`[bench] ${line}`);

/** Runs `work`, then the clean-up steps that it registered, last first. */
async function withCleanUp(work) {
  const undo = [];
  try {
    return await work((step) => undo.push(step));
  } finally {
    for (const step of undo.reverse()) await step();
  }
}

async function makeState(later) {
  const state = await mkdtemp(path.join(tmpdir(), "relay-bench-"));
  later(() => rm(state, { recursive: true, force: true }));
  return state;
}

async function measureScenarios(stage, wanted, rounds) {
  return withCleanUp(async (later) => {
    const systems = {};
    for (const system of SYSTEMS) {
      const running = await startSystem(system, await makeState(later));
      later(() => running.stop("SIGKILL"));
      await stage.warmUp(running);
      systems[system] = running;
    }
    const measured = [];
    const isWanted = ({ name }) => (wanted === "" ? name !== SPARSE : name.includes(wanted));
    for (const scenario of SCENARIOS.filter(isWanted)) {
      const compared = [];
      for (let round = 1; round <= rounds; round++) {
        progress(rounds === 1 ? scenario.name : `${scenario.name}, round ${round} of ${rounds}`);
        const results = await stage.compare(
          scenario.systems.map((system) => systems[system]),
          scenario,
        );
        compared.push(withRatios(results));
      }
      const results = scenario.systems.map((_, place) => mergeRounds(compared.map((round) => round[place])));
      measured.push({ scenario: scenario.name, results });
    }
    return measured;
  });
}

function withRatios(results) {
  const rateOf = (system) => results.find((result) => result.system === system)?.deliveredPerSecond;
  const ratio = (result, system) =>
    rateOf(system) === undefined ? undefined : result.deliveredPerSecond / rateOf(system);
  return results.map((result) => ({
    ...result,
    ratios: Object.fromEntries(BASELINES.map((system) => [system, ratio(result, system)])),
  }));
}

/** Counts what is billed; the relay's build with test hooks counts its rows, so its speed is not taken from here. */
async function countBilled(stage) {
  return withCleanUp(async (later) => {
    const billed = [];
    for (const system of ["relay", "textbook"]) {
      const running = await startSystem(system, await makeState(later), { hooks: true });
      later(() => running.stop("SIGKILL"));
      await stage.warmUp(running);
      for (const { name, ...run } of BILLED.filter(({ systems }) => systems.includes(system))) {
        progress(`what is billed: ${system}, ${name}`);
        const result = await stage.measure(running, {
          workspaces: 1,
          webhooks: 1,
          behaviour: "ok",
          counted: true,
          ...run,
        });
        billed.push({ name, system, counts: result.counts, usage: usageOf({ events: result.accepted, ...result }) });
      }
    }
    return billed;
  });
}

/** Compares with the build of another clone. */
async function compareWith(clone, wanted, rounds) {
  const compared = await withCleanUp(async (later) => {
    const receiver = await startProcess("receiver.mjs");
    later(() => receiver.stop());
    const load = await startProcess("load.mjs");
    later(() => load.stop());
    return measureAgainst({
      stage: new Stage(receiver, load),
      clone,
      wanted,
      rounds,
      makeState,
      withCleanUp,
      progress,
    });
  });
  console.log(showAgainst(compared));
}

async function main() {
  if (process.argv[2] === "--against") {
    const [clone, wanted = "", rounds = "5"] = process.argv.slice(3);
    return compareWith(path.resolve(clone), wanted, Number(rounds));
  }
  const [wanted = "", rounds = "1"] = process.argv.slice(2);
  const began = Date.now();
  const figures = await withCleanUp(async (later) => {
    const receiver = await startProcess("receiver.mjs");
    later(() => receiver.stop());
    const load = await startProcess("load.mjs");
    later(() => load.stop());
    const stage = new Stage(receiver, load);
    if (wanted === "bill") return { billed: await countBilled(stage) };
    const retries = () => measureRetries(stage, () => makeState(later));
    if (wanted === "apart") return { apart: await measureApart({ stage, makeState, withCleanUp, progress }) };
    if (wanted === "drains") return { drains: await measureDrains({ stage, makeState, withCleanUp, progress }) };
    if (wanted === "retries") return { retries: await retries() };
    const scenarios = await measureScenarios(stage, wanted, Number(rounds));
    if (wanted !== "") return { scenarios };
    const billed = await countBilled(stage);
    progress("second attempts");
    const retried = await retries();
    progress("an object with 100,000 deliveries");
    const large = await measureLarge(stage, await makeState(later));
    return { scenarios, billed, retries: retried, large };
  });
  const [bundle, startUp] = [bundleSize(), await measureStartUp()];
  if (figures.scenarios) console.log(`\n${showScenarios(figures.scenarios)}\n`);
  if (figures.billed)
    console.log(`${showBill(figures.billed)}\nAt ${PRICES.source}, ${PRICES.date}; without a plan's included usage.\n`);
  if (figures.apart) console.log(`${showApart(figures.apart)}\n`);
  if (figures.drains) console.log(`${showDrains(figures.drains)}\n`);
  if (figures.retries) console.log(`${showRetries(figures.retries)}\n`);
  if (figures.large) console.log(`${showLarge(figures.large)}\n`);
  console.log(`${showBundle(bundle, startUp)}\nMeasured in ${((Date.now() - began) / 1000).toFixed(0)} s.`);
  const machine = { cpus: cpus().length, model: cpus()[0]?.model, node: process.version };
  await writeFile(
    path.join(ROOT, "bench.json"),
    `${JSON.stringify({ at: new Date().toISOString(), machine, bundle, startUp, ...figures }, null, 2)}\n`,
  );
}

await runAsProgram(import.meta.url, main);
