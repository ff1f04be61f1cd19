// One POST and what came of it, head and body, within one deadline: called by sender.rs.
//
// Here and not in Rust because each wait of Wasm, and each header that it hands over, costs more than all of this.

const decoder = new TextDecoder();

/** Posts, and returns the answer as JSON: sender.rs has its form. Reads at most `limit` bytes of the body. */
export async function post(url, headers, body, timeout, limit) {
  const began = Date.now();
  const abort = new AbortController();
  // Cleared at the end: a pending timer would keep an object awake, and billed.
  const timer = setTimeout(() => abort.abort(), timeout);
  const answer = {};
  try {
    const init = { method: "POST", redirect: "manual", headers: JSON.parse(headers), body, signal: abort.signal };
    const response = await fetch(url, init);
    answer.status = response.status;
    answer.duration = Date.now() - began;
    answer.headers = [...response.headers];
    await read(response, limit, answer);
  } catch (error) {
    answer.error = `${error}`;
    answer.timed_out = abort.signal.aborted;
    answer.invalid = error instanceof TypeError;
  } finally {
    clearTimeout(timer);
  }
  if (!answer.complete) abort.abort();
  return JSON.stringify(answer);
}

/** Reads the body until its end or until enough is kept, and tells in `complete` whether it was the end. */
async function read({ body, headers }, limit, answer) {
  // A status that has no body, such as 204, has no stream either.
  answer.complete = body === null;
  answer.body = "";
  if (answer.complete) return;
  // Where the length is known, the end need not be waited for.
  const length = headers.has("content-encoding") ? NaN : Number(headers.get("content-length") ?? NaN);
  const reader = body.getReader();
  const chunks = [];
  let kept = 0;
  try {
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
  }
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
