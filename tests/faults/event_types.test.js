// The catalogue under faults: statements that fail, a KV that refuses, is old or has nothing, and an object that does not
// answer.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { eventually } from "../support/eventually.js";
import { turn } from "../support/hooks.js";
import { createWorkspace, postEvent, startRelay } from "../support/relay.js";
import { acceptEvent, answered, assertRefused } from "../support/steps.js";

// The object's alarm tells KV again after 5 s.
const TOLD_AGAIN_MS = 20_000;
const COPY = "event-types";
const A_MINUTE_MS = 60_000;
const TYPE = { description: "d", sample: {} };

let relay;
let kv;
let workspace;
before(async () => {
  relay = await startRelay({ hooks: true });
  kv = await relay.miniflare().getKVNamespace("SUBSCRIPTIONS");
  workspace = await createWorkspace(relay);
});
after(() => relay?.stop());

let made = 0;
const nameNew = () => `fault.${++made}`;
const call = (method, name, body) => relay.fetch(`/v1/event-types/${name}`, { method, body });
const put = (name, /** @type {unknown} */ type = TYPE) => call("PUT", name, type);
const namesOf = async () =>
  answered(await relay.fetch("/v1/event-types", { token: null }), 200).data.map(({ name }) => name);
const copied = async () => JSON.parse(await kv.get(COPY)).types.map(({ name }) => name);
const post = (type) => postEvent(relay, workspace, { type, data: {} });
/** Lets the isolate's copy be too old, by its clock. */
let skew = 0;
const laterBy = (ms, switches = {}) => {
  skew += ms;
  return turn(relay, { skew_ms: skew, ...switches });
};

describe("a statement that fails", () => {
  /** @type {Record<string, [statement: string, change: (name: string) => Promise<any>]>} */
  const STATEMENTS = {
    "of the type": ["INSERT INTO types", put],
    "of the revision": ["('revision'", put],
    "of the outbox": ["INTO outbox", put],
    "of a deletion": ["DELETE FROM types", (name) => call("DELETE", name)],
  };
  for (const [which, [statement, change]] of Object.entries(STATEMENTS)) {
    test(`${which}: 503, nothing of the change is there, and it can be repeated`, async (t) => {
      t.after(() => laterBy(0));
      const name = nameNew();
      if (change !== put) answered(await put(name), 201);
      const before = await namesOf();
      const copy = await kv.get(COPY);
      await laterBy(0, { fault: { statement, times: 1 } });
      const refused = await change(name);
      assertRefused(refused, 503, { code: "unavailable" });
      assert.equal(refused.headers.get("retry-after"), "1");
      assert.deepEqual(await namesOf(), before);
      assert.equal(await kv.get(COPY), copy);
      assert.ok([201, 204].includes((await change(name)).status));
    });
  }
});

describe("a KV that refuses writes", () => {
  test("prevents no change: a type is posted at once, and KV has it when it accepts writes again", {
    timeout: 60_000,
  }, async (t) => {
    t.after(() => laterBy(0));
    const name = nameNew();
    await laterBy(0, { kv_refuses: true });
    answered(await put(name), 201);
    assert.ok(!(await copied()).includes(name));
    assert.ok((await namesOf()).includes(name), "the isolate that made it knows that the copy is older");
    await acceptEvent(relay, workspace, { type: name, data: {} });
    await laterBy(0);
    await eventually(async () => (await copied()).includes(name), { timeout: TOLD_AGAIN_MS });
  });
});

describe("a copy", () => {
  test("that is old: the object is asked before a type is refused", async () => {
    const old = await kv.get(COPY);
    const name = nameNew();
    answered(await put(name), 201);
    await eventually(async () => (await kv.get(COPY)) !== old);
    await kv.put(COPY, old);
    // Another isolate, which has made no change.
    await relay.restart();
    kv = await relay.miniflare().getKVNamespace("SUBSCRIPTIONS");
    assert.ok(!(await namesOf()).includes(name), "the copy is old");
    await acceptEvent(relay, workspace, { type: name, data: {} });
    assert.ok((await namesOf()).includes(name), "what the object said is kept");
  });

  test("is kept a minute, and then read again", async () => {
    await laterBy(0);
    await namesOf();
    const copy = JSON.parse(await kv.get(COPY));
    const type = { ...TYPE, name: nameNew() };
    await kv.put(COPY, JSON.stringify({ ...copy, revision: copy.revision + 1, types: [...copy.types, type] }));
    await laterBy(A_MINUTE_MS - 10_000);
    assert.ok(!(await namesOf()).includes(type.name));
    await laterBy(10_000);
    assert.ok((await namesOf()).includes(type.name));
    await kv.put(COPY, JSON.stringify(copy));
    await relay.restart();
    kv = await relay.miniflare().getKVNamespace("SUBSCRIPTIONS");
  });

  const COPIES = {
    gone: undefined,
    empty: "",
    "no JSON": "<html>",
    "of a version that is to come": '{"version":99,"revision":1,"types":[]}',
    "of another shape": '{"version":1}',
  };
  for (const [what, copy] of Object.entries(COPIES)) {
    test(`that is ${what}: the object is asked`, async () => {
      answered(await put(nameNew()), 201);
      const names = await namesOf();
      await eventually(async () => (await copied()).length === names.length);
      const whole = await kv.get(COPY);
      if (copy === undefined) await kv.delete(COPY);
      else await kv.put(COPY, copy);
      await relay.restart();
      kv = await relay.miniflare().getKVNamespace("SUBSCRIPTIONS");
      assert.deepEqual(await namesOf(), names);
      await kv.put(COPY, whole);
    });
  }
});

describe("an object that does not answer", () => {
  const DOWN = { fault: { statement: "FROM types ORDER BY", times: 1_000_000 } };

  test("leaves known types posted, and refuses no unknown one for good", async (t) => {
    t.after(() => laterBy(2_000));
    await namesOf();
    await laterBy(2_000, DOWN);
    await acceptEvent(relay, workspace, { type: "agent.error", data: {} });
    for (let count = 0; count < 3; count++) assertRefused(await post("not.known"), 503, { code: "unavailable" });
    await laterBy(A_MINUTE_MS, DOWN);
    await acceptEvent(relay, workspace, { type: "agent.error", data: {} });
    await laterBy(2_000);
    assertRefused(await post("not.known"), 422, { code: "unknown_event_type" });
  });

  test("nor a copy: what the isolate has kept serves, however old", async (t) => {
    const whole = await kv.get(COPY);
    t.after(async () => {
      await kv.put(COPY, whole);
      await laterBy(2_000);
    });
    const names = await namesOf();
    await kv.delete(COPY);
    await laterBy(2 * A_MINUTE_MS, DOWN);
    assert.deepEqual(await namesOf(), names);
    await acceptEvent(relay, workspace, { type: "agent.error", data: {} });
  });
});

test("many posts of an unknown type at once ask the object once, and are all judged by its answer", async () => {
  await laterBy(2_000);
  await namesOf();
  const answers = await Promise.all(Array.from({ length: 20 }, () => post("not.known")));
  for (const answer of answers) assertRefused(answer, 422, { code: "unknown_event_type" });
  const asked = answers.filter(({ headers }) => headers.get("x-object-calls")?.includes("catalogue"));
  assert.ok(asked.length <= 1, `${asked.length} asked`);
});

test("changes at once are all kept", async () => {
  const names = Array.from({ length: 20 }, nameNew);
  for (const { status } of await Promise.all(names.map((name) => put(name)))) assert.equal(status, 201);
  const listed = await namesOf();
  for (const name of names) assert.ok(listed.includes(name), name);
  await eventually(async () => {
    const copy = await copied();
    return names.every((name) => copy.includes(name));
  });
});
