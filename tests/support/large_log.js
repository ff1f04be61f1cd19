// Makes a webhook's log long: rows that the relay wrote are copied in its object's SQLite file while the relay is
// stopped, because posting that many events would take too long.
import { DatabaseSync } from "node:sqlite";

const HOUR_MS = 3_600_000;
// Of MEMBERS_LIMIT in src/domain/segment.rs.
export const MEMBERS = 16;
// Of src/machines/webhook/tables/places.rs.
const SETTLED = 2n ** 52n;
const PLACES_A_MS = 2n ** 10n;
// Spread over the last hour.
const BETWEEN_MS = 36;

const idOf = (time, number) =>
  `evt_${Math.floor(time).toString(16).padStart(12, "0")}7${number.toString(16).padStart(19, "0")}`;

/** Copies an event into full segments: delivered ones of the log, or pending ones. */
function fillSegments(database, { member, payload }, count, from, { pending = false } = {}) {
  const insert = database.prepare("INSERT INTO segments (place, first, members, payloads) VALUES (?, ?, ?, ?)");
  const untried = (due) => ({
    delivery: { ...member.delivery, state: { scheduled: { due } }, attempts: 0, leases: 0 },
    attempts: [],
  });
  for (let first = 0; first < count; first += MEMBERS) {
    const numbers = Array.from({ length: Math.min(MEMBERS, count - first) }, (_, index) => first + index);
    // With the time of its first delivery, as if all had been posted together.
    const members = numbers.map((number) => ({
      ...member,
      ...(pending ? untried(Date.now() + HOUR_MS) : {}),
      id: idOf(from + first * BETWEEN_MS, number),
      event_id: `copy-${number}`,
    }));
    const place = (pending ? 0n : SETTLED) + BigInt(Math.floor(from + first * BETWEEN_MS)) * PLACES_A_MS;
    insert.run(place, members[0].id, JSON.stringify(members), `[${numbers.map(() => payload).join(",")}]`);
  }
}

/** Copies the event into rows of their own, in a state. */
function fillRows(
  database,
  { member, payload },
  count,
  from,
  { status, state, attempts = member.attempts, type = member.type },
) {
  const insert = database.prepare(
    "INSERT INTO deliveries (settled, id, status, kind, type, event_id, bytes, delivery, attempts, request, payload) VALUES (?, ?, ?, 'event', ?, ?, ?, ?, ?, NULL, ?)",
  );
  const delivery = JSON.stringify({ ...member.delivery, state, attempts: attempts.length, leases: attempts.length });
  const settled = Number(status === "failed" || status === "delivered");
  for (let number = 0; number < count; number++) {
    insert.run(
      settled,
      idOf(from + number * BETWEEN_MS, number),
      status,
      type,
      `copy-${number}`,
      member.bytes,
      delivery,
      JSON.stringify(attempts),
      payload,
    );
  }
}

/** The database of a webhook that has made a ping, of these files, for `work`; it is closed after. */
function onObjectOf(files, webhook, work) {
  for (const file of files) {
    const database = new DatabaseSync(file);
    try {
      const settings = database.prepare("SELECT name FROM sqlite_master WHERE name = 'segments'").get();
      if (settings === undefined) continue;
      const owner = database.prepare("SELECT payload FROM deliveries WHERE kind = 'ping'").get();
      if (!String(owner?.payload).includes(webhook)) continue;
      database.exec("BEGIN");
      work(database);
      database.exec("COMMIT");
      return;
    } finally {
      database.close();
    }
  }
  throw new Error(`no object of ${webhook} was found`);
}

/**
 * Puts counts of past hours into a webhook's statistics: `hours` are pairs of how many hours ago, and the counts.
 * @param {string[]} files
 * @param {string} webhook
 * @param {[number, { delivered: number, failed: number, attempts: number, failed_attempts: number, durations: object }][]} hours
 */
export function fillHours(files, webhook, hours) {
  onObjectOf(files, webhook, (database) => {
    const insert = database.prepare("INSERT OR REPLACE INTO stats (hour, value) VALUES (?, ?)");
    const now = Math.floor(Date.now() / HOUR_MS);
    for (const [ago, tally] of hours)
      insert.run(now - ago, JSON.stringify({ through: (now - ago + 1) * HOUR_MS - 1, tally }));
  });
}

/**
 * Adds deliveries to a webhook that has made a ping and delivered an event: `logged` delivered ones, `failed` ones,
 * `pending` ones that wait for a retry, `pendingInSegments` that were never tried, `held` ones, one that falls due at
 * `dueSoon`, and an `oldest` failed one of that type, older than all others. `files` are the databases to search.
 * @param {string[]} files
 * @param {string} webhook
 */
export function fillLog(
  files,
  webhook,
  { logged = 0, failed = 0, pending = 0, pendingInSegments = 0, held = 0, dueSoon = 0, oldest = "" },
) {
  onObjectOf(files, webhook, (database) => {
    const row = database.prepare("SELECT members, payloads FROM segments WHERE place >= ?").get(SETTLED);
    const source = {
      member: JSON.parse(String(row.members))[0],
      payload: JSON.stringify(JSON.parse(String(row.payloads))[0]),
    };
    const now = Date.now();
    const from = now - 1.2 * HOUR_MS;
    const waits = (due) => ({ status: "pending", state: { scheduled: { due } } });
    const ended = { status: "failed", state: { failed: { at: now, reason: "schedule_spent" } } };
    fillSegments(database, source, logged, from);
    if (logged + failed + pending > 0) {
      // Their counts are already folded: an object recounts at most the last few.
      const hour = JSON.stringify({
        through: now,
        tally: { delivered: logged, failed, attempts: logged, durations: { 1: logged } },
      });
      database.prepare("INSERT OR REPLACE INTO stats (hour, value) VALUES (?, ?)").run(Math.floor(now / HOUR_MS), hour);
    }
    fillRows(database, source, failed, from + 1, ended);
    fillRows(database, source, pending, from, waits(now + HOUR_MS));
    fillSegments(database, source, pendingInSegments, from, { pending: true });
    fillRows(database, source, held, from, { status: "held", state: "held", attempts: [] });
    fillRows(database, source, dueSoon > 0 ? 1 : 0, from - 1000, waits(dueSoon));
    fillRows(database, source, oldest === "" ? 0 : 1, from - 2000, { ...ended, type: oldest });
  });
}
