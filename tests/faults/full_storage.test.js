// An object at MAX_STORAGE drops what its log can spare, oldest first, loses nothing that waits, and refuses alone.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { DatabaseSync } from "node:sqlite";
import { after, before, describe, test } from "node:test";
import { eventually } from "../support/eventually.js";
import { startRelay } from "../support/relay.js";
import {
  ISO_MILLISECONDS,
  acceptArray,
  acceptEvent,
  alert,
  answered,
  assertRefused,
  awaitResend,
  awaitSettled,
  changeWebhook,
  listDeliveries,
  pathOf,
  readDelivery,
  setUpWebhook,
  startResend,
} from "../support/steps.js";
import { objectFiles } from "../support/stored_state.js";

const LIMIT = "1MB";
const LIMIT_BYTES = 1_000_000;
const SETTLED_MS = 60_000;
const TIMEOUT_MS = 300_000;

/** Text that no compression makes small. */
const randomText = (bytes) => randomBytes(bytes / 2).toString("hex");

/** An `answer` of 500 with a body for each attempt, which `bodyOf` finds again. */
function failWith(makeBody) {
  const bodies = new Map();
  const keyOf = (id, attempt) => `${id} ${attempt}`;
  return {
    answer: ({ headers }) => {
      const body = makeBody(headers["webhook-id"]);
      bodies.set(keyOf(headers["webhook-id"], headers["x-secureagentics-attempt"]), body);
      return { status: 500, headers: { "content-type": "text/plain" }, body };
    },
    bodyOf: (id, attempt) => bodies.get(keyOf(id, attempt)),
  };
}

const list = (relay, { workspace, webhook }, query) =>
  listDeliveries(relay, workspace, webhook.id, { kind: "event", ...query });
const readWebhook = async (relay, scene) => answered(await relay.fetch(pathOf(scene)), 200);

/** Posts an array of events and waits until the webhook has none pending; returns the deliveries' ids. */
async function settle(relay, scene, count) {
  const events = Array.from({ length: count }, () => alert());
  const answers = await acceptArray(relay, scene.workspace, events);
  const entries = answers.map(({ deliveries: [entry] }) => entry);
  assert.deepEqual(new Set(entries.map(({ status }) => status)), new Set(["pending"]));
  await eventually(async () => (await list(relay, scene, { status: "pending" })).length === 0, { timeout: SETTLED_MS });
  return entries.map(({ id }) => id);
}

/** When a delivery was accepted, which its id begins with. */
const acceptedAt = (id) => Number.parseInt(id.slice("evt_".length, "evt_".length + 12), 16);

/** The bytes of all webhooks' databases, free pages included. */
function databaseBytes({ state }) {
  const sizes = objectFiles(state, "WebhookObject").map((file) => {
    const database = new DatabaseSync(file, { readOnly: true });
    try {
      const { page_count: pages } = database.prepare("PRAGMA page_count").get();
      const { page_size: bytes } = database.prepare("PRAGMA page_size").get();
      return Number(pages) * Number(bytes);
    } finally {
      database.close();
    }
  });
  return sizes.reduce((sum, bytes) => sum + bytes, 0);
}

describe("failed deliveries of three times what fits", { timeout: TIMEOUT_MS }, () => {
  // Two attempts of 4 KB each: 10 deliveries at a time are far from filling it.
  const BODY_BYTES = 4_096;
  const WAVES = 36;
  const WAVE = 10;
  const endpoint = failWith(() => randomText(BODY_BYTES));
  const ids = [];
  let relay;
  let scene;
  let created;
  before(async () => {
    relay = await startRelay({ vars: { MAX_STORAGE: LIMIT, RETRY_SCHEDULE: "50ms" } });
    scene = await setUpWebhook({ after }, relay, endpoint.answer);
    created = await readWebhook(relay, scene);
    for (let wave = 0; wave < WAVES; wave++) ids.push(...(await settle(relay, scene, WAVE)));
  });
  after(() => relay?.stop());

  const isWhole = async (id) => {
    const answer = await relay.fetch(pathOf(scene, `/deliveries/${id}`));
    if (answer.status === 404) return false;
    const { attempts } = answered(answer, 200);
    assert.deepEqual(
      attempts.map(({ attempt, response_status: status }) => [attempt, status]),
      [
        [1, 500],
        [2, 500],
      ],
    );
    return attempts.every(({ attempt, response_body: body }) => body === endpoint.bodyOf(id, attempt));
  };

  test("are all accepted and attempted to the end of their schedule", () => {
    assert.equal(ids.length, WAVES * WAVE);
    assert.equal(scene.receiver.events().length, 2 * ids.length);
  });

  test("stay within the limit", (t) => {
    const bytes = databaseBytes(relay);
    t.diagnostic(`${bytes} bytes for ${ids.length} deliveries with ${2 * BODY_BYTES} bytes of answers each`);
    assert.ok(bytes > LIMIT_BYTES / 2, `only ${bytes} bytes were counted`);
    // Free pages may be a part of it.
    assert.ok(bytes < 1.5 * LIMIT_BYTES, `${bytes} bytes`);
  });

  test("lose the oldest answers' bodies first, and the newest are all listed", async () => {
    for (const id of ids.slice(0, WAVE)) assert.equal(await isWhole(id), false, id);
    const listed = new Set((await list(relay, scene)).map(({ id }) => id));
    for (const id of ids.slice(-2 * WAVE)) assert.ok(listed.has(id), id);
  });

  test("let the webhook say since when its log is whole, and since then it is", async (t) => {
    assert.equal(created.log_since, null);
    // It is told when enough has been deleted.
    const isTold = async () => {
      const { log_since: told } = await readWebhook(relay, scene);
      if (told === null) return false;
      assert.match(told, ISO_MILLISECONDS);
      const since = Date.parse(told);
      assert.ok(since <= Date.now(), told);
      const whole = ids.filter((id) => acceptedAt(id) > since);
      const listed = new Set((await list(relay, scene)).map(({ id }) => id));
      for (const id of whole) if (!listed.has(id) || !(await isWhole(id))) return false;
      t.diagnostic(`${whole.length} of ${ids.length} deliveries are since then`);
      assert.ok(whole.includes(ids.at(-1)), "the newest was dropped");
      assert.ok(since >= acceptedAt(ids[0]), `${told} is before what was dropped`);
      return true;
    };
    await eventually(isTold, { timeout: SETTLED_MS });
  });
});

describe("events held for a disabled webhook until it is full", { timeout: TIMEOUT_MS }, () => {
  const EVENT_BYTES = 100_000;
  let relay;
  before(async () => (relay = await startRelay({ vars: { MAX_STORAGE: LIMIT } })));
  after(() => relay?.stop());

  /** Posts a large event and returns its data, and its deliveries by webhook. */
  async function postLarge(workspace) {
    const data = { text: randomText(EVENT_BYTES) };
    const entries = await acceptEvent(relay, workspace, alert({ data }));
    return { data, by: Object.fromEntries(entries.map((entry) => [entry.webhook_id, entry])) };
  }

  /** A disabled webhook that has refused an event, another one of its workspace, and what is held. */
  async function fill(t) {
    const scene = await setUpWebhook(t, relay);
    const { workspace, webhook } = scene;
    const other = await setUpWebhook(t, relay, undefined, { workspace });
    await changeWebhook(relay, scene, { status: "disabled" });
    const held = [];
    let refusals = 0;
    while (refusals < 2) {
      const { data, by } = await postLarge(workspace);
      const { [webhook.id]: own, [other.webhook.id]: others } = by;
      assert.ok(["pending", "delivered"].includes(others.status), others.status);
      assert.equal((await awaitSettled(relay, workspace, others)).status, "delivered");
      if (own.status === "refused") {
        assert.deepEqual([own.id, own.reason], [null, "storage_full"]);
        refusals++;
      } else {
        assert.equal(own.status, "held");
        assert.equal(refusals, 0, "a later event was held again");
        held.push({ ...own, data });
      }
      assert.ok(held.length * EVENT_BYTES < LIMIT_BYTES, `${held.length} events are held`);
    }
    assert.ok(held.length >= 3, `only ${held.length} events of ${EVENT_BYTES} bytes are held`);
    return { ...scene, other, held };
  }

  async function assertHeld({ workspace, webhook, held }) {
    const listed = await list(relay, { workspace, webhook }, { status: "held" });
    assert.deepEqual(listed.map(({ id }) => id).sort(), held.map(({ id }) => id).sort());
    for (const entry of held) assert.deepEqual((await readDelivery(relay, workspace, entry)).payload.data, entry.data);
  }

  const WAYS = {
    "they are resent": async (scene) => {
      const job = await startResend(relay, scene, { status: "held" });
      const { status, total, delivered } = await awaitResend(relay, scene, job, { timeout: SETTLED_MS });
      assert.deepEqual([status, total, delivered], ["finished", scene.held.length, scene.held.length]);
      for (const { id, data } of scene.held)
        assert.deepEqual(JSON.parse(scene.receiver.attemptsOf(id)[0].text).data, data);
    },
    "they are cancelled": async (scene) => {
      for (const { id } of scene.held)
        answered(await relay.fetch(pathOf(scene, `/deliveries/${id}/cancel`), { method: "POST" }), 200);
    },
  };
  for (const [what, makeRoom] of Object.entries(WAYS)) {
    test(`are all kept, later ones are refused there alone, and accepted again once ${what}`, async (t) => {
      const scene = await fill(t);
      t.diagnostic(`${scene.held.length} events of ${EVENT_BYTES} bytes are held`);
      await assertHeld(scene);
      await changeWebhook(relay, scene, { status: "enabled" });
      await assertHeld(scene);
      await makeRoom(scene);
      const entry = await eventually(
        async () => {
          const { by } = await postLarge(scene.workspace);
          return by[scene.webhook.id].status !== "refused" && by[scene.webhook.id];
        },
        { timeout: SETTLED_MS },
      );
      assert.equal((await awaitSettled(relay, scene.workspace, entry)).status, "delivered");
    });
  }
});

test("an answer that is equal to the one before is stored once and shown at each attempt", {
  timeout: TIMEOUT_MS,
}, async (t) => {
  const BODY_BYTES = 16_000;
  const DELIVERIES = 30;
  const ATTEMPTS = 6;
  // On a busy host thirty bodies at once take longer to read than a short timeout allows, and are cut.
  const relay = await startRelay({ vars: { RETRY_SCHEDULE: "1ms,1ms,1ms,1ms,1ms", ATTEMPT_TIMEOUT: "10s" } });
  t.after(() => relay.stop());

  /** By how many bytes failing deliveries make the database grow. */
  async function growBy(endpoint) {
    const scene = await setUpWebhook(t, relay, endpoint.answer);
    const before = databaseBytes(relay);
    for (const id of await settle(relay, scene, DELIVERIES)) {
      const entry = { id, webhook_id: scene.webhook.id };
      const { status, attempts } = await readDelivery(relay, scene.workspace, entry);
      assert.deepEqual([status, attempts.length], ["failed", ATTEMPTS]);
      for (const { attempt, response_body: body, response_truncated: cut } of attempts) {
        assert.equal(body, endpoint.bodyOf(id, attempt), `attempt ${attempt} of ${id}`);
        assert.equal(cut, false);
      }
    }
    return databaseBytes(relay) - before;
  }

  const bodies = new Map();
  const same = await growBy(
    failWith((id) => {
      if (!bodies.has(id)) bodies.set(id, randomText(BODY_BYTES));
      return bodies.get(id);
    }),
  );
  const distinct = await growBy(failWith(() => randomText(BODY_BYTES)));
  t.diagnostic(`${same} bytes for equal answers, ${distinct} for distinct ones`);
  assert.ok(same >= DELIVERIES * BODY_BYTES, "fewer bytes than one answer of each delivery");
  assert.ok(distinct >= DELIVERIES * BODY_BYTES * ATTEMPTS, "fewer bytes than the distinct answers");
  assert.ok(same < distinct / 2, `${same} bytes for equal answers, ${distinct} for distinct ones`);
});

test("a MAX_STORAGE that is no size from 1MB to 10GB is an error that names it and its value", {
  timeout: TIMEOUT_MS,
}, async (t) => {
  const relay = await startRelay({ vars: { MAX_STORAGE: "10GB" } });
  t.after(() => relay.stop());
  for (const value of ["1MB", "1000KB", "10GB"]) {
    await relay.restart({ vars: { MAX_STORAGE: value } });
    answered(await relay.fetch("/healthz"), 200);
  }
  for (const value of ["8", "8 GB", "8gb", "0.5GB", "999KB", "11GB", "GB", "", "-1GB"]) {
    await relay.restart({ vars: { MAX_STORAGE: value } });
    for (const path of ["/healthz", "/v1/workspaces"]) {
      const { message } = assertRefused(await relay.fetch(path), 500, { code: "misconfigured" });
      assert.ok(message.includes(`MAX_STORAGE is "${value}"`), message);
    }
  }
});
