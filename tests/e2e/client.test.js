// The clients that are generated from the OpenAPI document: each example sends an event, posts it again after 503 and
// 429, verifies what arrives, and goes on where a later relay answers what it does not know.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { copyFile, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import http from "node:http";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { generatePythonClient } from "../../scripts/clients.mjs";
import { PACKAGE_PROGRAMS, ROOT, capture, nodeProgram, toolEnvironment } from "../../scripts/programs.mjs";
import { preparePython } from "../../scripts/python.mjs";
import { eventually } from "../support/eventually.js";
import { refusedUrl } from "../support/receiver.js";
import { createWebhook, createWorkspace, startRelay } from "../support/relay.js";
import { awaitSettled, createKey } from "../support/steps.js";

const LONGEST_EXAMPLE = 40;
const SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

let relay;
let folder;
const LANGUAGES = {
  TypeScript: { file: "client.ts", run: async () => [nodeProgram(), path.join(folder, "client.ts")] },
  Python: { file: "client.py", run: async () => [await preparePython(), path.join(ROOT, "examples/client.py")] },
};
before(async () => {
  relay = await startRelay({ vars: { ATTEMPT_TIMEOUT: "10s" } });
  // A separate project like a producer's: the example, the packages, the generated types.
  folder = await mkdtemp(path.join(tmpdir(), "relay-client-"));
  await symlink(path.join(ROOT, "node_modules"), path.join(folder, "node_modules"));
  await writeFile(path.join(folder, "package.json"), '{"type": "module"}');
  await copyFile(path.join(ROOT, "examples/client.ts"), path.join(folder, "client.ts"));
  await generatePythonClient();
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
    "--types",
    "node",
    "--allowImportingTsExtensions",
  ];
  return runPackage("tsc", ...options, path.join(folder, file));
}

/** A workspace with a webhook whose endpoint is the example, when it runs. */
async function setUp(secret = SECRET) {
  const workspace = await createWorkspace(relay);
  const url = new URL(await refusedUrl());
  const webhook = await createWebhook(relay, workspace, { url: url.href, secret });
  const { key } = await createKey(relay, workspace, ["events:write"]);
  return { workspace, webhook, key, port: url.port };
}

/** Runs an example until the test ends; `accepted` and `verified` are what it has printed of each. */
async function launch(t, language, { workspace, key, port }, { origin = relay.origin, alertId = "alrt_1" } = {}) {
  const [program, ...args] = await LANGUAGES[language].run();
  const env = toolEnvironment({
    RELAY_URL: origin,
    RELAY_KEY: key,
    WORKSPACE: workspace,
    WEBHOOK_SECRET: SECRET,
    PORT: port,
    PYTHONDONTWRITEBYTECODE: "1",
  });
  const child = spawn(program, [...args, alertId], { env, stdio: ["ignore", "pipe", "pipe"] });
  const ended = once(child, "close");
  t.after(async () => {
    child.kill("SIGKILL");
    await ended;
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text) => (output += text));
  const printed = (word) => {
    const read = () => {
      const line = output.match(new RegExp(`^${word} (.*)$`, "m"));
      assert.ok(line || child.exitCode === null, output);
      return line && JSON.parse(line[1]);
    };
    return eventually(read, { timeout: 30_000 });
  };
  return { accepted: () => printed("accepted"), verified: () => printed("verified"), ended, output: () => output };
}

/**
 * A relay in front of the relay: `answers` are its answers to the first posts, then it passes on, and `change` may
 * change an answer's body.
 */
async function startFront(t, answers, change = (body) => body) {
  const posts = [];
  const server = http.createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const body = Buffer.concat(chunks).toString();
    posts.push(JSON.parse(body));
    const given = answers[posts.length - 1];
    const answer = given ?? (await relay.fetch(request.url, { method: "POST", token: keyOf(request), body }));
    response.writeHead(answer.status, { "content-type": "application/json", ...given?.headers });
    response.end(JSON.stringify(given ? given.body : change(answer.body)));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
  return { origin: `http://127.0.0.1:${port}`, posts };
}

const keyOf = (request) => request.headers.authorization.replace("Bearer ", "");
const refusal = (status, code) => ({
  status,
  headers: { "retry-after": "1" },
  body: { error: { code, message: "no" } },
});

for (const [language, { file }] of Object.entries(LANGUAGES)) {
  describe(`the example in ${language}`, () => {
    test(`has at most ${LONGEST_EXAMPLE} lines`, () => {
      const lines = readFileSync(path.join(ROOT, "examples", file), "utf8")
        .trimEnd()
        .split("\n");
      assert.ok(lines.length <= LONGEST_EXAMPLE, String(lines.length));
      for (const line of lines) assert.ok(line.length <= 120, line);
    });

    test("posts an event, verifies it as it arrives, and posts a duplicate when it runs again", async (t) => {
      const scene = await setUp();
      const first = await launch(t, language, scene);
      const accepted = await first.accepted();
      assert.equal(accepted.event_id, "alrt_1");
      assert.deepEqual(
        accepted.deliveries.map((entry) => [entry.webhook_id, entry.duplicate]),
        [[scene.webhook.id, false]],
      );
      const event = await first.verified();
      assert.deepEqual([event.id, event.data], [accepted.deliveries[0].id, { alert_id: "alrt_1" }]);
      assert.equal((await awaitSettled(relay, scene.workspace, accepted.deliveries[0])).status, "delivered");
      const other = { ...scene, port: new URL(await refusedUrl()).port };
      const again = await (await launch(t, language, other)).accepted();
      assert.deepEqual(
        again.deliveries.map((entry) => [entry.id, entry.duplicate]),
        [[accepted.deliveries[0].id, true]],
      );
    });

    test("refuses what another secret signs", async (t) => {
      const scene = await setUp("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD");
      const program = await launch(t, language, scene);
      const [delivery] = (await program.accepted()).deliveries;
      const settled = await awaitSettled(relay, scene.workspace, delivery);
      assert.equal(settled.attempts[0].response_status, 400);
      assert.doesNotMatch(program.output(), /verified/);
    });

    test("posts the same event again after a 503 and a 429, when they say", async (t) => {
      const scene = await setUp();
      const notStored = refusal(503, "not_stored");
      const front = await startFront(t, [
        { ...notStored, body: { ...notStored.body, event_id: "alrt_1" } },
        refusal(429, "rate_limited"),
      ]);
      const began = Date.now();
      const program = await launch(t, language, scene, { origin: front.origin });
      const accepted = await program.accepted();
      assert.ok(Date.now() - began >= 2_000);
      assert.equal(front.posts.length, 3);
      for (const posted of front.posts) assert.deepEqual(posted, front.posts[0]);
      assert.equal((await program.verified()).id, accepted.deliveries[0].id);
    });

    test("takes values and members that it does not know", async (t) => {
      const scene = await setUp();
      const change = (body) => ({
        ...body,
        region: "eu",
        deliveries: body.deliveries.map((entry) => ({ ...entry, status: "parked", reason: "too_heavy" })),
      });
      const unknown = refusal(503, "closed_for_lunch");
      const front = await startFront(t, [unknown], change);
      const accepted = await (await launch(t, language, scene, { origin: front.origin })).accepted();
      assert.equal(accepted.deliveries[0].status, "parked");
      assert.equal(front.posts.length, 2);
    });

    test("prints why an event was refused, and ends", async (t) => {
      const scene = { ...(await setUp()), key: "sk_wrong.0123456789abcdefghijklmnop" };
      const program = await launch(t, language, scene);
      const [code] = await program.ended;
      assert.equal(code, 1, program.output());
      assert.match(program.output(), /the relay answered 401: .*unauthorized/);
    });
  });
}

describe("the types of TypeScript", () => {
  test("are generated from the document that the relay serves, and the example compiles with them", async () => {
    const generated = await runPackage(
      "openapi-typescript",
      `${relay.origin}/openapi.json`,
      "-o",
      path.join(folder, "relay.d.ts"),
    );
    assert.equal(generated.code, 0, generated.output);
    const compiled = await compile("client.ts");
    assert.equal(compiled.code, 0, compiled.output);
  });

  test("a misspelt member, a wrong path and a member that may be absent do not compile", async () => {
    const mistakes = [
      ["event_id:", "eventid:"],
      ["/events", "/event"],
      ["return data;", "return (data as { event_id: string }).event_ids;"],
    ];
    const text = await readFile(path.join(folder, "client.ts"), "utf8");
    for (const [right, wrong] of mistakes) {
      assert.ok(text.includes(right), right);
      await writeFile(path.join(folder, "mistaken.ts"), text.replace(right, wrong));
      const { code, output } = await compile("mistaken.ts");
      assert.notEqual(code, 0, `${wrong} compiles`);
      assert.match(output, /mistaken\.ts.*error TS/);
    }
  });
});

test("the Python package reads every kind of answer with words that it does not know", async () => {
  const program = path.join(ROOT, "tests/receivers/unknown_words.py");
  const { code, output } = await capture(await preparePython(), [program, path.join(ROOT, "examples")], {
    env: toolEnvironment({ PYTHONDONTWRITEBYTECODE: "1" }),
  });
  assert.equal(code, 0, output);
  assert.match(output, /^\d{2,} words$/m);
});
