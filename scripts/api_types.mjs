// Generates examples/relay.d.ts, the TypeScript types of the API, from its OpenAPI document, if they are out of date.
import { existsSync, statSync } from "node:fs";
import path from "node:path";
import { PACKAGE_PROGRAMS, ROOT, nodeProgram, run, runAsProgram } from "./programs.mjs";

const DOCUMENT = path.join(ROOT, "src/api/openapi.json");
const TYPES = path.join(ROOT, "examples/relay.d.ts");

/** Does nothing if the types are newer than the document. */
export async function generateApiTypes() {
  if (existsSync(TYPES) && statSync(TYPES).mtimeMs > statSync(DOCUMENT).mtimeMs) return;
  await run(nodeProgram(), [path.join(PACKAGE_PROGRAMS, "openapi-typescript"), DOCUMENT, "--output", TYPES]);
}

await runAsProgram(import.meta.url, generateApiTypes);
