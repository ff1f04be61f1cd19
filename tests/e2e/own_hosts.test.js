// OWN_HOSTS: no webhook posts to the operator's hosts, whether it is saved now or was saved before.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createWebhook, createWorkspace, startRelay } from "../support/relay.js";
import { acceptForOne, alert, answered, assertRefused, awaitSettled, pathOf } from "../support/steps.js";
import { assertPage, signIn } from "../support/visitor.js";

const OWN_HOSTS = "api.example.com, *.acme.example.net";
const EVENTS = ["alert.triggered"];
const REFUSED = [
  "http://api.example.com/hooks",
  "http://API.example.com.:8443/",
  "http://a.acme.example.net/",
  "http://a.b.acme.example.net/",
];
const TAKEN = ["http://a.api.example.com/", "http://acme.example.net/", "http://notacme.example.net/"];

async function start(t, options) {
  const relay = await startRelay({ isolated: true, ...options });
  t.after(() => relay.stop());
  return relay;
}

describe("a host of OWN_HOSTS", () => {
  test("is refused when a webhook is made or changed, by the API and by the form", async (t) => {
    const relay = await start(t, { vars: { OWN_HOSTS } });
    const workspace = await createWorkspace(relay);
    const webhook = await createWebhook(relay, workspace, { url: TAKEN[0] });
    const visitor = await signIn(relay, workspace);
    for (const url of REFUSED) {
      const body = { url, events: EVENTS };
      for (const [path, method] of [
        [`/v1/workspaces/${workspace}/webhooks`, "POST"],
        [pathOf({ workspace, webhook }), "PATCH"],
      ]) {
        const { message } = assertRefused(await relay.fetch(path, { method, body }), 422, {
          code: "invalid_url",
          field: "url",
        });
        assert.match(message, /another host/);
      }
      const form = await visitor.post("/settings/webhooks/new", { url, events: EVENTS[0] });
      assert.match(assertPage(form, 422), /another host/);
    }
    for (const url of TAKEN)
      answered(await relay.fetch(pathOf({ workspace, webhook }), { method: "PATCH", body: { url } }), 200);
  });

  test("is blocked at every attempt of a webhook that was saved before", async (t) => {
    const sent = [];
    const outbound = ({ url }) => {
      sent.push(url);
      return new Response("taken");
    };
    const relay = await start(t, { isolated: false, outbound });
    const workspace = await createWorkspace(relay);
    await createWebhook(relay, workspace, { url: REFUSED[0] });
    assert.equal(sent.length, 1, "the ping");
    await relay.restart({ vars: { OWN_HOSTS, RETRY_SCHEDULE: "50ms,50ms" } });
    const delivery = await awaitSettled(relay, workspace, await acceptForOne(relay, workspace));
    assert.deepEqual(
      delivery.attempts.map(({ outcome, error }) => [outcome, /another host/.test(error)]),
      Array(3).fill(["blocked", true]),
    );
    assert.equal(sent.length, 1);
  });
});

test("an OWN_HOSTS that does not parse is an error on every request, which names it and its value", async (t) => {
  const relay = await start(t);
  for (const value of ["https://api.example.com", "api.example.com,", "*", "127.0.0.1", "localhost"]) {
    await relay.restart({ vars: { OWN_HOSTS: value } });
    for (const [path, init] of /** @type {[string, object?][]} */ ([
      ["/healthz"],
      ["/v1/workspaces"],
      ["/v1/workspaces/ws_a/events", { method: "POST", body: alert() }],
    ])) {
      const { message } = assertRefused(await relay.fetch(path, init), 500, { code: "misconfigured" });
      assert.ok(message.includes(`OWN_HOSTS is "${value}"`), message);
    }
    assert.match(assertPage(await relay.fetch("/docs", { token: null }), 500), /OWN_HOSTS/);
  }
});
