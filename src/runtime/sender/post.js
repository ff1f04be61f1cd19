// One POST and its answer, head and body, within one deadline. Called by sender.rs.
//
// Here and not in Rust because each await in Wasm, and each header passed to it, costs more than all of this.

const decoder = new TextDecoder();

// Bodies of at most this many bytes are read in one step if their length is announced: they arrive with the head.
const SMALL = 1024;

/** Posts, and returns the answer as the JSON of sender.rs's `Posted`, with at most `limit` bytes of the body. */
export async function post(url, headers, body, timeout, limit) {
  const began = Date.now();
  const deadline = deadlineAfter(timeout);
  const { signal } = deadline.abort;
  /** @type {Record<string, unknown>} */
  const answer = {};
  try {
    /** @type {RequestInit} */
    const init = { method: "POST", redirect: "manual", headers: JSON.parse(headers), body, signal };
    const response = await fetch(url, init);
    answer.status = response.status;
    answer.duration = Date.now() - began;
    answer.headers = [...response.headers];
    await read(response, limit, answer);
  } catch (error) {
    answer.error = `${error}`;
    answer.timed_out = signal.aborted;
    answer.invalid = error instanceof TypeError;
  } finally {
    leave(deadline);
  }
  return JSON.stringify(answer);
}

// The deadline of POSTs that begin in this turn. Another turn may belong to another request, and requests may not share
// timers.
let latest;

/** POSTs that begin together share a deadline: a timer and a signal cost as much as reading the answer. */
function deadlineAfter(timeout) {
  if (latest?.timeout !== timeout) {
    const abort = new AbortController();
    latest = { abort, timeout, waiting: 0, timer: setTimeout(() => abort.abort(), timeout) };
    queueMicrotask(() => (latest = undefined));
  }
  latest.waiting += 1;
  return latest;
}

/** Ends a deadline when the last POST leaves it: a pending timer would keep an object awake, and billed. */
function leave(deadline) {
  deadline.waiting -= 1;
  if (deadline.waiting > 0) return;
  clearTimeout(deadline.timer);
  // A request that could not be made ends within its turn; the next one needs a timer of its own.
  if (latest === deadline) latest = undefined;
}

/** Reads the body until its end or until more than `limit` bytes; `answer.complete` says whether it was the end. */
async function read(response, limit, answer) {
  const { body, headers } = response;
  // A status without a body, such as 204, has no stream.
  const length = body === null ? 0 : lengthOf(headers);
  answer.complete = length === 0;
  answer.body = "";
  if (answer.complete) return;
  if (length <= SMALL) {
    answer.body = await response.text();
    answer.complete = true;
    return;
  }
  const reader = body.getReader();
  const chunks = [];
  let kept = 0;
  try {
    // If the length is known, there is no need to wait for the end.
    while (kept <= limit && kept !== length) {
      const { done, value } = await reader.read();
      if (done) break;
      chunks.push(value);
      kept += value.length;
    }
    answer.complete = kept <= limit;
  } catch (error) {
    // An endpoint that compresses may announce its encoding on an empty answer, which does not decode.
    answer.complete = kept === 0 && isEmpty(headers, error);
    if (!answer.complete) throw error;
  } finally {
    // Lossy, as the limit may cut a character in two.
    answer.body = decoder.decode((chunks.length === 1 ? chunks[0] : join(chunks, kept)).subarray(0, limit));
    // The rest is not needed, so nothing awaits this.
    if (!answer.complete) reader.cancel().catch(() => {});
  }
}

/** The announced length of a body; NaN if there is none, or if it is not the length that is read. */
function lengthOf(headers) {
  if (headers.has("content-encoding") || headers.has("transfer-encoding")) return NaN;
  return Number(headers.get("content-length") ?? NaN);
}

/** Whether a body that failed to decode was an empty one, and not one that broke off before its first byte. */
function isEmpty(headers, error) {
  if (!headers.has("content-encoding")) return false;
  return headers.get("content-length") === "0" || /stream ended prematurely/.test(error.message);
}

function join(chunks, length) {
  const joined = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    joined.set(chunk, at);
    at += chunk.length;
  }
  return joined;
}
