// The demo workspace of `npm start`: one webhook that points to the demo receiver.
import { randomBytes } from "node:crypto";
import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { Failure, ROOT } from "./programs.mjs";

const WEBHOOKS = "/v1/workspaces/ws_demo/webhooks";
const EVENT_TYPES = ["alert.triggered", "policy.violated", "agent.registered", "agent.error"];

/** The operator's development token, made at the first start. wrangler passes the lines of this file to the Worker. */
export function readOperatorToken() {
  const file = path.join(ROOT, ".dev.vars");
  const read = () =>
    existsSync(file) ? readFileSync(file, "utf8").match(/^OPERATOR_TOKEN *= *"?([^"\s]+)"?\s*$/m)?.[1] : undefined;
  if (read() === undefined)
    appendFileSync(file, `OPERATOR_TOKEN="${randomBytes(32).toString("hex")}"\n`, { mode: 0o600 });
  return read();
}

/** One request to the relay; `token` null sends none. */
export async function call(origin, token, method, target, body) {
  const response = await fetch(new URL(target, origin), {
    method,
    headers: {
      ...(token === null ? {} : { authorization: `Bearer ${token}` }),
      ...(body === undefined ? {} : { "content-type": "application/json" }),
    },
    body: JSON.stringify(body),
  });
  return { status: response.status, text: await response.text() };
}

async function callOrFail(origin, token, method, target, body) {
  const answer = await call(origin, token, method, target, body);
  if (answer.status < 200 || answer.status > 299) {
    throw new Failure(`the relay answered ${answer.status} to ${method} ${target}: ${answer.text}`);
  }
  return JSON.parse(answer.text);
}

/** Starts the receiver and makes the webhook, or reuses the one that `file` keeps from an earlier start. */
export async function makeDemo(origin, token, receiverPort, file) {
  // Imported late: its packages exist only after the set-up.
  const { startDemoReceiver } = await import("./demo_receiver.mjs");
  const url = `http://127.0.0.1:${receiverPort}/webhooks`;
  await callOrFail(origin, token, "POST", "/v1/workspaces", { id: "ws_demo", name: "Demo" });
  const kept = existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : undefined;
  const usable = kept?.url === url && (await call(origin, token, "GET", `${WEBHOOKS}/${kept.webhook}`)).status === 200;
  const secret = usable ? kept.secret : `whsec_${randomBytes(32).toString("base64")}`;
  const { info } = await callOrFail(origin, null, "GET", "/openapi.json");
  // Before the webhook, because making it sends a ping.
  await startDemoReceiver({ port: receiverPort, secret, names: info["x-delivery"] });
  if (usable) return;
  const made = await callOrFail(origin, token, "POST", WEBHOOKS, { url, events: EVENT_TYPES, secret });
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, `${JSON.stringify({ webhook: made.id, url, secret })}\n`, { mode: 0o600 });
}

/** The address of a dashboard link of the demo workspace: it signs in once. */
export async function makeDashboardLink(origin, token) {
  return (await callOrFail(origin, token, "POST", "/v1/workspaces/ws_demo/dashboard-links", {})).url;
}
