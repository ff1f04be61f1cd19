// A Python with the packages of tests/requirements.txt, for tests that run the customers' own verification code.
//
// It is in the tools' folder and made once; a change of the requirements rebuilds it.
import { existsSync, readFileSync } from "node:fs";
import { rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { Failure, ROOT, TOOLS, capture } from "./programs.mjs";

const FOLDER = path.join(TOOLS, "python");
const STAMP = path.join(FOLDER, "requirements.stamp");
const REQUIREMENTS = path.join(ROOT, "tests/requirements.txt");

/** Makes the environment if it does not exist yet, and returns the interpreter's path. */
export async function preparePython() {
  const interpreter = path.join(FOLDER, "bin/python");
  const wanted = readFileSync(REQUIREMENTS, "utf8");
  if (existsSync(STAMP) && readFileSync(STAMP, "utf8") === wanted) return interpreter;
  await rm(FOLDER, { recursive: true, force: true });
  await runPython(
    "python3",
    ["-m", "venv", FOLDER],
    "Python needs its venv module (Debian: apt-get install python3-venv).",
  );
  await runPython(
    interpreter,
    ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement", REQUIREMENTS],
    "pip could not install the packages. See that PyPI can be reached, then try again.",
  );
  await writeFile(STAMP, wanted);
  return interpreter;
}

async function runPython(program, args, advice) {
  const { code, output } = await capture(program, args);
  if (code !== 0) throw new Failure(`${output.trimEnd()}\n\n${program} ${args.join(" ")}\nfailed: ${advice}`);
}
