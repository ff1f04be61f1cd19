// Customers' endpoints on 127.0.0.1, well-behaved and faulty, that record everything they receive.
//
// The keep-alive limit is off: a server that closes an idle connection just when the relay sends on it looks like an
// unreachable endpoint and would cost a step of the schedule that no test asked for.
import http from "node:http";
import https from "node:https";
import net from "node:net";
import { once } from "node:events";

/** @import { Answer, ReceiverOptions, Reply } from "./types.d.ts" */

/**
 * `answer(request, number)` says how to answer the number-th request that is not a ping, counted from 1: with
 * `{status, headers, body}`, or with a function `(response) => void` that writes the response.
 * Pings are answered by `ping`, so that saving a webhook does not use up an answer meant for an event.
 * @param {Answer} [answer]
 * @param {ReceiverOptions} [options]
 */
export async function startReceiver(answer = answerWith(200), { ping = answerWith(200), tls } = {}) {
  const requests = [];
  let events = 0;

  const server = tls ? https.createServer(tls) : http.createServer();
  server.keepAliveTimeout = 0;
  server.on("request", async (incoming, response) => {
    const arrivedAt = performance.now();
    const arrivedOn = Date.now();
    const body = await readAll(incoming);
    if (body === null) return;
    const request = {
      method: incoming.method,
      url: incoming.url,
      headers: incoming.headers,
      rawHeaders: Array.from({ length: incoming.rawHeaders.length / 2 }, (_, index) =>
        incoming.rawHeaders.slice(2 * index, 2 * index + 2),
      ),
      body,
      text: body.toString("utf8"),
      arrivedAt,
      arrivedOn,
    };
    requests.push(request);
    const reply = isPing(request) ? ping(request) : answer(request, ++events);
    if (typeof reply === "function") return reply(response);
    response.writeHead(reply.status, reply.headers);
    response.end(reply.body);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");

  const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
  const origin = `${tls ? "https" : "http"}://127.0.0.1:${port}`;
  return {
    origin,
    port,
    url: `${origin}/hooks`,
    requests,
    pings: () => requests.filter(isPing),
    events: () => requests.filter((request) => !isPing(request)),
    /** The requests of one delivery, in order of arrival. */
    attemptsOf: (id) => requests.filter((request) => idOf(request) === id),
    /** The ids of all deliveries that were received at least once. */
    receivedIds: () => new Set(requests.filter((request) => !isPing(request)).map(idOf)),
    async stop() {
      const closed = once(server, "close");
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

/** A TCP server below HTTP: `talk(socket, number)` gets each connection, counted from 1. */
export async function startTcpReceiver(talk) {
  const sockets = new Set();
  let connections = 0;
  const server = net.createServer((socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    // The relay may end a connection at any time; that is not a failure of the test.
    socket.on("error", () => {});
    talk(socket, ++connections);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
  return {
    port,
    url: `http://127.0.0.1:${port}/hooks`,
    connections: () => connections,
    async stop() {
      const closed = once(server, "close");
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

/** The URL of a port on which nobody listens. */
export async function refusedUrl() {
  const receiver = await startReceiver();
  await receiver.stop();
  return receiver.url;
}

/**
 * Always this answer.
 * @type {(status: number, headers?: http.OutgoingHttpHeaders, body?: string | Uint8Array) => () => Reply}
 */
export const answerWith =
  (status, headers = {}, body = "") =>
  () => ({ status, headers, body });

/** The answers one after the other, the last one for ever; a number stands for an answer with that status. */
export const answerInTurn =
  (...answers) =>
  (request, number) => {
    const answer = answers[Math.min(number, answers.length) - 1];
    return typeof answer === "number" ? { status: answer } : answer(request, number);
  };

/** Answers 200 after a while. */
export const answerAfter = (milliseconds) => () => (response) => {
  const timer = setTimeout(() => response.writeHead(200).end(), milliseconds);
  response.on("close", () => clearTimeout(timer));
};

/** Reads the request and never answers. */
export const hang = () => () => {};

/** Reads the request and resets the connection. */
export const reset = () => (response) => response.socket.resetAndDestroy();

/** Answers 200 at once; the body then comes a byte every 50 ms and never ends. */
export const dripForEver = () => (response) => {
  response.writeHead(200, { "content-type": "text/plain" });
  response.flushHeaders();
  const timer = setInterval(() => response.write("."), 50);
  response.on("close", () => clearInterval(timer));
};

/** Announces 1,000 bytes, sends 10 of them and resets the connection. */
export const resetInTheBody = () => (response) => {
  response.writeHead(200, { "content-length": "1000" });
  response.write("0123456789", () => setImmediate(() => response.socket.resetAndDestroy()));
};

// Whatever the brand's prefix is, and under either name of the standard's header.
const isPing = ({ headers }) =>
  Object.entries(headers).some(([name, value]) => /^x-.+-event$/.test(name) && value === "ping");
const idOf = ({ headers }) => headers["webhook-id"] ?? headers["svix-id"];

async function readAll(incoming) {
  const chunks = [];
  try {
    for await (const chunk of incoming) chunks.push(chunk);
  } catch {
    // The relay disconnected before it had sent everything: there is nobody to answer.
    return null;
  }
  return Buffer.concat(chunks);
}
