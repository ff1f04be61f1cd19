// An endpoint as a Cloudflare Worker; its secret is a binding: `npx wrangler secret put WEBHOOK_SECRET`.
const TOLERANCE_S = 300;

// In KV or a Durable Object: an isolate's memory ends with it.
const seen = new Set();

class Refused extends Error {}

const bytes = (text) => new TextEncoder().encode(text);
const fromHex = (text) => Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16));
const fromBase64 = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));

// crypto.subtle.verify compares in constant time.
async function isSigned(key, signature, signed) {
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const imported = await crypto.subtle.importKey("raw", key, algorithm, false, ["verify"]);
  return crypto.subtle.verify(algorithm, imported, signature, signed);
}

/** The header X-Secureagentics-Signature: proves who sent the body, not when. */
async function verifyHex(secret, body, signature) {
  const wellFormed = /^[0-9a-f]{64}$/.test(signature);
  if (!wellFormed || !(await isSigned(bytes(secret), fromHex(signature), body)))
    throw new Refused("the signature does not match");
}

/** The headers of Standard Webhooks: prove also that the request was made a short time ago. */
async function verifyStandard(secret, body, headers, now) {
  const id = headers.get("webhook-id") ?? "";
  const timestamp = headers.get("webhook-timestamp") ?? "";
  if (!/^\d+$/.test(timestamp) || Math.abs(now - Number(timestamp)) > TOLERANCE_S) {
    throw new Refused("the timestamp is missing, too old or in the future");
  }
  const key = secret.startsWith("whsec_") ? fromBase64(secret.slice("whsec_".length)) : bytes(secret);
  const signed = new Uint8Array([...bytes(`${id}.${timestamp}.`), ...body]);
  // While a secret is being rotated there are two signatures: one that matches is enough.
  for (const given of (headers.get("webhook-signature") ?? "").split(" ")) {
    const signature = given.match(/^v1,([A-Za-z0-9+/]{43}=)$/)?.[1];
    if (signature && (await isSigned(key, fromBase64(signature), signed))) return id;
  }
  throw new Refused("the signature does not match");
}

async function receive(request, secret) {
  // The bytes as they arrived: parsed and written again they would not be what was signed.
  const body = new Uint8Array(await request.arrayBuffer());
  if (new URL(request.url).pathname === "/hex") {
    await verifyHex(secret, body, request.headers.get("x-secureagentics-signature") ?? "");
    return "verified";
  }
  const id = await verifyStandard(secret, body, request.headers, Date.now() / 1000);
  if (seen.has(id)) return "already seen";
  seen.add(id);
  return "verified";
}

export default {
  async fetch(request, env) {
    try {
      return new Response(await receive(request, env.WEBHOOK_SECRET));
    } catch (error) {
      if (error instanceof Refused) return new Response(error.message, { status: 400 });
      throw error;
    }
  },
};
