// Posts an event with a client whose types are generated from the relay's OpenAPI document:
//
//   npx openapi-typescript $RELAY_URL/openapi.json -o relay.d.ts
//   RELAY_URL=https://hooks.example.com RELAY_KEY=sk_... WORKSPACE=ws_... node producer.ts
import createClient from "openapi-fetch";
import type { paths } from "./relay.d.ts";

const { RELAY_URL = "http://localhost:8787", RELAY_KEY = "", WORKSPACE = "ws_demo" } = process.env;
const relay = createClient<paths>({ baseUrl: RELAY_URL, headers: { authorization: `Bearer ${RELAY_KEY}` } });

/** Posts until the relay has accepted the event: the event_id makes it one delivery however often it is posted. */
async function post(alertId: string) {
  for (let attempt = 1; ; attempt++) {
    const { data, error, response } = await relay.POST("/v1/workspaces/{workspace_id}/events", {
      params: { path: { workspace_id: WORKSPACE } },
      body: { type: "alert.triggered", event_id: alertId, data: { alert_id: alertId, details: "Rate limit exceeded" } },
    });
    if (data !== undefined) return data;
    const mayPass = response.status === 429 || response.status === 503;
    if (!mayPass || attempt === 5) throw new Error(`the relay answered ${response.status}: ${JSON.stringify(error)}`);
    const seconds = Number(response.headers.get("retry-after") ?? attempt);
    await new Promise((resolve) => setTimeout(resolve, seconds * 1_000));
  }
}

const accepted = await post(process.argv[2] ?? crypto.randomUUID());
console.log(JSON.stringify(accepted));
