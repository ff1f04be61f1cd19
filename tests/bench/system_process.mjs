// One system of a benchmark in its own process, which systems.mjs starts.
//
// The relay's built Worker or a baseline, in workerd through miniflare. Its storage is a folder on disk.
import { readFileSync, readdirSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { Miniflare, convertV4MiniflareOptions } from "miniflare";
import { relayOptions } from "../support/relay_options.js";

const FOLDER = path.dirname(fileURLToPath(import.meta.url));
const TOKEN = "bench-token-0123456789abcdef0123456789abcdef";
// The settings of wrangler.toml that the tests shorten, and loopback endpoints.
const VARS = {
  SUBREQUESTS: "10000",
  ATTEMPT_TIMEOUT: "10s",
  RETRY_SCHEDULE: "1m,5m,30m,2h,8h",
  ALLOW_PRIVATE_ENDPOINTS: "true",
};

const { system, state, hooks, vars, port, apart } = JSON.parse(process.argv[2]);

const OBJECTS = { WEBHOOKS: { className: "Webhook", useSQLite: true } };
const REGISTRY = path.join(state, "registry");

/** A baseline, and as a second script its Worker with the objects of the first. */
function baselineOptions() {
  const module = (file) => ({ type: /** @type {const} */ ("ESModule"), path: path.join(FOLDER, file) });
  const shared = module("../../src/runtime/platform/shared_calls.js");
  const script = (name, durableObjects) => ({
    name,
    rootPath: FOLDER,
    modulesRoot: path.join(FOLDER, "../.."),
    modules: [module(`${system}.js`), module("signing.js"), ...(system === "skeleton" ? [shared] : [])],
    compatibilityDate: "2026-10-01",
    bindings: { TOKEN },
    ...(system === "forwarder" ? {} : { kvNamespaces: ["SUBSCRIPTIONS"], durableObjects }),
  });
  const ofSystem = { WEBHOOKS: { ...OBJECTS.WEBHOOKS, scriptName: system } };
  return convertV4MiniflareOptions({
    workers: [...(apart ? [script(`${system}-worker`, ofSystem)] : []), script(system, OBJECTS)],
    host: "127.0.0.1",
    port,
    cf: false,
    resourcePersistencePath: state,
    handleStructuredLogs: ({ level, message }) => onLog(`${level}: ${message}`),
  });
}

// Warnings come from workerd itself, about alarms that are a few milliseconds late.
function onLog(line) {
  if (line.startsWith("error")) console.error(`[${system}] ${line}`);
}

function relay() {
  const versions = apart ? /** @type {const} */ ({ worker: "current", objects: "current" }) : undefined;
  return relayOptions({ vars: { ...VARS, ...vars }, hooks, state, port, versions, onLog });
}

// The children of this process are workerds.
const workerds = () =>
  readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/stat`, "latin1").split(") ")[1].split(" ")[1] === String(process.pid);
      } catch {
        return false;
      }
    })
    .map(Number);

const started = [];

/** Starts workerd with some of the scripts; returns its port and its process. */
async function start(options) {
  const before = workerds();
  const miniflare = new Miniflare(options);
  started.push(miniflare);
  const { port: listening } = await miniflare.ready;
  return { port: Number(listening), workerd: workerds().find((pid) => !before.includes(pid)) };
}

/** Starts the Worker in a workerd, and before it the objects in one of their own if they are apart. */
async function startAll() {
  const options = system === "relay" ? relay() : baselineOptions();
  if (!apart) return start(options);
  const part = (workers, folder) => ({
    ...options,
    workers,
    resourcePersistencePath: path.join(state, folder),
    enableDevRegistry: true,
    unsafeDevRegistryPath: REGISTRY,
  });
  const [worker, ...objects] = options.workers;
  const { workerd } = await start(part(objects, "objects"));
  return { ...(await start(part([worker], "worker"))), objects: workerd };
}

// In production the Worker reads what the objects have put.
async function copyKv() {
  const [objects, worker] = await Promise.all(started.map((miniflare) => miniflare.getKVNamespace("SUBSCRIPTIONS")));
  for (let cursor; ; ) {
    const page = await objects.list({ cursor });
    for (const { name, metadata } of page.keys) await worker.put(name, await objects.get(name), { metadata });
    if (page.list_complete) return;
    cursor = page.cursor;
  }
}

process.send({ ...(await startAll()), token: TOKEN });
process.on("message", async () => {
  await copyKv();
  process.send({ copied: true });
});
const end = async () => {
  for (const miniflare of started) await miniflare.dispose();
  process.exit(0);
};
process.once("SIGTERM", end);
process.once("disconnect", end);
