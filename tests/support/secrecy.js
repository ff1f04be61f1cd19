// Watches every test for a secret in the wrong place: in an answer, in the log, in KV, and, if stored values are
// encrypted, in the objects' rows.
//
// It learns each secret, header value and token that passes through relay.fetch, sent by a test or made by the relay.
// Only BELONGS lists the places where one belongs; an answer is searched at once, the rest when the relay stops. Tests
// need not call anything.
import { OPERATOR_TOKEN } from "./relay_options.js";
import { encodings, readStorage } from "./storage.js";

// Shorter ones occur in texts by chance.
const SHORTEST_SEARCHED = 8;

const WEBHOOKS = "/v1/workspaces/[^/]+/webhooks";
const DELIVERY = `${WEBHOOKS}/[^/]+/deliveries/[^/]+`;

/** Where a secret belongs: the call, and the member of its 2xx answer. Header values are shown with `webhooks:write`. */
const BELONGS = /** @type {[methods: string, path: string, member: string[]][]} */ ([
  ["POST", "/v1/workspaces/[^/]+/keys", ["key"]],
  ["POST", "/v1/workspaces/[^/]+/dashboard-links", ["url"]],
  ["POST", WEBHOOKS, ["secret"]],
  ["POST", WEBHOOKS, ["headers"]],
  ["POST", WEBHOOKS, ["ping", "request", "headers"]],
  ["GET", WEBHOOKS, ["data", "*", "headers"]],
  ["GET|PATCH", `${WEBHOOKS}/[^/]+`, ["headers"]],
  ["GET", `${WEBHOOKS}/[^/]+/secret`, ["secret"]],
  ["POST", `${WEBHOOKS}/[^/]+/secret/rotate`, ["secret"]],
  ["POST", `${WEBHOOKS}/[^/]+/test`, ["request", "headers"]],
  ["GET", DELIVERY, ["request", "headers"]],
]).map(([methods, path, member]) => ({ call: new RegExp(`^(?:${methods}) ${path}$`), member }));

const PAGE = "/settings/webhooks/[^/?]+";
const TYPED_SECRET = /<input id="(?:new-)?secret" name="secret" [^>]*>/g;
const TYPED_HEADERS = /<textarea id="headers" [^>]*>[^<]*<\/textarea>/g;
const REQUEST_HEADERS = /<table class="headers"><caption class="hidden">Request headers<\/caption>[\s\S]*?<\/table>/g;

/** Where one belongs on a page: the call, the status and the element. A refused form keeps what was typed. */
const BELONGS_ON_PAGES = [
  ["POST", `${PAGE}/secret`, 200, /<code id="secret-value" class="secret">[^<]*<\/code>/g],
  ["GET", `${PAGE}(?:\\?.*)?`, 200, TYPED_HEADERS],
  ["GET", `${PAGE}(?:/deliveries/[^/?]+)?(?:\\?.*)?`, 200, REQUEST_HEADERS],
  ["GET", `${PAGE}/deliveries/[^/?]+(?:\\?.*)?`, 200, /<code id="curl">[\s\S]*?<\/code>/g],
  ["POST", `${PAGE}(?:/(?:rotate|test|resend))?`, "409|422", TYPED_HEADERS],
  ["POST", `${PAGE}/secret`, 200, TYPED_HEADERS],
  ["POST", `(?:/settings/webhooks/new|${PAGE}/rotate)`, 422, TYPED_SECRET],
  ["GET", "/sign-in\\?(?:[^&]*&)*link=.*", 200, /<input type="hidden" name="link" value="[^"]*">/g],
].map(([method, path, status, element]) => ({ answer: new RegExp(`^${method} ${path} (?:${status})$`), element }));

// The shape of a token; guesses of another shape are not tokens.
const TOKEN = /^(?:sk|dl)_[a-z0-9]+[._][0-9a-f]{64}$/;

/** Bearer tokens, sessions and everything else that is stored only as a hash. */
const tokens = new Set([OPERATOR_TOKEN]);
/** Signing secrets and header values, which are stored in plain text unless there are keys. */
const values = new Set();

/** How much was searched, for a test that asserts it. */
export const searched = { answers: 0, logLines: 0, stored: 0 };

function remember(set, text) {
  if (typeof text === "string" && text.length >= SHORTEST_SEARCHED) set.add(text);
}

/** Learns the secrets in a request to the relay. */
export function learnFromRequest(token, body) {
  remember(tokens, token);
  const sent = typeof body === "string" ? (parse(body) ?? readForm(body)) : body;
  if (sent === null || typeof sent !== "object" || sent instanceof Uint8Array) return;
  for (const shown of [sent.key, sent.link]) if (TOKEN.test(shown)) remember(tokens, shown);
  remember(values, sent.secret);
  if (sent.headers !== null && typeof sent.headers === "object")
    for (const value of Object.values(sent.headers)) remember(values, value);
}

/** A form of the dashboard as the members that the API would have. */
function readForm(text) {
  const { headers = "", ...fields } = Object.fromEntries(new URLSearchParams(text));
  const lines = headers.split("\n").filter((line) => line.includes(":"));
  return {
    ...fields,
    headers: Object.fromEntries(
      lines.map((line) =>
        line
          .split(/:(.*)/s)
          .slice(0, 2)
          .map((part) => part.trim()),
      ),
    ),
  };
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Learns the secrets that the relay made, and throws if the answer shows one that does not belong there. */
export function checkAnswerForSecrets({ method, pathname, search }, { status, headers, text, body }) {
  const call = `${method} ${pathname}`;
  const belonging = status >= 200 && status < 300 ? BELONGS.filter(({ call: pattern }) => pattern.test(call)) : [];
  let rest = body;
  for (const { member } of belonging) {
    learnFromAnswer(member, body);
    rest = without(rest, member);
  }
  searched.answers += 1;
  const shown = belonging.length > 0 ? JSON.stringify(rest) : withoutElements(`${call}${search} ${status}`, text);
  const session = call === "POST /sign-in" && headers.get("set-cookie")?.match(/=(se_[\w.]+);/)?.[1];
  if (session) rememberMade(session);
  const others = [...headers].filter(([name]) => !session || name !== "set-cookie");
  const found = find([...tokens, ...values], `${shown}\n${JSON.stringify(others)}`);
  if (found)
    throw new Error(
      `${call} answered ${status} and shows ${JSON.stringify(found)}, where no secret belongs:\n${shown}`,
    );
}

/** @param {string[]} path @param {Record<string, string>} body */
function learnFromAnswer([member, ...below], body) {
  if (below.length > 0 || body === null || typeof body !== "object") return;
  if (member === "key") rememberMade(body.key);
  if (member === "secret") remember(values, body.secret);
  if (member === "url") rememberMade(new URL(body.url).searchParams.get("link"));
}

/** A token that the relay made: its random part alone is as secret as the whole. */
function rememberMade(token) {
  remember(tokens, token);
  remember(tokens, token.split(/[._]/).at(-1));
}

/**
 * A copy of a value without a member; "*" stands for each entry of an array.
 * @param {any} value of JSON
 * @param {string[]} path
 */
function without(value, [member, ...below]) {
  if (value === null || typeof value !== "object") return value;
  if (member === "*") return value.map((entry) => without(entry, below));
  if (!(member in value)) return value;
  const { [member]: taken, ...rest } = value;
  return below.length === 0 ? rest : { ...rest, [member]: without(taken, below) };
}

const withoutElements = (answer, text) =>
  BELONGS_ON_PAGES.filter((place) => place.answer.test(answer)).reduce(
    (left, { element }) => left.replaceAll(element, ""),
    text,
  );

/** Throws if the log or the storage of a relay has a secret. Rows may have the values if they are stored plain. */
export function checkTracesForSecrets({ logs, state }, { encrypted }) {
  searched.logLines += logs.length;
  const logged = find([...tokens, ...values], logs.join("\n"));
  if (logged)
    throw new Error(
      `the log shows ${JSON.stringify(logged)}:\n${logs.filter((line) => find([logged], line)).join("\n")}`,
    );
  const { rows, kv } = readStorage({ state });
  searched.stored += rows.length + kv.length;
  const stored = find([...tokens, ...values], kv) ?? find(encrypted ? [...tokens, ...values] : [...tokens], rows);
  if (stored) throw new Error(`the storage has ${JSON.stringify(stored)}`);
}

function find(secrets, text) {
  return secrets.find((secret) =>
    [...encodings(secret), JSON.stringify(secret).slice(1, -1), escapeHtml(secret)].some((encoded) =>
      text.includes(encoded),
    ),
  );
}

// Escapes a text as the dashboard's templates do.
const escapeHtml = (text) => text.replaceAll(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
