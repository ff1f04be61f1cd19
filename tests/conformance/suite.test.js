// The suite passes a sender that keeps its promises, and notices each broken one.
import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { Ajv2020 } from "ajv/dist/2020.js";
import formatsPlugin from "ajv-formats";
import { start } from "./adapters/reference.mjs";
import { CASES_VERSION } from "./cases/load.mjs";
import { runSuite, showTable } from "./suite.mjs";
import { startResolver, startTrap } from "./trap.mjs";

// A fault, and the cases that must notice it (a part of their ids).
const FAULTS = {
  "signs the body alone": ["signature/secret of the form", "attempts/each is signed"],
  "does not decode the key": ["signature/secret of the form", "signature/secret that the sender made"],
  "signs with another secret": ["signature/secret of the form"],
  "makes no secret": ["signature/secret that the sender made"],
  "separates signatures by commas": ["rotation/the new secret and the old one"],
  "drops the old secret": ["rotation/the new secret and the old one"],
  "keeps the old secret": ["rotation/without overlap"],
  "sends another type": ["headers/content-type"],
  "has no user agent": ["headers/user-agent"],
  "sends its own token": ["headers/authorization"],
  puts: ["headers/method"],
  "uses a full stop in ids": ["headers/webhook-id"],
  "sends milliseconds": ["headers/webhook-timestamp", "attempts/each has its own timestamp"],
  "uses one id for all": ["body/two events"],
  "writes the data anew": [
    "body/an integer beyond 2^53",
    "body/a decimal that is whole",
    "body/the order of members",
    "body/white space",
  ],
  "makes a new id for each attempt": ["attempts/the id"],
  "writes a new body for each attempt": ["attempts/the body"],
  "keeps the first timestamp": ["attempts/each has its own timestamp"],
  "takes redirects for successes": ["redirects/301", "redirects/308", "answers/304"],
  "takes client errors for successes": ["answers/400", "answers/404", "answers/429"],
  "takes 200 alone for a success": ["answers/201", "answers/204", "answers/299"],
  "follows redirects": ["redirects/301", "redirects/307"],
  "ignores 410": ["answers/410"],
  "ignores Retry-After": ["retry-after/429 with seconds", "retry-after/503 with a date"],
  "reads no dates": ["retry-after/503 with a date"],
  "lets Retry-After shorten": ["retry-after/429 with 0", "retry-after/503 with a past date"],
  "lets itself be parked": ["retry-after/503 with a year"],
  "gives up on a bad Retry-After": ["retry-after/503 with something else"],
  "retries at once": ["schedule/as many", "answers/500"],
  "gives up early": ["schedule/as many"],
  "never gives up": ["schedule/as many"],
  "waits for ever": ["timeouts/an endpoint that never answers"],
  "has one line for all": ["timeouts/an endpoint that hangs does not delay"],
  "waits for the body": ["response/a body that never ends"],
  "reads the whole body": ["response/a body without bounds"],
  "accepts any URL": ["urls/an IPv4 address: https://127.0.0.1/"],
};

// How long the suite waits for something that never happens.
const MARGIN_MS = 4_000;

const isOneOf = (parts) => (id) => parts.some((part) => id.includes(part));

test("a sender that keeps every promise passes every case", async () => {
  const sender = await start();
  const results = await runSuite(sender);
  await sender.stop();
  const table = showTable(sender.name, results);
  assert.ok(
    results.every(({ result }) => result === "passed"),
    table,
  );
  assert.match(table, /^\| urls\/an IPv4 address: https:\/\/127\.0\.0\.1\/ +\| passed {2}\| refused$/m);
});

describe("a broken promise is noticed:", { concurrency: true }, () => {
  for (const [fault, parts] of Object.entries(FAULTS)) {
    test(`a sender that ${fault}`, async () => {
      const sender = await start({ fault });
      const results = await runSuite(sender, isOneOf(parts), MARGIN_MS);
      await sender.stop();
      for (const part of parts)
        assert.ok(
          results.some(({ id }) => id.includes(part)),
          `no case has ${part}`,
        );
      const passed = results.filter(({ result }) => result !== "FAILED");
      assert.deepEqual(
        passed.map(({ id }) => id),
        [],
      );
    });
  }
});

test("a case that the adapter cannot run is skipped, and says why", async () => {
  const { rotateSecret: _, ...sender } = await start();
  const results = await runSuite(sender, isOneOf(["rotation/"]));
  assert.deepEqual(
    results.map(({ result, detail }) => [result, detail]),
    Array(2).fill(["skipped", "the adapter has no rotateSecret"]),
  );
  const last = showTable("one", results).split("\n").at(-1);
  assert.equal(last, `one, cases ${CASES_VERSION}: 0 passed, 0 failed, 2 skipped`);
  await sender.stop();
});

describe("a sender that takes forbidden URLs", () => {
  let resolver;
  before(async () => (resolver = await startResolver()));
  after(() => resolver.stop());

  const URLS = JSON.parse(readFileSync(new URL("cases/urls.json", import.meta.url), "utf8")).urls;
  const judge = async (options) => {
    const sender = await start(options);
    const results = await runSuite(sender, isOneOf(["urls/"]));
    await sender.stop();
    assert.equal(results.length, URLS.length);
    return results;
  };
  const outcomesOf = (results) => results.map(({ result, detail }) => `${result}: ${detail}`);

  test("is right if it blocks each attempt and says so", async () => {
    const blocked = "passed: taken, not contacted: the sender says that it blocked the attempt";
    assert.deepEqual(new Set(outcomesOf(await judge({ takes: "blocks" }))), new Set([blocked]));
  });

  const unseen = "FAILED: it was taken and attempted, where the suite cannot see who is contacted";
  const nothingCame = "passed: taken, not contacted: nothing came to the suite's endpoint";

  test("is right without a word where the suite sees that nothing comes", async () => {
    assert.deepEqual(
      outcomesOf(await judge({ takes: "is silent", resolver })),
      URLS.map(({ trap }) => (trap ? nothingCame : unseen)),
    );
  });

  test("is not seen at names if it does not use the suite's resolver", async () => {
    assert.deepEqual(
      outcomesOf(await judge({ takes: "is silent" })),
      URLS.map(({ trap, needs_resolver: needsResolver }) => (trap && !needsResolver ? nothingCame : unseen)),
    );
  });

  for (const takes of /** @type {const} */ (["contacts", "lies"])) {
    test(`is noticed at every URL that leads to this machine if it ${takes}`, async () => {
      const results = await judge({ takes, resolver });
      const seen = results.filter((_, index) => URLS[index].trap);
      assert.ok(seen.length >= 30, String(seen.length));
      assert.deepEqual(new Set(outcomesOf(seen)), new Set(["FAILED: it was taken and contacted"]));
    });
  }

  test("is judged by its word if it refuses the port of the suite's endpoint", async () => {
    for (const [word, result] of [
      ["blocked", "passed"],
      ["attempted", "FAILED"],
      ["refused", "FAILED"],
    ]) {
      const attemptUrl = async (url) => (/:\d{4,5}\//.test(url) ? "refused" : word);
      const sender = { ...(await start({ takes: "is silent" })), attemptUrl };
      const [judged] = await runSuite(sender, isOneOf(["an IPv4 address: https://127.0.0.1/"]));
      assert.equal(judged.result, result, judged.detail);
    }
  });

  test("without attemptUrl fails, and the table says what is missing", async () => {
    const { attemptUrl: _, ...sender } = await start({ takes: "blocks" });
    const [judged] = await runSuite(sender, isOneOf(["an IPv4 address: https://127.0.0.1/"]));
    assert.equal(judged.result, "FAILED");
    assert.match(judged.detail, /no attemptUrl/);
  });

  test("is seen by the trap at both families of addresses, where this machine has them", async () => {
    const trap = await startTrap();
    const hosts = trap.hasIpv6 ? ["127.0.0.1", "[::1]"] : ["127.0.0.1"];
    for (const host of hosts) await fetch(`http://${host}:${trap.port}/`).catch(() => {});
    assert.equal(trap.contacts(), hosts.length);
    await trap.stop();
  });
});

describe("the cases", () => {
  const read = (name) => JSON.parse(readFileSync(new URL(`cases/${name}`, import.meta.url), "utf8"));
  const ajv = new Ajv2020({ allErrors: true });
  formatsPlugin.default(ajv);
  const validate = ajv.compile(read("schema.json"));
  const files = readdirSync(new URL("cases/", import.meta.url)).filter(
    (name) => name.endsWith(".json") && name !== "schema.json",
  );

  for (const name of files) {
    test(`${name} is valid, and of the version of all`, () => {
      const cases = read(name);
      assert.equal(cases.version, CASES_VERSION);
      assert.ok(validate(cases), JSON.stringify(validate.errors, undefined, 1));
    });
  }

  test("a mistake in a case is noticed", () => {
    /** @type {[name: string, change: (cases: any) => void][]} */
    const mistakes = [
      ["urls.json", (cases) => delete cases.version],
      ["urls.json", (cases) => delete cases.urls[0].why],
      ["urls.json", (cases) => (cases.urls[0].needs_resolver = true)],
      ["urls.json", (cases) => cases.urls.push(cases.urls[0])],
      ["answers.json", (cases) => (cases.answers[0].expect = "kept")],
      ["answers.json", (cases) => (cases.retry_after[0].date_in_seconds = 1)],
      ["headers.json", (cases) => (cases.rules[0].absent = true)],
      ["bodies.json", (cases) => (cases.bodies[0].data = "[]")],
      ["signatures.json", (cases) => delete cases.vectors[0].timestamp],
      ["signatures.json", (cases) => (cases.vector = [])],
    ];
    for (const [name, change] of mistakes) {
      const cases = read(name);
      change(cases);
      assert.equal(validate(cases), false, `${name}: ${change}`);
    }
  });
});
