// The processes of a benchmark: systems, receiver, load generator; each is killed by its id.
import { fork } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

const FOLDER = path.dirname(fileURLToPath(import.meta.url));
const READY_TIMEOUT_MS = 30_000;
// USER_HZ, the same on every Linux that Node runs on.
const TICKS_PER_SECOND = 100;
const MESSAGE_TIMEOUT_MS = 120_000;
const PAGE_BYTES = 4096;

/** Starts a program of this folder and waits for its first message. */
export async function startProcess(file, options) {
  // Detached: the leader of a group, so that one signal reaches workerd too.
  const child = fork(path.resolve(FOLDER, file), options === undefined ? [] : [JSON.stringify(options)], {
    detached: true,
  });
  const ended = once(child, "exit");
  const stop = async (signal = "SIGTERM") => {
    if (child.exitCode === null && child.signalCode === null)
      process.kill(signal === "SIGKILL" ? -child.pid : child.pid, signal);
    await ended;
  };
  const receive = async (timeout) => {
    const failed = ended.then(([code, signal]) => Promise.reject(new Error(`${file} ended (${signal ?? code})`)));
    const [message] = await Promise.race([once(child, "message", { signal: AbortSignal.timeout(timeout) }), failed]);
    return message;
  };
  const first = await receive(READY_TIMEOUT_MS);
  const ask = async (message) => {
    const answer = receive(MESSAGE_TIMEOUT_MS);
    child.send(message);
    return answer;
  };
  return { ...first, ask, stop };
}

/** CPU time of a process so far, in milliseconds. */
export function cpuOf(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, "latin1").split(") ")[1].split(" ");
  return ((Number(fields[11]) + Number(fields[12])) * 1000) / TICKS_PER_SECOND;
}

/** Resident memory of a process, in bytes. */
export function memoryOf(pid) {
  return Number(readFileSync(`/proc/${pid}/statm`, "latin1").split(" ")[1]) * PAGE_BYTES;
}
