// Both signatures of a payload, as the relay makes them, with WebCrypto for the baselines.
const encoder = new TextEncoder();
const keys = new Map();

const importKey = (bytes) => crypto.subtle.importKey("raw", bytes, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);

// Imported once per isolate, as a careful author would.
function keysOf(secret) {
  if (!keys.has(secret)) {
    const decoded = Uint8Array.from(atob(secret.slice("whsec_".length)), (character) => character.charCodeAt(0));
    keys.set(secret, Promise.all([importKey(encoder.encode(secret)), importKey(decoded)]));
  }
  return keys.get(secret);
}

const hex = (buffer) => Array.from(new Uint8Array(buffer), (byte) => byte.toString(16).padStart(2, "0")).join("");
const base64 = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer)));

/** Sends a signed payload; returns the response and its text. */
export async function sendSigned({ url, secret }, { id, type, body }, attempt) {
  const [whole, decoded] = await keysOf(secret);
  const timestamp = Math.floor(Date.now() / 1000);
  const bytes = encoder.encode(body);
  const [own, standard] = await Promise.all([
    crypto.subtle.sign("HMAC", whole, bytes),
    crypto.subtle.sign("HMAC", decoded, encoder.encode(`${id}.${timestamp}.${body}`)),
  ]);
  const response = await fetch(url, {
    method: "POST",
    redirect: "manual",
    signal: AbortSignal.timeout(10_000),
    headers: {
      accept: "*/*",
      "content-type": "application/json",
      "user-agent": "Secureagentics-Webhooks/bench",
      "x-secureagentics-event": type,
      "x-secureagentics-attempt": String(attempt),
      "x-secureagentics-signature": hex(own),
      "webhook-id": id,
      "webhook-timestamp": String(timestamp),
      "webhook-signature": `v1,${base64(standard)}`,
    },
    body: bytes,
  });
  return { response, text: await response.text() };
}

/** The payload of an event for one webhook. */
export function makePayload(event) {
  const id = `evt_${crypto.randomUUID().replaceAll("-", "")}`;
  const timestamp = event.timestamp ?? new Date().toISOString();
  return { id, type: event.type, body: JSON.stringify({ id, type: event.type, timestamp, data: event.data }) };
}
