# Posts an event, and verifies what the relay sends for it, with a client of /openapi.json: see README.md.
import json, os, sys, threading, time, uuid
from http.server import BaseHTTPRequestHandler, HTTPServer
from relay_client import AuthenticatedClient
from relay_client.api.events import post_events
from relay_client.models import AcceptedEvent, NewEvent
from standardwebhooks import Webhook, WebhookVerificationError

relay = AuthenticatedClient(base_url=os.environ["RELAY_URL"], token=os.environ["RELAY_KEY"])


def post(alert_id: str) -> AcceptedEvent:
    """Posts until the relay has accepted the event: the event_id makes it one delivery however often it is posted."""
    event = NewEvent.from_dict({"type": "alert.triggered", "event_id": alert_id, "data": {"alert_id": alert_id}})
    for attempt in range(1, 6):
        answer = post_events.sync_detailed(os.environ["WORKSPACE"], client=relay, body=event)
        if isinstance(answer.parsed, AcceptedEvent):
            return answer.parsed
        if answer.status_code not in (429, 503):
            break
        time.sleep(float(answer.headers.get("retry-after", attempt)))
    raise RuntimeError(f"the relay answered {answer.status_code}: {answer.content.decode()}")


class Endpoint(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        try:  # Refuses a signature that is wrong or too old.
            event = Webhook(os.environ["WEBHOOK_SECRET"]).verify(body, dict(self.headers))
            print(f"verified {json.dumps(event)}\n", end="", flush=True)  # In one piece, as two threads print.
            self.send_response(204)
        except WebhookVerificationError:
            self.send_response(400)
        self.end_headers()


endpoint = HTTPServer(("127.0.0.1", int(os.environ.get("PORT", "3000"))), Endpoint)
threading.Thread(target=endpoint.serve_forever, daemon=True).start()
print(f"accepted {json.dumps(post([*sys.argv[1:], str(uuid.uuid4())][0]).to_dict())}\n", end="", flush=True)
threading.Event().wait()
