# Gives the generated Python client each kind of answer with a word in place of every enumeration's values, and prints how
# many words it took. Its argument is the folder that has the client.
import sys

sys.path.insert(0, sys.argv[1])
from relay_client.models import (
    AcceptedEvent,
    ApiError,
    CatalogueEntry,
    DashboardAccess,
    Delivery,
    DeliverySummary,
    EventTrace,
    Health,
    Key,
    NotStored,
    Resend,
    RevealedSecret,
    Webhook,
)

WORD = "a_word_of_a_later_version"
TIME = "2026-01-15T10:30:00.000Z"
ERROR = {"code": WORD, "message": "no"}
LAST = {"outcome": WORD, "response_status": 500, "duration_ms": 48, "started_at": TIME}
ATTEMPT = {**LAST, "attempt": 1, "error": None}
WHOLE_ATTEMPT = {**ATTEMPT, "response_headers": {}, "response_body": "", "response_truncated": False}
SUMMARY = {
    "id": "evt_1",
    "event_id": "1",
    "webhook_id": "wh_1",
    "type": WORD,
    "status": WORD,
    "kind": WORD,
    "reason": WORD,
    "created_at": TIME,
    "next_attempt_at": None,
    "attempt_count": 1,
    "last_attempt": LAST,
    "attempts": [ATTEMPT],
}
PAYLOAD = {"id": "evt_1", "type": WORD, "timestamp": TIME, "data": {}}
TRACED = [{"webhook_id": "wh_1", "delivery": SUMMARY, "reason": WORD}]
ACCEPTED = {"id": "evt_1", "webhook_id": "wh_1", "status": WORD, "reason": WORD, "duplicate": False}
ANSWERS = [
    (AcceptedEvent, {"event_id": "1", "deliveries": [ACCEPTED]}),
    (ApiError, {"error": ERROR}),
    (NotStored, {"error": ERROR, "event_id": "1"}),
    (CatalogueEntry, {"name": WORD, "description": "", "sample": {}, "deprecated": False}),
    (DashboardAccess, {"id": "1", "kind": WORD, "actor": None, "scopes": [WORD], "created_at": None, "expires_at": TIME}),
    (DeliverySummary, SUMMARY),
    (Delivery, {**SUMMARY, "payload": PAYLOAD, "attempts": [WHOLE_ATTEMPT]}),
    (EventTrace, {"event_id": "1", "type": WORD, "at": TIME, "recorded_since": None, "webhooks": TRACED}),
    (Health, {"status": WORD, "version": "1"}),
    (Key, {"id": "key_1", "name": "", "scopes": [WORD], "created_at": TIME}),
    (Resend, {"id": "rs_1", "status": WORD, "total": 0, "done": 0, "delivered": 0, "failed": 0}),
    (RevealedSecret, {"secret": "whsec_1", "previous_expires_at": None, "sign_header_with": WORD}),
    (
        Webhook,
        {
            "id": "wh_1",
            "url": "https://hooks.example.com/",
            "events": [WORD],
            "description": "",
            "headers": {},
            "ordered": False,
            "rate_limit": {"per_second": 5},
            "retry_schedule": [WORD],
            "status": WORD,
            "disabled_reason": WORD,
            "disabled_at": None,
            "failing_since": None,
            "health": {"state": WORD, "since": TIME, "consecutive_failures": 0},
            "log_since": None,
            "created_at": TIME,
            "updated_at": TIME,
        },
    ),
]

words = 0
for model, answer in ANSWERS:
    read = model.from_dict(answer).to_dict()
    given, kept = str(answer).count(WORD), str(read).count(WORD)
    assert given == kept > 0, f"{model.__name__} has {kept} of {given} words: {read}"
    words += kept
print(words, "words")
