// API keys: made, shown once, kept as hashes, revoked.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { after, before, describe, test } from "node:test";
import { eventually } from "../support/eventually.js";
import { createWorkspace, startRelay } from "../support/relay.js";
import {
  ISO_MILLISECONDS,
  MALFORMED_OR_REFUSED,
  SCOPES,
  alert,
  answered,
  assertRefused,
  createKey,
} from "../support/steps.js";
import { isStored } from "../support/storage.js";

let relay;
before(async () => (relay = await startRelay()));
after(() => relay?.stop());

const keysOf = (workspace) => `/v1/workspaces/${workspace}/keys`;
const create = (workspace, body, init) => relay.fetch(keysOf(workspace), { method: "POST", body, ...init });
const list = async (workspace) => answered(await relay.fetch(keysOf(workspace)), 200);
const revoke = (workspace, id) => relay.fetch(`${keysOf(workspace)}/${id}`, { method: "DELETE" });
const listWebhooks = (workspace, token) => relay.fetch(`/v1/workspaces/${workspace}/webhooks`, { token });
const post = (workspace, token) =>
  relay.fetch(`/v1/workspaces/${workspace}/events`, { method: "POST", body: alert(), token });

describe("a new key", () => {
  test("is answered with its name, its scopes and the key itself", async () => {
    const workspace = await createWorkspace(relay);
    const answer = answered(
      await create(workspace, { name: "Back end", scopes: ["events:write", "webhooks:read"] }),
      201,
    );
    const { id, created_at: createdAt, key, ...rest } = answer;
    assert.match(id, /^key_[A-Za-z0-9_-]+$/);
    assert.match(createdAt, ISO_MILLISECONDS);
    assert.match(key, new RegExp(`^sk_${workspace.slice("ws_".length)}\\.[0-9a-f]{64}$`));
    assert.deepEqual(rest, { name: "Back end", scopes: ["events:write", "webhooks:read"] });
  });

  test("is listed without the key", async () => {
    const workspace = await createWorkspace(relay);
    const [first, second] = [await createKey(relay, workspace), await createKey(relay, workspace, ["webhooks:read"])];
    const { data, next_cursor: next } = await list(workspace);
    assert.equal(next, null);
    const shown = [first, second].map(({ key, ...rest }) => rest);
    const byId = (one, other) => (one.id < other.id ? -1 : 1);
    assert.deepEqual(data.sort(byId), shown.sort(byId));
  });

  test("works at once, for events too", async () => {
    const workspace = await createWorkspace(relay);
    // Reads the snapshot without the key before the key is made.
    assertRefused(await post(workspace, `sk_${workspace.slice(3)}.${"0".repeat(64)}`), 401);
    const { key } = await createKey(relay, workspace);
    answered(await post(workspace, key), 202);
    answered(await listWebhooks(workspace, key), 200);
  });

  test("works with the word Bearer in any case, and not without it", async () => {
    const workspace = await createWorkspace(relay);
    const { key } = await createKey(relay, workspace);
    const ask = (authorization) =>
      relay.fetch(`/v1/workspaces/${workspace}/webhooks`, { token: null, headers: { authorization } });
    answered(await ask(`bearer ${key}`), 200);
    for (const wrong of [
      key,
      `Basic ${key}`,
      `Bearer ${key}0`,
      `Bearer ${key.slice(0, -1)}`,
      `Bearer ${key.toUpperCase()}`,
      "Bearer ",
    ]) {
      assertRefused(await ask(wrong), 401, { code: "unauthorized" });
    }
  });

  test("is different each time", async () => {
    const workspace = await createWorkspace(relay);
    const [first, second] = [await createKey(relay, workspace), await createKey(relay, workspace)];
    assert.notEqual(first.id, second.id);
    assert.notEqual(first.key, second.key);
  });

  test("is stored only as its SHA-256 and is in no log", async () => {
    const workspace = await createWorkspace(relay);
    const { key } = await createKey(relay, workspace);
    answered(await post(workspace, key), 202);
    answered(await listWebhooks(workspace, key), 200);
    const sha256 = createHash("sha256").update(key).digest("hex");
    assert.ok(isStored(relay, sha256), "the hash is not found: this search proves nothing");
    for (const text of [key, key.split(".").at(-1)]) {
      assert.ok(!isStored(relay, text), "the key is stored");
      assert.ok(!relay.logs.join("\n").includes(text), "the key is in the log");
    }
  });

  test("still works after a restart", async () => {
    const workspace = await createWorkspace(relay);
    const { key } = await createKey(relay, workspace);
    await relay.restart();
    answered(await listWebhooks(workspace, key), 200);
    answered(await post(workspace, key), 202);
  });
});

describe("a key is refused", () => {
  const REFUSED = {
    "without a name": [{ scopes: SCOPES }, "name"],
    "with a name that is not a string": [{ name: 5, scopes: SCOPES }, "name"],
    "without scopes": [{ name: "A" }, "scopes"],
    "with an unknown scope": [{ name: "A", scopes: ["events:write", "webhooks:delete"] }, "scopes"],
    "with a string as scopes": [{ name: "A", scopes: "events:write" }, "scopes"],
    "with a number among the scopes": [{ name: "A", scopes: [5] }, "scopes"],
    "with no scope": [{ name: "A", scopes: [] }, "scopes"],
  };
  for (const [what, [body, field]] of Object.entries(REFUSED)) {
    test(`${what}, and none is made`, async () => {
      const workspace = await createWorkspace(relay);
      const error = assertRefused(await create(workspace, body), MALFORMED_OR_REFUSED);
      assert.match(error.field ?? "(no field)", new RegExp(`^${field}`));
      assert.deepEqual(await list(workspace), { data: [], next_cursor: null });
    });
  }

  test("with a member that only the relay sets or that is unknown", async () => {
    const workspace = await createWorkspace(relay);
    for (const field of ["id", "key", "expires_at"]) {
      const body = { name: "A", scopes: SCOPES, [field]: "x" };
      assertRefused(await create(workspace, body), 400, { code: "unknown_field", field });
    }
  });

  test("in a workspace that does not exist", async () => {
    const body = { name: "A", scopes: SCOPES };
    assertRefused(await create("ws_unknown", body), 404, { code: "not_found" });
    assertRefused(await relay.fetch(keysOf("ws_unknown")), 404, { code: "not_found" });
    assertRefused(await revoke("ws_unknown", "key_unknown"), 404, { code: "not_found" });
  });

  test("to everyone but the operator", async () => {
    const workspace = await createWorkspace(relay);
    const { key, id } = await createKey(relay, workspace);
    const calls = [
      ["POST", keysOf(workspace)],
      ["GET", keysOf(workspace)],
      ["DELETE", `${keysOf(workspace)}/${id}`],
    ];
    for (const [method, path] of calls) {
      const body = method === "POST" ? { name: "A", scopes: SCOPES } : undefined;
      assertRefused(await relay.fetch(path, { method, body, token: key }), 403, { code: "forbidden" });
      assertRefused(await relay.fetch(path, { method, body, token: null }), 401, { code: "unauthorized" });
      assertRefused(await relay.fetch(path, { method, body, token: "wrong" }), 401, { code: "unauthorized" });
    }
    answered(await listWebhooks(workspace, key), 200);
  });
});

describe("a revoked key", () => {
  test("is refused at once for everything but events, and for events soon", async () => {
    const workspace = await createWorkspace(relay);
    const { id, key } = await createKey(relay, workspace);
    const kept = await createKey(relay, workspace);
    answered(await post(workspace, key), 202);
    const answer = await revoke(workspace, id);
    answered(answer, 204);
    assert.equal(answer.text, "");
    assertRefused(await listWebhooks(workspace, key), 401, { code: "unauthorized" });
    await eventually(async () => (await post(workspace, key)).status === 401, { timeout: 20_000 });
    answered(await listWebhooks(workspace, kept.key), 200);
    answered(await post(workspace, kept.key), 202);
    assert.deepEqual(
      (await list(workspace)).data.map((one) => one.id),
      [kept.id],
    );
  });

  test("cannot be revoked again, nor can one that never existed", async () => {
    const workspace = await createWorkspace(relay);
    const { id } = await createKey(relay, workspace);
    answered(await revoke(workspace, id), 204);
    for (const gone of [id, "key_00000000000070008000000000000000", "nonsense"]) {
      assertRefused(await revoke(workspace, gone), 404, { code: "not_found" });
    }
  });

  test("cannot be revoked through another workspace", async () => {
    const [own, other] = [await createWorkspace(relay), await createWorkspace(relay)];
    const { id, key } = await createKey(relay, own);
    assertRefused(await revoke(other, id), 404, { code: "not_found" });
    answered(await listWebhooks(own, key), 200);
  });
});

test("a key ends with its workspace", async () => {
  const workspace = await createWorkspace(relay);
  const { key } = await createKey(relay, workspace);
  answered(await relay.fetch(`/v1/workspaces/${workspace}`, { method: "DELETE" }), 204);
  assertRefused(await listWebhooks(workspace, key), 401, { code: "unauthorized" });
  await eventually(async () => (await post(workspace, key)).status === 401, { timeout: 20_000 });
});
