// The baseline *textbook*: a Durable Object per webhook as the platform's own examples do it.
//
// A row with a TEXT id and an index on its due time, an alarm set for each event, the alarm sends, an UPDATE and a row
// in an attempts table for the result. Durable like the relay, without its leases, backlog bounds, keys and logs.
import { DurableObject } from "cloudflare:workers";
import { makePayload, sendSigned } from "./signing.js";

const SENDS = 6;

export class Webhook extends DurableObject {
  constructor(context, env) {
    super(context, env);
    this.sql = context.storage.sql;
    this.counted = { rows_written: 0, rows_read: 0, alarms_set: 0, object_requests: 0, alarms_run: 0 };
    this.run("CREATE TABLE IF NOT EXISTS settings (id INTEGER PRIMARY KEY, value TEXT)");
    this.run(
      "CREATE TABLE IF NOT EXISTS deliveries (id TEXT PRIMARY KEY, type TEXT, body TEXT, status TEXT, attempts INTEGER, due INTEGER)",
    );
    this.run("CREATE INDEX IF NOT EXISTS due ON deliveries (status, due)");
    this.run("CREATE TABLE IF NOT EXISTS attempts (id TEXT PRIMARY KEY, delivery TEXT, at INTEGER, ok INTEGER)");
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
    this.run("INSERT OR REPLACE INTO settings VALUES (1, ?)", JSON.stringify(settings));
  }

  async accept(payloads) {
    this.counted.object_requests += 1;
    for (const { id, type, body } of payloads) {
      this.run("INSERT INTO deliveries VALUES (?, ?, ?, 'pending', 0, ?)", id, type, body, Date.now());
      await this.ctx.storage.setAlarm(Date.now() + 1);
      this.counted.alarms_set += 1;
    }
  }

  async alarm() {
    this.counted.alarms_run += 1;
    const settings = JSON.parse(this.run("SELECT value FROM settings")[0].value);
    for (;;) {
      const due = this.run(
        "SELECT * FROM deliveries WHERE status = 'pending' AND due <= ? ORDER BY due LIMIT ?",
        Date.now(),
        SENDS,
      );
      if (due.length === 0) break;
      await Promise.all(due.map((delivery) => this.attempt(settings, delivery)));
    }
    const [next] = this.run("SELECT MIN(due) AS due FROM deliveries WHERE status = 'pending'");
    if (next.due !== null) {
      await this.ctx.storage.setAlarm(Math.max(next.due, Date.now() + 1));
      this.counted.alarms_set += 1;
    }
  }

  async attempt(settings, delivery) {
    const attempt = delivery.attempts + 1;
    const ok = await sendSigned(settings, delivery, attempt).then(
      ({ response }) => response.ok,
      () => false,
    );
    this.run("INSERT INTO attempts VALUES (?, ?, ?, ?)", crypto.randomUUID(), delivery.id, Date.now(), Number(ok));
    const due = Date.now() + 60_000;
    this.run(
      "UPDATE deliveries SET status = ?, attempts = ?, due = ? WHERE id = ?",
      ok ? "delivered" : "pending",
      attempt,
      due,
      delivery.id,
    );
  }
}

export default {
  async fetch(request, env) {
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
    const webhooks = await env.SUBSCRIPTIONS.get(workspace, { type: "json", cacheTtl: 30 });
    const accepted = webhooks.map(async (webhook) => {
      const payloads = events.map(makePayload);
      await objectOf(webhook).accept(payloads);
      return payloads.map(({ id }) => id);
    });
    return Response.json({ deliveries: (await Promise.all(accepted)).flat() }, { status: 202 });
  },
};
