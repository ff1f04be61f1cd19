// Listing, changing and deleting webhooks: the next read shows what a write answered.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { eventually } from "../support/eventually.js";
import { startReceiver } from "../support/receiver.js";
import { createWorkspace, startRelay } from "../support/relay.js";
import {
  MALFORMED_OR_REFUSED,
  acceptEvent,
  acceptForOne,
  alert,
  answered,
  assertRefused,
  awaitSettled,
  changeWebhook,
  createKey,
  pathOf,
  setUpWebhook,
} from "../support/steps.js";

const UNKNOWN = "wh_00000000000070008000000000000000";

let relay;
before(async () => (relay = await startRelay()));
after(() => relay?.stop());

const patch = (scene, body) => relay.fetch(pathOf(scene), { method: "PATCH", body });
/** A webhook as a list shows it; what only a single one says of its health changes by itself. */
const read = async (scene, token) => {
  const { health, ...webhook } = answered(await relay.fetch(pathOf(scene), { token }), 200);
  const { state, since, consecutive_failures } = health;
  return { ...webhook, health: { state, since, consecutive_failures } };
};
const list = async ({ workspace }, token) =>
  answered(await relay.fetch(`/v1/workspaces/${workspace}/webhooks`, { token }), 200);

describe("a change", () => {
  test("is shown by the next read and the next list, however fast changes follow each other", async (t) => {
    const scene = await setUpWebhook(t, relay);
    let last = await read(scene);
    for (let count = 0; count < 4; count++) {
      const changed = await changeWebhook(relay, scene, { description: `number ${count}` });
      assert.deepEqual(changed, { ...last, description: `number ${count}`, updated_at: changed.updated_at });
      assert.ok(changed.updated_at > last.updated_at, `${changed.updated_at} after ${last.updated_at}`);
      assert.deepEqual(await read(scene), changed);
      assert.deepEqual((await list(scene)).data, [changed]);
      last = changed;
    }
  });

  test("of several members at once is one change, and the other members stay", async (t) => {
    const scene = await setUpWebhook(t, relay, undefined, { headers: { "X-Old": "a" }, description: "before" });
    const elsewhere = await startReceiver();
    t.after(() => elsewhere.stop());
    const before = await read(scene);
    const members = { url: elsewhere.url, events: ["agent.error"], headers: { "X-New": "b" } };
    const { updated_at: updatedAt, ...changed } = await changeWebhook(relay, scene, members);
    const { updated_at: _, ...rest } = before;
    assert.deepEqual(changed, { ...rest, ...members });
  });

  test("of the url sends the next event to the new one", async (t) => {
    const scene = await setUpWebhook(t, relay);
    const elsewhere = await startReceiver();
    t.after(() => elsewhere.stop());
    await changeWebhook(relay, scene, { url: elsewhere.url });
    const entry = await acceptForOne(relay, scene.workspace);
    assert.equal((await awaitSettled(relay, scene.workspace, entry)).status, "delivered");
    assert.equal(elsewhere.attemptsOf(entry.id).length, 1);
    assert.equal(scene.receiver.attemptsOf(entry.id).length, 0);
  });

  test("of the events applies to the next event", async (t) => {
    const scene = await setUpWebhook(t, relay, undefined, { events: ["alert.triggered"] });
    await changeWebhook(relay, scene, { events: ["agent.error"] });
    assert.deepEqual(await acceptEvent(relay, scene.workspace, alert()), []);
    const entry = await acceptForOne(relay, scene.workspace, alert({ type: "agent.error" }));
    assert.equal((await awaitSettled(relay, scene.workspace, entry)).status, "delivered");
  });

  test("of the headers replaces the old ones with the new ones", async (t) => {
    const scene = await setUpWebhook(t, relay, undefined, { headers: { "X-Old": "a" } });
    await changeWebhook(relay, scene, { headers: { "X-New": "b" } });
    const entry = await acceptForOne(relay, scene.workspace);
    const [request] = await eventually(
      () => scene.receiver.attemptsOf(entry.id).length > 0 && scene.receiver.attemptsOf(entry.id),
    );
    assert.deepEqual([request.headers["x-old"], request.headers["x-new"]], [undefined, "b"]);
    assert.deepEqual((await changeWebhook(relay, scene, { headers: {} })).headers, {});
  });

  test("to the current status changes nothing", async (t) => {
    const scene = await setUpWebhook(t, relay);
    assert.equal((await changeWebhook(relay, scene, { status: "enabled" })).status, "enabled");
    const disabled = await changeWebhook(relay, scene, { status: "disabled" });
    const again = await changeWebhook(relay, scene, { status: "disabled" });
    assert.deepEqual([again.disabled_reason, again.disabled_at], ["manual", disabled.disabled_at]);
  });

  test("made at the same time as another loses neither", async (t) => {
    const scene = await setUpWebhook(t, relay);
    const changes = [{ description: "beside" }, { headers: { "X-A": "1" } }, { events: ["agent.error"] }];
    await Promise.all(changes.map((members) => changeWebhook(relay, scene, members)));
    const { description, headers, events } = await read(scene);
    assert.deepEqual(
      { description, headers, events },
      { description: "beside", headers: { "X-A": "1" }, events: ["agent.error"] },
    );
  });

  test("is stored and in force after a restart", async (t) => {
    const scene = await setUpWebhook(t, relay, undefined, { events: ["alert.triggered"] });
    const changed = await changeWebhook(relay, scene, { events: ["agent.error"], headers: { "X-Kept": "yes" } });
    await relay.restart();
    assert.deepEqual(await read(scene), changed);
    assert.deepEqual(await acceptEvent(relay, scene.workspace, alert()), []);
    const entry = await acceptForOne(relay, scene.workspace, alert({ type: "agent.error" }));
    await awaitSettled(relay, scene.workspace, entry);
    assert.equal(scene.receiver.attemptsOf(entry.id)[0].headers["x-kept"], "yes");
  });
});

describe("a change is refused", () => {
  /** @type {import("../support/types.d.ts").Refusals<RegExp>} */
  const REFUSED = {
    "with a url of another scheme": [{ url: "ftp://hooks.example.com/" }, 422, /^url$/, "invalid_url"],
    "with a url that is not a string": [{ url: 5 }, MALFORMED_OR_REFUSED, /^url$/],
    "with null as url": [{ url: null }, MALFORMED_OR_REFUSED, /^url$/],
    "with an empty list of events": [{ events: [] }, MALFORMED_OR_REFUSED, /^events/],
    "with an unknown event type": [{ events: ["alert.trigered"] }, MALFORMED_OR_REFUSED, /^events/],
    "with a description that is not a string": [{ description: 5 }, MALFORMED_OR_REFUSED, /^description$/],
    "with a header that only the relay sets": [{ headers: { "Webhook-Id": "a" } }, MALFORMED_OR_REFUSED, /^headers/],
    "with an empty header value": [{ headers: { "X-A": "" } }, MALFORMED_OR_REFUSED, /^headers/],
    "with headers as a list": [{ headers: [] }, MALFORMED_OR_REFUSED, /^headers/],
    "with an unknown status": [{ status: "stopped" }, MALFORMED_OR_REFUSED, /^status$/],
    "with a status that is not a string": [{ status: true }, MALFORMED_OR_REFUSED, /^status$/],
    "with a valid and an invalid member": [{ description: "new", status: "stopped" }, MALFORMED_OR_REFUSED, /^status$/],
    "with a secret, which is rotated instead": [{ secret: "another-secret" }, 400, /^secret$/, "unknown_field"],
    "with an id": [{ id: "wh_mine" }, 400, /^id$/, "unknown_field"],
    "with a member that only the relay sets": [{ disabled_reason: null }, 400, /^disabled_reason$/, "unknown_field"],
    "with an unknown member": [{ colour: "red" }, 400, /^colour$/, "unknown_field"],
  };
  for (const [what, [body, status, field, code]] of Object.entries(REFUSED)) {
    test(`${what}, and nothing changes`, async (t) => {
      const scene = await setUpWebhook(t, relay);
      const before = await read(scene);
      const error = assertRefused(await patch(scene, body), status, { code });
      assert.match(error.field ?? "(no field)", field);
      assert.deepEqual(await read(scene), before);
    });
  }

  test("if there is no such webhook", async () => {
    const workspace = await createWorkspace(relay);
    for (const id of [UNKNOWN, "nonsense", "wh_"]) {
      const scene = { workspace, webhook: { id } };
      assertRefused(await patch(scene, { description: "a" }), 404, { code: "not_found" });
      assertRefused(await relay.fetch(pathOf(scene)), 404, { code: "not_found" });
      assertRefused(await relay.fetch(pathOf(scene), { method: "DELETE" }), 404, { code: "not_found" });
    }
  });
});

describe("the list of webhooks", () => {
  test("is empty in a new workspace", async () => {
    assert.deepEqual(await list({ workspace: await createWorkspace(relay) }), { data: [], next_cursor: null });
  });

  test("has each webhook as a read shows it", async (t) => {
    const first = await setUpWebhook(t, relay);
    const second = await setUpWebhook(t, relay, undefined, { workspace: first.workspace, events: ["agent.error"] });
    const byId = (one, other) => (one.id < other.id ? -1 : 1);
    const { data, next_cursor: next } = await list(first);
    assert.equal(next, null);
    assert.deepEqual(data.sort(byId), [await read(first), await read(second)].sort(byId));
  });
});

describe("values of custom headers", () => {
  const HEADERS = { "X-Token": "a-value-to-hide", "X-Team": "another-value-to-hide" };
  const HIDDEN = { "X-Token": "…", "X-Team": "…" };

  test("are shown with webhooks:write and hidden without it", async (t) => {
    const scene = await setUpWebhook(t, relay, undefined, { headers: HEADERS });
    const writer = (await createKey(relay, scene.workspace)).key;
    const reader = (await createKey(relay, scene.workspace, ["webhooks:read"])).key;
    for (const token of [relay.operatorToken, writer]) {
      assert.deepEqual((await read(scene, token)).headers, HEADERS);
      assert.deepEqual((await list(scene, token)).data[0].headers, HEADERS);
    }
    assert.deepEqual((await read(scene, reader)).headers, HIDDEN);
    assert.deepEqual((await list(scene, reader)).data[0].headers, HIDDEN);
  });

  test("are also hidden in the request of a ping and of a test", async (t) => {
    const scene = await setUpWebhook(t, relay, undefined, { headers: HEADERS });
    const reader = (await createKey(relay, scene.workspace, ["webhooks:read"])).key;
    const tested = answered(
      await relay.fetch(pathOf(scene, "/test"), { method: "POST", body: { type: "agent.error" } }),
      200,
    );
    for (const { id } of [scene.webhook.ping, tested]) {
      const whole = await relay.fetch(pathOf(scene, `/deliveries/${id}`));
      assert.equal(answered(whole, 200).request.headers["x-token"], HEADERS["X-Token"]);
      const hidden = await relay.fetch(pathOf(scene, `/deliveries/${id}`), { token: reader });
      assert.equal(answered(hidden, 200).request.headers["x-token"], "…");
      for (const value of Object.values(HEADERS)) assert.ok(!hidden.text.includes(value), hidden.text);
      assert.equal(
        hidden.body.request.headers["content-type"],
        "application/json",
        "what is no custom header is shown",
      );
    }
  });
});

describe("a deleted webhook", () => {
  test("is gone at once with its deliveries, its secret and its stats", async (t) => {
    const scene = await setUpWebhook(t, relay);
    const kept = await setUpWebhook(t, relay, undefined, { workspace: scene.workspace });
    const [entry] = await acceptEvent(relay, scene.workspace);
    const answer = await relay.fetch(pathOf(scene), { method: "DELETE" });
    answered(answer, 204);
    assert.equal(answer.text, "");
    for (const below of ["", "/secret", "/stats", "/deliveries", `/deliveries/${entry.id}`]) {
      assertRefused(await relay.fetch(pathOf(scene, below)), 404, { code: "not_found" });
    }
    for (const [below, body] of /** @type {[string, object][]} */ ([
      ["/test", { type: "agent.error" }],
      ["/secret/rotate", {}],
      ["/resend", { status: "failed" }],
    ])) {
      assertRefused(await relay.fetch(pathOf(scene, below), { method: "POST", body }), 404, { code: "not_found" });
    }
    assertRefused(await relay.fetch(pathOf(scene), { method: "DELETE" }), 404, { code: "not_found" });
    assertRefused(await patch(scene, { status: "enabled" }), 404, { code: "not_found" });
    assert.deepEqual(
      (await list(scene)).data.map(({ id }) => id),
      [kept.webhook.id],
    );
  });
});
