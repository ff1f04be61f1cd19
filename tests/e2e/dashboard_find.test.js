// Finding anything of a workspace: what a text leads to, what it costs, and what it must not show.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { turn } from "../support/hooks.js";
import { answerWith } from "../support/receiver.js";
import { startRelay } from "../support/relay.js";
import { acceptEvent, acceptForOne, alert, answered, awaitSettled, pathOf, setUpWebhook } from "../support/steps.js";
import { assertLeadsTo, assertPage, createVisitor, signIn } from "../support/visitor.js";

const NOBODY = "00000000000070008000000000000000";
const PAGE_LIMIT = 40_000;

let relay;
let scene;
let other;
let entries;
let visitor;
before(async () => {
  relay = await startRelay({ hooks: true });
  scene = await setUpWebhook({ after }, relay, answerWith(200));
  other = await setUpWebhook({ after }, relay, answerWith(200), { workspace: scene.workspace });
  entries = await acceptEvent(relay, scene.workspace, alert({ event_id: "order-19" }));
  for (const entry of entries) await awaitSettled(relay, scene.workspace, entry);
  visitor = await signIn(relay, scene.workspace);
});
after(() => relay?.stop());

const find = (text, who = visitor) => who.get(`/settings/find?q=${encodeURIComponent(text)}`);
const callsOf = ({ headers }) => JSON.parse(headers.get("x-object-calls"));
const homeOf = ({ webhook }) => `/settings/webhooks/${webhook.id}`;

test("one match leads to its page", async () => {
  const [entry] = entries;
  assertLeadsTo(await find(entry.id), `/settings/webhooks/${entry.webhook_id}/deliveries/${entry.id}`);
  assertLeadsTo(await find(scene.webhook.id), homeOf(scene));
  assertLeadsTo(await find(` ${new URL(other.webhook.url).host}/ `), homeOf(other));
});

test("several matches are listed: webhooks by a part of their URL, deliveries by the event's id", async () => {
  const webhooks = assertPage(await find("HTTP://"));
  for (const each of [scene, other]) assert.ok(webhooks.includes(`href="${homeOf(each)}"`));
  const deliveries = assertPage(await find("order-19"));
  for (const { id } of entries) assert.ok(deliveries.includes(id));
  assert.match(deliveries, /href="\/settings\/events\?id=order-19"/);
});

test("nothing is an answer and no error, whatever the text", async () => {
  for (const text of ["", " ", `evt_${NOBODY}`, `wh_${NOBODY}`, "nobody", "%", "\u202e", "x".repeat(2_049), "'\"<b>"]) {
    const html = assertPage(await find(text));
    assert.match(html, /What can be searched for/);
    assert.ok(!html.includes("<b>"), text);
    assert.ok(html.length < PAGE_LIMIT, `${html.length} bytes`);
  }
  assertPage(await visitor.get("/settings/find"));
});

test("a search costs one call to the workspace's object, and one to each webhook's only for what may be an event", async () => {
  const own = { [scene.workspace]: 1 };
  const all = { ...own };
  for (const { webhook } of [scene, other]) all[`${scene.workspace}/${webhook.id}`] = 1;
  for (const [text, calls] of [
    ["", own],
    [scene.webhook.id, own],
    [`wh_${NOBODY}`, own],
    ["http://", own],
    ["x".repeat(2_049), own],
    ["order-19", all],
    [entries[0].id, all],
    ["nobody", all],
  ])
    assert.deepEqual(callsOf(await find(text)), calls, String(text).slice(0, 40));
});

test("webhooks that do not answer are counted, and what the others have is listed", async (t) => {
  t.after(() => turn(relay));
  for (const silent of [1, 2]) {
    await turn(relay, { fault: { statement: "FROM event_ids", times: silent } });
    const html = assertPage(await find("order-19"));
    assert.match(html, silent === 1 ? /A webhook did not answer, so/ : /2 webhooks did not answer, so/);
    assert.equal(entries.filter(({ id }) => html.includes(id)).length, 2 - silent);
  }
});

test("another workspace's things are not found, deleted ones neither, and without the scope nothing is", async (t) => {
  const theirs = await setUpWebhook(t, relay);
  const entry = await acceptForOne(relay, theirs.workspace, alert({ event_id: "theirs" }));
  await awaitSettled(relay, theirs.workspace, entry);
  for (const text of [theirs.webhook.id, new URL(theirs.webhook.url).host, entry.id, "theirs"])
    assert.match(assertPage(await find(text)), /Nothing was found/, text);
  const gone = await setUpWebhook(t, relay, undefined, { workspace: theirs.workspace });
  answered(await relay.fetch(pathOf(gone), { method: "DELETE" }), 204);
  assert.match(assertPage(await find(gone.webhook.id, await signIn(relay, theirs.workspace))), /Nothing was found/);
  assertPage(await find("order", await signIn(relay, scene.workspace, ["events:write", "webhooks:write"])), 403);
  assertLeadsTo(await find("order", createVisitor(relay)), /^\/sign-in/);
});
