//! The record of attempts that a delivery keeps.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{outcome::Outcome, timestamp::Timestamp};

/// Bytes kept of a response's body.
pub const RESPONSE_BODY_LIMIT: usize = 16 * 1024;

/// Bytes kept of a response's header names and values together.
pub const RESPONSE_HEADERS_LIMIT: usize = 16 * 1024;

/// Bytes of bodies and headers kept over all attempts of one delivery.
///
/// A byte escaped as JSON may take six; with a payload of 256 KiB the row stays below the platform's 2 MB.
const LOG_BYTES_LIMIT: usize = 192 * 1024;

/// Attempts kept of one delivery; it takes dozens of resends to reach it.
const LOG_LENGTH_LIMIT: usize = 500;

/// One POST of a delivery and what came back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// Counted from 1 over the delivery's whole life, resends included.
    pub attempt: u32,
    /// When the request was sent.
    pub started_at: Timestamp,
    /// From sending to the response's head, or to the error.
    pub duration_ms: u64,
    /// Its outcome.
    pub outcome: Outcome,
    /// The status, if one arrived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_status: Option<u16>,
    /// Header names in lower case; repeated ones joined by `, `.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub response_headers: BTreeMap<String, String>,
    /// The first bytes of the body, decoded as UTF-8 with replacement characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_body: Option<String>,
    /// Whether the kept headers or body are only a part of what was sent.
    #[serde(default, skip_serializing_if = "is_false")]
    pub response_truncated: bool,
    /// Why there was no status, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature that serde calls"
)]
const fn is_false(value: &bool) -> bool {
    !*value
}

impl Attempt {
    /// The record of an attempt whose leases all ended without a report.
    #[must_use]
    pub fn lost(attempt: u32, started_at: Timestamp, ended_at: Timestamp) -> Self {
        Self {
            attempt,
            started_at,
            duration_ms: ended_at
                .saturating_duration_since(started_at)
                .as_millis()
                .try_into()
                .unwrap_or(u64::MAX),
            outcome: Outcome::Lost,
            response_status: None,
            response_headers: BTreeMap::new(),
            response_body: None,
            response_truncated: false,
            error: Some(
                "the relay was interrupted three times before it learnt the endpoint's answer"
                    .into(),
            ),
        }
    }

    /// Bytes kept of the response.
    #[must_use]
    pub fn weight(&self) -> usize {
        let headers = self
            .response_headers
            .iter()
            .map(|(name, value)| name.len().saturating_add(value.len()));
        let body = self.response_body.as_ref().map_or(0, String::len);
        headers.fold(body, usize::saturating_add)
    }

    fn forget_response(&mut self) {
        self.response_headers.clear();
        self.response_body = None;
        self.response_truncated = true;
    }
}

/// Adds an attempt; beyond what a delivery may keep, the oldest responses go first, then the oldest attempts.
pub fn record(log: &mut Vec<Attempt>, attempt: Attempt) {
    log.push(attempt);
    let mut weight = log
        .iter()
        .map(Attempt::weight)
        .fold(0, usize::saturating_add);
    for attempt in log.iter_mut() {
        if weight <= LOG_BYTES_LIMIT {
            break;
        }
        weight = weight.saturating_sub(attempt.weight());
        attempt.forget_response();
    }
    let surplus = log.len().saturating_sub(LOG_LENGTH_LIMIT);
    log.drain(..surplus);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stored_form_is_pinned() {
        let attempt = answered(2, "no");
        let stored = r#"{"attempt":2,"started_at":1000,"duration_ms":48,"outcome":"http_error","response_status":500,"response_headers":{"server":"x"},"response_body":"no"}"#;
        assert_eq!(serde_json::to_string(&attempt).unwrap(), stored);
        assert_eq!(serde_json::from_str::<Attempt>(stored).unwrap(), attempt);
    }

    #[test]
    fn the_oldest_responses_are_forgotten_when_a_delivery_keeps_too_much() {
        let mut log = Vec::new();
        for number in 1..=20 {
            record(&mut log, answered(number, &"x".repeat(RESPONSE_BODY_LIMIT)));
        }
        assert_eq!(log.len(), 20);
        assert_eq!(
            (log[0].response_body.as_ref(), log[0].response_truncated),
            (None, true)
        );
        assert!(log[19].response_body.is_some());
        assert!(log.iter().map(Attempt::weight).sum::<usize>() <= LOG_BYTES_LIMIT);
    }

    #[test]
    fn the_number_of_kept_attempts_is_bounded() {
        let mut log = Vec::new();
        for number in 1..=600 {
            record(&mut log, answered(number, ""));
        }
        assert_eq!((log.len(), log[0].attempt), (LOG_LENGTH_LIMIT, 101));
    }

    fn answered(attempt: u32, body: &str) -> Attempt {
        Attempt {
            attempt,
            started_at: Timestamp::from_millis(1000),
            duration_ms: 48,
            outcome: Outcome::HttpError,
            response_status: Some(500),
            response_headers: BTreeMap::from([("server".into(), "x".into())]),
            response_body: Some(body.into()),
            response_truncated: false,
            error: None,
        }
    }
}
