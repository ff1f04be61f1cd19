// Requests: signed, with the right headers, with the body as posted, and the same in all attempts.
import assert from "node:assert/strict";
import { bodyHex, hasStandard, standard } from "../verify.mjs";
import { load } from "./load.mjs";

const SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
const OTHER_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
// Another machine's clock may differ, and a timestamp has whole seconds.
const CLOCK_TOLERANCE_MS = 5_000;
// Two attempts this far apart have different timestamps in whole seconds.
const APART_MS = 1_100;

const { vectors, secrets } = load("signatures");
const { method, rules } = load("headers");
const { bodies } = load("bodies");

function assertSigned(sender, secret, request) {
  assert.ok(
    hasStandard(secret, request),
    `webhook-signature "${request.headers["webhook-signature"]}" does not verify`,
  );
  if (sender.bodySignatureHeader === undefined) return;
  assert.equal(
    request.headers[sender.bodySignatureHeader],
    bodyHex(secret, request.body),
    `${sender.bodySignatureHeader} does not verify`,
  );
}

async function receiveOne(stage, endpoint, data) {
  const before = endpoint.requests.length;
  await stage.send(endpoint, data);
  return (await endpoint.receive(before + 1, stage.marginMs)).at(-1);
}

const vectorCases = vectors.map(({ name, scheme, secret, id, timestamp, body, signature }) => ({
  id: `reader/vector: ${name}`,
  async run() {
    const made = scheme === "standard" ? standard(secret, id, timestamp, body) : bodyHex(secret, body);
    assert.equal(made, signature);
  },
}));

const signatureCases = secrets.map(({ name, secret }) => ({
  id: `signature/secret of the form ${name}`,
  async run(stage) {
    const endpoint = await stage.register(undefined, secret);
    const request = await receiveOne(stage, endpoint);
    assertSigned(stage.sender, secret, request);
    assert.ok(!hasStandard(OTHER_SECRET === secret ? SECRET : OTHER_SECRET, request), "another secret verifies too");
  },
}));

const headerCases = rules.map(({ header, pattern, absent, why }) => ({
  id: `headers/${header}${absent ? " is absent" : ""}`,
  async run(stage) {
    const request = await receiveOne(stage, await stage.register(undefined, SECRET));
    const value = request.headers[header];
    if (absent) return assert.equal(value, undefined, why);
    assert.ok(value !== undefined, `it is missing: ${why}`);
    assert.match(value, new RegExp(`^(?:${pattern})$`), why);
  },
}));

const bodyCases = bodies.map(({ name, data }) => ({
  id: `body/${name}`,
  async run(stage) {
    const { body } = await receiveOne(stage, await stage.register(undefined, SECRET), data);
    assert.ok(body.includes(Buffer.from(data)), `${data} arrived as ${body}`);
  },
}));

const failing = () => ({ status: 500 });

export const requestCases = [
  ...vectorCases,
  ...signatureCases,
  {
    id: "signature/secret that the sender made",
    async run(stage) {
      const endpoint = await stage.register();
      assert.ok(endpoint.secret, "there is none: payloads are not signed");
      assert.match(endpoint.secret, /^whsec_[A-Za-z0-9+/]+={0,2}$/);
      const length = Buffer.from(endpoint.secret.slice("whsec_".length), "base64").length;
      assert.ok(length >= 24 && length <= 64, `it has ${length} bytes, not 24 to 64`);
      assertSigned(stage.sender, endpoint.secret, await receiveOne(stage, endpoint));
    },
  },
  {
    id: `headers/method is ${method}`,
    async run(stage) {
      assert.equal((await receiveOne(stage, await stage.register())).method, method);
    },
  },
  ...headerCases,
  ...bodyCases,
  {
    id: "body/two events have two ids",
    async run(stage) {
      const endpoint = await stage.register();
      const ids = [await receiveOne(stage, endpoint), await receiveOne(stage, endpoint)].map(
        ({ headers }) => headers["webhook-id"],
      );
      assert.notEqual(ids[0], ids[1]);
    },
  },
  {
    id: "attempts/the id stays the same",
    run: (stage) =>
      overAllAttempts(stage, ({ headers }, first) => assert.equal(headers["webhook-id"], first.headers["webhook-id"])),
  },
  {
    id: "attempts/the body stays the same, byte for byte",
    run: (stage) =>
      overAllAttempts(stage, ({ body }, first) => assert.ok(body.equals(first.body), `${first.body} became ${body}`)),
  },
  {
    id: "attempts/each is signed",
    run: (stage) => overAllAttempts(stage, (request) => assertSigned(stage.sender, SECRET, request)),
  },
  {
    id: "attempts/each has its own timestamp",
    async run(stage) {
      const requests = await overAllAttempts(stage, ({ headers, arrivedOn }) => {
        const sentOn = Number(headers["webhook-timestamp"]) * 1_000;
        assert.ok(Math.abs(sentOn - arrivedOn) <= CLOCK_TOLERANCE_MS, `it says ${sentOn} and came at ${arrivedOn}`);
      });
      for (const [index, request] of requests.slice(1).entries()) {
        if (request.arrivedOn - requests[index].arrivedOn < APART_MS) continue;
        assert.notEqual(request.headers["webhook-timestamp"], requests[index].headers["webhook-timestamp"]);
      }
    },
  },
  {
    id: "rotation/the new secret and the old one both verify during the overlap",
    needs: ["rotateSecret"],
    async run(stage) {
      const endpoint = await stage.register(undefined, SECRET);
      await stage.sender.rotateSecret(endpoint.handle, { secret: OTHER_SECRET, overlapSeconds: 3_600 });
      const request = await receiveOne(stage, endpoint);
      assertSigned(stage.sender, OTHER_SECRET, request);
      assert.ok(hasStandard(SECRET, request), "the old secret does not verify");
    },
  },
  {
    id: "rotation/without overlap the old secret is over at once",
    needs: ["rotateSecret"],
    async run(stage) {
      const endpoint = await stage.register(undefined, SECRET);
      await stage.sender.rotateSecret(endpoint.handle, { secret: OTHER_SECRET, overlapSeconds: 0 });
      const request = await receiveOne(stage, endpoint);
      assertSigned(stage.sender, OTHER_SECRET, request);
      assert.ok(!hasStandard(SECRET, request), "the old secret still verifies");
    },
  },
];

/** Fails every attempt of one event, and checks each against the first. */
async function overAllAttempts(stage, check) {
  const { schedule, timeout } = stage.sender;
  const endpoint = await stage.register(failing, SECRET);
  await stage.send(endpoint);
  const whole = schedule.reduce((sum, delay) => sum + delay, 0) + timeout * (schedule.length + 1);
  const requests = await endpoint.receive(schedule.length + 1, whole + stage.marginMs);
  for (const request of requests) check(request, requests[0]);
  return requests;
}
