// Making, reading and deleting workspaces.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { eventually } from "../support/eventually.js";
import { createWorkspace, postEvent, startRelay } from "../support/relay.js";
import { ISO_MILLISECONDS, MALFORMED_OR_REFUSED, acceptForOne, assertRefused, setUpWebhook } from "../support/steps.js";

let relay;
before(async () => (relay = await startRelay()));
after(() => relay?.stop());

const create = (body, init) => relay.fetch("/v1/workspaces", { method: "POST", body, ...init });

test("a workspace gets the requested id", async () => {
  const answer = await create({ id: "ws_acme1", name: "Acme" });
  assert.equal(answer.status, 201, answer.text);
  assert.equal(answer.body.id, "ws_acme1");
  assert.equal(answer.body.name, "Acme");
  assert.match(answer.body.created_at, ISO_MILLISECONDS);
  const read = await relay.fetch("/v1/workspaces/ws_acme1");
  assert.equal(read.status, 200, read.text);
  assert.deepEqual([read.body.id, read.body.name], ["ws_acme1", "Acme"]);
});

test("a workspace without an id gets a generated one", async () => {
  const [first, second] = [await create({ name: "A" }), await create({ name: "A" })];
  for (const answer of [first, second]) {
    assert.equal(answer.status, 201, answer.text);
    assert.match(answer.body.id, /^ws_[a-z0-9]{1,40}$/);
  }
  assert.notEqual(first.body.id, second.body.id);
});

test("the same id and name again is the same workspace, with another name a conflict", async () => {
  const first = await create({ id: "ws_twice", name: "Twice" });
  const again = await create({ id: "ws_twice", name: "Twice" });
  assert.deepEqual([first.status, again.status], [201, 200]);
  assert.deepEqual(again.body, first.body);
  assertRefused(await create({ id: "ws_twice", name: "Other" }), 409, { code: "workspace_exists" });
  assert.equal((await relay.fetch("/v1/workspaces/ws_twice")).body.name, "Twice");
});

test("the same workspace made by several requests at once is made once", async () => {
  const answers = await Promise.all(Array.from({ length: 5 }, () => create({ id: "ws_race", name: "Race" })));
  assert.deepEqual(answers.map(({ status }) => status).sort(), [200, 200, 200, 200, 201]);
});

for (const id of ["ws_", "acme", "ws_Acme", "ws_a-b", "ws_a/b", `ws_${"a".repeat(41)}`, "", 5]) {
  test(`the id ${JSON.stringify(id)} is refused`, async () => {
    assertRefused(await create({ id, name: "A" }), MALFORMED_OR_REFUSED, { field: "id" });
  });
}

test("ids of one and of forty characters are accepted", async () => {
  for (const id of ["ws_x", `ws_${"a9".repeat(20)}`]) {
    const answer = await create({ id, name: "A" });
    assert.equal(answer.status, 201, answer.text);
  }
});

test("a workspace needs a name and has no other members", async () => {
  assertRefused(await create({ id: "ws_noname" }), MALFORMED_OR_REFUSED, { field: "name" });
  assertRefused(await create({ id: "ws_noname", name: 5 }), MALFORMED_OR_REFUSED, { field: "name" });
  assertRefused(await create({ name: "A", colour: "red" }), 400, { code: "unknown_field", field: "colour" });
  assertRefused(await create("{"), 400);
});

test("only the operator makes, lists and reads workspaces", async () => {
  for (const token of [null, "wrong"]) {
    assertRefused(await create({ name: "A" }, { token }), 401, { code: "unauthorized" });
    assertRefused(await relay.fetch("/v1/workspaces", { token }), 401, { code: "unauthorized" });
    assertRefused(await relay.fetch("/v1/workspaces/ws_acme1", { token }), 401, { code: "unauthorized" });
  }
});

test("an unknown workspace is not found", async () => {
  assertRefused(await relay.fetch("/v1/workspaces/ws_unknown"), 404, { code: "not_found" });
  assertRefused(await relay.fetch("/v1/workspaces/ws_unknown/webhooks"), 404, { code: "not_found" });
});

test("the list has every workspace, ordered by id, page by page", async () => {
  const made = [await createWorkspace(relay), await createWorkspace(relay), await createWorkspace(relay)];
  const ids = [];
  let cursor = null;
  do {
    const answer = await relay.fetch(`/v1/workspaces?limit=2${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ""}`);
    assert.equal(answer.status, 200, answer.text);
    assert.ok(answer.body.data.length <= 2);
    ids.push(...answer.body.data.map(({ id }) => id));
    cursor = answer.body.next_cursor;
  } while (cursor);
  for (const id of made) assert.equal(ids.filter((listed) => listed === id).length, 1, `${id} in ${ids}`);
  assert.deepEqual(ids, [...ids].sort());
});

test("a deleted workspace takes its webhooks with it and its id is not given again", async (t) => {
  const { workspace, webhook, receiver } = await setUpWebhook(t, relay);
  const entry = await acceptForOne(relay, workspace);
  await eventually(() => receiver.attemptsOf(entry.id).length === 1);
  const answer = await relay.fetch(`/v1/workspaces/${workspace}`, { method: "DELETE" });
  assert.equal(answer.status, 204, answer.text);
  assertRefused(await relay.fetch(`/v1/workspaces/${workspace}`), 404);
  assertRefused(await relay.fetch(`/v1/workspaces/${workspace}/webhooks/${webhook.id}`), 404);
  assertRefused(await postEvent(relay, workspace, { type: "alert.triggered", data: {} }), 404);
  assertRefused(await create({ id: workspace, name: "Test" }), 409, { code: "workspace_deleted" });
});
