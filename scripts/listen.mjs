// Replays what a webhook gets to an address on your machine, without a tunnel: `npm run listen -- RELAY KEY WEBHOOK URL`.
//
// It follows the webhook's log and posts each new delivery as the endpoint sees it, signed with the webhook's secret. A
// list has no payloads, so each delivery is read once; nothing is read again. Imports only Node's own modules: the
// relay also serves it as /assets/listen.mjs.
import { createHmac } from "node:crypto";
import http from "node:http";
import https from "node:https";
import { setTimeout as sleep } from "node:timers/promises";

const USAGE = `usage: npm run listen -- RELAY KEY WEBHOOK URL

  RELAY    the relay's address: https://hooks.example.com
  KEY      an API key of the workspace with the scope webhooks:write, as the webhook's secret signs what is replayed
  WEBHOOK  the webhook's id: wh_…
  URL      where your endpoint listens: http://localhost:3000`;

const READ_EVERY_MS = 1_000;
const PAGE = "100";
// Clocks of several machines make the log's times, so what is a little older than the newest entry may still come.
const OVERLAP_MS = 60_000;
const RELAY_TIMEOUT_MS = 30_000;
// How long the relay waits for an endpoint.
const ENDPOINT_TIMEOUT_MS = 10_000;
const SHOWN_OF_AN_ANSWER = 200;

/** An error that a person can act on: it ends the program, without a stack. */
class Failure extends Error {}

/** An error that may pass: it is told, and what failed is tried again. */
class Passing extends Error {}

function readArguments(/** @type {string[]} */ [relay, key, webhook, url, ...others]) {
  if (url === undefined || others.length > 0) throw new Failure(USAGE);
  const isWeb = (text) => URL.canParse(text) && /^https?:$/.test(new URL(text).protocol);
  if (!isWeb(relay)) throw new Failure(`RELAY must be the relay's address, such as https://…, found: ${relay}`);
  if (!isWeb(url)) throw new Failure(`URL must be an address such as http://localhost:3000, found: ${url}`);
  if (!/^wh_[0-9a-z]+$/.test(webhook)) throw new Failure(`WEBHOOK must be a webhook's id (wh_…), found: ${webhook}`);
  // The workspace is part of the key.
  const workspace = key.match(/^sk_([a-z0-9]+)[._]/)?.[1];
  if (workspace === undefined) throw new Failure("KEY must be an API key of the workspace (sk_…)");
  return { relay: new URL(relay).origin, key, path: `/v1/workspaces/ws_${workspace}/webhooks/${webhook}`, url };
}

const REFUSALS = {
  401: "the relay does not know this key: it was revoked, or is another relay's.",
  403: "this key may not do that: it needs the scope webhooks:write, which reveals the secret that signs.",
  404: "this key's workspace has no such webhook.",
};

/** Reads from the relay, and returns the answer's text. */
async function read({ relay, key }, path) {
  let response;
  let text;
  try {
    response = await fetch(relay + path, {
      headers: { authorization: `Bearer ${key}` },
      redirect: "manual",
      signal: AbortSignal.timeout(RELAY_TIMEOUT_MS),
    });
    text = await response.text();
  } catch (error) {
    throw new Passing(`the relay at ${relay} cannot be reached: ${error.cause?.message || error.message}`);
  }
  const { status } = response;
  if (status === 200) return text;
  const told = `the relay answered ${status} to GET ${path}: ${text.slice(0, SHOWN_OF_AN_ANSWER)}`;
  if (status === 429 || status >= 500) throw new Passing(told);
  if (status >= 300 && status < 400) throw new Failure(`${relay} redirects: give the relay's https address.`);
  throw new Failure(REFUSALS[status] ? `${REFUSALS[status]}\n${told}` : told);
}

function parse(text, path) {
  try {
    return JSON.parse(text);
  } catch {
    throw new Failure(`GET ${path} answered no JSON: is this the relay's address?`);
  }
}

const readJson = async (source, path) => parse(await read(source, path), path);

/** The text of a member of a JSON object, exactly as it stands there. */
function textOfMember(object, name) {
  let depth = 0;
  let member;
  let key;
  for (let at = 0; at < object.length; at++) {
    const character = object[at];
    if (character === '"') {
      const start = at;
      for (at++; object[at] !== '"'; at++) if (object[at] === "\\") at++;
      if (depth === 1 && member === undefined) key = object.slice(start, at + 1);
    } else if (character === ":" && depth === 1 && member === undefined && JSON.parse(key) === name) member = at + 1;
    else if (member !== undefined && depth === 1 && (character === "," || character === "}"))
      return object.slice(member, at).trim();
    else if (character === "{" || character === "[") depth++;
    else if (character === "}" || character === "]") depth--;
  }
  return undefined;
}

/** The log's entries that were not `seen`, oldest first; they then are. Pages end with the first that has none. */
async function readNew(source, seen, since) {
  const found = [];
  let cursor;
  do {
    const query = new URLSearchParams({ limit: PAGE, ...(since ? { since } : {}), ...(cursor ? { cursor } : {}) });
    const page = await readJson(source, `${source.path}/deliveries?${query}`);
    const unseen = page.data.filter(({ id }) => !seen.has(id));
    found.push(...unseen);
    cursor = page.data.length > 0 && unseen.length === 0 ? null : page.next_cursor;
  } while (cursor);
  for (const { id } of found) seen.add(id);
  return found.reverse();
}

const hmac = (key, ...parts) => parts.reduce((mac, part) => mac.update(part), createHmac("sha256", key));

/** The headers that the endpoint gets with this delivery, as if the attempt were made at this moment. */
function headersOf({ id, type, attempt_count: attempts }, body, { headers: custom, secret, version, names }) {
  const timestamp = String(Math.floor(Date.now() / 1_000));
  const key = secret.startsWith("whsec_") ? Buffer.from(secret.slice("whsec_".length), "base64") : secret;
  const own = Object.fromEntries(Object.entries(custom).map(([name, value]) => [name.toLowerCase(), value]));
  const prefix = names.header_prefix.toLowerCase();
  const standard = names.standard_headers.split(",").flatMap((family) => [
    [`${family}-id`, id],
    [`${family}-timestamp`, timestamp],
    [`${family}-signature`, `v1,${hmac(key, `${id}.${timestamp}.`, body).digest("base64")}`],
  ]);
  return {
    accept: "*/*",
    ...own,
    "content-type": "application/json",
    "content-length": body.length,
    "user-agent": `${names.user_agent}/${version}`,
    [`${prefix}-event`]: type,
    [`${prefix}-attempt`]: String(Math.max(1, attempts)),
    [`${prefix}-signature`]: hmac(secret, body).digest("hex"),
    ...Object.fromEntries(standard),
  };
}

/** Posts once, and returns the answer's status and the beginning of its body. */
function post(url, headers, body) {
  return new Promise((resolve, reject) => {
    const { request } = url.startsWith("https:") ? https : http;
    const sent = request(url, { method: "POST", headers, agent: false });
    const timer = setTimeout(
      () => sent.destroy(new Error(`no answer within ${ENDPOINT_TIMEOUT_MS / 1_000} s`)),
      ENDPOINT_TIMEOUT_MS,
    );
    sent.on("error", (error) => {
      clearTimeout(timer);
      reject(error);
    });
    sent.on("response", (response) => {
      clearTimeout(timer);
      let text = "";
      const end = () => {
        sent.destroy();
        resolve({ status: response.statusCode, text: text.slice(0, SHOWN_OF_AN_ANSWER) });
      };
      response.setEncoding("utf8").on("data", (chunk) => {
        text += chunk;
        if (text.length > SHOWN_OF_AN_ANSWER) end();
      });
      response.on("close", end);
      response.on("error", end);
    });
    sent.end(body);
  });
}

// Before a connection is there, the endpoint has seen nothing: it may just be restarting.
const isDown = ({ code, errors = [] }) => code === "ECONNREFUSED" || errors.some((error) => isDown(error));

/** Posts a delivery to the local address, once it listens, and says what it answered. */
async function replay(url, delivery, body, settings) {
  const what = `${delivery.id} ${delivery.type}${delivery.kind === "test" ? " (test)" : ""}`;
  for (let isTold = false; ; await sleep(READ_EVERY_MS)) {
    const began = Date.now();
    try {
      const { status, text } = await post(url, headersOf(delivery, body, settings), body);
      const isSuccess = status >= 200 && status < 300;
      console.log(`${what}: ${status} in ${Date.now() - began} ms${isSuccess || text === "" ? "" : `: ${text}`}`);
      return;
    } catch (error) {
      if (!isDown(error)) return console.log(`${what}: failed, ${error.message}`);
      if (!isTold) console.log(`${what}: nothing listens at ${url}; start your endpoint, it is then sent`);
      isTold = true;
    }
  }
}

/** Reads what signs and what is added: anew for each batch, as it may have been changed. */
async function readSettings(source) {
  const { headers } = await readJson(source, source.path);
  const { secret, previous_expires_at: overlap } = await readJson(source, `${source.path}/secret`);
  return { headers, secret, overlap };
}

/** Reads who sends: the version, and what the relay's document says of names. */
async function readSender(source) {
  const { info } = await readJson(source, "/openapi.json");
  if (info?.["x-delivery"] === undefined) throw new Failure(`${source.relay} is a relay of an earlier version.`);
  return { version: info.version, names: info["x-delivery"] };
}

/** Does `work` until it succeeds; tells once why it does not. */
async function insist(work) {
  for (let told; ; await sleep(READ_EVERY_MS)) {
    try {
      const result = await work();
      if (told) console.log("the relay answers again");
      return result;
    } catch (error) {
      if (!(error instanceof Passing)) throw error;
      if (told !== error.message) console.log(`${error.message}; trying again`);
      told = error.message;
    }
  }
}

async function listen(source, count) {
  const { overlap } = await readSettings(source);
  const sender = await readSender(source);
  const seen = new Set();
  const { data } = await readJson(source, `${source.path}/deliveries?limit=1`);
  const since = data[0] && new Date(Date.parse(data[0].created_at) - OVERLAP_MS).toISOString();
  if (since) await readNew(source, seen, since);
  console.log(`listening to ${source.relay} (version ${sender.version}); each new delivery is posted to ${source.url}`);
  if (overlap) console.log(`until ${overlap} the endpoint also gets the previous secret's signature; here it does not`);
  for (; ; await sleep(READ_EVERY_MS)) {
    const found = await insist(() => readNew(source, seen, since));
    if (found.length === 0) continue;
    const settings = { ...(await insist(() => readSettings(source))), ...sender };
    for (const delivery of found) {
      const whole = await insist(() => read(source, `${source.path}/deliveries/${delivery.id}`));
      await replay(source.url, delivery, Buffer.from(textOfMember(whole, "payload")), settings);
      count();
    }
  }
}

async function main() {
  let replayed = 0;
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"])
    process.on(signal, () => {
      console.log(`\nstopped; ${replayed} ${replayed === 1 ? "delivery was" : "deliveries were"} replayed`);
      process.exit(0);
    });
  await listen(readArguments(process.argv.slice(2)), () => replayed++);
}

try {
  await main();
} catch (error) {
  console.error(error instanceof Failure || error instanceof Passing ? `\nError: ${error.message}` : error);
  process.exit(1);
}
