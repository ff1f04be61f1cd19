// The producers of a benchmark, in their own process: bench.mjs starts it and sends it messages.
//
// Closed loop: each producer posts, waits for its 202, and posts again, up to the time or the number of events. With
// `perSecond`, a post waits for its time too.
import http from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { clock } from "./figures.mjs";

const DETAILS = "Rate limit exceeded: 150 prompts/min by agent support-bot in the production environment";

process.on("message", async (/** @type {Parameters<typeof run>[0]} */ order) => {
  try {
    process.send({ done: await run(order) });
  } catch (error) {
    process.send({ failed: error.message });
  }
});
process.send({ ready: true });

async function run({ port, targets, producers, batch, first = 0, events, seconds, withIds, perSecond }) {
  const agent = new http.Agent({ keepAlive: true, maxSockets: producers });
  const latencies = [];
  const began = clock();
  const end = began + seconds * 1000;
  const until = first + events;
  let next = first;
  let last = began;
  const makeEvent = () => {
    const number = next++;
    const event = {
      type: "alert.triggered",
      data: { n: number, sent: clock(), alert_id: "alrt_xyz", details: DETAILS },
    };
    if (withIds) event.event_id = `order-${process.pid}-${Math.round(began)}-${number}`;
    return event;
  };
  const produce = async (producer) => {
    for (let turn = producer; next < until && clock() < end; turn += producers) {
      if (perSecond) await sleep(began + (turn * 1000) / perSecond - clock());
      const posted = batch === 1 ? makeEvent() : Array.from({ length: batch }, makeEvent);
      const body = JSON.stringify(posted);
      const sent = clock();
      await post(agent, port, targets[turn % targets.length], body);
      last = clock();
      latencies.push(last - sent);
    }
  };
  await Promise.all(Array.from({ length: producers }, (_, producer) => produce(producer)));
  agent.destroy();
  return { accepted: next - first, posts: latencies.length, began, last, latencies };
}

function post(agent, port, { path, token }, body) {
  return new Promise((resolve, reject) => {
    const headers = {
      authorization: `Bearer ${token}`,
      "content-type": "application/json",
      "content-length": Buffer.byteLength(body),
    };
    const request = http.request({ agent, port, host: "127.0.0.1", path, method: "POST", headers }, (response) => {
      let text = "";
      response.setEncoding("latin1");
      response.on("data", (chunk) => (text += chunk));
      response.on("end", () =>
        response.statusCode === 202 ? resolve() : reject(new Error(`${response.statusCode}: ${text.slice(0, 300)}`)),
      );
    });
    request.on("error", reject);
    request.end(body);
  });
}

process.once("disconnect", () => process.exit(0));
