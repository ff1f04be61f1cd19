// The endpoint of the demo: verifies both signatures of each request, prints what arrived, and answers 204 or 401.
//
// Also an example of a receiver in JavaScript.
import { createHmac, timingSafeEqual } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import { Webhook } from "standardwebhooks";

/** Listens on 127.0.0.1 and verifies with `secret`, the webhook's secret as its owner sees it. */
export async function startDemoReceiver({ port, secret }) {
  const server = createServer((request, response) => {
    receive(secret, request, response).catch((error) => {
      console.log(`[receiver] cannot read the request: ${error.message}`);
      response.destroy();
    });
  });
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
}

async function receive(secret, request, response) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const body = Buffer.concat(chunks);
  try {
    verifyHexSignature(secret, body, request.headers["x-secureagentics-signature"] ?? "");
    new Webhook(secret).verify(body.toString("utf8"), request.headers);
  } catch (error) {
    console.log(`[receiver] refused ${request.method} ${request.url}: ${error.message}`);
    response.writeHead(401).end();
    return;
  }
  const event = JSON.parse(body.toString());
  const attempt = request.headers["x-secureagentics-attempt"];
  console.log(
    `[receiver] ${event.type} ${event.id}, attempt ${attempt}, both signatures verified: ${JSON.stringify(event.data)}`,
  );
  response.writeHead(204).end();
}

function verifyHexSignature(secret, body, given) {
  const expected = createHmac("sha256", secret).update(body).digest();
  const bytes = Buffer.from(given, "hex");
  // Lengths first: timingSafeEqual throws if they differ.
  if (bytes.length !== expected.length || !timingSafeEqual(bytes, expected)) {
    throw new Error("X-Secureagentics-Signature does not match the body and the secret");
  }
}
