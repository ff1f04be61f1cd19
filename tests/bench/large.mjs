// The cost of an object with 100,000 deliveries: waking up, the next due delivery, memory, a page of the log.
//
// While the relay is stopped, rows that it wrote are copied in the object's SQLite file, because posting that many
// events would take too long.
import { setTimeout as sleep } from "node:timers/promises";
import { DatabaseSync } from "node:sqlite";
import { clock, summarize } from "./figures.mjs";
import { memoryOf } from "./processes.mjs";
import { databasesIn, startSystem } from "./systems.mjs";

export const MANY = 100_000;
const FEW = 100;
const PAGES = 20;
const HOUR_MS = 3_600_000;
const DUE_AFTER_MS = 10_000;
// Of MEMBERS_LIMIT in src/domain/segment.rs.
const MEMBERS = 16;
// Of src/runtime/webhook_object/store/places.rs.
const SETTLED = 2n ** 52n;
const PLACES_A_MS = 2n ** 10n;
// Spread over the last hour.
const BETWEEN_MS = 36;

const idOf = (time, number) =>
  `evt_${Math.floor(time).toString(16).padStart(12, "0")}7${number.toString(16).padStart(19, "0")}`;

/** Copies a delivered event into full segments of the log. */
function fillLog(database, { member, payload }, count, from) {
  const insert = database.prepare("INSERT INTO segments (place, first, members, payloads) VALUES (?, ?, ?, ?)");
  for (let first = 0; first < count; first += MEMBERS) {
    const numbers = Array.from({ length: Math.min(MEMBERS, count - first) }, (_, index) => first + index);
    // With the time of its first delivery, as if all had been posted together.
    const members = numbers.map((number) => ({
      ...member,
      id: idOf(from + first * BETWEEN_MS, number),
      event_id: `copy-${number}`,
    }));
    const place = SETTLED + BigInt(Math.floor(from + first * BETWEEN_MS)) * PLACES_A_MS;
    insert.run(place, members[0].id, JSON.stringify(members), `[${numbers.map(() => payload).join(",")}]`);
  }
}

/** Copies the event as deliveries that wait for a retry. */
function fillPending(database, { member, payload }, count, due, from) {
  const insert = database.prepare(
    "INSERT INTO deliveries (settled, id, status, kind, type, event_id, bytes, delivery, attempts, request, payload) VALUES (0, ?, 'pending', 'event', ?, ?, ?, ?, ?, NULL, ?)",
  );
  const delivery = JSON.stringify({ ...member.delivery, state: { scheduled: { due } } });
  for (let number = 0; number < count; number++) {
    insert.run(
      idOf(from + number * BETWEEN_MS, number),
      member.type,
      `copy-${number}`,
      member.bytes,
      delivery,
      JSON.stringify(member.attempts),
      payload,
    );
  }
}

function fill(state, webhook, { logged = 0, pending = 0, dueSoon = 0 }) {
  for (const file of databasesIn(state, "WebhookObject")) {
    const database = new DatabaseSync(file);
    try {
      const settings = database.prepare("SELECT value FROM meta WHERE key = 'settings'").get();
      const owner = database.prepare("SELECT payload FROM deliveries WHERE kind = 'ping'").get();
      if (settings === undefined || !String(owner?.payload).includes(webhook)) continue;
      const row = database.prepare("SELECT members, payloads FROM segments WHERE place >= ?").get(SETTLED);
      const source = {
        member: JSON.parse(String(row.members))[0],
        payload: JSON.stringify(JSON.parse(String(row.payloads))[0]),
      };
      const from = Date.now() - 1.2 * HOUR_MS;
      database.exec("BEGIN");
      if (logged > 0) {
        fillLog(database, source, logged, from);
        // Their counts are already folded: an object recounts at most the last few.
        const hour = JSON.stringify({
          through: Date.now(),
          tally: { delivered: logged, failed: 0, attempts: logged, durations: { 1: logged } },
        });
        database
          .prepare("INSERT OR REPLACE INTO stats (hour, value) VALUES (?, ?)")
          .run(Math.floor(Date.now() / HOUR_MS), hour);
      }
      if (pending > 0) fillPending(database, source, pending, Date.now() + HOUR_MS, from);
      if (dueSoon) fillPending(database, source, 1, dueSoon, from - 1000);
      database.exec("COMMIT");
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
  // The report of the last delivery is stored shortly after the delivery arrived.
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
    // Only the alarm sends what falls due; the first command after the copy arms it.
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
