// Starts the relay for development, with a receiver to see events arrive. `npm start` runs this.
//
// RELAY_PORT, RECEIVER_PORT and RELAY_STATE (a folder) choose the ports and where the state is kept.
import { createServer } from "node:net";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { build } from "./build.mjs";
import { call, makeDashboardLink, makeDemo, readOperatorToken } from "./demo.mjs";
import { Failure, ROOT, keepRunning, nodeProgram, runAsProgram } from "./programs.mjs";

const READY_TIMEOUT_MS = 60_000;
const DEMO_EVENT = {
  type: "alert.triggered",
  data: { alert_id: "alrt_demo", details: "Rate limit exceeded: 150 prompts/min" },
};

function readPort(name, preset) {
  const port = Number(process.env[name] ?? preset);
  if (Number.isInteger(port) && port > 0 && port < 65_536) return port;
  throw new Failure(`${name} must be a port number from 1 to 65535, found: ${process.env[name]}`);
}

async function checkPortIsFree(name, port) {
  const server = createServer();
  const failure = await new Promise((resolve) => {
    server.once("error", resolve);
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(undefined)));
  });
  if (failure === undefined) return;
  const advice = `end the program that uses it, or choose another: ${name}=${port + 10} npm start`;
  throw new Failure(`port ${port} cannot be used (${failure.code}): ${advice}`);
}

function runRelay(port, state) {
  return keepRunning("the relay", nodeProgram(), [
    path.join(ROOT, "node_modules/wrangler/bin/wrangler.js"),
    "dev",
    ...["--port", port, "--inspector-port", 0, "--persist-to", state],
    // Development only: allows webhooks with http and on this machine.
    ...["--var", "ALLOW_PRIVATE_ENDPOINTS:true"],
    ...["--show-interactive-dev-session=false", "--log-level", "warn"],
  ]);
}

async function waitUntilReady(origin) {
  const deadline = Date.now() + READY_TIMEOUT_MS;
  let last;
  while (Date.now() < deadline) {
    try {
      const answer = await call(origin, null, "GET", "/healthz");
      if (answer.status === 200) return;
      last = `${answer.status} ${answer.text}`;
    } catch (error) {
      last = error.cause?.message ?? error.message;
    }
    await sleep(100);
  }
  throw new Failure(`the relay was not ready after ${READY_TIMEOUT_MS / 1000} s; GET ${origin}/healthz: ${last}`);
}

function describe(origin, token, state, link) {
  const events = `${origin}/v1/workspaces/ws_demo/events`;
  const authorization = `-H 'Authorization: Bearer ${token}'`;
  const send = `curl -sS ${events} ${authorization} -H 'Content-Type: application/json' -d '${JSON.stringify(DEMO_EVENT)}'`;
  return `
The relay is running. Ctrl-C stops it; its data stays in ${state}

Dashboard: this link signs you in once
  ${link}
  and after that it is at ${origin}/settings/webhooks

Documentation for your customers:
  ${origin}/docs

Send an event, and see it arrive below:
  ${send}

Trace an event, with the event_id of that answer in place of EVENT_ID:
  curl -sS ${authorization} ${events}/EVENT_ID
`;
}

async function main() {
  const relayPort = readPort("RELAY_PORT", 8787);
  const receiverPort = readPort("RECEIVER_PORT", 8788);
  const state = path.resolve(process.env.RELAY_STATE ?? path.join(ROOT, ".wrangler/state"));
  const origin = `http://localhost:${relayPort}`;
  await checkPortIsFree("RELAY_PORT", relayPort);
  await checkPortIsFree("RECEIVER_PORT", receiverPort);
  await build("release");
  const token = readOperatorToken();
  console.log("[start] starting the relay ...");
  const relay = runRelay(relayPort, state);
  await Promise.race([relay, waitUntilReady(origin)]);
  // Beside the state, so that removing one folder resets everything.
  await Promise.race([relay, makeDemo(origin, token, receiverPort, path.join(path.dirname(state), "demo.json"))]);
  const link = await Promise.race([relay, makeDashboardLink(origin, token)]);
  console.log(describe(origin, token, state, link));
  await relay;
}

await runAsProgram(import.meta.url, main, { exitCodeOnSignal: 0 });
