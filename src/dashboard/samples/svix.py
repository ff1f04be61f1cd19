from flask import Flask, request, abort
from svix.webhooks import Webhook, WebhookVerificationError

app = Flask(__name__)

webhook = Webhook("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD")

@app.route("/webhooks/secureagentics", methods=["POST"])
def handle_webhook():
    try:
        webhook.verify(request.get_data(), request.headers)
    except WebhookVerificationError:
        abort(400, "Invalid signature")

    event = request.get_json()
    print(f"Received event: {event['type']}")

    return "", 200
