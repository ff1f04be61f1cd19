// Endpoints as customers write them: the Flask program of the customer docs, run exactly as printed there, and the
// `standardwebhooks` package for Python.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { createInterface } from "node:readline";
import { after, before, describe, test } from "node:test";
import { preparePython } from "../../scripts/python.mjs";
import { createWebhook, createWorkspace, startRelay } from "../support/relay.js";
import { acceptForOne, alert, awaitDelivery, awaitSettled } from "../support/steps.js";

const RECEIVERS = fileURLToPath(new URL("../receivers", import.meta.url));
const EXAMPLES = fileURLToPath(new URL("../../examples", import.meta.url));
const READY_TIMEOUT_MS = 30_000;
const DOCUMENTED_SECRET = "your-signing-secret";

let relay;
let python;
before(async () => {
  python = await preparePython();
  // A Python endpoint is slow at first on a busy machine, and speed is not tested here.
  relay = await startRelay({ vars: { ATTEMPT_TIMEOUT: "8s" } });
});
after(() => relay?.stop());

/** Runs a Python program until the test is over and returns its port, which `portIn` finds in a line of its output. */
async function startPython(t, args, portIn, cwd = RECEIVERS) {
  const child = spawn(python, ["-u", ...args], {
    cwd,
    env: { ...process.env, PYTHONDONTWRITEBYTECODE: "1" },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const closed = once(child, "close");
  t.after(async () => {
    child.kill();
    await closed;
  });
  const output = [];
  const port = await new Promise((resolve, reject) => {
    const fail = (why) => reject(new Error(`${args.join(" ")} ${why}:\n${output.join("\n")}`));
    const timer = setTimeout(() => fail("told no port"), READY_TIMEOUT_MS);
    closed.then(([code]) => fail(`ended with ${code}`)).finally(() => clearTimeout(timer));
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on("line", (line) => {
        output.push(line);
        const found = line.match(portIn);
        if (!found) return;
        clearTimeout(timer);
        resolve(found[1]);
      });
    }
  });
  return { origin: `http://127.0.0.1:${port}`, output };
}

async function createSigned(url, secret) {
  const workspace = await createWorkspace(relay);
  return { workspace, webhook: await createWebhook(relay, workspace, { url, secret }) };
}

async function deliverFirst(workspace, event) {
  const entry = await acceptForOne(relay, workspace, event);
  return awaitDelivery(relay, workspace, entry, ({ attempts }) => attempts.length > 0);
}

describe("the Flask program of the customer docs", () => {
  const start = (t) =>
    startPython(
      t,
      ["-m", "flask", "--app", "flask_receiver", "run", "--port", "0"],
      /Running on http:\/\/127\.0\.0\.1:(\d+)/,
      EXAMPLES,
    );

  test("accepts what is signed with its secret", async (t) => {
    const flask = await start(t);
    const { workspace, webhook } = await createSigned(`${flask.origin}/webhooks/secureagentics`, DOCUMENTED_SECRET);
    assert.equal(webhook.ping.status, "delivered");
    const delivery = await awaitSettled(relay, workspace, await acceptForOne(relay, workspace));
    assert.deepEqual([delivery.status, delivery.attempt_count], ["delivered", 1]);
    assert.equal(delivery.attempts[0].response_status, 200);
    assert.ok(flask.output.includes("Received event: alert.triggered"), flask.output.join("\n"));
  });

  test("accepts data in every script and with numbers of every kind", async (t) => {
    const flask = await start(t);
    const { workspace } = await createSigned(`${flask.origin}/webhooks/secureagentics`, DOCUMENTED_SECRET);
    const text = '{"type":"agent.error","data":{"s":"é😀\\u00e9漢","n":9007199254740993,"m":1.0,"e":1e400}}';
    assert.equal((await deliverFirst(workspace, text)).status, "delivered");
  });

  test("refuses what is signed with another secret", async (t) => {
    const flask = await start(t);
    const { workspace, webhook } = await createSigned(
      `${flask.origin}/webhooks/secureagentics`,
      "another-signing-secret",
    );
    assert.equal(webhook.ping.status, "failed");
    const { status, attempts } = await deliverFirst(workspace);
    assert.notEqual(status, "delivered");
    assert.equal(attempts[0].outcome, "http_error");
    assert.equal(attempts[0].response_status, 400);
    assert.match(attempts[0].response_body, /Invalid signature/);
  });
});

describe("an endpoint with standardwebhooks for Python", () => {
  const start = (t, secret) => startPython(t, ["standard_webhooks.py", secret], /^(\d+)$/);

  const SECRETS = {
    "of the Standard Webhooks form": ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", ""],
    "that is plain": ["a-plain-secret", "raw:"],
  };
  for (const [what, [secret, form]] of Object.entries(SECRETS)) {
    test(`verifies what is signed with a secret ${what}`, async (t) => {
      const { origin } = await start(t, `${form}${secret}`);
      const { workspace, webhook } = await createSigned(`${origin}/`, secret);
      assert.equal(webhook.ping.status, "delivered");
      const { status, attempts } = await deliverFirst(workspace, alert({ data: { s: "é😀", n: 1.5 } }));
      assert.equal(status, "delivered");
      assert.equal(attempts[0].response_body, "verified");
    });
  }

  test("refuses what is signed with another secret", async (t) => {
    const { origin } = await start(t, `whsec_${Buffer.alloc(32, 1).toString("base64")}`);
    const { workspace } = await createSigned(`${origin}/`, undefined);
    const { attempts } = await deliverFirst(workspace);
    assert.equal(attempts[0].response_status, 400);
    assert.match(attempts[0].response_body, /No matching signature/);
  });
});
