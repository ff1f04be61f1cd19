// Two releases together: a Worker of one works with objects of the other, and each continues what the other stored.
//
// Objects run the old code for minutes after a deployment. The release before this one is tests/fixtures/release-*.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { eventually } from "../support/eventually.js";
import { answerInTurn } from "../support/receiver.js";
import { createWorkspace, postEvent, startRelay } from "../support/relay.js";
import {
  acceptArray,
  acceptEvent,
  acceptForOne,
  alert,
  answered,
  awaitDelivery,
  awaitResend,
  awaitSettled,
  changeWebhook,
  createKey,
  listDeliveries,
  pathOf,
  readDelivery,
  setUpWebhook,
  startResend,
} from "../support/steps.js";
import { assertLeadsTo, assertPage, createLink, createVisitor, signIn } from "../support/visitor.js";

const HOME = "/settings/webhooks";
// A lease that ended with its Worker, and an alarm that erred, are repeated after 10 s at most.
const RECOVERY_MS = 60_000;
const TIMEOUT_MS = 180_000;

/** @type {import("../support/types.d.ts").Versions} */
const CURRENT = { worker: "current", objects: "current" };
/** @type {import("../support/types.d.ts").Versions} */
const PREVIOUS = { worker: "previous", objects: "previous" };

/** An `answer` for setUpWebhook with the status that `endpoint` has at that time. */
const answerAs = (endpoint) => () => ({ status: endpoint.status, body: `answered ${endpoint.status}` });
const post = (relay, path, body) => relay.fetch(path, { method: "POST", body });

/** @type {Record<string, import("../support/types.d.ts").Versions>} */
const CROSSED = {
  "this release's Worker with the objects of the release before": { worker: "current", objects: "previous" },
  "the Worker of the release before with this release's objects": { worker: "previous", objects: "current" },
};
for (const [what, versions] of Object.entries(CROSSED)) {
  describe(what, { concurrency: 4, timeout: TIMEOUT_MS }, () => {
    let relay;
    before(async () => (relay = await startRelay({ versions, vars: { RETRY_SCHEDULE: "100ms,100ms" } })));
    after(() => relay?.stop());

    test("delivers what is posted, alone and in an array, and knows an event_id again", async (t) => {
      const { workspace, webhook, receiver } = await setUpWebhook(t, relay);
      assert.equal(webhook.ping.status, "delivered");
      const { key } = await createKey(relay, workspace);
      const alone = await acceptForOne(relay, workspace);
      const array = ["order-1", "order-2", "order-1"].map((id) => alert({ event_id: id }));
      const [[first], [second], [again]] = (await acceptArray(relay, workspace, array)).map(
        ({ deliveries }) => deliveries,
      );
      assert.deepEqual([again.id, again.duplicate], [first.id, true]);
      for (const entry of [alone, first, second])
        assert.equal((await awaitSettled(relay, workspace, entry)).status, "delivered");
      const withKey = { method: "POST", token: key, body: alert({ event_id: "order-1" }) };
      const { deliveries } = answered(await relay.fetch(`/v1/workspaces/${workspace}/events`, withKey), 202);
      assert.deepEqual(
        deliveries.map(({ id, status, duplicate }) => [id, status, duplicate]),
        [[first.id, "delivered", true]],
      );
      assert.equal(receiver.events().length, 3);
      assert.deepEqual(JSON.parse(receiver.attemptsOf(alone.id)[0].text).data, alert().data);
      const listed = await listDeliveries(relay, workspace, webhook.id, { kind: "event" });
      assert.deepEqual(new Set(listed.map(({ id }) => id)), receiver.receivedIds());
    });

    test("delivers what is posted at the same moment", async (t) => {
      const { workspace, receiver } = await setUpWebhook(t, relay);
      const posts = Array.from({ length: 40 }, () => acceptForOne(relay, workspace));
      const ids = (await Promise.all(posts)).map(({ id }) => id);
      await eventually(() => ids.every((id) => receiver.receivedIds().has(id)), { timeout: RECOVERY_MS });
    });

    test("attempts again what failed, and shows each attempt", async (t) => {
      const scene = await setUpWebhook(t, relay, answerInTurn(500, 503, 200));
      const entry = await acceptForOne(relay, scene.workspace);
      const { status, attempts } = await awaitSettled(relay, scene.workspace, entry, { timeout: RECOVERY_MS });
      assert.deepEqual(
        [status, attempts.map(({ attempt, response_status: answer }) => [attempt, answer])],
        [
          "delivered",
          [
            [1, 500],
            [2, 503],
            [3, 200],
          ],
        ],
      );
      assert.equal(new Set(scene.receiver.attemptsOf(entry.id).map(({ text }) => text)).size, 1);
    });

    test("sends a test event and shows its request and answer", async (t) => {
      const scene = await setUpWebhook(t, relay, answerAs({ status: 201 }), { headers: { "X-Team": "the-team" } });
      const made = answered(await post(relay, pathOf(scene, "/test"), { type: "agent.error" }), 200);
      assert.deepEqual([made.kind, made.status, made.attempts[0].response_status], ["test", "delivered", 201]);
      assert.equal(made.attempts[0].response_body, "answered 201");
      const [received] = scene.receiver.events();
      assert.equal(made.request.body, received.text);
      assert.equal(received.headers["x-team"], "the-team");
    });

    test("resends one delivery and many, and cancels one", async (t) => {
      const endpoint = { status: 500 };
      const scene = await setUpWebhook(t, relay, answerAs(endpoint));
      const { workspace } = scene;
      const entries = [];
      for (let count = 0; count < 4; count++) entries.push(await acceptForOne(relay, workspace));
      for (const entry of entries) {
        const { status, reason } = await awaitSettled(relay, workspace, entry, { timeout: RECOVERY_MS });
        assert.deepEqual([status, reason], ["failed", "schedule_spent"]);
      }
      endpoint.status = 200;
      answered(await post(relay, pathOf(scene, `/deliveries/${entries[0].id}/resend`)), 202);
      const again = await awaitDelivery(relay, workspace, entries[0], ({ status }) => status === "delivered");
      assert.equal(again.attempt_count, 4);
      const job = await awaitResend(relay, scene, await startResend(relay, scene), { timeout: RECOVERY_MS });
      assert.deepEqual([job.status, job.total, job.done, job.delivered], ["finished", 3, 3, 3]);

      await changeWebhook(relay, scene, { status: "disabled" });
      const held = await acceptForOne(relay, workspace);
      assert.equal(held.status, "held");
      const cancelled = answered(await post(relay, pathOf(scene, `/deliveries/${held.id}/cancel`)), 200);
      assert.deepEqual([cancelled.status, cancelled.reason], ["failed", "cancelled"]);
      assert.equal(scene.receiver.attemptsOf(held.id).length, 0);
    });

    test("changes a webhook and rotates its secret", async (t) => {
      const scene = await setUpWebhook(t, relay, undefined, { secret: "the-first-secret" });
      const moved = `${scene.receiver.origin}/moved`;
      const { url, description } = await changeWebhook(relay, scene, { url: moved, description: "moved" });
      assert.deepEqual([url, description], [moved, "moved"]);
      const body = { secret: "the-second-secret" };
      const rotated = answered(await post(relay, pathOf(scene, "/secret/rotate"), body), 200);
      assert.equal(rotated.secret, body.secret);
      const { id } = await acceptForOne(relay, scene.workspace);
      const request = await eventually(() => scene.receiver.attemptsOf(id)[0]);
      assert.equal(request.url, "/moved");
      assert.equal(/** @type {string} */ (request.headers["webhook-signature"]).split(" ").length, 2);
      assert.equal(answered(await relay.fetch(pathOf(scene, "/secret")), 200).secret, body.secret);
      await changeWebhook(relay, scene, { events: ["agent.error"] });
      await eventually(async () => (await acceptEvent(relay, scene.workspace)).length === 0);
      await acceptForOne(relay, scene.workspace, alert({ type: "agent.error" }));
    });

    test("answers stats, metrics and the trace of an event", async (t) => {
      const scene = await setUpWebhook(t, relay);
      const entry = await acceptForOne(relay, scene.workspace, alert({ event_id: "traced" }));
      await awaitSettled(relay, scene.workspace, entry);
      const { data } = answered(await relay.fetch(pathOf(scene, "/stats")), 200);
      assert.equal(
        data.reduce((sum, { delivered }) => sum + delivered, 0),
        1,
      );
      const metrics = await relay.fetch(`/metrics?workspace=${scene.workspace}`);
      assert.ok(answered(metrics, 200) === undefined && metrics.text.includes("pending"), metrics.text);
      const traced = answered(await relay.fetch(`/v1/workspaces/${scene.workspace}/events/traced`), 200);
      assert.deepEqual(
        traced.webhooks.map(({ webhook_id: id, delivery }) => [id, delivery?.id, delivery?.status]),
        [[scene.webhook.id, entry.id, "delivered"]],
      );
    });

    test("shows the dashboard's pages to a person with a link", async (t) => {
      const scene = await setUpWebhook(t, relay, answerAs({ status: 200 }));
      const entry = await acceptForOne(relay, scene.workspace);
      await awaitSettled(relay, scene.workspace, entry);
      const { token } = await createLink(relay, scene.workspace);
      const visitor = createVisitor(relay);
      assertPage(await visitor.get(`/sign-in?link=${token}`));
      assertLeadsTo(await visitor.post("/sign-in", { link: token }), HOME);
      const detail = `${HOME}/${scene.webhook.id}`;
      assert.ok(assertPage(await visitor.get(HOME)).includes(detail));
      assert.ok(assertPage(await visitor.get(detail)).includes(entry.id));
      assert.ok(assertPage(await visitor.get(`${detail}/deliveries/${entry.id}`)).includes("answered 200"));
    });

    test("ends a key, a webhook and a workspace", async (t) => {
      const scene = await setUpWebhook(t, relay);
      const path = `/v1/workspaces/${scene.workspace}`;
      const { id, key } = await createKey(relay, scene.workspace);
      answered(await relay.fetch(`${path}/webhooks`, { token: key }), 200);
      answered(await relay.fetch(`${path}/keys/${id}`, { method: "DELETE" }), 204);
      answered(await relay.fetch(`${path}/webhooks`, { token: key }), 401);
      answered(await relay.fetch(pathOf(scene), { method: "DELETE" }), 204);
      answered(await relay.fetch(pathOf(scene)), 404);
      await eventually(async () => (await acceptEvent(relay, scene.workspace)).length === 0);
      answered(await relay.fetch(path, { method: "DELETE" }), 204);
      answered(await relay.fetch(path), 404);
    });
  });
}

/** A relay with a delivered, a cancelled and a pending delivery at one webhook, and a held one at another. */
async function fill(t, versions) {
  const relay = await startRelay({ versions, vars: { RETRY_SCHEDULE: "2s,2s,2s,2s,2s" } });
  t.after(() => relay.stop());
  const endpoint = { status: 200 };
  const secret = { secret: "the-first-secret", headers: { "X-Team": "the-team" } };
  const scene = await setUpWebhook(t, relay, answerAs(endpoint), { events: ["alert.triggered"], ...secret });
  const { workspace } = scene;
  const paused = await setUpWebhook(t, relay, undefined, { workspace, events: ["agent.error"] });
  const delivered = await acceptForOne(relay, workspace, alert({ event_id: "order-1" }));
  await awaitSettled(relay, workspace, delivered);
  await changeWebhook(relay, paused, { status: "disabled" });
  const held = await acceptForOne(relay, workspace, alert({ type: "agent.error" }));
  const visitor = await signIn(relay, workspace);
  endpoint.status = 500;
  const [cancelled, pending] = [await acceptForOne(relay, workspace), await acceptForOne(relay, workspace)];
  for (const entry of [cancelled, pending])
    await awaitDelivery(relay, workspace, entry, ({ attempts }) => attempts.length > 0);
  answered(await post(relay, pathOf(scene, `/deliveries/${cancelled.id}/cancel`)), 200);
  endpoint.status = 200;
  return { relay, ...scene, paused, visitor, entries: { delivered, cancelled, pending, held } };
}

const statusOf = async (relay, workspace, entry) => (await readDelivery(relay, workspace, entry)).status;
const becomesDelivered = (relay, workspace, entry) =>
  awaitDelivery(relay, workspace, entry, ({ status }) => status === "delivered", { timeout: RECOVERY_MS });

test("what the release before stored is read and continued", { timeout: TIMEOUT_MS }, async (t) => {
  const { relay, workspace, webhook, receiver, paused, visitor, entries } = await fill(t, PREVIOUS);
  await relay.restart({ versions: CURRENT });
  await eventually(() => receiver.attemptsOf(entries.pending.id).length >= 2, { timeout: RECOVERY_MS });
  await becomesDelivered(relay, workspace, entries.pending);
  assert.equal(await statusOf(relay, workspace, entries.delivered), "delivered");
  assert.equal(await statusOf(relay, workspace, entries.cancelled), "failed");
  assert.equal(await statusOf(relay, workspace, entries.held), "held");
  const [ping, ...events] = (await listDeliveries(relay, workspace, webhook.id)).map(({ id }) => id).sort();
  assert.equal(ping, webhook.ping.id);
  assert.deepEqual(events, [entries.delivered, entries.cancelled, entries.pending].map(({ id }) => id).sort());

  const again = await acceptForOne(relay, workspace, alert({ event_id: "order-1" }));
  assert.deepEqual([again.id, again.duplicate], [entries.delivered.id, true]);
  const scene = { workspace, webhook };
  assert.equal(answered(await relay.fetch(pathOf(scene, "/secret")), 200).secret, "the-first-secret");
  assert.equal(answered(await relay.fetch(pathOf(scene), { token: visitor.key }), 200).headers["X-Team"], "the-team");
  assertPage(await visitor.get(`${HOME}/${webhook.id}/deliveries/${entries.cancelled.id}`));
  answered(await post(relay, pathOf(scene, `/deliveries/${entries.cancelled.id}/resend`)), 202);
  await becomesDelivered(relay, workspace, entries.cancelled);
  const body = { secret: "the-second-secret" };
  answered(await post(relay, pathOf(scene, "/secret/rotate"), body), 200);
  await becomesDelivered(relay, workspace, await acceptForOne(relay, workspace));
  await changeWebhook(relay, paused, { status: "enabled" });
  const job = await awaitResend(relay, paused, await startResend(relay, paused, { status: "held" }));
  assert.deepEqual([job.total, job.delivered], [1, 1]);
  const { data } = answered(await relay.fetch(pathOf(scene, "/stats")), 200);
  assert.equal(
    data.reduce((sum, { delivered }) => sum + delivered, 0),
    4,
  );
  answered(await relay.fetch(pathOf(scene), { method: "DELETE" }), 204);
});

test("keys, links and sessions of the release before stay valid, are listed, and can be ended", {
  timeout: TIMEOUT_MS,
}, async (t) => {
  const relay = await startRelay({ versions: PREVIOUS });
  t.after(() => relay.stop());
  const workspace = await createWorkspace(relay);
  const visitor = await signIn(relay, workspace);
  const [used, unused] = [await createLink(relay, workspace), await createLink(relay, workspace)];
  for (const token of [visitor.key, visitor.cookie.split("=")[1], used.token])
    assert.match(token, /^(sk|se|dl)_[a-z0-9]+_[0-9a-f]{64}$/);
  await relay.restart({ versions: CURRENT });

  answered(await relay.fetch(`/v1/workspaces/${workspace}/webhooks`, { token: visitor.key }), 200);
  assertPage(await visitor.get(HOME));
  assertLeadsTo(await createVisitor(relay).post("/sign-in", { key: visitor.key }), HOME);
  const byLink = createVisitor(relay);
  assertPage(await byLink.get(`/sign-in?link=${used.token}`));
  assertLeadsTo(await byLink.post("/sign-in", { link: used.token }), HOME);

  const path = `/v1/workspaces/${workspace}/dashboard-links`;
  const { data } = answered(await relay.fetch(path), 200);
  assert.deepEqual(data.map(({ kind, created_at: at }) => `${kind} ${at === null}`).sort(), [
    "link true",
    "session false",
    "session false",
    "session false",
  ]);
  for (const { id } of data) answered(await relay.fetch(`${path}/${id}`, { method: "DELETE" }), 204);
  for (const one of [visitor, byLink]) assertLeadsTo(await one.get(HOME), "/sign-in");
  assertPage(await createVisitor(relay).post("/sign-in", { link: unused.token }), 422);
});

test("after a rollback what is pending is delivered, or the log names the schema; nothing is lost", {
  timeout: TIMEOUT_MS,
}, async (t) => {
  const { relay, workspace, webhook, entries } = await fill(t, CURRENT);
  const logged = relay.logs.length;
  await relay.restart({ versions: PREVIOUS });
  const outcome = await eventually(
    async () => {
      const answer = await relay.fetch(pathOf({ workspace, webhook }, `/deliveries/${entries.pending.id}`));
      if (answer.status === 200) return answer.body.status === "delivered" && "it was delivered";
      assert.equal(answer.status, 503, answer.text);
      return relay.logs.slice(logged).some((line) => /schema \d/.test(line)) && "the schema was refused";
    },
    { timeout: RECOVERY_MS },
  );
  t.diagnostic(outcome);
  const posted = await postEvent(relay, workspace, alert());
  if (posted.status === 202) entries.posted = posted.body.deliveries[0];
  else assert.deepEqual([posted.status, posted.body.error.code], [503, "not_stored"]);

  await relay.restart({ versions: CURRENT });
  for (const entry of [entries.delivered, entries.pending, entries.posted].filter((one) => one !== undefined))
    await becomesDelivered(relay, workspace, entry);
  assert.equal(await statusOf(relay, workspace, entries.cancelled), "failed");
  assert.equal(await statusOf(relay, workspace, entries.held), "held");
  await becomesDelivered(relay, workspace, await acceptForOne(relay, workspace));
});
