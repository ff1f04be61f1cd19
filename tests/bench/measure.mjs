// Runs one scenario on its systems: posts, waits until everything has arrived, and returns the figures.
import { setTimeout as sleep } from "node:timers/promises";
import { summarize } from "./figures.mjs";
import { cpuOf } from "./processes.mjs";

const ARRIVAL_TIMEOUT_MS = 60_000;
// Until the hot JavaScript and Wasm code is optimised.
const WARM_UP_EVENTS = 3000;
let runs = 0;

/** The processes of a bench that all scenarios share. */
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

  /** Waits until a run has received `count` deliveries. */
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
    const order = { targets: [target], producers: 16, batch: 1, events: WARM_UP_EVENTS, seconds: 30 };
    const { accepted } = await this.post(system, order);
    await this.arrival(run, accepted);
  }

  /** Runs a scenario on one system. */
  async measure(system, scenario) {
    const [result] = await this.compare([system], scenario);
    return result;
  }

  /**
   * Runs a scenario on several systems, in turns if it ends by time: other load on the host changes from second to
   * second and should affect all of them. Every accepted event must arrive.
   */
  async compare(systems, scenario) {
    const started = [];
    for (const system of systems) started.push(await this.prepare(system, scenario));
    const { turns = 1 } = scenario;
    for (let turn = 0; turn < turns; turn++) {
      for (const run of turn % 2 === 0 ? started : started.toReversed())
        await this.takeTurn(run, scenario.seconds / turns);
    }
    const results = [];
    for (const run of started) results.push(await this.sumUp(run));
    return results;
  }

  async prepare(system, scenario) {
    const { webhooks, workspaces, behaviour, hanging } = scenario;
    const name = `run${runs++}`;
    const urls = Array.from({ length: webhooks }, (_, webhook) => this.url(behaviour, name, webhook));
    const made = Array.from({ length: workspaces }, (_, index) => system.makeWorkspace(`${name}x${index}`, urls));
    const targets = await Promise.all(made);
    // In the same workspace, so that each event goes to both.
    if (hanging)
      targets[0] = await system.makeWorkspace(`${name}h`, [
        this.url(behaviour, name, 0),
        this.url("hang", `${name}h`, 0),
      ]);
    if (system.objects && system.system === "relay") await system.ask("copy KV");
    if (workspaces > 1) await this.sendFirstEvents(system, name, targets);
    // A ping is made under a lease too.
    if (scenario.alone) await this.ranAlarms(system, scenario, targets, 1);
    const before = {
      bytes: system.bytesStored(),
      rows: this.rowsKept(system, scenario),
      counts: await this.counts(system, scenario, targets),
    };
    return {
      system,
      scenario,
      name,
      targets,
      before,
      accepted: 0,
      posts: 0,
      accepting: 0,
      wall: 0,
      cpu: 0,
      objectCpu: 0,
      behind: 0,
      latencies: [],
    };
  }

  /** An event for each webhook, which is not measured: the first one in a webhook's life costs more than all others. */
  async sendFirstEvents(system, run, targets) {
    const order = { targets, producers: 1, batch: 1, events: targets.length, seconds: 60 };
    const { accepted } = await this.post(system, order);
    await this.arrival(run, accepted);
    await this.receiver.ask({ ask: "forget", run });
  }

  async takeTurn(run, seconds) {
    const { system, scenario, name, targets } = run;
    const { producers, batch, webhooks, withIds, perSecond, alone } = scenario;
    const events = alone ? 1 : scenario.events;
    const cpu = cpuOf(system.workerd);
    const objectCpu = system.objects ? cpuOf(system.objects) : 0;
    const posted = await this.post(system, {
      targets,
      producers,
      batch,
      first: run.accepted,
      events,
      seconds,
      withIds,
      perSecond,
    });
    run.accepted += posted.accepted;
    run.posts += posted.posts;
    run.accepting += posted.last - posted.began;
    run.latencies.push(...posted.latencies);
    const wanted = run.accepted * webhooks;
    const { count } = await this.receiver.ask({ ask: "count", run: name });
    run.behind = Math.max(run.behind, wanted - count);
    await this.arrival(name, wanted);
    const { last } = await this.receiver.ask({ ask: "count", run: name });
    run.wall += last - posted.began;
    run.cpu += cpuOf(system.workerd) - cpu;
    if (system.objects) run.objectCpu += cpuOf(system.objects) - objectCpu;
    if (scenario.alone) await this.ranAlarms(system, scenario, targets, run.before.counts.alarms_run + run.accepted);
  }

  /** Waits until so many alarms have run: after a lease has ended. The object is idle meanwhile, and not billed. */
  async ranAlarms(system, scenario, targets, wanted) {
    const deadline = Date.now() + ARRIVAL_TIMEOUT_MS;
    for (;;) {
      const { alarms_run } = await this.counts(system, scenario, targets);
      if (alarms_run >= wanted) return;
      if (Date.now() > deadline) throw new Error("an alarm has not run");
      await sleep(200);
    }
  }

  rowsKept(system, { counted }) {
    return counted && system.rowsKept ? system.rowsKept() : 0;
  }

  async sumUp(run) {
    const { system, scenario, name, targets, before, latencies } = run;
    const { accepted, posts, accepting, wall, cpu, objectCpu, behind } = run;
    const deliveries = accepted * scenario.webhooks;
    const figures = await this.receiver.ask({ ask: "figures", run: name });
    await this.settled(system, scenario, targets);
    const counts = await this.counts(system, scenario, targets);
    const attempts = (await this.receiver.ask({ ask: "count", run: name })).count;
    return {
      system: system.system,
      accepted,
      posts,
      deliveries,
      acceptedPerSecond: (accepted * 1000) / accepting,
      deliveredPerSecond: (deliveries * 1000) / wall,
      wall,
      /** Deliveries that had not arrived when the last 202 of a turn came. */
      behind,
      duplicates: figures.duplicates,
      accept: summarize(latencies),
      endToEnd: figures.latency,
      cpu,
      cpuPerEvent: cpu / accepted,
      /** Of the objects' own process, if they have one; `cpuPerEvent` is without it. */
      objectCpuPerEvent: objectCpu / accepted,
      attempts,
      rowsKept: this.rowsKept(system, scenario) - before.rows,
      bytesPerEvent: (system.bytesStored() - before.bytes) / accepted,
      ...(counts && {
        counts: Object.fromEntries(
          Object.entries(counts).map(([count, value]) => [count, value - before.counts[count]]),
        ),
      }),
    };
  }

  async counts(system, { counted }, targets) {
    return counted ? system.readCounts(targets[0]) : undefined;
  }

  // The last report is still in flight when the last delivery has arrived.
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
