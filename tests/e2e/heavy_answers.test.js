// Endpoints that answer a lot: what is kept is bounded by its size as stored, and lists and traces leave it out.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { eventually } from "../support/eventually.js";
import { startRelay } from "../support/relay.js";
import {
  acceptArray,
  acceptForOne,
  alert,
  answered,
  awaitSettled,
  listDeliveries,
  pathOf,
  readDelivery,
  setUpWebhook,
} from "../support/steps.js";
import { assertPage, signIn } from "../support/visitor.js";

const KEPT = 16 * 1024;
const EVENTS = 50;
const ATTEMPTS = 6;
// A list of them needs a few hundred bytes each.
const LIST_BYTES = 150_000;
const WASM_BYTES = 8_000_000;

let relay;
before(async () => (relay = await startRelay({ hooks: true, vars: { RETRY_SCHEDULE: "50ms,50ms,50ms,50ms,50ms" } })));
after(() => relay?.stop());

const storedLength = (text) => JSON.stringify(text).length - 2;

describe("fifty failed events, each attempt answered with 16 KiB of control characters and long headers", () => {
  let scene;
  let entries;
  const stops = [];

  before(
    async () => {
      let answers = 0;
      // No two are the same: a body equal to the one before is not stored again.
      const heavy = () => ({
        status: 500,
        headers: { "x-long": '"'.repeat(3_000), "x-longer": "y".repeat(3_000) },
        body: `${"\u0001".repeat(KEPT - 10)}${String(++answers).padStart(10, "0")}`,
      });
      scene = await setUpWebhook({ after: (stop) => stops.push(stop) }, relay, heavy);
      const events = Array.from({ length: EVENTS }, (_, number) => alert({ event_id: `heavy-${number}` }));
      const accepted = await acceptArray(relay, scene.workspace, events);
      entries = accepted.map(({ deliveries: [entry] }) => entry);
      const pending = () => listDeliveries(relay, scene.workspace, scene.webhook.id, { status: "pending", limit: "1" });
      await eventually(async () => (await pending()).length === 0, { timeout: 120_000 });
    },
    { timeout: 180_000 },
  );

  after(async () => {
    for (const stop of stops) await stop();
  });

  const readWasm = async () =>
    answered(await relay.fetch(`/test/rows/${scene.workspace}/${scene.webhook.id}`), 200).wasm_bytes;

  test("are listed, without what was answered", async (t) => {
    const before = await readWasm();
    const answer = await relay.fetch(pathOf(scene, `/deliveries?status=failed&limit=${EVENTS}`));
    const { data } = answered(answer, 200);
    assert.equal(data.length, EVENTS);
    assert.ok(answer.text.length < LIST_BYTES, `${answer.text.length} bytes`);
    for (const delivery of data) {
      const last = delivery.attempts.at(-1);
      assert.deepEqual(delivery.last_attempt, {
        outcome: "http_error",
        response_status: 500,
        duration_ms: last.duration_ms,
        started_at: last.started_at,
      });
      assert.equal(delivery.attempts.length, ATTEMPTS);
    }
    const grown = (await readWasm()) - before;
    t.diagnostic(`${answer.text.length} bytes, memory grew by ${grown}`);
    assert.ok(grown < WASM_BYTES, `${grown} bytes for a page`);
  });

  test("are shown on the webhook's page", async () => {
    const visitor = await signIn(relay, scene.workspace);
    const before = await readWasm();
    const html = assertPage(await visitor.get(`/settings/webhooks/${scene.webhook.id}`));
    assert.ok(html.includes(entries.at(-1).id));
    const grown = (await readWasm()) - before;
    assert.ok(grown < WASM_BYTES, `${grown} bytes for a page`);
  });

  test("are traced, without what was answered", async () => {
    const answer = await relay.fetch(`/v1/workspaces/${scene.workspace}/events/heavy-0`);
    const { webhooks } = answered(answer, 200);
    assert.equal(webhooks[0].delivery.id, entries[0].id);
    assert.equal(webhooks[0].delivery.last_attempt.response_status, 500);
    assert.ok(answer.text.length < LIST_BYTES / EVENTS, `${answer.text.length} bytes`);
  });

  test("keep of each answer what is 16 KiB long in JSON, and say that it was cut", async () => {
    const { attempts } = await readDelivery(relay, scene.workspace, entries[0]);
    assert.equal(attempts.length, ATTEMPTS);
    for (const attempt of attempts) {
      const body = storedLength(attempt.response_body);
      assert.ok(body <= KEPT && body > KEPT - 6, `${body} bytes of body`);
      const headers = Object.entries(attempt.response_headers).flat().map(storedLength);
      assert.ok(headers.reduce((sum, length) => sum + length) <= KEPT, `${headers}`);
      assert.equal(attempt.response_truncated, true);
    }
  });
});

test("bytes that are not text are bounded too", async (t) => {
  const answer = () => ({ status: 410, body: Buffer.alloc(KEPT, 0xff) });
  const { workspace } = await setUpWebhook(t, relay, answer);
  const { attempts } = await awaitSettled(relay, workspace, await acceptForOne(relay, workspace));
  const bytes = Buffer.byteLength(attempts[0].response_body);
  assert.ok(bytes <= KEPT && bytes > KEPT - 3, `${bytes} bytes`);
  assert.equal(attempts[0].response_truncated, true);
});

test("an answer without a body is never cut", async (t) => {
  const { workspace } = await setUpWebhook(t, relay, () => ({ status: 410 }));
  const { attempts } = await awaitSettled(relay, workspace, await acceptForOne(relay, workspace));
  assert.deepEqual([attempts[0].response_body, attempts[0].response_truncated], ["", false]);
});

test("a delivery without an attempt has no last one", async (t) => {
  const scene = await setUpWebhook(t, relay);
  answered(await relay.fetch(pathOf(scene), { method: "PATCH", body: { status: "disabled" } }), 200);
  await acceptForOne(relay, scene.workspace);
  const [held] = await listDeliveries(relay, scene.workspace, scene.webhook.id, { status: "held" });
  assert.deepEqual([held.last_attempt, held.attempts], [null, []]);
});
