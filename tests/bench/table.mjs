// Formats the figures of a benchmark.
import { PRICES, costOf, fitsIn } from "./bill.mjs";

/**
 * @typedef {{ p50: number, p90: number, p99: number }} Percentiles
 * @typedef {object} Row the figures of a system in a scenario
 * @property {string} system
 * @property {number} acceptedPerSecond
 * @property {number} deliveredPerSecond
 * @property {Percentiles} accept
 * @property {Percentiles} endToEnd
 * @property {number} behind
 * @property {number} cpuPerEvent
 * @property {number} bytesPerEvent
 * @property {{ forwarder?: number, skeleton?: number, textbook?: number }} ratios
 */

/** @type {[string, (row: Row) => string][]} */
const COLUMNS = [
  ["system", ({ system }) => system],
  ["accepted/s", (row) => whole(row.acceptedPerSecond)],
  ["delivered/s", (row) => whole(row.deliveredPerSecond)],
  ["accept p50/p90/p99 ms", ({ accept }) => percentiles(accept)],
  ["end to end p50/p90/p99 ms", ({ endToEnd }) => percentiles(endToEnd)],
  ["behind", ({ behind }) => String(behind)],
  ["CPU ms", (row) => row.cpuPerEvent.toFixed(2)],
  ["bytes", (row) => whole(row.bytesPerEvent)],
  ["delivered: ratio to forwarder", (row) => ratio(row.ratios.forwarder)],
  ["to skeleton", (row) => ratio(row.ratios.skeleton)],
  ["to textbook", (row) => ratio(row.ratios.textbook)],
];

const whole = (value) => String(Math.round(value));
const ratio = (value) => (value === undefined ? "" : value.toFixed(2));
const percentiles = ({ p50, p90, p99 }) =>
  [p50, p90, p99].map((value) => (value >= 100 ? whole(value) : value.toFixed(1))).join(" / ");
const dollars = (value) => `$${value.toFixed(2)}`;

/** A Markdown table. */
export function table(head, rows) {
  const widths = head.map((name, column) => Math.max(name.length, ...rows.map((row) => row[column].length)));
  const line = (cells) => `| ${cells.map((cell, column) => cell.padEnd(widths[column])).join(" | ")} |`;
  return [line(head), `| ${widths.map((width) => "-".repeat(width)).join(" | ")} |`, ...rows.map(line)].join("\n");
}

/** The scenarios as a table, a row for each system. */
export function showScenarios(measured) {
  const rows = measured.flatMap(({ scenario, results }) =>
    results.map((result, index) => [index === 0 ? scenario : "", ...COLUMNS.map(([, show]) => show(result))]),
  );
  return table(["scenario", ...COLUMNS.map(([name]) => name)], rows);
}

/** The objects with many deliveries. */
export function showLarge(large) {
  const rows = Object.entries(large).map(([name, { wakeUp, memory, wasm, page, lateBy }]) => [
    {
      few: "100 logged",
      logged: "100,000 logged",
      pending: "100,000 pending",
      segments: "100,000 pending in segments",
      held: "100,000 held",
    }[name],
    wakeUp.toFixed(1),
    (memory / 1e6).toFixed(1),
    (wasm / 1e6).toFixed(1),
    page.toFixed(2),
    lateBy === undefined ? "" : lateBy.toFixed(1),
  ]);
  return table(
    [
      "one object of the relay with",
      "wake-up ms",
      "memory grows MB",
      "Wasm memory MB",
      "page of 50, p50 ms",
      "next due is late by ms",
    ],
    rows,
  );
}

/** How fast second attempts are made. */
export function showRetries(retries) {
  const rows = retries.map(({ subrequests, perSecond, most }) => [String(subrequests), whole(perSecond), String(most)]);
  return table(["SUBREQUESTS", "second attempts/s, endpoint at 100 ms", "at most at a time"], rows);
}

/** The counts and their cost. */
export function showBill(billed) {
  const rows = billed.map(({ name, system, usage }) => {
    const cost = costOf(usage);
    return [
      `${system}, ${name}`,
      usage.rows_written.toFixed(2),
      usage.rows_purged.toFixed(2),
      usage.rows_read.toFixed(1),
      usage.object_requests.toFixed(2),
      usage.alarms_run.toFixed(2),
      usage.kv_reads.toFixed(2),
      dollars(cost.worker_requests + cost.worker_cpu_ms),
      dollars(cost.kv_reads),
      dollars(cost.object_requests + cost.object_gigabyte_seconds),
      dollars(cost.rows_written + cost.rows_read),
      dollars(cost.rows_purged + cost.stored_gigabyte_months),
      dollars(cost.log_lines),
      dollars(cost.total),
      ...fitsIn(usage).map(({ events, first }) => `${events.toLocaleString("en")} (${first})`),
    ];
  });
  const head = [
    "for each event",
    "rows written",
    "purged later",
    "rows read",
    "object requests",
    "of them alarms",
    "KV reads",
  ];
  const prices = ["Worker $/M", "KV $/M", "objects $/M", "rows $/M", "keeping 30 days $/M", "log $/M", "in all $/M"];
  return table([...head, ...prices, ...Object.keys(PRICES.plans).map((plan) => `fits: ${plan}`)], rows);
}
