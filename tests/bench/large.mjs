// The cost of an object with 100,000 deliveries: waking up, the next due delivery, memory, a page of the log.
//
// While the relay is stopped, rows that it wrote are copied in the object's SQLite file, because posting that many
// events would take too long.
import { mkdir } from "node:fs/promises";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fillLog } from "../support/large_log.js";
import { clock, summarize } from "./figures.mjs";
import { memoryOf } from "./processes.mjs";
import { databasesIn, startSystem } from "./systems.mjs";

export const MANY = 100_000;
const FEW = 100;
const PAGES = 20;
const DUE_AFTER_MS = 10_000;

const OBJECTS = {
  few: { logged: FEW },
  logged: { logged: MANY },
  segments: { pendingInSegments: MANY },
  held: { held: MANY },
  pending: { pending: MANY },
};

/** Measures the relay with few and with many deliveries: each object on a storage of its own, so that it is alone. */
export async function measureLarge(stage, state) {
  const figures = {};
  for (const [name, filling] of Object.entries(OBJECTS))
    figures[name] = await measureFilled(stage, path.join(state, name), name, filling);
  return figures;
}

async function measureFilled(stage, state, name, filling) {
  await mkdir(state);
  const run = `large${name}`;
  // The build with test hooks tells the size of its Wasm memory.
  let relay = await startSystem("relay", state, { hooks: true });
  const target = await relay.makeWorkspace(run, [stage.url("ok", run, 0)]);
  await stage.post(relay, { targets: [target], producers: 1, batch: 1, events: 1, seconds: 5 });
  await stage.arrival(run, 1);
  // The report of the last delivery is stored shortly after the delivery arrived.
  await sleep(300);
  await relay.stop();
  const dueSoon = name === "pending" ? Date.now() + DUE_AFTER_MS : 0;
  fillLog(databasesIn(state, "WebhookObject"), target.webhooks[0], { ...filling, dueSoon });
  relay = await startSystem("relay", state, { hooks: true });
  try {
    const figures = await measureObject(relay, target);
    return dueSoon > 0 ? { ...figures, lateBy: await measureDelay(stage, run, dueSoon) } : figures;
  } finally {
    await relay.stop();
  }
}

/** How late it is sent what falls due: only the alarm sends it, which the first command after the copy arms. */
async function measureDelay(stage, run, dueSoon) {
  const before = await stage.receiver.ask({ ask: "figures", run });
  await sleep(Math.max(0, dueSoon - Date.now()));
  const due = clock();
  for (let tries = 0; tries <= 500; tries++) {
    const after = await stage.receiver.ask({ ask: "figures", run });
    if (after.count + after.duplicates > before.count + before.duplicates) return Math.max(0, after.latest - due);
    await sleep(10);
  }
  throw new Error("what fell due did not arrive");
}

async function measureObject(relay, { workspace, webhooks }) {
  const base = `/v1/workspaces/${workspace}/webhooks/${webhooks[0]}`;
  const timed = async (below) => {
    const began = clock();
    const body = await relay.call("GET", `${base}${below}`);
    return { body, took: clock() - began };
  };
  const memory = memoryOf(relay.workerd);
  const { body, took: wakeUp } = await timed("/deliveries?limit=1");
  const grown = memoryOf(relay.workerd) - memory;
  const { wasm_bytes: wasm } = await relay.readCounts({ workspace, webhooks });
  if (body.data.length !== 1) throw new Error("the log is empty");
  const pages = [];
  let cursor = "";
  for (let page = 0; page < PAGES; page++) {
    const { body, took } = await timed(`/deliveries?limit=50${cursor}`);
    pages.push(took);
    cursor = body.next_cursor === null ? "" : `&cursor=${encodeURIComponent(body.next_cursor)}`;
  }
  const lists = [];
  for (let list = 0; list < PAGES; list++) lists.push((await timed("/../../webhooks")).took);
  return { wakeUp, memory: grown, wasm, page: summarize(pages).p50, webhooks: summarize(lists).p50 };
}
