// Miniflare's options for the built relay: the same bindings as wrangler.toml, on the built files.
//
// The files are listed one by one and not bundled, so a test runs the same bytes that a deployment uploads.
import { readFileSync } from "node:fs";
import { cp, mkdtemp, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
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

const bindLimits = (limits) => Object.fromEntries(Object.entries(limits).filter(([, limit]) => limit !== undefined));

function readCompatibilityDate() {
  const found = WRANGLER.match(/^compatibility_date = "([\d-]+)"$/m);
  if (!found) throw new Error('wrangler.toml has no line compatibility_date = "YYYY-MM-DD"');
  return found[1];
}

function readCompatibilityFlags() {
  const found = WRANGLER.match(/^compatibility_flags = (\[.*\])$/m);
  if (!found) throw new Error("wrangler.toml has no line compatibility_flags = [...]");
  return JSON.parse(found[1]);
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

// Prints what the platform shows of each invocation to whoever tails the relay: request, log and exceptions.
const TAIL = {
  name: "tail",
  compatibilityDate: readCompatibilityDate(),
  modules: true,
  script: `export default { tail(events) { for (const event of events) console.log("tail " + JSON.stringify(event, leave)); } };
    const leave = (name, value) => (name === "cf" ? undefined : value);`,
};

// Holds each invocation to the platform's limit of subrequests, which local workerd does not enforce.
function limitedEntry(root, limit) {
  const contents = `import { AsyncLocalStorage } from "node:async_hooks";
    import relay, { CatalogueObject, Sender as Hired, WebhookObject as Relayed, WorkspaceObject } from "./entry.js";
    const invocations = new AsyncLocalStorage();
    const limited = (call) => invocations.run({ made: 0 }, call);
    const { fetch } = globalThis;
    globalThis.fetch = async (...request) => {
      const invocation = invocations.getStore();
      if (invocation && ++invocation.made > ${limit}) throw new Error("Too many subrequests.");
      return fetch(...request);
    };
    export { CatalogueObject, WorkspaceObject };
    export class WebhookObject extends Relayed {
      obey(command) { return limited(() => super.obey(command)); }
      obeyAll(commands) { return limited(() => super.obeyAll(commands)); }
      alarm() { return limited(() => super.alarm()); }
    }
    export class Sender extends Hired {
      fetch(request) { return limited(() => super.fetch(request)); }
    }
    export default { fetch: (...call) => limited(() => relay.fetch(...call)) };`;
  return { type: /** @type {const} */ ("ESModule"), path: path.join(root, "src/limited.js"), contents };
}

// Stands for the platform's jurisdictions, which local workerd refuses: an object is reached in `place` or not at all.
function jurisdictionEntry(root, place) {
  const contents = `import relay, { CatalogueObject as Listed, Sender as Hired, WebhookObject as Relayed, WorkspaceObject as Kept } from "./entry.js";
    const only = (namespace) => ({
      jurisdiction(wanted) {
        if (wanted !== "${place}") throw new Error("an object was called in " + wanted);
        return namespace;
      },
      getByName() { throw new Error("an object was called without a jurisdiction"); },
    });
    const located = (env) => ({
      ...env,
      CATALOGUE: only(env.CATALOGUE),
      WEBHOOKS: only(env.WEBHOOKS),
      WORKSPACES: only(env.WORKSPACES),
    });
    export class CatalogueObject extends Listed {
      constructor(state, env) { super(state, located(env)); }
    }
    export class WorkspaceObject extends Kept {
      constructor(state, env) { super(state, located(env)); }
    }
    export class WebhookObject extends Relayed {
      constructor(state, env) { super(state, located(env)); }
    }
    export class Sender extends Hired {
      constructor(context, env) { super(context, located(env)); }
    }
    export default { fetch: (request, env, context) => relay.fetch(request, located(env), context) };`;
  return { type: /** @type {const} */ ("ESModule"), path: path.join(root, "src/located.js"), contents };
}

const PREVIOUS_RELEASE = path.join(REPOSITORY, "tests/fixtures/release-0.1.0");
const CODE = "build/index_bg.wasm";

/** Unpacks the release before this one into a new temporary folder, and returns the folder. */
export async function unpackPreviousRelease() {
  const folder = await mkdtemp(path.join(tmpdir(), "relay-previous-"));
  for (const part of ["src", "build"])
    await cp(path.join(PREVIOUS_RELEASE, part), path.join(folder, part), { recursive: true });
  await writeFile(path.join(folder, CODE), gunzipSync(await readFile(path.join(PREVIOUS_RELEASE, `${CODE}.gz`))));
  return folder;
}

// The tests look for objects under this name, whichever version they are of.
const RELAY = "webhook-relay";
const OBJECT_CLASSES = { WORKSPACES: "WorkspaceObject", WEBHOOKS: "WebhookObject" };

/**
 * The bindings of the object classes: the script's own, or another one's.
 * @param {{ scriptName?: string }} [of]
 */
const bindObjects = (of = {}) =>
  Object.fromEntries(
    Object.entries(OBJECT_CLASSES).map(([name, className]) => [name, { className, useSQLite: true, ...of }]),
  );

// The release before has no such class: a Worker of this one always has that of its own script.
const CATALOGUE = { CATALOGUE: { className: "CatalogueObject", useSQLite: true } };
const catalogueOf = (version) => (version === "previous" ? {} : CATALOGUE);

/**
 * The options of one Miniflare. `state` is the folder of its storage, `onLog` receives each line it prints; `isolated`
 * answers each request of the Worker itself, so that none leaves; `outbound` is a function that does so; `dataset`
 * binds ATTEMPTS; `tail` prints what a tail sees; `limits` replaces rate limits of wrangler.toml, or adds or (undefined)
 * unbinds them. `versions` says of which version the Worker and the objects are, each then a script of its own;
 * `previous` is the folder of the unpacked release before this one.
 * @param {RelayOptions} options
 */
export function relayOptions({
  vars = {},
  hooks = false,
  isolated = false,
  outbound,
  dataset = false,
  tail = false,
  limits = {},
  subrequests,
  jurisdiction,
  versions,
  previous,
  port = 0,
  state,
  onLog,
}) {
  const current = hooks ? path.join(REPOSITORY, "build/test-hooks") : REPOSITORY;
  const module = (/** @type {"ESModule" | "CompiledWasm"} */ type, root, file) => ({
    type,
    path: path.join(root, file),
  });
  const script = (name, root, durableObjects) => ({
    name,
    rootPath: root,
    modulesRoot: root,
    modules: [
      ...(subrequests === undefined ? [] : [limitedEntry(root, subrequests)]),
      ...(jurisdiction === undefined ? [] : [jurisdictionEntry(root, jurisdiction)]),
      module("ESModule", root, "src/entry.js"),
      module("ESModule", root, "src/finalization.js"),
      module("ESModule", root, "build/index.js"),
      module("CompiledWasm", root, "build/index_bg.wasm"),
    ],
    compatibilityDate: readCompatibilityDate(),
    compatibilityFlags: readCompatibilityFlags(),
    bindings: { ...readWranglerVars(), ...TEST_VARS, OPERATOR_TOKEN, ...vars },
    kvNamespaces: ["SUBSCRIPTIONS"],
    ratelimits: bindLimits({ ...readRateLimits(), ...limits }),
    durableObjects,
    ...(isolated ? { outboundService: () => new Response("taken") } : {}),
    ...(outbound ? { outboundService: outbound } : {}),
    ...(dataset ? { serviceBindings: { ATTEMPTS: DATASET.name } } : {}),
    ...(tail ? { tails: [TAIL.name] } : {}),
  });
  const roots = { current, previous };
  // The first one gets the requests.
  const scripts = versions
    ? [
        script(`${RELAY}-worker`, roots[versions.worker], {
          ...bindObjects({ scriptName: RELAY }),
          ...catalogueOf(versions.worker),
        }),
        script(RELAY, roots[versions.objects], { ...bindObjects(), ...catalogueOf(versions.objects) }),
      ]
    : [script(RELAY, current, { ...bindObjects(), ...CATALOGUE })];
  return convertV4MiniflareOptions({
    workers: [...scripts, ...(dataset ? [DATASET] : []), ...(tail ? [TAIL] : [])],
    host: "127.0.0.1",
    port,
    // Otherwise Miniflare downloads a sample of the `cf` object.
    cf: false,
    // Not `defaultPersistRoot`, which the conversion drops silently.
    resourcePersistencePath: state,
    handleStructuredLogs: ({ level, message }) => onLog(`${level}: ${message}`),
  });
}
