// Revealing and rotating secrets, which of two signs the hex header, and that the old one is deleted when the overlap ends.
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { after, before, describe, test } from "node:test";
import { Webhook } from "standardwebhooks";
import { eventually } from "../support/eventually.js";
import { startRelay } from "../support/relay.js";
import { MALFORMED_OR_REFUSED, acceptForOne, answered, assertRefused, pathOf, setUpWebhook } from "../support/steps.js";
import { isStored } from "../support/storage.js";

const DAY_S = 86_400;
const LONGEST_OVERLAP_S = 604_800;
const FIRST = "the-first-secret-of-a-webhook";
const SECOND = "the-second-secret-of-a-webhook";
const THIRD = "the-third-secret-of-a-webhook";

let relay;
before(async () => (relay = await startRelay()));
after(() => relay?.stop());

const setUp = (t) => setUpWebhook(t, relay, undefined, { secret: FIRST });
const reveal = async (scene) => answered(await relay.fetch(pathOf(scene, "/secret")), 200);
const rotate = (scene, body) => relay.fetch(pathOf(scene, "/secret/rotate"), { method: "POST", body });

async function receiveOne(scene) {
  const { id } = await acceptForOne(relay, scene.workspace);
  return eventually(() => scene.receiver.attemptsOf(id)[0]);
}

const verifies = (secret, { body, headers }) => {
  try {
    const reader = secret.startsWith("whsec_") ? new Webhook(secret) : new Webhook(secret, { format: "raw" });
    reader.verify(body, headers, { jsonParse: false });
    return true;
  } catch {
    return false;
  }
};

/** A receiver that knows the hex header alone and holds one secret. */
const verifiesHex = (secret, { body, headers }) =>
  headers["x-secureagentics-signature"] === createHmac("sha256", secret).update(body).digest("hex");

const patch = (scene, body) => relay.fetch(pathOf(scene), { method: "PATCH", body });
const endOverlap = (scene) => relay.fetch(pathOf(scene, "/secret/previous"), { method: "DELETE" });

const whichVerify = (request) => [FIRST, SECOND, THIRD].filter((secret) => verifies(secret, request));

function assertEndsIn(until, seconds) {
  const left = Date.parse(until) - Date.now();
  assert.ok(Math.abs(left - seconds * 1_000) < 30_000, `${until} is ${left} ms from now, not ${seconds} s`);
}

describe("a rotation", () => {
  test("to a given secret answers with it and the end of the overlap, as the next reveal does", async (t) => {
    const scene = await setUp(t);
    const rotated = answered(await rotate(scene, { secret: SECOND, overlap_seconds: 3_600 }), 200);
    assert.equal(rotated.secret, SECOND);
    assertEndsIn(rotated.previous_expires_at, 3_600);
    assert.deepEqual(await reveal(scene), rotated);
  });

  test("without a secret generates one, with an overlap of a day", async (t) => {
    const scene = await setUp(t);
    const { secret, previous_expires_at: until } = answered(await rotate(scene, {}), 200);
    assert.match(secret, /^whsec_[A-Za-z0-9+/]{43}=$/);
    assertEndsIn(until, DAY_S);
    const request = await receiveOne(scene);
    assert.ok(verifies(secret, request) && verifies(FIRST, request));
  });

  test("accepts overlaps from zero to seven days", async (t) => {
    const scene = await setUp(t);
    assertEndsIn(
      answered(await rotate(scene, { overlap_seconds: LONGEST_OVERLAP_S }), 200).previous_expires_at,
      LONGEST_OVERLAP_S,
    );
    assert.equal(answered(await rotate(scene, { overlap_seconds: 0 }), 200).previous_expires_at, null);
    assert.equal((await reveal(scene)).previous_expires_at, null);
  });

  test("applies to the next attempt of what was accepted before it", async (t) => {
    let healthy = false;
    const scene = await setUpWebhook(t, relay, () => ({ status: healthy ? 200 : 500 }), { secret: FIRST });
    const { id } = await acceptForOne(relay, scene.workspace);
    await eventually(() => scene.receiver.attemptsOf(id).length > 0);
    answered(await rotate(scene, { secret: SECOND, overlap_seconds: 0 }), 200);
    const made = scene.receiver.attemptsOf(id).length;
    healthy = true;
    // One attempt may have been in flight with the old secret.
    const later = await eventually(() =>
      scene.receiver
        .attemptsOf(id)
        .slice(made)
        .find((request) => verifies(SECOND, request)),
    );
    assert.deepEqual(whichVerify(later), [SECOND]);
  });

  test("during an overlap keeps the newest two secrets", async (t) => {
    const scene = await setUp(t);
    answered(await rotate(scene, { secret: SECOND, overlap_seconds: 3_600 }), 200);
    assert.deepEqual(whichVerify(await receiveOne(scene)), [FIRST, SECOND]);
    const { previous_expires_at: until } = answered(
      await rotate(scene, { secret: THIRD, overlap_seconds: 7_200 }),
      200,
    );
    assertEndsIn(until, 7_200);
    const request = await receiveOne(scene);
    assert.equal(request.headers["webhook-signature"].split(" ").length, 2);
    assert.deepEqual(whichVerify(request), [SECOND, THIRD]);
  });

  test("without overlap also ends a running overlap", async (t) => {
    const scene = await setUp(t);
    answered(await rotate(scene, { secret: SECOND, overlap_seconds: 3_600 }), 200);
    answered(await rotate(scene, { secret: THIRD, overlap_seconds: 0 }), 200);
    const request = await receiveOne(scene);
    assert.equal(request.headers["webhook-signature"].split(" ").length, 1);
    assert.deepEqual(whichVerify(request), [THIRD]);
  });

  test("survives a restart with its overlap", async (t) => {
    const scene = await setUp(t);
    const rotated = answered(await rotate(scene, { secret: SECOND, overlap_seconds: 3_600 }), 200);
    await relay.restart();
    assert.deepEqual(await reveal(scene), rotated);
    assert.deepEqual(whichVerify(await receiveOne(scene)), [FIRST, SECOND]);
  });
});

describe("the hex header, which has room for one signature,", () => {
  const overlap = { secret: SECOND, overlap_seconds: 3_600 };

  test("is the new secret's during an overlap, unless the rotation says otherwise", async (t) => {
    const scene = await setUp(t);
    const rotated = answered(await rotate(scene, overlap), 200);
    assert.equal(rotated.sign_header_with, "current");
    const request = await receiveOne(scene);
    assert.ok(verifiesHex(SECOND, request));
    assert.deepEqual(whichVerify(request), [FIRST, SECOND]);
  });

  test("stays the old secret's with `previous`: a receiver that knows this header alone keeps working", async (t) => {
    const scene = await setUp(t);
    const rotated = answered(await rotate(scene, { ...overlap, sign_header_with: "previous" }), 200);
    assert.equal(rotated.sign_header_with, "previous");
    assert.deepEqual(await reveal(scene), rotated);
    const request = await receiveOne(scene);
    assert.ok(verifiesHex(FIRST, request));
    assert.deepEqual(whichVerify(request), [FIRST, SECOND], "both sign in the Standard Webhooks header");
    const test = answered(
      await relay.fetch(pathOf(scene, "/test"), { method: "POST", body: { type: "agent.error" } }),
      200,
    );
    assert.equal(test.status, "delivered");
    const tested = await eventually(() => scene.receiver.attemptsOf(test.id)[0]);
    assert.ok(verifiesHex(FIRST, tested), "a test is signed as the events are");
  });

  test("goes over to the other secret with a PATCH, and back", async (t) => {
    const scene = await setUp(t);
    answered(await rotate(scene, overlap), 200);
    for (const [word, secret] of [
      ["previous", FIRST],
      ["current", SECOND],
    ]) {
      answered(await patch(scene, { sign_header_with: word }), 200);
      assert.equal((await reveal(scene)).sign_header_with, word);
      assert.ok(verifiesHex(secret, await receiveOne(scene)), word);
    }
  });

  test("is the new secret's again after the next rotation that does not say otherwise", async (t) => {
    const scene = await setUp(t);
    answered(await rotate(scene, { ...overlap, sign_header_with: "previous" }), 200);
    answered(await rotate(scene, { secret: THIRD, overlap_seconds: 3_600 }), 200);
    assert.ok(verifiesHex(THIRD, await receiveOne(scene)));
  });

  test("survives a restart", async (t) => {
    const scene = await setUp(t);
    const rotated = answered(await rotate(scene, { ...overlap, sign_header_with: "previous" }), 200);
    await relay.restart();
    assert.deepEqual(await reveal(scene), rotated);
    assert.ok(verifiesHex(FIRST, await receiveOne(scene)));
  });

  test("cannot be chosen without an overlap, and then nothing else of the PATCH is changed either", async (t) => {
    const scene = await setUp(t);
    for (const sign_header_with of ["previous", "current"]) {
      const answer = await patch(scene, { description: "not this", sign_header_with });
      assertRefused(answer, 409, { code: "no_overlap", field: "sign_header_with" });
    }
    assertRefused(await patch(scene, { sign_header_with: "both" }), 422, { code: "invalid_sign_header_with" });
    assert.equal(answered(await relay.fetch(pathOf(scene)), 200).description, "");
  });
});

describe("ending the overlap", () => {
  test("stops the old secret at once and deletes it", async (t) => {
    const scene = await setUpWebhook(t, relay, undefined, { secret: "old-secret-ended" });
    const rotation = { secret: "new-secret-ended", overlap_seconds: 3_600, sign_header_with: "previous" };
    answered(await rotate(scene, rotation), 200);
    assert.ok(isStored(relay, "old-secret-ended"), "a secret in use is not found: this search proves nothing");
    const before = answered(await relay.fetch(pathOf(scene)), 200).updated_at;
    assert.equal((await endOverlap(scene)).status, 204);
    assert.deepEqual(await reveal(scene), {
      secret: "new-secret-ended",
      previous_expires_at: null,
      sign_header_with: "current",
    });
    const request = await receiveOne(scene);
    assert.equal(request.headers["webhook-signature"].split(" ").length, 1);
    assert.ok(verifies("new-secret-ended", request) && verifiesHex("new-secret-ended", request));
    await eventually(() => !isStored(relay, "old-secret-ended"), { timeout: 30_000 });
    assert.ok(answered(await relay.fetch(pathOf(scene)), 200).updated_at > before, "it is a change of the webhook");
  });

  test("is answered with 204 where there is none, and changes nothing", async (t) => {
    const scene = await setUp(t);
    const before = answered(await relay.fetch(pathOf(scene)), 200);
    assert.equal((await endOverlap(scene)).status, 204);
    assert.equal(answered(await relay.fetch(pathOf(scene)), 200).updated_at, before.updated_at);
    assert.equal((await reveal(scene)).secret, FIRST);
  });

  test("is refused if there is no such webhook", async (t) => {
    const { workspace } = await setUp(t);
    const unknown = { workspace, webhook: { id: "wh_00000000000070008000000000000000" } };
    assertRefused(await endOverlap(unknown), 404, { code: "not_found" });
  });
});

describe("when the overlap is over", () => {
  // Each secret is unique, because all webhooks of this file share one storage.
  const setUpMarked = (t, mark) => setUpWebhook(t, relay, undefined, { secret: `old-secret-${mark}` });

  test("the old secret stops signing and is gone from storage, without any request", async (t) => {
    const scene = await setUpMarked(t, "expired");
    assert.ok(isStored(relay, "old-secret-expired"), "a secret in use is not found: this search proves nothing");
    answered(
      await rotate(scene, { secret: "new-secret-expired", overlap_seconds: 2, sign_header_with: "previous" }),
      200,
    );
    assert.ok(isStored(relay, "old-secret-expired"), "the overlap has begun without the old secret");
    await eventually(() => !isStored(relay, "old-secret-expired"), { timeout: 30_000 });
    const request = await receiveOne(scene);
    assert.equal(request.headers["webhook-signature"].split(" ").length, 1);
    assert.ok(verifies("new-secret-expired", request));
    assert.ok(verifiesHex("new-secret-expired", request), "the hex header is the current secret's again");
    assert.deepEqual(await reveal(scene), {
      secret: "new-secret-expired",
      previous_expires_at: null,
      sign_header_with: "current",
    });
  });

  test("the old secret of a rotation without overlap is gone from storage", async (t) => {
    const scene = await setUpMarked(t, "at-once");
    answered(await rotate(scene, { secret: "new-secret-at-once", overlap_seconds: 0 }), 200);
    await eventually(() => !isStored(relay, "old-secret-at-once"), { timeout: 30_000 });
    assert.ok(isStored(relay, "new-secret-at-once"));
  });

  test("the oldest of three is gone from storage while the overlap of the other two runs", async (t) => {
    const scene = await setUpMarked(t, "oldest");
    answered(await rotate(scene, { secret: "new-secret-middle", overlap_seconds: 3_600 }), 200);
    answered(await rotate(scene, { secret: "new-secret-newest", overlap_seconds: 3_600 }), 200);
    await eventually(() => !isStored(relay, "old-secret-oldest"), { timeout: 30_000 });
    assert.ok(isStored(relay, "new-secret-middle") && isStored(relay, "new-secret-newest"));
  });
});

describe("a rotation is refused", () => {
  /** @type {import("../support/types.d.ts").Refusals} */
  const REFUSED = {
    "with a negative overlap": [{ overlap_seconds: -1 }, MALFORMED_OR_REFUSED, "overlap_seconds"],
    "with an overlap of more than seven days": [
      { overlap_seconds: LONGEST_OVERLAP_S + 1 },
      MALFORMED_OR_REFUSED,
      "overlap_seconds",
    ],
    "with half a second": [{ overlap_seconds: 1.5 }, MALFORMED_OR_REFUSED, "overlap_seconds"],
    "with a string as overlap": [{ overlap_seconds: "60" }, MALFORMED_OR_REFUSED, "overlap_seconds"],
    "with an overlap too large for a number": ['{"overlap_seconds": 1e400}', MALFORMED_OR_REFUSED],
    "with a secret of seven characters": [{ secret: "a".repeat(7) }, 422, "secret", "invalid_secret"],
    "with a secret that has a space": [{ secret: "a secret with spaces" }, 422, "secret", "invalid_secret"],
    "with whsec_ and no base64 after it": [{ secret: "whsec_not-base64!" }, 422, "secret", "invalid_secret"],
    "with a number as secret": [{ secret: 12345678 }, MALFORMED_OR_REFUSED, "secret"],
    "with another word for whose signature the hex header carries": [
      { sign_header_with: "both" },
      422,
      "sign_header_with",
      "invalid_sign_header_with",
    ],
    "with the previous secret for the hex header and no overlap": [
      { overlap_seconds: 0, sign_header_with: "previous" },
      409,
      "sign_header_with",
      "no_overlap",
    ],
    "with an unknown member": [{ overlap: 60 }, 400, "overlap", "unknown_field"],
  };
  for (const [what, [body, status, field, code]] of Object.entries(REFUSED)) {
    test(`${what}, and the secret stays`, async (t) => {
      const scene = await setUp(t);
      assertRefused(await rotate(scene, body), status, { code, field });
      assert.deepEqual(await reveal(scene), { secret: FIRST, previous_expires_at: null, sign_header_with: "current" });
    });
  }

  test("if there is no such webhook", async (t) => {
    const { workspace } = await setUp(t);
    const unknown = { workspace, webhook: { id: "wh_00000000000070008000000000000000" } };
    assertRefused(await rotate(unknown, {}), 404, { code: "not_found" });
    assertRefused(await relay.fetch(pathOf(unknown, "/secret")), 404, { code: "not_found" });
  });
});
