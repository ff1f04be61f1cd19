//! What objects have stored, with texts of the caller's choice wherever a stranger may write one.

use std::{collections::BTreeMap, time::Duration};

use serde_json::value::RawValue;
use webhook_relay::{
    dashboard::{
        frame::{Frame, Session},
        probe::{Probe, SentParts},
    },
    domain::{
        attempt::Attempt,
        brand::Brand,
        delivery::{Delivery, Kind, Report},
        ids::{DeliveryId, EventId, ResendId, WebhookId, WorkspaceId},
        outcome::Outcome,
        pace::Pace,
        policy::Policy,
        record::DeliveryRecord,
        resend::{BulkResend, BulkResendStatus, Selection},
        sealed::Sealed,
        stats::{HourCounts, hour_of},
        timestamp::Timestamp,
        webhook::{ReportedStanding, Settings, StoredHeader, Webhook},
    },
};

/// The time at which every page is rendered: 2026-01-15T10:30:00Z.
pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_768_473_000_000);

/// A stored secret; no page opens one.
fn sealed() -> Sealed {
    serde_json::from_str(r#"{"key_id":null,"bytes":"cGxhdGZvcm0="}"#).unwrap()
}

pub(crate) fn ago(seconds: u64) -> Timestamp {
    NOW.saturating_sub(Duration::from_secs(seconds))
}

pub(crate) fn frame(may_write: bool) -> Frame {
    Frame {
        brand: Brand::default(),
        session: Some(Session {
            workspace: WorkspaceId::parse("ws_acme").unwrap(),
            workspace_name: "Acme Robotics".into(),
            may_write,
        }),
        allow_private_endpoints: false,
        notice: None,
        refused: false,
        posted: false,
        now: NOW,
        attempt_timeout: Duration::from_secs(10),
        disable_after: Duration::from_secs(5 * 86_400),
    }
}

pub(crate) fn webhook(number: u8, text: &str) -> Webhook {
    Webhook {
        id: WebhookId::mint(ago(86_400), [number; 10]),
        settings: Settings {
            revision: 1,
            status_revision: 1,
            status_changed_at: ago(7_000),
            enabled: true,
            url: format!("https://hooks.example.com/secureagentics/{text}"),
            events: vec!["alert.triggered".into(), "agent.error".into()],
            headers: vec![StoredHeader {
                name: "X-Team".into(),
                value: sealed(),
            }],
            secret: sealed(),
            previous_secret: None,
            keys_revision: 0,
            paused: false,
            pace: Pace::default(),
        },
        description: format!("Pages the on-call engineer {text}"),
        created_at: ago(86_400),
        updated_at: ago(3_600),
        standing: ReportedStanding::default(),
        has_unshown_secret: false,
        added_at: std::collections::BTreeMap::new(),
    }
}

pub(crate) fn attempt(number: u32, outcome: Outcome, status: Option<u16>, text: &str) -> Attempt {
    Attempt {
        outcome,
        response_status: status,
        response_headers: BTreeMap::from([
            ("content-type".into(), "text/html".into()),
            ("x-note".into(), text.into()),
        ]),
        response_body: status.map(|_| format!("<h1>{text}</h1>")),
        duration_ms: 1_234,
        error: status.is_none().then(|| format!("no answer: {text}")),
        ..Attempt::lost(number, ago(3_000), ago(2_990))
    }
}

pub(crate) fn payload(id: &DeliveryId, text: &str) -> Box<RawValue> {
    let data = serde_json::json!({
        "id": id, "type": "alert.triggered", "timestamp": "2026-01-15T10:30:00Z",
        "data": {"alert_id": "alrt_xyz", "details": text}
    });
    RawValue::from_string(data.to_string()).unwrap()
}

pub(crate) fn record(number: u8, kind: Kind, attempts: Vec<Attempt>, text: &str) -> DeliveryRecord {
    let id = DeliveryId::mint(ago(u64::from(number) * 60), [number; 10]);
    let policy = Policy::parse(|_| None).unwrap();
    let mut delivery = Delivery::due(kind, NOW);
    for attempt in &attempts {
        let lease = delivery.lease(NOW, &policy).unwrap();
        let report = Report {
            lease,
            outcome: attempt.outcome,
            response_status: attempt.response_status,
            retry_after: None,
        };
        delivery.report(NOW, &policy, &report);
        if delivery.is_settled() {
            break;
        }
        // As if it had waited, so that the next attempt on the time line is due.
        delivery.resend(NOW, None).ok();
    }
    DeliveryRecord {
        event_id: EventId::parse("order-4711").unwrap(),
        event_type: "alert.triggered".into(),
        delivery,
        attempts,
        payload: Some(payload(&id, text)),
        request: None,
        waiting_for: None,
        id,
    }
}

pub(crate) fn deliveries(count: u8, text: &str) -> Vec<DeliveryRecord> {
    let of = |number: u8| {
        let attempts = match number % 3 {
            0 => vec![attempt(1, Outcome::Succeeded, Some(200), text)],
            1 => vec![attempt(1, Outcome::HttpError, Some(500), text)],
            _ => vec![attempt(1, Outcome::HttpError, Some(410), text)],
        };
        record(number, Kind::Event, attempts, text)
    };
    (0..count).map(of).collect()
}

pub(crate) fn hours() -> Vec<(i64, HourCounts)> {
    let end = hour_of(NOW);
    (0..168)
        .filter(|back| back % 5 != 4)
        .map(|back: i64| {
            let weight = u64::try_from((back * 37) % 90 + 3).unwrap();
            let failed = if back % 7 == 2 { weight / 3 } else { 0 };
            let counts = HourCounts {
                delivered: weight,
                failed,
                attempts: weight + failed * 6,
                failed_attempts: failed * 6,
                durations: BTreeMap::from([(40 + weight * 7, weight)]),
            };
            (end - back, counts)
        })
        .collect()
}

pub(crate) fn probe(kind: Kind, outcome: Outcome, status: Option<u16>, text: &str) -> Probe {
    Probe {
        record: record(1, kind, vec![attempt(1, outcome, status, text)], text),
        request: Some(sent(text)),
    }
}

pub(crate) fn sent(text: &str) -> SentParts {
    SentParts {
        url: format!("https://hooks.example.com/{text}"),
        headers: vec![
            ("content-type".into(), "application/json".into()),
            ("x-secureagentics-signature".into(), "0f".repeat(32)),
            ("x-team".into(), text.into()),
        ],
    }
}

pub(crate) fn bulk_resend() -> BulkResend {
    BulkResend {
        id: ResendId::mint(NOW, [7; 10]),
        selection: Selection::of(webhook_relay::domain::delivery::Status::Failed),
        began_at: NOW,
        status: BulkResendStatus::Running,
        total: 120,
        delivered: 40,
        failed: 5,
        taken: None,
        under_way: vec![],
    }
}
