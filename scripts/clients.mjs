// Generates the clients of the API from its OpenAPI document, if they are out of date: examples/relay.d.ts for
// TypeScript, and examples/relay_client, a Python package.
import { existsSync, statSync } from "node:fs";
import path from "node:path";
import {
  Failure,
  PACKAGE_PROGRAMS,
  ROOT,
  capture,
  nodeProgram,
  run,
  runAsProgram,
  toolEnvironment,
} from "./programs.mjs";
import { preparePython } from "./python.mjs";

const DOCUMENT = path.join(ROOT, "src/api/openapi.json");
const TYPES = path.join(ROOT, "examples/relay.d.ts");
const PACKAGE = path.join(ROOT, "examples/relay_client");

const isNewer = (file) => existsSync(file) && statSync(file).mtimeMs > statSync(DOCUMENT).mtimeMs;

/** The types of TypeScript, which the lint of scripts needs. */
export async function generateApiTypes() {
  if (isNewer(TYPES)) return;
  await run(nodeProgram(), [path.join(PACKAGE_PROGRAMS, "openapi-typescript"), DOCUMENT, "--output", TYPES]);
}

/** The Python package; fails if the generator leaves something of the document out. */
export async function generatePythonClient() {
  const programs = path.dirname(await preparePython());
  if (isNewer(path.join(PACKAGE, "__init__.py"))) return;
  const args = ["generate", "--path", DOCUMENT, "--meta", "none", "--output-path", PACKAGE, "--overwrite"];
  // The generator formats what it writes with a program of its own environment.
  const env = toolEnvironment({ PATH: `${programs}${path.delimiter}${process.env.PATH}` });
  const { code, output } = await capture(path.join(programs, "openapi-python-client"), args, { env });
  if (code !== 0 || /warning/i.test(output)) throw new Failure(`openapi-python-client did not do it all:\n${output}`);
}

await runAsProgram(import.meta.url, async () => {
  await generateApiTypes();
  await generatePythonClient();
});
