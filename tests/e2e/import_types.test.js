// `npm run import-types`: the webhooks of an OpenAPI 3.1 document become event types.
import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { ROOT, capture } from "../../scripts/programs.mjs";
import { readTypes } from "../../scripts/webhook_types.mjs";
import { OPERATOR_TOKEN } from "../support/relay_options.js";
import { startRelay } from "../support/relay.js";
import { answered } from "../support/steps.js";

const ORDER = {
  type: "object",
  required: ["id"],
  properties: { id: { type: "string", example: "ord_1" }, customer: { $ref: "#/components/schemas/Customer" } },
};
const CUSTOMER = {
  type: "object",
  properties: { name: { type: "string", default: "Ada" }, referrer: { $ref: "#/components/schemas/Customer" } },
};
const jsonBody = (media) => ({ content: { "application/json": media } });
const documentOf = (webhooks, components = {}) => ({
  openapi: "3.1.1",
  info: { title: "Shop", version: "1" },
  webhooks,
  components: { schemas: { Order: ORDER, Customer: CUSTOMER }, ...components },
});
const webhook = (media, rest = {}) => ({
  post: { description: "It happened.", requestBody: jsonBody(media), ...rest },
});
const one = (media, rest, components) => readTypes(documentOf({ "a.b": webhook(media, rest) }, components))[0].type;
const DEFINED = {
  Order: { ...ORDER, properties: { ...ORDER.properties, customer: { $ref: "#/$defs/Customer" } } },
  Customer: { ...CUSTOMER, properties: { ...CUSTOMER.properties, referrer: { $ref: "#/$defs/Customer" } } },
};

describe("a type has", () => {
  test("the webhook's description, else its summary, and whether it is deprecated", () => {
    assert.equal(one({}).description, "It happened.");
    assert.equal(one({}, { description: " ", summary: "In short." }).description, "In short.");
    assert.deepEqual([one({}).deprecated, one({}, { deprecated: true }).deprecated], [undefined, true]);
    assert.equal(one({}, { description: "é".repeat(2_000) }).description, "é".repeat(1_000));
  });

  test("a schema that stands alone: what it refers to is in it, also in a circle", () => {
    const { schema } = one({ schema: { $ref: "#/components/schemas/Order" } });
    assert.deepEqual(schema, { $ref: "#/$defs/Order", $defs: DEFINED });
    const { schema: inner } = one({
      schema: { type: "object", properties: { $ref: { const: { $ref: "https://x" } } } },
    });
    assert.deepEqual(inner.properties.$ref, { const: { $ref: "https://x" } }, "neither a name nor data is a reference");
  });

  test("the schema of data, if the whole payload is described", () => {
    const payload = {
      type: "object",
      properties: {
        type: { const: "a.b" },
        timestamp: { type: "string" },
        data: { $ref: "#/components/schemas/Order" },
      },
    };
    const example = { type: "a.b", timestamp: "2026-01-15T10:30:00Z", data: { id: "ord_2" } };
    const expected = { schema: { $ref: "#/$defs/Order", $defs: DEFINED }, sample: { id: "ord_2" } };
    const { schema, sample } = one({ schema: payload, example });
    assert.deepEqual({ schema, sample }, expected);
    const components = { schemas: { Order: ORDER, Customer: CUSTOMER, Payload: payload } };
    const referred = one({ schema: { $ref: "#/components/schemas/Payload" }, example }, {}, components);
    assert.deepEqual({ schema: referred.schema, sample: referred.sample }, expected);
  });

  test("an example as its sample, else one that is made from the schema", () => {
    assert.deepEqual(one({ example: { a: 1 } }).sample, { a: 1 });
    const examples = { first: { $ref: "#/components/examples/First" } };
    assert.deepEqual(one({ examples }, {}, { examples: { First: { value: { b: 2 } } } }).sample, { b: 2 });
    assert.deepEqual(one({ schema: { type: "object", examples: [{ c: 3 }] } }).sample, { c: 3 });
    const made = one({
      schema: { allOf: [{ $ref: "#/components/schemas/Order" }, { properties: { n: { enum: [7] } } }] },
    });
    assert.equal(made.sample.id, "ord_1");
    assert.equal(made.sample.customer.name, "Ada");
    assert.equal(made.sample.n, 7);
    assert.deepEqual(one({}).sample, {});
  });

  test("what a local reference in place of the webhook or its body leads to", () => {
    const components = {
      pathItems: {
        Hook: { post: { summary: "By reference.", requestBody: { $ref: "#/components/requestBodies/B~1C" } } },
      },
      requestBodies: { "B/C": { content: { "application/vnd.shop+json": { example: { a: 1 } } } } },
    };
    const [{ name, type }] = readTypes(documentOf({ "a.b": { $ref: "#/components/pathItems/Hook" } }, components));
    assert.deepEqual([name, type], ["a.b", { description: "By reference.", sample: { a: 1 } }]);
  });
});

describe("a document is refused", () => {
  const CIRCLE = { responses: {}, pathItems: { A: { $ref: "#/components/pathItems/A" } } };
  /** @type {Record<string, [unknown, RegExp]>} */
  const REFUSED = {
    "of another version": [{ openapi: "3.0.3", webhooks: { a: {} } }, /no OpenAPI 3\.1/],
    "without webhooks": [{ openapi: "3.1.0", paths: {} }, /has no webhooks/],
    "with a reference to a file": [
      documentOf({ "a.b": webhook({ schema: { properties: { x: { $ref: "order.json#/Order" } } } }) }),
      /^a\.b: order\.json#\/Order is not followed/,
    ],
    "with a reference to an address": [
      documentOf({ "a.b": { $ref: "https://example.com/hooks.json" } }),
      /^a\.b: https:\/\/example\.com\/hooks\.json is not followed/,
    ],
    "with a reference to an anchor": [documentOf({ "a.b": webhook({ schema: { $ref: "#Order" } }) }), /#Order is not/],
    "with a dynamic reference": [documentOf({ "a.b": webhook({ schema: { $dynamicRef: "#x" } }) }), /\$dynamicRef/],
    "with a reference that leads nowhere": [
      documentOf({ "a.b": webhook({ schema: { $ref: "#/components/schemas/constructor" } }) }),
      /leads nowhere/,
    ],
    "with a circle": [documentOf({ "a.b": { $ref: "#/components/pathItems/A" } }, CIRCLE), /leads in a circle/],
    "with a reserved name": [documentOf({ ping: webhook({}) }), /^ping: .*the relay's own/],
    "with a name that is none": [documentOf({ "a b": webhook({}) }), /^a b: a name has/],
    "with a webhook without post": [documentOf({ a: { get: {} } }), /^a: it has no post/],
    "with a webhook without JSON": [documentOf({ a: { post: { description: "d" } } }), /^a: .*no JSON content/],
    "with a webhook without a description": [
      documentOf({ a: webhook({}, { description: undefined }) }),
      /^a: .*neither a description nor/,
    ],
    "with a schema that is too large": [
      documentOf({ a: webhook({ schema: { title: "x".repeat(17_000) } }) }),
      /^a: its schema has 1\d{4} bytes/,
    ],
    "with 201 webhooks": [
      documentOf(Object.fromEntries(Array.from({ length: 201 }, (_, index) => [`a.${index}`, webhook({})]))),
      /201 webhooks/,
    ],
  };
  for (const [what, [document, told]] of Object.entries(REFUSED)) {
    test(what, () => assert.throws(() => readTypes(document), { message: told }));
  }

  test("with all that is wrong, webhook by webhook", () => {
    const document = documentOf({ ping: webhook({}), "a b": webhook({}), fine: webhook({}) });
    assert.throws(() => readTypes(document), { message: /^ping: .*\na b: [^\n]*$/ });
  });
});

describe("the program", () => {
  let relay;
  let folder;
  before(async () => {
    relay = await startRelay();
    folder = await mkdtemp(path.join(tmpdir(), "relay-import-"));
  });
  after(async () => {
    await relay?.stop();
    if (folder) await rm(folder, { recursive: true, force: true });
  });

  let number = 0;
  const run = async (document, ...args) => {
    const file = path.join(folder, `${++number}.json`);
    await writeFile(file, typeof document === "string" ? document : JSON.stringify(document));
    return capture(process.execPath, [path.join(ROOT, "scripts/import_types.mjs"), file, ...args]);
  };
  const listed = async () =>
    answered(await relay.fetch("/v1/event-types", { token: null }), 200).data.map(({ name }) => name);

  test("adds types, replaces them when it runs again, and leaves the others", async () => {
    const document = documentOf({
      "order.paid": webhook({ schema: { $ref: "#/components/schemas/Order" }, example: { id: "ord_3" } }),
      "order.lost": webhook({}, { deprecated: true }),
    });
    const before = await listed();
    const first = await run(document, relay.origin, OPERATOR_TOKEN);
    assert.equal(first.code, 0, first.output);
    assert.deepEqual(first.output.trim().split("\n"), ["order.paid added", "order.lost added"]);
    assert.deepEqual(await listed(), [...before, "order.paid", "order.lost"]);
    const paid = answered(await relay.fetch("/v1/event-types/order.paid", { token: null }), 200);
    assert.deepEqual([paid.sample, paid.schema.$defs], [{ id: "ord_3" }, DEFINED]);
    const again = await run(document, `${relay.origin}/`, OPERATOR_TOKEN);
    assert.match(again.output, /^order\.paid replaced$/m);
    assert.ok(!again.output.includes(OPERATOR_TOKEN));
  });

  test("puts nothing of a document with a fault in it", async () => {
    const before = await listed();
    const document = documentOf({ fine: webhook({}), wrong: { $ref: "other.json" } });
    const { code, output } = await run(document, relay.origin, OPERATOR_TOKEN);
    assert.equal(code, 1);
    assert.match(output, /^wrong: other\.json is not followed/);
    assert.deepEqual(await listed(), before);
  });

  test("shows what it would put without an address", async () => {
    const before = await listed();
    const { code, output } = await run(documentOf({ shown: webhook({ example: { a: 1 } }) }));
    assert.equal(code, 0);
    assert.match(output, /^PUT \/v1\/event-types\/shown \{"description":"It happened\.","sample":\{"a":1\}\}$/m);
    assert.deepEqual(await listed(), before);
  });

  test("tells what is wrong with its arguments, the file, the token and the address", async () => {
    const document = documentOf({ a: webhook({}) });
    const usage = await capture(process.execPath, [path.join(ROOT, "scripts/import_types.mjs")]);
    assert.deepEqual([usage.code, usage.output.startsWith("usage: npm run import-types -- openapi.json")], [2, true]);
    assert.equal((await run(document, relay.origin)).code, 2);
    assert.equal((await run(document, "hooks.example.com", "token")).code, 2);
    assert.match((await run("{")).output, /is no JSON/);
    const absent = [path.join(ROOT, "scripts/import_types.mjs"), path.join(folder, "absent.json")];
    assert.match((await capture(process.execPath, absent)).output, /cannot be read: ENOENT/);
    const wrong = await run(document, relay.origin, "wrong");
    assert.equal(wrong.code, 1);
    assert.match(wrong.output, /^a: the relay answered 401/);
    assert.match((await run(document, "http://127.0.0.1:1", "token")).output, /cannot be reached/);
  });
});
