// What operators see of each attempt: one line of JSON in the log, and a data point if a dataset is bound.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { eventually } from "../support/eventually.js";
import { answerInTurn, hang, refusedUrl } from "../support/receiver.js";
import { createWebhook, createWorkspace, startRelay } from "../support/relay.js";
import { acceptForOne, alert, awaitSettled, pathOf, setUpWebhook } from "../support/steps.js";

const MEMBERS = [
  "message",
  "workspace_id",
  "webhook_id",
  "delivery_id",
  "type",
  "kind",
  "attempt",
  "outcome",
  "response_status",
  "duration_ms",
];
const POINT = "data point ";

let relay;
before(async () => (relay = await startRelay({ dataset: true })));
after(() => relay?.stop());

// Miniflare puts the level before each line.
const messages = ({ logs }) => logs.map((line) => line.slice(line.indexOf(": ") + 2));
const readLines = (relay) =>
  messages(relay)
    .filter((line) => line.startsWith('{"message":"attempt"'))
    .map((line) => JSON.parse(line));
const readPoints = (relay) =>
  messages(relay)
    .filter((line) => line.startsWith(POINT))
    .map((line) => JSON.parse(line.slice(POINT.length)));

/** The lines of one delivery, once there are as many as it has attempts. */
function awaitLines(relay, id, count) {
  return eventually(() => {
    const lines = readLines(relay).filter((line) => line.delivery_id === id);
    assert.equal(lines.length, count, JSON.stringify(lines));
    return lines;
  });
}

test("with LOG_ATTEMPTS failed, only an attempt that did not succeed is a line", async (t) => {
  const quiet = await startRelay({ vars: { LOG_ATTEMPTS: "failed" } });
  t.after(() => quiet.stop());
  const { workspace } = await setUpWebhook(t, quiet, answerInTurn(200, 503, 200));
  for (let event = 0; event < 2; event++) await awaitSettled(quiet, workspace, await acceptForOne(quiet, workspace));
  const lines = await eventually(() => {
    const lines = readLines(quiet);
    assert.ok(lines.length > 0);
    return lines;
  });
  assert.deepEqual(
    lines.map(({ attempt, response_status: status }) => [attempt, status]),
    [[1, 503]],
  );
});

describe("each attempt is one line of JSON", () => {
  test("with its ids, number, outcome, status and duration, first attempt and retries alike", async (t) => {
    const { workspace, webhook } = await setUpWebhook(t, relay, answerInTurn(503, hang, 302, 200));
    const entry = await acceptForOne(relay, workspace);
    const delivery = await awaitSettled(relay, workspace, entry);
    const lines = await awaitLines(relay, entry.id, 4);
    for (const [index, line] of lines.entries()) {
      assert.deepEqual(Object.keys(line), MEMBERS);
      const { outcome, response_status, duration_ms } = delivery.attempts[index];
      assert.deepEqual(line, {
        message: "attempt",
        workspace_id: workspace,
        webhook_id: webhook.id,
        delivery_id: entry.id,
        type: "alert.triggered",
        kind: "event",
        attempt: index + 1,
        outcome,
        response_status,
        duration_ms,
      });
    }
    assert.deepEqual(
      lines.map((line) => line.outcome),
      ["http_error", "timeout", "http_error", "succeeded"],
    );
  });

  test("also for a ping, for a test and for an unreachable endpoint", async () => {
    const workspace = await createWorkspace(relay);
    const webhook = await createWebhook(relay, workspace, { url: await refusedUrl() });
    const body = { type: "agent.error" };
    const tested = await relay.fetch(pathOf({ workspace, webhook }, "/test"), { method: "POST", body });
    assert.equal(tested.status, 200, tested.text);
    const [ping] = await awaitLines(relay, webhook.ping.id, 1);
    const [made] = await awaitLines(relay, tested.body.id, 1);
    assert.deepEqual([ping.kind, ping.type, ping.outcome, ping.response_status], ["ping", "ping", "unreachable", null]);
    assert.deepEqual(
      [made.kind, made.type, made.outcome, made.response_status],
      ["test", "agent.error", "unreachable", null],
    );
  });

  test("and has nothing of the payload, the URL, the headers or the answer", async (t) => {
    const answer = () => ({ status: 500, headers: { "x-private": "private-header" }, body: "private-answer" });
    const hidden = [
      "private-payload",
      "private-secret",
      "private-value",
      "private-header",
      "private-answer",
      "private-query",
      "private-id",
    ];
    const scene = await setUpWebhook(t, relay, answer, {
      secret: "private-secret",
      headers: { "X-Own": "private-value" },
    });
    const url = `${scene.receiver.url}?token=private-query`;
    const changed = await relay.fetch(pathOf(scene), { method: "PATCH", body: { url } });
    assert.equal(changed.status, 200, changed.text);
    const event = alert({ event_id: "private-id", data: { text: "private-payload" } });
    const entry = await acceptForOne(relay, scene.workspace, event);
    await awaitSettled(relay, scene.workspace, entry);
    await awaitLines(relay, entry.id, 6);
    assert.equal(scene.receiver.attemptsOf(entry.id)[0].url, "/hooks?token=private-query");
    const log = relay.logs.join("\n");
    for (const text of hidden) assert.ok(!log.includes(text), `the log shows ${text}`);
  });
});

test("each attempt is a data point if a dataset is bound, indexed by its webhook", async (t) => {
  const { workspace, webhook } = await setUpWebhook(t, relay, answerInTurn(500, 204));
  const entry = await acceptForOne(relay, workspace);
  await awaitSettled(relay, workspace, entry);
  const lines = await awaitLines(relay, entry.id, 2);
  const points = await eventually(() => {
    const own = readPoints(relay).filter((point) => point.indexes[0] === webhook.id && point.blobs[3] === "event");
    return own.length === 2 && own;
  });
  assert.deepEqual(
    points,
    lines.map((line) => ({
      indexes: [webhook.id],
      doubles: [line.attempt, line.response_status, line.duration_ms],
      blobs: [workspace, webhook.id, line.type, line.kind, line.outcome],
    })),
  );
});

test("without a dataset the relay works too, and logs nothing about it", async (t) => {
  const bare = await startRelay();
  t.after(() => bare.stop());
  const { workspace } = await setUpWebhook(t, bare);
  const entry = await acceptForOne(bare, workspace);
  assert.equal((await awaitSettled(bare, workspace, entry)).status, "delivered");
  await awaitLines(bare, entry.id, 1);
  assert.deepEqual(
    messages(bare).filter((line) => !line.startsWith('{"message":"attempt"')),
    [],
  );
});
