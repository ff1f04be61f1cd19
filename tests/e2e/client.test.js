// The generated TypeScript client: examples/producer.ts is type-checked against the types of the OpenAPI document that
// the relay serves, and posts an event to it.
import assert from "node:assert/strict";
import { copyFile, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { PACKAGE_PROGRAMS, ROOT, capture, nodeProgram, toolEnvironment } from "../../scripts/programs.mjs";
import { startRelay } from "../support/relay.js";
import { awaitSettled, createKey, setUpWebhook } from "../support/steps.js";

let relay;
let folder;
before(async () => {
  relay = await startRelay();
  // A separate project like a producer's: the example, the packages, the generated types.
  folder = await mkdtemp(path.join(tmpdir(), "relay-client-"));
  await symlink(path.join(ROOT, "node_modules"), path.join(folder, "node_modules"));
  await writeFile(path.join(folder, "package.json"), '{"type": "module"}');
  await copyFile(path.join(ROOT, "examples/producer.ts"), path.join(folder, "producer.ts"));
});
after(async () => {
  await relay?.stop();
  if (folder) await rm(folder, { recursive: true, force: true });
});

const runPackage = (name, ...args) => capture(path.join(PACKAGE_PROGRAMS, name), args);

async function compile(file) {
  const options = [
    "--noEmit",
    "--strict",
    "--target",
    "es2022",
    "--module",
    "nodenext",
    "--allowImportingTsExtensions",
  ];
  return runPackage("tsc", ...options, path.join(folder, file));
}

async function produce(key, workspace, alertId) {
  const env = toolEnvironment({ RELAY_URL: relay.origin, RELAY_KEY: key, WORKSPACE: workspace });
  return capture(nodeProgram(), [path.join(folder, "producer.ts"), alertId], { env });
}

test("the types are generated from the document that the relay serves, and the producer compiles with them", async () => {
  const generated = await runPackage(
    "openapi-typescript",
    `${relay.origin}/openapi.json`,
    "-o",
    path.join(folder, "relay.d.ts"),
  );
  assert.equal(generated.code, 0, generated.output);
  const compiled = await compile("producer.ts");
  assert.equal(compiled.code, 0, compiled.output);
});

test("a misspelt member, a wrong path and a member that may be absent do not compile", async () => {
  const mistakes = [
    ["event_id:", "eventid:"],
    ["/events", "/event"],
    ["return data;", "return (data as { event_id: string }).event_ids;"],
  ];
  const text = await readFile(path.join(folder, "producer.ts"), "utf8");
  for (const [right, wrong] of mistakes) {
    assert.ok(text.includes(right), right);
    await writeFile(path.join(folder, "mistaken.ts"), text.replace(right, wrong));
    const { code, output } = await compile("mistaken.ts");
    assert.notEqual(code, 0, `${wrong} compiles`);
    assert.match(output, /mistaken\.ts.*error TS/);
  }
});

test("the producer posts an event that is delivered, and a second run with the same id is a duplicate", async (t) => {
  const { workspace, webhook, receiver } = await setUpWebhook(t, relay);
  const { key } = await createKey(relay, workspace, ["events:write"]);
  const runs = [await produce(key, workspace, "alrt_1"), await produce(key, workspace, "alrt_1")];
  const [first, second] = runs.map(({ code, output }) => {
    assert.equal(code, 0, output);
    return JSON.parse(output.slice(output.indexOf("{")));
  });
  assert.equal(first.event_id, "alrt_1");
  assert.deepEqual(
    first.deliveries.map((entry) => [entry.webhook_id, entry.duplicate]),
    [[webhook.id, false]],
  );
  assert.deepEqual(
    second.deliveries.map((entry) => [entry.id, entry.duplicate]),
    [[first.deliveries[0].id, true]],
  );
  assert.equal((await awaitSettled(relay, workspace, first.deliveries[0])).status, "delivered");
  assert.equal(JSON.parse(receiver.events()[0].text).data.alert_id, "alrt_1");
});

test("the producer prints why an event was refused", async () => {
  const { code, output } = await produce("sk_wrong_0123456789abcdefghijklmnop", "ws_unknown", "alrt_1");
  assert.equal(code, 1, output);
  assert.match(output, /the relay answered 401: .*unauthorized/);
});
