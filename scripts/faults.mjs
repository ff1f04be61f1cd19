// The fault tests in their long form: many kills, a minute of overload. `npm run test:faults` runs this.
//
// `npm test` runs the short form of the same files. FAULTS_SEED repeats the random moments of an earlier run.
import { readdirSync } from "node:fs";
import path from "node:path";
import { ROOT, nodeProgram, run, runAsProgram, toolEnvironment } from "./programs.mjs";
import { build } from "./build.mjs";

const FOLDER = "tests/faults";
const SUFFIX = ".test.js";
// These measure time, so they run one at a time; the others mostly wait and run three at a time.
const ALONE = ["isolation", "overload"];

/** Runs the files of tests/faults, in their `long` or their `short` form. */
export async function runFaults(form) {
  const names = readdirSync(path.join(ROOT, FOLDER))
    .filter((name) => name.endsWith(SUFFIX))
    .map((name) => name.slice(0, -SUFFIX.length));
  await runFiles(form, 1, ALONE);
  await runFiles(
    form,
    3,
    names.filter((name) => !ALONE.includes(name)),
  );
}

function runFiles(form, concurrency, names) {
  const runner = ["--test", `--test-concurrency=${concurrency}`, "--test-force-exit", "--test-reporter=spec"];
  const files = names.map((name) => path.join(FOLDER, `${name}${SUFFIX}`));
  return run(nodeProgram(), [...runner, ...files], { env: toolEnvironment({ FAULTS: form }) });
}

await runAsProgram(import.meta.url, async () => {
  await build("release");
  await build("test-hooks");
  await runFaults("long");
});
