// Waits for something that another process or the relay does asynchronously.
//
// It polls up to a limit instead of sleeping, so a fast machine does not wait and a slow one does not fail.
import { setTimeout as sleep } from "node:timers/promises";

const POLL_EVERY_MS = 20;

/**
 * Calls `check` until it returns something truthy without throwing, and returns that.
 * On timeout it throws the last error, so that the report shows a failed assertion inside `check`.
 */
export async function eventually(check, { timeout = 10_000 } = {}) {
  const deadline = Date.now() + timeout;
  for (;;) {
    let failure;
    try {
      const result = await check();
      if (result) return result;
      failure = new Error(`still not so after ${timeout} ms: ${check}`);
    } catch (error) {
      failure = error;
    }
    if (Date.now() >= deadline) throw failure;
    await sleep(POLL_EVERY_MS);
  }
}
