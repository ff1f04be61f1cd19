// Repeated SIGKILL to the whole process group at random moments under load.
//
// Producers post to webhooks that are healthy, fail, hang and flap; each event has an event_id, so that a producer that
// got no answer posts the same event again. In the end every promise of a 202 is checked against what the receivers saw.
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { eventually } from "../support/eventually.js";
import { answerWith, hang } from "../support/receiver.js";
import { createWorkspace, postEvent, startRelayProcess } from "../support/relay.js";
import { acceptArray, alert, listDeliveries, readDelivery, setUpWebhook } from "../support/steps.js";
import { inForm, inShortForm, seededRandom } from "./form.js";

const ROUNDS = inForm(30, 3);
const PRODUCERS = 4;
const EVENTS_OF_A_PRODUCER_AND_ROUND = inForm(30, 20);
// The hanging endpoint takes a whole timeout for each attempt, so it gets only one event in this many.
const HANGING_EVERY = 30;
const SCHEDULED_ATTEMPTS = 6;
const KILLED_AFTER_MS = [200, 1_400];
// An attempt is in flight until its report is stored, a little after its answer.
const REPORTED_WITHIN_MS = 1_000;
const DRAINED_WITHIN_MS = inForm(600_000, 90_000);
const VARS = { ATTEMPT_TIMEOUT: "500ms" };

/** Answers with `answer` and records in `over`, by request, when each answer ended. */
const timed = (over, answer) => (request, number) => (response) => {
  response.on("close", () => over.set(request, Date.now()));
  const reply = answer(request, number);
  if (typeof reply === "function") return reply(response);
  response.writeHead(reply.status).end();
};

const flap = ({ headers }) => ({ status: Number(headers["x-secureagentics-attempt"]) % 2 === 1 ? 500 : 200 });

test(`${ROUNDS} kills under load lose nothing, and repeat only what was in flight`, {
  timeout: 1_500_000,
}, async (t) => {
  const { seed, random } = seededRandom();
  t.diagnostic(`FAULTS_SEED=${seed}`);
  const relay = await startRelayProcess({ vars: VARS });
  t.after(() => relay.stop());
  const over = new Map();
  const workspace = await createWorkspace(relay);
  const set = (answer, type) => setUpWebhook(t, relay, timed(over, answer), { workspace, events: [type] });
  const scenes = {
    healthy: await set(answerWith(200), "alert.triggered"),
    failing: await set(answerWith(500), "alert.triggered"),
    flapping: await set(flap, "alert.triggered"),
    hanging: await set(hang, "agent.error"),
  };

  const kills = [];
  const accepted = new Map();
  const unanswered = Array.from({ length: PRODUCERS }, () => []);
  const posted = new Set();
  let repeats = 0;
  let refusals = 0;

  /** Posts the events without an answer again, then new ones; stops when the relay is gone. */
  async function produce(producer, round, count) {
    const queue = unanswered[producer];
    for (let number = 0; number < count; number++) {
      const id = `${round}-${producer}-${number}`;
      queue.push(
        alert({
          event_id: id,
          type: number % HANGING_EVERY === producer ? "agent.error" : "alert.triggered",
          data: { event: id },
        }),
      );
    }
    while (queue.length > 0) {
      if (posted.has(queue[0].event_id)) repeats++;
      posted.add(queue[0].event_id);
      let answer;
      try {
        answer = await postEvent(relay, workspace, queue[0]);
      } catch {
        return;
      }
      // A 503 promises nothing, so the same event must be posted again.
      if (answer.status !== 202) {
        refusals++;
        assert.equal(answer.status, 503, answer.text);
        continue;
      }
      const { event_id: id } = queue.shift();
      const found = answer.body.deliveries.map((delivery) => delivery.id).sort();
      if (accepted.has(id)) assert.deepEqual(found, accepted.get(id), `other deliveries for ${id} than before`);
      accepted.set(id, found);
    }
  }

  for (let round = 0; round < ROUNDS; round++) {
    const producers = unanswered.map((_, producer) => produce(producer, round, EVENTS_OF_A_PRODUCER_AND_ROUND));
    const [least, most] = KILLED_AFTER_MS;
    await sleep(least + random() * (most - least));
    await relay.kill();
    kills.push(Date.now());
    await Promise.all(producers);
    await relay.restart();
  }
  await Promise.all(unanswered.map((_, producer) => produce(producer, ROUNDS, 0)));
  assert.deepEqual(unanswered.flat(), [], "some events never got an answer");

  const list = (name, query) => listDeliveries(relay, workspace, scenes[name].webhook.id, { kind: "event", ...query });
  for (const name of Object.keys(scenes)) {
    await eventually(async () => (await list(name, { status: "pending" })).length === 0, {
      timeout: DRAINED_WITHIN_MS,
    });
  }

  const promised = [...accepted.values()].flat().sort();
  const stored = [];
  for (const [name, { receiver }] of Object.entries(scenes)) {
    const ends = name === "healthy" || name === "flapping" ? "delivered" : "failed";
    for (const delivery of await list(name)) {
      stored.push(delivery.id);
      const where = `${name}: ${JSON.stringify(delivery)}`;
      assert.equal(delivery.status, ends, where);
      assert.ok(delivery.attempt_count <= SCHEDULED_ATTEMPTS, where);
      if (ends === "failed")
        assert.deepEqual([delivery.attempt_count, delivery.reason], [SCHEDULED_ATTEMPTS, "schedule_spent"], where);
      else
        assert.ok(receiver.receivedIds().has(delivery.id), `${delivery.id} is marked as delivered and never arrived`);
    }
  }
  assert.deepEqual(stored.sort(), promised, "what is stored is not what the 202s named");

  let duplicates = 0;
  let unexplained = 0;
  let inFlight = 0;
  const wasInFlight = (request) =>
    kills.some((kill) => request.arrivedOn <= kill && (over.get(request) ?? Infinity) >= kill - REPORTED_WITHIN_MS);
  for (const [name, { receiver }] of Object.entries(scenes)) {
    const idOf = new Map();
    const attempts = new Map();
    for (const request of receiver.events()) {
      if (wasInFlight(request)) inFlight++;
      const id = request.headers["webhook-id"];
      const event = JSON.parse(request.text).data.event;
      assert.equal(idOf.get(event) ?? id, id, `${name} got ${event} under two ids`);
      idOf.set(event, id);
      const attempt = `${id} ${request.headers["x-secureagentics-attempt"]}`;
      const earlier = attempts.get(attempt);
      attempts.set(attempt, request);
      if (earlier === undefined) continue;
      duplicates++;
      if (!wasInFlight(earlier)) unexplained++;
    }
  }
  t.diagnostic(
    `${kills.length} kills, ${accepted.size} events (${repeats} posted again after a kill, ${refusals} answers were 503), ` +
      `${promised.length} deliveries; ${duplicates} attempts were made twice, ${inFlight} were in flight at the kills`,
  );
  assert.equal(unexplained, 0, "attempts were repeated that were not in flight at a kill");
  assert.ok(duplicates <= inFlight);
});

test("a retry is due at the same time after a kill", {
  skip: inShortForm,
  timeout: 120_000,
}, async (t) => {
  const HOUR_MS = 3_600_000;
  const relay = await startRelayProcess({ vars: { ...VARS, RETRY_SCHEDULE: "1h,1h,1h,1h,1h" } });
  t.after(() => relay.stop());
  const { workspace, webhook, receiver } = await setUpWebhook(t, relay, answerWith(500));
  const answers = await acceptArray(
    relay,
    workspace,
    Array.from({ length: 40 }, (_, number) => alert({ event_id: `event-${number}` })),
  );
  await eventually(() => receiver.receivedIds().size >= 15);
  await relay.kill();
  await relay.restart();
  for (const {
    deliveries: [{ id }],
  } of answers) {
    const delivery = await eventually(
      async () => {
        const read = await readDelivery(relay, workspace, { id, webhook_id: webhook.id });
        return read.attempt_count === 1 && read;
      },
      { timeout: 30_000 },
    );
    const { started_at: startedAt, duration_ms: duration } = delivery.attempts[0];
    const delay = Date.parse(delivery.next_attempt_at) - Date.parse(startedAt) - duration;
    assert.ok(
      delay >= HOUR_MS - 5 && delay <= HOUR_MS + REPORTED_WITHIN_MS,
      `due ${delay} ms after the attempt: ${JSON.stringify(delivery)}`,
    );
  }
});
