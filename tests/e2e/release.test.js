// What `npm run release` makes: all that deploys the relay by Node alone, and nothing of the machine that built it.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { cp, mkdir, mkdtemp, readFile, readdir, realpath, rm, symlink } from "node:fs/promises";
import { createServer } from "node:net";
import { homedir, tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { ROOT, capture, toolEnvironment } from "../../scripts/programs.mjs";
import { release } from "../../scripts/release.mjs";
import { eventually } from "../support/eventually.js";
import { startReceiver } from "../support/receiver.js";

const WRANGLER = path.join(ROOT, "node_modules/wrangler/bin/wrangler.js");
// Part of every name that the cargo feature `test-hooks` adds.
const TEST_HOOK = "x-test-hook";
const READY_TIMEOUT_MS = 60_000;

let folder;
/** The release, unpacked where nothing of this project is above it. */
let unpacked;
/** An environment whose PATH has Node and nothing else. */
let environment;

before(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "relay-release-"));
  unpacked = path.join(folder, "unpacked");
  await cp(await release(path.join(folder, "dist")), unpacked, { recursive: true });
  const programs = path.join(folder, "programs");
  await mkdir(programs);
  await symlink(process.execPath, path.join(programs, "node"));
  environment = { ...toolEnvironment(), PATH: programs, HOME: folder };
});
after(() => rm(folder, { recursive: true, force: true }));

/** Runs wrangler in the release, and returns its exit code and output. */
async function wrangler(...args) {
  const child = spawn(process.execPath, [WRANGLER, ...args], { cwd: unpacked, env: environment });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text) => (output += text));
  const [code] = await once(child, "close");
  return { code, output };
}

async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
  await once(server.close(), "close");
  return String(port);
}

const read = (file) => readFile(path.join(unpacked, file));

async function listFiles(where) {
  const entries = await readdir(where, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(where, path.join(entry.parentPath, entry.name)));
}

test("has a sum for each file, and nothing that names the machine or hooks into a test", async () => {
  const sums = (await read("SHA256SUMS")).toString().trimEnd().split("\n");
  const files = (await listFiles(unpacked)).filter((file) => file !== "SHA256SUMS").sort();
  assert.deepEqual(
    sums.map((line) => line.split("  ")[1]),
    files,
  );
  for (const line of sums) {
    const [sum, file] = line.split("  ");
    const bytes = await read(file);
    assert.equal(createHash("sha256").update(bytes).digest("hex"), sum, file);
    for (const part of [ROOT, homedir(), TEST_HOOK]) assert.ok(!bytes.includes(part), `${file} has ${part}`);
  }
});

for (const environmentName of ["", "staging"]) {
  test(`is deployed by Node alone: a dry run of "${environmentName}" needs no cargo and warns of nothing`, async () => {
    assert.equal((await capture("cargo", ["--version"], { env: environment })).code, -1, "there is no cargo");
    const output = path.join(folder, `upload-${environmentName}`);
    const told = await wrangler("deploy", "--dry-run", "--outdir", output, `--env=${environmentName}`);
    assert.equal(told.code, 0, told.output);
    assert.doesNotMatch(told.output, /WARNING|custom build/, told.output);
    assert.match(told.output, /env\.SUBSCRIPTIONS +KV Namespace/);
    const files = await listFiles(output);
    const code = files.find((file) => file.endsWith(".wasm"));
    assert.deepEqual(await readFile(path.join(output, code)), await readFile(path.join(ROOT, "build/index_bg.wasm")));
  });
}

test("runs without an account, and its own smoke test passes there", async (t) => {
  await cp(path.join(unpacked, ".dev.vars.example"), path.join(unpacked, ".dev.vars"));
  const token = (await read(".dev.vars")).toString().match(/^OPERATOR_TOKEN="(.{32,})"$/m)[1];
  const receiver = await startReceiver();
  t.after(() => receiver.stop());
  const port = await freePort();
  const args = ["--port", port, "--ip", "127.0.0.1", "--inspector-port", "0", "--persist-to", folder];
  const child = spawn(
    process.execPath,
    [WRANGLER, "dev", ...args, "--show-interactive-dev-session=false", "--log-level", "warn"],
    { cwd: unpacked, env: environment, detached: true, stdio: ["ignore", "pipe", "pipe"] },
  );
  const ended = once(child, "close");
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text) => (output += text));
  t.after(async () => {
    process.kill(-child.pid, "SIGTERM");
    await ended;
  });
  const origin = `http://127.0.0.1:${port}`;
  await eventually(async () => (await fetch(`${origin}/healthz`).catch(() => ({ ok: false }))).ok, {
    timeout: READY_TIMEOUT_MS,
  }).catch((error) => assert.fail(`${error.message}\n${output}`));
  const smoke = await capture(
    process.execPath,
    [path.join(unpacked, "scripts/smoke.mjs"), origin, token, receiver.url],
    { env: environment },
  );
  assert.equal(smoke.code, 0, smoke.output + output);
  assert.match(smoke.output, /^passed +trace +delivered: 200/m);
  assert.equal(receiver.events().length, 1);
  assert.doesNotMatch(output, /required secrets/, output);
});

test("is shown by eight commands, without a compiler and an account, up to a verified event of one's own product", async (t) => {
  const text = (await read("scripts/show.sh")).toString().replaceAll("\\\n", "");
  const commands = text.split("\n").filter((line) => !/^(#|$|set -e$|[A-Z_]+="[^"]*"$)/.test(line));
  assert.ok(commands.length <= 8, `${commands.length} commands:\n${commands.join("\n")}`);
  // What a person has after `npm install`, which would fetch it.
  await symlink(path.join(ROOT, "node_modules"), path.join(unpacked, "node_modules"));
  t.after(() => rm(path.join(unpacked, "node_modules")));
  const programs = path.join(folder, "shown");
  await mkdir(programs);
  for (const name of ["node", "npx", "sh", "env", "curl"]) {
    const { output } = await capture("sh", ["-c", `command -v ${name}`], { env: process.env });
    await symlink(await realpath(output.trim()), path.join(programs, name));
  }
  const env = { ...environment, PATH: programs };
  assert.equal((await capture("cargo", ["--version"], { env })).code, -1, "there is no cargo");
  const [relayPort, receiverPort] = [await freePort(), await freePort()];
  const began = performance.now();
  const child = spawn(path.join(programs, "sh"), ["scripts/show.sh"], {
    cwd: unpacked,
    env: { ...env, RELAY_PORT: relayPort, RECEIVER_PORT: receiverPort },
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const ended = once(child, "close");
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (part) => (output += part));
  t.after(async () => {
    process.kill(-child.pid, "SIGTERM");
    await ended;
  });
  await eventually(() => /verified: .*"order": "o_1"/.test(output), { timeout: READY_TIMEOUT_MS }).catch((error) =>
    assert.fail(`${error.message}\n${output}`),
  );
  t.diagnostic(`${commands.length} commands, ${Math.round((performance.now() - began) / 1_000)} s`);
  const docs = await (await fetch(`http://127.0.0.1:${relayPort}/docs`)).text();
  assert.match(docs, / · Acme<\/title>/);
  assert.match(docs, /theme\.css\?accent=0b7a75/);
  assert.match(docs, /X-Acme-Signature/);
  assert.match(docs, /order\.paid/);
  assert.doesNotMatch(docs, /secureagentics/i);
});

test("names its version, what it needs, and the licences of all that is compiled in", async () => {
  const { version, devDependencies } = JSON.parse(await readFile(path.join(ROOT, "package.json"), "utf8"));
  const manifest = JSON.parse((await read("package.json")).toString());
  assert.equal(manifest.version, version);
  assert.deepEqual(manifest.devDependencies, { wrangler: devDependencies.wrangler });
  const readme = (await read("README.md")).toString();
  assert.match(readme, new RegExp(`^# Webhook relay ${version.replaceAll(".", "\\.")}$`, "m"));
  for (const [, file] of readme.matchAll(/`((?:[\w-]+\/)*[\w-]+\.(?:mjs|txt|toml|md))`/g)) await read(file);
  for (const script of Object.values(manifest.scripts)) await read(script.replace("node ", ""));
  const licences = (await read("THIRD-PARTY.txt")).toString();
  for (const name of ["serde_json", "worker", "askama", "aes-gcm"])
    assert.match(licences, new RegExp(`^${name} \\d+\\.\\d+\\.\\d+: .*(MIT|Apache-2\\.0)`, "m"));
  assert.match(licences, /Permission is hereby granted, free of charge/);
});
