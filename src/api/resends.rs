//! Resending many deliveries, and a webhook's hourly counts.

use serde::Serialize;

use super::{
    error::ApiError,
    members::{Members, parse_json},
    query::Query,
};
use crate::domain::{
    delivery::Status,
    ids::ResendId,
    resend::{BulkResend, BulkResendStatus, Selection},
    stats::{HOURS_LIMIT, HourCounts, start_of},
    timestamp::{Timestamp, as_iso},
};

/// Hours of stats by default.
const HOURS: u32 = 24;

/// Reads `{"status", "since"?, "until"?}`.
///
/// # Errors
/// The first refusal.
pub fn parse_selection(body: &[u8]) -> Result<Selection, ApiError> {
    let members = Members::parse(parse_json(body)?, "", &["status", "since", "until"])?;
    let status: String = members.required("status", "a string")?;
    let status = match status.as_str() {
        "failed" => Status::Failed,
        "held" => Status::Held,
        "pending" => Status::Pending,
        _ => {
            let allowed = "failed, held or pending".into();
            return Err(ApiError::InvalidValue {
                code: "invalid_status",
                field: "status".into(),
                allowed,
            });
        }
    };
    Ok(Selection {
        status,
        since: members.time("since")?,
        until: members.time("until")?,
    })
}

/// A bulk resend as an answer shows it.
#[derive(Debug, Serialize)]
pub struct BulkResendView {
    id: ResendId,
    status: BulkResendStatus,
    total: u64,
    done: u64,
    delivered: u64,
    failed: u64,
}

impl From<BulkResend> for BulkResendView {
    fn from(bulk_resend: BulkResend) -> Self {
        let done = bulk_resend.done();
        Self {
            id: bulk_resend.id,
            status: bulk_resend.status,
            total: bulk_resend.total,
            done,
            delivered: bulk_resend.delivered,
            failed: bulk_resend.failed,
        }
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

    #[test]
    fn a_selection_is_of_failed_or_held_deliveries() {
        let selection =
            parse_selection(br#"{"status":"failed","since":"2026-01-15T10:30:00Z"}"#).unwrap();
        assert_eq!((selection.status, selection.until), (Status::Failed, None));
        for (body, code, field) in [
            ("{}", "missing_field", "status"),
            (r#"{"status":"delivered"}"#, "invalid_status", "status"),
            (
                r#"{"status":"held","since":"yesterday"}"#,
                "invalid_timestamp",
                "since",
            ),
            (r#"{"status":"held","from":"x"}"#, "unknown_field", "from"),
        ] {
            let error = parse_selection(body.as_bytes()).unwrap_err();
            assert_eq!((error.code(), error.field()), (code, Some(field)), "{body}");
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
