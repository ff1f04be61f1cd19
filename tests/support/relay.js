// Runs the built relay for a test, in this process or in one that the test can kill, and speaks its HTTP contract.
//
// Each relay has its own storage and workspace ids are random, so the tests of one file can share a relay.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { Miniflare } from "miniflare";
import { checkAnswer } from "./contract.js";
import { OPERATOR_TOKEN, REPOSITORY, relayOptions, unpackPreviousRelease } from "./relay_options.js";
import { checkAnswerForSecrets, checkTracesForSecrets, learnFromRequest } from "./secrecy.js";

/** @import { CreatedWebhook, Relay, RelayOptions, RequestOptions } from "./types.d.ts" */

const REQUEST_TIMEOUT_MS = 30_000;
const READY_TIMEOUT_MS = 30_000;
const EVENT_TYPES = ["alert.triggered", "policy.violated", "agent.registered", "agent.error"];

/**
 * Starts the relay in this process.
 * `vars` overrides settings; `hooks` selects the build with test hooks; `persist` is the folder of the storage
 * (default: a temporary one, removed by stop()). `isolated` cuts the relay off from the network: each request that it
 * sends is answered 200 in its own process; `outbound` is a function that answers each instead; `dataset` binds an
 * Analytics Engine dataset that logs; `tail` logs what a tail of the Worker sees; `limits` are rate limits other than
 * those of wrangler.toml (undefined unbinds one). `origin` changes with each restart(). `miniflare()` is what runs it, for tests
 * that write its KV or evict an object; `dispatch(url, init)` is a request that the Worker sees at exactly that URL,
 * even https, without a certificate. `versions` runs the Worker and the objects as two scripts, each of this version or
 * of the release before it, whose answers are not held to the OpenAPI document.
 * @param {RelayOptions} [options]
 */
export function startRelay(options = {}) {
  return start(options, startInProcess);
}

/**
 * Starts the relay as its own process group, with the same interface plus kill(), which sends the group SIGKILL.
 * @param {RelayOptions} [options]
 */
export function startRelayProcess(options = {}) {
  return start(options, startChild);
}

/** @param {RelayOptions} options */
async function start(
  {
    vars,
    hooks = false,
    isolated = false,
    outbound,
    dataset,
    tail,
    limits,
    subrequests,
    jurisdiction,
    versions,
    persist,
    port,
  },
  launch,
) {
  const built = path.join(REPOSITORY, hooks ? "build/test-hooks/build" : "build", "index.js");
  assert.ok(existsSync(built), `${built} is missing: run \`node scripts/build.mjs${hooks ? " --test-hooks" : ""}\``);
  const state = persist ?? (await mkdtemp(path.join(tmpdir(), "relay-test-")));
  await mkdir(state, { recursive: true });
  const logs = [];
  const onLog = (line) => logs.push(line);
  let settings = vars;
  // A given folder may hold values that an earlier relay stored in plain text.
  let encryptedFromFirst = persist === undefined && vars?.ENCRYPTION_KEYS !== undefined;
  let released = versions;
  let previous;
  const run = async () => {
    if (released) previous ??= await unpackPreviousRelease();
    const fixed = { hooks, isolated, outbound, dataset, tail, limits, subrequests, jurisdiction, port, state };
    return launch({ ...fixed, vars: settings, versions: released, previous }, onLog);
  };
  let running = await run();
  const relay = {
    get origin() {
      return running.origin;
    },
    operatorToken: OPERATOR_TOKEN,
    state,
    logs,
    fetch: (target, init) =>
      request(running.origin, target, init, {
        isDocumented: released?.worker !== "previous",
        // Without private endpoints the relay answers https only, and what runs it here listens on http.
        dispatch: settings?.ALLOW_PRIVATE_ENDPOINTS === "false" ? relay.dispatch : undefined,
      }),
    /** Starts again on the same storage, with other settings if `vars` are given, in other versions if `versions` are. */
    async restart(
      /** @type {Pick<RelayOptions, "vars" | "versions">} */ { vars: changed, versions: others = released } = {},
    ) {
      await running.end();
      settings = changed ?? settings;
      released = others;
      encryptedFromFirst &&= settings.ENCRYPTION_KEYS !== undefined;
      running = await run();
    },
    /** Ends the relay; throws if its log or its storage has a secret that does not belong there. */
    async stop() {
      await running.end();
      try {
        checkTracesForSecrets({ logs, state }, { encrypted: encryptedFromFirst });
      } finally {
        if (persist === undefined) await rm(state, { recursive: true, force: true });
        if (previous !== undefined) await rm(previous, { recursive: true, force: true });
      }
    },
  };
  if (running.kill) relay.kill = () => running.kill();
  if (running.miniflare) {
    relay.miniflare = () => running.miniflare;
    relay.dispatch = (url, init) => running.miniflare.dispatchFetch(url, init);
  }
  return relay;
}

async function startInProcess(options, onLog) {
  const miniflare = new Miniflare(relayOptions({ ...options, onLog }));
  try {
    return { origin: (await miniflare.ready).origin, end: () => miniflare.dispose(), miniflare };
  } catch (error) {
    await miniflare.dispose();
    throw error;
  }
}

async function startChild(options, onLog) {
  const program = path.join(REPOSITORY, "tests/support/relay_process.js");
  // Detached: the leader of a group, so that one signal reaches workerd too. Temporary files go beside the storage,
  // because a killed process cannot remove them.
  const child = spawn(process.execPath, [program, JSON.stringify(options)], {
    detached: true,
    env: { ...process.env, TMPDIR: options.state },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const ended = once(child, "close");
  const signal = async (name) => {
    if (child.exitCode === null && child.signalCode === null) process.kill(-child.pid, name);
    await ended;
  };
  const output = [];
  const origin = await new Promise((resolve, reject) => {
    const fail = (reason) => reject(new Error(`the relay's process ${reason}; it printed:\n${output.join("\n")}`));
    const timer = setTimeout(() => fail(`was not ready after ${READY_TIMEOUT_MS} ms`), READY_TIMEOUT_MS);
    ended
      .then(([code, name]) => fail(`ended with ${name ?? code} before it was ready`))
      .finally(() => clearTimeout(timer));
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on("line", (line) => {
        if (!line.startsWith("ready ")) {
          output.push(line);
          return onLog(line);
        }
        clearTimeout(timer);
        resolve(line.slice("ready ".length));
      });
    }
  }).catch(async (error) => {
    await signal("SIGKILL");
    throw error;
  });
  return { origin, end: () => signal("SIGTERM"), kill: () => signal("SIGKILL") };
}

/**
 * One request. `token` defaults to the operator's, null sends none; an object as `body` is sent as JSON, a string or
 * bytes unchanged. Redirects are returned, not followed. Throws if the answer does not match the OpenAPI document, where
 * that describes it.
 * @param {string} origin
 * @param {string} target
 * @param {RequestOptions} init
 * @param {{ isDocumented: boolean, dispatch?: (url: string, init: object) => Promise<any> }} options `dispatch` sends it over https
 */
async function request(
  origin,
  target,
  { method = "GET", token = OPERATOR_TOKEN, body, headers = {} } = {},
  { isDocumented, dispatch },
) {
  const raw = body === undefined || typeof body === "string" || body instanceof Uint8Array;
  const sent = {
    ...(token === null ? {} : { authorization: `Bearer ${token}` }),
    ...(body === undefined ? {} : { "content-type": "application/json" }),
    ...headers,
  };
  learnFromRequest(token, body);
  const url = new URL(target, origin);
  if (dispatch) url.protocol = "https:";
  const response = await (dispatch ?? fetch)(`${url}`, {
    method,
    headers: sent,
    body: /** @type {BodyInit} */ (raw ? body : JSON.stringify(body)),
    redirect: "manual",
    signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
  });
  const text = await response.text();
  const answer = { status: response.status, headers: response.headers, text, body: parseJson(text) };
  if (isDocumented) checkAnswer({ method, pathname: url.pathname }, answer);
  checkAnswerForSecrets({ method, pathname: url.pathname, search: url.search }, answer);
  return answer;
}

function parseJson(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/**
 * Makes a workspace with a random id and returns the id.
 * @param {Relay} relay
 */
export async function createWorkspace(relay) {
  const id = `ws_${randomUUID().replaceAll("-", "")}`;
  const answer = await relay.fetch("/v1/workspaces", { method: "POST", body: { id, name: "Test" } });
  assert.equal(answer.status, 201, answer.text);
  return id;
}

/**
 * Makes a webhook, for every event type unless `events` says which, and returns the relay's answer.
 * @param {Relay} relay
 * @param {string} workspace
 * @param {{ url: string, events?: string[], [member: string]: unknown }} members
 * @returns {Promise<CreatedWebhook>}
 */
export async function createWebhook(relay, workspace, { url, events = EVENT_TYPES, ...rest }) {
  const answer = await relay.fetch(`/v1/workspaces/${workspace}/webhooks`, {
    method: "POST",
    body: { url, events, ...rest },
  });
  assert.equal(answer.status, 201, answer.text);
  return answer.body;
}

/**
 * Posts one event (or an array) and returns the whole answer, with any status.
 * @param {Relay} relay
 * @param {string} workspace
 * @param {unknown} event
 */
export function postEvent(relay, workspace, event) {
  return relay.fetch(`/v1/workspaces/${workspace}/events`, { method: "POST", body: event });
}
