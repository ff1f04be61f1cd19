# An endpoint that answers 200 to what a package for Python verifies, and 400 to everything else.
#
# Its arguments are the secret ("raw:<secret>" is a secret whose bytes are the key itself) and the module of the package:
# `standardwebhooks` or `svix.webhooks`. Its first line of output is its port.
from importlib import import_module
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

given, module = sys.argv[1:]
package = import_module(module)
webhook = package.Webhook(given.removeprefix("raw:").encode()) if given.startswith("raw:") else package.Webhook(given)


class Endpoint(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        try:
            webhook.verify(body, headers)
            self.answer(200, b"verified")
        except package.WebhookVerificationError as error:
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
