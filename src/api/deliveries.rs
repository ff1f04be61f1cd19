//! Deliveries: listing and showing them.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::value::RawValue;

use super::{
    error::ApiError,
    header_views::{HIDDEN, as_object, show_headers},
    query::Query,
};
use crate::domain::{
    attempt::Attempt,
    delivery::{FailedReason, Kind, State, Status},
    ids::{DeliveryId, EventId, WebhookId},
    last_attempt::{LastAttemptFilter, ResponseStatuses},
    outcome::Outcome,
    record::{DeliveryFilter, DeliveryRecord, SentRequest},
    sealed::{EncryptionKeys, SealedError},
    timestamp::{Timestamp, as_iso, as_iso_option},
};

/// Deliveries of one page.
const PAGE_LIMIT: u32 = 100;

/// Deliveries of a page if no limit is given.
const PAGE_DEFAULT: usize = 50;

/// The word for pending deliveries with an attempt behind them.
const RETRYING: &str = "retrying";

/// What an outcome may be.
pub(super) const OUTCOMES: &str = "succeeded, http_error, timeout, unreachable, blocked or lost";

/// What the status of a response may be.
pub(super) const STATUSES: &str = "a status from 100 to 599, or 1xx, 2xx, 3xx, 4xx or 5xx";

/// Reads the query of a list.
///
/// # Errors
/// `UnknownField` for a parameter that is not known, `RepeatedField`, `InvalidParameter`.
pub fn parse_filter<'a>(
    query: impl Iterator<Item = (&'a str, &'a str)>,
) -> Result<DeliveryFilter, ApiError> {
    let query = Query::parse(
        query,
        &[
            "status",
            "type",
            "kind",
            "response_status",
            "outcome",
            "event_id",
            "since",
            "until",
            "limit",
            "cursor",
        ],
    )?;
    let limit = query.number("limit", "a number from 1 to 100", &(1..=PAGE_LIMIT))?;
    let is_retrying = query.text("status") == Some(RETRYING);
    let status = if is_retrying {
        Some(Status::Pending)
    } else {
        query.word("status", "pending, retrying, delivered, failed or held")?
    };
    Ok(DeliveryFilter {
        status,
        is_retrying,
        event_type: query.text("type").map(ToString::to_string),
        kind: query.word("kind", "event, ping or test")?,
        event_id: query.read("event_id", "an event's id", |id| {
            let id = EventId::parse(id).ok();
            id.filter(EventId::can_stand_in_a_path)
        })?,
        last_attempt: LastAttemptFilter {
            outcome: query.word("outcome", OUTCOMES)?,
            response_status: query.read("response_status", STATUSES, |text| {
                ResponseStatuses::parse(text).ok()
            })?,
        },
        since: query.time("since")?,
        until: query.time("until")?,
        before: query.read("cursor", "the next_cursor of the page before", |cursor| {
            DeliveryId::parse(cursor).ok()
        })?,
        limit: limit
            .and_then(|limit| limit.try_into().ok())
            .unwrap_or(PAGE_DEFAULT),
        is_brief: true,
    })
}

/// A delivery as an answer shows it.
#[derive(Debug, Serialize)]
pub struct DeliveryView {
    id: DeliveryId,
    event_id: EventId,
    webhook_id: WebhookId,
    #[serde(rename = "type")]
    event_type: String,
    status: Status,
    kind: Kind,
    reason: Option<FailedReason>,
    #[serde(serialize_with = "as_iso")]
    created_at: Timestamp,
    #[serde(serialize_with = "as_iso_option")]
    next_attempt_at: Option<Timestamp>,
    /// In an ordered webhook, what has to end before.
    #[serde(skip_serializing_if = "Option::is_none")]
    waiting_for: Option<DeliveryId>,
    attempt_count: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<Box<RawValue>>,
    /// Only in lists and traces.
    #[serde(flatten)]
    brief: Option<BriefView>,
    attempts: Vec<AttemptView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<RequestView>,
}

#[derive(Debug, Serialize)]
struct BriefView {
    /// None before the first attempt has ended.
    last_attempt: Option<LastAttemptView>,
}

#[derive(Debug, Serialize)]
struct LastAttemptView {
    outcome: Outcome,
    response_status: Option<u16>,
    duration_ms: u64,
    #[serde(serialize_with = "as_iso")]
    started_at: Timestamp,
}

#[derive(Debug, Serialize)]
struct AttemptView {
    attempt: u32,
    #[serde(serialize_with = "as_iso")]
    started_at: Timestamp,
    duration_ms: u64,
    outcome: Outcome,
    response_status: Option<u16>,
    #[serde(flatten)]
    response: Option<ResponseView>,
    error: Option<String>,
}

#[derive(Debug, Serialize)]
#[expect(clippy::struct_field_names, reason = "the names of the contract")]
struct ResponseView {
    response_headers: BTreeMap<String, String>,
    response_body: Option<String>,
    response_truncated: bool,
}

#[derive(Debug, Serialize)]
struct RequestView {
    url: String,
    #[serde(serialize_with = "as_object")]
    headers: Vec<(String, String)>,
    body: Option<String>,
}

impl DeliveryView {
    /// Whether its attempt is not over.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        self.status == Status::Pending
    }

    /// Shows a whole delivery; values of custom headers and signatures only to those who may change the webhook.
    ///
    /// # Errors
    /// If a stored value cannot be read.
    pub fn whole(
        record: DeliveryRecord,
        webhook_id: WebhookId,
        keys: &EncryptionKeys,
        may_write: bool,
    ) -> Result<Self, SealedError> {
        let payload = record.payload.clone();
        let request = record
            .request
            .clone()
            .map(|request| show_request(request, payload, &webhook_id, keys, may_write))
            .transpose()?;
        Ok(Self {
            request,
            ..Self::new(record, webhook_id, true)
        })
    }

    /// Shows a delivery without its payload, headers and bodies, for lists.
    #[must_use]
    pub fn summary(record: DeliveryRecord, webhook_id: WebhookId) -> Self {
        let last_attempt = record.attempts.last().map(|attempt| LastAttemptView {
            outcome: attempt.outcome,
            response_status: attempt.response_status,
            duration_ms: attempt.duration_ms,
            started_at: attempt.started_at,
        });
        Self {
            payload: None,
            brief: Some(BriefView { last_attempt }),
            ..Self::new(record, webhook_id, false)
        }
    }

    /// The id, which is the cursor of the page after it.
    #[must_use]
    pub const fn id(&self) -> &DeliveryId {
        &self.id
    }

    fn new(record: DeliveryRecord, webhook_id: WebhookId, whole: bool) -> Self {
        Self {
            webhook_id,
            status: record.delivery.status(),
            kind: record.delivery.kind(),
            reason: match record.delivery.state() {
                State::Failed { reason, .. } => Some(reason),
                State::Scheduled { .. }
                | State::Leased { .. }
                | State::Held
                | State::Delivered { .. } => None,
            },
            created_at: record.id.minted_at(),
            next_attempt_at: record.next_attempt_at(),
            waiting_for: record.waiting_for,
            attempt_count: record.delivery.attempts(),
            attempts: record
                .attempts
                .into_iter()
                .map(|attempt| AttemptView::new(attempt, whole))
                .collect(),
            id: record.id,
            event_id: record.event_id,
            event_type: record.event_type,
            payload: record.payload,
            brief: None,
            request: None,
        }
    }
}

impl AttemptView {
    fn new(attempt: Attempt, whole: bool) -> Self {
        let response = ResponseView {
            response_headers: attempt.response_headers,
            response_body: attempt.response_body,
            response_truncated: attempt.response_truncated,
        };
        Self {
            attempt: attempt.attempt,
            started_at: attempt.started_at,
            duration_ms: attempt.duration_ms,
            outcome: attempt.outcome,
            response_status: attempt.response_status,
            response: whole.then_some(response),
            error: attempt.error,
        }
    }
}

fn show_request(
    request: SentRequest,
    body: Option<Box<RawValue>>,
    webhook: &WebhookId,
    keys: &EncryptionKeys,
    may_write: bool,
) -> Result<RequestView, SealedError> {
    Ok(RequestView {
        headers: show_sent_headers(&request, webhook, keys, may_write)?,
        url: request.url,
        body: body.map(|body| body.get().to_string()),
    })
}

/// Shows the headers of a request as it was sent; values of custom ones and signatures only to those who may change
/// the webhook: from a signature and the body, a weak secret is found by trying.
///
/// # Errors
/// If a stored value cannot be read.
pub fn show_sent_headers(
    request: &SentRequest,
    webhook: &WebhookId,
    keys: &EncryptionKeys,
    may_write: bool,
) -> Result<Vec<(String, String)>, SealedError> {
    let relays = request.headers.iter().map(|(name, value)| {
        let is_hidden = !may_write && name.to_ascii_lowercase().ends_with("-signature");
        let value = if is_hidden { HIDDEN } else { value };
        (name.clone(), value.to_string())
    });
    let custom = show_headers(&request.custom_headers, webhook, keys, may_write)?;
    let custom = custom
        .into_iter()
        .map(|(name, value)| (name.to_ascii_lowercase(), value));
    Ok(relays.chain(custom).collect())
}

/// A page of a list.
#[derive(Debug, Serialize)]
pub struct Page<T> {
    /// The items.
    pub data: Vec<T>,
    /// The cursor of the next page; none on the last.
    pub next_cursor: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_read_from_the_query() {
        let query = [
            ("status", "held"),
            ("type", "a.b"),
            ("kind", "test"),
            ("limit", "7"),
        ];
        let filter = parse_filter(query.into_iter()).unwrap();
        assert_eq!(
            (filter.status, filter.kind, filter.limit),
            (Some(Status::Held), Some(Kind::Test), 7)
        );
        assert_eq!(parse_filter([].into_iter()).unwrap().limit, PAGE_DEFAULT);
        let query = [
            ("status", "retrying"),
            ("outcome", "http_error"),
            ("response_status", "5xx"),
            ("event_id", "order-1"),
        ];
        let filter = parse_filter(query.into_iter()).unwrap();
        assert_eq!(
            (filter.status, filter.is_retrying),
            (Some(Status::Pending), true)
        );
        let LastAttemptFilter {
            outcome,
            response_status,
        } = filter.last_attempt;
        assert_eq!(outcome, Some(Outcome::HttpError));
        assert_eq!(response_status, Some(ResponseStatuses::Class(5)));
        assert_eq!(filter.event_id.unwrap().as_ref(), "order-1");
    }

    #[test]
    fn what_a_filter_does_not_know_is_refused() {
        for (name, value, code) in [
            ("status", "open", "invalid_parameter"),
            ("limit", "0", "invalid_parameter"),
            ("limit", "101", "invalid_parameter"),
            ("since", "yesterday", "invalid_parameter"),
            ("cursor", "evt_1", "invalid_parameter"),
            ("outcome", "failed", "invalid_parameter"),
            ("response_status", "600", "invalid_parameter"),
            ("response_status", "50x", "invalid_parameter"),
            ("event_id", "", "invalid_parameter"),
            ("offset", "1", "unknown_field"),
        ] {
            let error = parse_filter([(name, value)].into_iter()).unwrap_err();
            assert_eq!(
                (error.code(), error.field()),
                (code, Some(name)),
                "{name}={value}"
            );
        }
        assert_eq!(
            parse_filter([("limit", "1"), ("limit", "2")].into_iter())
                .unwrap_err()
                .code(),
            "repeated_field"
        );
    }
}
