//! The record of attempts that a delivery keeps.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use super::{outcome::Outcome, timestamp::Timestamp};

/// Bytes read of a response's body, and bytes kept of it as they are stored.
pub const RESPONSE_BODY_LIMIT: usize = 16 * 1024;

/// Bytes kept of a response's header names and values together, as they are stored.
pub const RESPONSE_HEADERS_LIMIT: usize = 16 * 1024;

/// Bytes of bodies and headers kept over all attempts of one delivery, as they are stored.
///
/// With a payload of 256 KiB the row stays below the platform's 2 MB.
const LOG_BYTES_LIMIT: usize = 512 * 1024;

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
    /// Only as stored: the body is the one of the attempt before.
    #[serde(default, skip_serializing_if = "is_false")]
    pub has_same_body: bool,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature that serde calls"
)]
const fn is_false(value: &bool) -> bool {
    !*value
}

impl Attempt {
    /// When it ended, by the clock of who made it.
    #[must_use]
    pub fn ended_at(&self) -> Timestamp {
        let duration = Duration::from_millis(self.duration_ms);
        self.started_at.saturating_add(duration)
    }

    /// The record of an attempt without an answer.
    #[must_use]
    pub const fn new(
        attempt: u32,
        started_at: Timestamp,
        duration_ms: u64,
        outcome: Outcome,
    ) -> Self {
        Self {
            attempt,
            started_at,
            duration_ms,
            outcome,
            response_status: None,
            response_headers: BTreeMap::new(),
            response_body: None,
            response_truncated: false,
            error: None,
            has_same_body: false,
        }
    }

    /// The record of an attempt whose leases all ended without a report.
    #[must_use]
    pub fn lost(attempt: u32, started_at: Timestamp, ended_at: Timestamp) -> Self {
        let taken = ended_at.saturating_duration_since(started_at).as_millis();
        let duration_ms = taken.try_into().unwrap_or(u64::MAX);
        let error = "the relay was interrupted three times before it learnt the endpoint's answer";
        Self {
            error: Some(error.into()),
            ..Self::new(attempt, started_at, duration_ms, Outcome::Lost)
        }
    }

    /// Cuts what is kept of the response to its limits.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        if let Some(body) = &mut self.response_body {
            let fitting = fitting(body, RESPONSE_BODY_LIMIT);
            self.response_truncated |= fitting < body.len();
            body.truncate(fitting);
        }
        let mut left = RESPONSE_HEADERS_LIMIT;
        let before = self.response_headers.len();
        self.response_headers.retain(|name, value| {
            let weight = stored_length(name).saturating_add(stored_length(value));
            let rest = left.checked_sub(weight);
            left = rest.unwrap_or(left);
            rest.is_some()
        });
        self.response_truncated |= self.response_headers.len() < before;
        self
    }

    /// Bytes kept of the response, as they are stored.
    #[must_use]
    pub fn weight(&self) -> usize {
        let body = self.response_body.as_deref().map_or(0, stored_length);
        body.saturating_add(self.weight_of_headers())
    }

    fn weight_of_headers(&self) -> usize {
        let headers = self.response_headers.iter();
        let headers =
            headers.map(|(name, value)| stored_length(name).saturating_add(stored_length(value)));
        headers.fold(0, usize::saturating_add)
    }

    /// Forgets the response; returns whether anything was kept of it. An empty one stays what it is.
    fn forget_response(&mut self) -> bool {
        let had_any = self.weight() > 0;
        if had_any {
            self.response_headers.clear();
            self.response_body = None;
            self.response_truncated = true;
        }
        had_any
    }
}

/// Bytes of a text in JSON, without its quotes: a control character takes six.
fn stored_length(text: &str) -> usize {
    text.chars().map(stored_length_of).sum()
}

const fn stored_length_of(character: char) -> usize {
    match character {
        '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
        '\0'..='\u{1f}' => 6,
        _ => character.len_utf8(),
    }
}

/// How many bytes of a text take at most `limit` bytes as they are stored.
fn fitting(text: &str, limit: usize) -> usize {
    let mut stored: usize = 0;
    let cut = text.char_indices().find(|(_, character)| {
        stored = stored.saturating_add(stored_length_of(*character));
        stored > limit
    });
    cut.map_or(text.len(), |(index, _)| index)
}

/// Forgets the responses of a log; returns whether anything was kept of them.
pub fn forget_responses(log: &mut [Attempt]) -> bool {
    let mut had_any = false;
    for attempt in log {
        had_any |= attempt.forget_response();
    }
    had_any
}

/// Writes a log as it is stored: a body that is equal to the one before is not stored again.
///
/// # Errors
/// None: a log is made of texts and numbers.
pub fn write_log(log: &[Attempt]) -> serde_json::Result<String> {
    let mut before: Option<&String> = None;
    let stored: Vec<Attempt> = log
        .iter()
        .map(|attempt| {
            let body = attempt.response_body.as_ref();
            let has_same_body = body.is_some_and(|body| !body.is_empty()) && body == before;
            before = body;
            Attempt {
                response_body: body.filter(|_| !has_same_body).cloned(),
                has_same_body,
                response_headers: attempt.response_headers.clone(),
                error: attempt.error.clone(),
                ..*attempt
            }
        })
        .collect();
    serde_json::to_string(&stored)
}

/// Reads a stored log.
///
/// # Errors
/// If it is damaged.
pub fn read_log(stored: &str) -> serde_json::Result<Vec<Attempt>> {
    let mut log: Vec<Attempt> = serde_json::from_str(stored)?;
    let mut before: Option<String> = None;
    for attempt in &mut log {
        if std::mem::take(&mut attempt.has_same_body) {
            attempt.response_body.clone_from(&before);
        }
        before.clone_from(&attempt.response_body);
    }
    Ok(log)
}

/// Adds an attempt, bounded; beyond what a delivery may keep, the oldest responses go first, then the oldest attempts.
pub fn record(log: &mut Vec<Attempt>, attempt: Attempt) {
    log.push(attempt.bounded());
    let mut forgotten = 0;
    while forgotten < log.len()
        && stored_weight(log.get(forgotten..).unwrap_or_default()) > LOG_BYTES_LIMIT
    {
        if let Some(attempt) = log.get_mut(forgotten) {
            attempt.forget_response();
        }
        forgotten = forgotten.saturating_add(1);
    }
    let surplus = log.len().saturating_sub(LOG_LENGTH_LIMIT);
    log.drain(..surplus);
}

/// Bytes of the bodies and headers of a log as it is stored.
fn stored_weight(log: &[Attempt]) -> usize {
    let mut before: Option<&String> = None;
    let weights = log.iter().map(|attempt| {
        let body = attempt.response_body.as_ref();
        let is_same = body.is_some() && body == before;
        before = body;
        if is_same {
            attempt.weight_of_headers()
        } else {
            attempt.weight()
        }
    });
    weights.fold(0, usize::saturating_add)
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
    fn a_lost_attempt_lasts_as_long_as_its_lease_and_says_why_it_has_no_answer() {
        let lost = Attempt::lost(3, Timestamp::from_millis(0), Timestamp::from_millis(15_000));
        assert_eq!((lost.attempt, lost.duration_ms), (3, 15_000));
        assert_eq!((lost.outcome, lost.response_status), (Outcome::Lost, None));
        assert!(lost.error.unwrap().contains("interrupted"));
    }

    #[test]
    fn the_oldest_responses_are_forgotten_when_a_delivery_keeps_too_much() {
        for letter in ["x", "\u{1}", "é"] {
            let mut log = Vec::new();
            for number in 1..=40 {
                let body = letter.repeat(RESPONSE_BODY_LIMIT / letter.len());
                record(&mut log, answered(number, &format!("{number}{body}")));
            }
            assert_eq!(log.len(), 40);
            assert_eq!(
                (log[0].response_body.as_ref(), log[0].response_truncated),
                (None, true)
            );
            assert!(log[39].response_body.is_some());
            let stored = write_log(&log).unwrap().len();
            assert!(
                (LOG_BYTES_LIMIT / 2..LOG_BYTES_LIMIT + 10_000).contains(&stored),
                "{stored}"
            );
        }
    }

    #[test]
    fn what_is_kept_of_an_answer_is_bounded_by_its_length_as_stored() {
        for (letter, kept) in [
            ("\u{1}", 2730),
            ("\"", 8192),
            ("\u{fffd}", 5461),
            ("x", 16384),
        ] {
            let long = answered(1, &letter.repeat(RESPONSE_BODY_LIMIT)).bounded();
            let body = long.response_body.unwrap();
            assert_eq!(body.chars().count(), kept);
            assert_eq!(long.response_truncated, kept < RESPONSE_BODY_LIMIT);
            assert!(serde_json::to_string(&body).unwrap().len() <= RESPONSE_BODY_LIMIT + 2);
        }
        let mut headers = answered(1, "");
        for number in 0..5 {
            let value = "\"".repeat(2000);
            headers
                .response_headers
                .insert(format!("x-{number}"), value);
        }
        let headers = headers.bounded();
        assert!(headers.weight() <= RESPONSE_HEADERS_LIMIT && headers.response_truncated);
        assert_eq!(headers.response_headers.len(), 5);
    }

    #[test]
    fn an_empty_response_is_kept_as_it_is_and_never_said_to_be_forgotten() {
        let empty = Attempt {
            response_headers: BTreeMap::new(),
            ..answered(1, "")
        };
        let mut log = [empty.clone(), answered(2, "")];
        assert!(forget_responses(&mut log));
        assert_eq!(log[0], empty);
        assert!(log[1].response_truncated && log[1].response_headers.is_empty());
        assert!(!forget_responses(&mut log));
        assert_eq!(empty.clone().bounded(), empty);
    }

    #[test]
    fn a_body_equal_to_the_one_before_is_stored_once_and_read_with_each_attempt() {
        let body = "x".repeat(RESPONSE_BODY_LIMIT);
        let mut log = Vec::new();
        for number in 1..=100 {
            record(&mut log, answered(number, &body));
        }
        record(&mut log, answered(101, "other"));
        record(&mut log, answered(102, &body));
        record(&mut log, answered(103, ""));
        record(&mut log, answered(104, ""));
        let stored = write_log(&log).unwrap();
        assert!(stored.len() < 3 * RESPONSE_BODY_LIMIT + LOG_LENGTH_LIMIT * 200);
        assert_eq!(read_log(&stored).unwrap(), log);
    }

    #[test]
    fn a_log_is_stored_as_a_list_of_attempts() {
        let log = [answered(1, "no"), answered(2, "no")];
        let first = r#"{"attempt":1,"started_at":1000,"duration_ms":48,"outcome":"http_error","response_status":500,"response_headers":{"server":"x"},"response_body":"no"}"#;
        let second = r#"{"attempt":2,"started_at":1000,"duration_ms":48,"outcome":"http_error","response_status":500,"response_headers":{"server":"x"},"has_same_body":true}"#;
        assert_eq!(write_log(&log).unwrap(), format!("[{first},{second}]"));
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
            response_status: Some(500),
            response_headers: BTreeMap::from([("server".into(), "x".into())]),
            response_body: Some(body.into()),
            ..Attempt::new(
                attempt,
                Timestamp::from_millis(1000),
                48,
                Outcome::HttpError,
            )
        }
    }
}
