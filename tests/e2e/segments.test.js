// Deliveries that were accepted together share a row; listing, reading, resending and tracing do not show it.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { startReceiver } from "../support/receiver.js";
import { createWebhook, createWorkspace, startRelay } from "../support/relay.js";
import {
  acceptArray,
  alert,
  answered,
  awaitDelivery,
  awaitSettled,
  listDeliveries,
  pathOf,
  readDelivery,
} from "../support/steps.js";

const EVENTS = 60;
const fails = (number) => number % 3 === 0;

let relay;
before(async () => (relay = await startRelay({ vars: { RETRY_SCHEDULE: "50ms,50ms,50ms,50ms,50ms" } })));
after(() => relay?.stop());

describe("of an array of sixty events, every third of which fails", { timeout: 120_000 }, () => {
  let scene;
  let accepted;

  before(async () => {
    const receiver = await startReceiver((request) => ({
      status: fails(JSON.parse(request.text).data.number) ? 500 : 200,
    }));
    const workspace = await createWorkspace(relay);
    scene = { workspace, receiver, webhook: await createWebhook(relay, workspace, { url: receiver.url }) };
    const types = ["alert.triggered", "agent.error"];
    const events = Array.from({ length: EVENTS }, (_, number) => alert({ type: types[number % 2], data: { number } }));
    const answer = await acceptArray(relay, workspace, events);
    accepted = answer.map(({ event_id, deliveries: [entry] }, number) => ({ ...entry, event_id, number }));
    for (const entry of accepted) await awaitSettled(relay, workspace, entry, { timeout: 60_000 });
  });

  after(() => scene?.receiver.stop());

  const list = (query) => listDeliveries(relay, scene.workspace, scene.webhook.id, { kind: "event", ...query });
  // The order of a list is the order of the array.
  const newestFirst = (entries) => entries.map(({ id }) => id).reverse();

  for (const limit of ["7", "16", "100"]) {
    test(`pages of ${limit} show each once, newest first`, async () => {
      assert.deepEqual(
        (await list({ limit })).map(({ id }) => id),
        newestFirst(accepted),
      );
    });
  }

  test("a filter finds those that moved to their own row, and those that did not", async () => {
    const expected = {
      delivered: accepted.filter(({ number }) => !fails(number)),
      failed: accepted.filter(({ number }) => fails(number)),
      pending: [],
    };
    for (const [status, entries] of Object.entries(expected)) {
      assert.deepEqual(
        (await list({ status, limit: "9" })).map(({ id }) => id),
        newestFirst(entries),
        status,
      );
    }
    const errors = accepted.filter(({ number }) => number % 2 === 1);
    assert.deepEqual(
      (await list({ type: "agent.error", limit: "9" })).map(({ id }) => id),
      newestFirst(errors),
    );
  });

  test("a list of a period begins and ends with that period", async () => {
    const { created_at } = await readDelivery(relay, scene.workspace, accepted[0]);
    const later = new Date(Date.parse(created_at) + 60_000).toISOString();
    assert.equal((await list({ since: created_at, until: later })).length, EVENTS);
    assert.equal((await list({ until: created_at })).length, 0);
    assert.equal((await list({ since: later })).length, 0);
  });

  test("each has its own payload and attempts", async () => {
    for (const entry of accepted) {
      const { payload, attempt_count, status } = await readDelivery(relay, scene.workspace, entry);
      assert.deepEqual([payload.id, payload.data.number], [entry.id, entry.number]);
      assert.deepEqual([status, attempt_count], fails(entry.number) ? ["failed", 6] : ["delivered", 1]);
    }
  });

  test("each is found by its event's id", async () => {
    for (const { id, event_id } of accepted) {
      const trace = answered(await relay.fetch(`/v1/workspaces/${scene.workspace}/events/${event_id}`), 200);
      assert.ok(JSON.stringify(trace).includes(id), JSON.stringify(trace));
    }
  });

  test("an event posted again with its generated id is the same delivery", async () => {
    const { id, event_id, number } = accepted[31];
    const again = answered(
      await relay.fetch(`/v1/workspaces/${scene.workspace}/events`, {
        method: "POST",
        body: alert({ event_id, type: "agent.error", data: { number } }),
      }),
      202,
    );
    assert.deepEqual(
      again.deliveries.map((entry) => [entry.id, entry.duplicate]),
      [[id, true]],
    );
  });

  test("resending one leaves the others unchanged", async () => {
    const [one, next] = [accepted[34], accepted[35]];
    answered(await relay.fetch(pathOf(scene, `/deliveries/${one.id}/resend`), { method: "POST" }), 202);
    const resent = await awaitDelivery(
      relay,
      scene.workspace,
      one,
      ({ attempt_count, status }) => attempt_count === 2 && status === "delivered",
    );
    assert.equal(resent.payload.data.number, 34);
    const [first, second] = scene.receiver.attemptsOf(one.id);
    assert.ok(first.body.equals(second.body), "the bytes differ");
    assert.equal((await readDelivery(relay, scene.workspace, next)).attempt_count, 1);
    assert.deepEqual(
      (await list({ limit: "7" })).map(({ id }) => id),
      newestFirst(accepted),
    );
  });
});
