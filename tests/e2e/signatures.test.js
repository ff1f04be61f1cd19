// Endpoints can verify what they receive with independent code: node's crypto and the `standardwebhooks` package, on
// the exact bytes that arrived.
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { after, before, describe, test } from "node:test";
import { Webhook } from "standardwebhooks";
import { eventually } from "../support/eventually.js";
import { answerWith } from "../support/receiver.js";
import { startRelay } from "../support/relay.js";
import { acceptForOne, alert, awaitSettled, setUpWebhook } from "../support/steps.js";

const STANDARD_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const PLAIN_SECRET = "your-signing-secret";

let relay;
before(async () => (relay = await startRelay()));
after(() => relay?.stop());

const hexOf = (secret, body) => createHmac("sha256", secret).update(body).digest("hex");

/** The package's verifier: a secret of the form whsec_ is decoded, the bytes of any other are the key. */
const readerOf = (secret) =>
  secret.startsWith("whsec_") ? new Webhook(secret) : new Webhook(secret, { format: "raw" });

function assertSigned(request, secret) {
  assert.equal(request.headers["x-secureagentics-signature"], hexOf(secret, request.body));
  readerOf(secret).verify(request.body, request.headers, { jsonParse: false });
}

async function receiveOne(scene, event) {
  const { id } = await acceptForOne(relay, scene.workspace, event);
  return eventually(() => scene.receiver.attemptsOf(id)[0]);
}

describe("both signatures verify", () => {
  const SECRETS = {
    "a secret of the Standard Webhooks form": STANDARD_SECRET,
    "a plain secret": PLAIN_SECRET,
    "a secret of all visible characters": Array.from({ length: 94 }, (_, index) =>
      String.fromCharCode(0x21 + index),
    ).join(""),
    "a plain secret that is base64 by chance": "c2VjcmV0c2VjcmV0c2VjcmV0",
  };
  for (const [what, secret] of Object.entries(SECRETS)) {
    test(`with ${what}`, async (t) => {
      const scene = await setUpWebhook(t, relay, undefined, { secret });
      assert.equal(scene.webhook.secret, secret);
      assertSigned(scene.receiver.pings()[0], secret);
      assertSigned(await receiveOne(scene), secret);
    });
  }

  test("with a secret that the relay generated", async (t) => {
    const scene = await setUpWebhook(t, relay);
    const { secret } = scene.webhook;
    assert.match(secret, /^whsec_/);
    assert.equal(Buffer.from(secret.slice("whsec_".length), "base64").length, 32);
    assertSigned(scene.receiver.pings()[0], secret);
    assertSigned(await receiveOne(scene), secret);
  });

  test("over data that a JSON library would write differently", async (t) => {
    const scene = await setUpWebhook(t, relay, undefined, { secret: PLAIN_SECRET });
    const text = '{"type":"alert.triggered","data":{ "n":1.0, "n":9007199254740993,\n"s":"\\u00e9\\/é😀" }}';
    assertSigned(await receiveOne(scene, text), PLAIN_SECRET);
  });

  test("over an event of the largest size", async (t) => {
    const scene = await setUpWebhook(t, relay, undefined, { secret: STANDARD_SECRET });
    assertSigned(await receiveOne(scene, alert({ data: { text: "é".repeat(130_000) } })), STANDARD_SECRET);
  });

  test("and no other secret does", async (t) => {
    const scene = await setUpWebhook(t, relay, undefined, { secret: STANDARD_SECRET });
    const request = await receiveOne(scene);
    assert.throws(() => assertSigned(request, PLAIN_SECRET));
    const other = new Webhook(`whsec_${Buffer.alloc(24, 7).toString("base64")}`);
    assert.throws(() => other.verify(request.body, request.headers), /No matching signature/);
  });
});

test("every attempt carries the same bytes, its own number and time, and a valid signature", async (t) => {
  const scene = await setUpWebhook(t, relay, answerWith(500), { secret: STANDARD_SECRET });
  const entry = await acceptForOne(relay, scene.workspace, alert({ event_id: "order-1" }));
  await awaitSettled(relay, scene.workspace, entry);
  const attempts = scene.receiver.attemptsOf(entry.id);
  assert.equal(attempts.length, 6);

  for (const [index, { body, text, headers, arrivedOn }] of attempts.entries()) {
    assert.ok(body.equals(attempts[0].body), `the body of attempt ${index + 1} differs`);
    assert.equal(headers["x-secureagentics-attempt"], String(index + 1));
    assert.equal(headers["webhook-id"], entry.id);
    assert.equal(JSON.parse(text).id, entry.id);
    const sent = Number(headers["webhook-timestamp"]);
    assert.ok(Math.abs(arrivedOn / 1_000 - sent) <= 1.5, `webhook-timestamp ${sent}, arrived at ${arrivedOn / 1_000}`);
    assertSigned(attempts[index], STANDARD_SECRET);
  }
  // The schedule of this test spans three seconds, so a reused timestamp would show.
  const timestamps = attempts.map(({ headers }) => Number(headers["webhook-timestamp"]));
  assert.ok(timestamps.at(-1) - timestamps[0] >= 2, `${timestamps}`);
  assert.equal(new Set(attempts.map(({ headers }) => headers["x-secureagentics-signature"])).size, 1);
});

describe("a rotated secret", () => {
  const rotate = async ({ workspace, webhook }, body) => {
    const answer = await relay.fetch(`/v1/workspaces/${workspace}/webhooks/${webhook.id}/secret/rotate`, {
      method: "POST",
      body,
    });
    assert.equal(answer.status, 200, answer.text);
    return answer.body;
  };

  test("signs beside the old one until the overlap ends, and the hex signature is the new one's", async (t) => {
    const scene = await setUpWebhook(t, relay, undefined, { secret: STANDARD_SECRET });
    const { secret, previous_expires_at: until } = await rotate(scene, { overlap_seconds: 3_600 });
    assert.notEqual(secret, STANDARD_SECRET);
    assert.ok(Math.abs(Date.parse(until) - Date.now() - 3_600_000) < 60_000, until);
    const request = await receiveOne(scene);
    assertSigned(request, secret);
    new Webhook(STANDARD_SECRET).verify(request.body, request.headers);
    assert.equal(request.headers["webhook-signature"].split(" ").length, 2);
  });

  test("without overlap is the only one that signs", async (t) => {
    const scene = await setUpWebhook(t, relay, undefined, { secret: STANDARD_SECRET });
    await rotate(scene, { secret: PLAIN_SECRET, overlap_seconds: 0 });
    const request = await receiveOne(scene);
    assertSigned(request, PLAIN_SECRET);
    assert.throws(() => new Webhook(STANDARD_SECRET).verify(request.body, request.headers), /No matching signature/);
  });
});
