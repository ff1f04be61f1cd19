// A small sender in Node that keeps every promise of the suite, or all but the one that `fault` names: the suite's own
// test runs it to check that each broken promise is noticed. Also an example of an adapter. Stores nothing, so do not
// use it in production.
import { randomBytes, randomUUID } from "node:crypto";
import { Resolver } from "node:dns/promises";
import { once } from "node:events";
import http from "node:http";
import { connect, isIP } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { bodyHex, standard } from "../verify.mjs";

const SCHEDULE = [300, 1_200, 3_000];
const TIMEOUT = 1_000;
const RESPONSE_LIMIT = 16 * 1024;

/**
 * `takes` is what a sender does that takes forbidden URLs: it blocks the attempt and says so, is silent and contacts
 * nobody, contacts whom the URL leads to, or contacts and says that it did not.
 * @param {{ fault?: string, resolver?: { host: string, port: number },
 *   takes?: "blocks" | "is silent" | "contacts" | "lies" }} [options]
 */
export async function start({ fault, resolver, takes } = {}) {
  const has = (name) => fault === name;
  const stopped = new AbortController();
  let line = Promise.resolve();

  function sign(endpoint, { id, timestamp, body }) {
    const now = Date.now();
    let secrets = [
      endpoint.secret,
      ...(endpoint.previous?.until > now || (endpoint.previous && has("keeps the old secret"))
        ? [endpoint.previous.secret]
        : []),
    ];
    if (has("drops the old secret")) secrets = [endpoint.secret];
    const item = (secret) => {
      if (has("signs the body alone")) return `v1,${Buffer.from(bodyHex(secret, body), "hex").toString("base64")}`;
      if (has("does not decode the key"))
        return standard(`whsec_${Buffer.from(secret).toString("base64")}`, id, timestamp, body);
      return standard(secret, id, timestamp, body);
    };
    return secrets.map(item).join(has("separates signatures by commas") ? "," : " ");
  }

  function post(endpoint, url, { id, timestamp, body }) {
    const headers = {
      "content-type": has("sends another type") ? "text/plain" : "application/json",
      "content-length": body.length,
      ...(has("has no user agent") ? {} : { "user-agent": "reference/1" }),
      ...(has("sends its own token") ? { authorization: "Bearer x" } : {}),
      "webhook-id": id,
      "webhook-timestamp": timestamp,
      "webhook-signature": sign(endpoint, { id, timestamp, body }),
      "x-signature": bodyHex(has("signs with another secret") ? "another" : endpoint.secret, body),
    };
    const method = has("puts") ? "PUT" : "POST";
    return new Promise((resolve) => {
      const request = http.request(url, { method, headers, agent: false });
      const end = (result) => {
        clearTimeout(timer);
        request.destroy();
        resolve(result);
      };
      const timer = setTimeout(() => !has("waits for ever") && end({ status: undefined }), TIMEOUT);
      request.on("error", () => end({ status: undefined }));
      request.on("response", (response) => {
        const result = { status: response.statusCode, headers: response.headers };
        if (has("waits for the body")) clearTimeout(timer);
        let read = 0;
        response.on("data", (chunk) => {
          read += chunk.length;
          if (read > RESPONSE_LIMIT && !has("reads the whole body") && !has("waits for the body")) end(result);
        });
        response.on("close", () => end(result));
        setTimeout(() => !has("waits for the body") && end(result), TIMEOUT);
      });
      request.end(body);
    });
  }

  function isSuccess(status) {
    if (has("takes redirects for successes") && status >= 300 && status < 400) return true;
    if (has("takes client errors for successes") && status >= 400 && status < 500 && status !== 410) return true;
    if (has("takes 200 alone for a success")) return status === 200;
    return status >= 200 && status < 300;
  }

  function delayAfter(number, { status, headers = {} }) {
    const delay = has("retries at once") ? 0 : SCHEDULE[number - 1];
    const asked = headers["retry-after"];
    if ((status !== 429 && status !== 503) || asked === undefined || has("ignores Retry-After")) return delay;
    const seconds = /^\d+$/.test(asked)
      ? Number(asked)
      : has("reads no dates")
        ? NaN
        : (Date.parse(asked) - Date.now()) / 1_000;
    if (Number.isNaN(seconds)) return has("gives up on a bad Retry-After") ? Infinity : delay;
    if (has("lets Retry-After shorten")) return Math.max(seconds, 0) * 1_000;
    return Math.max(
      delay,
      has("lets itself be parked") ? seconds * 1_000 : Math.min(seconds * 1_000, Math.max(...SCHEDULE)),
    );
  }

  async function deliver(endpoint, data) {
    let id = has("uses a full stop in ids") ? `msg.${randomUUID()}` : `msg_${randomUUID()}`;
    if (has("uses one id for all")) id = "msg_1";
    const first = Date.now();
    const attempts = has("gives up early") ? SCHEDULE.length : has("never gives up") ? Infinity : SCHEDULE.length + 1;
    for (let number = 1; number <= attempts && !stopped.signal.aborted; number++) {
      if (endpoint.disabled) return;
      if (has("makes a new id for each attempt")) id = `msg_${randomUUID()}`;
      const text = has("writes the data anew") ? JSON.stringify(JSON.parse(data)) : data;
      const body = Buffer.from(
        `{"id":"${id}","type":"a.b","attempt":${has("writes a new body for each attempt") ? number : 1},"data":${text}}`,
      );
      const timestamp = String(
        Math.floor((has("keeps the first timestamp") ? first : Date.now()) / 1_000) *
          (has("sends milliseconds") ? 1_000 : 1),
      );
      let result = await post(endpoint, endpoint.url, { id, timestamp, body });
      if (has("follows redirects") && result.headers?.location)
        result = await post(endpoint, result.headers.location, { id, timestamp, body });
      if (isSuccess(result.status)) return;
      if (result.status === 410 && !has("ignores 410")) endpoint.disabled = true;
      await sleep(Math.min(delayAfter(Math.min(number, SCHEDULE.length), result), 86_400_000), undefined, {
        signal: stopped.signal,
      });
    }
  }

  return {
    name: fault === undefined ? "reference" : `reference that ${fault}`,
    schedule: SCHEDULE,
    timeout: TIMEOUT,
    bodySignatureHeader: "x-signature",
    async createEndpoint({
      url,
      secret = has("makes no secret") ? "" : `whsec_${randomBytes(32).toString("base64")}`,
    }) {
      return { url, secret, disabled: false };
    },
    async sendEvent(endpoint, { data }) {
      const work = () => deliver(endpoint, data).catch((error) => error.name !== "AbortError" && console.error(error));
      if (has("has one line for all")) line = line.then(work);
      else work();
    },
    async rotateSecret(endpoint, { secret, overlapSeconds }) {
      endpoint.previous = { secret: endpoint.secret, until: Date.now() + overlapSeconds * 1_000 };
      endpoint.secret = secret;
    },
    isDisabled: async (endpoint) => endpoint.disabled,
    // Enough only for the suite's list: a real sender needs more than a pattern.
    refusesUrl: async (url) => (!has("accepts any URL") || url === "") && takes === undefined,
    usesResolver: resolver !== undefined,
    ...(takes ? { attemptUrl: (url) => attemptForbidden(url, takes, resolver) } : {}),
    stop: async () => stopped.abort(),
  };
}

async function attemptForbidden(url, takes, resolver) {
  if (takes === "contacts" || takes === "lies") await contact(url, resolver);
  return takes === "blocks" || takes === "lies" ? "blocked" : "attempted";
}

/** Connects to the URL's host if that is this machine; what the suite does not watch is left alone. */
async function contact(url, resolver) {
  if (!URL.canParse(url) || new URL(url).port === "") return;
  const { hostname, port } = new URL(url);
  const host = hostname.replace(/^\[(.*)\]$/, "$1");
  const isOwn = isIP(host) || /^localhost\.?$/.test(host);
  const address = isOwn ? host.replace(/^localhost\.?$/, "127.0.0.1") : await resolve(host, resolver);
  const socket = connect({ host: address, port: Number(port) });
  await once(socket, "close").catch(() => {});
}

async function resolve(host, { host: server, port }) {
  const own = new Resolver();
  own.setServers([`${server}:${port}`]);
  return (await own.resolve4(host))[0];
}
