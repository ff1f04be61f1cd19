// The switches of the build with test hooks (src/runtime/test_hooks.rs), and servers that let a test force an order.
import { once } from "node:events";
import http from "node:http";
import { eventually } from "./eventually.js";
import { answered } from "./steps.js";

/** Sets all switches: those not given are off. */
export async function turn(relay, switches = {}) {
  answered(await relay.fetch("/test/switches", { method: "PUT", body: switches }), 200);
}

/** An `answer` for startReceiver that holds each response until `release(status)`, the oldest first. */
export function gate() {
  const held = [];
  return {
    answer: () => (response) => held.push(response),
    held: () => held.length,
    /** Waits until a response is held, and sends it. */
    async release(status) {
      const response = await eventually(() => held.shift());
      response.writeHead(status).end();
    },
    /** Waits until `count` responses are held. */
    holds: (count) => eventually(() => held.length >= count),
  };
}

/** A server for the switch `gate`: calls `reached(step)` at each step; the relay continues when that has resolved. */
export async function startStepGate(reached) {
  const server = http.createServer(async (request, response) => {
    await reached(request.url.slice(1));
    response.end();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    origin: `http://127.0.0.1:${/** @type {import("node:net").AddressInfo} */ (server.address()).port}`,
    async stop() {
      const closed = once(server, "close");
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}
