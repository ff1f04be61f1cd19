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

const { system, state, hooks, vars, port } = JSON.parse(process.argv[2]);

function baselineOptions() {
  const module = (file) => ({ type: /** @type {const} */ ("ESModule"), path: path.join(FOLDER, file) });
  const storage = {
    kvNamespaces: ["SUBSCRIPTIONS"],
    durableObjects: { WEBHOOKS: { className: "Webhook", useSQLite: true } },
  };
  return convertV4MiniflareOptions({
    name: system,
    rootPath: FOLDER,
    modulesRoot: FOLDER,
    modules: [module(`${system}.js`), module("signing.js")],
    compatibilityDate: "2026-10-01",
    bindings: { TOKEN },
    ...(system === "textbook" ? storage : {}),
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

// workerd is this process's only child.
function workerdOf(parent) {
  const children = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/stat`, "latin1").split(") ")[1].split(" ")[1] === String(parent);
      } catch {
        return false;
      }
    });
  return Number(children.at(-1));
}

const miniflare = new Miniflare(
  system === "relay" ? relayOptions({ vars: { ...VARS, ...vars }, hooks, state, port, onLog }) : baselineOptions(),
);
const { port: listening } = await miniflare.ready;
process.send({ port: Number(listening), workerd: workerdOf(process.pid), token: TOKEN });
const end = async () => {
  await miniflare.dispose();
  process.exit(0);
};
process.once("SIGTERM", end);
process.once("disconnect", end);
