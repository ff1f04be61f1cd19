// Reads the event types in an OpenAPI 3.1 document: one for each entry of its `webhooks`.
//
// Only references within the document are followed; another one is refused, because what is behind it may change.
// Imports nothing, so that a release has it too.

/** What a document has that cannot be read, in words. */
export class Unreadable extends Error {}

// What the relay takes.
const NAME = /^(?=.{1,128}$)[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$/;
const OWN = /^(ping$|webhook\.)/;
const LIMIT_BYTES = 16 * 1024;
const DESCRIPTION_LIMIT = 1_000;
const TYPES_LIMIT = 200;
// References of references, and the depth of a sample that is made from a schema.
const STEPS_LIMIT = 50;
const DEPTH_LIMIT = 8;

// The keywords of JSON Schema whose values are schemas; all other values are data.
const MAPS = ["properties", "patternProperties", "$defs", "definitions", "dependentSchemas"];
const LISTS = ["allOf", "anyOf", "oneOf", "prefixItems"];
const SINGLE = [
  "items",
  "contains",
  "additionalProperties",
  "unevaluatedProperties",
  "unevaluatedItems",
  "propertyNames",
  "contentSchema",
  "not",
  "if",
  "then",
  "else",
];

const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
const bytesOf = (value) => Buffer.byteLength(JSON.stringify(value));
const mapValues = (map, change) =>
  Object.fromEntries(Object.entries(map).map(([name, value]) => [name, change(value)]));

/**
 * The event types of a document, each as `{ name, type }`; `type` is the body of its PUT. Throws `Unreadable` with all
 * that is wrong, so that nothing is put of a document that is not whole.
 */
export function readTypes(document) {
  if (!isObject(document) || !/^3\.1\./.test(document.openapi))
    throw new Unreadable("this is no OpenAPI 3.1 document: its member openapi must be 3.1.x");
  if (!isObject(document.webhooks) || Object.keys(document.webhooks).length === 0)
    throw new Unreadable("the document has no webhooks");
  const names = Object.keys(document.webhooks);
  if (names.length > TYPES_LIMIT)
    throw new Unreadable(`the document has ${names.length} webhooks, and a relay at most ${TYPES_LIMIT} types`);
  const faults = [];
  const types = names.map((name) => {
    try {
      return { name, type: readType(document, name) };
    } catch (error) {
      if (!(error instanceof Unreadable)) throw error;
      faults.push(`${name}: ${error.message}`);
      return undefined;
    }
  });
  if (faults.length > 0) throw new Unreadable(faults.join("\n"));
  return types;
}

function readType(document, name) {
  if (!NAME.test(name))
    throw new Unreadable("a name has 1 to 128 of A-Z a-z 0-9 _ -, in parts separated by full stops");
  if (OWN.test(name)) throw new Unreadable("ping and all names that begin with webhook. are the relay's own");
  const item = follow(document, document.webhooks[name]);
  const operation = item?.post;
  if (!isObject(operation)) throw new Unreadable("it has no post operation");
  const body = follow(document, operation.requestBody);
  const content = Object.entries(body?.content ?? {}).find(([type]) =>
    /^application\/([\w.-]+\+)?json(;|$)/i.test(type),
  );
  if (!content) throw new Unreadable("its requestBody has no JSON content");
  const media = follow(document, content[1]);
  const texts = [operation.description, operation.summary, item.description, item.summary];
  const description = texts.find((text) => typeof text === "string" && text.trim() !== "")?.trim();
  if (description === undefined) throw new Unreadable("it has neither a description nor a summary");
  const whole = media.schema === undefined ? undefined : schemaOf(document, media.schema);
  const schema = dataSchema(whole);
  const type = {
    description: [...description].slice(0, DESCRIPTION_LIMIT).join(""),
    sample: readSample(document, media, whole, schema),
    ...(schema === undefined ? {} : { schema }),
    ...(operation.deprecated === true ? { deprecated: true } : {}),
  };
  for (const part of ["sample", "schema"]) {
    if (type[part] !== undefined && bytesOf(type[part]) > LIMIT_BYTES)
      throw new Unreadable(`its ${part} has ${bytesOf(type[part])} bytes, and at most ${LIMIT_BYTES} are allowed`);
  }
  return type;
}

/** What a local reference leads to, from reference to reference; anything else as it is. */
function follow(document, value) {
  let found = value;
  for (let step = 0; isObject(found) && typeof found.$ref === "string"; step++) {
    if (step === STEPS_LIMIT) throw new Unreadable(`${value.$ref} leads in a circle`);
    found = find(document, found.$ref);
  }
  return found;
}

function find(document, reference) {
  if (reference !== "#" && !reference.startsWith("#/"))
    throw new Unreadable(
      `${reference} is not followed: only references that begin with #/, into the same document, are. Bundle it first`,
    );
  const steps = reference.split("/").slice(1).map(readStep);
  const found = steps.reduce(
    (inner, step) => (inner !== null && Object.hasOwn(Object(inner), step) ? inner[step] : undefined),
    document,
  );
  if (found === undefined) throw new Unreadable(`${reference} leads nowhere`);
  return found;
}

function readStep(step) {
  try {
    return decodeURIComponent(step).replaceAll("~1", "/").replaceAll("~0", "~");
  } catch {
    return step;
  }
}

/** A schema that stands alone: what it refers to in the document is in its `$defs`, each once. */
function schemaOf(document, schema) {
  const names = new Map();
  const definitions = Object.create(null);
  const nameOf = (reference) => {
    if (!names.has(reference)) {
      const last = readStep(reference.split("/").at(-1)).replaceAll(/[^A-Za-z0-9_.-]/g, "_") || "whole";
      let name = last;
      for (let count = 2; [...names.values()].includes(name); count++) name = `${last}${count}`;
      names.set(reference, name);
      definitions[name] = bundle(find(document, reference));
    }
    return `#/$defs/${names.get(reference)}`;
  };
  const bundle = (part) => {
    if (!isObject(part)) return part;
    for (const keyword of ["$dynamicRef", "$recursiveRef", "$id", "$anchor", "$dynamicAnchor"])
      if (typeof part[keyword] === "string") throw new Unreadable(`its schema has ${keyword}, which is not followed`);
    return Object.fromEntries(
      Object.entries(part).map(([keyword, value]) => {
        if (keyword === "$ref" && typeof value === "string") return [keyword, nameOf(value)];
        if (MAPS.includes(keyword) && isObject(value)) return [keyword, mapValues(value, bundle)];
        if (LISTS.includes(keyword) && Array.isArray(value)) return [keyword, value.map(bundle)];
        if (SINGLE.includes(keyword)) return [keyword, bundle(value)];
        return [keyword, value];
      }),
    );
  };
  const own = bundle(schema);
  if (!isObject(own)) throw new Unreadable("its schema is no object");
  if (names.size === 0) return own;
  // A definition of the schema's own keeps its name and its place.
  const clash = Object.keys(own.$defs ?? {}).find((name) => name in definitions);
  if (clash) throw new Unreadable(`its schema has a $defs/${clash} of its own, and refers to another one of that name`);
  return { ...own, $defs: { ...own.$defs, ...definitions } };
}

/** A schema without the reference that it consists of. */
function opened(schema) {
  let found = schema;
  for (let step = 0; step < STEPS_LIMIT && isObject(found) && typeof found.$ref === "string"; step++)
    found = schema.$defs?.[found.$ref.slice("#/$defs/".length)];
  return found;
}

// A document describes the whole payload (type, timestamp and data, as Standard Webhooks has it), or its data alone.
const isPayload = (schema) =>
  ["type", "timestamp", "data"].every((name) => opened(schema)?.properties?.[name] !== undefined);

function dataSchema(whole) {
  if (whole === undefined || !isPayload(whole)) return whole;
  const data = opened(whole).properties.data;
  if (!isObject(data)) return undefined;
  const used = definitionsOf(data, whole.$defs ?? {});
  return Object.keys(used).length === 0 ? data : { ...data, $defs: { ...data.$defs, ...used } };
}

/** Those of some definitions that a schema refers to, directly or not. */
function definitionsOf(schema, definitions) {
  const used = Object.create(null);
  const collect = (part) => {
    for (const [, name] of JSON.stringify(part).matchAll(/"\$ref":"#\/\$defs\/([^"]*)"/g)) {
      if (name in used || !(name in definitions)) continue;
      used[name] = definitions[name];
      collect(definitions[name]);
    }
  };
  collect(schema);
  return used;
}

function readSample(document, media, whole, schema) {
  const named = Object.values(media.examples ?? {}).map((example) => follow(document, example)?.value);
  const inSchema = [opened(whole)?.example, ...(opened(whole)?.examples ?? [])];
  const given = [media.example, ...named, ...inSchema].find(isObject);
  if (given !== undefined) return whole !== undefined && isPayload(whole) && isObject(given.data) ? given.data : given;
  const made = schema === undefined ? {} : make(schema, schema, 0);
  return isObject(made) ? made : {};
}

/** An example of a schema: what it names itself, else the simplest value of its type. */
function make(schema, root, depth) {
  if (!isObject(schema) || depth > DEPTH_LIMIT) return null;
  if (typeof schema.$ref === "string") {
    return make(root.$defs?.[schema.$ref.slice("#/$defs/".length)], root, depth + 1);
  }
  const named = [schema.const, schema.example, schema.examples?.[0], schema.default, schema.enum?.[0]];
  const given = named.find((value) => value !== undefined);
  if (given !== undefined) return given;
  const parts = [...(schema.allOf ?? []), ...(schema.oneOf ?? schema.anyOf ?? []).slice(0, 1)];
  const type = [schema.type].flat()[0];
  if (schema.properties !== undefined || type === "object" || parts.length > 0) {
    const own = mapValues(schema.properties ?? {}, (part) => make(part, root, depth + 1));
    const made = parts.map((part) => make(part, root, depth + 1));
    if (schema.properties === undefined && made.length > 0 && !made.every(isObject)) return made[0];
    return Object.assign({}, ...made, own);
  }
  const simple = { string: "text", integer: 1, number: 1, boolean: true, array: [] };
  return simple[type] ?? null;
}
