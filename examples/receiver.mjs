// An endpoint in Node (18 or later) that uses only Node's own modules.
//
//   WEBHOOK_SECRET=whsec_... PORT=8790 node receiver.mjs
import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";

const TOLERANCE_S = 300;
const secret = process.env.WEBHOOK_SECRET;

// In a database, together with what the event changes, so that both are kept or neither.
const seen = new Set();

class Refused extends Error {}

// timingSafeEqual throws if the lengths differ.
const equal = (a, b) =>
  Buffer.byteLength(a) === Buffer.byteLength(b) && timingSafeEqual(Buffer.from(a), Buffer.from(b));

/** The header X-Secureagentics-Signature: proves who sent the body, not when. */
function verifyHex(secret, body, signature = "") {
  const expected = createHmac("sha256", secret).update(body).digest("hex");
  if (!equal(expected, signature)) throw new Refused("the signature does not match");
}

/** The headers of Standard Webhooks: prove also that the request was made a short time ago. */
function verifyStandard(secret, body, headers, now) {
  const { "webhook-id": id = "", "webhook-timestamp": timestamp = "", "webhook-signature": given = "" } = headers;
  if (!/^\d+$/.test(timestamp) || Math.abs(now - Number(timestamp)) > TOLERANCE_S) {
    throw new Refused("the timestamp is missing, too old or in the future");
  }
  const key = secret.startsWith("whsec_") ? Buffer.from(secret.slice("whsec_".length), "base64") : secret;
  const expected = `v1,${createHmac("sha256", key).update(`${id}.${timestamp}.`).update(body).digest("base64")}`;
  // While a secret is being rotated there are two signatures: one that matches is enough.
  if (!given.split(" ").some((one) => equal(expected, one))) throw new Refused("the signature does not match");
  return id;
}

function receive(path, headers, body) {
  if (path === "/hex") {
    verifyHex(secret, body, headers["x-secureagentics-signature"]);
    return "verified";
  }
  const id = verifyStandard(secret, body, headers, Date.now() / 1000);
  if (seen.has(id)) return "already seen";
  seen.add(id);
  return "verified";
}

const server = createServer(async (request, response) => {
  // The bytes as they arrived: parsed and written again they would not be what was signed.
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  try {
    const body = Buffer.concat(chunks);
    const told = receive(request.url, request.headers, body);
    console.log(`${told}: ${body}`);
    response.end(told);
  } catch (error) {
    response.writeHead(error instanceof Refused ? 400 : 500).end(error instanceof Refused ? error.message : "");
  }
});
server.listen(Number(process.env.PORT ?? 0), "127.0.0.1", () => {
  const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
  console.log(`listening on port ${port}`);
});
