// What a deployment would upload, as wrangler itself lists it, without uploading anything.
import assert from "node:assert/strict";
import { mkdtemp, readFile, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { PACKAGE_PROGRAMS, ROOT, capture } from "../../scripts/programs.mjs";

// The defaults that the HTTP contract promises.
const SETTINGS = {
  RETRY_SCHEDULE: "1m,5m,30m,2h,8h",
  ATTEMPT_TIMEOUT: "10s",
  RETENTION_DAYS: "30",
  DISABLE_AFTER: "5d",
  ALLOW_PRIVATE_ENDPOINTS: "false",
  MAX_LEASES: "50",
  MAX_BACKLOG: "100000",
};
// Part of every name that the cargo feature `test-hooks` adds.
const TEST_HOOK = "x-test-hook";

let folder;
let dryRun;

before(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "relay-deploy-"));
  dryRun = await capture(path.join(PACKAGE_PROGRAMS, "wrangler"), ["deploy", "--dry-run", "--outdir", folder]);
});

after(() => rm(folder, { recursive: true, force: true }));

test("a_dry_run_deployment_passes", () => {
  assert.equal(dryRun.code, 0, dryRun.output);
});

test("a_deployment_binds_the_store_both_object_classes_and_every_setting_with_its_default", () => {
  const lists = (text) => assert.ok(dryRun.output.includes(text), `no ${text} in:\n${dryRun.output}`);
  lists("env.SUBSCRIPTIONS");
  lists("env.WORKSPACES (WorkspaceObject)");
  lists("env.WEBHOOKS (WebhookObject)");
  for (const [name, value] of Object.entries(SETTINGS)) lists(`env.${name} ("${value}")`);
});

test("a_deployment_has_no_test_hooks", async () => {
  const uploaded = await Promise.all((await readdir(folder)).map((name) => readFile(path.join(folder, name))));
  assert.ok(uploaded.some((bytes) => bytes.subarray(0, 4).equals(Buffer.from("\0asm"))), "the upload has a Wasm module");
  for (const bytes of uploaded) assert.ok(!bytes.includes(TEST_HOOK));
  // The other build has them: the search above would find them.
  assert.ok((await readFile(path.join(ROOT, "build/test-hooks/build/index_bg.wasm"))).includes(TEST_HOOK));
});

test("the_tests_run_on_the_runtime_that_wrangler_brings", async () => {
  const read = async (file) => JSON.parse(await readFile(path.join(ROOT, file), "utf8"));
  const wrangler = await read("node_modules/wrangler/package.json");
  assert.equal((await read("package.json")).devDependencies.miniflare, wrangler.dependencies.miniflare);
});
