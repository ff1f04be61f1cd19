// The page before many events are resent, and the forms that start and stop it.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { answerInTurn, hang } from "../support/receiver.js";
import { startRelay } from "../support/relay.js";
import {
  acceptArray,
  acceptForOne,
  alert,
  answered,
  awaitDelivery,
  awaitResend,
  awaitSettled,
  changeWebhook,
  pathOf,
  setUpWebhook,
} from "../support/steps.js";
import { assertLeadsTo, assertPage, signIn } from "../support/visitor.js";

const HOME = "/settings/webhooks";
// Well-formed but never assigned.
const NOBODY = "00000000000070008000000000000000";

let relay;
before(async () => (relay = await startRelay({ vars: { RETRY_SCHEDULE: "1h" } })));
after(() => relay?.stop());

/** A webhook, a visitor who may change it, and the path of its page. */
async function setUp(t, answer, settings) {
  const scene = await setUpWebhook(t, relay, answer, settings);
  return { ...scene, visitor: await signIn(relay, scene.workspace), page: `${HOME}/${scene.webhook.id}` };
}

const read = async (scene, below = "") => answered(await relay.fetch(pathOf(scene, below)), 200);

/** Some events that are pending, and then cancelled: the first with an attempt that was answered with 500. */
async function cancelSome(scene, count) {
  const entries = [];
  for (let number = 0; number < count; number++) {
    const entry = await acceptForOne(relay, scene.workspace, alert());
    await awaitDelivery(relay, scene.workspace, entry, ({ next_attempt_at: next }) => next !== null);
    answered(await relay.fetch(pathOf(scene, `/deliveries/${entry.id}/cancel`), { method: "POST" }), 200);
    entries.push(entry);
  }
  return entries;
}

/** What the form of a page would post: its hidden fields. */
const hiddenFields = (html) =>
  [...html.matchAll(/<input type="hidden" name="(\w+)" value="([^"]*)">/g)].map(([, name, value]) => [name, value]);

describe("the page before a resend", () => {
  test("W4: says how many, the oldest and the newest, and its button resends as many", async (t) => {
    const scene = await setUp(t, answerInTurn(500, 500, 500, 500, 200));
    const entries = await cancelSome(scene, 3);
    const html = assertPage(await scene.visitor.get(`${scene.page}/resend`));
    assert.match(html, /3 failed events will be resent/);
    assert.match(html, /<button class="primary">Resend 3 events<\/button>/);
    const linked = entries.filter(({ id }) => html.includes(`/deliveries/${id}"`));
    assert.deepEqual(linked, [entries[0], entries[2]]);
    assert.match(html, /last attempt: 500 Internal Server Error/);
    const late = await cancelSome(scene, 1);
    const started = await scene.visitor.post(`${scene.page}/resend`, hiddenFields(html));
    const [id] = assertLeadsTo(started, /resend=rs_/).match(/rs_\w+/);
    const { total, delivered } = await awaitResend(relay, scene, { id });
    assert.deepEqual([total, delivered], [3, 3], "what came after the page was shown is not resent");
    assert.equal((await read(scene, `/deliveries/${late[0].id}`)).status, "failed");
    const page = assertPage(await scene.visitor.get(`${scene.page}?resend=${id}`));
    assert.match(page, /The resend has ended: 3 arrived, 0 failed again\./);
  });

  test("counts what was selected, and leaves out what cannot be resent", async (t) => {
    const scene = await setUp(t, answerInTurn(500, 500, 500, 200));
    const [first, second] = await cancelSome(scene, 2);
    const pending = await acceptForOne(relay, scene.workspace);
    await awaitDelivery(relay, scene.workspace, pending, ({ next_attempt_at: next }) => next !== null);
    const query = new URLSearchParams([first, second, pending].map(({ id }) => ["ids", id]));
    const html = assertPage(await scene.visitor.get(`${scene.page}/resend?${query}`));
    assert.match(html, /2 events will be resent/);
    assert.match(html, /1 selected event cannot be resent/);
    const started = await scene.visitor.post(`${scene.page}/resend`, hiddenFields(html));
    const [id] = assertLeadsTo(started, /resend=rs_/).match(/rs_\w+/);
    assert.equal((await awaitResend(relay, scene, { id })).total, 2);
    const alone = assertPage(await scene.visitor.get(`${scene.page}/resend?ids=${pending.id}`));
    assert.match(alone, /None of the selected events can be resent/);
    assertPage(await scene.visitor.get(`${scene.page}/resend?selected=true`), 422);
  });

  test("is narrowed by type, code, outcome and time", async (t) => {
    const scene = await setUp(t, answerInTurn(503));
    await cancelSome(scene, 1);
    for (const [query, words] of [
      ["type=alert.triggered&response_status=5xx&outcome=http_error&since=2026-01-01", "1 failed event will be resent"],
      ["response_status=500", "No failed event matches."],
      ["outcome=timeout", "No failed event matches."],
      ["type=agent.error", "No failed event matches."],
      ["since=2200-01-01", "No failed event matches."],
      ["status=held", "No held event matches."],
      ["status=pending", "No event that waits for a later attempt matches."],
    ]) {
      const html = assertPage(await scene.visitor.get(`${scene.page}/resend?${query}`));
      assert.ok(html.includes(words), query);
      assert.equal(html.includes(">Resend 1 event<"), query.includes("5xx"), query);
    }
  });

  test("of a disabled webhook says to enable it first", async (t) => {
    const scene = await setUp(t, answerInTurn(500));
    await cancelSome(scene, 1);
    await changeWebhook(relay, scene, { status: "disabled" });
    const html = assertPage(await scene.visitor.get(`${scene.page}/resend`));
    assert.match(html, /1 failed event will be resent/);
    assert.match(html, /Enable the webhook first/);
    assert.doesNotMatch(html, />Resend 1 event</);
  });

  test("needs a session that may change webhooks, and a webhook of its workspace", async (t) => {
    const scene = await setUp(t);
    const reader = await signIn(relay, scene.workspace, ["webhooks:read"]);
    assertPage(await reader.get(`${scene.page}/resend`), 403);
    assert.ok(!assertPage(await reader.get(scene.page)).includes("/resend"));
    const stranger = await setUp(t);
    assertPage(await stranger.visitor.get(`${scene.page}/resend`), 404);
    assertPage(await scene.visitor.get(`${HOME}/wh_${NOBODY}/resend`), 404);
  });
});

describe("resending many", () => {
  test("starts, shows its progress, and can be stopped", async (t) => {
    const scene = await setUp(t, () => hang());
    await changeWebhook(relay, scene, { status: "disabled" });
    const posted = await acceptArray(
      relay,
      scene.workspace,
      Array.from({ length: 20 }, () => alert()),
    );
    const [
      {
        deliveries: [entry],
      },
    ] = posted;
    await awaitDelivery(relay, scene.workspace, entry, ({ status }) => status === "held");
    assertPage(await scene.visitor.post(`${scene.page}/resend`, { status: "held" }), 409);
    assertLeadsTo(await scene.visitor.post(`${scene.page}/enable`), scene.page);

    const answer = await scene.visitor.post(`${scene.page}/resend`, { status: "held", since: "", until: "" });
    const location = assertLeadsTo(answer, new RegExp(`^${scene.page}\\?resend=rs_\\w+#resend$`));
    const [job] = location.match(/rs_\w+/);
    assert.ok(assertPage(await scene.visitor.get(location)).includes(job));
    assert.match(assertPage(await scene.visitor.post(`${scene.page}/resend`, { status: "held" }), 409), /running/);
    assertLeadsTo(await scene.visitor.post(`${scene.page}/resend/${job}/stop`), `${scene.page}?resend=${job}#resend`);
    assert.equal((await read(scene, `/resend/${job}`)).status, "stopped");
    assertPage(await scene.visitor.post(`${scene.page}/resend/rs_${NOBODY}/stop`), 404);
  });

  test("sends what failed in a period", async (t) => {
    const scene = await setUp(t, answerInTurn(410, 200));
    const entry = await acceptForOne(relay, scene.workspace);
    await awaitSettled(relay, scene.workspace, entry);
    assertLeadsTo(await scene.visitor.post(`${scene.page}/enable`), scene.page);
    const [since, until] = ["2026-01-01T00:00", "2200-01-01T00:00"];
    assertLeadsTo(await scene.visitor.post(`${scene.page}/resend`, { status: "failed", since, until }), /resend=rs_/);
    await awaitDelivery(relay, scene.workspace, entry, ({ status }) => status === "delivered");
  });

  test("sends what is pending at once", async (t) => {
    const scene = await setUp(t, answerInTurn(500, 200), { retry_schedule: ["1h"] });
    const entry = await acceptForOne(relay, scene.workspace);
    await awaitDelivery(relay, scene.workspace, entry, (delivery) => delivery.next_attempt_at !== null);
    assertLeadsTo(await scene.visitor.post(`${scene.page}/resend`, { status: "pending" }), /resend=rs_/);
    await awaitDelivery(relay, scene.workspace, entry, ({ status }) => status === "delivered");
  });

  test("refuses an impossible status or time", async (t) => {
    const scene = await setUp(t);
    for (const fields of [
      {},
      { status: "delivered" },
      { status: "failed", since: "yesterday" },
      { status: "held", until: "x" },
      { status: "held", response_status: "6xx" },
      { status: "held", outcome: "succeeded" },
      { selected: "true" },
      { ids: "evt_1" },
    ]) {
      const html = assertPage(await scene.visitor.post(`${scene.page}/resend`, fields), 422);
      assert.match(html, /<title>Error: Resend events/);
      if ("status" in fields) {
        const query = new URLSearchParams(fields);
        assertPage(await scene.visitor.get(`${scene.page}/resend?${query}`), 422);
      }
    }
  });
});

test("W12: what a script fetches leaves the notice to the page that is shown next", async (t) => {
  const scene = await setUp(t);
  await scene.visitor.post(`${scene.page}/pause`);
  const fetched = await scene.visitor.get(scene.page, { headers: { "sec-fetch-dest": "empty" } });
  assert.doesNotMatch(assertPage(fetched), /Webhook paused\./);
  assert.match(assertPage(await scene.visitor.get(scene.page)), /Webhook paused\./);
  assert.doesNotMatch(assertPage(await scene.visitor.get(scene.page)), /Webhook paused\./);
});
