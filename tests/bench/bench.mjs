// `npm run bench`: the relay and two baselines on the same runtime, on this machine, in one run.
//
// The figures depend on the machine; the ratios to the baselines of the same run are what counts. Takes about two
// minutes after the build. Prints tables and writes bench.json. `npm run bench -- "32 producers"` runs the scenarios
// with that text in their name; `bill` and `retries` are names too.
import { build } from "../../scripts/build.mjs";
import { nodeProgram, run, runAsProgram } from "../../scripts/programs.mjs";

await runAsProgram(import.meta.url, async () => {
  await build("release");
  await build("test-hooks");
  // With the Node and the packages that the build installed.
  await run(nodeProgram(), ["tests/bench/run.mjs", ...process.argv.slice(2)]);
});
