// More events than can be delivered, and more than may wait: only the webhook that is behind is affected.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { eventually } from "../support/eventually.js";
import { peakMemory } from "../support/memory.js";
import { answerAfter, answerInTurn } from "../support/receiver.js";
import { startRelay } from "../support/relay.js";
import { acceptArray, acceptForOne, alert, awaitSettled, listDeliveries, setUpWebhook } from "../support/steps.js";
import { inForm } from "./form.js";

const OVERLOADED_MS = inForm(60_000, 3_000);
// With this delay and this many leases, ten times as many events are posted as can be delivered.
const ANSWERED_AFTER_MS = 500;
const MAX_LEASES = 12;
const DELIVERED_A_SECOND = (MAX_LEASES * 1_000) / ANSWERED_AFTER_MS;
const OVERLOAD = 10;
const ARRAY = 20;
// One delivery in this many fails at first and must be retried under that load.
const RETRIED_EVERY = 10;
// workerd grows mostly by garbage of the requests: the same number of events delivered at once leaves 306 MB.
const EXTRA_MB = 400;

let relay;
before(async () => (relay = await startRelay({ vars: { ATTEMPT_TIMEOUT: "2s", MAX_LEASES: String(MAX_LEASES) } })));
after(() => relay?.stop());

test(`${OVERLOADED_MS / 1_000} s of tenfold overload end as delivered, retries included, in bounded memory`, {
  timeout: 1_200_000,
}, async (t) => {
  let quick = false;
  const slowly = answerAfter(ANSWERED_AFTER_MS);
  const answer = ({ headers, text }) => {
    if (headers["x-secureagentics-attempt"] === "1" && JSON.parse(text).data.number % RETRIED_EVERY === 0)
      return { status: 500 };
    return quick ? { status: 200 } : slowly();
  };
  const slow = await setUpWebhook(t, relay, answer, { events: ["alert.triggered"] });
  const { workspace } = slow;
  const healthy = await setUpWebhook(t, relay, undefined, { workspace, events: ["agent.error"] });
  const before = peakMemory();

  const accepted = [];
  const waits = [];
  const every = (ARRAY * 1_000) / (DELIVERED_A_SECOND * OVERLOAD);
  const began = performance.now();
  for (let round = 0; performance.now() - began < OVERLOADED_MS; round++) {
    const events = Array.from({ length: ARRAY }, (_, index) =>
      alert({ data: { number: round * ARRAY + index, filling: "a".repeat(1_000) } }),
    );
    const answers = await acceptArray(relay, workspace, events);
    for (const {
      deliveries: [entry],
    } of answers) {
      assert.equal(entry.status, "pending");
      accepted.push(entry.id);
    }
    const posted = performance.now();
    const { id } = await acceptForOne(relay, workspace, alert({ type: "agent.error" }));
    const arrived = await eventually(() => healthy.receiver.attemptsOf(id)[0]);
    waits.push(arrived.arrivedAt - posted);
    const wait = began + (round + 1) * every - performance.now();
    if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
  }
  const late = slow.receiver.receivedIds().size;
  const retried = slow.receiver.events().filter(({ headers }) => headers["x-secureagentics-attempt"] === "2").length;
  const grown = peakMemory() - before;
  assert.ok(
    late < accepted.length / 2,
    `${late} of ${accepted.length} had been attempted at the end: this was no overload`,
  );
  assert.ok(retried > 0, "no retry came due while it lasted");

  // The endpoint gets faster here, so that delivering the backlog does not take ten times as long.
  quick = true;
  await eventually(
    async () => (await listDeliveries(relay, workspace, slow.webhook.id, { status: "pending" })).length === 0,
    { timeout: 600_000 },
  );
  const delivered = await listDeliveries(relay, workspace, slow.webhook.id, { status: "delivered", kind: "event" });
  assert.deepEqual(delivered.map(({ id }) => id).sort(), accepted.sort());
  const again = delivered.filter(({ attempt_count: made }) => made === 2).length;
  assert.ok(again >= Math.floor(accepted.length / RETRIED_EVERY) - ARRAY, `${again} were retried`);
  waits.sort((a, b) => a - b);
  t.diagnostic(
    `${accepted.length} deliveries accepted, ${late} attempted and ${retried} retried while it lasted, all delivered afterwards; ` +
      `workerd grew by ${grown} MB; another webhook's first attempts came after ${Math.round(waits[waits.length >> 1])} ms (median), ${Math.round(waits.at(-1))} ms at most`,
  );
  assert.ok(grown < EXTRA_MB, `workerd grew by ${grown} MB`);
});

describe("past MAX_BACKLOG", () => {
  const BACKLOG = 60;
  let small;
  before(
    async () =>
      (small = await startRelay({
        vars: { MAX_BACKLOG: String(BACKLOG), ATTEMPT_TIMEOUT: "1s", RETRY_SCHEDULE: "300ms,300ms,300ms,300ms,300ms" },
      })),
  );
  after(() => small?.stop());

  test("only that webhook refuses, says so, and accepts events again when its backlog has ended", {
    timeout: 180_000,
  }, async (t) => {
    let hangs = true;
    const slow = await setUpWebhook(t, small, ({ headers }) => (response) => {
      if (!hangs) response.writeHead(headers["x-secureagentics-attempt"] === "1" ? 500 : 200).end();
    });
    const { workspace } = slow;
    const healthy = await setUpWebhook(t, small, undefined, { workspace });
    const counts = { pending: 0, refused: 0 };
    const taken = [];
    for (let round = 0; round < 10; round++) {
      for (const { deliveries } of await acceptArray(
        small,
        workspace,
        Array.from({ length: ARRAY }, () => alert()),
      )) {
        assert.equal(deliveries.length, 2);
        const { [slow.webhook.id]: own, [healthy.webhook.id]: other } = Object.fromEntries(
          deliveries.map((entry) => [entry.webhook_id, entry]),
        );
        assert.equal(other.status, "pending");
        counts[own.status]++;
        if (own.status === "refused") assert.deepEqual([own.id, own.reason], [null, "backlog_full"]);
        else taken.push(own.id);
      }
      // The healthy webhook has the same small limit.
      await eventually(() => healthy.receiver.receivedIds().size === (round + 1) * ARRAY, { timeout: 30_000 });
    }
    assert.equal(counts.pending, BACKLOG, JSON.stringify(counts));

    hangs = false;
    await eventually(
      async () => (await listDeliveries(small, workspace, slow.webhook.id, { status: "pending" })).length === 0,
      { timeout: 120_000 },
    );
    const ended = await listDeliveries(small, workspace, slow.webhook.id, { kind: "event" });
    assert.deepEqual(
      ended.map(({ id }) => id).sort(),
      taken.sort(),
      "a refused event is stored, or an accepted one is not",
    );
    assert.deepEqual(new Set(ended.map(({ status }) => status)), new Set(["delivered"]));
    const [{ deliveries }] = await acceptArray(small, workspace, [alert()]);
    const entry = deliveries.find(({ webhook_id: id }) => id === slow.webhook.id);
    assert.equal((await awaitSettled(small, workspace, entry)).status, "delivered");
    t.diagnostic(`${counts.pending} taken, ${counts.refused} refused; the other webhook got all of them`);
  });

  test("an already accepted event is a duplicate, not refused", { timeout: 60_000 }, async (t) => {
    const { workspace } = await setUpWebhook(t, small, answerInTurn(...Array(500).fill(500)));
    const [
      {
        deliveries: [first],
      },
    ] = await acceptArray(small, workspace, [alert({ event_id: "first" })]);
    await acceptArray(
      small,
      workspace,
      Array.from({ length: BACKLOG }, () => alert()),
    );
    const again = await acceptForOne(small, workspace, alert({ event_id: "first" }));
    assert.deepEqual([again.id, again.duplicate], [first.id, true]);
  });
});
