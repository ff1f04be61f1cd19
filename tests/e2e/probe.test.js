// `npm run probe` measures what the platform allows; local workerd limits none of it. For the operator only.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import path from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { createWorkspace, startRelay } from "../support/relay.js";
import { OPERATOR_TOKEN, REPOSITORY } from "../support/relay_options.js";
import { assertRefused, createKey } from "../support/steps.js";

const STEPS = ["wait", "hires", "lasts", "connections", "posts", "read"];

let relay;
before(async () => (relay = await startRelay({ vars: { SUBREQUESTS: "40" } })));
after(() => relay?.stop());

test("prints what it has measured as a table", { timeout: 60_000 }, async () => {
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [path.join(REPOSITORY, "scripts/probe.mjs"), relay.origin, OPERATOR_TOKEN],
    { env: { ...process.env, PROBE_SECONDS: "2" } },
  );
  const found = stdout
    .trim()
    .split("\n")
    .slice(2)
    .map((line) => line.split("|").map((cell) => cell.trim())[3]);
  assert.equal(found.length, 4, stdout);
  const [hires, connections, posts, lasts] = found;
  assert.match(hires, /^30 of 30 in \d+ ms$/);
  assert.equal(connections, "12 of 12");
  assert.equal(posts, "40 of 40");
  assert.match(lasts, /^at least 2\.\d s$/);
});

test("is for the operator only", async () => {
  const workspace = await createWorkspace(relay);
  const { key } = await createKey(relay, workspace);
  for (const step of STEPS) {
    for (const token of [null, key])
      assertRefused(await relay.fetch(`/probe/${step}`, { method: "POST", token }), [401, 403]);
    assertRefused(await relay.fetch(`/probe/${step}`), 405);
  }
  assertRefused(await relay.fetch("/probe/other", { method: "POST" }), 404);
});

test("posts to nobody else, whatever it is asked", async () => {
  for (const query of ["?origin=http://127.0.0.1:1", "?url=http://127.0.0.1:1"])
    assertRefused(await relay.fetch(`/probe/posts${query}`, { method: "POST" }), 400);
});
