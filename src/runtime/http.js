// The edge to HTTP: what the relay reads of a request, and its answer, in one call each. Called by http.rs.
//
// Here and not in Rust because there each header is a call, with an object of the runtime's own behind it.

/**
 * The method, the URL and the headers that are wanted (names with a space between), one in a line: none of them can have
 * a line break.
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

/** An answer; its headers are a JSON object. */
export function respond(status, headers, body) {
  return new Response(body, { status, headers: JSON.parse(headers) });
}
