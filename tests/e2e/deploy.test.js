// What a deployment would upload, as wrangler itself lists it, without uploading anything.
import assert from "node:assert/strict";
import { mkdtemp, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { unstable_readConfig as readConfig } from "wrangler";
import { PACKAGE_PROGRAMS, ROOT, capture } from "../../scripts/programs.mjs";
import { startRelay } from "../support/relay.js";
import { relayOptions } from "../support/relay_options.js";

// The defaults that the HTTP contract promises.
const SETTINGS = {
  RETRY_SCHEDULE: "1m,5m,30m,2h,8h",
  ATTEMPT_TIMEOUT: "10s",
  RETENTION_DAYS: "30",
  DISABLE_AFTER: "5d",
  ALLOW_PRIVATE_ENDPOINTS: "false",
  MAX_LEASES: "50",
  MAX_BACKLOG: "100000",
  MAX_STORAGE: "8GB",
  SUBREQUESTS: "50",
  LOG_ATTEMPTS: "all",
  PUBLIC_ORIGIN: "",
  OWN_HOSTS: "",
  JURISDICTION: "",
  REQUIRE_ENCRYPTION: "false",
  PRODUCT_NAME: "Secureagentics",
  HEADER_PREFIX: "X-Secureagentics",
  STANDARD_HEADERS: "webhook",
  ACCENT_COLOR: "#4338ca",
  LOGO: "",
  SUPPORT_URL: "",
};
// Part of every name that the cargo feature `test-hooks` adds.
const TEST_HOOK = "x-test-hook";

// The names of the deployed Workers.
const ENVIRONMENTS = { production: "webhook-relay", staging: "webhook-relay-staging" };
const argumentsFor = (environment) => (environment === "production" ? ["--env="] : ["--env", environment]);
const CONFIG = path.join(ROOT, "wrangler.toml");
// Copied because its objects have no prototype.
const configOf = (environment, config = CONFIG) =>
  structuredClone(
    readConfig({ config, env: environment === "production" ? undefined : environment }, { hideWarnings: true }),
  );

let folder;
const dryRuns = {};

before(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "relay-deploy-"));
  for (const environment of Object.keys(ENVIRONMENTS)) {
    const output = path.join(folder, environment);
    dryRuns[environment] = await runWrangler("deploy", "--dry-run", "--outdir", output, ...argumentsFor(environment));
  }
});

after(() => rm(folder, { recursive: true, force: true }));

const runWrangler = (...args) => capture(path.join(PACKAGE_PROGRAMS, "wrangler"), args);

/** A changed copy of wrangler.toml, in a folder without anything that wrangler could mistake for the project. */
async function changedConfig(change) {
  const file = path.join(await mkdtemp(path.join(folder, "config-")), "wrangler.toml");
  const text = await readFile(CONFIG, "utf8");
  const changed = change(text);
  assert.notEqual(changed, text, "the lines to change are there");
  await writeFile(file, changed);
  return file;
}

/** Removes the `# ` before the lines from `first` on, up to the next empty line. */
const uncomment = (first) => (text) => {
  const [before, rest] = text.split(`# ${first}\n`);
  const end = rest.indexOf("\n\n");
  return `${before}${first}\n${rest.slice(0, end).replaceAll(/^# /gm, "")}${rest.slice(end)}`;
};

for (const [environment, name] of Object.entries(ENVIRONMENTS)) {
  describe(`a deployment of ${environment}`, () => {
    test("passes as a dry run without a warning", () => {
      const { code, output } = dryRuns[environment];
      assert.equal(code, 0, output);
      assert.doesNotMatch(output, /WARNING/, output);
    });

    test("binds KV, the three object classes, both rate limits and every setting with its default", () => {
      const { output } = dryRuns[environment];
      const lists = (text) => assert.ok(output.includes(text), `no ${text} in:\n${output}`);
      lists("env.SUBSCRIPTIONS");
      lists("env.WORKSPACES (WorkspaceObject)");
      lists("env.WEBHOOKS (WebhookObject)");
      lists("env.CATALOGUE (CatalogueObject)");
      lists("env.FAILED_AUTHENTICATIONS (300 requests/60s)");
      lists("env.MANAGEMENT (600 requests/60s)");
      assert.ok(!output.includes("INGEST"), output);
      for (const [setting, value] of Object.entries(SETTINGS)) lists(`env.${setting} ("${value}")`);
    });

    test("creates the three classes with SQLite under its own name and keeps its logs", () => {
      const config = configOf(environment);
      assert.equal(config.name, name);
      assert.ok(config.compatibility_date >= "2026-10-01", config.compatibility_date);
      const classes = config.durable_objects.bindings.map((binding) => binding.class_name);
      assert.deepEqual(
        config.migrations.flatMap((migration) => migration.new_sqlite_classes ?? []).sort(),
        classes.sort(),
      );
      // A class that is added later has a migration of its own: those that were applied are never edited.
      assert.deepEqual(
        config.migrations.map(({ tag, new_sqlite_classes: made }) => [tag, made]),
        [
          ["v1", ["WorkspaceObject", "WebhookObject"]],
          ["v2", ["CatalogueObject"]],
        ],
      );
      assert.equal(config.observability.enabled, true);
    });

    test("reaches the operator's own zone from the outside only, as the tests do", () => {
      const flags = ["global_fetch_strictly_public"];
      assert.deepEqual(configOf(environment).compatibility_flags, flags);
      const state = path.join(folder, "state");
      const { workers } = relayOptions({ state, onLog: () => {} });
      for (const { config } of workers) assert.deepEqual(config.compatibilityFlags, flags);
    });

    test("stops without the operator's token, restarts objects as wrangler does by itself, and sets no limits", () => {
      const config = configOf(environment);
      assert.deepEqual(config.secrets, { required: ["OPERATOR_TOKEN"] });
      assert.deepEqual(config.durable_objects.code_update_strategy, { mode: "deferred", max_delay: 300 });
      // The free plan refuses any.
      assert.equal(config.limits, undefined);
    });

    test("has no test hooks", async () => {
      const output = path.join(folder, environment);
      const uploaded = await Promise.all((await readdir(output)).map((file) => readFile(path.join(output, file))));
      assert.ok(
        uploaded.some((bytes) => bytes.subarray(0, 4).equals(Buffer.from("\0asm"))),
        "the upload has a Wasm module",
      );
      for (const bytes of uploaded) assert.ok(!bytes.includes(TEST_HOOK));
      // The other build has them, so the search above would find them.
      assert.ok((await readFile(path.join(ROOT, "build/test-hooks/build/index_bg.wasm"))).includes(TEST_HOOK));
    });
  });
}

test("staging shares no store, rate limit or address with production", async () => {
  const config = await changedConfig(uncomment("[[routes]]"));
  const [production, staging] = [configOf("production", config), configOf("staging", config)];
  assert.deepEqual(production.routes, [{ pattern: "hooks.example.com", custom_domain: true }]);
  assert.deepEqual(staging.routes, []);
  assert.equal(staging.workers_dev, true);
  assert.deepEqual(Object.keys(staging.vars), Object.keys(production.vars));
  const ids = (one) => one.ratelimits.map((limit) => limit.namespace_id);
  assert.deepEqual(
    ids(production).filter((id) => ids(staging).includes(id)),
    [],
  );
  // wrangler makes a namespace for each Worker, of the Worker's name.
  assert.notEqual(production.name, staging.name);
  for (const one of [production, staging]) assert.deepEqual(one.kv_namespaces, [{ binding: "SUBSCRIPTIONS" }]);
  // A binding that names a script would reach that script's objects.
  for (const binding of staging.durable_objects.bindings) assert.equal(binding.script_name, undefined);
});

test("the paid plan's limits are set once their lines are uncommented, and allow what SUBREQUESTS does", async () => {
  const config = configOf("production", await changedConfig(uncomment("[limits]")));
  assert.deepEqual(Object.keys(config.limits), ["cpu_ms", "subrequests"]);
  assert.ok(config.limits.subrequests >= 10_000 && config.limits.cpu_ms >= 30_000);
});

test("the example of development secrets has each that is required, and starts a relay", async (t) => {
  const text = await readFile(path.join(ROOT, ".dev.vars.example"), "utf8");
  const vars = Object.fromEntries([...text.matchAll(/^([A-Z_]+)="(.*)"$/gm)].map(([, name, value]) => [name, value]));
  for (const name of configOf("production").secrets.required) assert.ok(name in vars, name);
  const relay = await startRelay({ vars });
  t.after(() => relay.stop());
  assert.equal((await relay.fetch("/v1/workspaces", { token: vars.OPERATOR_TOKEN })).status, 200);
});

test("the dataset of attempts is bound once its lines are uncommented", async () => {
  const config = await changedConfig(uncomment("[[analytics_engine_datasets]]"));
  assert.deepEqual(configOf("production").analytics_engine_datasets, []);
  assert.deepEqual(configOf("production", config).analytics_engine_datasets, [
    { binding: "ATTEMPTS", dataset: "webhook_attempts" },
  ]);
});

test("the limit of posts is bound once its lines are uncommented, with numbers of its own in each environment", async () => {
  const config = await changedConfig((text) =>
    uncomment("[[env.staging.ratelimits]]")(uncomment("[[ratelimits]]")(text)),
  );
  const limits = Object.keys(ENVIRONMENTS).map((environment) => configOf(environment, config).ratelimits);
  for (const bound of limits)
    assert.deepEqual(
      bound.map(({ name, simple }) => [name, simple.limit, simple.period]),
      [
        ["FAILED_AUTHENTICATIONS", 300, 60],
        ["MANAGEMENT", 600, 60],
        ["INGEST", 50_000, 10],
      ],
    );
  const ids = limits.flat().map((limit) => limit.namespace_id);
  assert.equal(new Set(ids).size, ids.length, String(ids));
});

test("wrangler generates the same binding types for both environments", async () => {
  const file = path.join(folder, "env.d.ts");
  const { code, output } = await runWrangler("types", "--include-runtime=false", file);
  assert.equal(code, 0, output);
  const types = await readFile(file, "utf8");
  const members = (header) => {
    const body = types.slice(types.indexOf(header)).match(/\{\n([^}]*)\}/)[1];
    return Object.fromEntries(
      [...body.matchAll(/^\s*(\w+): (.*);$/gm)].map(([, name, type]) => [name, type.replace(/<.*>/, "")]),
    );
  };
  const typed = members("interface __BaseEnv_Env");
  for (const [setting, value] of Object.entries(SETTINGS)) assert.equal(typed[setting], `"${value}"`);
  const expected = {
    SUBSCRIPTIONS: "KVNamespace",
    WORKSPACES: "DurableObjectNamespace",
    WEBHOOKS: "DurableObjectNamespace",
    CATALOGUE: "DurableObjectNamespace",
    FAILED_AUTHENTICATIONS: "RateLimit",
    MANAGEMENT: "RateLimit",
  };
  for (const [binding, type] of Object.entries(expected)) assert.equal(typed[binding], type);
  const { OPERATOR_TOKEN: _, ...bound } = typed;
  const { OPERATOR_TOKEN: __, ...boundInStaging } = members("interface StagingEnv");
  assert.deepEqual(boundInStaging, bound);
});

test("the tests run on the runtime that wrangler depends on", async () => {
  const read = async (file) => JSON.parse(await readFile(path.join(ROOT, file), "utf8"));
  const wrangler = await read("node_modules/wrangler/package.json");
  assert.equal((await read("package.json")).devDependencies.miniflare, wrangler.dependencies.miniflare);
});
