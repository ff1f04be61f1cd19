// Renaming, listing and deleting workspaces, and what deleting one ends.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { eventually } from "../support/eventually.js";
import { answerWith } from "../support/receiver.js";
import { createWorkspace, postEvent, startRelay } from "../support/relay.js";
import {
  ISO_MILLISECONDS,
  MALFORMED_OR_REFUSED,
  acceptForOne,
  alert,
  answered,
  assertRefused,
  awaitSettled,
  changeWebhook,
  setUpWebhook,
} from "../support/steps.js";

let relay;
before(async () => (relay = await startRelay()));
after(() => relay?.stop());

const at = (workspace) => `/v1/workspaces/${workspace}`;
const rename = (workspace, body, init) => relay.fetch(at(workspace), { method: "PATCH", body, ...init });
const remove = (workspace) => relay.fetch(at(workspace), { method: "DELETE" });
const create = (body) => relay.fetch("/v1/workspaces", { method: "POST", body });

async function listAll() {
  const found = [];
  let cursor = null;
  do {
    const page = answered(
      await relay.fetch(`/v1/workspaces?limit=3${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ""}`),
      200,
    );
    found.push(...page.data);
    cursor = page.next_cursor;
  } while (cursor);
  return found;
}

describe("a workspace", () => {
  test("is read with its id, its name and its creation time", async () => {
    const workspace = await createWorkspace(relay);
    const { id, name, created_at: createdAt } = answered(await relay.fetch(at(workspace)), 200);
    assert.deepEqual([id, name], [workspace, "Test"]);
    assert.match(createdAt, ISO_MILLISECONDS);
  });

  test("can be renamed, which the next read shows, and the list soon", async () => {
    const workspace = await createWorkspace(relay);
    const before = answered(await relay.fetch(at(workspace)), 200);
    const renamed = answered(await rename(workspace, { name: "Umbenannt – für immer" }), 200);
    assert.deepEqual(
      [renamed.id, renamed.name, renamed.created_at],
      [workspace, "Umbenannt – für immer", before.created_at],
    );
    assert.deepEqual(answered(await relay.fetch(at(workspace)), 200), renamed);
    await eventually(async () => (await listAll()).find(({ id }) => id === workspace)?.name === renamed.name);
  });

  test("made again is the same one only under its new name", async () => {
    const workspace = await createWorkspace(relay);
    answered(await rename(workspace, { name: "New" }), 200);
    answered(await create({ id: workspace, name: "New" }), 200);
    assertRefused(await create({ id: workspace, name: "Test" }), 409, { code: "workspace_exists" });
  });

  test("keeps its name and its webhooks through a restart", async (t) => {
    const { workspace, webhook } = await setUpWebhook(t, relay);
    answered(await rename(workspace, { name: "Kept" }), 200);
    await relay.restart();
    assert.equal(answered(await relay.fetch(at(workspace)), 200).name, "Kept");
    const entry = await acceptForOne(relay, workspace);
    assert.equal(entry.webhook_id, webhook.id);
  });
});

describe("a change of a workspace is refused", () => {
  /** @type {import("../support/types.d.ts").Refusals} */
  const REFUSED = {
    "if the name is not a string": [{ name: 5 }, MALFORMED_OR_REFUSED, "name"],
    "if the name is null": [{ name: null }, MALFORMED_OR_REFUSED, "name"],
    "if it has another id": [{ name: "A", id: "ws_other" }, 400, "id"],
    "if it has an unknown member": [{ name: "A", colour: "red" }, 400, "colour"],
  };
  for (const [what, [body, status, field]] of Object.entries(REFUSED)) {
    test(`${what}, and nothing changes`, async () => {
      const workspace = await createWorkspace(relay);
      assertRefused(await rename(workspace, body), status, { field });
      assert.equal(answered(await relay.fetch(at(workspace)), 200).name, "Test");
    });
  }

  test("if there is no such workspace", async () => {
    for (const unknown of ["ws_unknown", "nonsense", "ws_Upper"]) {
      assertRefused(await rename(unknown, { name: "A" }), 404, { code: "not_found" });
      assertRefused(await remove(unknown), 404, { code: "not_found" });
      assertRefused(await relay.fetch(at(unknown)), 404, { code: "not_found" });
    }
  });
});

describe("the list of workspaces", () => {
  test("continues after the cursor, at most `limit` per page, while others are made and deleted", async () => {
    const made = [];
    for (let count = 0; count < 5; count++) made.push(await createWorkspace(relay));
    const seen = [];
    let cursor = null;
    do {
      const page = answered(
        await relay.fetch(`/v1/workspaces?limit=2${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ""}`),
        200,
      );
      assert.ok(page.data.length <= 2, `${page.data.length} on a page of 2`);
      seen.push(...page.data.map(({ id }) => id));
      cursor = page.next_cursor;
      const added = await createWorkspace(relay);
      if (cursor && seen.length < 6) answered(await remove(added), 204);
      assert.ok(seen.length < 500, "the list does not end");
    } while (cursor && seen.length < 200);
    for (const id of made) assert.equal(seen.filter((one) => one === id).length, 1, `${id} in ${seen}`);
    assert.deepEqual(seen, [...seen].sort());
  });

  for (const [field, value] of [
    ["limit", "0"],
    ["limit", "-1"],
    ["limit", "many"],
    ["limit", "1.5"],
    ["limit", ""],
  ]) {
    test(`is refused with ${field}=${value}`, async () => {
      assertRefused(await relay.fetch(`/v1/workspaces?${field}=${value}`), MALFORMED_OR_REFUSED, { field });
    });
  }

  test("is refused with an unknown parameter", async () => {
    assertRefused(await relay.fetch("/v1/workspaces?page=2"), 400, { code: "unknown_field", field: "page" });
  });
});

describe("a deleted workspace", () => {
  test("is gone at once, answers 404 to everything, and leaves the list", async (t) => {
    const { workspace, webhook } = await setUpWebhook(t, relay);
    const answer = await remove(workspace);
    answered(answer, 204);
    assert.equal(answer.text, "");
    const paths = [
      "",
      "/keys",
      "/webhooks",
      `/webhooks/${webhook.id}`,
      `/webhooks/${webhook.id}/secret`,
      `/webhooks/${webhook.id}/deliveries`,
    ];
    for (const below of paths) assertRefused(await relay.fetch(`${at(workspace)}${below}`), 404, { code: "not_found" });
    assertRefused(await postEvent(relay, workspace, alert()), 404, { code: "not_found" });
    assertRefused(await rename(workspace, { name: "A" }), 404, { code: "not_found" });
    assertRefused(await remove(workspace), 404, { code: "not_found" });
    await eventually(async () => (await listAll()).every(({ id }) => id !== workspace));
  });

  test("cannot be made again, under any name", async () => {
    const workspace = await createWorkspace(relay);
    answered(await remove(workspace), 204);
    for (const name of ["Test", "Other"])
      assertRefused(await create({ id: workspace, name }), 409, { code: "workspace_deleted" });
  });

  test("ends its webhooks: a delivery that waits for a retry is not sent again", async (t) => {
    const scene = await setUpWebhook(t, relay, answerWith(500));
    const witness = await setUpWebhook(t, relay, answerWith(500));
    const pending = await acceptForOne(relay, scene.workspace);
    await eventually(() => scene.receiver.attemptsOf(pending.id).length === 1);
    answered(await remove(scene.workspace), 204);
    const sent = scene.receiver.events().length;
    // As long as the whole schedule of the deleted one would have lasted.
    await awaitSettled(relay, witness.workspace, await acceptForOne(relay, witness.workspace));
    // One attempt may have been in flight.
    assert.ok(scene.receiver.events().length <= sent + 1, `${scene.receiver.events().length - sent} more attempts`);
  });

  test("lets a delivery in flight end cleanly", async (t) => {
    const scene = await setUpWebhook(
      t,
      relay,
      () => (response) => setTimeout(() => response.writeHead(200).end(), 300),
    );
    const entry = await acceptForOne(relay, scene.workspace);
    await eventually(() => scene.receiver.attemptsOf(entry.id).length === 1);
    answered(await remove(scene.workspace), 204);
    const other = await setUpWebhook(t, relay);
    assert.equal(
      (await awaitSettled(relay, other.workspace, await acceptForOne(relay, other.workspace))).status,
      "delivered",
    );
  });

  test("ends all of its webhooks, disabled ones too", async (t) => {
    const first = await setUpWebhook(t, relay);
    const second = await setUpWebhook(t, relay, undefined, { workspace: first.workspace });
    await changeWebhook(relay, second, { status: "disabled" });
    answered(await remove(first.workspace), 204);
    for (const { webhook } of [first, second]) {
      assertRefused(await relay.fetch(`${at(first.workspace)}/webhooks/${webhook.id}`), 404, { code: "not_found" });
    }
  });
});
