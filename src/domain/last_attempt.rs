//! How deliveries are chosen by their last attempt: its outcome, and its response's status or class, such as `5xx`.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{attempt::Attempt, outcome::Outcome, timestamp::Timestamp};

/// What a delivery's last attempt must have been; nothing at all matches those without an attempt too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastAttemptFilter {
    /// Of one outcome.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// With a response of this status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_status: Option<ResponseStatuses>,
}

impl LastAttemptFilter {
    /// Whether it asks for nothing.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.outcome.is_none() && self.response_status.is_none()
    }

    /// Whether the last attempt of a log is what is asked for.
    #[must_use]
    pub fn selects(&self, log: &[Attempt]) -> bool {
        let last = log.last();
        let status = last.and_then(|last| last.response_status);
        self.outcome
            .is_none_or(|outcome| last.is_some_and(|last| last.outcome == outcome))
            && self
                .response_status
                .is_none_or(|statuses| status.is_some_and(|status| statuses.includes(status)))
    }

    /// Whether a successful attempt can be what is asked for.
    #[must_use]
    pub fn may_be_success(&self) -> bool {
        let statuses = self.response_status.map(ResponseStatuses::bounds);
        self.outcome.is_none_or(Outcome::is_success)
            && statuses.is_none_or(|(first, last)| {
                Outcome::of_status(first).is_success() || Outcome::of_status(last).is_success()
            })
    }
}

/// Deliveries whose last attempt failed alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureGroup {
    /// The outcome of their last attempt.
    pub outcome: Outcome,
    /// The status of its response, if there was one.
    pub status: Option<u16>,
    /// How many there are.
    pub deliveries: u64,
    /// When the oldest was made.
    pub since: Timestamp,
}

/// One status from 100 to 599, or all of a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum ResponseStatuses {
    /// One status.
    One(u16),
    /// The statuses that begin with a digit.
    Class(u16),
}

/// The text is neither a status nor a class.
#[derive(Debug, Error)]
#[error("not a status from 100 to 599, nor 1xx to 5xx")]
pub struct StatusesError;

impl ResponseStatuses {
    /// Reads `500` or `5xx`.
    ///
    /// # Errors
    /// `StatusesError`.
    pub fn parse(text: &str) -> Result<Self, StatusesError> {
        let (digits, is_class) = match text.strip_suffix("xx") {
            Some(digit) => (digit, true),
            None => (text, false),
        };
        let expected = if is_class { 1..=5 } else { 100..=599 };
        let number = digits
            .parse()
            .ok()
            .filter(|number: &u16| expected.contains(number) && number.to_string() == digits)
            .ok_or(StatusesError)?;
        Ok(if is_class {
            Self::Class(number)
        } else {
            Self::One(number)
        })
    }

    /// The first and the last of them.
    #[must_use]
    pub const fn bounds(self) -> (u16, u16) {
        match self {
            Self::One(status) => (status, status),
            Self::Class(digit) => {
                let first = digit.saturating_mul(100);
                (first, first.saturating_add(99))
            }
        }
    }

    /// Whether a status is one of them.
    #[must_use]
    pub fn includes(self, status: u16) -> bool {
        let (first, last) = self.bounds();
        (first..=last).contains(&status)
    }
}

impl fmt::Display for ResponseStatuses {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(status) => write!(formatter, "{status}"),
            Self::Class(digit) => write!(formatter, "{digit}xx"),
        }
    }
}

impl From<ResponseStatuses> for String {
    fn from(statuses: ResponseStatuses) -> Self {
        statuses.to_string()
    }
}

impl TryFrom<String> for ResponseStatuses {
    type Error = StatusesError;

    fn try_from(text: String) -> Result<Self, StatusesError> {
        Self::parse(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_and_a_class_are_read_and_written_alike() {
        for (text, first, last) in [
            ("100", 100, 100),
            ("599", 599, 599),
            ("1xx", 100, 199),
            ("5xx", 500, 599),
        ] {
            let statuses = ResponseStatuses::parse(text).unwrap();
            assert_eq!(statuses.bounds(), (first, last));
            assert!(statuses.includes(first) && statuses.includes(last));
            assert!(!statuses.includes(first - 1) && !statuses.includes(last + 1));
            let written = serde_json::to_string(&statuses).unwrap();
            assert_eq!(written, format!("\"{text}\""));
            let read: ResponseStatuses = serde_json::from_str(&written).unwrap();
            assert_eq!(read, statuses);
        }
    }

    #[test]
    fn a_log_is_chosen_by_its_last_attempt_alone() {
        let attempt = |status: Option<u16>, outcome| {
            let mut attempt = Attempt::new(1, Timestamp::from_millis(0), 1, outcome);
            attempt.response_status = status;
            attempt
        };
        let failed = attempt(Some(503), Outcome::HttpError);
        let late = attempt(None, Outcome::Timeout);
        let filter = |outcome, statuses: Option<&str>| LastAttemptFilter {
            outcome,
            response_status: statuses.map(|text| ResponseStatuses::parse(text).unwrap()),
        };
        for (outcome, statuses, log, is_selected) in [
            (None, None, vec![], true),
            (Some(Outcome::HttpError), None, vec![], false),
            (None, Some("5xx"), vec![], false),
            (None, Some("5xx"), vec![failed.clone()], true),
            (None, Some("500"), vec![failed.clone()], false),
            (None, Some("5xx"), vec![failed.clone(), late.clone()], false),
            (
                Some(Outcome::Timeout),
                None,
                vec![failed.clone(), late.clone()],
                true,
            ),
            (
                Some(Outcome::Timeout),
                Some("503"),
                vec![late, failed],
                false,
            ),
        ] {
            let filter = filter(outcome, statuses);
            assert_eq!(filter.selects(&log), is_selected, "{filter:?} {log:?}");
        }
        for (outcome, statuses, may_be) in [
            (None, None, true),
            (Some(Outcome::Succeeded), Some("2xx"), true),
            (None, Some("204"), true),
            (None, Some("5xx"), false),
            (Some(Outcome::Lost), None, false),
        ] {
            assert_eq!(filter(outcome, statuses).may_be_success(), may_be);
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "", "99", "600", "0xx", "6xx", "xx", "50x", "5XX", "+500", "0500", "5xxx", " 500",
            "500.0", "55xx",
        ] {
            assert!(ResponseStatuses::parse(text).is_err(), "{text}");
        }
    }
}
