// A request with node:http, for what fetch would normalise or not send: odd paths, and bodies that never end.
import { once } from "node:events";
import http from "node:http";

const TIMEOUT_MS = 10_000;

/**
 * Sends `path` unchanged. `part` is the beginning of a body whose rest never follows; without it the request has no
 * body.
 * @param {string} origin
 * @param {string} path
 * @param {{ method?: string, token?: string, headers?: http.OutgoingHttpHeaders, part?: string | Buffer }} [init]
 */
export async function requestRaw(origin, path, { method = "GET", token, headers = {}, part } = {}) {
  const { hostname, port } = new URL(origin);
  const authorization = token === undefined ? {} : { authorization: `Bearer ${token}` };
  const request = http.request({
    hostname,
    port,
    path,
    method,
    headers: { ...authorization, ...headers },
    timeout: TIMEOUT_MS,
  });
  request.on("timeout", () => request.destroy(new Error(`no answer to ${method} ${path} within ${TIMEOUT_MS} ms`)));
  if (part === undefined) request.end();
  else {
    request.flushHeaders();
    request.write(part);
  }
  const answered = once(request, "response");
  const [response] = await answered;
  // The relay may close the connection as soon as it has refused.
  request.on("error", () => {});
  let text = "";
  for await (const chunk of response.setEncoding("utf8")) text += chunk;
  request.destroy();
  return {
    status: response.statusCode,
    headers: new Headers(
      Object.entries(response.headers).map(([name, value]) => /** @type {[string, string]} */ ([name, String(value)])),
    ),
    text,
    body: parse(text),
  };
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
