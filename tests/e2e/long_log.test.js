// A long log: a page reads a bounded number of rows whatever its filter, and waking reads what is pending once.
//
// The build with test hooks counts the rows in the webhook's object, and tells the size of the Wasm memory.
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { fillLog } from "../support/large_log.js";
import { startRelay } from "../support/relay.js";
import {
  acceptForOne,
  answered,
  awaitResend,
  awaitSettled,
  changeWebhook,
  pathOf,
  setUpWebhook,
  startResend,
} from "../support/steps.js";
import { objectFiles } from "../support/stored_state.js";
import { assertPage, signIn } from "../support/visitor.js";

const LOGGED = 20_000;
const FAILED = 10_000;
// Of the log's scans in src/machines/webhook/tables/log.rs, in each of its four parts, and their boundaries.
const ROWS_A_PAGE = 5_000;
const NEWEST = "evt_ffffffffffff7fff8fffffffffffffff";
const BACKLOG = 100_000;
const WASM_BYTES = 64 * 1024 * 1024;
const TIMEOUT = { timeout: 300_000 };

const readCounts = async (relay, { workspace, webhook }) =>
  answered(await relay.fetch(`/test/rows/${workspace}/${webhook.id}`), 200);

/** A webhook that has delivered an event, and whose log was filled while no relay ran; and the relay. */
async function setUpLog(t, filling, settings = {}) {
  const persist = await mkdtemp(path.join(tmpdir(), "relay-log-"));
  const relay = await startRelay({ hooks: true, persist });
  let scene;
  try {
    scene = await setUpWebhook(t, relay);
    await awaitSettled(relay, scene.workspace, await acceptForOne(relay, scene.workspace));
    await changeWebhook(relay, scene, settings);
  } finally {
    await relay.stop();
  }
  fillLog(objectFiles(persist, "WebhookObject"), scene.webhook.id, filling);
  const again = await startRelay({ hooks: true, persist });
  t.after(async () => {
    await again.stop();
    await rm(persist, { recursive: true, force: true });
  });
  return { relay: again, scene };
}

describe("in a log of 30,000 deliveries", TIMEOUT, () => {
  let relay;
  let scene;
  const stops = [];
  before(async () => {
    const scope = { after: (stop) => stops.push(stop) };
    ({ relay, scene } = await setUpLog(scope, { logged: LOGGED, failed: FAILED, oldest: "agent.error" }));
  });

  after(async () => {
    for (const stop of stops.reverse()) await stop();
  });

  /** Follows the cursors of a list; returns what was found, and the rows that each page read. */
  async function follow(query, from = "") {
    const found = [];
    const rows = [];
    let cursor = from;
    do {
      const { rows_read: before } = await readCounts(relay, scene);
      const page = answered(await relay.fetch(pathOf(scene, `/deliveries?limit=100&${query}${cursor}`)), 200);
      const { rows_read: after } = await readCounts(relay, scene);
      rows.push(after - before);
      found.push(...page.data);
      cursor = page.next_cursor === null ? undefined : `&cursor=${encodeURIComponent(page.next_cursor)}`;
    } while (cursor !== undefined);
    return { found, rows };
  }

  for (const query of ["type=agent.error", "status=failed&type=agent.error"]) {
    test(`the only match of ${query} is found by following cursors, each page reading a bounded number of rows`, async (t) => {
      const { found, rows } = await follow(query);
      t.diagnostic(`${rows.length} pages, at most ${Math.max(...rows)} rows`);
      assert.deepEqual(
        found.map(({ type }) => type),
        ["agent.error"],
      );
      assert.ok(Math.max(...rows) <= ROWS_A_PAGE, `${rows}`);
      assert.ok(rows.length > 5, `only ${rows.length} pages`);
    });
  }

  // Their rows are as those of an earlier release, which have the last attempt in the log alone.
  test("what failed is found by its last attempt, each page reading a bounded number of rows", async () => {
    const { found, rows } = await follow("status=failed&response_status=2xx&outcome=succeeded");
    assert.equal(found.length, FAILED + 1);
    assert.ok(Math.max(...rows) <= ROWS_A_PAGE, `${rows}`);
  });

  // A copy in a segment and one in a row of its own. Their ids are not kept, as if they were older than a day.
  test("the deliveries of an event are found by following cursors, each page reading a bounded number of rows", async () => {
    const { found, rows } = await follow("event_id=copy-9", `&cursor=${NEWEST}`);
    assert.deepEqual(found.map(({ status }) => status).sort(), ["delivered", "failed"]);
    assert.ok(Math.max(...rows) <= ROWS_A_PAGE, `${rows}`);
  });

  test("a filter that matches nothing ends, each page reading a bounded number of rows", async () => {
    for (const query of [
      "kind=test",
      "status=held",
      "status=retrying",
      "response_status=5xx",
      "outcome=timeout",
      "event_id=unknown",
      "type=agent.registered&status=delivered",
    ]) {
      const { found, rows } = await follow(query);
      assert.deepEqual(found, [], query);
      assert.ok(Math.max(...rows) <= ROWS_A_PAGE, `${query}: ${rows}`);
    }
  });

  test("every delivery is on one page, in order", async () => {
    const { found } = await follow("");
    const ids = found.map(({ id }) => id);
    assert.equal(new Set(ids).size, ids.length);
    // The ping, the event that was copied, and the oldest.
    assert.equal(ids.length, LOGGED + FAILED + 3);
    assert.deepEqual(ids, ids.toSorted().reverse());
  });

  test("the webhook's page leads on although it shows nothing", async () => {
    const visitor = await signIn(relay, scene.workspace);
    let address = `/settings/webhooks/${scene.webhook.id}?type=agent.error`;
    for (let page = 0; ; page++) {
      const html = assertPage(await visitor.get(address));
      if (html.includes("Failed</span>")) break;
      assert.ok(page < 200, "the match was not found");
      const next = html.match(/href="([^"]+)" rel="next"/);
      assert.ok(next, "a page without a match leads no further");
      address = next[1].replaceAll("&#38;", "&").replaceAll("&amp;", "&").replace(/#.*/, "");
    }
  });

  test("a bulk resend looks for the few that it takes slice by slice, and finds them", async () => {
    const before = answered(await relay.fetch(pathOf(scene, "/deliveries?limit=1&status=failed")), 200).data[0];
    const since = before.created_at;
    const job = await awaitResend(relay, scene, await startResend(relay, scene, { status: "failed", since }));
    assert.deepEqual([job.status, job.total, job.done], ["finished", 1, 1]);
  });
});

for (const [what, filling, status] of /** @type {const} */ ([
  ["that wait for a retry", { pending: BACKLOG }, "enabled"],
  ["that were never tried, in segments", { pendingInSegments: BACKLOG }, "enabled"],
  ["that are held", { held: BACKLOG }, "disabled"],
])) {
  test(`waking with 100,000 deliveries ${what} takes little memory and reads each row once`, TIMEOUT, async (t) => {
    const { relay, scene } = await setUpLog(t, filling, { status });
    const began = performance.now();
    answered(await relay.fetch(pathOf(scene, "/deliveries?limit=1")), 200);
    const took = performance.now() - began;
    const { wasm_bytes: wasm, rows_read: rows } = await readCounts(relay, scene);
    t.diagnostic(`${took.toFixed(0)} ms, ${(wasm / 1e6).toFixed(1)} MB of Wasm, ${rows} rows`);
    assert.ok(wasm < WASM_BYTES, `${wasm} bytes`);
    assert.ok(rows > BACKLOG / 16 && rows < BACKLOG * 1.1, `${rows} rows`);
    const metrics = await relay.fetch(`/metrics?workspace=${scene.workspace}`);
    assert.match(metrics.text, new RegExp(`\\b${BACKLOG}\\b`));
  });
}
