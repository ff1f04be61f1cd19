// Bulk resends: a job resends each delivery once, oldest first, shows its progress and can be stopped.
//
// One lease at a time, so that the order is exact, and a schedule that ends at once.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { eventually } from "../support/eventually.js";
import { answerWith } from "../support/receiver.js";
import { createWorkspace, startRelay } from "../support/relay.js";
import {
  MALFORMED_OR_REFUSED,
  acceptArray,
  acceptForOne,
  alert,
  answered,
  assertRefused,
  awaitDelivery,
  awaitResend,
  awaitSettled,
  changeWebhook,
  listDeliveries,
  pathOf,
  readDelivery,
  setUpWebhook,
  startResend,
} from "../support/steps.js";

const UNKNOWN = "rs_00000000000070008000000000000000";
const UNKNOWN_DELIVERY = "evt_00000000000070008000000000000000";
const NOTHING_DONE = { total: 0, done: 0, delivered: 0, failed: 0 };

let relay;
before(
  async () =>
    (relay = await startRelay({
      vars: { RETRY_SCHEDULE: "1ms,1ms,1ms,1ms,1ms", MAX_LEASES: "1", ATTEMPT_TIMEOUT: "5s" },
    })),
);
after(() => relay?.stop());

const resend = (scene, body) => relay.fetch(pathOf(scene, "/resend"), { method: "POST", body });
const readJob = (scene, id) => relay.fetch(pathOf(scene, `/resend/${id}`));
const preview = (scene, body) => relay.fetch(pathOf(scene, "/resend/preview"), { method: "POST", body });
const stop = (scene, id) => relay.fetch(pathOf(scene, `/resend/${id}`), { method: "DELETE" });
const listIds = async (scene, query) =>
  (await listDeliveries(relay, scene.workspace, scene.webhook.id, query)).map(({ id }) => id);

/** A webhook whose endpoint can be switched: `endpoint.answer` answers each event after `endpoint.takes` ms. */
async function setUpSwitched(t, options) {
  /** @type {{ status: number | ((id: string) => number), takes: number, resent: string[] }} */
  const endpoint = { status: 500, takes: 0, resent: [] };
  const answer =
    ({ headers }) =>
    (response) => {
      const { status } = endpoint;
      if (status !== 500) endpoint.resent.push(headers["webhook-id"]);
      const timer = setTimeout(
        () => response.writeHead(typeof status === "function" ? status(headers["webhook-id"]) : status).end(),
        endpoint.takes,
      );
      response.on("close", () => clearTimeout(timer));
    };
  return { ...(await setUpWebhook(t, relay, answer, options)), endpoint };
}

/** Makes `count` failed deliveries and returns their ids, oldest first. */
async function failSome(scene, count) {
  const answers = await acceptArray(
    relay,
    scene.workspace,
    Array.from({ length: count }, (_, number) => alert({ data: { number } })),
  );
  const ids = answers.map(({ deliveries: [{ id }] }) => id).sort();
  await eventually(async () => (await listIds(scene, { status: "pending" })).length === 0, { timeout: 60_000 });
  return ids;
}

/** Makes `count` held deliveries and returns their ids, oldest first. */
async function holdSome(scene, count) {
  await changeWebhook(relay, scene, { status: "disabled" });
  const answers = await acceptArray(
    relay,
    scene.workspace,
    Array.from({ length: count }, () => alert()),
  );
  return answers.map(({ deliveries: [{ id }] }) => id).sort();
}

describe("a job", () => {
  test("resends each failed delivery once, oldest first, and counts them", async (t) => {
    const scene = await setUpSwitched(t);
    const ids = await failSome(scene, 20);
    scene.endpoint.status = 200;
    const { id, status, ...counts } = await startResend(relay, scene, { status: "failed" });
    assert.match(id, /^rs_[A-Za-z0-9_-]+$/);
    assert.equal(status, "running");
    assert.equal(counts.total, 20);
    const job = await awaitResend(relay, scene, { id });
    assert.deepEqual(job, { ...job, id, status: "finished", total: 20, done: 20, delivered: 20, failed: 0 });
    assert.deepEqual(scene.endpoint.resent, ids);
    assert.deepEqual(await listIds(scene, { status: "delivered", kind: "event" }), [...ids].reverse());
    const delivery = await readDelivery(relay, scene.workspace, { id: ids[0], webhook_id: scene.webhook.id });
    assert.deepEqual([delivery.attempt_count, delivery.reason, delivery.attempts.at(-1).attempt], [7, null, 7]);
  });

  test("counts as done what failed again, and its schedule starts again", async (t) => {
    const scene = await setUpSwitched(t);
    const ids = await failSome(scene, 8);
    const bad = new Set(ids.slice(0, 3));
    scene.endpoint.status = (id) => (bad.has(id) ? 503 : 200);
    const job = await awaitResend(relay, scene, await startResend(relay, scene));
    assert.deepEqual([job.status, job.total, job.done, job.delivered, job.failed], ["finished", 8, 8, 5, 3]);
    for (const id of bad) {
      const spent = ({ status, attempt_count: made }) => status === "failed" && made === 12;
      await awaitDelivery(relay, scene.workspace, { id, webhook_id: scene.webhook.id }, spent);
    }
    assert.equal(scene.endpoint.resent.length, 5 + 3 * 6);
  });

  test("resends only what failed in the given period", async (t) => {
    const scene = await setUpSwitched(t);
    const timeBetween = async () => {
      const since = Date.now();
      await eventually(() => Date.now() > since + 30);
      return new Date(Date.now() - 15).toISOString();
    };
    await failSome(scene, 3);
    const since = await timeBetween();
    const middle = await failSome(scene, 4);
    const until = await timeBetween();
    const last = await failSome(scene, 2);
    scene.endpoint.status = 200;
    const between = await awaitResend(
      relay,
      scene,
      await startResend(relay, scene, { status: "failed", since, until }),
    );
    assert.deepEqual([between.total, between.delivered], [4, 4]);
    assert.deepEqual(scene.endpoint.resent, middle);
    const after = await awaitResend(relay, scene, await startResend(relay, scene, { status: "failed", since }));
    assert.equal(after.total, 2);
    assert.deepEqual(scene.endpoint.resent.slice(4), last);
    const before = await awaitResend(relay, scene, await startResend(relay, scene, { status: "failed", until }));
    assert.equal(before.total, 3);
  });

  test("sends what was held, oldest first, once its webhook is enabled", async (t) => {
    const scene = await setUpSwitched(t);
    const ids = await holdSome(scene, 12);
    scene.endpoint.status = 200;
    await changeWebhook(relay, scene, { status: "enabled" });
    const job = await awaitResend(relay, scene, await startResend(relay, scene, { status: "held" }));
    assert.deepEqual([job.status, job.total, job.done, job.delivered, job.failed], ["finished", 12, 12, 12, 0]);
    assert.deepEqual(scene.endpoint.resent, ids);
    assert.deepEqual(await listIds(scene, { status: "held" }), []);
  });

  test("resends what its last attempt chooses, and a preview says how many and from when", async (t) => {
    const scene = await setUpSwitched(t);
    const ids = await failSome(scene, 6);
    const bad = new Set(ids.slice(0, 2));
    scene.endpoint.status = (id) => (bad.has(id) ? 503 : 404);
    await awaitResend(relay, scene, await startResend(relay, scene));
    await eventually(async () => (await listIds(scene, { status: "pending" })).length === 0, { timeout: 60_000 });
    scene.endpoint.status = 200;
    scene.endpoint.resent.length = 0;
    const body = { status: "failed", type: "alert.triggered", response_status: "5xx", outcome: "http_error" };
    const all = answered(await preview(scene, { status: "failed" }), 200);
    assert.deepEqual([all.total, all.is_exact], [6, true]);
    const createdAt = async (id) =>
      (await readDelivery(relay, scene.workspace, { id, webhook_id: scene.webhook.id })).created_at;
    assert.deepEqual(answered(await preview(scene, body), 200), {
      total: 2,
      is_exact: true,
      oldest_at: await createdAt(ids[0]),
      newest_at: await createdAt(ids[1]),
    });
    assert.deepEqual(answered(await preview(scene, { ...body, response_status: 500 }), 200), {
      total: 0,
      is_exact: true,
      oldest_at: null,
      newest_at: null,
    });
    assert.deepEqual(scene.endpoint.resent, [], "a preview sends nothing");
    const job = await awaitResend(relay, scene, await startResend(relay, scene, body));
    assert.deepEqual([job.status, job.total, job.done, job.delivered], ["finished", 2, 2, 2]);
    assert.deepEqual(scene.endpoint.resent, ids.slice(0, 2));
  });

  test("resends those that are named, delivered ones too, and passes over tests and unknown ones", async (t) => {
    const scene = await setUpSwitched(t);
    const failed = await failSome(scene, 3);
    scene.endpoint.status = 200;
    const { id: delivered } = await awaitSettled(relay, scene.workspace, await acceptForOne(relay, scene.workspace));
    scene.endpoint.resent.length = 0;
    const ids = [delivered, failed[2], failed[0], failed[0], scene.webhook.ping.id, UNKNOWN_DELIVERY];
    assert.equal(answered(await preview(scene, { ids }), 200).total, 3);
    const job = await awaitResend(relay, scene, await startResend(relay, scene, { ids }));
    assert.deepEqual([job.status, job.total, job.done, job.delivered], ["finished", 3, 3, 3]);
    assert.deepEqual(scene.endpoint.resent, [failed[0], failed[2], delivered]);
    assert.deepEqual(await listIds(scene, { status: "failed" }), [failed[1]]);
  });

  test("for failed deliveries does not touch held and delivered ones, pings and tests", async (t) => {
    const scene = await setUpSwitched(t, { ping: answerWith(500) });
    answered(await relay.fetch(pathOf(scene, "/test"), { method: "POST", body: { type: "agent.error" } }), 200);
    const failed = await failSome(scene, 2);
    scene.endpoint.status = 200;
    await awaitSettled(relay, scene.workspace, await acceptForOne(relay, scene.workspace));
    scene.endpoint.resent.length = 0;
    const held = await holdSome(scene, 2);
    await changeWebhook(relay, scene, { status: "enabled" });
    assert.deepEqual(await listIds(scene, { status: "failed", kind: "ping" }), [scene.webhook.ping.id]);
    const job = await awaitResend(relay, scene, await startResend(relay, scene));
    assert.equal(job.total, 2);
    assert.deepEqual(scene.endpoint.resent, failed);
    assert.deepEqual(await listIds(scene, { status: "held" }), [...held].reverse());
  });

  test("resends nothing that failed after it began", async (t) => {
    const scene = await setUpSwitched(t);
    const ids = await failSome(scene, 6);
    scene.endpoint.takes = 150;
    scene.endpoint.status = (id) => (ids.includes(id) ? 200 : 500);
    const begun = await startResend(relay, scene);
    await eventually(() => scene.endpoint.resent.length >= 1);
    const late = await acceptForOne(relay, scene.workspace);
    const job = await awaitResend(relay, scene, begun);
    assert.deepEqual([job.total, job.done, job.delivered], [6, 6, 6]);
    const { status, attempt_count: made } = await awaitSettled(relay, scene.workspace, late, { timeout: 30_000 });
    assert.deepEqual([status, made], ["failed", 6]);
  });

  test("with nothing to resend finishes at once", async (t) => {
    const scene = await setUpSwitched(t);
    const job = await awaitResend(relay, scene, await startResend(relay, scene));
    assert.deepEqual(job, { ...job, status: "finished", ...NOTHING_DONE });
    assert.equal((await awaitResend(relay, scene, await startResend(relay, scene, { status: "held" }))).total, 0);
  });
});

describe("a running job", () => {
  // A job reads a few deliveries ahead; of this many it has read only a part when it is stopped.
  const MANY = 40;

  /** A job over `count` failed deliveries with a slow endpoint, once it has begun to send. */
  async function begin(t, count) {
    const scene = await setUpSwitched(t);
    const ids = await failSome(scene, count);
    Object.assign(scene.endpoint, { status: 200, takes: 100 });
    const { id } = await startResend(relay, scene);
    await eventually(() => scene.endpoint.resent.length >= 2);
    return { scene, ids, id };
  }

  test("shows its progress, which only grows", async (t) => {
    const { scene, id } = await begin(t, 8);
    const seen = [];
    await eventually(async () => {
      const job = answered(await readJob(scene, id), 200);
      seen.push(job.done);
      assert.ok(job.delivered <= job.done && job.done <= job.total, JSON.stringify(job));
      return job.status === "finished";
    });
    assert.ok(
      seen.some((done) => done > 0 && done < 8),
      `progress seen: ${[...new Set(seen)]}`,
    );
    assert.deepEqual(
      seen,
      [...seen].sort((one, other) => one - other),
    );
  });

  test("is the only one: a second is refused until it is over", async (t) => {
    const { scene, id } = await begin(t, 5);
    assertRefused(await resend(scene, { status: "held" }), 409, { code: "resend_running" });
    const second = await resend(scene, { status: "failed" });
    assertRefused(second, 409, { code: "resend_running" });
    const { resend: running } = second.body;
    assert.deepEqual(running, { ...running, id, status: "running", total: 5 });
    assert.deepEqual(Object.keys(running), Object.keys(answered(await readJob(scene, id), 200)));
    await awaitResend(relay, scene, { id });
    assert.equal(scene.endpoint.resent.length, 5);
    answered(await resend(scene, { status: "failed" }), 202);
  });

  test("is stopped on request: what was not begun stays failed, and the next job resends it", async (t) => {
    const { scene, ids, id } = await begin(t, MANY);
    const stopped = answered(await stop(scene, id), 200);
    assert.deepEqual([stopped.id, stopped.status, stopped.total], [id, "stopped", MANY]);
    // What already had its lease still runs to its end.
    await eventually(async () => (await listIds(scene, { status: "pending" })).length === 0);
    const sent = scene.endpoint.resent.length;
    assert.ok(sent < MANY, "everything was sent before the stop: this proved nothing");
    const failed = await listIds(scene, { status: "failed" });
    assert.deepEqual(failed.sort(), ids.slice(sent));
    assert.equal(answered(await readJob(scene, id), 200).status, "stopped");
    scene.endpoint.takes = 0;
    const next = await awaitResend(relay, scene, await startResend(relay, scene));
    assert.deepEqual([next.total, next.delivered], [MANY - sent, MANY - sent]);
    assert.deepEqual(scene.endpoint.resent, ids);
  });

  test("stops by itself when its webhook is disabled by a person", async (t) => {
    const { scene, id } = await begin(t, MANY);
    await changeWebhook(relay, scene, { status: "disabled" });
    const job = await awaitResend(relay, scene, { id });
    assert.equal(job.status, "stopped");
    await eventually(async () => (await listIds(scene, { status: "pending" })).length === 0);
    assert.ok(scene.endpoint.resent.length < MANY, "everything was sent before: this proved nothing");
  });

  test("stops by itself when its endpoint is gone", async (t) => {
    const { scene, id } = await begin(t, MANY);
    scene.endpoint.status = 410;
    assert.equal((await awaitResend(relay, scene, { id })).status, "stopped");
    assert.ok(scene.endpoint.resent.length < MANY, "everything was sent before: this proved nothing");
  });

  test("ends with its webhook", async (t) => {
    const { scene, id } = await begin(t, MANY);
    answered(await relay.fetch(pathOf(scene), { method: "DELETE" }), 204);
    assertRefused(await readJob(scene, id), 404, { code: "not_found" });
    const sent = scene.endpoint.resent.length;
    const other = await setUpWebhook(t, relay);
    await awaitSettled(relay, other.workspace, await acceptForOne(relay, other.workspace));
    assert.ok(scene.endpoint.resent.length <= sent + 1, "it went on");
  });

  test("does not keep new events waiting until it is over", async (t) => {
    const { scene, id } = await begin(t, MANY);
    const entry = await acceptForOne(relay, scene.workspace);
    await eventually(() => scene.endpoint.resent.includes(entry.id));
    assert.ok(scene.endpoint.resent.indexOf(entry.id) < MANY, "the new event came after the whole job");
    answered(await stop(scene, id), 200);
  });
});

describe("a job is refused", () => {
  /** @type {import("../support/types.d.ts").Refusals} */
  const REFUSED = {
    "without a status": [{}, MALFORMED_OR_REFUSED, "status"],
    "for delivered deliveries": [{ status: "delivered" }, MALFORMED_OR_REFUSED, "status"],
    "for retrying deliveries, which are among the pending ones": [
      { status: "retrying" },
      MALFORMED_OR_REFUSED,
      "status",
    ],
    "with a status that is not a string": [{ status: 5 }, MALFORMED_OR_REFUSED, "status"],
    "with a time in words": [{ status: "failed", since: "yesterday" }, MALFORMED_OR_REFUSED, "since"],
    "with a number as time": [{ status: "failed", until: 1768473000 }, MALFORMED_OR_REFUSED, "until"],
    "with an unknown member": [{ status: "failed", limit: 5 }, 400, "limit", "unknown_field"],
    "with an unknown outcome": [{ status: "failed", outcome: "failed" }, 422, "outcome", "invalid_outcome"],
    "with what is no status of a response": [
      { status: "failed", response_status: "50x" },
      422,
      "response_status",
      "invalid_response_status",
    ],
    "with null for a status of a response": [
      { status: "failed", response_status: null },
      400,
      "response_status",
      "invalid_type",
    ],
    "with a type that is no string": [{ status: "failed", type: 1 }, 400, "type", "invalid_type"],
    "without ids in their array": [{ ids: [] }, 422, "ids", "invalid_ids"],
    "with more than a hundred ids": [{ ids: Array(101).fill(UNKNOWN_DELIVERY) }, 422, "ids", "invalid_ids"],
    "with what is no id": [{ ids: ["evt_1"] }, 422, "ids", "invalid_ids"],
    "with ids and a status": [{ ids: [UNKNOWN_DELIVERY], status: "failed" }, 422, "ids", "invalid_ids"],
    "with ids that are no array": [{ ids: UNKNOWN_DELIVERY }, 400, "ids", "invalid_type"],
  };
  for (const [what, [body, status, field, code]] of Object.entries(REFUSED)) {
    test(`${what}, and its preview too`, async (t) => {
      const scene = await setUpSwitched(t);
      assertRefused(await resend(scene, body), status, { code, field });
      assertRefused(await preview(scene, body), status, { code, field });
    });
  }

  test("while the webhook is disabled", async (t) => {
    const scene = await setUpSwitched(t);
    await holdSome(scene, 2);
    assertRefused(await resend(scene, { status: "held" }), 409, { code: "webhook_disabled" });
    assertRefused(await resend(scene, { status: "failed" }), 409, { code: "webhook_disabled" });
    assert.equal((await listIds(scene, { status: "held" })).length, 2);
  });

  test("if there is no such webhook", async () => {
    const unknown = { workspace: await createWorkspace(relay), webhook: { id: "wh_00000000000070008000000000000000" } };
    assertRefused(await resend(unknown, { status: "failed" }), 404, { code: "not_found" });
    assertRefused(await preview(unknown, { status: "failed" }), 404, { code: "not_found" });
  });

  test("to be read or stopped if it does not exist or is another webhook's", async (t) => {
    const scene = await setUpSwitched(t);
    const other = await setUpSwitched(t, { workspace: scene.workspace });
    const { id } = await startResend(relay, scene);
    for (const [at, job] of [
      [scene, UNKNOWN],
      [scene, "nonsense"],
      [other, id],
    ]) {
      assertRefused(await readJob(at, job), 404, { code: "not_found" });
      assertRefused(await stop(at, job), 404, { code: "not_found" });
    }
  });
});

test("stopping a finished job leaves it finished", async (t) => {
  const scene = await setUpSwitched(t);
  const finished = await awaitResend(relay, scene, await startResend(relay, scene));
  assert.deepEqual(answered(await stop(scene, finished.id), 200), finished);
  assert.deepEqual(answered(await readJob(scene, finished.id), 200), finished);
});
