// What the relay accepts as an event, and how it refuses everything else.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { createWorkspace, postEvent, startRelay } from "../support/relay.js";
import {
  MALFORMED_OR_REFUSED,
  acceptArray,
  acceptEvent,
  alert,
  assertRefused,
  listDeliveries,
  setUpWebhook,
} from "../support/steps.js";
import { eventually } from "../support/eventually.js";

/** @import { Refusals } from "../support/types.d.ts" */

const KNOWN_TYPES = ["alert.triggered", "policy.violated", "agent.registered", "agent.error"];
const LARGEST_EVENT = 256 * 1024;
const LARGEST_REQUEST = 4 * 1024 * 1024;

let relay;
before(async () => (relay = await startRelay()));
after(() => relay?.stop());

describe("one event", () => {
  test("an event without a matching webhook is accepted with an empty list", async () => {
    const answer = await postEvent(relay, await createWorkspace(relay), alert({ event_id: "order-1.a:B_c" }));
    assert.equal(answer.status, 202, answer.text);
    assert.deepEqual(answer.body, { event_id: "order-1.a:B_c", deliveries: [] });
  });

  test("the answer names each delivery with its webhook and status", async (t) => {
    const { workspace, webhook } = await setUpWebhook(t, relay);
    const answer = await postEvent(relay, workspace, alert());
    assert.equal(answer.status, 202, answer.text);
    assert.match(answer.body.event_id, /^[A-Za-z0-9._:-]{1,128}$/, "a generated event_id");
    const [delivery, ...others] = answer.body.deliveries;
    assert.deepEqual(others, []);
    assert.match(delivery.id, /^evt_[A-Za-z0-9_-]+$/);
    assert.equal(delivery.webhook_id, webhook.id);
    assert.equal(delivery.status, "pending");
    assert.equal(delivery.duplicate, false);
  });

  test("only webhooks that selected the type get a delivery", async (t) => {
    const { workspace, webhook } = await setUpWebhook(t, relay, undefined, { events: ["agent.error"] });
    assert.deepEqual(await acceptEvent(relay, workspace, alert()), []);
    const [delivery] = await acceptEvent(relay, workspace, { type: "agent.error", data: {} });
    assert.equal(delivery.webhook_id, webhook.id);
  });

  test("each known type is accepted", async () => {
    const workspace = await createWorkspace(relay);
    for (const type of KNOWN_TYPES) await acceptEvent(relay, workspace, { type, data: {} });
  });

  test("an unknown type is refused and the known ones are named", async () => {
    const workspace = await createWorkspace(relay);
    for (const type of ["alert.trigered", "", "Alert.Triggered", "ping"]) {
      const answer = await postEvent(relay, workspace, alert({ type }));
      const { message } = assertRefused(answer, 422, { code: "unknown_event_type", field: "type" });
      for (const known of KNOWN_TYPES) assert.ok(message.includes(known), `${message} does not name ${known}`);
    }
  });

  const AT_THE_LIMITS = {
    "an event_id of one character": { event_id: "a" },
    "an event_id of 128 characters": { event_id: `${"aB9._:-".repeat(18)}zz` },
    "a timestamp in UTC": { timestamp: "2026-01-15T10:30:00Z" },
    "a timestamp with an offset and a fraction": { timestamp: "2026-01-15T10:30:00.123456+05:30" },
    "empty data": { data: {} },
  };
  for (const [what, members] of Object.entries(AT_THE_LIMITS)) {
    test(`${what} is accepted`, async () => {
      await acceptEvent(relay, await createWorkspace(relay), alert(members));
    });
  }

  /** @type {Record<string, [members: object, field: string]>} */
  const WRONG_MEMBERS = {
    "no type": [{ type: undefined }, "type"],
    "a number as type": [{ type: 5 }, "type"],
    "no data": [{ data: undefined }, "data"],
    "an array as data": [{ data: [] }, "data"],
    "a string as data": [{ data: "{}" }, "data"],
    "null as data": [{ data: null }, "data"],
    "a number as data": [{ data: 1 }, "data"],
    "an empty event_id": [{ event_id: "" }, "event_id"],
    "an event_id of 129 characters": [{ event_id: "a".repeat(129) }, "event_id"],
    "an event_id with a space": [{ event_id: "order 1" }, "event_id"],
    "an event_id with a slash": [{ event_id: "order/1" }, "event_id"],
    "an event_id with a letter outside ASCII": [{ event_id: "é" }, "event_id"],
    "a number as event_id": [{ event_id: 1 }, "event_id"],
    "a timestamp in words": [{ timestamp: "yesterday" }, "timestamp"],
    "a timestamp without time": [{ timestamp: "2026-01-15" }, "timestamp"],
    "a timestamp without offset": [{ timestamp: "2026-01-15T10:30:00" }, "timestamp"],
    "a timestamp in month 13": [{ timestamp: "2026-13-15T10:30:00Z" }, "timestamp"],
    "a number as timestamp": [{ timestamp: 1768473000 }, "timestamp"],
  };
  for (const [what, [members, field]] of Object.entries(WRONG_MEMBERS)) {
    test(`${what} is refused with the field`, async () => {
      const answer = await postEvent(relay, await createWorkspace(relay), alert(members));
      assertRefused(answer, MALFORMED_OR_REFUSED, { field });
    });
  }

  test("an unknown member is refused with its name", async () => {
    const answer = await postEvent(relay, await createWorkspace(relay), alert({ timestmap: "2026-01-15T10:30:00Z" }));
    assertRefused(answer, 400, { code: "unknown_field", field: "timestmap" });
  });
});

describe("the body", () => {
  const event = (data) => `{"type":"alert.triggered","data":${data}}`;
  const MALFORMED = {
    "an empty body": "",
    "half an event": '{"type":"alert.triggered","da',
    "text after the event": `${event("{}")} {}`,
    "a trailing comma in data": event('{"a":1,}'),
    "a number with a leading zero in data": event('{"a":01}'),
    "NaN in data": event('{"a":NaN}'),
    "single quotes in data": event("{'a':1}"),
    "a raw line break in a string in data": event('{"a":"\n"}'),
    "an unknown escape in data": event('{"a":"\\x41"}'),
    "an unpaired bracket in data": event('{"a":[1}'),
    "bytes that are not UTF-8": Buffer.concat([
      Buffer.from('{"type":"alert.triggered","data":{"a":"'),
      Buffer.from([0xff]),
      Buffer.from('"}}'),
    ]),
  };
  for (const [what, body] of Object.entries(MALFORMED)) {
    test(`${what} is malformed`, async () => {
      assertRefused(await postEvent(relay, await createWorkspace(relay), body), 400);
    });
  }

  for (const body of ["null", "5", '"alert.triggered"', "true"]) {
    test(`${body} is neither an event nor an array`, async () => {
      assertRefused(await postEvent(relay, await createWorkspace(relay), body), MALFORMED_OR_REFUSED);
    });
  }

  test("data nested too deep to parse by recursion does not bring the relay down", async () => {
    const workspace = await createWorkspace(relay);
    const deep = event(`{"a":${"[".repeat(100_000)}${"]".repeat(100_000)}}`);
    const answer = await postEvent(relay, workspace, deep);
    if (answer.status !== 202) assertRefused(answer, 400);
    await acceptEvent(relay, workspace);
  });

  test("json with a charset is accepted and any other content type refused", async () => {
    const workspace = await createWorkspace(relay);
    const post = (type) =>
      relay.fetch(`/v1/workspaces/${workspace}/events`, {
        method: "POST",
        headers: { "content-type": type },
        body: JSON.stringify(alert()),
      });
    assert.equal((await post("application/json; charset=utf-8")).status, 202);
    for (const type of ["text/plain", "application/x-www-form-urlencoded", "application/jsonp"]) {
      assertRefused(await post(type), 415);
    }
  });
});

describe("size", () => {
  /** An event whose JSON text has exactly `bytes` bytes, with some characters of several bytes. */
  const eventOf = (bytes) => {
    const head = '{"type":"alert.triggered","data":{"text":"é';
    return `${head}${"a".repeat(bytes - Buffer.byteLength(head) - 3)}"}}`;
  };

  test("an event of 256 KiB is accepted and delivered whole", async (t) => {
    const { workspace, receiver } = await setUpWebhook(t, relay);
    const text = eventOf(LARGEST_EVENT);
    assert.equal(Buffer.byteLength(text), LARGEST_EVENT);
    const [{ id }] = await acceptEvent(relay, workspace, text);
    const [request] = await eventually(() => receiver.attemptsOf(id).length > 0 && receiver.attemptsOf(id));
    assert.deepEqual(JSON.parse(request.text).data, JSON.parse(text).data);
  });

  test("one byte more is refused", async () => {
    const answer = await postEvent(relay, await createWorkspace(relay), eventOf(LARGEST_EVENT + 1));
    assertRefused(answer, 413, { code: "payload_too_large" });
  });

  test("one byte more is refused within an array too", async () => {
    const workspace = await createWorkspace(relay);
    assert.equal((await postEvent(relay, workspace, `[${eventOf(200)},${eventOf(LARGEST_EVENT)}]`)).status, 202);
    const answer = await postEvent(relay, workspace, `[${eventOf(200)},${eventOf(LARGEST_EVENT + 1)}]`);
    assertRefused(answer, 413, { code: "payload_too_large" });
  });

  test("a request of 4 MiB is accepted and one byte more refused", async () => {
    const workspace = await createWorkspace(relay);
    // 16 events, 15 commas and 2 brackets.
    const requestOf = (last) => `[${[...Array(15).fill(eventOf(LARGEST_EVENT - 1)), eventOf(last)].join(",")}]`;
    const largest = requestOf(LARGEST_EVENT - 2);
    assert.equal(Buffer.byteLength(largest), LARGEST_REQUEST);
    const answer = await postEvent(relay, workspace, largest);
    assert.equal(answer.status, 202, answer.text);
    assertRefused(await postEvent(relay, workspace, requestOf(LARGEST_EVENT - 1)), 413, { code: "payload_too_large" });
  });
});

describe("arrays", () => {
  test("an array of 100 is answered in its order and each event arrives once", async (t) => {
    const { workspace, receiver } = await setUpWebhook(t, relay);
    const events = Array.from({ length: 100 }, (_, number) => alert({ event_id: `n-${number}`, data: { number } }));
    const answers = await acceptArray(relay, workspace, events);
    assert.deepEqual(
      answers.map(({ event_id }) => event_id),
      events.map(({ event_id }) => event_id),
    );
    const ids = answers.map(({ deliveries }) => deliveries[0].id);
    assert.equal(new Set(ids).size, 100);
    await eventually(() => receiver.receivedIds().size === 100, { timeout: 20_000 });
    const numbers = receiver.events().map(({ text }) => JSON.parse(text).data.number);
    assert.deepEqual(
      numbers.sort((a, b) => a - b),
      events.map((_, number) => number),
    );
  });

  test("an array of one is answered as an array", async () => {
    const [answer, ...others] = await acceptArray(relay, await createWorkspace(relay), [alert({ event_id: "only" })]);
    assert.deepEqual(answer, { event_id: "only", deliveries: [] });
    assert.deepEqual(others, []);
  });

  test("an empty array and one of 101 are refused", async () => {
    const workspace = await createWorkspace(relay);
    assertRefused(await postEvent(relay, workspace, "[]"), MALFORMED_OR_REFUSED);
    assertRefused(await postEvent(relay, workspace, Array(101).fill(alert())), [400, 413, 422]);
  });

  /** @type {Refusals} */
  const BAD_FOURTH = {
    "[3].type": [alert({ type: "unknown" }), 422],
    "[3].data": [alert({ data: [] }), MALFORMED_OR_REFUSED],
    "[3].event_id": [alert({ event_id: "a b" }), MALFORMED_OR_REFUSED],
    "[3].timestamp": [alert({ timestamp: "soon" }), MALFORMED_OR_REFUSED],
    "[3].typ": [alert({ typ: "alert.triggered" }), 400],
    "[3]": [5, MALFORMED_OR_REFUSED],
  };
  for (const [field, [bad, status]] of Object.entries(BAD_FOURTH)) {
    test(`one bad event refuses the whole array, with ${field}, and nothing is stored`, async (t) => {
      const { workspace, webhook, receiver } = await setUpWebhook(t, relay);
      const answer = await postEvent(relay, workspace, [alert(), alert(), alert(), bad, alert()]);
      assertRefused(answer, status, { field });
      assert.deepEqual(await listDeliveries(relay, workspace, webhook.id, { kind: "event" }), []);
      assert.equal(receiver.events().length, 0);
    });
  }
});

describe("authorization and routing", () => {
  const post = (workspace, init) =>
    relay.fetch(`/v1/workspaces/${workspace}/events`, { method: "POST", body: alert(), ...init });

  test("a missing or wrong token is unauthorized", async () => {
    const workspace = await createWorkspace(relay);
    const token = relay.operatorToken;
    for (const wrong of [
      null,
      "wrong",
      `${token}x`,
      token.slice(0, -1),
      token.toUpperCase(),
      `sk_${workspace.slice(3)}_0000`,
    ]) {
      assertRefused(await post(workspace, { token: wrong }), 401, { code: "unauthorized" });
    }
    const headers = { authorization: `Basic ${Buffer.from(`operator:${token}`).toString("base64")}` };
    assertRefused(await post(workspace, { token: null, headers }), 401, { code: "unauthorized" });
  });

  test("a refused token stores nothing", async (t) => {
    const { workspace, webhook } = await setUpWebhook(t, relay);
    assertRefused(await post(workspace, { token: "wrong" }), 401);
    assert.deepEqual(await listDeliveries(relay, workspace, webhook.id, { kind: "event" }), []);
  });

  test("an unknown workspace is not found", async () => {
    assertRefused(await post("ws_doesnotexist"), 404, { code: "not_found" });
    assertRefused(await post("nonsense"), 404, { code: "not_found" });
  });

  test("an unknown path is not found", async () => {
    assertRefused(await relay.fetch("/v1/nothing"), 404, { code: "not_found" });
    assertRefused(await relay.fetch(`/v1/workspaces/${await createWorkspace(relay)}/nothing`), 404, {
      code: "not_found",
    });
  });

  test("another method is answered with the allowed methods", async () => {
    const workspace = await createWorkspace(relay);
    const allowed = (answer) => answer.headers.get("allow").split(/\s*,\s*/);
    for (const method of ["GET", "PUT", "DELETE"]) {
      const answer = await relay.fetch(`/v1/workspaces/${workspace}/events`, { method });
      assertRefused(answer, 405);
      assert.deepEqual(allowed(answer), ["POST"]);
    }
    const answer = await relay.fetch(`/v1/workspaces/${workspace}/webhooks`, { method: "DELETE" });
    assertRefused(answer, 405);
    assert.ok(allowed(answer).includes("GET") && allowed(answer).includes("POST"), answer.headers.get("allow"));
  });
});
