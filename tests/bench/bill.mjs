// The cost of a million delivered events at list price, from counted usage; and what a plan includes.
import { readFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

/** The price list, with its date. */
export const PRICES = JSON.parse(
  readFileSync(path.join(path.dirname(fileURLToPath(import.meta.url)), "prices.json"), "utf8"),
);

/**
 * What one event used. `counts` are the differences over a run of `events` events: requests to the Worker, CPU of
 * workerd (Worker and objects together, of which only the Worker's is billed: an upper bound), and the object's own.
 * An alarm that ran is a request to the object; one that was set is a row. The object counts as active all the time.
 * What is kept is deleted later, row by row, and stored for a month until then. Each attempt is a line in the log.
 */
export function usageOf({ events, posts, cpu, wall, counts, attempts, rowsKept, bytesPerEvent }) {
  const used = {
    worker_requests: posts,
    worker_cpu_ms: cpu,
    kv_reads: counts.kv_reads ?? posts,
    alarms_run: counts.alarms_run,
    object_requests: counts.object_requests + counts.alarms_run,
    object_gigabyte_seconds: (wall / 1000) * PRICES.object_gigabytes,
    rows_read: counts.rows_read,
    rows_written: counts.rows_written + counts.alarms_set,
    rows_purged: rowsKept,
    log_lines: attempts,
    stored_gigabyte_months: (bytesPerEvent * events) / 1e9,
  };
  // An alarm is billed as a request.
  return Object.fromEntries(Object.entries(used).map(([name, amount]) => [name, amount / events]));
}

/**
 * Dollars for a million events, by billed item and in total.
 * @returns {Record<string, number>}
 */
export function costOf(usage) {
  /** @type {Record<string, number>} */
  const dollars = Object.fromEntries(
    Object.entries(usage).map(([name, amount]) => [name, amount * (PRICES.dollars_per_million[name] ?? 0)]),
  );
  return { ...dollars, total: Object.values(dollars).reduce((sum, part) => sum + part, 0) };
}

/** How many events each plan includes, and what runs out first. */
export function fitsIn(usage) {
  return Object.entries(PRICES.plans).map(([plan, included]) => {
    // A row that is deleted is a row written.
    const counted = { ...usage, rows_written: usage.rows_written + usage.rows_purged };
    const limits = /** @type {[string, number][]} */ (Object.entries(included)).filter(([name]) => counted[name] > 0);
    const [first, events] = limits
      .map(([name, amount]) => /** @type {[string, number]} */ ([name, amount / counted[name]]))
      .sort(([, a], [, b]) => a - b)[0];
    return { plan, events: Math.floor(events), first };
  });
}
