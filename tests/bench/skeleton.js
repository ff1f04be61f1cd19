// The baseline *skeleton*: the relay's calls and rows in JavaScript without its rules, the ceiling of its design.
//
// The Worker asks the webhook's object to store an event, answers, sends what it was leased, and reports it together.
// The object stores what arrives together in one row, leases it to the first of those who brought it, and writes the row
// again when it is reported. It checks nothing, bounds nothing and retries nothing.
import { DurableObject } from "cloudflare:workers";
import { makePayload, sendSigned } from "./signing.js";

const LEASE_MS = 15_000;
const SNAPSHOT_KEPT_MS = 5_000;

/** @type {Map<string, { webhooks: { id: string }[], until: number }>} */
const snapshots = new Map();

export class Webhook extends DurableObject {
  constructor(context, env) {
    super(context, env);
    this.sql = context.storage.sql;
    this.counted = { rows_written: 0, rows_read: 0, alarms_set: 0, object_requests: 0, alarms_run: 0 };
    this.leasedUntil = 0;
    this.group = undefined;
    this.run("CREATE TABLE IF NOT EXISTS settings (id INTEGER PRIMARY KEY, value TEXT)");
    this.run("CREATE TABLE IF NOT EXISTS segments (place INTEGER PRIMARY KEY, members TEXT, payloads TEXT)");
    const [settings] = this.run("SELECT value FROM settings");
    this.settings = settings && JSON.parse(settings.value);
  }

  run(statement, ...parameters) {
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
    this.run("INSERT OR REPLACE INTO settings VALUES (1, ?)", JSON.stringify(settings));
  }

  /** Stores payloads; answers the first call of a group with the leases of all. */
  async accept(command) {
    this.counted.object_requests += 1;
    const isFirst = this.group === undefined;
    this.group ??= this.beginGroup();
    const group = this.group;
    group.payloads.push(...JSON.parse(command));
    await group.stored;
    const { settings } = this;
    return isFirst ? JSON.stringify({ settings, place: group.place, payloads: group.payloads }) : "{}";
  }

  beginGroup() {
    const group = { payloads: [], place: 0, stored: scheduler.wait(0).then(() => this.store(group)) };
    return group;
  }

  async store(group) {
    this.group = undefined;
    const members = JSON.stringify(group.payloads.map(({ id, type }) => ({ id, type, status: "leased" })));
    const payloads = JSON.stringify(group.payloads.map(({ body }) => body));
    const insert = "INSERT INTO segments (members, payloads) VALUES (?, ?) RETURNING place";
    [{ place: group.place }] = this.run(insert, members, payloads);
    if (this.leasedUntil > Date.now()) return;
    this.leasedUntil = Date.now() + LEASE_MS;
    this.counted.alarms_set += 1;
    await this.ctx.storage.setAlarm(this.leasedUntil);
  }

  report(command) {
    this.counted.object_requests += 1;
    const { place, members } = JSON.parse(command);
    this.run("UPDATE segments SET members = ? WHERE place = ?", JSON.stringify(members), place);
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

/** Sends what was leased, and reports all of it in one call. */
async function send(object, { settings, place, payloads }) {
  const attempt = async ({ id, type, body }) => {
    const began = Date.now();
    const ok = await sendSigned(settings, { id, type, body }, 1).catch(() => false);
    const member = { id, type, status: ok ? "delivered" : "failed", at: began, duration_ms: Date.now() - began };
    console.log(JSON.stringify({ message: "attempt", webhook_id: settings.id, ...member }));
    return member;
  };
  const members = await Promise.all(payloads.map(attempt));
  await object.report(JSON.stringify({ place, members }));
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
    const accepted = webhooks.map(async (webhook) => {
      const payloads = events.map(makePayload);
      const object = objectOf(webhook);
      const leased = JSON.parse(await object.accept(JSON.stringify(payloads)));
      if (leased.payloads) context.waitUntil(send(object, leased));
      return payloads.map(({ id }) => id);
    });
    return Response.json({ deliveries: (await Promise.all(accepted)).flat() }, { status: 202 });
  },
};
