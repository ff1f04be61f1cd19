// A rotation that is repeated, because its answer was lost or a 503, never loses the secret that receivers have.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Webhook } from "standardwebhooks";
import { eventually } from "../support/eventually.js";
import { turn } from "../support/hooks.js";
import { startRelay } from "../support/relay.js";
import { acceptForOne, answered, assertRefused, pathOf, setUpWebhook } from "../support/steps.js";

const FIRST = "the-first-secret-of-a-webhook";
const SECOND = "the-second-secret-of-a-webhook";
const THIRD = "the-third-secret-of-a-webhook";
// The statement with which the webhook's object stores its settings.
const APPLY = "meta (key, value) VALUES (?, ?)";

let relay;
before(async () => (relay = await startRelay({ hooks: true })));
after(() => relay?.stop());

const rotate = (scene, body = {}) => relay.fetch(pathOf(scene, "/secret/rotate"), { method: "POST", body });

async function rotateInVain(t, scene, body) {
  t.after(() => turn(relay));
  await turn(relay, { fault: { statement: APPLY, times: 1 } });
  assertRefused(await rotate(scene, body), 503, { code: "not_applied" });
}

/** Those of the secrets with which the signatures of the next delivery verify. */
async function signersAmong(scene, secrets) {
  const { id } = await acceptForOne(relay, scene.workspace);
  const request = await eventually(() => scene.receiver.attemptsOf(id)[0]);
  return secrets.filter((secret) => {
    const reader = secret.startsWith("whsec_") ? new Webhook(secret) : new Webhook(secret, { format: "raw" });
    try {
      reader.verify(request.body, request.headers, { jsonParse: false });
      return true;
    } catch {
      return false;
    }
  });
}

test("a rotation to the current secret changes nothing, and the overlap continues", async (t) => {
  const scene = await setUpWebhook(t, relay, undefined, { secret: FIRST });
  const once = answered(await rotate(scene, { secret: SECOND, overlap_seconds: 3_600 }), 200);
  const again = answered(await rotate(scene, { secret: SECOND, overlap_seconds: 60 }), 200);
  assert.deepEqual(again, once);
  assert.deepEqual(await signersAmong(scene, [FIRST, SECOND]), [FIRST, SECOND]);
});

test("a rotation to a given secret that was not applied is repeated", async (t) => {
  const scene = await setUpWebhook(t, relay, undefined, { secret: FIRST });
  await rotateInVain(t, scene, { secret: SECOND });
  answered(await rotate(scene, { secret: SECOND }), 200);
  assert.deepEqual(await signersAmong(scene, [FIRST, SECOND]), [FIRST, SECOND]);
});

test("a rotation to a generated secret that was not applied is repeated with the same one", async (t) => {
  const scene = await setUpWebhook(t, relay, undefined, { secret: FIRST });
  await rotateInVain(t, scene);
  const { secret } = answered(await rotate(scene), 200);
  assert.deepEqual(await signersAmong(scene, [FIRST, secret]), [FIRST, secret]);
  const { secret: next } = answered(await rotate(scene), 200);
  assert.notEqual(next, secret, "a rotation that was answered is not repeated by the next one");
  assert.deepEqual(await signersAmong(scene, [FIRST, secret, next]), [secret, next]);
});

test("a given secret after a generated one that nobody saw signs beside the one that receivers have", async (t) => {
  const scene = await setUpWebhook(t, relay, undefined, { secret: FIRST });
  await rotateInVain(t, scene);
  answered(await rotate(scene, { secret: THIRD }), 200);
  assert.deepEqual(await signersAmong(scene, [FIRST, THIRD]), [FIRST, THIRD]);
});
