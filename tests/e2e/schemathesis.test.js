// Requests generated from the OpenAPI document: schemathesis finds no answer that violates it, and no failure.
//
// The relay is cut off from the network here: its own process answers what it sends. The document gets existing ids as
// its examples, so that the requests get further than a 404.
import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { capture } from "../../scripts/programs.mjs";
import { preparePython } from "../../scripts/python.mjs";
import { createWebhook, createWorkspace, startRelayProcess } from "../support/relay.js";
import { acceptForOne, answered, awaitSettled, createKey, startResend } from "../support/steps.js";

const LEAST_REQUESTS = 2_000;
const SHOWN_OF_A_LINE = 500;
// Per operation and phase; both runs take about a minute and a half on two cores.
const EXAMPLES = 12;
const RUN_TIMEOUT_MS = 175_000;
// No schema can say which URLs the relay accepts, so valid data may be refused.
const LEFT_OUT = "positive_data_acceptance";

let schemathesis;
let folder;
let generated = 0;
before(async () => {
  schemathesis = path.join(path.dirname(await preparePython()), "schemathesis");
  folder = await mkdtemp(path.join(tmpdir(), "relay-schemathesis-"));
});
after(async () => folder && rm(folder, { recursive: true, force: true }));

/** A workspace with one of everything, and spares of what a call may delete. */
async function makeThings(relay) {
  const workspace = await createWorkspace(relay);
  const url = "http://hooks.example.com/";
  const webhook = await createWebhook(relay, workspace, { url });
  const delivery = await acceptForOne(relay, workspace);
  await awaitSettled(relay, workspace, delivery);
  const job = await startResend(relay, { workspace, webhook });
  const { key } = await createKey(relay, workspace);
  const { event_id: eventId } = answered(
    await relay.fetch(`/v1/workspaces/${workspace}/webhooks/${webhook.id}/deliveries/${delivery.id}`),
    200,
  );
  return {
    key,
    kept: {
      workspace_id: workspace,
      webhook_id: webhook.id,
      delivery_id: delivery.id,
      resend_id: job.id,
      event_id: eventId,
    },
    doomed: {
      deleteWorkspace: { workspace_id: await createWorkspace(relay) },
      deleteWebhook: { webhook_id: (await createWebhook(relay, workspace, { url })).id },
      revokeKey: { key_id: (await createKey(relay, workspace)).id },
    },
  };
}

/** Writes the document with the ids as examples of its parameters, and the settings that draw from them. */
async function writeInput(relay, name, { kept, doomed }, token) {
  const document = answered(await relay.fetch("/openapi.json", { token: null }), 200);
  const { parameters } = document.components;
  const parameterOf = (wanted) =>
    Object.values(parameters).find((parameter) => parameter.in === "path" && parameter.name === wanted);
  for (const [wanted, id] of Object.entries(kept)) parameterOf(wanted).example = id;
  for (const operation of Object.values(document.paths).flatMap((item) => Object.values(item))) {
    const ids = Object.entries(doomed[operation.operationId] ?? {});
    // A parameter of an operation replaces that of its path.
    operation.parameters ??= [];
    for (const [wanted, id] of ids) operation.parameters.push({ ...parameterOf(wanted), example: id });
  }
  const file = path.join(folder, `${name}.json`);
  await writeFile(file, JSON.stringify(document));

  const all = [kept, ...Object.values(doomed)].flatMap(Object.entries);
  const draw = ([parameter, id]) => `"path.${parameter}" = { dictionary = "${id}", probability = 0.9 }`;
  const settings = [
    `[auth.openapi.bearer]\nbearer = "${token}"`,
    // Otherwise it writes into the working directory.
    "[cache]\nenabled = false",
    ...all.map(([, id]) => `[dictionaries.${id}]\nvalues = ["${id}"]`),
    `[parameters]\n${Object.entries(kept).map(draw).join("\n")}`,
    // Wrong tokens are rate-limited, and a 429 tests nothing; the check ignored_auth still tries them.
    "[generation]\nwith-security-parameters = false",
    ...Object.entries(doomed).map(([operation, ids]) => spareTheRest(operation, Object.entries(ids).map(draw))),
  ];
  const config = path.join(folder, `${name}.toml`);
  await writeFile(config, `${settings.join("\n\n")}\n`);
  return { file, config };
}

// Ids that schemathesis found in answers are used by every other call, so only its last phase deletes them.
const spareTheRest = (operation, parameters) => `[[operations]]
include-operation-id = "${operation}"
parameters = { ${parameters.join(", ")} }
${["examples", "coverage", "fuzzing"].map((phase) => `phases.${phase}.extra-data-sources.responses = false`).join("\n")}`;

/** Runs schemathesis and asserts that it found nothing. */
async function generate(t, relay, name, things) {
  const { file, config } = await writeInput(
    relay,
    name,
    things,
    name === "operator" ? relay.operatorToken : things.key,
  );
  const checks = ["--checks", "all", "--exclude-checks", LEFT_OUT];
  // The same requests in each run, so that a failure can be reproduced. One worker, because Python 3.11's parser fails
  // if two threads of Hypothesis use it.
  const amount = ["--max-examples", EXAMPLES, "--seed", 1, "--generation-database", "none", "--workers", 1];
  const args = ["--config-file", config, "run", file, "--url", relay.origin, "--no-color", ...checks, ...amount];
  const { code, output } = await capture(schemathesis, args, { env: { ...process.env, TMPDIR: folder, HOME: folder } });
  const summary = output.slice(output.indexOf("= SUMMARY ="));
  for (const line of summary.split("\n").filter((one) => one.trim() !== "")) t.diagnostic(line);
  generated += Number(summary.match(/(\d+) generated/)?.[1] ?? 0);
  assert.equal(
    code,
    0,
    output
      .split("\n")
      .map((line) => line.slice(0, SHOWN_OF_A_LINE))
      .join("\n"),
  );
}

// Concurrently: they mostly wait for the relay's settings.
describe("schemathesis finds nothing", { concurrency: 2 }, () => {
  for (const name of ["operator", "key"]) {
    test(`with the ${name}'s token`, { timeout: RUN_TIMEOUT_MS }, async (t) => {
      const relay = await startRelayProcess({ isolated: true });
      t.after(() => relay.stop());
      await generate(t, relay, name, await makeThings(relay));
      answered(await relay.fetch("/v1/workspaces"), 200);
      assert.deepEqual(
        relay.logs.filter((line) => /panicked|aborted/.test(line)),
        [],
      );
    });
  }
});

test(`the runs had at least ${LEAST_REQUESTS} requests`, (t) => {
  t.diagnostic(`${generated} requests`);
  assert.ok(generated >= LEAST_REQUESTS, `${generated} requests`);
});
