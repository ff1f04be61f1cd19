// The suite passes a sender that keeps its promises, and notices each broken one.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { start } from "./adapters/reference.mjs";
import { runSuite, showTable } from "./suite.mjs";

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
  assert.ok(
    results.every(({ result }) => result === "passed"),
    showTable(sender.name, results),
  );
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
  assert.match(showTable("one", results), /one: 0 passed, 0 failed, 2 skipped$/);
  await sender.stop();
});
