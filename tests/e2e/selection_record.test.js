// The record of what webhooks selected, by which a trace explains absences: it is bounded, and says where it begins.
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, before, describe, test } from "node:test";
import { createWebhook, createWorkspace, startRelay } from "../support/relay.js";
import { answered, changeWebhook, pathOf } from "../support/steps.js";
import { objectFiles, onDatabase } from "../support/stored_state.js";
import { assertPage, signIn } from "../support/visitor.js";

const DAY_MS = 24 * 60 * 60 * 1000;
// Of CHANGES_LIMIT in src/domain/history.rs, and as many that were in force when the record begins.
const LIMIT = 1_000;
const URL_OF = (name) => `http://127.0.0.1:9/${name}`;

/** The rows of a workspace's record, even while the relay runs, and the file that they are in. */
function recorded(persist, workspace) {
  for (const file of objectFiles(persist, "WorkspaceObject")) {
    const database = new DatabaseSync(file, { readOnly: true });
    try {
      const meta = database.prepare("SELECT value FROM meta WHERE key = 'workspace'").get();
      if (!String(meta?.value).includes(`"${workspace}"`)) continue;
      return { file, rows: database.prepare("SELECT webhook_id FROM selection_changes").all() };
    } finally {
      database.close();
    }
  }
  throw new Error(`no object of ${workspace} was found`);
}

/** Adds changes as an earlier release recorded them: `[webhook, at, types]`; types null for a deletion. */
function record({ file }, changes) {
  onDatabase(file, (database) => {
    const insert = database.prepare(
      "INSERT INTO selection_changes (webhook_id, revision, at, value) VALUES (?, ?, ?, ?)",
    );
    database.exec("BEGIN");
    // Before the revisions of the changes that the relay made itself.
    for (const [index, [webhook, at, events]] of changes.entries())
      insert.run(webhook, index - changes.length, at, JSON.stringify({ webhook, at, events }));
    database.exec("COMMIT");
  });
}

/** The id of a webhook that was made at a time. */
const madeAt = (time, number) =>
  `wh_${time.toString(16).padStart(12, "0")}70008${number.toString(16).padStart(15, "0")}`;

describe("a record of five thousand changes in the retention, and some before it", () => {
  const now = Date.now();
  const before30Days = now - 40 * DAY_MS;
  const flapping = madeAt(now - 20 * DAY_MS, 1);
  const long = madeAt(before30Days, 2);
  const deletedLongAgo = madeAt(before30Days, 3);
  const deletedLately = madeAt(now - 20 * DAY_MS, 4);
  let persist;
  let relay;
  let workspace;
  let webhook;

  before(async () => {
    persist = await mkdtemp(path.join(tmpdir(), "relay-record-"));
    relay = await startRelay({ persist });
    workspace = await createWorkspace(relay);
    webhook = await createWebhook(relay, workspace, { url: URL_OF("a"), events: ["alert.triggered"] });
    await relay.stop();
    const changes = [
      [long, before30Days, ["alert.triggered"]],
      [long, before30Days + DAY_MS, ["agent.error"]],
      [deletedLongAgo, before30Days, ["alert.triggered"]],
      [deletedLongAgo, before30Days + DAY_MS, null],
      [deletedLately, now - 20 * DAY_MS, ["alert.triggered"]],
      [deletedLately, now - 1000, null],
    ];
    for (let number = 0; number < 5_000; number++)
      changes.push([flapping, now - DAY_MS + number * 1000, number % 2 === 0 ? ["alert.triggered"] : ["agent.error"]]);
    record(recorded(persist, workspace), changes);
    relay = await startRelay({ persist });
  });
  after(async () => {
    await relay?.stop();
    await rm(persist, { recursive: true, force: true });
  });

  const traceAt = async (at) => {
    const query = new URLSearchParams({ type: "alert.triggered", at: new Date(at).toISOString() });
    return answered(await relay.fetch(`/v1/workspaces/${workspace}/events/never-posted?${query}`), 200);
  };
  const reasonOf = (traced, id) => traced.webhooks.find(({ webhook_id: found }) => found === id)?.reason;

  test("is cut to the newest thousand and what was in force before them", async () => {
    const traced = await traceAt(now);
    const { rows } = recorded(persist, workspace);
    assert.ok(rows.length <= LIMIT + 10 && rows.length >= LIMIT, `${rows.length} changes`);
    // Of its thousand newest the flapping one has all but the creation of the workspace's own and a deletion.
    assert.ok(Date.parse(traced.recorded_since) > now - DAY_MS + 3_900_000, traced.recorded_since);
    assert.ok(Date.parse(traced.recorded_since) < now - DAY_MS + 4_100_000, traced.recorded_since);
  });

  test("explains what came after it begins", async () => {
    const since = Date.parse((await traceAt(now)).recorded_since);
    const begin = await traceAt(since);
    assert.equal(reasonOf(begin, long), "type_not_selected");
    assert.equal(reasonOf(begin, webhook.id), "webhook_did_not_exist");
    assert.equal(reasonOf(begin, deletedLately), "not_stored");
    for (const at of [since, since + 1000, since + 2000]) {
      const expected = ((at - (now - DAY_MS)) / 1000) % 2 === 0 ? "not_stored" : "type_not_selected";
      assert.equal(reasonOf(await traceAt(at), flapping), expected, `${at - since} ms after`);
    }
    assert.equal(reasonOf(await traceAt(now), deletedLately), "webhook_deleted");
  });

  test("says of what came before it that it is not recorded, not that there was no webhook", async () => {
    const traced = await traceAt(now - DAY_MS + 1000);
    assert.equal(reasonOf(traced, flapping), "not_recorded");
    assert.equal(reasonOf(traced, webhook.id), "webhook_did_not_exist");
    assert.equal(reasonOf(traced, long), "type_not_selected");
    assert.equal(reasonOf(traced, deletedLongAgo), undefined, "deleted before the record begins");
    assert.equal(reasonOf(await traceAt(now - 21 * DAY_MS), flapping), "webhook_did_not_exist");
  });

  test("and so does the page", async () => {
    const visitor = await signIn(relay, workspace);
    const at = new Date(now - DAY_MS + 1000).toISOString().slice(0, 19);
    const query = new URLSearchParams({ id: "never-posted", type: "alert.triggered", at });
    const html = assertPage(await visitor.get(`/settings/events?${query}`));
    assert.match(html, /no longer recorded/);
    assert.match(html, /recorded since/);
  });

  test("grows by a change of the types, and by no other change", async () => {
    const scene = { workspace, webhook };
    const count = () => recorded(persist, workspace).rows.filter(({ webhook_id: id }) => id === webhook.id).length;
    const first = count();
    await changeWebhook(relay, scene, { events: ["alert.triggered", "agent.error"] });
    assert.equal(count(), first + 1);
    await changeWebhook(relay, scene, { events: ["agent.error", "alert.triggered"] });
    await changeWebhook(relay, scene, { description: "other" });
    assert.equal(count(), first + 1);
    answered(await relay.fetch(pathOf(scene), { method: "DELETE" }), 204);
    assert.equal(count(), first + 2);
    const all = recorded(persist, workspace).rows.length;
    assert.ok(all <= LIMIT + 10, `${all} changes`);
  });
});

test("a record that was never cut says so", async (t) => {
  const relay = await startRelay();
  t.after(() => relay.stop());
  const workspace = await createWorkspace(relay);
  await createWebhook(relay, workspace, { url: URL_OF("a") });
  const traced = answered(
    await relay.fetch(`/v1/workspaces/${workspace}/events/never-posted?type=alert.triggered`),
    200,
  );
  assert.deepEqual([traced.recorded_since, traced.webhooks[0].reason], [null, "not_stored"]);
});
