// The endpoints of examples/, each in its own language, with deliveries of the relay; and that the mistakes which
// examples/README.md warns of do fail.
//
// receivers.test.js runs the Flask program of the customer docs, which is in that folder too.
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { createHmac } from "node:crypto";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import path from "node:path";
import { createInterface } from "node:readline";
import { after, before, describe, test } from "node:test";
import { Miniflare, convertV4MiniflareOptions } from "miniflare";
import { ROOT } from "../../scripts/programs.mjs";
import { eventually } from "../support/eventually.js";
import { preparePython } from "../../scripts/python.mjs";
import { createWebhook, createWorkspace, startRelay } from "../support/relay.js";
import { acceptForOne, answered, awaitSettled, pathOf, setUpWebhook } from "../support/steps.js";

const EXAMPLES = path.join(ROOT, "examples");
const READY_TIMEOUT_MS = 120_000;
const TOLERANCE_S = 300;
const SECRETS = {
  "of the Standard Webhooks form": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
  "that is plain": "your-signing-secret",
};
const [SECRET, PLAIN_SECRET] = Object.values(SECRETS);
// A JSON library would write this differently: numbers, escapes, spaces and the order of members.
const EVENT = '{"type":"alert.triggered","data":{"z":1.0,"big":9007199254740993,"s":"\\u00e9\\/é😀", "a": [ 1 ]}}';

// The only language that the relay itself does not need, so its tests are skipped without it.
const hasJava = spawnSync("javac", ["-version"]).error === undefined;
const NO_JAVA = hasJava ? false : "there is no JDK: javac is not in PATH";

const LANGUAGES = {
  Python: { start: async (secret) => startProgram(await preparePython(), ["receiver.py"], secret) },
  Node: { start: (secret) => startProgram(process.execPath, ["receiver.mjs"], secret) },
  Workers: { start: startWorker },
  Rust: { start: (secret) => startProgram("cargo", ["run", "--quiet", "--example", "receiver"], secret) },
  Java: { start: (secret) => startProgram("java", ["Receiver.java"], secret), skip: NO_JAVA },
};

const running = [];
// Everything set up for the whole file is stopped after its last test.
const scope = { after: (stop) => running.push(stop) };
let relay;
// Deliveries as they arrived, by the secret that signs them; `rotated` is signed with the old and the new one.
const captured = {};
before(async () => {
  // A program's first request may be slow on a busy machine, and speed is not tested here.
  relay = await startRelay({ vars: { ATTEMPT_TIMEOUT: "10s" } });
  const receive = async (secret) => {
    const scene = await setUpWebhook(scope, relay, undefined, { secret });
    return [await receiveOne(scene), await receiveOne(scene)];
  };
  const receiveRotated = async (from, to) => {
    const scene = await setUpWebhook(scope, relay, undefined, { secret: from });
    answered(await relay.fetch(pathOf(scene, "/secret/rotate"), { method: "POST", body: { secret: to } }), 200);
    return { from, to, delivery: await receiveOne(scene) };
  };
  const [standard, plain, ...rotated] = await Promise.all([
    receive(SECRET),
    receive(PLAIN_SECRET),
    receiveRotated(SECRET, PLAIN_SECRET),
    receiveRotated(PLAIN_SECRET, SECRET),
  ]);
  Object.assign(captured, { [SECRET]: standard, [PLAIN_SECRET]: plain, rotated });
});
after(async () => {
  await Promise.all(running.map((stop) => stop()));
  await relay?.stop();
});

async function startProgram(program, args, secret) {
  const child = spawn(program, args, {
    cwd: EXAMPLES,
    env: { ...process.env, WEBHOOK_SECRET: secret, PORT: "0", PYTHONDONTWRITEBYTECODE: "1" },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const closed = once(child, "close");
  running.push(async () => {
    child.kill();
    await closed;
  });
  const output = [];
  return new Promise((resolve, reject) => {
    const fail = (why) => reject(new Error(`${program} ${args.join(" ")} ${why}:\n${output.join("\n")}`));
    const timer = setTimeout(() => fail("told no port"), READY_TIMEOUT_MS);
    closed.then(([code]) => fail(`ended with ${code}`)).finally(() => clearTimeout(timer));
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on("line", (line) => {
        output.push(line);
        const port = line.match(/^listening on port (\d+)$/)?.[1];
        if (port === undefined) return;
        clearTimeout(timer);
        resolve(`http://127.0.0.1:${port}`);
      });
    }
  });
}

async function startWorker(secret) {
  const options = {
    modules: true,
    script: readFileSync(path.join(EXAMPLES, "worker.mjs"), "utf8"),
    bindings: { WEBHOOK_SECRET: secret },
  };
  const miniflare = new Miniflare(
    convertV4MiniflareOptions({ ...options, compatibilityDate: "2026-10-01", host: "127.0.0.1", port: 0, cf: false }),
  );
  running.push(() => miniflare.dispose());
  return (await miniflare.ready).origin;
}

/** A delivery as it arrived. */
async function receiveOne(scene) {
  const { id } = await acceptForOne(relay, scene.workspace, EVENT);
  const { headers, body } = await eventually(() => scene.receiver.attemptsOf(id)[0]);
  const kept = Object.entries(headers).filter(([name]) => /^(webhook-|x-secureagentics-|content-type$)/.test(name));
  return { headers: Object.fromEntries(kept), body };
}

async function send(url, { headers, body }) {
  const response = await fetch(url, { method: "POST", headers, body, signal: AbortSignal.timeout(10_000) });
  return `${response.status} ${await response.text()}`;
}

const hmac = (key, ...parts) => parts.reduce((mac, part) => mac.update(part), createHmac("sha256", key));
const keyOf = (secret) => (secret.startsWith("whsec_") ? Buffer.from(secret.slice("whsec_".length), "base64") : secret);
const standardSignature = (secret, { id, timestamp, body }) =>
  `v1,${hmac(keyOf(secret), `${id}.${timestamp}.`, body).digest("base64")}`;

/** The same delivery, as if sent at another time by someone who knows the secret. */
function sentAt({ headers, body }, seconds) {
  const timestamp = String(Math.floor(Date.now() / 1_000) + seconds);
  const signature = standardSignature(SECRET, { id: headers["webhook-id"], timestamp, body });
  return { headers: { ...headers, "webhook-timestamp": timestamp, "webhook-signature": signature }, body };
}

const withHeader = ({ headers, body }, name, change) => ({
  headers: { ...headers, [name]: change(headers[name]) },
  body,
});
const withBody = ({ headers, body }, change) => ({ headers, body: Buffer.from(change(body.toString("utf8"))) });
const reserialised = (text) => JSON.stringify(JSON.parse(text));

const HEX = "x-secureagentics-signature";
const STANDARD = "webhook-signature";

// What an endpoint must refuse, by path; each is made from a delivery that it accepts.
const FORGERIES = {
  "/hex": {
    "one changed byte": (one) => withBody(one, (text) => text.replace("alert.triggered", "alert.Triggered")),
    "an added space at the end": (one) => withBody(one, (text) => `${text} `),
    "a body that was parsed and written again": (one) => withBody(one, reserialised),
    "a signature in capitals": (one) => withHeader(one, HEX, (text) => text.toUpperCase()),
    "a signature in base64": (one) => withHeader(one, HEX, (text) => Buffer.from(text, "hex").toString("base64")),
    "half of the signature": (one) => withHeader(one, HEX, (text) => text.slice(0, 32)),
    "an empty signature": (one) => withHeader(one, HEX, () => ""),
  },
  "/standard": {
    "one changed byte": (one) => withBody(one, (text) => text.replace("alert.triggered", "alert.Triggered")),
    "a body that was parsed and written again": (one) => withBody(one, reserialised),
    "another delivery's id": (one) =>
      withHeader(one, "webhook-id", (id) => id.replace(/.$/, (last) => (last === "0" ? "1" : "0"))),
    "another time under the same signature": (one) =>
      withHeader(one, "webhook-timestamp", (text) => String(Number(text) + 1)),
    "a timestamp that is not a number": (one) => withHeader(one, "webhook-timestamp", () => "now"),
    "an empty timestamp": (one) => withHeader(one, "webhook-timestamp", () => ""),
    "a signature of another version": (one) => withHeader(one, STANDARD, (text) => text.replace("v1,", "v2,")),
    "a signature in hex": (one) =>
      withHeader(one, STANDARD, (text) => `v1,${Buffer.from(text.slice(3), "base64").toString("hex")}`),
    "an empty signature": (one) => withHeader(one, STANDARD, () => ""),
    "a delivery that is too old": (one) => sentAt(one, -TOLERANCE_S - 10),
    "a delivery from the future": (one) => sentAt(one, TOLERANCE_S + 30),
  },
};

for (const [language, { start, skip = false }] of Object.entries(LANGUAGES)) {
  describe(`the endpoint in ${language}`, { skip }, () => {
    const origins = {};
    before(async () => {
      await Promise.all(Object.values(SECRETS).map(async (secret) => (origins[secret] = await start(secret))));
    });

    for (const [form, secret] of Object.entries(SECRETS)) {
      test(`accepts deliveries signed with a secret ${form}, by either signature`, async () => {
        const deliver = async (path) => {
          const workspace = await createWorkspace(relay);
          const webhook = await createWebhook(relay, workspace, { url: `${origins[secret]}${path}`, secret });
          assert.equal(webhook.ping.status, "delivered", JSON.stringify(webhook.ping));
          const delivery = await awaitSettled(relay, workspace, await acceptForOne(relay, workspace, EVENT));
          assert.deepEqual(
            [delivery.status, delivery.attempts.map((attempt) => attempt.response_body)],
            ["delivered", ["verified"]],
          );
        };
        await Promise.all([deliver("/hex"), deliver("/standard")]);
      });
    }

    test("refuses a changed, wrongly signed or mistimed delivery, and accepts the original", async () => {
      const [delivery] = captured[SECRET];
      const [other] = captured[PLAIN_SECRET];
      for (const [path, forgeries] of Object.entries(FORGERIES)) {
        const url = `${origins[SECRET]}${path}`;
        for (const [what, forge] of Object.entries(forgeries)) {
          assert.match(await send(url, forge(delivery)), /^400 the (signature|timestamp) /, `${path}: ${what}`);
        }
        assert.equal(await send(url, other), "400 the signature does not match", `${path}: another secret`);
        assert.equal(await send(url, delivery), "200 verified");
      }
    });

    test("processes a delivery once, however often it arrives", async () => {
      const [, delivery] = captured[SECRET];
      const url = `${origins[SECRET]}/standard`;
      assert.equal(await send(url, sentAt(delivery, -TOLERANCE_S + 30)), "200 verified");
      assert.equal(await send(url, delivery), "200 already seen");
    });

    test("accepts what is signed during a rotation, with either secret", async () => {
      for (const { from, to, delivery } of captured.rotated) {
        for (const secret of [from, to])
          assert.equal(await send(`${origins[secret]}/standard`, delivery), "200 verified");
        assert.equal(await send(`${origins[to]}/hex`, delivery), "200 verified");
        assert.equal(
          await send(`${origins[from]}/hex`, delivery),
          "400 the signature does not match",
          "the hex header is the new one's",
        );
      }
    });
  });
}

describe("the common mistakes fail to verify", () => {
  const read = ({ headers, body }) => ({
    id: headers["webhook-id"],
    timestamp: headers["webhook-timestamp"],
    body,
    text: body.toString("utf8"),
  });

  const HEX_MISTAKES = {
    "the body parsed and written again": ({ text }) => hmac(SECRET, reserialised(text)).digest("hex"),
    "the body as text of another encoding": ({ body }) => hmac(SECRET, body.toString("latin1")).digest("hex"),
    "only the data": ({ text }) => hmac(SECRET, JSON.stringify(JSON.parse(text).data)).digest("hex"),
    "the secret decoded": ({ body }) => hmac(keyOf(SECRET), body).digest("hex"),
    "the secret without its prefix": ({ body }) => hmac(SECRET.slice("whsec_".length), body).digest("hex"),
    "the secret with the line end of its file": ({ body }) => hmac(`${SECRET}\n`, body).digest("hex"),
    "the digest in base64": ({ body }) => hmac(SECRET, body).digest("base64"),
    "a hash without a key": ({ body }) => hmac("", SECRET, body).digest("hex"),
    "the id and the timestamp signed too": ({ id, timestamp, body }) =>
      hmac(SECRET, `${id}.${timestamp}.`, body).digest("hex"),
  };
  const STANDARD_MISTAKES = {
    "the body parsed and written again": (one) => standardSignature(SECRET, { ...one, body: reserialised(one.text) }),
    "the secret not decoded": ({ id, timestamp, body }) =>
      `v1,${hmac(SECRET, `${id}.${timestamp}.`, body).digest("base64")}`,
    "only the body": ({ body }) => `v1,${hmac(keyOf(SECRET), body).digest("base64")}`,
    "the timestamp in milliseconds": (one) => standardSignature(SECRET, { ...one, timestamp: `${one.timestamp}000` }),
    "the digest in hex": ({ id, timestamp, body }) =>
      `v1,${hmac(keyOf(SECRET), `${id}.${timestamp}.`, body).digest("hex")}`,
    "the digest without the version": (one) => standardSignature(SECRET, one).slice("v1,".length),
  };
  /**
   * @typedef {(one: ReturnType<typeof read>) => string} Sign
   * @type {[header: string, mistakes: Record<string, Sign>, right: Sign][]}
   */
  const cases = [
    [HEX, HEX_MISTAKES, ({ body }) => hmac(SECRET, body).digest("hex")],
    [STANDARD, STANDARD_MISTAKES, (one) => standardSignature(SECRET, one)],
  ];
  for (const [header, mistakes, right] of cases) {
    test(`the right way gives ${header}`, () => {
      const [delivery] = captured[SECRET];
      assert.equal(right(read(delivery)), delivery.headers[header]);
    });
    for (const [what, wrong] of Object.entries(mistakes)) {
      test(`${header}: ${what}`, () => {
        const [delivery] = captured[SECRET];
        assert.notEqual(wrong(read(delivery)), delivery.headers[header]);
      });
    }
  }

  test("comparing the whole header with one signature during a rotation", () => {
    const { from, to, delivery } = captured.rotated[0];
    const signatures = [to, from].map((secret) => standardSignature(secret, read(delivery)));
    assert.deepEqual(delivery.headers[STANDARD].split(" "), signatures);
    for (const signature of signatures) assert.notEqual(delivery.headers[STANDARD], signature);
  });
});
