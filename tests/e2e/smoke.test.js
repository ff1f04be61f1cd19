// `npm run smoke` checks a deployed relay from outside: what works, what fails and why, and nothing is left behind.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { Miniflare } from "miniflare";
import { ROOT } from "../../scripts/programs.mjs";
import { makeSelfSignedCertificate } from "../support/certificate.js";
import { answerWith, refusedUrl, startReceiver } from "../support/receiver.js";
import { startRelay } from "../support/relay.js";
import { OPERATOR_TOKEN, relayOptions } from "../support/relay_options.js";

const PROGRAM = path.join(ROOT, "scripts/smoke.mjs");

let relay;
before(async () => (relay = await startRelay()));
after(() => relay?.stop());

/** Runs the program, and returns its exit code, all that it printed, and the results by check. */
async function smoke(args, env = {}) {
  const child = spawn(process.execPath, [PROGRAM, ...args], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, ...env },
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text) => (output += text));
  const [code] = await once(child, "close");
  const lines = [...output.matchAll(/^(passed|skipped|FAILED) +(\w+) +(.*)$/gm)];
  return { code, output, found: Object.fromEntries(lines.map(([, result, name, told]) => [name, { result, told }])) };
}

const resultsOf = (found) => Object.fromEntries(Object.entries(found).map(([name, { result }]) => [name, result]));

async function countWorkspaces() {
  return (await relay.fetch("/v1/workspaces")).body.data.length;
}

const WHOLE = {
  health: "passed",
  https: "skipped",
  headers: "passed",
  workspace: "passed",
  webhook: "passed",
  event: "passed",
  trace: "passed",
  deletion: "passed",
};

test("everything passes with an endpoint that answers, which gets a ping and an event", async (t) => {
  const receiver = await startReceiver();
  t.after(() => receiver.stop());
  const { code, output, found } = await smoke([relay.origin, OPERATOR_TOKEN, receiver.url]);
  assert.equal(code, 0, output);
  assert.deepEqual(resultsOf(found), WHOLE);
  assert.match(found.health.told, /^version \d+\.\d+\.\d+/);
  assert.match(found.trace.told, /^delivered: 200 in \d+ ms$/);
  assert.equal(receiver.pings().length, 1);
  assert.equal(receiver.events().length, 1);
  assert.equal(await countWorkspaces(), 0);
  assert.ok(!output.includes(OPERATOR_TOKEN), output);
});

test("without an endpoint an event is posted all the same", async () => {
  const { code, output, found } = await smoke([relay.origin, OPERATOR_TOKEN]);
  assert.equal(code, 0, output);
  assert.deepEqual(resultsOf(found), { ...WHOLE, webhook: "skipped", trace: "skipped" });
});

test("an endpoint that answers an error is told, and the workspace is deleted all the same", async (t) => {
  const receiver = await startReceiver(answerWith(500), { ping: answerWith(500) });
  t.after(() => receiver.stop());
  const { code, output, found } = await smoke([relay.origin, OPERATOR_TOKEN, receiver.url]);
  assert.equal(code, 1, output);
  assert.deepEqual(resultsOf(found), { ...WHOLE, webhook: "FAILED", trace: "FAILED" });
  assert.match(found.webhook.told, /its ping failed: http_error, status 500/);
  assert.match(found.trace.told, /was not delivered: http_error, status 500/);
  assert.equal(await countWorkspaces(), 0);
});

test("an endpoint that the relay refuses is told in the relay's words", async () => {
  const { code, found } = await smoke([relay.origin, OPERATOR_TOKEN, "https://192.0.2.1/"]);
  assert.equal(code, 1);
  assert.match(found.webhook.told, /answered 422, not 201: .*invalid_url/);
});

test("a wrong token, an address where nothing listens, and one of something else", async (t) => {
  const wrong = await smoke([relay.origin, "wrong"]);
  assert.equal(wrong.code, 1);
  assert.match(wrong.found.workspace.told, /POST \/v1\/workspaces answered 401, not 201/);
  assert.deepEqual(resultsOf(wrong.found), {
    ...WHOLE,
    workspace: "FAILED",
    webhook: "skipped",
    event: "skipped",
    trace: "skipped",
    deletion: "skipped",
  });
  const none = await smoke([new URL(await refusedUrl()).origin, OPERATOR_TOKEN]);
  assert.equal(none.code, 1);
  assert.match(none.found.health.told, /cannot be reached/);
  const other = await startReceiver(answerWith(200, {}, "<html>"));
  t.after(() => other.stop());
  assert.match((await smoke([other.origin, OPERATOR_TOKEN])).found.health.told, /answered no JSON: <html>/);
});

test("arguments that are missing or wrong show the usage", async () => {
  for (const args of [[], [relay.origin], ["hooks.example.com", "token"], [relay.origin, "a", "b", "c"]]) {
    const { code, output } = await smoke(args);
    assert.equal(code, 2);
    assert.match(output, /^usage: npm run smoke -- URL TOKEN \[ENDPOINT\]/);
  }
});

test("as deployed: https only, with a redirect from http", async (t) => {
  const folder = await mkdtemp(path.join(tmpdir(), "relay-smoke-"));
  const { key, cert } = await makeSelfSignedCertificate("localhost");
  const certificate = path.join(folder, "certificate.pem");
  await writeFile(certificate, cert);
  const options = relayOptions({
    vars: { ALLOW_PRIVATE_ENDPOINTS: "false" },
    isolated: true,
    state: path.join(folder, "state"),
    onLog: () => {},
  });
  const secure = new Miniflare({ ...options, https: true, httpsKey: key, httpsCert: cert });
  t.after(async () => {
    await secure.dispose();
    await rm(folder, { recursive: true, force: true });
  });
  const origin = `https://localhost:${(await secure.ready).port}`;
  const plain = await startRelay({ vars: { ALLOW_PRIVATE_ENDPOINTS: "false" } });
  t.after(() => plain.stop());
  // The addresses of a deployment, without ports, lead to these two.
  const names = path.join(folder, "names.mjs");
  const places = { "https://relay.example.com": origin, "http://relay.example.com": plain.origin };
  await writeFile(
    names,
    `const { fetch } = globalThis;
    globalThis.fetch = (url, init) => fetch(Object.entries(${JSON.stringify(places)}).reduce((all, [name, place]) => all.replace(name, place), url), init);`,
  );
  const env = { NODE_EXTRA_CA_CERTS: certificate, NODE_OPTIONS: `--import=${names}` };
  const { code, output, found } = await smoke(
    ["https://relay.example.com", OPERATOR_TOKEN, "https://hooks.example.com/"],
    env,
  );
  assert.equal(code, 0, output);
  assert.deepEqual(resultsOf(found), { ...WHOLE, https: "passed" });
  assert.match(found.https.told, /plain http is redirected/);
  const withPort = await smoke([origin, OPERATOR_TOKEN], env);
  assert.match(withPort.found.https.told, /plain http was not tried/);

  const lax = await smoke(["https://relay.example.com", OPERATOR_TOKEN], {
    ...env,
    NODE_OPTIONS: `--import=${await allowHttp(folder, names)}`,
  });
  assert.equal(lax.code, 1, lax.output);
  assert.match(lax.found.https.told, /plain http is not redirected to https: 200/);
});

/** The same names, but http leads to a relay that answers it. */
async function allowHttp(folder, names) {
  const file = path.join(folder, "lax.mjs");
  await writeFile(
    file,
    `const { fetch } = globalThis;
    await import(${JSON.stringify(names)});
    const { fetch: named } = globalThis;
    globalThis.fetch = (url, init) => url.startsWith("http://relay.example.com") ? fetch(url.replace("http://relay.example.com", ${JSON.stringify(relay.origin)}), init) : named(url, init);`,
  );
  return file;
}
