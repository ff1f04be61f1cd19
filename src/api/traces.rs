//! Traces: what happened to an event.

use serde::Serialize;

use super::{deliveries::DeliveryView, error::ApiError, query::Query};
use crate::domain::{
    history::Absence,
    ids::{EventId, WebhookId},
    record::DeliveryRecord,
    timestamp::{Timestamp, as_iso, as_iso_option},
};

/// The type and time by which absences are explained if no delivery of the event is kept.
#[derive(Debug, Default)]
pub struct TraceQuery {
    /// The event's type, as given.
    pub event_type: Option<String>,
    /// When it was posted.
    pub at: Option<Timestamp>,
}

/// Reads the query: `type` and `at`.
///
/// # Errors
/// `UnknownField`, `RepeatedField`, `InvalidParameter`.
pub fn parse_trace_query<'a>(
    query: impl Iterator<Item = (&'a str, &'a str)>,
) -> Result<TraceQuery, ApiError> {
    let query = Query::parse(query, &["type", "at"])?;
    Ok(TraceQuery {
        event_type: query.text("type").map(ToString::to_string),
        at: query.time("at")?,
    })
}

/// What happened to an event.
#[derive(Debug, Serialize)]
pub struct TraceView {
    /// The event.
    pub event_id: EventId,
    /// Its type.
    #[serde(rename = "type")]
    pub event_type: String,
    /// The time by which absences are explained.
    #[serde(serialize_with = "as_iso")]
    pub at: Timestamp,
    /// Since when the record that explains absences is whole; none if it always was.
    #[serde(serialize_with = "as_iso_option")]
    pub recorded_since: Option<Timestamp>,
    /// Each webhook of the workspace, including deleted ones.
    pub webhooks: Vec<TracedWebhook>,
}

/// A webhook's delivery of the event, or why it has none.
#[derive(Debug, Serialize)]
pub struct TracedWebhook {
    webhook_id: WebhookId,
    delivery: Option<DeliveryView>,
    reason: Option<Absence>,
}

impl TracedWebhook {
    /// A webhook that has a delivery.
    #[must_use]
    pub fn delivery(webhook_id: WebhookId, record: DeliveryRecord) -> Self {
        let delivery = Some(DeliveryView::summary(record, webhook_id.clone()));
        Self {
            webhook_id,
            delivery,
            reason: None,
        }
    }

    /// A webhook that has none.
    #[must_use]
    pub const fn absent(webhook_id: WebhookId, absence: Absence) -> Self {
        Self {
            webhook_id,
            delivery: None,
            reason: Some(absence),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_and_a_time_may_be_given_once() {
        let query = [("type", "agent.error"), ("at", "2026-01-15T10:30:00Z")];
        let wanted = parse_trace_query(query.into_iter()).unwrap();
        assert_eq!(
            (wanted.event_type.as_deref(), wanted.at.is_some()),
            (Some("agent.error"), true)
        );
        for (name, value, code) in [
            ("at", "now", "invalid_parameter"),
            ("when", "now", "unknown_field"),
        ] {
            assert_eq!(
                parse_trace_query([(name, value)].into_iter())
                    .unwrap_err()
                    .code(),
                code
            );
        }
        let twice = [("type", "agent.error"), ("type", "agent.error")];
        assert_eq!(
            parse_trace_query(twice.into_iter()).unwrap_err().code(),
            "repeated_field"
        );
    }
}
