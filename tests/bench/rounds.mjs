// Several rounds of a scenario as one: what counts is the median, as a host is slow for seconds at a time.
import { median } from "./figures.mjs";

// Of these the worst round counts.
const FAULTS = new Set(["behind", "duplicates"]);

/** The median of each figure of a system; of what is no figure, the first round's. */
export function mergeRounds(rounds, name = "") {
  const [first] = rounds;
  if (typeof first === "number") return FAULTS.has(name) ? Math.max(...rounds) : median(rounds);
  if (typeof first !== "object" || first === null || Array.isArray(first)) return first;
  const merged = Object.keys(first).map((key) => [
    key,
    mergeRounds(
      rounds.map((round) => round[key]),
      key,
    ),
  ]);
  return Object.fromEntries(merged);
}
