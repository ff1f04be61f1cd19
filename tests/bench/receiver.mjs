// The endpoints of a benchmark, in their own process: bench.mjs starts it and sends it messages.
//
// A path is /<behaviour>/<run>/<webhook>. Arrivals are counted by the event's number, with the time since the post: the
// load generator writes its clock into the event, and on Linux all processes read the same monotonic clock.
import http from "node:http";
import { clock, summarize } from "./figures.mjs";

const SLOW_MS = 300;
const LATER_MS = 100;
// MAX_LEASES.
const WIDE = 50;
const runs = new Map();

function runOf(name) {
  if (!runs.has(name))
    runs.set(name, { seen: new Set(), duplicates: 0, latencies: [], last: 0, later: later(), hanging: hanging() });
  return runs.get(name);
}

/** Of attempts that are not the first: how many, from when until when they came, and how many at most at a time. */
function later() {
  return { count: 0, first: 0, last: 0, underWay: 0, most: 0 };
}

function answerLater({ later }, response) {
  later.count += 1;
  later.last = clock();
  later.first ||= later.last;
  later.most = Math.max(later.most, ++later.underWay);
  setTimeout(() => {
    later.underWay -= 1;
    response.writeHead(200, { "content-length": 2 }).end("ok");
  }, LATER_MS);
}

/** Of an endpoint that hangs until it is told to come back: how many requests are open. */
function hanging() {
  return { isBack: false, open: 0, firstAnswer: 0, wideAt: 0 };
}

function hangOrAnswer({ hanging: state }, response, answer) {
  state.open += 1;
  if (state.open >= WIDE && state.firstAnswer > 0) state.wideAt ||= clock();
  response.once("close", () => (state.open -= 1));
  if (!state.isBack) return;
  setTimeout(() => {
    state.firstAnswer ||= clock();
    answer();
  }, SLOW_MS);
}

function record(run, webhook, text) {
  const found = /"n":(\d+),"sent":([\d.]+)/.exec(text);
  // A ping.
  if (!found) return;
  const { seen, latencies } = run;
  const key = Number(found[1]) * 100 + Number(webhook);
  run.latest = clock();
  if (seen.has(key)) {
    run.duplicates += 1;
    return;
  }
  seen.add(key);
  run.last = run.latest;
  latencies.push(run.last - Number(found[2]));
}

const server = http.createServer((request, response) => {
  const [, behaviour, name, webhook] = request.url.split("/");
  const chunks = [];
  request.on("data", (chunk) => chunks.push(chunk));
  request.on("end", () => {
    const text = chunks.length === 1 ? chunks[0].toString("latin1") : Buffer.concat(chunks).toString("latin1");
    const isPing = request.headers["x-secureagentics-event"] === "ping";
    const answer = () => response.writeHead(200, { "content-length": 2 }).end("ok");
    if (isPing) return answer();
    if (behaviour === "failfirst") {
      if (request.headers["x-secureagentics-attempt"] !== "1") return answerLater(runOf(name), response);
      return response.writeHead(500, { "content-length": 0 }).end();
    }
    record(runOf(name), webhook, text);
    if (behaviour === "returns") return hangOrAnswer(runOf(name), response, answer);
    if (behaviour === "slow") setTimeout(answer, SLOW_MS);
    else if (behaviour === "later") setTimeout(answer, LATER_MS);
    else if (behaviour === "ok") answer();
  });
});
server.keepAliveTimeout = 0;
server.listen(0, "127.0.0.1", () =>
  process.send({ port: /** @type {import("node:net").AddressInfo} */ (server.address()).port }),
);

process.on("message", ({ ask, run: name }) => {
  const run = runOf(name);
  if (ask === "count") process.send({ count: run.seen.size, last: run.last });
  if (ask === "forget") process.send({ forgotten: runs.delete(name) });
  if (ask === "return") run.hanging.isBack = true;
  if (ask === "return" || ask === "hanging") process.send({ hanging: run.hanging });
  if (ask === "later") process.send({ later: run.later });
  if (ask === "figures") {
    process.send({
      count: run.seen.size,
      duplicates: run.duplicates,
      last: run.last,
      latest: run.latest,
      latency: summarize(run.latencies),
    });
  }
});

process.once("disconnect", () => process.exit(0));
