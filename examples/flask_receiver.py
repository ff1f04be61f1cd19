import hashlib
import hmac
from flask import Flask, request, abort

app = Flask(__name__)

WEBHOOK_SECRET = "your-signing-secret"

@app.route("/webhooks/secureagentics", methods=["POST"])
def handle_webhook():
    signature = request.headers.get("X-Secureagentics-Signature", "")
    payload = request.get_data()

    expected = hmac.new(
        WEBHOOK_SECRET.encode("utf-8"),
        payload,
        hashlib.sha256,
    ).hexdigest()

    if not hmac.compare_digest(expected, signature):
        abort(400, "Invalid signature")

    event = request.get_json()
    print(f"Received event: {event['type']}")

    return "", 200
