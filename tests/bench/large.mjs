// What an object with 100,000 deliveries costs: waking up, the next that is due, memory, a page of the log.
//
// The rows are copied into the object's SQLite file while the relay is stopped, from one that it wrote itself: posting
// so many would take the whole time of a bench.
import { setTimeout as sleep } from "node:timers/promises";
import { DatabaseSync } from "node:sqlite";
import { clock, summarize } from "./figures.mjs";
import { memoryOf } from "./processes.mjs";
import { databasesIn, startSystem } from "./systems.mjs";

export const MANY = 100_000;
const FEW = 100;
const PAGES = 20;
const HOUR_MS = 3_600_000;
const DUE_AFTER_MS = 4_000;

// Spread over the last hour, before the one that is there, newest last.
const COPY = `
  WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < :count)
  INSERT INTO deliveries (settled, id, status, kind, type, event_id, bytes, delivery, attempts, request, payload)
  SELECT :settled, printf('evt_%012x7%019x', :from + n * 36, n), :status, kind, type, printf('copy-%d', n), bytes,
    iif(:settled, delivery, json_set(delivery, '$.state', json(:state))), attempts, request, payload
  FROM numbers, (SELECT * FROM deliveries WHERE settled = 1 AND kind = 'event' LIMIT 1)`;

function fill(state, webhook, { logged = 0, pending = 0, dueSoon }) {
  for (const file of databasesIn(state, "WebhookObject")) {
    const database = new DatabaseSync(file);
    try {
      const settings = database.prepare("SELECT value FROM meta WHERE key = 'settings'").get();
      const owner = database.prepare("SELECT payload FROM deliveries WHERE kind = 'ping'").get();
      if (settings === undefined || !owner?.payload.includes(webhook)) continue;
      const copy = (count, settled, due, from) => {
        const state = JSON.stringify({ scheduled: { due } });
        database.prepare(COPY).run({ count, settled, status: settled ? "delivered" : "pending", state, from });
      };
      const from = Date.now() - 1.2 * HOUR_MS;
      if (logged > 0) {
        copy(logged, 1, 0, from);
        // Their counts are folded long since: an object counts again at most the last few.
        const hour = JSON.stringify({ through: Date.now(), tally: { delivered: logged, failed: 0, attempts: logged, durations: { 1: logged } } });
        database.prepare("INSERT OR REPLACE INTO stats (hour, value) VALUES (?, ?)").run(Math.floor(Date.now() / HOUR_MS), hour);
      }
      if (pending > 0) copy(pending, 0, Date.now() + HOUR_MS, from);
      if (dueSoon) copy(1, 0, dueSoon, from - 1000);
      return;
    } finally {
      database.close();
    }
  }
  throw new Error(`no object of ${webhook} was found`);
}

/** Measures the relay with few and with many deliveries. */
export async function measureLarge(stage, state) {
  let relay = await startSystem("relay", state);
  const objects = {};
  for (const name of ["few", "logged", "pending"]) {
    const target = await relay.makeWorkspace(`large${name}`, [stage.url("ok", `large${name}`, 0)]);
    await stage.post(relay, { targets: [target], producers: 1, batch: 1, events: 1, seconds: 5 });
    await stage.arrival(`large${name}`, 1);
    objects[name] = target;
  }
  // The report of the last delivery is stored a moment after it arrived.
  await sleep(300);
  await relay.stop();
  const dueSoon = Date.now() + DUE_AFTER_MS;
  fill(state, objects.few.webhooks[0], { logged: FEW });
  fill(state, objects.logged.webhooks[0], { logged: MANY });
  fill(state, objects.pending.webhooks[0], { pending: MANY, dueSoon });
  relay = await startSystem("relay", state);
  try {
    const figures = {};
    for (const [name, target] of Object.entries(objects)) figures[name] = await measureObject(relay, target);
    // Nothing but the alarm wakes what falls due; it is armed by the first command after the copy.
    await stage.arrival("largepending", 1);
    const before = await stage.receiver.ask({ ask: "figures", run: "largepending" });
    await sleep(Math.max(0, dueSoon - Date.now()));
    const due = clock();
    for (let tries = 0; ; tries++) {
      const after = await stage.receiver.ask({ ask: "figures", run: "largepending" });
      if (after.count + after.duplicates > before.count + before.duplicates) {
        figures.pending.lateBy = Math.max(0, after.latest - due);
        break;
      }
      if (tries > 500) throw new Error("what fell due did not arrive");
      await sleep(10);
    }
    return figures;
  } finally {
    await relay.stop();
  }
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
  return { wakeUp, memory: grown, page: summarize(pages).p50, webhooks: summarize(lists).p50 };
}
