// An endpoint on 127.0.0.1 that records the bytes and times of what it receives, and answers as a case wants.
import { once } from "node:events";
import http from "node:http";
import { setTimeout as sleep } from "node:timers/promises";

const POLL_EVERY_MS = 20;

/**
 * @typedef {object} Received
 * @property {string} method
 * @property {string} url
 * @property {http.IncomingHttpHeaders} headers
 * @property {number} arrivedOn in Unix milliseconds
 * @property {number} [endedOn] when its connection was closed, in Unix milliseconds
 * @property {Buffer} [body]
 *
 * @typedef {{ status: number, headers?: http.OutgoingHttpHeaders, body?: string | Buffer }} Whole
 * @typedef {Whole | ((response: http.ServerResponse, request: Received) => void)} Reply
 */

/**
 * `answer(number, request)` says how to answer the number-th request that is not a ping: `{status, headers, body}`, or
 * a function `(response) => void` that writes the response.
 * @param {(number?: number, request?: Received) => Reply} [answer]
 * @param {(request?: Received) => boolean} [isPing]
 */
export async function startEndpoint(answer = () => ({ status: 200 }), isPing = () => false) {
  const requests = [];
  const sockets = new Set();
  const server = http.createServer(async (incoming, response) => {
    /** @type {Received} */
    const request = {
      method: incoming.method,
      url: incoming.url,
      headers: incoming.headers,
      arrivedOn: Date.now(),
      endedOn: undefined,
    };
    incoming.socket.once("close", () => (request.endedOn = Date.now()));
    const chunks = [];
    try {
      for await (const chunk of incoming) chunks.push(chunk);
    } catch {
      // The sender disconnected.
      return;
    }
    request.body = Buffer.concat(chunks);
    if (isPing(request)) return response.end();
    requests.push(request);
    const reply = answer(requests.length, request);
    if (typeof reply === "function") return reply(response, request);
    response.writeHead(reply.status, reply.headers).end(reply.body);
  });
  // An idle connection that closes just as the sender reuses it would look like an unreachable endpoint.
  server.keepAliveTimeout = 0;
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => {});
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${/** @type {import("node:net").AddressInfo} */ (server.address()).port}/hooks`,
    requests,
    /** The first `count` requests, once they have arrived. */
    async receive(count, timeoutMs) {
      const deadline = Date.now() + timeoutMs;
      while (requests.length < count) {
        if (Date.now() > deadline)
          throw new Error(`${requests.length} of ${count} requests came within ${timeoutMs} ms`);
        await sleep(POLL_EVERY_MS);
      }
      return requests.slice(0, count);
    },
    async stop() {
      const closed = once(server, "close");
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}
