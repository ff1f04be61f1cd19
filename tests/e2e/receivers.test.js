// Endpoints as customers write them: the Flask program of the customer docs, run exactly as printed there, the
// `standardwebhooks` and `svix` packages for Python, and the code that the pages of another brand show.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
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

async function createSigned(url, secret, of = relay) {
  const workspace = await createWorkspace(of);
  return { workspace, webhook: await createWebhook(of, workspace, { url, secret }) };
}

async function deliverFirst(workspace, event, of = relay) {
  const entry = await acceptForOne(of, workspace, event);
  return awaitDelivery(of, workspace, entry, ({ attempts }) => attempts.length > 0);
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

const startPackage = (t, secret, module) => startPython(t, ["standard_webhooks.py", secret, module], /^(\d+)$/);

describe("an endpoint with standardwebhooks for Python", () => {
  const start = (t, secret) => startPackage(t, secret, "standardwebhooks");

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

describe("with another brand and the header names of Svix", () => {
  const brand = { PRODUCT_NAME: "Acme & Co", HEADER_PREFIX: "X-Acme", STANDARD_HEADERS: "svix" };
  let branded;
  let folder;
  before(async () => {
    branded = await startRelay({ vars: { ATTEMPT_TIMEOUT: "8s", ...brand } });
    folder = await mkdtemp(path.join(tmpdir(), "relay-samples-"));
  });
  after(async () => {
    await branded?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  /** The code with an id in a page, as a browser shows it. */
  function codeIn(html, id) {
    const entities = {
      "&#34;": '"',
      "&quot;": '"',
      "&#39;": "'",
      "&#38;": "&",
      "&amp;": "&",
      "&#60;": "<",
      "&lt;": "<",
    };
    const [, code] = html.match(new RegExp(`<code id="${id}">([\\s\\S]*?)</code>`));
    return code.replaceAll(/&[#\w]+;/g, (entity) => entities[entity] ?? (entity === "&#62;" ? ">" : entity));
  }

  // Not through the relay's helper, which would find the sample's secret where no secret belongs.
  const readDocs = async () => (await fetch(`${branded.origin}/docs`)).text();

  async function assertVerifies(url, secret) {
    const { workspace, webhook } = await createSigned(url, secret, branded);
    assert.equal(webhook.ping.status, "delivered", JSON.stringify(webhook.ping));
    assert.equal((await deliverFirst(workspace, undefined, branded)).status, "delivered");
    return workspace;
  }

  async function assertRefuses(url, secret) {
    const { webhook } = await createSigned(url, secret, branded);
    assert.equal(webhook.ping.attempts[0].response_status, 400, JSON.stringify(webhook.ping));
  }

  test("the package svix for Python verifies, and refuses what another secret signs", async (t) => {
    const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const { origin } = await startPackage(t, secret, "svix.webhooks");
    await assertVerifies(`${origin}/`, secret);
    await assertRefuses(`${origin}/`, `whsec_${Buffer.alloc(32, 1).toString("base64")}`);
  });

  for (const [id, secret] of [
    ["code-python", DOCUMENTED_SECRET],
    ["code-standard", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"],
  ])
    test(`the Python of /docs, ${id}, runs as it is shown`, async (t) => {
      const module = id.replace("-", "_");
      await writeFile(path.join(folder, `${module}.py`), codeIn(await readDocs(), id));
      const port = /Running on http:\/\/127\.0\.0\.1:(\d+)/;
      const { origin } = await startPython(t, ["-m", "flask", "--app", module, "run", "--port", "0"], port, folder);
      await assertVerifies(`${origin}/webhooks/acmeco`, secret);
      await assertRefuses(`${origin}/webhooks/acmeco`, "another-signing-secret");
    });
});
