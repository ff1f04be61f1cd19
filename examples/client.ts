// Posts an event, and verifies what the relay sends for it, with a client of /openapi.json: see README.md.
import { once } from "node:events";
import { createServer } from "node:http";
import { text } from "node:stream/consumers";
import createClient from "openapi-fetch";
import { Webhook } from "standardwebhooks";
import type { components, paths } from "./relay.d.ts";

type NewEvent = components["schemas"]["NewEvent"];
const { RELAY_URL, RELAY_KEY, WORKSPACE = "", WEBHOOK_SECRET = "", PORT = "3000" } = process.env;
const relay = createClient<paths>({ baseUrl: RELAY_URL, headers: { authorization: `Bearer ${RELAY_KEY}` } });

/** Posts until the relay has accepted the event: the event_id makes it one delivery however often it is posted. */
async function post(alertId: string) {
  for (let attempt = 1; ; attempt++) {
    const { data, error, response } = await relay.POST("/v1/workspaces/{workspace_id}/events", {
      params: { path: { workspace_id: WORKSPACE } },
      body: { type: "alert.triggered", event_id: alertId, data: { alert_id: alertId } } satisfies NewEvent,
    });
    if (data !== undefined) return data;
    const mayPass = response.status === 429 || response.status === 503;
    if (!mayPass || attempt === 5) throw new Error(`the relay answered ${response.status}: ${JSON.stringify(error)}`);
    const seconds = Number(response.headers.get("retry-after") ?? attempt);
    await new Promise((resolve) => setTimeout(resolve, seconds * 1_000));
  }
}

// Verifies what arrives: `verify` throws if the signature is wrong or too old.
const endpoint = createServer(async (request, response) => {
  try {
    const event = new Webhook(WEBHOOK_SECRET).verify(await text(request), request.headers as Record<string, string>);
    console.log(`verified ${JSON.stringify(event)}`);
    response.writeHead(204).end();
  } catch {
    response.writeHead(400).end();
  }
});
await once(endpoint.listen(Number(PORT), "127.0.0.1"), "listening");
console.log(`accepted ${JSON.stringify(await post(process.argv[2] ?? crypto.randomUUID()))}`);
