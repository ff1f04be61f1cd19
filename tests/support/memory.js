// The memory of workerd, as Linux counts it.
import { readFileSync, readdirSync } from "node:fs";

function parentOf(pid) {
  try {
    // The program's name is in parentheses and may have spaces; the parent is the second field after it.
    return Number(readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1).split(" ")[1]);
  } catch {
    // The process has ended meanwhile.
    return undefined;
  }
}

const nameOf = (pid) => readFileSync(`/proc/${pid}/comm`, "utf8").trim();

/** The largest memory, in MB, that workerd under the process `pid` has had so far. */
export function peakMemory(pid = process.pid) {
  const children = readdirSync("/proc").filter(
    (name) => /^\d+$/.test(name) && parentOf(name) === pid && nameOf(name) === "workerd",
  );
  const peaks = children.map((child) =>
    Number(readFileSync(`/proc/${child}/status`, "utf8").match(/^VmHWM:\s+(\d+) kB$/m)[1]),
  );
  if (peaks.length === 0) throw new Error(`no workerd runs under process ${pid}`);
  return Math.round(Math.max(...peaks) / 1024);
}
