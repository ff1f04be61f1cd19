// What an endpoint receives: the bytes of the payload and the headers beside them.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { eventually } from "../support/eventually.js";
import { postEvent, startRelay } from "../support/relay.js";
import { ISO_MILLISECONDS, acceptArray, acceptForOne, alert, setUpWebhook } from "../support/steps.js";

// The four members in order; the last group is the exact text of `data`.
const PAYLOAD =
  /^\s*\{\s*"id"\s*:\s*"([^"]+)"\s*,\s*"type"\s*:\s*"([^"]+)"\s*,\s*"timestamp"\s*:\s*"([^"]+)"\s*,\s*"data"\s*:\s*(\{[\s\S]*\})\s*\}\s*$/;

let relay;
before(async () => (relay = await startRelay()));
after(() => relay?.stop());

const receive = (receiver, id) => eventually(() => receiver.attemptsOf(id)[0]);

describe("the payload", () => {
  test("is id, type, timestamp and data, in that order and nothing else", async (t) => {
    const { workspace, receiver } = await setUpWebhook(t, relay);
    const text = '{"data":{"a":1},"event_id":"order-77","timestamp":"2024-01-15T10:30:00Z","type":"policy.violated"}';
    const { id } = await acceptForOne(relay, workspace, text);
    const request = await receive(receiver, id);
    const found = request.text.match(PAYLOAD);
    assert.ok(found, request.text);
    assert.deepEqual(found.slice(1), [id, "policy.violated", "2024-01-15T10:30:00Z", '{"a":1}']);
    assert.deepEqual(Object.keys(JSON.parse(request.text)), ["id", "type", "timestamp", "data"]);
  });

  const DATA = {
    "a number beyond 2^53": '{"n":9007199254740993}',
    "a number that no double holds": '{"n":1e400,"m":-1E-400}',
    "a number with all its digits": '{"n":1.0,"m":0.10000000000000000000001,"o":-0,"p":1E+2}',
    "escapes as they were written": '{"s":"\\u00e9\\/\\u0041\\ud83d\\ude00\\n\\u2028"}',
    "characters as they were written": '{"s":"é/😀\u2028ß漢"}',
    "the order of its members": '{"z":1,"a":2,"10":3,"9":4,"m":5}',
    "members of the same name": '{"a":1,"a":2,"a":1}',
    "space between its parts": '{ "a" :\t[ 1 ,\n 2 ],\r\n "b" : { } }',
    "no member at all": "{}",
    "members named as those of the payload": '{"id":"evt_mine","type":"mine","timestamp":"mine","data":{"data":{}}}',
    "what looks like mark-up": '{"s":"<script>&amp;\\"}</script>","t":"}}"}',
    "empty names and null": '{"":null,"__proto__":{"x":[]},"constructor":false}',
  };
  for (const [what, data] of Object.entries(DATA)) {
    test(`data keeps ${what}`, async (t) => {
      const { workspace, receiver } = await setUpWebhook(t, relay);
      const single = await acceptForOne(relay, workspace, `{"type":"alert.triggered","data":${data}}`);
      assert.equal((await receive(receiver, single.id)).text.match(PAYLOAD)?.[4], data);

      const answer = await postEvent(
        relay,
        workspace,
        ` [ {"type":"alert.triggered", "data" : ${data} , "event_id":"b"} ] `,
      );
      assert.equal(answer.status, 202, answer.text);
      const [{ id }] = answer.body.events[0].deliveries;
      assert.equal((await receive(receiver, id)).text.match(PAYLOAD)?.[4], data);
    });
  }

  test("the timestamp is sent as it was posted", async (t) => {
    const { workspace, receiver } = await setUpWebhook(t, relay);
    for (const timestamp of [
      "2024-01-15T10:30:00Z",
      "2026-01-15T10:30:00.123456+05:30",
      "1999-12-31T23:59:59.9-00:30",
    ]) {
      const { id } = await acceptForOne(relay, workspace, alert({ timestamp }));
      assert.equal(JSON.parse((await receive(receiver, id)).text).timestamp, timestamp);
    }
  });

  test("the timestamp is the time of the post if none was posted", async (t) => {
    const { workspace, receiver } = await setUpWebhook(t, relay);
    const before = Date.now();
    const { id } = await acceptForOne(relay, workspace);
    const after = Date.now();
    const { timestamp } = JSON.parse((await receive(receiver, id)).text);
    assert.match(timestamp, ISO_MILLISECONDS);
    assert.ok(Date.parse(timestamp) >= before - 1 && Date.parse(timestamp) <= after + 1, timestamp);
  });

  test("events of one array do not share anything", async (t) => {
    const { workspace, receiver } = await setUpWebhook(t, relay);
    const answers = await acceptArray(relay, workspace, [
      alert({ data: { n: 1 }, timestamp: "2024-01-01T00:00:00Z" }),
      { type: "agent.error", data: { n: 2 }, timestamp: "2024-01-02T00:00:00Z" },
    ]);
    const [first, second] = await Promise.all(answers.map(({ deliveries: [{ id }] }) => receive(receiver, id)));
    const ids = answers.map(({ deliveries: [{ id }] }) => id);
    assert.deepEqual(JSON.parse(first.text), {
      id: ids[0],
      type: "alert.triggered",
      timestamp: "2024-01-01T00:00:00Z",
      data: { n: 1 },
    });
    assert.deepEqual(JSON.parse(second.text), {
      id: ids[1],
      type: "agent.error",
      timestamp: "2024-01-02T00:00:00Z",
      data: { n: 2 },
    });
  });
});

describe("the headers", () => {
  test("name the content type, the sender and the attempt", async (t) => {
    const { workspace, receiver } = await setUpWebhook(t, relay);
    const { body: health } = await relay.fetch("/healthz", { token: null });
    assert.equal(health.status, "ok");
    const { id } = await acceptForOne(relay, workspace, { type: "agent.registered", data: {} });
    const { headers } = await receive(receiver, id);
    assert.equal(headers["content-type"], "application/json");
    assert.equal(headers["user-agent"], `Secureagentics-Webhooks/${health.version}`);
    assert.match(headers["user-agent"], /\/\d+\.\d+\.\d+/);
    assert.equal(headers["x-secureagentics-event"], "agent.registered");
    assert.equal(headers["x-secureagentics-attempt"], "1");
    assert.match(headers["x-secureagentics-signature"], /^[0-9a-f]{64}$/);
    assert.equal(headers["webhook-id"], id);
    assert.match(headers["webhook-timestamp"], /^\d{10}$/);
    assert.match(headers["webhook-signature"], /^v1,[A-Za-z0-9+/]{43}=$/);
  });

  test("include the webhook's own", async (t) => {
    const headers = { "X-Team": "blue", Authorization: "Bearer of-the-customer", "X-Spaces": "a b  c" };
    const { workspace, receiver } = await setUpWebhook(t, relay, undefined, { headers });
    const { id } = await acceptForOne(relay, workspace);
    const received = (await receive(receiver, id)).headers;
    assert.equal(received["x-team"], "blue");
    assert.equal(received.authorization, "Bearer of-the-customer");
    assert.equal(received["x-spaces"], "a b  c");
    assert.equal(receiver.pings()[0].headers["x-team"], "blue");
  });

  test("and the body show neither the producer's event_id nor its token", async (t) => {
    const { workspace, receiver } = await setUpWebhook(t, relay);
    const { id } = await acceptForOne(relay, workspace, alert({ event_id: "a-key-of-the-producer" }));
    const { text, headers, url } = await receive(receiver, id);
    const all = JSON.stringify([text, headers, url]);
    assert.ok(!all.includes("a-key-of-the-producer"), all);
    assert.ok(!all.includes(relay.operatorToken));
  });
});

describe("the ping", () => {
  test("is a payload of type ping that names the webhook", async (t) => {
    const { webhook, receiver } = await setUpWebhook(t, relay);
    const [ping, ...others] = receiver.pings();
    assert.deepEqual(others, []);
    const found = ping.text.match(PAYLOAD);
    assert.ok(found, ping.text);
    assert.equal(found[1], webhook.ping.id);
    assert.equal(found[2], "ping");
    assert.deepEqual(JSON.parse(found[4]), { webhook_id: webhook.id });
    assert.equal(ping.headers["webhook-id"], webhook.ping.id);
    assert.equal(ping.headers["x-secureagentics-attempt"], "1");
  });
});
