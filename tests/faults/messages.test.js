// What Workers and objects say to each other is a contract between releases: a command of the release before, word for
// word, gets what that release replied. New members of a reply are allowed.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { startRelay } from "../support/relay.js";

const WORKSPACE = "ws_messages";
const WEBHOOK = "wh_019bc0e5c04070008000000000000001";
const OTHER = "wh_019bc0e5c04070008000000000000002";
const KEY = "key_019bc0e5c04070008000000000000001";
const JOB = "rs_019bc0e5c04070008000000000000001";
const HASH = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const SESSION = "8254c329a92850f6d539dd376f4816ee2764517da5e0235514af433164480d7a";
const SCOPES = '["events:write","webhooks:read","webhooks:write"]';
const SECRET = '{"key_id":null,"bytes":"c2VjcmV0IQ=="}';
const HEADERS = '[{"name":"X-Team","value":{"key_id":null,"bytes":"YQ=="}}]';
// Not a time from the past: deliveries older than the retention are purged.
const DELIVERY = (digit) => `evt_${Date.now().toString(16).padStart(12, "0")}7000800000000000000${digit}`;
const [FIRST, SECOND, PING] = [1, 2, 3].map(DELIVERY);
const accepted = (id, event) =>
  `{"id":"${id}","event_id":"${event}","event_id_given":true,"event_type":"agent.error","payload":{"id":"${id}"}}`;
const settings = (revision, enabled = true) =>
  `{"revision":${revision},"status_revision":${revision},"status_changed_at":0,"enabled":${enabled},"url":"http://127.0.0.1:9/","events":["agent.error"],"headers":${HEADERS},"secret":${SECRET}}`;
const report = (id, attempt, outcome, status) =>
  `{"id":"${id}","lease":{"attempt":1,"lease":1},"revision":1,"attempt":{"attempt":${attempt},"started_at":1000,"duration_ms":48,"outcome":"${outcome}","response_status":${status},"response_headers":{"server":"x"},"response_body":"no"},"retry_after_ms":null,"request":null}`;

/** Commands in the order in which they are sent. */
const TO_A_WEBHOOK = {
  "accept before it has settings": `{"accept":{"events":[${accepted(FIRST, "a")}],"leases":1}}`,
  apply: `{"apply":${settings(1)}}`,
  "accept with leases": `{"accept":{"events":[${accepted(FIRST, "a")},${accepted(SECOND, "b")}],"leases":2}}`,
  "accept again": `{"accept":{"events":[${accepted(FIRST, "a")}],"leases":1}}`,
  recall: `{"recall":{"event_ids":["a","c"]}}`,
  probe: `{"probe":{"kind":"ping","delivery":${accepted(PING, "p")}}}`,
  "report a success and a failure": `{"report":{"reports":[${report(FIRST, 1, "succeeded", 200)},${report(SECOND, 1, "http_error", 500)}],"leases":0}}`,
  read: `{"read":{"id":"${FIRST}"}}`,
  trace: `{"trace":{"event_id":"b"}}`,
  list: `{"list":{"status":"delivered","event_type":"agent.error","kind":"event","since":null,"until":null,"before":null,"limit":10}}`,
  stats: `{"stats":{"hours":1}}`,
  gauges: `"gauges"`,
  cancel: `{"cancel":{"id":"${SECOND}"}}`,
  "cancel again": `{"cancel":{"id":"${SECOND}"}}`,
  "resend what was delivered": `{"resend":{"id":"${FIRST}"}}`,
  "resend a ping": `{"resend":{"id":"${PING}"}}`,
  "start a job that finds nothing": `{"start_job":{"id":"${JOB}","selection":{"status":"held","since":null,"until":null}}}`,
  "read a job": `{"read_job":{"id":"${JOB}"}}`,
  "stop a job": `{"stop_job":{"id":"${JOB}"}}`,
  disable: `{"apply":${settings(2, false)}}`,
  "accept while disabled": `{"accept":{"events":[${accepted(DELIVERY(4), "d")}],"leases":1}}`,
  delete: `{"delete":{"revision":9}}`,
  "read after that": `{"read":{"id":"${FIRST}"}}`,
};

const TO_A_WORKSPACE = {
  "read before it is created": `"read"`,
  create: `{"create":{"id":"${WORKSPACE}","name":"Acme"}}`,
  "create again": `{"create":{"id":"${WORKSPACE}","name":"Acme"}}`,
  "create under another name": `{"create":{"id":"${WORKSPACE}","name":"Other"}}`,
  rename: `{"rename":{"name":"Acme Ltd"}}`,
  "create a key": `{"create_key":{"key":{"id":"${KEY}","name":"ci","scopes":${SCOPES},"created_at":5,"hash":"${HASH}"}}}`,
  authenticate: `{"authenticate":{"hash":"${HASH}"}}`,
  "list keys": `"list_keys"`,
  "create a webhook": `{"create_webhook":{"id":"${OTHER}","webhook":{"url":"http://127.0.0.1:9/","events":["agent.error"],"description":"d","headers":${HEADERS},"secret":${SECRET}}}}`,
  "change a webhook": `{"change_webhook":{"id":"${OTHER}","change":{"url":null,"events":["agent.registered"],"description":null,"headers":null,"enabled":false}}}`,
  "rotate a secret": `{"rotate_secret":{"id":"${OTHER}","secret":{"key_id":null,"bytes":"YW5vdGhlciE="},"overlap_seconds":60}}`,
  "read a webhook": `{"read_webhook":{"id":"${OTHER}"}}`,
  "list webhooks": `"list_webhooks"`,
  "report a standing": `{"report_standing":{"id":"${OTHER}","standing":{"failing_since":7000}}}`,
  history: `"history"`,
  snapshot: `"snapshot"`,
  "create a link": `{"create_link":{"hash":"${HASH}","link":{"scopes":["webhooks:read"],"expires_at":99999999999999}}}`,
  "sign in with the link": `{"sign_in":{"with":{"link":"${HASH}"},"session":"${SESSION}"}}`,
  "read as a session": `{"as_session":{"session":"${SESSION}","needs":"webhooks:read","command":"list_webhooks"}}`,
  "change as a session that may not": `{"as_session":{"session":"${SESSION}","needs":"webhooks:write","command":{"delete_webhook":{"id":"${OTHER}"}}}}`,
  "sign out": `{"sign_out":{"session":"${SESSION}"}}`,
  "delete a webhook": `{"delete_webhook":{"id":"${OTHER}"}}`,
  "revoke a key": `{"revoke_key":{"id":"${KEY}"}}`,
  delete: `"delete"`,
  "read after that": `"read"`,
};

/** Asserts that a reply has everything that another one has; times are of the two relays' own. */
function assertHasAll(actual, expected, path) {
  if (Array.isArray(expected)) {
    assert.equal(actual?.length, expected.length, path);
    for (const [index, value] of expected.entries()) assertHasAll(actual[index], value, `${path}[${index}]`);
  } else if (expected !== null && typeof expected === "object") {
    for (const [name, value] of Object.entries(expected)) assertHasAll(actual?.[name], value, `${path}.${name}`);
  } else if (typeof expected === "number" && expected > 100_000) {
    // A time in milliseconds, or an hour.
    assert.equal(typeof actual, "number", path);
  } else {
    assert.deepEqual(actual, expected, path);
  }
}

let current;
let previous;
before(async () => {
  // No alarm makes an attempt meanwhile.
  const vars = { RETRY_SCHEDULE: "1h" };
  current = await startRelay({ vars });
  previous = await startRelay({ vars, versions: { worker: "previous", objects: "previous" } });
});
after(() => Promise.all([current?.stop(), previous?.stop()]));

async function stubOf(relay, namespace, name) {
  const objects = await relay.miniflare().getDurableObjectNamespace(namespace, "webhook-relay");
  return objects.getByName(name);
}

for (const [what, namespace, name, commands] of /** @type {const} */ ([
  ["a webhook's object", "WEBHOOKS", `${WORKSPACE}/${WEBHOOK}`, TO_A_WEBHOOK],
  ["a workspace's object", "WORKSPACES", WORKSPACE, TO_A_WORKSPACE],
])) {
  describe(`${what} replies as the release before to`, () => {
    for (const [title, command] of Object.entries(commands)) {
      test(title, async () => {
        const replies = [];
        for (const relay of [current, previous]) {
          const stub = await stubOf(relay, namespace, name);
          replies.push(JSON.parse(await stub.obey(command)));
        }
        assertHasAll(replies[0], replies[1], "reply");
      });
    }
  });
}

test("a command of a later release fails alone in a call that others share", async () => {
  const webhook = await stubOf(current, "WEBHOOKS", `${WORKSPACE}/${OTHER}`);
  const replies = await webhook.obeyAll([`{"apply":${settings(1)}}`, `{"not_known_yet":{}}`, `"gauges"`]);
  assert.deepEqual(
    replies.map((reply) => typeof reply),
    ["string", "object", "string"],
  );
  assert.match(replies[1].message, /unknown variant `not_known_yet`/);
});
