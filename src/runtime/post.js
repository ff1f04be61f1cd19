// One POST and what came of it, head and body, within one deadline: called by sender.rs.
//
// Here and not in Rust because each wait of Wasm, and each header that it hands over, costs more than all of this.

const decoder = new TextDecoder();

// Bodies up to so many bytes are read in one step where their length is announced: they arrive with the head.
const SMALL = 1024;

/** Posts, and returns the answer as JSON: sender.rs has its form. Reads at most `limit` bytes of the body. */
export async function post(url, headers, body, timeout, limit) {
  const began = Date.now();
  const deadline = deadlineAfter(timeout);
  const { signal } = deadline.abort;
  const answer = {};
  try {
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

// The deadline of what begins in this turn. Another turn may be another request's, whose timers it may not share.
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

/** Ends a deadline that nobody waits for: a pending timer would keep an object awake, and billed. */
function leave(deadline) {
  deadline.waiting -= 1;
  if (deadline.waiting > 0) return;
  clearTimeout(deadline.timer);
  // A request that could not be made ends before its turn; the next one needs a timer of its own.
  if (latest === deadline) latest = undefined;
}

/** Reads the body until its end or until enough is kept, and tells in `complete` whether it was the end. */
async function read(response, limit, answer) {
  const { body, headers } = response;
  // A status that has no body, such as 204, has no stream either.
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
    // Where the length is known, the end need not be waited for.
    while (kept <= limit && kept !== length) {
      const { done, value } = await reader.read();
      if (done) break;
      chunks.push(value);
      kept += value.length;
    }
    answer.complete = kept <= limit;
  } finally {
    // Lossy, as where the limit cuts a character in two.
    answer.body = decoder.decode((chunks.length === 1 ? chunks[0] : join(chunks, kept)).subarray(0, limit));
    // Nobody waits for the rest.
    if (!answer.complete) reader.cancel().catch(() => {});
  }
}

/** The length that a body says it has; NaN where that is not what is read. */
function lengthOf(headers) {
  if (headers.has("content-encoding") || headers.has("transfer-encoding")) return NaN;
  return Number(headers.get("content-length") ?? NaN);
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
