import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";

const WEBHOOK_SECRET = "your-signing-secret";

// The signature covers the bytes as they came: verify before you parse.
export function isSignedBy(secret, payload, signature) {
  const expected = Buffer.from(createHmac("sha256", secret).update(payload).digest("hex"));
  const given = Buffer.from(signature ?? "");
  return given.length === expected.length && timingSafeEqual(given, expected);
}

export const server = createServer(async (request, response) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const payload = Buffer.concat(chunks);

  if (!isSignedBy(WEBHOOK_SECRET, payload, request.headers["x-secureagentics-signature"])) {
    response.writeHead(400).end("Invalid signature");
    return;
  }
  const event = JSON.parse(payload);
  console.log(`Received event: ${event.type}`);
  response.writeHead(200).end();
});

server.listen(Number(process.env.PORT ?? 8000));
