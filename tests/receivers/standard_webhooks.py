# An endpoint that answers 200 to what the `standardwebhooks` package for Python verifies, and 400 to everything else.
#
# Its argument is the secret; "raw:<secret>" is a secret whose bytes are the key itself. Its first line of output is its
# port.
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from standardwebhooks import Webhook, WebhookVerificationError

given = sys.argv[1]
webhook = Webhook(given.removeprefix("raw:").encode()) if given.startswith("raw:") else Webhook(given)


class Endpoint(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        try:
            webhook.verify(body, headers)
            self.answer(200, b"verified")
        except WebhookVerificationError as error:
            self.answer(400, str(error).encode())

    def answer(self, status, text):
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
print(server.server_port, flush=True)
server.serve_forever()
