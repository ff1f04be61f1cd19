// `npm run bench`: the relay beside two baselines of its own kind, on this machine, in one run.
//
// Figures of one machine say little; the ratios to the baselines of the same run are what counts. Takes about two
// minutes after the build. Prints tables and writes bench.json. `npm run bench -- "32 producers"` runs the scenarios
// whose name has that text.
import { build } from "../../scripts/build.mjs";
import { nodeProgram, run, runAsProgram } from "../../scripts/programs.mjs";

await runAsProgram(import.meta.url, async () => {
  await build("release");
  await build("test-hooks");
  // With the Node and the packages that the build has put in place.
  await run(nodeProgram(), ["tests/bench/run.mjs", ...process.argv.slice(2)]);
});
