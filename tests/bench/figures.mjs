// The clock and the percentiles that all processes of a benchmark share.

/** Milliseconds of the machine's monotonic clock, the same in every process. */
export const clock = () => Number(process.hrtime.bigint() / 1000n) / 1000;

/** The percentiles of a list of milliseconds. */
export function summarize(values) {
  if (values.length === 0) return { p50: null, p90: null, p99: null };
  const sorted = Float64Array.from(values).sort();
  const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
  return { p50: at(0.5), p90: at(0.9), p99: at(0.99) };
}

/** The middle one of a list of numbers. */
export const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
