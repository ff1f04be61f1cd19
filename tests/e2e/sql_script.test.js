// The script of both SQL engines on the platform's: `tests/sql_script` runs it on that of the native tests.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { REPOSITORY } from "../support/relay_options.js";
import { startRelay } from "../support/relay.js";
import { answered, setUpWebhook } from "../support/steps.js";

const SCRIPT = path.join(REPOSITORY, "tests/sql_script/script.json");

test("the platform's SQLite gives what the one of native tests gives", { timeout: 60_000 }, async (t) => {
  const relay = await startRelay({ hooks: true });
  t.after(() => relay.stop());
  const { workspace, webhook } = await setUpWebhook(t, relay);
  const differences = [];
  // Each part is a command, and so a turn of the object.
  for (const part of JSON.parse(await readFile(SCRIPT, "utf8"))) {
    const answer = await relay.fetch(`/test/sql/${workspace}/${webhook.id}`, { method: "POST", body: part });
    if (part.at(-1).throws) {
      assert.equal(answer.status, 503, answer.text);
      continue;
    }
    const told = answered(answer, 200);
    assert.ok(told.steps >= part.length, `${told.steps} steps of ${part.length} were run`);
    differences.push(...told.differences);
  }
  assert.deepEqual(differences, []);
});
