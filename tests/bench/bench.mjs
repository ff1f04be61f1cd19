// `npm run bench`: the relay and three baselines on the same runtime, on this machine, in one run.
//
// The figures depend on the machine; the ratios to the baselines of the same run are what counts. Takes about two
// minutes after the build. Prints tables and writes bench.json. `npm run bench -- "32 producers"` runs the scenarios
// with that text in their name, and `npm run bench -- "32 producers" 5` the medians of five rounds; `bill`, `retries`,
// `apart`, `drains` and `sparse` are names too.
//
// `npm run bench:against -- FOLDER "32 producers" 7` compares with the build of another clone, by turns in 7 rounds.
import path from "node:path";
import { build } from "../../scripts/build.mjs";
import { nodeProgram, run, runAsProgram } from "../../scripts/programs.mjs";

await runAsProgram(import.meta.url, async () => {
  await build("release");
  await build("test-hooks");
  const [option, folder] = process.argv.slice(2);
  if (option === "--against")
    for (const variant of [[], ["--test-hooks"]])
      await run(nodeProgram(), [path.join(path.resolve(folder), "scripts/build.mjs"), ...variant]);
  // With the Node and the packages that the build installed.
  await run(nodeProgram(), ["tests/bench/run.mjs", ...process.argv.slice(2)]);
});
