// No secret, token or custom header value is in the log or in an error answer.
//
// The scenario fails in every code path that handles one of them. It ends with a panic, which the build with test hooks
// makes on demand and which is always logged, so the searched log is not empty.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { eventually } from "../support/eventually.js";
import { answerInTurn, hang, refusedUrl, reset } from "../support/receiver.js";
import { createWebhook, createWorkspace, postEvent, startRelay } from "../support/relay.js";
import { acceptForOne, alert, answered, assertRefused, awaitSettled, setUpWebhook } from "../support/steps.js";
import { assertPage, createLink, signIn } from "../support/visitor.js";

const SECRET = "the-signing-secret-of-a-customer";
const STANDARD_SECRET = `whsec_${Buffer.from("the key bytes of another customer").toString("base64")}`;
const REFUSED_SECRET = "too secret to have a space";
const HEADER_VALUE = "Bearer the-header-value-of-a-customer";
const REFUSED_HEADER_VALUE = "the-header-value-that-is-réfused";
const WRONG_TOKEN = "sk_wrong_0123456789abcdefghijklmnop";

let relay;
before(async () => (relay = await startRelay({ hooks: true })));
after(() => relay?.stop());

test("a list, a delivery and the webhook itself do not show the secret", async (t) => {
  const { workspace, webhook } = await setUpWebhook(t, relay, undefined, { secret: SECRET });
  const entry = await acceptForOne(relay, workspace);
  await awaitSettled(relay, workspace, entry);
  const base = `/v1/workspaces/${workspace}/webhooks`;
  const deliveries = `${base}/${webhook.id}/deliveries`;
  const paths = [
    base,
    `${base}/${webhook.id}`,
    deliveries,
    `${deliveries}/${entry.id}`,
    `${deliveries}/${webhook.ping.id}`,
  ];
  for (const path of paths) {
    const answer = await relay.fetch(path);
    assert.equal(answer.status, 200, answer.text);
    assert.ok(!answer.text.includes(SECRET), `${path} shows the secret`);
    assert.ok(!answer.text.includes(relay.operatorToken), `${path} shows the operator's token`);
  }
});

test("failures of every kind leave no secret in the log or in an error answer", { timeout: 60_000 }, async (t) => {
  const errors = [];
  const expectError = async (status, path, init) => {
    const answer = await relay.fetch(path, init);
    assertRefused(answer, status);
    errors.push(`${answer.text} ${JSON.stringify([...answer.headers])}`);
  };

  const settings = { secret: SECRET, headers: { "X-Key": HEADER_VALUE } };
  const failing = await setUpWebhook(t, relay, answerInTurn(500, hang, reset, 302, 500, 410), settings);
  const { workspace } = failing;
  const webhooks = `/v1/workspaces/${workspace}/webhooks`;
  const events = `/v1/workspaces/${workspace}/events`;
  const unreachable = await createWorkspace(relay);
  await createWebhook(relay, unreachable, {
    url: await refusedUrl(),
    secret: STANDARD_SECRET,
    headers: settings.headers,
  });

  // Attempts that fail in every way, to the end of the schedule.
  const failed = await acceptForOne(relay, workspace);
  const lost = await acceptForOne(relay, unreachable);
  assert.equal((await awaitSettled(relay, workspace, failed, { timeout: 30_000 })).status, "failed");
  assert.equal((await awaitSettled(relay, unreachable, lost, { timeout: 30_000 })).status, "failed");

  // Wrong tokens, everywhere.
  for (const path of ["/v1/workspaces", webhooks, `${webhooks}/${failing.webhook.id}/secret`]) {
    await expectError(401, path, { token: WRONG_TOKEN });
    await expectError(401, path, { token: `${relay.operatorToken}x` });
  }
  await expectError(401, events, { method: "POST", token: WRONG_TOKEN, body: alert() });
  await expectError(405, events, { method: "PUT", body: alert() });
  await expectError(404, `/v1/workspaces/ws_unknown/webhooks/${failing.webhook.id}/secret`);

  // Refused settings that contain something secret.
  const url = failing.receiver.url;
  const attempts = [
    { url, events: ["alert.triggered"], secret: REFUSED_SECRET },
    { url, events: ["unknown"], secret: SECRET, headers: settings.headers },
    { url: "ftp://hooks.example.com", events: ["alert.triggered"], secret: SECRET, headers: settings.headers },
    { url, events: ["alert.triggered"], secret: `${STANDARD_SECRET}!` },
    { url, events: ["alert.triggered"], secret: SECRET, headers: { "X-Key": REFUSED_HEADER_VALUE } },
    { url, events: ["alert.triggered"], secret: SECRET, headers: { "X-Key": [HEADER_VALUE] } },
    { url, events: ["alert.triggered"], secret: [SECRET] },
    { url, events: ["alert.triggered"], secret: { value: SECRET } },
    { url, events: ["alert.triggered"], sercet: SECRET },
  ];
  for (const body of attempts) await expectError([400, 422], webhooks, { method: "POST", body });
  await expectError(400, webhooks, {
    method: "POST",
    body: `{"secret": "${SECRET}", "headers": {"X-Key": "${HEADER_VALUE}"`,
  });
  await expectError([400, 422], `${webhooks}/${failing.webhook.id}/secret/rotate`, {
    method: "POST",
    body: { secret: REFUSED_SECRET },
  });

  // Events that are refused, and one that finds its webhook disabled.
  await expectError(422, events, { method: "POST", body: alert({ type: "unknown" }) });
  await expectError(400, events, { method: "POST", body: "{" });
  assert.equal((await postEvent(relay, workspace, alert())).status, 202);

  // A panic while sending a delivery that is signed with the secret.
  const panicking = await setUpWebhook(t, relay, undefined, settings);
  await acceptForOne(relay, panicking.workspace, alert({ data: { "x-test-hook": "panic" } }));
  await eventually(() => /panic/i.test(relay.logs.join("\n")));

  const keyBytes = Buffer.from(STANDARD_SECRET.slice("whsec_".length), "base64").toString();
  const hidden = [
    SECRET,
    STANDARD_SECRET,
    keyBytes,
    REFUSED_SECRET,
    HEADER_VALUE,
    HEADER_VALUE.slice("Bearer ".length),
    REFUSED_HEADER_VALUE,
    WRONG_TOKEN,
    relay.operatorToken,
  ];
  const log = relay.logs.join("\n");
  for (const text of hidden) {
    assert.ok(!log.includes(text), `the log shows ${JSON.stringify(text)}`);
    for (const error of errors) assert.ok(!error.includes(text), `an error shows ${JSON.stringify(text)}: ${error}`);
  }
  t.diagnostic(`${errors.length} error answers and ${log.length} characters of log were searched`);
});

test("who tails the relay sees no key, link or session of a request", async (t) => {
  const tailed = await startRelay({ tail: true });
  t.after(() => tailed.stop());
  const workspace = await createWorkspace(tailed);
  const visitor = await signIn(tailed, workspace);
  const { url, token } = await createLink(tailed, workspace);
  const { pathname, search } = new URL(url);
  assertPage(await visitor.get(pathname + search));
  answered(await tailed.fetch(`/v1/workspaces/${workspace}/webhooks`, { token: visitor.key }), 200);
  // As a caller may do by mistake.
  await tailed.fetch(`/healthz?key=${visitor.key}&session=${visitor.cookie.split("=")[1]}`, { token: null });
  const seen = await eventually(() => {
    const events = tailed.logs.filter((line) => line.includes("tail {"));
    return events.some((event) => event.includes("/healthz?key=")) && events.join("\n");
  });
  // The workspace stays readable, the random part does not.
  assert.ok(seen.includes(`/sign-in?link=dl_${workspace.slice(3)}.REDACTED`), seen);
  for (const made of [visitor.key, visitor.cookie.split("=")[1], token])
    assert.ok(!seen.includes(made.split(/[._]/).at(-1)), `a tail sees ${made}:\n${seen}`);
});

describe("the scan at the end of every test of a relay", () => {
  const KNOWN = "the-secret-that-the-scan-must-find";

  test("finds a secret in the log", async () => {
    const own = await startRelay();
    const token = "the-token-that-the-scan-must-find";
    await own.fetch("/healthz", { token });
    own.logs.push(`error: ${Buffer.from(token).toString("base64")}`);
    await assert.rejects(own.stop(), /the log shows/);
  });

  test("finds a secret and a session on a page, as the page writes them", async () => {
    const own = await startRelay();
    const workspace = await createWorkspace(own);
    const secret = 'a<b>&"the-secret-that-a-page-must-not-show"';
    const webhook = await createWebhook(own, workspace, { url: await refusedUrl(), secret });
    const visitor = await signIn(own, workspace);
    const page = `/settings/webhooks/${webhook.id}`;
    assertPage(await visitor.post(`${page}/secret`));
    const session = visitor.cookie.split("=")[1];
    for (const description of [secret, session]) {
      // A description may show neither; the answer to the change already fails, and so does the page.
      const change = own.fetch(`/v1/workspaces/${workspace}/webhooks/${webhook.id}`, {
        method: "PATCH",
        body: { description },
      });
      await assert.rejects(change, /no secret belongs/);
      await assert.rejects(visitor.get(page), /no secret belongs/);
      await assert.rejects(visitor.post(`${page}/secret`), /no secret belongs/);
    }
    await assert.rejects(own.stop(), /se_/);
  });

  test("finds a token in the storage, and a secret if values are encrypted", async () => {
    for (const [vars, found] of /** @type {[Record<string, string> | undefined, RegExp][]} */ ([
      [undefined, /sk_/],
      [{ ENCRYPTION_KEYS: `k1:${Buffer.alloc(32, 1).toString("base64")}` }, /scan-must-find/],
    ])) {
      const own = await startRelay({ vars });
      const token = `sk_a_${"0123456789abcdef".repeat(4)}`;
      await own.fetch("/healthz", { token });
      const workspace = await createWorkspace(own);
      await createWebhook(own, workspace, { url: await refusedUrl(), secret: KNOWN });
      // In a wrong place, as if the relay had put it there; the answer already fails.
      await assert.rejects(
        own.fetch(`/v1/workspaces/${workspace}/keys`, {
          method: "POST",
          body: { name: vars ? KNOWN : token, scopes: ["webhooks:read"] },
        }),
        /no secret belongs/,
      );
      await assert.rejects(own.stop(), found);
    }
  });
});
