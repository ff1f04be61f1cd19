// Starts other programs for the scripts: with the project's own tools first in PATH, and leaving none running.
//
// Uses only Node's own modules, as the scripts run before anything is installed. Each program leads its own process
// group, because one signal must also reach what it started (wrangler starts workerd, cargo starts rustc).
import { spawn } from "node:child_process";
import { existsSync, realpathSync } from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

export const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "..");
export const TOOLS = path.join(ROOT, ".tools");
export const PACKAGE_PROGRAMS = path.join(ROOT, "node_modules/.bin");

// wrangler and miniflare refuse to run on an older one.
const WRANGLER_NODE = [22, 12];
const SIGNALS = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 };
const END_TIMEOUT_MS = 5_000;

const groups = new Set();

/** An error that a person can act on: shown without a stack. */
export class Failure extends Error {}

/** The pinned Node; if it has no package for this machine, the one that runs this script, if that is new enough. */
export function nodeProgram() {
  const pinned = path.join(PACKAGE_PROGRAMS, "node");
  if (existsSync(pinned)) return pinned;
  const [major, minor] = process.versions.node.split(".").map(Number);
  if (major > WRANGLER_NODE[0] || (major === WRANGLER_NODE[0] && minor >= WRANGLER_NODE[1])) return process.execPath;
  throw new Failure(
    `Node ${process.versions.node} is too old for wrangler, and no package of Node is pinned for ` +
      `${process.platform}-${process.arch}. Install Node ${WRANGLER_NODE.join(".")} or later.`,
  );
}

/** The environment of every program of the build: the pinned tools in PATH, and no prompts or telemetry. */
export function toolEnvironment(extra = {}) {
  return {
    ...process.env,
    PATH: [PACKAGE_PROGRAMS, path.join(TOOLS, "bin"), process.env.PATH].join(path.delimiter),
    WASM_BINDGEN_BIN: path.join(TOOLS, "bin/wasm-bindgen"),
    WASM_OPT_BIN: path.join(PACKAGE_PROGRAMS, "wasm-opt"),
    ESBUILD_BIN: path.join(PACKAGE_PROGRAMS, "esbuild"),
    WRANGLER_SEND_METRICS: "false",
    WRANGLER_SEND_ERROR_REPORTS: "false",
    WRANGLER_HIDE_BANNER: "true",
    WRANGLER_WRITE_LOGS: "false",
    // Otherwise wrangler downloads a sample of the `cf` object.
    CLOUDFLARE_CF_FETCH_ENABLED: "false",
    ...extra,
  };
}

/** Runs a program to its end and shows its output unchanged; an exit code that is not among `codes` is a failure. */
export async function run(program, args, { env = toolEnvironment(), codes = [0] } = {}) {
  const { code, signal, error } = await start(program, args, env, "inherit").ended;
  if (error) throw new Failure(`cannot start ${program}: ${error.message}`);
  if (!codes.includes(code))
    throw new Failure(`failed (${signal ?? `exit code ${code}`}): ${[path.basename(program), ...args].join(" ")}`);
}

/**
 * Runs a program to its end and returns its exit code and all that it printed; `onLine` sees each line at once.
 * @param {string} program
 * @param {(string | number)[]} args
 * @param {{ env?: NodeJS.ProcessEnv, onLine?: (line: string) => void }} [options]
 */
export async function capture(program, args, { env = toolEnvironment(), onLine = () => {} } = {}) {
  const { child, ended } = start(program, args, env, "pipe");
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text) => {
      output += text;
      onLine(text.trimEnd().split("\n").at(-1).trim());
    });
  }
  const { code, error } = await ended;
  return error ? { code: -1, output: error.message } : { code, output };
}

/** Starts a program that should run until everything ends; the promise rejects if it ends by itself. */
export async function keepRunning(name, program, args, { env = toolEnvironment() } = {}) {
  const { code, signal, error } = await start(program, args, env, "inherit").ended;
  throw new Failure(`${name} ended by itself (${error?.message ?? signal ?? `exit code ${code}`})`);
}

function start(program, args, env, output) {
  const child = spawn(program, args.map(String), { cwd: ROOT, env, detached: true, stdio: ["ignore", output, output] });
  if (child.pid !== undefined) groups.add(child.pid);
  const ended = new Promise((resolve) => {
    child.on("error", (error) => resolve({ error }));
    child.on("close", (code, signal) => {
      // The rest of the group has lost its leader.
      if (child.pid !== undefined) signalGroup(child.pid, "SIGKILL");
      groups.delete(child.pid);
      resolve({ code, signal });
    });
  });
  return { child, ended };
}

// Returns whether the group still had a member.
function signalGroup(leader, signal) {
  try {
    return process.kill(-leader, signal);
  } catch (error) {
    if (error.code === "ESRCH") return false;
    throw error;
  }
}

async function endPrograms() {
  const deadline = Date.now() + END_TIMEOUT_MS;
  for (const leader of groups) signalGroup(leader, "SIGTERM");
  while (groups.size > 0 && Date.now() < deadline) await sleep(20);
  for (const leader of groups) signalGroup(leader, "SIGKILL");
}

/**
 * Runs `main` if this file was started by hand. Its end, a failure or a signal ends every program that it started;
 * a Failure is shown as one message. `exitCodeOnSignal` is 0 if Ctrl-C is the ordinary way to end.
 * @param {string} moduleUrl
 * @param {() => Promise<void>} main
 * @param {{ exitCodeOnSignal?: number }} [options]
 */
export async function runAsProgram(moduleUrl, main, { exitCodeOnSignal } = {}) {
  if (process.argv[1] === undefined || realpathSync(process.argv[1]) !== fileURLToPath(moduleUrl)) return;
  // A terminal sends Ctrl-C to npm too, and npm passes it on, so a second signal arrives during the shutdown.
  let ending = false;
  const end = async (code) => {
    if (ending) return;
    ending = true;
    await endPrograms();
    process.exit(code);
  };
  for (const [signal, number] of Object.entries(SIGNALS))
    process.on(signal, () => end(exitCodeOnSignal ?? 128 + number));
  try {
    await main();
    await end(0);
  } catch (error) {
    if (!ending) console.error(error instanceof Failure ? `\nError: ${error.message}` : error);
    await end(1);
  }
}
