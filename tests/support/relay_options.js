// Miniflare's options for the built relay: the same bindings as wrangler.toml, on the built files.
//
// The files are listed one by one and not bundled, so a test runs the same bytes that a deployment uploads.
import { readFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { Response, convertV4MiniflareOptions } from "miniflare";

/** @import { RelayOptions } from "./types.d.ts" */

export const REPOSITORY = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../..");
export const OPERATOR_TOKEN = "test-operator-token-0123456789abcdef0123456789abcdef";

// Short enough for a test to see a whole schedule; `vars` of a test overrides them.
const TEST_VARS = {
  ALLOW_PRIVATE_ENDPOINTS: "true",
  RETRY_SCHEDULE: "200ms,400ms,600ms,800ms,1s",
  ATTEMPT_TIMEOUT: "1s",
};

const WRANGLER = readFileSync(path.join(REPOSITORY, "wrangler.toml"), "utf8");

// Reads only the form that wrangler.toml uses (NAME = "text"), and throws on any other instead of guessing.
function readWranglerVars() {
  const section = WRANGLER.split(/^\[vars\]$/m)[1]?.split(/^\[/m)[0];
  if (section === undefined) throw new Error("wrangler.toml has no [vars] section");
  const lines = section.split("\n").filter((line) => line.trim() !== "" && !line.startsWith("#"));
  return Object.fromEntries(
    lines.map((line) => {
      const found = line.match(/^([A-Z_]+) = "([^"\\]*)"$/);
      if (!found) throw new Error(`wrangler.toml, [vars]: expected NAME = "text", found: ${line}`);
      return [found[1], found[2]];
    }),
  );
}

function readRateLimits() {
  const form =
    /^\[\[ratelimits\]\]\nname = "(\w+)"\nnamespace_id = "(\d+)"\nsimple = \{ limit = (\d+), period = (\d+) \}$/gm;
  return Object.fromEntries(
    [...WRANGLER.matchAll(form)].map(([, name, namespace_id, limit, period]) => [
      name,
      { namespace_id, simple: { limit: Number(limit), period: /** @type {10 | 60} */ (Number(period)) } },
    ]),
  );
}

function readCompatibilityDate() {
  const found = WRANGLER.match(/^compatibility_date = "([\d-]+)"$/m);
  if (!found) throw new Error('wrangler.toml has no line compatibility_date = "YYYY-MM-DD"');
  return found[1];
}

// Replaces an Analytics Engine dataset, which Miniflare lacks: it has the same method and prints each data point.
const DATASET = {
  name: "dataset",
  compatibilityDate: readCompatibilityDate(),
  modules: true,
  script: `import { WorkerEntrypoint } from "cloudflare:workers";
    export default class extends WorkerEntrypoint {
      writeDataPoint(point) { console.log("data point " + JSON.stringify(point)); }
    }`,
};

/**
 * The options of one Miniflare. `state` is the folder of its storage, `onLog` receives each line it prints; `isolated`
 * answers each request of the Worker itself, so that none leaves; `outbound` is a function that does so; `dataset`
 * binds ATTEMPTS.
 * @param {RelayOptions} options
 */
export function relayOptions({
  vars = {},
  hooks = false,
  isolated = false,
  outbound,
  dataset = false,
  port = 0,
  state,
  onLog,
}) {
  const root = hooks ? path.join(REPOSITORY, "build/test-hooks") : REPOSITORY;
  const module = (/** @type {"ESModule" | "CompiledWasm"} */ type, file) => ({ type, path: path.join(root, file) });
  const relay = {
    name: "webhook-relay",
    rootPath: root,
    modulesRoot: root,
    modules: [
      module("ESModule", "src/entry.js"),
      module("ESModule", "src/finalization.js"),
      module("ESModule", "build/index.js"),
      module("CompiledWasm", "build/index_bg.wasm"),
    ],
    compatibilityDate: readCompatibilityDate(),
    bindings: { ...readWranglerVars(), ...TEST_VARS, OPERATOR_TOKEN, ...vars },
    kvNamespaces: ["SUBSCRIPTIONS"],
    ratelimits: readRateLimits(),
    durableObjects: {
      WORKSPACES: { className: "WorkspaceObject", useSQLite: true },
      WEBHOOKS: { className: "WebhookObject", useSQLite: true },
    },
    ...(isolated ? { outboundService: () => new Response("taken") } : {}),
    ...(outbound ? { outboundService: outbound } : {}),
    ...(dataset ? { serviceBindings: { ATTEMPTS: DATASET.name } } : {}),
  };
  return convertV4MiniflareOptions({
    workers: dataset ? [relay, DATASET] : [relay],
    host: "127.0.0.1",
    port,
    // Otherwise Miniflare downloads a sample of the `cf` object.
    cf: false,
    // Not `defaultPersistRoot`, which the conversion drops silently.
    resourcePersistencePath: state,
    handleStructuredLogs: ({ level, message }) => onLog(`${level}: ${message}`),
  });
}
