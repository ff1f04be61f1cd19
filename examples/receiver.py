# An endpoint in Python (3.8 or later) that uses only the standard library.
#
#   WEBHOOK_SECRET=whsec_... PORT=8790 python3 receiver.py
import base64
import hashlib
import hmac
import os
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOLERANCE_S = 300
SECRET = os.environ["WEBHOOK_SECRET"]

# In a database, together with what the event changes, so that both are kept or neither.
seen = set()


class Refused(Exception):
    pass


def verify_hex(secret, body, signature):
    """The header X-Secureagentics-Signature: proves who sent the body, not when."""
    expected = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected.encode(), signature.encode()):
        raise Refused("the signature does not match")


def verify_standard(secret, body, headers, now):
    """The headers of Standard Webhooks: prove also that the request was made a short time ago."""
    message_id = headers.get("webhook-id", "")
    timestamp = headers.get("webhook-timestamp", "")
    if not timestamp.isdecimal() or abs(now - int(timestamp)) > TOLERANCE_S:
        raise Refused("the timestamp is missing, too old or in the future")
    key = base64.b64decode(secret[len("whsec_"):]) if secret.startswith("whsec_") else secret.encode()
    signed = f"{message_id}.{timestamp}.".encode() + body
    expected = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    # While a secret is being rotated there are two signatures: one that matches is enough.
    given = headers.get("webhook-signature", "").split(" ")
    if not any(hmac.compare_digest(expected.encode(), one.encode()) for one in given):
        raise Refused("the signature does not match")
    return message_id


class Endpoint(BaseHTTPRequestHandler):
    def do_POST(self):
        # The bytes as they arrived: parsed and written again they would not be what was signed.
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        try:
            if self.path == "/hex":
                verify_hex(SECRET, body, self.headers.get("x-secureagentics-signature", ""))
                return self.answer(200, "verified")
            message_id = verify_standard(SECRET, body, self.headers, time.time())
        except Refused as error:
            return self.answer(400, str(error))
        if message_id in seen:
            return self.answer(200, "already seen")
        seen.add(message_id)
        self.answer(200, "verified")

    def answer(self, status, text):
        self.send_response(status)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", 0))), Endpoint)
print(f"listening on port {server.server_port}", flush=True)
server.serve_forever()
