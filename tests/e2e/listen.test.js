// `npm run listen` replays what a webhook gets to an address on one's own machine, as the endpoint sees it.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHmac } from "node:crypto";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import http from "node:http";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { Webhook } from "standardwebhooks";
import { ROOT } from "../../scripts/programs.mjs";
import { eventually } from "../support/eventually.js";
import { answerWith, refusedUrl, startReceiver } from "../support/receiver.js";
import { createWorkspace, startRelay } from "../support/relay.js";
import { acceptForOne, alert, answered, changeWebhook, createKey, pathOf, setUpWebhook } from "../support/steps.js";

const PROGRAM = path.join(ROOT, "scripts/listen.mjs");
// A JSON library would write this differently: numbers, escapes, spaces and the order of members.
const EVENT = String.raw`{"type":"alert.triggered","data":{"z":1.0,"payload":{"a":[1]},"big":9007199254740993,"s":"\u00e9\/é😀\"}\\", "a": [ {"}":1} ]}}`;

let relay;
before(async () => (relay = await startRelay()));
after(() => relay?.stop());

/** Runs the program until the test ends; `output()` is what it has printed. */
function launch(t, ...args) {
  const child = spawn(process.execPath, [PROGRAM, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  const ended = once(child, "close");
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text) => (output += text));
  t.after(async () => {
    child.kill("SIGKILL");
    await ended;
  });
  return {
    child,
    output: () => output,
    told: (what) => eventually(() => assert.match(output, what) ?? true, { timeout: 20_000 }),
    async ended() {
      const [code] = await ended;
      return { code, output };
    },
  };
}

/** A webhook with a key, an endpoint of its own and one on "one's own machine", to which the program replays. */
async function setUp(t, settings = {}, { answer = answerWith(200), relay: other = relay } = {}) {
  const scene = await setUpWebhook(t, other, undefined, settings);
  const { key } = await createKey(other, scene.workspace);
  const local = await startReceiver(answer);
  t.after(() => local.stop());
  return { ...scene, key, local };
}

async function startListening(t, scene, url = scene.local.url, { origin } = relay) {
  const program = launch(t, origin, scene.key, scene.webhook.id, url);
  await program.told(/^listening to /m);
  return program;
}

const timeless = ({ headers }) => {
  const { host, connection, "webhook-timestamp": at, "webhook-signature": signed, ...rest } = headers;
  // Of workerd, which a relay at Cloudflare sends in another form.
  const { "accept-encoding": encoding, "cf-worker": worker, ...same } = rest;
  return same;
};

for (const [form, secret] of Object.entries({
  "of the Standard Webhooks form": "whsec_GBkaGxwdHh8gISIjJCUmJygpKissLS4v",
  "that is plain": "a-plain-secret-of-a-listener",
})) {
  test(`replays events and tests with headers, bytes and signatures as the endpoint sees them, with a secret ${form}`, async (t) => {
    const scene = await setUp(t, { secret, headers: { "X-Team": "a b" } });
    await acceptForOne(relay, scene.workspace);
    const program = await startListening(t, scene);
    const { id } = await acceptForOne(relay, scene.workspace, EVENT);
    const test = answered(
      await relay.fetch(pathOf(scene, "/test"), { method: "POST", body: { type: "agent.error" } }),
      200,
    );
    for (const one of [id, test.id]) {
      const [sent] = await eventually(
        () => scene.receiver.attemptsOf(one).length > 0 && scene.receiver.attemptsOf(one),
      );
      const [replayed] = await eventually(() => scene.local.attemptsOf(one).length > 0 && scene.local.attemptsOf(one));
      assert.deepEqual(replayed.body, sent.body);
      assert.deepEqual(timeless(replayed), timeless(sent));
      assert.equal(
        replayed.headers["x-secureagentics-signature"],
        createHmac("sha256", secret).update(replayed.body).digest("hex"),
      );
      new Webhook(secret, secret.startsWith("whsec_") ? undefined : { format: "raw" }).verify(
        replayed.text,
        replayed.headers,
      );
    }
    await program.told(new RegExp(`^${test.id} agent.error \\(test\\): 200 in \\d+ ms$`, "m"));
    // Neither what was in the log before, nor anything twice.
    assert.deepEqual(
      scene.local.requests.map(({ headers }) => headers["webhook-id"]),
      [id, test.id],
    );
  });
}

test("names the headers as a relay of another brand does", async (t) => {
  const brand = { PRODUCT_NAME: "Acme & Co", HEADER_PREFIX: "X-Acme", STANDARD_HEADERS: "webhook,svix" };
  const own = await startRelay({ vars: brand });
  t.after(() => own.stop());
  const scene = await setUp(t, {}, { relay: own });
  await startListening(t, scene, undefined, own);
  const { id } = await acceptForOne(own, scene.workspace);
  const [sent] = await eventually(() => scene.receiver.attemptsOf(id).length > 0 && scene.receiver.attemptsOf(id));
  const [replayed] = await eventually(() => scene.local.attemptsOf(id).length > 0 && scene.local.attemptsOf(id));
  const { "svix-timestamp": _, "svix-signature": __, ...same } = timeless(sent);
  const { "svix-timestamp": ___, "svix-signature": signature, ...replayedSame } = timeless(replayed);
  assert.deepEqual(replayedSame, same);
  assert.equal(signature, replayed.headers["webhook-signature"]);
});

test("follows the log over pages, oldest first, also where the webhook is disabled, and leaves out nothing", async (t) => {
  const scene = await setUp(t);
  await changeWebhook(relay, scene, { status: "disabled" });
  await startListening(t, scene);
  const events = Array.from({ length: 100 }, (_, number) => alert({ data: { number } }));
  for (let page = 0; page < 3; page++) {
    const answer = await relay.fetch(`/v1/workspaces/${scene.workspace}/events`, { method: "POST", body: events });
    answered(answer, 202);
  }
  await eventually(() => assert.equal(scene.local.requests.length, 300) ?? true, { timeout: 30_000 });
  const ids = scene.local.requests.map(({ headers }) => headers["webhook-id"]);
  assert.equal(new Set(ids).size, 300);
  assert.equal(scene.receiver.events().length, 0);
});

test("uses the headers and the secret that the webhook has when the event comes", async (t) => {
  const scene = await setUp(t, { secret: "whsec_GBkaGxwdHh8gISIjJCUmJygpKissLS4v" });
  await startListening(t, scene);
  const other = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX";
  answered(await relay.fetch(pathOf(scene, "/secret/rotate"), { method: "POST", body: { secret: other } }), 200);
  await changeWebhook(relay, scene, { headers: { "X-Team": "b", Accept: "text/plain" } });
  await acceptForOne(relay, scene.workspace);
  const [request] = await eventually(() => scene.local.requests.length > 0 && scene.local.requests);
  new Webhook(other).verify(request.text, request.headers);
  assert.equal(request.headers["x-team"], "b");
  assert.equal(request.headers.accept, "text/plain");
});

describe("tells what an endpoint does:", () => {
  test("an answer that is no success, with the beginning of its body", async (t) => {
    const scene = await setUp(t, {}, { answer: answerWith(401, {}, "the signature does not match") });
    const program = await startListening(t, scene);
    const { id } = await acceptForOne(relay, scene.workspace);
    await program.told(new RegExp(`^${id} alert.triggered: 401 in \\d+ ms: the signature does not match$`, "m"));
  });

  test("a broken connection", async (t) => {
    const scene = await setUp(t, {}, { answer: () => (response) => response.socket.resetAndDestroy() });
    const program = await startListening(t, scene);
    const { id } = await acceptForOne(relay, scene.workspace);
    await program.told(new RegExp(`^${id} alert.triggered: failed, .*(ECONNRESET|hang up)`, "m"));
  });

  test("that nothing listens; the event is sent once something does", async (t) => {
    const scene = await setUp(t);
    const url = await refusedUrl();
    const program = await startListening(t, scene, url);
    const { id } = await acceptForOne(relay, scene.workspace);
    await program.told(new RegExp(`^${id} .*: nothing listens at ${url}; start your endpoint`, "m"));
    const received = [];
    const server = http.createServer((request, response) => {
      received.push(request.headers["webhook-id"]);
      response.end();
    });
    server.listen(Number(new URL(url).port), "127.0.0.1");
    t.after(() => server.close());
    await program.told(new RegExp(`^${id} alert.triggered: 200 in`, "m"));
    assert.deepEqual(received, [id]);
  });
});

test("ends on Ctrl-C with a count and without an error", async (t) => {
  const scene = await setUp(t);
  const program = await startListening(t, scene);
  await acceptForOne(relay, scene.workspace);
  await program.told(/: 200 in/);
  program.child.kill("SIGINT");
  const { code, output } = await program.ended();
  assert.equal(code, 0, output);
  assert.match(output, /\nstopped; 1 delivery was replayed\n$/);
});

test("goes on when the relay is back, and then misses nothing", async (t) => {
  const own = await startRelay({ vars: {}, port: Number(new URL(await refusedUrl()).port) });
  let isStopped = false;
  t.after(() => isStopped || own.stop());
  const scene = await setUp(t, {}, { relay: own });
  const program = launch(t, own.origin, scene.key, scene.webhook.id, scene.local.url);
  await program.told(/^listening to /m);
  await own.restart();
  const { id } = await acceptForOne(own, scene.workspace);
  await eventually(() => scene.local.attemptsOf(id)[0], { timeout: 20_000 });
  answered(
    await own.fetch(`/v1/workspaces/${scene.workspace}/webhooks/${scene.webhook.id}`, { method: "DELETE" }),
    204,
  );
  const { code, output } = await program.ended();
  assert.equal(code, 1);
  assert.match(output, /Error: this key's workspace has no such webhook\./);
  isStopped = true;
  await own.stop();
});

describe("is refused in words:", () => {
  const KEY = "sk_acme.0123456789abcdef";
  const WEBHOOK = "wh_019bc0e5c04070008000000000000002";
  const LOCAL = "http://localhost:3000";

  async function assertFails(t, args, told) {
    const { code, output } = await launch(t, ...args).ended();
    assert.equal(code, 1, output);
    assert.match(output, told);
    assert.doesNotMatch(output, /\n\s+at /, "no stack");
  }

  test("arguments that are not all there, too many or of another form", async (t) => {
    /** @type {[string[], RegExp][]} */
    const cases = [
      [[], /usage: npm run listen -- RELAY KEY WEBHOOK URL/],
      [[relay.origin, KEY, WEBHOOK], /usage/],
      [[relay.origin, KEY, WEBHOOK, LOCAL, "more"], /usage/],
      [["hooks.example.com", KEY, WEBHOOK, LOCAL], /RELAY must be .*found: hooks\.example\.com/],
      [[relay.origin, "token", WEBHOOK, LOCAL], /KEY must be an API key/],
      [[relay.origin, KEY, "acme", LOCAL], /WEBHOOK must be .*found: acme/],
      [[relay.origin, KEY, WEBHOOK, "localhost:3000"], /URL must be .*found: localhost:3000/],
    ];
    for (const [args, told] of cases) await assertFails(t, args, told);
  });

  test("a relay that cannot be reached", async (t) => {
    const { origin } = new URL(await refusedUrl());
    await assertFails(t, [origin, KEY, WEBHOOK, LOCAL], /the relay at http:\/\/127\.0\.0\.1:\d+ cannot be reached: /);
  });

  test("an address where no relay answers", async (t) => {
    const other = await startReceiver(answerWith(200, {}, "<html>"));
    t.after(() => other.stop());
    await assertFails(t, [other.origin, KEY, WEBHOOK, LOCAL], /answered no JSON: is this the relay's address\?/);
  });

  test("a key that the relay does not know", async (t) => {
    await assertFails(t, [relay.origin, KEY, WEBHOOK, LOCAL], /the relay does not know this key/);
  });

  test("a key that may not reveal the secret, and another workspace's webhook", async (t) => {
    const { workspace, webhook, key } = await setUp(t);
    const reader = await createKey(relay, workspace, ["webhooks:read"]);
    await assertFails(t, [relay.origin, reader.key, webhook.id, LOCAL], /it needs the scope webhooks:write/);
    const stranger = await createKey(relay, await createWorkspace(relay));
    await assertFails(t, [relay.origin, stranger.key, webhook.id, LOCAL], /has no such webhook/);
    assert.ok(!(await launch(t, relay.origin, reader.key, webhook.id, LOCAL).ended()).output.includes(key));
  });
});

test("the relay serves the program, and /docs names it", async () => {
  const asset = await relay.fetch("/assets/listen.mjs", { token: null });
  assert.equal(asset.status, 200);
  assert.match(asset.headers.get("content-type"), /^text\/javascript/);
  assert.equal(asset.text, readFileSync(PROGRAM, "utf8"));
  // Whoever saves it has nothing else of this project.
  for (const [, name] of asset.text.matchAll(/from "([^"]*)"/g)) assert.match(name, /^node:/);
  const { text } = await relay.fetch("/docs", { token: null });
  assert.match(text, /href="\/assets\/listen\.mjs" download/);
  assert.match(text, /node listen\.mjs RELAY KEY WEBHOOK http:\/\/localhost:3000/);
});
