// The tests of faults in their long form: many kills, a minute of overload. `npm run test:faults` runs this.
//
// `npm test` runs the short form of the same files. FAULTS_SEED repeats the random moments of an earlier run.
import { nodeProgram, run, runAsProgram, toolEnvironment } from "./programs.mjs";
import { build } from "./build.mjs";

/** Runs the files of tests/faults one after the other: several measure time or memory. */
export function runFaults(form) {
  const runner = ["--test", "--test-concurrency=1", "--test-force-exit", "--test-reporter=spec"];
  return run(nodeProgram(), [...runner, "tests/faults/*.test.js"], { env: toolEnvironment({ FAULTS: form }) });
}

await runAsProgram(import.meta.url, async () => {
  await build("release");
  await build("test-hooks");
  await runFaults("long");
});
