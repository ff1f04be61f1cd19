// The quick loop: formats, lints, types and native tests, in order, up to the first failure. `npm run check` runs this,
// and `npm test` begins with it.
import { generateApiTypes } from "./clients.mjs";
import { nodeProgram, PACKAGE_PROGRAMS, run, runAsProgram, toolEnvironment } from "./programs.mjs";
import { setUp } from "./setup.mjs";
import { runSteps } from "./steps.mjs";

const WASM_LIBRARY = ["--target", "wasm32-unknown-unknown", "--lib"];
const DENY_WARNINGS = ["--", "-D", "warnings"];

/** The steps without the native tests: pairs of a name and a function. */
export const LINTS = [
  ["set-up", () => setUp({ toBuild: false })],
  ["format", () => run("cargo", ["fmt", "--check"])],
  ["format and lint of JavaScript", () => run("biome", ["check", "--error-on-warnings"])],
  ["types of JavaScript", checkTypes],
  ["lint of the OpenAPI document", lintDocument],
  ["lint", () => run("cargo", ["clippy", "--all-targets", ...DENY_WARNINGS])],
  ["lint wasm32", () => run("cargo", ["clippy", ...WASM_LIBRARY, ...DENY_WARNINGS])],
  [
    "lint wasm32, test hooks",
    () => run("cargo", ["clippy", ...WASM_LIBRARY, "--features", "test-hooks", ...DENY_WARNINGS]),
  ],
];

/** The native tests. */
export const NATIVE_TESTS = ["cargo test", () => run("cargo", ["test", "--quiet"])];

// Without the network: it would send what it was called with to its maker, and ask for a newer version.
function lintDocument() {
  const env = toolEnvironment({ REDOCLY_TELEMETRY: "off", REDOCLY_SUPPRESS_UPDATE_NOTICE: "true" });
  return run("redocly", ["lint", "--extends", "recommended-strict", "src/api/openapi.json"], { env });
}

async function checkTypes() {
  await generateApiTypes();
  for (const project of ["tsconfig.json", "tsconfig.entry.json"])
    await run(nodeProgram(), [`${PACKAGE_PROGRAMS}/tsc`, "--project", project]);
}

await runAsProgram(import.meta.url, () => runSteps("check", [...LINTS, NATIVE_TESTS]));
