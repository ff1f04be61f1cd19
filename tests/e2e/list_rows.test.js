// The cost of reading: a page of a long log reads no more rows than a page of a short one, and stats no row a delivery.
//
// The build with test hooks counts the rows in the webhook's object.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { eventually } from "../support/eventually.js";
import { startReceiver } from "../support/receiver.js";
import { createWebhook, createWorkspace, startRelay } from "../support/relay.js";
import { acceptArray, alert, answered, listDeliveries, pathOf, setUpWebhook } from "../support/steps.js";

// The events of one array, which are of the same moment: a page looks at all of that moment.
const FEW = 100;
const MANY = 1_000;
const MORE = 20;

// Longer than the deliveries of one segment may be apart (`SPAN`): a page looks at every segment that may have one of
// its moment, so arrays that follow each other closely are one moment.
const APART_MS = 50;

let relay;
before(async () => (relay = await startRelay({ hooks: true })));
after(() => relay?.stop());

const readCounts = async ({ workspace, webhook }) =>
  answered(await relay.fetch(`/test/rows/${workspace}/${webhook.id}`), 200);

/** Returns the rows that one GET reads, and its body. */
async function readRows(scene, below) {
  const { rows_read: before } = await readCounts(scene);
  const body = answered(await relay.fetch(pathOf(scene, below)), 200);
  const { rows_read: after } = await readCounts(scene);
  return { rows: after - before, body };
}

/** Delivers events until the webhook has had `count` of them, each hundred of a moment of its own. */
async function deliverUpTo(scene, count) {
  for (let have = scene.receiver.receivedIds().size; have < count; have += 100) {
    await acceptArray(
      relay,
      scene.workspace,
      Array.from({ length: Math.min(100, count - have) }, () => alert()),
    );
    const next = Date.now() + APART_MS;
    await eventually(() => Date.now() >= next);
  }
  await eventually(() => scene.receiver.receivedIds().size === count, { timeout: 120_000 });
  const pending = () => listDeliveries(relay, scene.workspace, scene.webhook.id, { status: "pending" });
  await eventually(async () => (await pending()).length === 0, { timeout: 30_000 });
}

describe("with a thousand deliveries instead of a hundred", { timeout: 240_000 }, () => {
  const few = {};
  const many = {};

  const PAGES = {
    "the first page": "/deliveries?limit=10",
    "the first page of one status": "/deliveries?limit=5&status=delivered",
    "the first page of one kind": "/deliveries?limit=5&kind=event",
    "what is pending": "/deliveries?limit=5&status=pending",
    "what is tried again": "/deliveries?limit=5&status=retrying",
    "what was answered with an error": "/deliveries?limit=5&response_status=5xx",
    "what had an outcome": "/deliveries?limit=5&outcome=timeout",
    "an event that was never posted": "/deliveries?limit=5&event_id=unknown",
    "a page until a time long ago": "/deliveries?limit=5&until=2020-01-01T00:00:00.000Z",
  };

  let scene;
  before(async () => {
    const receiver = await startReceiver();
    const workspace = await createWorkspace(relay);
    scene = { workspace, receiver, webhook: await createWebhook(relay, workspace, { url: receiver.url }) };
    await deliverUpTo(scene, FEW);
    for (const [what, below] of Object.entries(PAGES)) few[what] = await readRows(scene, below);
    await deliverUpTo(scene, MANY);
    for (const [what, below] of Object.entries(PAGES)) many[what] = await readRows(scene, below);
  });

  after(() => scene?.receiver.stop());

  for (const what of Object.keys(PAGES)) {
    test(`${what} reads no more rows`, (t) => {
      t.diagnostic(`${few[what].rows} rows with ${FEW} deliveries, ${many[what].rows} with ${MANY}`);
      // A broken counter would meet any bound.
      assert.ok(
        few["the first page"].rows >= 1,
        `${few["the first page"].rows} rows were counted for a page of ${FEW}`,
      );
      assert.ok(many[what].rows <= few[what].rows + MORE, `${few[what].rows} rows before, ${many[what].rows} after`);
    });
  }

  test("the tenth page reads no more rows than the first", async (t) => {
    let cursor = "";
    const rows = [];
    for (let number = 1; number <= 10; number++) {
      const page = await readRows(scene, `/deliveries?limit=10${cursor}`);
      assert.equal(page.body.data.length, 10);
      rows.push(page.rows);
      cursor = `&cursor=${encodeURIComponent(page.body.next_cursor)}`;
    }
    t.diagnostic(`rows of the pages: ${rows}`);
    // A page at the boundary of two moments looks at both.
    assert.ok(Math.max(...rows) <= 2 * rows[0] + MORE, `rows of the pages: ${rows}`);
  });

  // Its segment is looked up among those of the same moment.
  test("one delivery reads only the rows of its moment", async (t) => {
    const { data } = (await readRows(scene, "/deliveries?limit=100")).body;
    const { rows } = await readRows(scene, `/deliveries/${data.at(-1).id}`);
    t.diagnostic(`${rows} rows`);
    assert.ok(rows <= MANY / 16, `${rows} rows for one delivery: as many as all have`);
  });

  test("the stats read a number of rows that does not grow with the log", async (t) => {
    const { rows } = await readRows(scene, "/stats?hours=24");
    t.diagnostic(`${rows} rows for the stats of ${MANY} deliveries`);
    assert.ok(rows < MANY, `${rows} rows: one or more for each delivery`);
  });
});

test("the stats do not cost a row per delivery, folding included", { timeout: 120_000 }, async (t) => {
  const events = 300;
  const scene = await setUpWebhook(t, relay);
  const before = await readCounts(scene);
  await deliverUpTo(scene, events);
  const { data } = answered(await relay.fetch(pathOf(scene, "/stats")), 200);
  const after = await readCounts(scene);
  assert.equal(
    data.reduce((sum, { delivered }) => sum + delivered, 0),
    events,
  );
  const each = (after.rows_written - before.rows_written + after.alarms_set - before.alarms_set) / events;
  t.diagnostic(`${each.toFixed(3)} rows written an event`);
  assert.ok(after.rows_written > before.rows_written, "no rows were counted");
  assert.ok(each <= 1.1, `${each} rows an event`);
});
