// The page that operators give to customers: it says all that the customer docs say, and the relay does what it says.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { ROOT } from "../../scripts/programs.mjs";
import { startRelay } from "../support/relay.js";
import { setUpWebhook } from "../support/steps.js";

const read = (file) => readFileSync(path.join(ROOT, file), "utf8");
const CUSTOMER_DOCS = read("tests/fixtures/customer_docs.txt");

// Sentences of the customer docs that were inexact, and what the page says instead.
const SAID_EXACTLY = {
  "The id field is unique per delivery attempt. If Secureagentics retries a failed delivery, the retry carries the same id. Use this to deduplicate events in your handler.":
    "The id field is unique per delivery: one event to one webhook. If Secureagentics retries a failed delivery, the retry carries the same id, and so does a delivery that somebody resends from the dashboard. Use this to deduplicate events in your handler.",
  "After 5 failed attempts, the delivery is marked as failed and no further retries occur. You can see failed deliveries in the webhook detail view in Settings → Webhooks. To avoid missed events:":
    "After 5 failed retries, the delivery is marked as failed and no further retries occur. You can see failed deliveries in the webhook detail view in Settings → Webhooks, and resend one or all of them there for 30 days. To avoid missed events:",
};
// The browser numbers the steps.
const BARE_NUMBER = /^\d$/;

const ENTITIES = { amp: "&", lt: "<", gt: ">", quot: '"', "#39": "'", "#34": '"', "#38": "&", "#60": "<", "#62": ">" };
const decode = (text) => text.replaceAll(/&(#?\w+);/g, (whole, name) => ENTITIES[name] ?? whole);
const textOf = (html) => decode(html.replaceAll(/<[^>]*>/g, ""));
// The text of the docs has other white space in tables and lists.
const squeeze = (text) => text.replaceAll(/\s+/g, "");
const codeOf = (html, id) => decode(html.match(new RegExp(`<code id="${id}">([\\s\\S]*?)</code>`))[1]);
const tablesOf = (html) =>
  [...html.matchAll(/<tbody>([\s\S]*?)<\/tbody>/g)].map(([, body]) =>
    [...body.matchAll(/<tr[^>]*>([\s\S]*?)<\/tr>/g)].map(([, row]) =>
      [...row.matchAll(/<td>([\s\S]*?)<\/td>/g)].map(([, cell]) => textOf(cell)),
    ),
  );

const readPage = async (relay) => {
  const answer = await relay.fetch("/docs", { token: null });
  assert.equal(answer.status, 200, answer.text);
  return answer;
};

let relay;
let page;
before(async () => {
  // With the deployed settings: the customer docs promise the defaults.
  const vars = { RETRY_SCHEDULE: "1m,5m,30m,2h,8h", ATTEMPT_TIMEOUT: "10s" };
  relay = await startRelay({ vars });
  page = await readPage(relay);
});
after(() => relay?.stop());

test("the page is public, has the dashboard's strict policy and loads nothing from elsewhere", async () => {
  assert.match(page.headers.get("content-type"), /^text\/html/);
  const policy = page.headers.get("content-security-policy");
  for (const rule of ["default-src 'none'", "style-src 'self'", "script-src 'self'", "frame-ancestors 'none'"])
    assert.ok(policy.includes(rule), policy);
  assert.equal(page.headers.get("set-cookie"), null);
  assert.doesNotMatch(page.text, / (style|on\w+)=/);
  for (const [, address] of page.text.matchAll(/(?:src|<link[^>]*href)="([^"]*)"/g)) {
    assert.match(address, /^\/assets\//);
    assert.equal((await relay.fetch(address, { token: null })).status, 200, address);
  }
  const head = await relay.fetch("/docs", { token: null, method: "HEAD" });
  assert.deepEqual([head.status, head.text], [200, ""]);
  assert.equal((await relay.fetch("/docs", { token: null, method: "POST", body: {} })).status, 405);
});

describe("the page says what the customer docs say:", () => {
  const lines = CUSTOMER_DOCS.split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "" && !BARE_NUMBER.test(line));
  for (const [index, line] of lines.entries()) {
    const said = SAID_EXACTLY[line] ?? line.replace(/^(\d\.|•) /, "");
    test(`line ${index + 1}: ${line.slice(0, 60)}`, () =>
      assert.ok(squeeze(textOf(page.text)).includes(squeeze(said)), said));
  }

  test("and each replaced sentence is in them", () => {
    for (const line of Object.keys(SAID_EXACTLY)) assert.ok(CUSTOMER_DOCS.includes(line), line);
  });
});

test("the Python code is the program that the tests run and that the customer docs have", () => {
  const program = read("examples/flask_receiver.py");
  assert.equal(
    codeOf(page.text, "code-python"),
    program.trimEnd() === program ? program : program.replace(/\n$/, "\n"),
  );
  assert.ok(CUSTOMER_DOCS.includes(program.trim()));
});

test("the types are those of the catalogue, in its order", async () => {
  const { body } = await relay.fetch("/v1/event-types", { token: null });
  assert.deepEqual(
    tablesOf(page.text)[0],
    body.data.map(({ name, description }) => [name, description]),
  );
});

test("the headers are those that a request has", async (t) => {
  const { receiver } = await setUpWebhook(t, relay);
  const [ping] = receiver.pings();
  const documented = tablesOf(page.text)
    .find((rows) => rows[0][0] === "Content-Type")
    .map(([name]) => name.toLowerCase());
  // Headers that every HTTP client adds.
  const sent = Object.keys(ping.headers).filter(
    (name) => !["host", "content-length", "connection", "accept-encoding", "cf-worker"].includes(name),
  );
  assert.deepEqual(documented.sort(), sent.sort());
});

describe("a deployment with other settings", () => {
  let other;
  let text;
  before(async () => {
    const vars = { RETRY_SCHEDULE: "10s,2m,3d", ATTEMPT_TIMEOUT: "4s", RETENTION_DAYS: "7", DISABLE_AFTER: "36h" };
    other = await startRelay({ vars });
    text = await readPage(other);
  });
  after(() => other?.stop());

  test("documents its own schedule, timeout, retention and limit", () => {
    const retries = [
      ["1st retry", "10 seconds"],
      ["2nd retry", "2 minutes"],
      ["3rd retry", "3 days"],
    ];
    assert.deepEqual(
      tablesOf(text.text).find((rows) => rows[0][0] === "1st retry"),
      retries,
    );
    for (const said of [
      "within 4 seconds,",
      "up to 3 times",
      "After 3 failed retries,",
      "there for 7 days.",
      "kept for 7 days.",
      "failed for 36 hours",
    ]) {
      assert.ok(textOf(text.text).includes(said), said);
    }
    assert.doesNotMatch(textOf(text.text), /10 seconds, Secure|up to 5 times|8 hours/);
  });
});
