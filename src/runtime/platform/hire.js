// Hiring a Sender (src/entry.js): a request to an entrypoint of this Worker, without a binding.
//
// A request and not a call: a call to an entrypoint beside an object class has crashed (workerd #6453).

/** Hands a Sender its leases. Returns whether it took them; undefined if it did not answer within `timeout`. */
export async function hire(state, body, timeout) {
  let timer;
  const late = new Promise((resolve) => (timer = setTimeout(resolve, timeout)));
  try {
    // The address means nothing, but a request has one.
    const answer = await Promise.race([state.exports.Sender.fetch("https://sender/", { method: "POST", body }), late]);
    return answer?.ok;
  } finally {
    clearTimeout(timer);
  }
}
