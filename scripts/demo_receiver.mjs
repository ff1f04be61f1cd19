// The endpoint of the demo: verifies both signatures of each request, prints what arrived, and answers 204 or 401.
//
// Also an example of a receiver in JavaScript.
import { createHmac, timingSafeEqual } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import { Webhook } from "standardwebhooks";

/**
 * Listens on 127.0.0.1 and verifies with `secret`, the webhook's secret as its owner sees it. `names` is `x-delivery` of
 * the relay's OpenAPI document: what the header names begin with.
 */
export async function startDemoReceiver({ port, secret, names }) {
  const server = createServer((request, response) => {
    receive(secret, names, request, response).catch((error) => {
      console.log(`[receiver] cannot read the request: ${error.message}`);
      response.destroy();
    });
  });
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
}

async function receive(secret, names, request, response) {
  const prefix = names.header_prefix.toLowerCase();
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const body = Buffer.concat(chunks);
  try {
    verifyHexSignature(secret, body, request.headers, `${prefix}-signature`);
    new Webhook(secret).verify(body.toString("utf8"), standardHeaders(request.headers, names));
  } catch (error) {
    console.log(`[receiver] refused ${request.method} ${request.url}: ${error.message}`);
    response.writeHead(401).end();
    return;
  }
  const event = JSON.parse(body.toString());
  const attempt = request.headers[`${prefix}-attempt`];
  console.log(
    `[receiver] ${event.type} ${event.id}, attempt ${attempt}, both signatures verified: ${JSON.stringify(event.data)}`,
  );
  response.writeHead(204).end();
}

/** The headers of Standard Webhooks under the names of the standard; the relay may be set to send others. */
function standardHeaders(headers, names) {
  const [family] = names.standard_headers.split(",");
  return Object.fromEntries(
    ["id", "timestamp", "signature"].map((end) => [`webhook-${end}`, headers[`${family}-${end}`]]),
  );
}

function verifyHexSignature(secret, body, headers, name) {
  const expected = createHmac("sha256", secret).update(body).digest();
  const bytes = Buffer.from(headers[name] ?? "", "hex");
  // Lengths first: timingSafeEqual throws if they differ.
  if (bytes.length !== expected.length || !timingSafeEqual(bytes, expected)) {
    throw new Error(`${name} does not match the body and the secret`);
  }
}
