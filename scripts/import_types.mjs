// Puts the webhooks of an OpenAPI 3.1 document into a relay's catalogue: `npm run import-types -- openapi.json URL TOKEN`.
//
// Without URL and TOKEN it only shows what it would put. Types that the document lacks stay. Imports only Node's own
// modules, as a release has nothing else.
import { readFileSync } from "node:fs";
import { Unreadable, readTypes } from "./webhook_types.mjs";

const USAGE = `usage: npm run import-types -- openapi.json [URL TOKEN]

  openapi.json  an OpenAPI 3.1 document; each entry of its webhooks becomes an event type
  URL           the relay's address: https://hooks.example.com; without it the types are only shown
  TOKEN         the operator's token`;

const REQUEST_TIMEOUT_MS = 30_000;
const SHOWN = 300;

/** @returns {never} */
function end(code, told) {
  console.error(told);
  process.exit(code);
}

function readDocument(file) {
  try {
    return readTypes(JSON.parse(readFileSync(file, "utf8")));
  } catch (error) {
    if (error instanceof Unreadable) return end(1, error.message);
    if (error instanceof SyntaxError) return end(1, `${file} is no JSON: ${error.message}`);
    if (error.code !== undefined) return end(1, `${file} cannot be read: ${error.code}`);
    throw error;
  }
}

async function put(origin, token, name, type) {
  try {
    const answer = await fetch(`${origin}/v1/event-types/${name}`, {
      method: "PUT",
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      body: JSON.stringify(type),
      redirect: "manual",
      signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
    });
    return { status: answer.status, text: await answer.text() };
  } catch (error) {
    return end(1, `${origin} cannot be reached: ${error.cause?.message || error.message}`);
  }
}

const [file, url, token, ...more] = process.argv.slice(2);
const isWhole = url === undefined || (URL.canParse(url) && token !== undefined);
if (file === undefined || more.length > 0 || !isWhole) end(2, USAGE);
const types = readDocument(file);
if (url === undefined) {
  for (const { name, type } of types) console.log(`PUT /v1/event-types/${name} ${JSON.stringify(type)}`);
  end(0, `${types.length} types; give URL and TOKEN to put them`);
}
for (const { name, type } of types) {
  const { status, text } = await put(new URL(url).origin, token, name, type);
  if (status !== 200 && status !== 201) end(1, `${name}: the relay answered ${status}: ${text.slice(0, SHOWN)}`);
  console.log(`${name} ${status === 201 ? "added" : "replaced"}`);
}
