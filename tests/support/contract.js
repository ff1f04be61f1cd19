// Checks every answer of the relay against its OpenAPI document: status, headers and body.
//
// The document leaves objects and enumerations of answers open, because clients must tolerate new members and values.
// Here they are closed, so that what the relay sends but the document does not describe fails a test.
import { readFileSync } from "node:fs";
import path from "node:path";
import { Ajv2020 } from "ajv/dist/2020.js";
import formats from "ajv-formats";
import { REPOSITORY } from "./relay_options.js";

export const DOCUMENT = JSON.parse(readFileSync(path.join(REPOSITORY, "src/api/openapi.json"), "utf8"));

const METHODS = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];
// Of the build with test hooks only, and what `npm run probe` calls.
const UNDOCUMENTED_PATHS = ["/test/", "/probe/"];
const SHOWN_OF_A_BODY = 1_000;
const [NOT_FOUND, RATE_LIMITED, INTERNAL] = ["NotFound", "RateLimited", "Internal"].map(
  (name) => `/components/responses/${name}`,
);
const METHOD_NOT_ALLOWED = "/x-method-not-allowed";

const ajv = new Ajv2020({ allErrors: true, strictRequired: false, strictTypes: false });
formats.default(ajv);
// The document itself is not a schema; any other unknown word in it is a mistake.
ajv.addVocabulary(Object.keys(DOCUMENT));
ajv.addSchema(close(DOCUMENT), "document");
const ROUTES = Object.keys(DOCUMENT.paths).map((template) => ({
  template,
  pattern: new RegExp(`^${template.replaceAll(".", "\\.").replaceAll(/\{\w+\}/g, "[^/]*")}$`),
}));

/** The methods that the document lists for a path, in upper case, and HEAD wherever it lists GET. */
export function documentedMethods(template) {
  const listed = METHODS.filter((method) => method in DOCUMENT.paths[template]).map((method) => method.toUpperCase());
  return listed.flatMap((method) => (method === "GET" ? ["GET", "HEAD"] : [method]));
}

/** The operation that answers a method of a path; HEAD is answered as GET. */
export const operationOf = (template, method) => DOCUMENT.paths[template][described(method)];
const described = (method) => (method === "HEAD" ? "get" : method.toLowerCase());

/** Resolves a `$ref` of the document; returns anything else unchanged. */
export function resolve(node) {
  if (node.$ref === undefined) return node;
  const steps = node.$ref.slice("#/".length).split("/");
  return resolve(steps.reduce((inner, step) => inner[step], DOCUMENT));
}

/**
 * Throws if an answer does not match the document. Paths outside the document are the dashboard's pages, which are not
 * JSON, or do not exist.
 */
export function checkAnswer({ method, pathname }, answer) {
  if (UNDOCUMENTED_PATHS.some((path) => pathname.startsWith(path))) return;
  const faults = findFaults(method, pathname, answer);
  if (faults.length === 0) return;
  const body = answer.text.length > SHOWN_OF_A_BODY ? `${answer.text.slice(0, SHOWN_OF_A_BODY)} …` : answer.text;
  throw new Error(
    `${method} ${pathname} answered ${answer.status}, off src/api/openapi.json:\n- ${faults.join("\n- ")}\n${body}`,
  );
}

function findFaults(method, pathname, answer) {
  const route = ROUTES.find(({ pattern }) => pattern.test(pathname));
  if (route === undefined)
    return isJson(answer) ? checkUndocumented(answer, { 404: NOT_FOUND }, method === "HEAD") : [];
  const pointer = `/paths/${escapeStep(route.template)}/${described(method)}/responses/${answer.status}`;
  const operation = operationOf(route.template, method);
  if (operation !== undefined) {
    const documented = operation.responses[answer.status];
    return documented
      ? checkResponse(pointer, documented, answer, method === "HEAD")
      : [`the document has no status ${answer.status} for this call`];
  }
  const faults = checkUndocumented(answer, { 405: METHOD_NOT_ALLOWED }, method === "HEAD");
  const allowed = (answer.headers.get("allow") ?? "").split(", ").sort().join(", ");
  const expected = documentedMethods(route.template).sort().join(", ");
  if (answer.status === 405 && allowed !== expected)
    faults.push(`Allow is "${allowed}", the document has "${expected}"`);
  return faults;
}

// An operation that is not in the document must be refused, rate-limited, or fail.
function checkUndocumented(answer, refusal, isHead) {
  const pointer = { ...refusal, 429: RATE_LIMITED, 500: INTERNAL }[answer.status];
  if (pointer === undefined)
    return [`the document has no such operation, so the status must be ${Object.keys(refusal)}`];
  return checkResponse(pointer, resolve({ $ref: `#${pointer}` }), answer, isHead);
}

function checkResponse(pointer, documented, answer, isHead = false) {
  const response = resolve(documented);
  const base = documented.$ref?.slice(1) ?? pointer;
  const faults = Object.entries(response.headers ?? {}).flatMap(([name, header]) =>
    checkHeader(name, resolve(header), answer),
  );
  if (response.content === undefined) {
    if (answer.text !== "") faults.push("the document has no body for this status");
    return faults;
  }
  const type = essence(answer);
  if (!(type in response.content)) {
    return [...faults, `Content-Type is "${type}", the document has ${Object.keys(response.content).join(", ")}`];
  }
  if (isHead) return answer.text === "" ? faults : [...faults, "an answer to HEAD has a body"];
  const value = type === "application/json" ? answer.body : answer.text;
  if (value === undefined) return [...faults, "the body is not JSON"];
  return [...faults, ...validate(`${base}/content/${escapeStep(type)}/schema`, value)];
}

function checkHeader(name, header, answer) {
  const text = answer.headers.get(name);
  if (text === null) return header.required ? [`the header ${name} is missing`] : [];
  const value = header.schema.type === "integer" ? Number(text) : text;
  return ajv.validate(header.schema, value) ? [] : [`the header ${name} is "${text}": ${ajv.errorsText(ajv.errors)}`];
}

/** The violations of a value against the schema at a place of the document, in words. */
export function validate(pointer, value) {
  const check = ajv.getSchema(`document#${pointer}`);
  return check(value)
    ? []
    : check.errors.map(
        ({ instancePath, message, params }) => `${instancePath || "the body"} ${message} ${JSON.stringify(params)}`,
      );
}

// Closes each object that a schema describes, and each enumeration; parts of a condition or of an allOf name no type.
function close(node) {
  if (Array.isArray(node)) return node.map(close);
  if (node === null || typeof node !== "object") return node;
  const closed = Object.fromEntries(
    Object.entries(node).map(([name, value]) => [name === "x-extensible-enum" ? "enum" : name, close(value)]),
  );
  if (node.type === "object" && node.properties !== undefined) closed.additionalProperties ??= false;
  return closed;
}

const essence = (answer) => (answer.headers.get("content-type") ?? "").split(";")[0].trim().toLowerCase();
const isJson = (answer) => essence(answer) === "application/json";
// Escapes a part of a JSON pointer in a URI fragment.
const escapeStep = (step) => encodeURIComponent(step.replaceAll("~", "~0").replaceAll("/", "~1"));
