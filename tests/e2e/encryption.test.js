// Secrets and the values of custom headers at rest: encrypted, read from an older state, moved to another key, and
// an error if the key is missing.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Webhook } from "standardwebhooks";
import { eventually } from "../support/eventually.js";
import { startRelay } from "../support/relay.js";
import {
  acceptForOne,
  alert,
  answered,
  assertRefused,
  awaitSettled,
  changeWebhook,
  pathOf,
  readDelivery,
  setUpWebhook,
} from "../support/steps.js";
import { encodings, isStored, readStorageFiles } from "../support/storage.js";

const SECRET = `whsec_${Buffer.from("a customer's signing key, 32 byte").toString("base64")}`;
const VALUE = "Bearer the-header-value-of-a-customer";
const SETTINGS = { secret: SECRET, headers: { "X-Key": VALUE } };

const keyBytes = (id) => Buffer.alloc(32, id).toString("base64");
const keys = (...ids) => ({ ENCRYPTION_KEYS: ids.map((id) => `${id}:${keyBytes(id)}`).join(",") });

async function start(t, vars) {
  const relay = await startRelay({ vars });
  t.after(() => relay.stop());
  return relay;
}

/** Posts an event and checks the request that its endpoint gets against the secret and the header. */
async function assertSends(relay, scene, { secret, headers } = SETTINGS) {
  const { id } = await acceptForOne(relay, scene.workspace);
  const request = await eventually(() => scene.receiver.attemptsOf(id)[0]);
  new Webhook(secret).verify(request.body, request.headers, { jsonParse: false });
  for (const [name, value] of Object.entries(headers)) assert.equal(request.headers[name.toLowerCase()], value);
}

/** Sends a test event, whose request the relay stores. */
async function makeTest(relay, scene) {
  const made = answered(
    await relay.fetch(pathOf(scene, "/test"), { method: "POST", body: { type: "agent.error" } }),
    200,
  );
  return { id: made.id, webhook_id: scene.webhook.id };
}

async function assertShows(relay, scene, kept) {
  assert.equal(answered(await relay.fetch(pathOf(scene, "/secret")), 200).secret, SECRET);
  assert.deepEqual(answered(await relay.fetch(pathOf(scene)), 200).headers, SETTINGS.headers);
  assert.equal((await readDelivery(relay, scene.workspace, kept)).request.headers["x-key"], VALUE);
}

/** How many of the workspace's stored values each key encrypts, from the metrics; "" is none. */
async function countByKey(relay, { workspace }) {
  const { text } = await relay.fetch(`/metrics?workspace=${workspace}`);
  return Object.fromEntries(
    [...text.matchAll(/^relay_stored_values\{key_id="([^"]*)"\} (\d+)$/gm)].map(([, id, count]) => [id, Number(count)]),
  );
}

const isEncrypting = async (relay) => /secrets_encrypted="true"/.test((await relay.fetch("/metrics")).text);

describe("stored secrets and header values", () => {
  test("of an older state are read as plain text, and encrypted when their webhook is next changed", async (t) => {
    const relay = await start(t);
    const scene = await setUpWebhook(t, relay, undefined, SETTINGS);
    const kept = await makeTest(relay, scene);
    assert.ok(
      isStored(relay, SECRET) && isStored(relay, VALUE),
      "what is stored plain is not found: this search proves nothing",
    );
    assert.ok(!(await isEncrypting(relay)));
    assert.deepEqual(await countByKey(relay, scene), { "": 2 });

    await relay.restart({ vars: keys("k1") });
    assert.ok(await isEncrypting(relay));
    assert.deepEqual(await countByKey(relay, scene), { "": 2, k1: 0 });
    await assertSends(relay, scene);
    await assertShows(relay, scene, kept);

    await changeWebhook(relay, scene, {});
    assert.deepEqual(await countByKey(relay, scene), { k1: 2 });
    for (const text of [SECRET, VALUE]) assert.ok(!isStored(relay, text), `${text} is still stored`);
    await assertSends(relay, scene);
    await assertShows(relay, scene, kept);
  });

  test("are in no byte of the storage if the keys were set from the start", async (t) => {
    const relay = await start(t, { ...keys("k1"), RETRY_SCHEDULE: "50ms" });
    const scene = await setUpWebhook(t, relay, () => ({ status: 500 }), SETTINGS);
    const rotated = "the-secret-after-a-rotation";
    const changed = "the-header-value-after-a-change";
    await makeTest(relay, scene);
    await awaitSettled(relay, scene.workspace, await acceptForOne(relay, scene.workspace));
    answered(await relay.fetch(pathOf(scene, "/secret/rotate"), { method: "POST", body: { secret: rotated } }), 200);
    await changeWebhook(relay, scene, { headers: { "X-Key": changed } });
    await makeTest(relay, scene);
    await acceptForOne(relay, scene.workspace);
    // Stopped, so that everything written is in the files.
    await relay.restart();
    const bytes = readStorageFiles(relay);
    assert.ok(bytes.includes(scene.receiver.url), "the endpoint URL is not found: this search proves nothing");
    const inner = Buffer.from(SECRET.slice("whsec_".length), "base64").toString();
    for (const text of [SECRET, inner, VALUE, rotated, changed, Buffer.alloc(32, "k1").toString()]) {
      for (const encoded of encodings(text)) assert.ok(!bytes.includes(encoded), `${text} is stored`);
    }
    await assertSends(relay, scene, { secret: SECRET, headers: { "X-Key": changed } });
  });

  test("move to a new first key when they are next written, and then do not need the old one", async (t) => {
    const relay = await start(t, keys("k1"));
    const scene = await setUpWebhook(t, relay, undefined, SETTINGS);
    const kept = await makeTest(relay, scene);
    await relay.restart({ vars: keys("k2", "k1") });
    assert.deepEqual(await countByKey(relay, scene), { k1: 2, k2: 0 });
    await assertSends(relay, scene);
    await changeWebhook(relay, scene, { description: "any change" });
    assert.deepEqual(await countByKey(relay, scene), { k1: 0, k2: 2 });
    await relay.restart({ vars: keys("k2") });
    await assertSends(relay, scene);
    await assertShows(relay, scene, kept);
  });

  test("move to a new first key when the relay itself disables their webhook", async (t) => {
    const relay = await start(t, keys("k1"));
    const scene = await setUpWebhook(t, relay, () => ({ status: 410 }), SETTINGS);
    await relay.restart({ vars: keys("k2", "k1") });
    await awaitSettled(relay, scene.workspace, await acceptForOne(relay, scene.workspace));
    await eventually(async () => (await countByKey(relay, scene)).k2 === 2);
    assert.equal(answered(await relay.fetch(pathOf(scene)), 200).disabled_reason, "gone");
  });
});

describe("without the key of a stored value", () => {
  for (const [what, vars] of /** @type {[string, Record<string, string>][]} */ ([
    ["that was taken out", keys("k2")],
    ["when no keys are set at all", {}],
    ["under whose id another key is given", { ENCRYPTION_KEYS: `k1:${keyBytes("k3")}` }],
  ])) {
    test(`${what}, nothing is sent or shown, the log names the key, and the right key fixes it`, async (t) => {
      const relay = await start(t, keys("k1"));
      const scene = await setUpWebhook(t, relay, undefined, SETTINGS);
      const kept = await makeTest(relay, scene);
      const before = scene.receiver.requests.length;
      await relay.restart({ vars });
      const entry = await acceptForOne(relay, scene.workspace);
      const inTheLog = /not sent: a stored value .*'k1'.*ENCRYPTION_KEYS/;
      await eventually(() => relay.logs.some((line) => inTheLog.test(line)));
      const { status, attempts } = await readDelivery(relay, scene.workspace, entry);
      assert.deepEqual([status, attempts], ["pending", []], "a fault of the relay's own is not an attempt");
      for (const path of [pathOf(scene), pathOf(scene, "/secret"), pathOf(scene, `/deliveries/${kept.id}`)]) {
        assertRefused(await relay.fetch(path), 500, { code: "internal" });
      }
      const log = relay.logs.join("\n");
      assert.match(log, /showing a secret: a stored value .*'k1'/);
      for (const text of [SECRET, VALUE, keyBytes("k1"), keyBytes("k2"), keyBytes("k3")])
        assert.ok(!log.includes(text));
      assert.equal(scene.receiver.requests.length, before);

      await relay.restart({ vars: keys("k1") });
      assert.equal((await awaitSettled(relay, scene.workspace, entry)).status, "delivered");
      await assertShows(relay, scene, kept);
    });
  }

  test("its owner repairs the webhook with another secret and other headers", async (t) => {
    const relay = await start(t, keys("k1"));
    const scene = await setUpWebhook(t, relay, undefined, SETTINGS);
    await relay.restart({ vars: keys("k2") });
    const own = { secret: `whsec_${Buffer.alloc(24, "new").toString("base64")}`, headers: { "X-Key": "another" } };
    await changeWebhook(relay, scene, { headers: own.headers });
    const body = { secret: own.secret, overlap_seconds: 0 };
    answered(await relay.fetch(pathOf(scene, "/secret/rotate"), { method: "POST", body }), 200);
    assert.deepEqual(await countByKey(relay, scene), { k2: 2 });
    await assertSends(relay, scene, own);
  });
});

test("an invalid ENCRYPTION_KEYS is an error on every request, which names it and not its value", async (t) => {
  const relay = await start(t);
  const key = keyBytes("k1");
  for (const value of [key, `k1:${key.slice(2)}`, `k1:${key},`, "", { k1: key }]) {
    await relay.restart({ vars: { ENCRYPTION_KEYS: value } });
    const workspace = "/v1/workspaces/ws_a";
    const event = { method: "POST", body: alert() };
    for (const [path, init] of [
      ["/healthz"],
      ["/openapi.json"],
      ["/metrics"],
      [`${workspace}/webhooks`],
      [`${workspace}/events`, event],
    ]) {
      const answer = await relay.fetch(path, init);
      const error = assertRefused(answer, 500, { code: "misconfigured" });
      assert.match(error.message, /ENCRYPTION_KEYS/);
      assert.ok(!answer.text.includes(key.slice(2)), answer.text);
    }
    assert.ok(!relay.logs.join("\n").includes(key.slice(2)));
  }
});
