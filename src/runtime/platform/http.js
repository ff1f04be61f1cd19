// The edge to HTTP: reads a request and makes an answer, in one call each. Called by http.rs.
//
// Here and not in Rust because from there each header costs a call, and an object of the runtime.

/**
 * Returns the method, the URL and the `wanted` headers (names separated by spaces), one per line: none of them can
 * contain a line break.
 */
export function describe(request, wanted) {
  let lines = `${request.method}\n${request.url}`;
  const { headers } = request;
  for (const name of wanted.split(" ")) {
    const value = headers.get(name);
    if (value !== null) lines += `\n${name}:${value}`;
  }
  return lines;
}

/** Makes an answer; `headers` is a JSON object, or a list of pairs if a name repeats; `body` a text, bytes or undefined. */
export function respond(status, headers, body) {
  return new Response(body, { status, headers: JSON.parse(headers) });
}
