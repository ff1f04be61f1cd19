// What is public: the health check, the catalogue of event types and the OpenAPI document.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { createWorkspace, startRelay } from "../support/relay.js";
import { acceptEvent, answered } from "../support/steps.js";

let relay;
before(async () => (relay = await startRelay()));
after(() => relay?.stop());

const ask = async (path, token = null) => answered(await relay.fetch(path, { token }), 200);

test("the health is ok and names the version", async () => {
  const { status, version } = await ask("/healthz");
  assert.equal(status, "ok");
  assert.match(version, /^\d+\.\d+\.\d+/);
});

test("the catalogue has each event type with a description and a sample that the relay accepts", async () => {
  const { data, next_cursor: next } = await ask("/v1/event-types");
  assert.equal(next, null);
  assert.deepEqual(data.map(({ name }) => name).sort(), [
    "agent.error",
    "agent.registered",
    "alert.triggered",
    "policy.violated",
  ]);
  const workspace = await createWorkspace(relay);
  for (const { name, description, sample } of data) {
    assert.ok(description.length > 10, `${name}: ${description}`);
    const event = sample.data ?? sample;
    assert.ok(Object.keys(event).length > 0, `${name} has an empty sample`);
    await acceptEvent(relay, workspace, { type: name, data: event });
  }
});

test("the OpenAPI document is version 3.1 and the same with any token and without", async () => {
  const document = await ask("/openapi.json");
  assert.match(document.openapi, /^3\.1\.\d+$/);
  assert.ok(Object.keys(document.paths).length >= 20, `${Object.keys(document.paths)}`);
  assert.deepEqual(await ask("/openapi.json", relay.operatorToken), document);
  assert.deepEqual(await ask("/openapi.json", "wrong"), document);
});

test("the OpenAPI document has each call of the contract", async () => {
  const { paths } = await ask("/openapi.json");
  const operations = Object.entries(paths).flatMap(([template, item]) =>
    Object.keys(item)
      .filter((name) => ["get", "post", "patch", "delete", "put"].includes(name))
      .map((method) => `${method.toUpperCase()} ${template.replaceAll(/\{\w+\}/g, "{}")}`),
  );
  const workspace = "/v1/workspaces/{}";
  const webhook = `${workspace}/webhooks/{}`;
  const calls = {
    "/v1/workspaces": ["GET", "POST"],
    [workspace]: ["GET", "PATCH", "DELETE"],
    [`${workspace}/keys`]: ["GET", "POST"],
    [`${workspace}/keys/{}`]: ["DELETE"],
    [`${workspace}/dashboard-links`]: ["GET", "POST", "DELETE"],
    [`${workspace}/dashboard-links/{}`]: ["DELETE"],
    [`${workspace}/events`]: ["POST"],
    [`${workspace}/events/{}`]: ["GET"],
    [`${workspace}/webhooks`]: ["GET", "POST"],
    [webhook]: ["GET", "PATCH", "DELETE"],
    [`${webhook}/secret`]: ["GET"],
    [`${webhook}/secret/rotate`]: ["POST"],
    [`${webhook}/secret/previous`]: ["DELETE"],
    [`${webhook}/test`]: ["POST"],
    [`${webhook}/stats`]: ["GET"],
    [`${webhook}/deliveries`]: ["GET"],
    [`${webhook}/deliveries/{}`]: ["GET"],
    [`${webhook}/deliveries/{}/resend`]: ["POST"],
    [`${webhook}/deliveries/{}/send-now`]: ["POST"],
    [`${webhook}/deliveries/{}/cancel`]: ["POST"],
    [`${webhook}/resend`]: ["POST"],
    [`${webhook}/resend/preview`]: ["POST"],
    [`${webhook}/resend/{}`]: ["GET", "DELETE"],
    "/v1/event-types": ["GET"],
    "/v1/event-types/{}": ["GET", "PUT", "DELETE"],
    "/healthz": ["GET"],
    "/metrics": ["GET"],
    "/openapi.json": ["GET"],
  };
  const wanted = Object.entries(calls).flatMap(([template, methods]) =>
    methods.map((method) => `${method} ${template}`),
  );
  assert.deepEqual(operations.sort(), wanted.sort());
});
