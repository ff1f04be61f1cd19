// The compared systems: how each is started, and how its webhooks are made.
import { readdirSync } from "node:fs";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { ROOT } from "../../scripts/programs.mjs";
import { OPERATOR_TOKEN } from "../support/relay_options.js";
import { startProcess } from "./processes.mjs";

const SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
const EVENT_TYPES = ["alert.triggered"];

/**
 * Starts `relay` or a baseline on the storage in a folder; `vars` are settings of the relay, `clone` is the
 * folder of another clone of the repository, whose build is started. The objects of one that is `apart` have a process
 * of their own.
 */
export async function startSystem(system, state, { hooks = false, vars = {}, clone = ROOT, apart = false } = {}) {
  const program = path.join(clone, "tests/bench/system_process.mjs");
  const running = await startProcess(program, { system, state, hooks, vars, port: 0, apart });
  return { system, state, ...running, ...(system === "relay" ? RELAY : BASELINE) };
}

async function call({ port, token }, method, target, body) {
  const response = await fetch(`http://127.0.0.1:${port}${target}`, {
    method,
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  if (!response.ok) throw new Error(`${method} ${target}: ${response.status} ${await response.text()}`);
  return response.json();
}

/** @satisfies {ThisType<{ state: string, port: number, token: string }>} */
const BASELINE = {
  /** Makes a workspace with a webhook for each URL; returns how to post its events. */
  async makeWorkspace(name, urls) {
    await call(
      this,
      "PUT",
      `/${name}/webhooks`,
      urls.map((url, index) => ({ id: `wh_${index}`, url, secret: SECRET })),
    );
    return { path: `/${name}/events`, token: this.token, workspace: name };
  },
  /** The counts of the first webhook's object. */
  readCounts({ workspace }) {
    return call(this, "GET", `/${workspace}/counts`);
  },
  bytesStored() {
    return bytesIn(this.state, "do");
  },
};

const RELAY = {
  call(method, target, body) {
    return call({ port: this.port, token: OPERATOR_TOKEN }, method, target, body);
  },
  async makeWorkspace(name, urls) {
    const workspace = `ws_${name}`;
    const base = `/v1/workspaces/${workspace}`;
    await this.call("POST", "/v1/workspaces", { id: workspace, name });
    // Concurrently, because the relay writes a workspace's changes to KV once a second.
    const made = urls.map((url) => this.call("POST", `${base}/webhooks`, { url, events: EVENT_TYPES, secret: SECRET }));
    const webhooks = (await Promise.all(made)).map(({ id }) => id);
    // With a key, as producers do: the relay looks it up in the snapshot.
    const { key } = await this.call("POST", `${base}/keys`, { name: "bench", scopes: ["events:write"] });
    return { path: `${base}/events`, token: key, workspace, webhooks };
  },
  readCounts({ workspace, webhooks }) {
    return this.call("GET", `/test/rows/${workspace}/${webhooks[0]}`);
  },
  bytesStored() {
    return bytesIn(this.state, "WebhookObject");
  },
  /** The rows of the log, each of which the purge deletes. */
  rowsKept() {
    return databasesIn(this.state, "WebhookObject")
      .map((file) => rowsIn(file, ["deliveries", "segments", "event_ids"]))
      .reduce((sum, rows) => sum + rows, 0);
  },
};

/** The SQLite files of objects below a folder, if their path contains a text. */
export function databasesIn(state, text) {
  const names = readdirSync(state, { recursive: true }).map((name) => path.join(state, name));
  return names.filter((name) => name.endsWith(".sqlite") && name.includes(text) && !name.endsWith("metadata.sqlite"));
}

function bytesIn(state, text) {
  return databasesIn(state, text)
    .map(bytesOf)
    .reduce((sum, bytes) => sum + bytes, 0);
}

function rowsIn(file, tables) {
  const database = new DatabaseSync(file, { readOnly: true, timeout: 5000 });
  try {
    const counts = tables.map((table) => Number(database.prepare(`SELECT count(*) AS rows FROM ${table}`).get().rows));
    return counts.reduce((sum, rows) => sum + rows, 0);
  } finally {
    database.close();
  }
}

function bytesOf(file) {
  const database = new DatabaseSync(file, { readOnly: true, timeout: 5000 });
  try {
    const pragma = (name) => Number(Object.values(database.prepare(`PRAGMA ${name}`).get())[0]);
    return (pragma("page_count") - pragma("freelist_count")) * pragma("page_size");
  } finally {
    database.close();
  }
}
