// The baseline *skeleton*: the relay's calls and rows in JavaScript without its rules, the ceiling of its design.
//
// The Worker asks the webhook's object to store an event, answers, sends what it was leased, six at a time, and reports it
// together; posts and reports share calls as the relay's do. The object stores up to 16 that arrive together in one row,
// leases six to each of those who brought them, and writes the row again within 20 ms of a report. Its rows say of an
// event and its attempt what the relay's do, and its answers have the headers that the contract asks for. It checks
// nothing, bounds nothing else and retries nothing.
import { DurableObject } from "cloudflare:workers";
import { share } from "../../src/runtime/platform/shared_calls.js";
import { makePayload, sendSigned } from "./signing.js";

const LEASE_MS = 15_000;
const LEASES = 6;
const SEGMENT = 16;
const SETTLED_WITHIN_MS = 20;
const SNAPSHOT_KEPT_MS = 5_000;
const ANSWERED_WITHIN_MS = 5_000;

/** @type {Map<string, { webhooks: { id: string }[], until: number }>} */
const snapshots = new Map();

export class Webhook extends DurableObject {
  constructor(context, env) {
    super(context, env);
    this.sql = context.storage.sql;
    this.counted = { rows_written: 0, rows_read: 0, alarms_set: 0, object_requests: 0, alarms_run: 0 };
    this.leasedUntil = 0;
    this.group = undefined;
    this.segments = new Map();
    this.changed = new Set();
    this.query("CREATE TABLE IF NOT EXISTS settings (id INTEGER PRIMARY KEY, value TEXT)");
    this.query("CREATE TABLE IF NOT EXISTS segments (place INTEGER PRIMARY KEY, members TEXT, payloads TEXT)");
    const [settings] = this.query("SELECT value FROM settings");
    this.settings = settings && JSON.parse(settings.value);
  }

  query(statement, ...parameters) {
    const cursor = this.sql.exec(statement, ...parameters);
    const rows = cursor.toArray();
    this.counted.rows_written += cursor.rowsWritten;
    this.counted.rows_read += cursor.rowsRead;
    return rows;
  }

  count() {
    return this.counted;
  }

  save(settings) {
    this.settings = settings;
    this.query("INSERT OR REPLACE INTO settings VALUES (1, ?)", JSON.stringify(settings));
  }

  obey(command) {
    this.counted.object_requests += 1;
    return this.run(command);
  }

  obeyAll(commands) {
    this.counted.object_requests += 1;
    return Promise.all(commands.map((command) => this.run(command)));
  }

  run(command) {
    const { payloads, reported } = JSON.parse(command);
    return payloads ? this.accept(payloads) : this.report(reported);
  }

  /** Stores payloads; answers the first calls of a group with the leases of all, six each or as many as they brought. */
  async accept(payloads) {
    this.group ??= this.beginGroup();
    const { group } = this;
    const first = group.taken;
    group.taken += Math.max(LEASES, payloads.length);
    const { taken } = group;
    group.payloads.push(...payloads);
    await group.stored;
    const leased = group.leased.slice(first, taken);
    return leased.length > 0 ? JSON.stringify({ settings: this.settings, leased }) : "{}";
  }

  beginGroup() {
    const group = { payloads: [], taken: 0, leased: [], stored: scheduler.wait(0).then(() => this.store(group)) };
    return group;
  }

  async store(group) {
    this.group = undefined;
    for (let first = 0; first < group.payloads.length; first += SEGMENT) {
      const payloads = group.payloads.slice(first, first + SEGMENT);
      const members = payloads.map(({ id, type, event_id }) => ({
        id,
        event_id,
        type,
        status: "leased",
        attempts: [],
      }));
      const insert = "INSERT INTO segments (members, payloads) VALUES (?, ?) RETURNING place";
      const bodies = JSON.stringify(payloads.map(({ body }) => body));
      const [{ place }] = this.query(insert, JSON.stringify(members), bodies);
      this.segments.set(place, members);
      group.leased.push(...payloads.map((payload) => ({ place, ...payload })));
    }
    this.flush();
    if (this.leasedUntil > Date.now()) return;
    this.leasedUntil = Date.now() + LEASE_MS;
    this.counted.alarms_set += 1;
    await this.ctx.storage.setAlarm(this.leasedUntil);
  }

  /** Keeps results, and answers when they are written: with what arrives next, or in a moment. */
  async report(attempts) {
    for (const { place, ...attempt } of attempts) {
      const members = this.segments.get(place);
      members[members.findIndex(({ id }) => id === attempt.id)] = attempt;
      this.changed.add(place);
    }
    this.written ??= Promise.withResolvers();
    const { promise } = this.written;
    this.due ??= scheduler.wait(SETTLED_WITHIN_MS).then(() => this.flush());
    await promise;
    return "{}";
  }

  flush() {
    for (const place of this.changed) {
      const members = this.segments.get(place);
      this.query("UPDATE segments SET members = ? WHERE place = ?", JSON.stringify(members), place);
      if (members.every(({ status }) => status !== "leased")) this.segments.delete(place);
    }
    this.changed.clear();
    this.written?.resolve();
    this.written = this.due = undefined;
  }

  alarm() {
    this.counted.alarms_run += 1;
    this.counted.object_requests += 1;
  }
}

async function readWebhooks(env, workspace) {
  const kept = snapshots.get(workspace);
  if (kept !== undefined && kept.until > Date.now()) return kept.webhooks;
  const webhooks = await env.SUBSCRIPTIONS.get(workspace, { type: "json", cacheTtl: 30 });
  snapshots.set(workspace, { webhooks, until: Date.now() + SNAPSHOT_KEPT_MS });
  return webhooks;
}

/** Sends what was leased as soon as a connection is free, and reports six together. */
async function send(ask, { settings, leased }, connections) {
  const attempt = async ({ place, id, type, event_id, body }) => {
    await connections.take();
    const began = Date.now();
    const answer = await sendSigned(settings, { id, type, body }, 1).catch(() => undefined);
    const duration = Date.now() - began;
    connections.free();
    const outcome = answer?.response.ok ? "delivered" : "failed";
    const line = { attempt: 1, outcome, response_status: answer?.response.status, duration_ms: duration };
    console.log(
      JSON.stringify({ message: "attempt", webhook_id: settings.id, delivery_id: id, event_type: type, ...line }),
    );
    const answered = answer && {
      response_headers: Object.fromEntries(answer.response.headers),
      response_body: answer.text,
    };
    return { place, id, event_id, type, status: outcome, attempts: [{ ...line, started_at: began, ...answered }] };
  };
  const sixes = Array.from({ length: Math.ceil(leased.length / LEASES) }, (_, six) =>
    leased.slice(six * LEASES, (six + 1) * LEASES),
  );
  const report = async (six) => ask({ reported: await Promise.all(six.map(attempt)) }, false);
  await Promise.all(sixes.map(report));
}

/** The connections of an invocation. */
class Connections {
  left = LEASES;
  waiting = [];

  take() {
    if (this.left === 0) return new Promise((resolve) => this.waiting.push(resolve));
    this.left -= 1;
  }

  free() {
    const next = this.waiting.shift();
    if (next === undefined) this.left += 1;
    else next();
  }
}

export default {
  async fetch(request, env, context) {
    const [, workspace, what] = new URL(request.url).pathname.split("/");
    const objectOf = ({ id }) => env.WEBHOOKS.getByName(`${workspace}/${id}`);
    if (what === "webhooks") {
      const webhooks = await request.json();
      await Promise.all(webhooks.map((webhook) => objectOf(webhook).save(webhook)));
      await env.SUBSCRIPTIONS.put(workspace, JSON.stringify(webhooks.map(({ id }) => ({ id }))));
      return Response.json({});
    }
    if (what === "counts") {
      const [webhook] = await env.SUBSCRIPTIONS.get(workspace, "json");
      return Response.json(await objectOf(webhook).count());
    }
    if (request.headers.get("authorization") !== `Bearer ${env.TOKEN}`) return new Response(null, { status: 401 });
    const posted = await request.json();
    const events = Array.isArray(posted) ? posted : [posted];
    const webhooks = await readWebhooks(env, workspace);
    const ids = events.map(() => `ev_${crypto.randomUUID().replaceAll("-", "")}`);
    const connections = new Connections();
    const accepted = webhooks.map(async (webhook) => {
      const payloads = events.map((event, place) => ({ ...makePayload(event), event_id: ids[place] }));
      const object = objectOf(webhook);
      const key = `${workspace}/${webhook.id}`;
      const ask = (command, hurries) => share(object, key, JSON.stringify(command), hurries, ANSWERED_WITHIN_MS);
      const reply = JSON.parse(await ask({ payloads }, true));
      if (reply.leased) context.waitUntil(send(ask, reply, connections));
      return payloads.map(({ id }) => id);
    });
    const deliveries = (await Promise.all(accepted)).flat();
    const headers = {
      "cache-control": "no-store",
      "x-content-type-options": "nosniff",
      "x-request-id": crypto.randomUUID(),
    };
    return Response.json({ deliveries }, { status: 202, headers });
  },
};
