// Everything that must hold before a change is merged, in order, up to the first failure. `npm test` runs this.
import path from "node:path";
import { build } from "./build.mjs";
import { LINTS, NATIVE_TESTS } from "./check.mjs";
import { generatePythonClient } from "./clients.mjs";
import { runFaults } from "./faults.mjs";
import { checkLicences } from "./licences.mjs";
import { ROOT, nodeProgram, run, runAsProgram, toolEnvironment } from "./programs.mjs";
import { setUpChromium } from "./setup.mjs";
import { runSteps, runTogether } from "./steps.mjs";

const TEST_TIMEOUT_MS = 180_000;
const REPLAY = ["test", "--features", "test-hooks", "--test", "replay"];

// An optimised build links on one core.
const BUILDS = [
  ["build", () => build("release")],
  ["build, test hooks", () => build("test-hooks")],
];
const NATIVE = [NATIVE_TESTS, ["build of the replay", () => run("cargo", [...REPLAY, "--no-run"])]];

const STEPS = [
  ...LINTS,
  ["Chromium", setUpChromium],
  ["Python for the customers' code, and the API's client in it", generatePythonClient],
  ["builds and native tests", () => runTogether("test", [BUILDS, NATIVE])],
  ["licences", checkLicences],
  ["conformance", runConformance],
  ["end to end", runEndToEnd],
  ["replay of its recordings", replay],
  ["browser", runInBrowser],
  ["faults, short form", () => runFaults("short")],
];

// Several files at once: they mostly wait, for a retry to fall due or for KV's second between two writes. With more than
// four, two cores have no time to spare, and attempts take longer than the second that the tests allow them.
// Forced to exit: a relay that a failed test left running must not keep its file from ending; no timeout covers that.
function runEndToEnd() {
  const runner = [
    "--test",
    "--test-concurrency=4",
    "--test-force-exit",
    `--test-timeout=${TEST_TIMEOUT_MS}`,
    "--test-reporter=spec",
  ];
  return run(nodeProgram(), [...runner, "tests/e2e/*.test.js"]);
}

// What machines did in workerd, done again natively.
function replay() {
  const env = toolEnvironment({ RECORDINGS: path.join(ROOT, "target/recordings") });
  return run("cargo", REPLAY, { env });
}

// The suite for webhook senders: first its own tests, then this relay, whose report is shown.
async function runConformance() {
  await run(nodeProgram(), [
    "--test",
    "--test-force-exit",
    `--test-timeout=${TEST_TIMEOUT_MS}`,
    "--test-reporter=dot",
    "tests/conformance/suite.test.js",
  ]);
  const relay = ["tests/conformance/run.mjs", "tests/conformance/adapters/relay.mjs"];
  await run(nodeProgram(), relay);
  // The promises do not depend on whose product it is.
  await run(nodeProgram(), relay, { env: toolEnvironment({ BRAND: "another" }) });
}

// Two files at once: a browser and a relay each need a core.
function runInBrowser() {
  const runner = [
    "--test",
    "--test-concurrency=2",
    "--test-force-exit",
    `--test-timeout=${TEST_TIMEOUT_MS}`,
    "--test-reporter=spec",
  ];
  return run(nodeProgram(), [...runner, "tests/browser/*.test.js"]);
}

await runAsProgram(import.meta.url, () => runSteps("test", STEPS));
