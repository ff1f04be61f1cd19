// One scenario on one system: posts, waits until everything has arrived, and says what it took.
import { setTimeout as sleep } from "node:timers/promises";
import { cpuOf } from "./processes.mjs";

const ARRIVAL_TIMEOUT_MS = 60_000;
// Until most of what runs has been compiled for speed, JavaScript and Wasm alike.
const WARM_UP_EVENTS = 3000;
let runs = 0;

/** A bench's processes that every scenario shares. */
export class Stage {
  constructor(receiver, load) {
    this.receiver = receiver;
    this.load = load;
  }

  url(behaviour, run, webhook) {
    return `http://127.0.0.1:${this.receiver.port}/${behaviour}/${run}/${webhook}`;
  }

  async post(system, order) {
    const { done, failed } = await this.load.ask({ port: system.port, ...order });
    if (failed) throw new Error(`${system.system}: ${failed}`);
    return done;
  }

  /** Waits until a run has received so many deliveries. */
  async arrival(run, wanted) {
    const deadline = Date.now() + ARRIVAL_TIMEOUT_MS;
    for (;;) {
      const { count } = await this.receiver.ask({ ask: "count", run });
      if (count >= wanted) return;
      if (Date.now() > deadline) throw new Error(`${wanted - count} of ${wanted} accepted deliveries have not arrived`);
      await sleep(20);
    }
  }

  async warmUp(system) {
    const run = `warm${runs++}`;
    const target = await system.makeWorkspace(run, [this.url("ok", run, 0)]);
    await this.post(system, { targets: [target], producers: 16, batch: 1, events: WARM_UP_EVENTS, seconds: 30 });
    await this.arrival(run, WARM_UP_EVENTS);
  }

  /** Runs a scenario; whatever was accepted must arrive. */
  async measure(system, scenario) {
    const { producers, batch, webhooks, workspaces, behaviour, hanging, events, seconds, withIds } = scenario;
    const run = `run${runs++}`;
    const urls = Array.from({ length: webhooks }, (_, webhook) => this.url(behaviour, run, webhook));
    const made = Array.from({ length: workspaces }, (_, index) => system.makeWorkspace(`${run}x${index}`, urls));
    const targets = await Promise.all(made);
    // In the same workspace, so that each event goes to both.
    if (hanging) targets[0] = await system.makeWorkspace(`${run}h`, [this.url(behaviour, run, 0), this.url("hang", `${run}h`, 0)]);
    const before = { cpu: cpuOf(system.workerd), bytes: system.bytesStored(), counts: await this.counts(system, scenario, targets) };
    const posted = await this.post(system, { targets, producers, batch, events, seconds, withIds });
    const deliveries = posted.accepted * webhooks;
    const { count: arrived } = await this.receiver.ask({ ask: "count", run });
    await this.arrival(run, deliveries);
    const figures = await this.receiver.ask({ ask: "figures", run });
    await this.settled(system, scenario, targets);
    const cpu = cpuOf(system.workerd) - before.cpu;
    const counts = await this.counts(system, scenario, targets);
    return {
      system: system.system,
      accepted: posted.accepted,
      posts: posted.posts,
      deliveries,
      acceptedPerSecond: (posted.accepted * 1000) / (posted.last - posted.began),
      deliveredPerSecond: (deliveries * 1000) / (figures.last - posted.began),
      wall: figures.last - posted.began,
      /** Deliveries that were still under way when the last 202 came. */
      behind: deliveries - Math.min(arrived, deliveries),
      duplicates: figures.duplicates,
      accept: posted.latency,
      endToEnd: figures.latency,
      cpu,
      cpuPerEvent: cpu / posted.accepted,
      bytesPerEvent: (system.bytesStored() - before.bytes) / posted.accepted,
      ...(counts && { counts: Object.fromEntries(Object.entries(counts).map(([name, value]) => [name, value - before.counts[name]])) }),
    };
  }

  async counts(system, { counted }, targets) {
    return counted ? system.readCounts(targets[0]) : undefined;
  }

  // The last report is on its way when the last delivery has arrived.
  async settled(system, { counted }, targets) {
    if (!counted) return;
    let [before, stable] = [await system.readCounts(targets[0]), 0];
    for (let tries = 0; stable < 5 && tries < 200; tries++) {
      await sleep(50);
      const after = await system.readCounts(targets[0]);
      stable = after.rows_written === before.rows_written ? stable + 1 : 0;
      before = after;
    }
  }
}
