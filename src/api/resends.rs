//! Resending many deliveries, and a webhook's hourly counts.

use serde::Serialize;
use serde_json::value::RawValue;

use super::{
    deliveries::{OUTCOMES, STATUSES},
    error::ApiError,
    members::{Members, first_items, parse_json},
    query::Query,
};
use crate::domain::{
    delivery::Status,
    ids::DeliveryId,
    last_attempt::{LastAttemptFilter, ResponseStatuses},
    resend::Selection,
    stats::{HOURS_LIMIT, HourCounts, start_of},
    timestamp::{Timestamp, as_iso},
};

/// Hours of stats by default.
const HOURS: u32 = 24;

/// Deliveries that a bulk resend may name.
const IDS: usize = 100;

/// Reads `{"status", "since"?, "until"?, "type"?, "response_status"?, "outcome"?}` or `{"ids"}`.
///
/// # Errors
/// The first refusal.
pub fn parse_selection(body: &[u8]) -> Result<Selection, ApiError> {
    let known = [
        "status",
        "since",
        "until",
        "type",
        "response_status",
        "outcome",
        "ids",
    ];
    let members = Members::parse(parse_json(body)?, "", &known)?;
    if let Some(ids) = members.raw("ids") {
        let others = known.iter().filter(|name| members.raw(name).is_some());
        return parse_ids(ids, others.count() == 1);
    }
    let status: String = members.required("status", "a string")?;
    let status = match status.as_str() {
        "failed" => Status::Failed,
        "held" => Status::Held,
        "pending" => Status::Pending,
        _ => {
            return Err(refused(
                "invalid_status",
                "status",
                "failed, held or pending",
            ));
        }
    };
    let outcome: Option<String> = members.optional("outcome", "a string")?;
    let outcome = outcome.map(|word| {
        let outcome = serde_json::from_value(serde_json::Value::String(word));
        outcome.map_err(|_| refused("invalid_outcome", "outcome", OUTCOMES))
    });
    Ok(Selection {
        status: Some(status),
        since: members.time("since")?,
        until: members.time("until")?,
        event_type: members.optional("type", "a string")?,
        last_attempt: LastAttemptFilter {
            outcome: outcome.transpose()?,
            response_status: parse_statuses(&members)?,
        },
        ids: Vec::new(),
    })
}

/// Reads a status as a number or a text, or a class.
fn parse_statuses(members: &Members<'_>) -> Result<Option<ResponseStatuses>, ApiError> {
    let expected = "a string such as 5xx, or a number";
    let posted: Option<serde_json::Value> = members.optional("response_status", expected)?;
    let text = match posted {
        None => return Ok(None),
        Some(serde_json::Value::String(text)) => text,
        Some(serde_json::Value::Number(number)) => number.to_string(),
        Some(_) => {
            return Err(ApiError::InvalidType {
                field: Some(members.field("response_status")),
                expected,
            });
        }
    };
    let statuses = ResponseStatuses::parse(&text);
    let statuses =
        statuses.map_err(|_| refused("invalid_response_status", "response_status", STATUSES));
    statuses.map(Some)
}

fn parse_ids(value: &RawValue, is_alone: bool) -> Result<Selection, ApiError> {
    let allowed = "1 to 100 ids of deliveries, and no other member beside them";
    let wrong = || refused("invalid_ids", "ids", allowed);
    let expected = "an array of strings";
    let wrong_type = || ApiError::InvalidType {
        field: Some("ids".into()),
        expected,
    };
    let (items, more) = first_items(value, IDS).map_err(|_| wrong_type())?;
    if items.is_empty() || more > 0 || !is_alone {
        return Err(wrong());
    }
    let ids = items.into_iter().map(|item| {
        let id: String = serde_json::from_str(item.get()).map_err(|_| wrong_type())?;
        DeliveryId::parse(&id).map_err(|_| wrong())
    });
    Ok(Selection::named(ids.collect::<Result<_, _>>()?))
}

fn refused(code: &'static str, field: &str, allowed: &str) -> ApiError {
    ApiError::InvalidValue {
        code,
        field: field.into(),
        allowed: allowed.into(),
    }
}

/// Reads the query of the stats: `hours`, 1 to 720.
///
/// # Errors
/// `UnknownField`, `RepeatedField`, `InvalidParameter`.
pub fn parse_hours<'a>(query: impl Iterator<Item = (&'a str, &'a str)>) -> Result<u32, ApiError> {
    let query = Query::parse(query, &["hours"])?;
    let hours = query.number("hours", "a number from 1 to 720", &(1..=HOURS_LIMIT))?;
    Ok(hours.unwrap_or(HOURS))
}

/// One hour's counts as an answer shows them.
#[derive(Debug, Serialize)]
pub struct HourView {
    #[serde(serialize_with = "as_iso")]
    hour: Timestamp,
    delivered: u64,
    failed: u64,
    attempts: u64,
    failed_attempts: u64,
    p50_ms: Option<u64>,
    p95_ms: Option<u64>,
}

impl HourView {
    /// Shows the counts of an hour.
    #[must_use]
    pub fn new(hour: i64, counts: &HourCounts) -> Self {
        Self {
            hour: start_of(hour),
            delivered: counts.delivered,
            failed: counts.failed,
            attempts: counts.attempts,
            failed_attempts: counts.failed_attempts,
            p50_ms: counts.percentile(50),
            p95_ms: counts.percentile(95),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::outcome::Outcome;

    #[test]
    fn a_selection_is_of_failed_or_held_deliveries() {
        let selection =
            parse_selection(br#"{"status":"failed","since":"2026-01-15T10:30:00Z"}"#).unwrap();
        assert_eq!(
            (selection.status, selection.until),
            (Some(Status::Failed), None)
        );
        for statuses in [r#""500""#, "500"] {
            let body = format!(
                r#"{{"status":"held","type":"a.b","outcome":"http_error","response_status":{statuses}}}"#
            );
            let selection = parse_selection(body.as_bytes()).unwrap();
            assert_eq!(selection.event_type.as_deref(), Some("a.b"));
            assert_eq!(
                selection.last_attempt,
                LastAttemptFilter {
                    outcome: Some(Outcome::HttpError),
                    response_status: Some(ResponseStatuses::One(500)),
                }
            );
        }
        for (body, code, field) in [
            ("{}", "missing_field", "status"),
            (r#"{"status":"delivered"}"#, "invalid_status", "status"),
            (
                r#"{"status":"held","since":"yesterday"}"#,
                "invalid_timestamp",
                "since",
            ),
            (r#"{"status":"held","from":"x"}"#, "unknown_field", "from"),
            (
                r#"{"status":"held","outcome":"failed"}"#,
                "invalid_outcome",
                "outcome",
            ),
            (
                r#"{"status":"held","response_status":"600"}"#,
                "invalid_response_status",
                "response_status",
            ),
            (
                r#"{"status":"held","response_status":99.5}"#,
                "invalid_response_status",
                "response_status",
            ),
            (
                r#"{"status":"held","response_status":null}"#,
                "invalid_type",
                "response_status",
            ),
        ] {
            let error = parse_selection(body.as_bytes()).unwrap_err();
            assert_eq!((error.code(), error.field()), (code, Some(field)), "{body}");
        }
    }

    #[test]
    fn a_selection_by_ids_has_1_to_100_and_nothing_beside_them() {
        let id = "evt_00000000000170008000000000000000";
        let ids = |count| {
            format!(
                r#"{{"ids":[{}]}}"#,
                vec![format!("\"{id}\""); count].join(",")
            )
        };
        for count in [1, 100] {
            let selection = parse_selection(ids(count).as_bytes()).unwrap();
            assert_eq!(selection.ids.len(), 1);
        }
        for (body, code) in [
            (ids(0), "invalid_ids"),
            (ids(101), "invalid_ids"),
            (r#"{"ids":["evt_1"]}"#.into(), "invalid_ids"),
            (
                format!(r#"{{"ids":["{id}"],"status":"failed"}}"#),
                "invalid_ids",
            ),
            (r#"{"ids":"all"}"#.into(), "invalid_type"),
            (r#"{"ids":[1]}"#.into(), "invalid_type"),
        ] {
            let error = parse_selection(body.as_bytes()).unwrap_err();
            assert_eq!((error.code(), error.field()), (code, Some("ids")), "{body}");
        }
    }

    #[test]
    fn hours_are_1_to_720_and_24_where_nothing_is_said() {
        assert_eq!(parse_hours([].into_iter()), Ok(24));
        assert_eq!(parse_hours([("hours", "720")].into_iter()), Ok(720));
        for value in ["0", "721", "x", "", "+1", "1.0"] {
            assert_eq!(
                parse_hours([("hours", value)].into_iter())
                    .unwrap_err()
                    .code(),
                "invalid_parameter",
                "{value}"
            );
        }
        assert_eq!(
            parse_hours([("days", "1")].into_iter()).unwrap_err().code(),
            "unknown_field"
        );
    }
}
