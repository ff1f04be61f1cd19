// Where the relay is: PUBLIC_ORIGIN, its address, and JURISDICTION, in which its objects stay.
import assert from "node:assert/strict";
import { test } from "node:test";
import { answerInTurn } from "../support/receiver.js";
import { createWebhook, createWorkspace, startRelay } from "../support/relay.js";
import {
  acceptForOne,
  answered,
  assertRefused,
  awaitDelivery,
  awaitSettled,
  pathOf,
  setUpWebhook,
} from "../support/steps.js";
import { createLink, signIn } from "../support/visitor.js";

async function start(t, options) {
  const relay = await startRelay(options);
  t.after(() => relay.stop());
  return relay;
}

test("links begin with PUBLIC_ORIGIN, whatever address the call was made to", async (t) => {
  const relay = await start(t, { vars: { PUBLIC_ORIGIN: "https://hooks.example.com/" } });
  const workspace = await createWorkspace(relay);
  const { url } = await createLink(relay, workspace);
  assert.match(url, /^https:\/\/hooks\.example\.com\/sign-in\?link=dl_/);
});

test("no webhook posts to the host of PUBLIC_ORIGIN, one that was saved before neither", async (t) => {
  const relay = await start(t, { isolated: true });
  const workspace = await createWorkspace(relay);
  const webhook = await createWebhook(relay, workspace, { url: "https://hooks.example.com/v1" });
  await relay.restart({ vars: { PUBLIC_ORIGIN: "https://hooks.example.com", OWN_HOSTS: "api.example.com" } });
  for (const url of ["https://hooks.example.com/", "https://api.example.com/"]) {
    const answer = await relay.fetch(pathOf({ workspace, webhook }), { method: "PATCH", body: { url } });
    const { message } = assertRefused(answer, 422, { code: "invalid_url", field: "url" });
    assert.match(message, /another host/);
  }
  const entry = await acceptForOne(relay, workspace);
  const { attempts } = await awaitDelivery(relay, workspace, entry, (one) => one.attempts.length > 0);
  assert.equal(attempts[0].outcome, "blocked");
});

test("every call of an object is made in JURISDICTION: posts, retries, pages and links", async (t) => {
  const relay = await start(t, { vars: { JURISDICTION: "eu" }, jurisdiction: "eu" });
  const scene = await setUpWebhook(t, relay, answerInTurn(500, 200));
  const delivery = await awaitSettled(relay, scene.workspace, await acceptForOne(relay, scene.workspace));
  assert.deepEqual([delivery.status, delivery.attempt_count], ["delivered", 2]);
  const visitor = await signIn(relay, scene.workspace);
  answered(await visitor.get(`/settings/webhooks/${scene.webhook.id}`), 200);
  await createLink(relay, scene.workspace);
  assert.deepEqual(
    relay.logs.filter((line) => /jurisdiction/.test(line)),
    [],
  );
});

test("without JURISDICTION none is asked for", async (t) => {
  const relay = await start(t, { jurisdiction: "eu" });
  const answer = await relay.fetch("/v1/workspaces", { method: "POST", body: { id: "ws_a", name: "A" } });
  assertRefused(answer, 503);
});

test("local workerd, which knows no jurisdictions, refuses instead of keeping data elsewhere", async (t) => {
  const relay = await start(t, { vars: { JURISDICTION: "us" } });
  const answer = await relay.fetch("/v1/workspaces", { method: "POST", body: { id: "ws_a", name: "A" } });
  assertRefused(answer, 503);
  assert.ok(relay.logs.some((line) => /Jurisdiction restrictions are not implemented/.test(line)));
});

test("a value that does not parse is an error on every request, which names it", async (t) => {
  const relay = await start(t, {});
  for (const [variable, value] of [
    ["PUBLIC_ORIGIN", "hooks.example.com"],
    ["PUBLIC_ORIGIN", "https://hooks.example.com/relay"],
    ["JURISDICTION", "EU"],
  ]) {
    await relay.restart({ vars: { [variable]: value } });
    const { message } = assertRefused(await relay.fetch("/healthz"), 500, { code: "misconfigured" });
    assert.ok(message.includes(`${variable} is "${value}"`), message);
  }
});
