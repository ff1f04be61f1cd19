#!/bin/sh
# From an unpacked release to a verified event of a product with its own name, header names, colours and event type, on this
# machine, without an account and without a compiler. Needs Node 22.12 with npm, and curl. Ctrl-C ends it.
set -e
RELAY_PORT="${RELAY_PORT:-8787}"
RECEIVER_PORT="${RECEIVER_PORT:-8788}"
API="http://127.0.0.1:$RELAY_PORT/v1"
TOKEN="Authorization: Bearer at-least-32-characters-for-development-only"
JSON="Content-Type: application/json"
SECRET="whsec_GBkaGxwdHh8gISIjJCUmJygpKissLS4v"

[ -d node_modules ] || npm install --silent
npx wrangler dev --env="" --env-file .dev.vars.example --ip 127.0.0.1 --port "$RELAY_PORT" --inspector-port 0 \
  --show-interactive-dev-session=false --log-level warn \
  --var PRODUCT_NAME:Acme --var HEADER_PREFIX:X-Acme --var "ACCENT_COLOR:#0b7a75" &
PORT="$RECEIVER_PORT" WEBHOOK_SECRET="$SECRET" node examples/receiver.mjs &
curl -sf -w "\n" --retry 60 --retry-delay 1 --retry-connrefused "$API/workspaces" -H "$TOKEN" -H "$JSON" \
  -d '{"id": "ws_acme", "name": "Acme"}'
curl -sSf -w "\n" -X PUT "$API/event-types/order.paid" -H "$TOKEN" -H "$JSON" \
  -d '{"description": "An order was paid.", "sample": {"order": "o_1"}}'
curl -sSf -w "\n" "$API/workspaces/ws_acme/webhooks" -H "$TOKEN" -H "$JSON" \
  -d "{\"url\": \"http://127.0.0.1:$RECEIVER_PORT/\", \"events\": [\"order.paid\"], \"secret\": \"$SECRET\"}"
curl -sSf -w "\n" "$API/workspaces/ws_acme/events" -H "$TOKEN" -H "$JSON" \
  -d '{"type": "order.paid", "data": {"order": "o_1"}}'
wait
