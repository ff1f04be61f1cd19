// /metrics as a scraper reads it: parsed by prometheus_client, the reader of the Prometheus project.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { answerWith } from "../support/receiver.js";
import { preparePython } from "../../scripts/python.mjs";
import { createWorkspace, startRelay } from "../support/relay.js";
import {
  acceptArray,
  acceptForOne,
  alert,
  answered,
  assertRefused,
  awaitDelivery,
  changeWebhook,
  createKey,
  setUpWebhook,
} from "../support/steps.js";

const READER = fileURLToPath(new URL("../receivers/read_metrics.py", import.meta.url));

let relay;
let python;
before(async () => {
  python = await preparePython();
  // A delivery that failed once stays pending.
  relay = await startRelay({ vars: { RETRY_SCHEDULE: "1h,1h,1h,1h,1h" } });
});
after(() => relay?.stop());

/** The families of an answer, as prometheus_client reads them. */
async function scrape(query = "") {
  const answer = await relay.fetch(`/metrics${query}`);
  answered(answer, 200);
  assert.match(answer.headers.get("content-type"), /^text\/plain;.*version=0\.0\.4/);
  const { status, stdout, stderr } = spawnSync(python, [READER], { input: answer.text, encoding: "utf8" });
  assert.equal(status, 0, `${stderr}\n${answer.text}`);
  return JSON.parse(stdout);
}

/** The sum of the single samples of the gauges whose name matches. */
function sumOf(families, name) {
  const found = families.filter((family) => name.test(family.name));
  assert.ok(found.length > 0, `${name} in ${families.map((family) => family.name)}`);
  return found.flatMap(({ samples }) => samples).reduce((sum, { value }) => sum + value, 0);
}

function assertWellFormed(families) {
  for (const { name, type, help } of families) {
    assert.match(name, /^[a-z_][a-z0-9_]*$/);
    assert.ok(help.length > 0, `${name} has no help`);
    assert.equal(type, "gauge", `${name} is not a gauge`);
  }
  assert.equal(new Set(families.map(({ name }) => name)).size, families.length, "a family is there twice");
}

test("without a workspace there is only relay_info, which names the version", async () => {
  const families = await scrape();
  assert.deepEqual(
    families.map(({ name }) => name),
    ["relay_info"],
  );
  assertWellFormed(families);
  const { body } = await relay.fetch("/healthz", { token: null });
  const [{ labels, value }] = families[0].samples;
  assert.equal(value, 1);
  assert.equal(labels.version, body.version);
});

describe("the metrics of a workspace", () => {
  test("are gauges that show the current backlog", async (t) => {
    const scene = await setUpWebhook(t, relay, answerWith(500));
    assert.equal(sumOf(await scrape(`?workspace=${scene.workspace}`), /pending/), 0);
    const answers = await acceptArray(relay, scene.workspace, [alert(), alert(), alert()]);
    for (const {
      deliveries: [entry],
    } of answers) {
      await awaitDelivery(relay, scene.workspace, entry, ({ attempts }) => attempts.length > 0);
    }
    const families = await scrape(`?workspace=${scene.workspace}`);
    assertWellFormed(families);
    assert.equal(sumOf(families, /pending/), 3);
  });

  test("sum or name each of its webhooks, and no other workspace's", async (t) => {
    const first = await setUpWebhook(t, relay, answerWith(500));
    const second = await setUpWebhook(t, relay, answerWith(500), { workspace: first.workspace });
    const other = await setUpWebhook(t, relay, answerWith(500));
    await acceptForOne(relay, other.workspace);
    const [{ deliveries }] = await acceptArray(relay, first.workspace, [alert()]);
    assert.equal(deliveries.length, 2);
    const families = await scrape(`?workspace=${first.workspace}`);
    assert.equal(sumOf(families, /pending/), 2);
    const text = JSON.stringify(families);
    for (const secret of [first.webhook.secret, second.webhook.secret, first.receiver.url, other.webhook.id]) {
      assert.ok(!text.includes(secret), `${secret} is shown`);
    }
  });

  test("exist for a workspace without webhooks and for one with a disabled webhook", async (t) => {
    assertWellFormed(await scrape(`?workspace=${await createWorkspace(relay)}`));
    const scene = await setUpWebhook(t, relay);
    await changeWebhook(relay, scene, { status: "disabled" });
    await acceptForOne(relay, scene.workspace);
    assertWellFormed(await scrape(`?workspace=${scene.workspace}`));
  });
});

describe("the metrics are refused", () => {
  test("to everyone but the operator", async () => {
    const workspace = await createWorkspace(relay);
    const { key } = await createKey(relay, workspace);
    for (const query of ["", `?workspace=${workspace}`]) {
      assertRefused(await relay.fetch(`/metrics${query}`, { token: null }), 401, { code: "unauthorized" });
      assertRefused(await relay.fetch(`/metrics${query}`, { token: "wrong" }), 401, { code: "unauthorized" });
      assertRefused(await relay.fetch(`/metrics${query}`, { token: key }), 403, { code: "forbidden" });
    }
  });

  test("for a workspace that does not exist or was deleted", async () => {
    const deleted = await createWorkspace(relay);
    answered(await relay.fetch(`/v1/workspaces/${deleted}`, { method: "DELETE" }), 204);
    for (const workspace of ["ws_unknown", deleted]) {
      assertRefused(await relay.fetch(`/metrics?workspace=${workspace}`), 404, { code: "not_found" });
    }
    assertRefused(await relay.fetch("/metrics?workspace=nonsense"), [400, 404, 422]);
  });

  test("with an unknown parameter", async () => {
    assertRefused(await relay.fetch("/metrics?webhook=wh_1"), 400, { code: "unknown_field", field: "webhook" });
  });
});
