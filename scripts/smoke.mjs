// Checks a deployed relay from outside: `npm run smoke -- URL TOKEN [ENDPOINT]`, with the operator's token.
//
// It makes a workspace of its own and deletes it at the end. With the URL of an endpoint it sends a ping and an event
// there. Imports only Node's own modules, as a release has nothing else.
import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";

const USAGE = `usage: npm run smoke -- URL TOKEN [ENDPOINT]

  URL       the relay's address: https://hooks.example.com
  TOKEN     the operator's token
  ENDPOINT  an endpoint that answers 2xx, to which a ping and an event are sent`;

const REQUEST_TIMEOUT_MS = 30_000;
const DELIVERED_WITHIN_MS = 30_000;
const POLL_EVERY_MS = 500;
const POSTS = 5;
const SHOWN = 300;

/** What a check found wrong, in words. */
class Failure extends Error {}

/** What makes a check impossible here, in words. */
class Skipped extends Error {}

const assert = (isSo, told) => {
  if (!isSo) throw new Failure(told);
};

async function request(url, init = {}) {
  try {
    const response = await fetch(url, { redirect: "manual", signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS), ...init });
    const text = await response.text();
    return { status: response.status, headers: response.headers, text };
  } catch (error) {
    throw new Failure(`${url} cannot be reached: ${error.cause?.message || error.message}`);
  }
}

/** A caller of the relay with this token; its answer must have one of these statuses. */
const callerOf =
  (origin, token) =>
  async (method, path, statuses, /** @type {unknown} */ body = undefined) => {
    const answer = await request(origin + path, {
      method,
      headers: {
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...(body === undefined ? {} : { "content-type": "application/json" }),
      },
      body: JSON.stringify(body),
    });
    const told = `${method} ${path} answered ${answer.status}, not ${statuses.join(" or ")}: ${answer.text.slice(0, SHOWN)}`;
    assert(statuses.includes(answer.status), told);
    try {
      return { ...answer, body: answer.text === "" ? undefined : JSON.parse(answer.text) };
    } catch {
      throw new Failure(`${method} ${path} answered no JSON: ${answer.text.slice(0, SHOWN)}`);
    }
  };

async function checkHealth(origin) {
  const { body } = await callerOf(origin)("GET", "/healthz", [200]);
  assert(body?.status === "ok" && typeof body.version === "string", `/healthz answered ${JSON.stringify(body)}`);
  return `version ${body.version}`;
}

async function checkHttps(origin) {
  const url = new URL(origin);
  if (url.protocol !== "https:") throw new Skipped("the given address is http: for development only");
  const { headers } = await request(`${origin}/healthz`);
  const strict = headers.get("strict-transport-security");
  assert(/max-age=\d{7,}/.test(strict ?? ""), `Strict-Transport-Security is ${strict}`);
  if (url.port !== "") return "Strict-Transport-Security; plain http was not tried, as the address has a port";
  url.protocol = "http:";
  const plain = await request(new URL("/healthz", url).href);
  const target = plain.headers.get("location") ?? "";
  const isRedirected = plain.status >= 300 && plain.status < 400 && target.startsWith("https://");
  assert(isRedirected, `plain http is not redirected to https: ${plain.status} ${target}`);
  return "Strict-Transport-Security; plain http is redirected";
}

async function checkHeaders(origin) {
  const { headers } = await callerOf(origin)("GET", "/v1/workspaces", [401]);
  const wanted = { "x-content-type-options": /^nosniff$/, "cache-control": /^no-store$/, "x-request-id": /./ };
  for (const [name, pattern] of Object.entries(wanted))
    assert(pattern.test(headers.get(name) ?? ""), `${name} of /v1/workspaces is ${headers.get(name)}`);
  const docs = await request(`${origin}/docs`);
  assert(docs.status === 200, `/docs answered ${docs.status}`);
  const policy = docs.headers.get("content-security-policy") ?? "none";
  assert(policy.includes("default-src 'none'"), `the Content-Security-Policy of /docs is ${policy}`);
  return "without a token 401; nosniff, no-store, X-Request-Id, and the policy of pages";
}

/** Posts the event until it is stored: a 503 promises nothing, and the event's id keeps a repetition from counting. */
async function postEvent(call, path, event) {
  for (let post = 1; ; post++) {
    const answer = await call("POST", path, post < POSTS ? [202, 429, 503] : [202], event);
    if (answer.status === 202) return answer.body;
    await sleep(Number(answer.headers.get("retry-after") ?? 1) * 1_000);
  }
}

async function checkTrace(call, path, eventId) {
  const deadline = Date.now() + DELIVERED_WITHIN_MS;
  for (;;) {
    const { body } = await call("GET", `${path}/${eventId}`, [200]);
    const delivery = body.webhooks[0]?.delivery;
    const [attempt] = delivery?.attempts ?? [];
    if (delivery?.status === "delivered") return `${attempt.response_status} in ${attempt.duration_ms} ms`;
    const told = attempt
      ? (attempt.error ?? `${attempt.outcome}, status ${attempt.response_status}`)
      : "no attempt yet";
    assert(attempt === undefined && Date.now() < deadline, `the event was not delivered: ${told}`);
    await sleep(POLL_EVERY_MS);
  }
}

/** The checks, in order: pairs of a name and a function that returns what it found. */
function checksOf(origin, token, endpoint) {
  const operator = callerOf(origin, token);
  const workspace = `/v1/workspaces/ws_smoke${randomBytes(8).toString("hex")}`;
  const events = `${workspace}/events`;
  const event = { type: "", event_id: `smoke-${randomBytes(8).toString("hex")}`, data: {} };
  let key;
  let isMade = false;
  const needsKey = () => {
    if (key === undefined) throw new Skipped("there is no workspace to do it in");
  };
  const needsEndpoint = () => {
    if (endpoint === undefined) throw new Skipped("no endpoint was given");
    needsKey();
  };
  /** @type {[name: string, check: () => Promise<string>][]} */
  const checks = [
    ["health", () => checkHealth(origin)],
    ["https", () => checkHttps(origin)],
    ["headers", () => checkHeaders(origin)],
    [
      "workspace",
      async () => {
        const id = workspace.split("/").at(-1);
        await operator("POST", "/v1/workspaces", [201], { id, name: "Smoke test" });
        isMade = true;
        const scopes = ["events:write", "webhooks:read", "webhooks:write"];
        const made = await operator("POST", `${workspace}/keys`, [201], { name: "Smoke test", scopes });
        key = callerOf(origin, made.body.key);
        const types = await key("GET", "/v1/event-types", [200]);
        assert(types.body.data.length > 0, "the catalogue has no event type: put one");
        const [{ name, sample }] = types.body.data;
        Object.assign(event, { type: name, data: sample.data ?? sample });
        return `${id} and a key were made`;
      },
    ],
    [
      "webhook",
      async () => {
        needsEndpoint();
        const settings = { url: endpoint, events: [event.type] };
        const { body } = await key("POST", `${workspace}/webhooks`, [201], settings);
        const [attempt] = body.ping.attempts;
        const told = attempt.error ?? `${attempt.outcome}, status ${attempt.response_status}`;
        assert(body.ping.status === "delivered", `${body.id} was made, and its ping failed: ${told}`);
        return `${body.id} was made, and its ping delivered`;
      },
    ],
    [
      "event",
      async () => {
        needsKey();
        const { deliveries } = await postEvent(key, events, event);
        const wanted = endpoint === undefined ? 0 : 1;
        assert(deliveries.length === wanted, `it has ${deliveries.length} deliveries, not ${wanted}`);
        return `${event.event_id} was accepted${wanted === 0 ? "; there is no webhook for it" : ""}`;
      },
    ],
    [
      "trace",
      async () => {
        needsEndpoint();
        return `delivered: ${await checkTrace(key, events, event.event_id)}`;
      },
    ],
    [
      "deletion",
      async () => {
        if (!isMade) throw new Skipped("no workspace was made");
        await operator("DELETE", workspace, [204]);
        await operator("GET", workspace, [404]);
        return "the workspace is gone";
      },
    ],
  ];
  return checks;
}

function readArguments(/** @type {string[]} */ [url, token, endpoint, ...others]) {
  if (!token || others.length > 0 || !URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol)) {
    console.error(USAGE);
    process.exit(2);
  }
  return [new URL(url).origin, token, endpoint];
}

let failed = 0;
for (const [name, check] of checksOf(
  .../** @type {[string, string, string?]} */ (readArguments(process.argv.slice(2))),
)) {
  const tell = (result, told) => console.log(`${result.padEnd(7)} ${name.padEnd(9)} ${told}`);
  try {
    tell("passed", await check());
  } catch (error) {
    if (error instanceof Skipped) tell("skipped", error.message);
    else {
      failed++;
      tell("FAILED", error instanceof Failure ? error.message : `it could not be checked (${error.message})`);
    }
  }
}
console.log(failed === 0 ? "the relay works" : `${failed} ${failed === 1 ? "check" : "checks"} failed`);
process.exitCode = failed === 0 ? 0 : 1;
