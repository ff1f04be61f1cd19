// `npm start` as a person uses it: the printed line works when pasted, and Ctrl-C leaves no process running.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { ROOT, capture } from "../../scripts/programs.mjs";
import { eventually } from "../support/eventually.js";

const START_TIMEOUT_MS = 90_000;

let folder;
let environment;

before(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "relay-start-"));
  const [relayPort, receiverPort] = await findFreePorts(2);
  environment = {
    ...process.env,
    RELAY_PORT: relayPort,
    RECEIVER_PORT: receiverPort,
    RELAY_STATE: path.join(folder, "state"),
  };
});

after(() => rm(folder, { recursive: true, force: true }));

async function findFreePorts(count) {
  const servers = Array.from({ length: count }, () => createServer().listen(0, "127.0.0.1"));
  await Promise.all(servers.map((server) => once(server, "listening")));
  const ports = servers.map((server) => /** @type {import("node:net").AddressInfo} */ (server.address()).port);
  await Promise.all(servers.map((server) => once(server.close(), "close")));
  return ports;
}

function launch(t, program, args) {
  // Detached, because a terminal sends Ctrl-C to the group.
  const child = spawn(program, args, {
    cwd: ROOT,
    env: environment,
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const started = { child, output: "" };
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (text) => (started.output += text));
  started.ended = once(child, "close");
  started.end = async (pid, signal) => {
    process.kill(pid, signal);
    await started.ended;
  };
  t.after(async () => {
    if (child.exitCode === null && child.signalCode === null) await started.end(-child.pid, "SIGTERM");
  });
  return started;
}

// The ids and command lines of a process and its descendants. A zombie has ended and is left out.
async function listTree(root) {
  const { output } = await capture("ps", ["-A", "-o", "pid=,ppid=,stat=,args="]);
  const all = output.split("\n").flatMap((line) => {
    const found = line.match(/^\s*(\d+)\s+(\d+)\s+(\S+)\s+(.*)$/);
    return found && !found[3].startsWith("Z")
      ? [{ pid: Number(found[1]), parent: Number(found[2]), args: found[4] }]
      : [];
  });
  const below = (pid) => all.filter((one) => one.parent === pid).flatMap((one) => [one, ...below(one.pid)]);
  return { all, tree: root === undefined ? [] : [...all.filter((one) => one.pid === root), ...below(root)] };
}

async function assertEnded(tree) {
  await eventually(async () => {
    const { all } = await listTree();
    const alive = tree.filter((one) => all.some((other) => other.pid === one.pid && other.args === one.args));
    assert.deepEqual(alive, []);
    return true;
  });
}

async function pastePrintedCurl(started) {
  const findLine = () => started.output.split("\n").find((printed) => printed.trim().startsWith("curl -sS "));
  const line = await Promise.race([eventually(findLine, { timeout: START_TIMEOUT_MS }), started.ended]);
  assert.equal(typeof line, "string", started.output);
  const answer = await capture("bash", ["-c", `${line.trim()} --fail-with-body`]);
  assert.equal(answer.code, 0, answer.output);
  const { deliveries } = JSON.parse(answer.output.slice(answer.output.indexOf("{")));
  assert.equal(deliveries.length, 1, answer.output);
  await eventually(() => {
    const arrived = `[receiver] alert.triggered ${deliveries[0].id}, attempt 1, both signatures verified`;
    assert.ok(started.output.includes(arrived), started.output);
    return true;
  });
  await pastePrintedTrace(started, JSON.parse(answer.output.slice(answer.output.indexOf("{"))));
  return deliveries[0].webhook_id;
}

// Runs the printed command that traces an event, with the event's id.
async function pastePrintedTrace(started, accepted) {
  const line = started.output
    .split("\n")
    .find((printed) => printed.includes("EVENT_ID") && printed.trim().startsWith("curl "));
  const answer = await capture("bash", [
    "-c",
    `${line.trim().replace("EVENT_ID", accepted.event_id)} --fail-with-body`,
  ]);
  assert.equal(answer.code, 0, answer.output);
  const { webhooks } = JSON.parse(answer.output.slice(answer.output.indexOf("{")));
  assert.deepEqual(
    webhooks.map(({ delivery }) => delivery.id),
    [accepted.deliveries[0].id],
  );
}

async function followPrintedLink(started) {
  const link = started.output.match(/http:\S+\/sign-in\?link=\S+/)?.[0];
  assert.ok(link, started.output);
  const page = await fetch(link);
  assert.equal(page.status, 200);
  /** @type {RequestInit} */
  const form = { method: "POST", redirect: "manual", headers: { origin: new URL(link).origin } };
  const signedIn = await fetch(new URL("/sign-in", link), {
    ...form,
    body: new URLSearchParams({ link: new URL(link).searchParams.get("link") }),
  });
  assert.equal(signedIn.status, 303, await signedIn.text());
  const [cookie] = signedIn.headers.getSetCookie()[0].split(";");
  const webhooks = await fetch(new URL("/settings/webhooks", link), { headers: { cookie } });
  assert.equal(webhooks.status, 200);
  assert.match(await webhooks.text(), /127\.0\.0\.1:\d+\/webhooks/);
}

test("npm start prints a line that delivers an event, and ends completely on Ctrl-C and on SIGTERM", async (t) => {
  const first = launch(t, "npm", ["start"]);
  const webhook = await pastePrintedCurl(first);
  assert.ok(first.output.includes(`http://localhost:${environment.RELAY_PORT}/settings/webhooks`), first.output);
  await followPrintedLink(first);
  const { tree } = await listTree(first.child.pid);
  assert.ok(
    tree.some((one) => one.args.includes("workerd serve")),
    "workerd is in the tree",
  );
  await first.end(-first.child.pid, "SIGINT");
  await assertEnded(tree);

  const second = launch(t, process.execPath, [path.join(ROOT, "scripts/start.mjs")]);
  assert.equal(await pastePrintedCurl(second), webhook, "a restart uses the same webhook");
  const again = await listTree(second.child.pid);
  await second.end(second.child.pid, "SIGTERM");
  assert.equal(second.child.exitCode, 0, second.output);
  await assertEnded(again.tree);
});

test("a port in use is an error that names the port and its variable", async (t) => {
  const holder = createServer().listen(environment.RELAY_PORT, "127.0.0.1");
  await once(holder, "listening");
  t.after(() => holder.close());
  const started = launch(t, process.execPath, [path.join(ROOT, "scripts/start.mjs")]);
  const [code] = await started.ended;
  assert.equal(code, 1);
  assert.match(started.output, new RegExp(`port ${environment.RELAY_PORT} cannot be used.*RELAY_PORT=`));
});

test("starting makes a development operator token that is long enough", async () => {
  const token = (await readFile(path.join(ROOT, ".dev.vars"), "utf8")).match(/^OPERATOR_TOKEN="?([^"\s]+)"?$/m)?.[1];
  assert.ok(token?.length >= 32, "OPERATOR_TOKEN in .dev.vars has at least 32 characters");
});
