// Who makes the first attempts of an event that more webhooks selected than an invocation has connections.
//
// The build with test hooks logs with which deliveries a Sender is hired.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { eventually } from "../support/eventually.js";
import { startReceiver } from "../support/receiver.js";
import { createWebhook, createWorkspace, startRelay } from "../support/relay.js";
import { acceptEvent, awaitSettled } from "../support/steps.js";

const CONNECTIONS = 6;
const WEBHOOKS = 14;

describe("an event for more webhooks than an invocation has connections", () => {
  let relay;
  before(async () => (relay = await startRelay({ hooks: true, vars: { ATTEMPT_TIMEOUT: "5s" } })));
  after(() => relay?.stop());

  /** Webhooks at one endpoint, which answers after so many milliseconds, the first six events never. */
  async function setUp(t, { milliseconds, hanging }) {
    let underWay = 0;
    /** How many requests were under way as each event arrived. */
    const seen = [];
    const receiver = await startReceiver((_, number) => (response) => {
      seen.push(++underWay);
      response.on("close", () => underWay--);
      if (number > hanging) setTimeout(() => response.writeHead(200).end(), milliseconds);
    });
    t.after(() => receiver.stop());
    const workspace = await createWorkspace(relay);
    // Concurrently, because the relay writes a workspace's changes to KV once a second.
    const urls = Array.from({ length: WEBHOOKS }, (_, number) => `${receiver.url}/${number}`);
    await Promise.all(urls.map((url) => createWebhook(relay, workspace, { url })));
    return { workspace, receiver, seen };
  }

  /** The deliveries with which Senders were hired since the log had so many lines. */
  const hiredSince = (lines) =>
    relay.logs
      .slice(lines)
      .map((line) => line.match(/sender hired (\[.*\])/))
      .filter((found) => found !== null)
      .flatMap(([, ids]) => JSON.parse(ids));

  test("is sent to all by the Worker that accepted it, six at a time", async (t) => {
    const { workspace, receiver, seen } = await setUp(t, { milliseconds: 20, hanging: 0 });
    const lines = relay.logs.length;
    const deliveries = await acceptEvent(relay, workspace);
    assert.equal(deliveries.length, WEBHOOKS);
    for (const entry of deliveries) {
      const { status, attempts } = await awaitSettled(relay, workspace, entry);
      assert.deepEqual([status, attempts.map(({ outcome }) => outcome)], ["delivered", ["succeeded"]]);
    }
    assert.equal(receiver.events().length, WEBHOOKS);
    assert.equal(Math.max(...seen), CONNECTIONS);
    assert.deepEqual(hiredSince(lines), [], "a Sender was hired");
  });

  test("reaches the others while six of them hang, and no lease is lost", { timeout: 60_000 }, async (t) => {
    const { workspace, receiver, seen } = await setUp(t, { milliseconds: 0, hanging: CONNECTIONS });
    const lines = relay.logs.length;
    const deliveries = await acceptEvent(relay, workspace);
    await eventually(() => receiver.events().length === WEBHOOKS, { timeout: 30_000 });
    const others = seen.slice(CONNECTIONS);
    assert.ok(
      others.every((underWay) => underWay > CONNECTIONS),
      `some waited until the six had ended: ${others}`,
    );
    const hanging = new Set(
      receiver
        .events()
        .slice(0, CONNECTIONS)
        .map(({ headers }) => headers["webhook-id"]),
    );
    const left = deliveries.filter(({ id }) => !hanging.has(id));
    assert.equal(left.length, WEBHOOKS - CONNECTIONS);
    for (const entry of left) {
      const { status, attempts } = await awaitSettled(relay, workspace, entry);
      assert.deepEqual([status, attempts.map(({ outcome }) => outcome)], ["delivered", ["succeeded"]]);
    }
    // A line of the log may come later than what follows it. The six that hang are sent again after their time-out.
    await eventually(() => {
      const hired = hiredSince(lines);
      return left.every(({ id }) => hired.includes(id));
    });
  });
});
