// The cost of the relay's size: `npm run bench:startup` prints the size of its files and what they add to a start.
//
// Each run starts a workerd with the relay or with a Worker of a few lines under the same bindings, and waits for its
// first answer. The difference is the relay's own: reading and compiling its files, making the instance, answering the
// request. Without miniflare, whose own start takes several times as long and varies more.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import path from "node:path";
import { gzipSync } from "node:zlib";
import { ROOT, runAsProgram } from "../../scripts/programs.mjs";
import { relayOptions } from "../support/relay_options.js";

const RUNS = 15;
const LISTENS_TIMEOUT_MS = 10_000;
// miniflare's workerd, wherever npm has installed it.
const { default: WORKERD } = createRequire(createRequire(import.meta.url).resolve("miniflare"))("workerd");

const FILES = {
  "src/entry.js": "esModule",
  "src/finalization.js": "esModule",
  "build/index.js": "esModule",
  "build/index_bg.wasm": "wasm",
};
// A date of compatibility after 2026-08-04 has these on.
const WITHOUT_NODE = ["no_nodejs_compat", "no_nodejs_compat_v2"];
const TRIVIAL = `import { DurableObject } from "cloudflare:workers";
export class WorkspaceObject extends DurableObject {}
export class WebhookObject extends DurableObject {}
export class CatalogueObject extends DurableObject {}
export default { fetch: () => new Response("ok") };
`;

/** Bytes of the Worker's files, each gzipped. */
export function bundleSize() {
  const files = Object.keys(FILES).map((name) => path.join(ROOT, name));
  const gzipped = files.map((file) => gzipSync(readFileSync(file), { level: 9 }).length);
  return gzipped.reduce((sum, bytes) => sum + bytes, 0);
}

/**
 * Median milliseconds that the relay adds to a start, until workerd listens and until the first answer, and what of it
 * Node's modules take, which the relay does not use.
 */
export async function measureStartUp() {
  const folder = await mkdtemp(path.join(tmpdir(), "relay-startup-"));
  try {
    const trivial = path.join(folder, "trivial.js");
    await writeFile(trivial, TRIVIAL);
    const relayModules = Object.entries(FILES).map(([name, type]) => ({ name, type, file: path.join(ROOT, name) }));
    const configs = {
      relay: configOf(relayModules),
      withoutNode: configOf(relayModules, WITHOUT_NODE),
      trivial: configOf([{ name: "trivial.js", type: "esModule", file: trivial }]),
    };
    const runs = { relay: [], withoutNode: [], trivial: [] };
    for (const [name, config] of Object.entries(configs)) await writeFile(path.join(folder, `${name}.capnp`), config);
    // In turn, so that other load affects all equally. The first ones load the files into memory.
    for (let run = 0; run <= RUNS; run++) {
      for (const [name, times] of Object.entries(runs)) {
        const time = await startOnce(path.join(folder, `${name}.capnp`));
        if (run > 0) times.push(time);
      }
    }
    const added = (time, to = runs.trivial) => median(runs.relay.map(time)) - median(to.map(time));
    const wholeTime = ({ listens, answers }) => listens + answers;
    return {
      listens: added(({ listens }) => listens),
      answers: added(({ answers }) => answers),
      whole: added(wholeTime),
      node: added(wholeTime, runs.withoutNode),
    };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

// The relay's own settings and objects; /healthz does not use its other bindings.
function configOf(modules, flags = []) {
  const [{ config }] = relayOptions({}).workers;
  const text = JSON.stringify;
  const bindings = Object.entries(config.env).flatMap(([name, { type, value, exportName }]) => {
    if (type === "text") return [`(name = ${text(name)}, text = ${text(value)})`];
    if (type === "durable-object") return [`(name = ${text(name)}, durableObjectNamespace = ${text(exportName)})`];
    return [];
  });
  const objects = Object.keys(config.exports).map(
    (name) => `(className = "${name}", uniqueKey = "${name}", enableSql = true)`,
  );
  return `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [(name = "main", worker = .worker)],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")],
);
const worker :Workerd.Worker = (
  modules = [${modules.map(({ name, type, file }) => `(name = ${text(name)}, ${type} = embed ${text(file)})`).join(", ")}],
  compatibilityDate = ${text(config.compatibilityDate)},
  compatibilityFlags = [${flags.map((flag) => text(flag)).join(", ")}],
  bindings = [${bindings.join(", ")}],
  durableObjectNamespaces = [${objects.join(", ")}],
  durableObjectStorage = (inMemory = void),
);
`;
}

async function startOnce(config) {
  const began = performance.now();
  const workerd = spawn(WORKERD, ["serve", "--import-path=/", "--control-fd=3", config], {
    stdio: ["ignore", "inherit", "inherit", "pipe"],
  });
  const ended = once(workerd, "exit");
  try {
    const [line] = await once(workerd.stdio[3], "data", { signal: AbortSignal.timeout(LISTENS_TIMEOUT_MS) });
    const { port } = JSON.parse(line);
    const listening = performance.now();
    const answer = await fetch(`http://127.0.0.1:${port}/healthz`);
    await answer.arrayBuffer();
    if (!answer.ok) throw new Error(`/healthz answered ${answer.status}`);
    return { listens: listening - began, answers: performance.now() - listening };
  } finally {
    workerd.kill("SIGKILL");
    await ended;
  }
}

function median(values) {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
}

/** The figures in sentences. */
export function showBundle(size, { listens, answers, whole, node }) {
  const parts = `${listens.toFixed(1)} ms until workerd listens, ${answers.toFixed(1)} ms to the first answer`;
  return `The Worker's files gzipped: ${(size / 1000).toFixed(0)} kB. They add ${whole.toFixed(1)} ms to a start: ${parts}. Of it, nodejs_compat: ${node.toFixed(1)} ms.`;
}

await runAsProgram(import.meta.url, async () => console.log(showBundle(bundleSize(), await measureStartUp())));
