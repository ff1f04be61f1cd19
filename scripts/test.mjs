// Everything that must hold before a change is merged, in order, up to the first failure. `npm test` runs this.
import { nodeProgram, run, runAsProgram } from "./programs.mjs";
import { setUp, setUpChromium } from "./setup.mjs";
import { build } from "./build.mjs";
import { runFaults } from "./faults.mjs";
import { checkLicences } from "./licences.mjs";
import { preparePython } from "../tests/support/python.js";

const WASM_LIBRARY = ["--target", "wasm32-unknown-unknown", "--lib"];
const DENY_WARNINGS = ["--", "-D", "warnings"];
const TEST_TIMEOUT_MS = 180_000;

const STEPS = [
  ["set-up", setUp],
  ["Chromium", setUpChromium],
  ["Python for the customers' code", preparePython],
  ["format", () => run("cargo", ["fmt", "--check"])],
  ["lint", () => run("cargo", ["clippy", "--all-targets", ...DENY_WARNINGS])],
  ["lint wasm32", () => run("cargo", ["clippy", ...WASM_LIBRARY, ...DENY_WARNINGS])],
  [
    "lint wasm32, test hooks",
    () => run("cargo", ["clippy", ...WASM_LIBRARY, "--features", "test-hooks", ...DENY_WARNINGS]),
  ],
  ["cargo test", () => run("cargo", ["test"])],
  ["build", () => build("release")],
  ["build, test hooks", () => build("test-hooks")],
  ["licences", checkLicences],
  ["conformance", runConformance],
  ["end to end", runEndToEnd],
  ["browser", runInBrowser],
  ["faults, short form", () => runFaults("short")],
];

// Several files at once: most of the time they wait, for a retry to fall due or for KV's second between two writes.
// Forced to exit: a relay that a failed test left running must not keep its file waiting, which no time-out covers.
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

// The suite for webhook senders: first that it notices what it is for, then this relay, whose report is shown.
async function runConformance() {
  await run(nodeProgram(), [
    "--test",
    "--test-force-exit",
    `--test-timeout=${TEST_TIMEOUT_MS}`,
    "--test-reporter=dot",
    "tests/conformance/suite.test.js",
  ]);
  await run(nodeProgram(), ["tests/conformance/run.mjs", "tests/conformance/adapters/relay.mjs"]);
}

// Two files at once: a browser and a relay each want a core.
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

await runAsProgram(import.meta.url, async () => {
  for (const [name, step] of STEPS) {
    const began = Date.now();
    console.log(`\n[test] ${name} ...`);
    await step();
    console.log(`[test] ${name}: ${((Date.now() - began) / 1000).toFixed(1)} s`);
  }
});
