// The catalogue: types that the operator adds, replaces, deprecates and deletes, and where they are seen.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { startRelay, createWorkspace, postEvent } from "../support/relay.js";
import {
  acceptEvent,
  acceptForOne,
  answered,
  assertRefused,
  awaitSettled,
  changeWebhook,
  listDeliveries,
  pathOf,
  readDelivery,
  setUpWebhook,
} from "../support/steps.js";
import { signIn } from "../support/visitor.js";

let relay;
before(async () => (relay = await startRelay()));
after(() => relay?.stop());

const FIRST = ["alert.triggered", "policy.violated", "agent.registered", "agent.error"];
const PAID = {
  description: "An order was paid in full.",
  sample: { order_id: "ord_4711", amount: "19.90" },
  schema: { type: "object", required: ["order_id"], properties: { order_id: { type: "string" } } },
};
let made = 0;
const nameNew = () => `order.paid-${++made}`;
const call = (method, name, init = {}) => relay.fetch(`/v1/event-types/${name}`, { method, ...init });
const put = (name, /** @type {unknown} */ body = PAID) => call("PUT", name, { body });
const read = (name) => call("GET", name, { token: null });
const list = async () => answered(await relay.fetch("/v1/event-types", { token: null }), 200).data;
const namesOf = async () => (await list()).map(({ name }) => name);

/** Makes a type, and a webhook that has selected it. */
async function setUpType(t) {
  const name = nameNew();
  answered(await put(name), 201);
  return { name, ...(await setUpWebhook(t, relay, undefined, { events: [name] })) };
}

describe("a type", () => {
  test("is added with 201, replaced whole with 200, and read with its schema by anybody", async () => {
    const name = nameNew();
    const whole = { name, ...PAID, deprecated: false };
    assert.deepEqual(answered(await put(name), 201), whole);
    assert.deepEqual(answered(await read(name), 200), whole);
    const { schema: _, ...summary } = whole;
    assert.deepEqual((await list()).at(-1), summary);
    const other = { description: "Another.", sample: {}, deprecated: true };
    assert.deepEqual(answered(await put(name, other), 200), { name, ...other, schema: null });
    assert.deepEqual(answered(await read(name), 200), { name, ...other, schema: null });
    assert.equal((await call("HEAD", name, { token: null })).status, 200);
    answered(await call("DELETE", name), 204);
  });

  test("can be posted, selected and tested as soon as it is added", async (t) => {
    const { name, workspace, webhook, receiver } = await setUpType(t);
    const entry = await acceptForOne(relay, workspace, { type: name, data: { order_id: "1" } });
    assert.equal((await awaitSettled(relay, workspace, entry)).status, "delivered");
    const scene = { workspace, webhook };
    const tested = answered(await relay.fetch(pathOf(scene, "/test"), { method: "POST", body: { type: name } }), 200);
    assert.deepEqual(tested.payload.data, PAID.sample);
    assert.deepEqual(
      receiver.events().map(({ headers }) => headers["x-secureagentics-event"]),
      [name, name],
    );
    answered(await call("DELETE", name), 204);
  });

  test("has its sample sent to the byte, and its schema is held to by nobody", async (t) => {
    const name = nameNew();
    const sample = '{"n": 1.0, "big": 9007199254740993, "text": "\\u00e9"}';
    const body = `{"description":"d","schema":{"type":"object","required":["never"]},"sample":${sample}}`;
    answered(await put(name, body), 201);
    const { workspace, webhook, receiver } = await setUpWebhook(t, relay, undefined, { events: [name] });
    const scene = { workspace, webhook };
    answered(await relay.fetch(pathOf(scene, "/test"), { method: "POST", body: { type: name } }), 200);
    assert.ok(receiver.events()[0].text.endsWith(`"data":${sample}}`), receiver.events()[0].text);
    await acceptForOne(relay, workspace, { type: name, data: {} });
    answered(await call("DELETE", name), 204);
  });

  test("that is deprecated is posted, selected and listed as before", async (t) => {
    const { name, workspace, webhook } = await setUpType(t);
    answered(await put(name, { ...PAID, deprecated: true }), 200);
    await acceptForOne(relay, workspace, { type: name, data: {} });
    await setUpWebhook(t, relay, undefined, { workspace, events: [name, "agent.error"] });
    assert.equal((await list()).find((one) => one.name === name).deprecated, true);
    assert.deepEqual(webhook.events, [name]);
    answered(await call("DELETE", name), 204);
  });

  const LONG = "x".repeat(16 * 1024);
  /** @type {[string, unknown, number, string, string][]} */
  const REFUSED = [
    ["a..b", PAID, 400, "invalid_parameter", "name"],
    ["a%20b", PAID, 400, "invalid_parameter", "name"],
    ["%ff", PAID, 400, "invalid_parameter", "name"],
    ["a".repeat(129), PAID, 400, "invalid_parameter", "name"],
    ["ping", PAID, 422, "reserved_event_type", "name"],
    ["webhook.disabled", PAID, 422, "reserved_event_type", "name"],
    ["a", { ...PAID, sample: [] }, 400, "invalid_type", "sample"],
    ["a", { ...PAID, schema: true }, 400, "invalid_type", "schema"],
    ["a", { ...PAID, description: "" }, 422, "invalid_description", "description"],
    ["a", { ...PAID, description: "x".repeat(1_001) }, 422, "invalid_description", "description"],
    ["a", { ...PAID, sample: { a: LONG } }, 413, "payload_too_large", "sample"],
    ["a", { ...PAID, schema: { title: LONG } }, 413, "payload_too_large", "schema"],
    ["a", { ...PAID, name: "a" }, 400, "unknown_field", "name"],
    ["a", { description: "d" }, 400, "missing_field", "sample"],
  ];
  for (const [index, [name, body, status, code, field]] of REFUSED.entries()) {
    test(`is refused with ${code} for ${field} (${index + 1}), and nothing is added`, async () => {
      const before = await list();
      assertRefused(await put(name, body), status, { code, field });
      assert.deepEqual(await list(), before);
    });
  }

  test("that there is not, is not found", async () => {
    for (const name of ["nobody.made", "a..b", "ping", "%ff", "a%2fb"]) {
      assertRefused(await read(name), 404, { code: "not_found" });
      assertRefused(await call("DELETE", name), 404, { code: "not_found" });
    }
  });
});

describe("a type that is deleted", () => {
  test("is neither posted nor newly selected nor tested, and the refusal lists those that there are", async (t) => {
    const { name, workspace, webhook } = await setUpType(t);
    answered(await call("DELETE", name), 204);
    assertRefused(await read(name), 404, { code: "not_found" });
    assertRefused(await call("DELETE", name), 404, { code: "not_found" });
    const refused = assertRefused(await postEvent(relay, workspace, { type: name, data: {} }), 422, {
      code: "unknown_event_type",
      field: "type",
    });
    for (const known of FIRST) assert.ok(refused.message.includes(known), refused.message);
    const other = await setUpWebhook(t, relay, undefined, { workspace, events: ["agent.error"] });
    const change = await relay.fetch(pathOf(other), { method: "PATCH", body: { events: ["agent.error", name] } });
    assertRefused(change, 422, { code: "unknown_event_type", field: "events[1]" });
    const test = await relay.fetch(pathOf({ workspace, webhook }, "/test"), { method: "POST", body: { type: name } });
    assertRefused(test, 422, { code: "unknown_event_type" });
  });

  test("stays with the webhooks that have it, which can be changed and keep it", async (t) => {
    const { name, ...scene } = await setUpType(t);
    answered(await call("DELETE", name), 204);
    assert.deepEqual((await changeWebhook(relay, scene, { description: "kept" })).events, [name]);
    const both = await changeWebhook(relay, scene, { events: [name, "agent.error"] });
    assert.deepEqual(both.events, [name, "agent.error"]);
    await acceptForOne(relay, scene.workspace, { type: "agent.error", data: {} });
    assert.deepEqual((await changeWebhook(relay, scene, { events: ["agent.error"] })).events, ["agent.error"]);
    const again = await relay.fetch(pathOf(scene), { method: "PATCH", body: { events: [name] } });
    assertRefused(again, 422, { code: "unknown_event_type" });
  });

  test("leaves its deliveries readable: listed, filtered, resent and traced", async (t) => {
    const { name, ...scene } = await setUpType(t);
    const { workspace, webhook } = scene;
    const entry = await acceptForOne(relay, workspace, { type: name, data: { a: 1 }, event_id: "kept" });
    await awaitSettled(relay, workspace, entry);
    answered(await call("DELETE", name), 204);
    const delivery = await readDelivery(relay, workspace, entry);
    assert.deepEqual([delivery.type, delivery.payload.data], [name, { a: 1 }]);
    assert.equal((await listDeliveries(relay, workspace, webhook.id, { type: name })).length, 1);
    const deliveries = pathOf(scene, `/deliveries/${entry.id}`);
    answered(await relay.fetch(`${deliveries}/resend`, { method: "POST" }), 202);
    assert.equal((await awaitSettled(relay, workspace, entry)).attempt_count, 2);
    const events = `/v1/workspaces/${workspace}/events`;
    assert.equal(answered(await relay.fetch(`${events}/kept`), 200).type, name);
    const never = answered(await relay.fetch(`${events}/never?type=${name}`), 200);
    assert.equal(never.webhooks[0].reason, "not_stored");
  });

  test("may be added again and gets its webhooks their events again", async (t) => {
    const { name, workspace } = await setUpType(t);
    answered(await call("DELETE", name), 204);
    answered(await put(name), 201);
    await acceptForOne(relay, workspace, { type: name, data: {} });
    answered(await call("DELETE", name), 204);
  });
});

describe("pages", () => {
  const ENTITIES = { "&#34;": '"', "&#60;": "<", "&#62;": ">" };
  const decode = (html) => html.replaceAll(/&#(34|60|62);/g, (entity) => ENTITIES[entity]);
  const readDocs = async () => decode((await relay.fetch("/docs", { token: null })).text);

  test("/docs shows description, sample and schema of each type, and texts are never markup", async () => {
    const name = nameNew();
    const text = "<script>alert(1)</script>";
    const body = { description: text, sample: { shown: text }, schema: { title: "Of an order" } };
    answered(await put(name, { ...body, deprecated: true }), 201);
    const { text: html } = await relay.fetch("/docs", { token: null });
    assert.ok(!html.includes("<script>alert"), html);
    const docs = decode(html);
    for (const shown of [name, text, '"shown": "', '"title": "Of an order"', "Deprecated"])
      assert.ok(docs.includes(shown), shown);
    answered(await call("DELETE", name), 204);
    assert.ok(!(await readDocs()).includes(name));
  });

  test("forms offer each type with description, sample and schema, a deprecated one only to who has it", async (t) => {
    const { name, ...scene } = await setUpType(t);
    const { workspace, webhook } = scene;
    const visitor = await signIn(relay, workspace);
    const add = async () => decode((await visitor.get("/settings/webhooks/new")).text);
    const edit = async () => decode((await visitor.get(`/settings/webhooks/${webhook.id}`)).text);
    const offers = (html) => html.includes(`name="events" value="${name}"`);
    for (const html of [await add(), await edit()]) {
      assert.ok(offers(html));
      for (const shown of [PAID.description, '"order_id": "ord_4711"', '"required": ['])
        assert.ok(html.includes(shown), shown);
    }
    answered(await put(name, { ...PAID, deprecated: true }), 200);
    assert.deepEqual([offers(await add()), offers(await edit())], [false, true]);
    answered(await call("DELETE", name), 204);
    assert.deepEqual([offers(await add()), offers(await edit())], [false, true]);

    const { url } = webhook;
    const saved = await visitor.post(`/settings/webhooks/${webhook.id}`, { url, events: name, description: "saved" });
    assert.equal(saved.status, 303, saved.text);
    assert.deepEqual(answered(await relay.fetch(pathOf(scene)), 200).events, [name]);
    const made = await visitor.post("/settings/webhooks/new", { url, events: name });
    assert.equal(made.status, 422);
    assert.ok(made.text.includes("Unknown event type"), made.text);
  });
});

test("200 types are the most", { timeout: 60_000 }, async () => {
  const own = await startRelay();
  try {
    const change = (method, name, body) => own.fetch(`/v1/event-types/${name}`, { method, body });
    const body = { description: "d", sample: {} };
    const names = Array.from({ length: 200 - FIRST.length }, (_, index) => `type.${index}`);
    await Promise.all(names.map(async (name) => answered(await change("PUT", name, body), 201)));
    assertRefused(await change("PUT", "one.more", body), 409, { code: "too_many_event_types" });
    answered(await change("PUT", "type.7", { ...body, description: "changed" }), 200);
    answered(await change("DELETE", "type.7"), 204);
    answered(await change("PUT", "one.more", body), 201);
    const { data } = answered(await own.fetch("/v1/event-types", { token: null }), 200);
    assert.equal(data.length, 200);
    const workspace = await createWorkspace(own);
    const { message } = assertRefused(await postEvent(own, workspace, { type: "type.7", data: {} }), 422);
    assert.ok(message.length < 1_500 && / and \d+ more$/.test(message), message);
    assert.deepEqual(await acceptEvent(own, workspace, { type: "one.more", data: {} }), []);
  } finally {
    await own.stop();
  }
});

test("the catalogue outlives the relay, also when every first type was deleted", async (t) => {
  const own = await startRelay();
  t.after(() => own.stop());
  for (const name of FIRST) answered(await own.fetch(`/v1/event-types/${name}`, { method: "DELETE" }), 204);
  answered(await own.fetch("/v1/event-types/a", { method: "PUT", body: { description: "d", sample: {} } }), 201);
  await own.restart();
  const { data } = answered(await own.fetch("/v1/event-types", { token: null }), 200);
  assert.deepEqual(
    data.map(({ name }) => name),
    ["a"],
  );
});

test("the first types come first, in the order of the customer docs", async () => {
  assert.deepEqual((await namesOf()).slice(0, FIRST.length), FIRST);
});
