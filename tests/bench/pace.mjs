// `npm run bench:pace`: what order and a rate limit cost, by turns; `npm run bench:pace -- 5 docs/pace-5.svg` draws when
// 300 attempts begin at five a second, of events that are all posted at once, with one first attempt of five that fails.
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import http from "node:http";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { build } from "../../scripts/build.mjs";
import { runAsProgram } from "../../scripts/programs.mjs";
import { clock } from "./figures.mjs";
import { cpuOf } from "./processes.mjs";
import { startSystem } from "./systems.mjs";

const EVENTS = 300;
const PRODUCERS = 4;
const ROUNDS = 7;
const FAILS_OF = 5;
const TIMEOUT_MS = 3_600_000;
const PACES = {
  plain: {},
  "1,000 a second": { rate_limit: { per_second: 1000 } },
  ordered: { ordered: true },
  "own schedule": { retry_schedule: ["1m", "5m"] },
};

await runAsProgram(import.meta.url, async () => {
  await build("release");
  await build("test-hooks");
  const [rate, file] = process.argv.slice(2);
  const receiver = await listen();
  const state = await mkdtemp(path.join(tmpdir(), "relay-pace-"));
  const relay = await startSystem("relay", state, { hooks: !file, vars: { RETRY_SCHEDULE: "2s,4s,8s,1m" } });
  try {
    if (file) await draw(relay, receiver, Number(rate), file);
    else await compare(relay, receiver);
  } finally {
    await relay.stop("SIGKILL");
    receiver.server.close();
    await rm(state, { recursive: true, force: true });
  }
});

/** An endpoint that notes when each request of an event comes; one first attempt of `FAILS_OF` fails if `fails`. */
async function listen() {
  const seen = { begun: [], done: 0, first: 0, fails: false };
  const server = http.createServer((request, response) => {
    request.resume().on("end", () => {
      let status = 200;
      if (request.headers["x-secureagentics-event"] !== "ping") {
        const isFirst = request.headers["x-secureagentics-attempt"] === "1";
        seen.begun.push(clock());
        if (isFirst && seen.fails && seen.first++ % FAILS_OF === 0) status = 500;
        else seen.done += 1;
      }
      response.writeHead(status, { "content-length": 0 }).end();
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return { server, seen, port: /** @type {import("node:net").AddressInfo} */ (server.address()).port };
}

async function makeWebhook(relay, receiver, name, pace) {
  const base = `/v1/workspaces/ws_${name}`;
  await relay.call("POST", "/v1/workspaces", { id: `ws_${name}`, name });
  const url = `http://127.0.0.1:${receiver.port}/`;
  const { id } = await relay.call("POST", `${base}/webhooks`, { url, events: ["alert.triggered"], ...pace });
  return { base, id, workspace: `ws_${name}`, webhooks: [id] };
}

/** Posts all events and waits until each is delivered. */
async function run(relay, { seen }, { base }, producers, batch) {
  const until = seen.done + EVENTS;
  let left = EVENTS / batch;
  const post = async () => {
    while (left-- > 0) {
      const event = (number) => ({ type: "alert.triggered", data: { number } });
      await relay.call("POST", `${base}/events`, batch === 1 ? event(0) : Array.from({ length: batch }, event));
    }
  };
  await Promise.all(Array.from({ length: producers }, post));
  const deadline = Date.now() + TIMEOUT_MS;
  while (seen.done < until) {
    if (Date.now() > deadline) throw new Error(`${until - seen.done} events have not arrived`);
    await sleep(5);
  }
}

async function compare(relay, receiver) {
  const names = Object.keys(PACES);
  const webhooks = [];
  for (const [number, name] of names.entries())
    webhooks.push(await makeWebhook(relay, receiver, `pace${number}`, PACES[name]));
  for (const webhook of webhooks)
    for (let round = 0; round < 3; round++) await run(relay, receiver, webhook, PRODUCERS, 1);
  const cpu = names.map(() => []);
  const before = [];
  for (const webhook of webhooks) before.push(await relay.readCounts(webhook));
  for (let round = 0; round < ROUNDS; round++) {
    for (const number of turn(names.keys(), round)) {
      const began = cpuOf(relay.workerd);
      await run(relay, receiver, webhooks[number], PRODUCERS, 1);
      cpu[number].push((cpuOf(relay.workerd) - began) / EVENTS);
    }
  }
  console.log("| pace | CPU ms an event, median (least to most) | beside plain | rows an event | alarms an event |");
  console.log("| --- | --- | --- | --- | --- |");
  for (const [number, name] of names.entries()) {
    const counts = await relay.readCounts(webhooks[number]);
    const each = (member) => ((counts[member] - before[number][member]) / (EVENTS * ROUNDS)).toFixed(2);
    const sorted = cpu[number].toSorted((a, b) => a - b);
    const middle = sorted[Math.floor(ROUNDS / 2)];
    const ratio = cpu[number].map((one, round) => one / cpu[0][round]).toSorted((a, b) => a - b)[
      Math.floor(ROUNDS / 2)
    ];
    const range = `${middle.toFixed(2)} (${sorted[0].toFixed(2)} to ${sorted.at(-1).toFixed(2)})`;
    console.log(`| ${name} | ${range} | ${ratio.toFixed(2)} | ${each("rows_written")} | ${each("alarms_run")} |`);
  }
}

function turn(numbers, round) {
  return round % 2 === 0 ? [...numbers] : [...numbers].toReversed();
}

async function draw(relay, receiver, rate, file) {
  const webhook = await makeWebhook(relay, receiver, "drawn", { rate_limit: { per_second: rate } });
  receiver.seen.fails = true;
  await run(relay, receiver, webhook, 3, 100);
  const { begun } = receiver.seen;
  const times = begun.map((at) => (at - begun[0]) / 1000);
  const capacity = Math.max(1, rate);
  const most = times.map((to, last) => {
    const within = times.slice(0, last + 1);
    return Math.max(...within.map((from, first) => last - first + 1 - capacity - rate * (to - from)));
  });
  console.log(
    `${times.length} attempts in ${times.at(-1).toFixed(1)} s, ${(times.length / times.at(-1)).toFixed(2)} a second`,
  );
  console.log(`beyond the bucket, at any time, by arrival: ${Math.max(...most).toFixed(2)} attempts`);
  await writeFile(file, plot(times, rate));
}

/** The attempts that have begun by each time, above the line of the rate. */
function plot(times, rate) {
  const [width, height, margin] = [720, 320, 48];
  const end = times.at(-1);
  const x = (seconds) => (margin + (seconds / end) * (width - 2 * margin)).toFixed(1);
  const y = (count) => (height - margin - (count / times.length) * (height - 2 * margin)).toFixed(1);
  const steps = times.map((at, number) => `${x(at)},${y(number)} ${x(at)},${y(number + 1)}`).join(" ");
  const label = (left, top, anchor, text) => `<text x="${left}" y="${top}" text-anchor="${anchor}">${text}</text>`;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="12">
<rect width="${width}" height="${height}" fill="#fff"/>
<path d="M${margin},${margin} V${height - margin} H${width - margin}" fill="none" stroke="#666"/>
<line x1="${x(0)}" y1="${y(0)}" x2="${x(end)}" y2="${y(Math.min(times.length, end * rate))}" stroke="#c60" stroke-dasharray="5 4"/>
<polyline points="${steps}" fill="none" stroke="#06c" stroke-width="1.5"/>
${label(margin, margin - 12, "start", `attempts begun of ${EVENTS} events, one first attempt of ${FAILS_OF} fails; dashed: ${rate} a second`)}
${label(margin - 6, y(times.length), "end", times.length)}
${label(margin - 6, y(0), "end", 0)}
${label(x(end), height - margin + 18, "end", `${end.toFixed(0)} s`)}
</svg>
`;
}
