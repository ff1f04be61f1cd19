//! The outcome of an attempt, in the six words of the API.

use serde::{Deserialize, Serialize};

/// The outcome of one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// A status of 200 to 299 arrived in time.
    Succeeded,
    /// Another status arrived in time; redirects too, which are not followed.
    HttpError,
    /// No status arrived within the attempt timeout.
    Timeout,
    /// No connection, or one that broke before a status arrived.
    Unreachable,
    /// The endpoint-URL rule refused the address; nothing was sent.
    Blocked,
    /// Three leases in a row ended without a report; whether anything was sent is unknown.
    Lost,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 6] = [
        Self::Succeeded,
        Self::HttpError,
        Self::Timeout,
        Self::Unreachable,
        Self::Blocked,
        Self::Lost,
    ];

    /// The outcome of which this is the word of the API.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|outcome| outcome.as_str() == word)
    }

    /// Judges an HTTP status: only 2xx is a success (Standard Webhooks, "Responding to webhooks").
    #[must_use]
    pub const fn of_status(status: u16) -> Self {
        match status {
            200..=299 => Self::Succeeded,
            520..=527 | 530 => Self::Unreachable,
            _ => Self::HttpError,
        }
    }

    /// The word of the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::HttpError => "http_error",
            Self::Timeout => "timeout",
            Self::Unreachable => "unreachable",
            Self::Blocked => "blocked",
            Self::Lost => "lost",
        }
    }

    /// Whether the endpoint accepted the delivery.
    #[must_use]
    pub const fn is_success(self) -> bool {
        matches!(self, Self::Succeeded)
    }
}

/// Explains a status of 520 to 527 or 530, with which Cloudflare answers for an origin that it cannot reach.
#[must_use]
pub const fn explain_status(status: u16) -> Option<&'static str> {
    Some(match status {
        520 => "the endpoint closed the connection or answered something that is not HTTP",
        521 => "the endpoint refused the connection",
        522 => "no connection to the endpoint could be made in time",
        523 => "no route to the endpoint was found",
        524 => "the endpoint took the connection but did not answer in time",
        525 => "the TLS handshake with the endpoint failed",
        526 => "the endpoint's TLS certificate is not valid",
        527 => "the connection to the endpoint was interrupted",
        530 => "the endpoint's host name could not be resolved",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_2xx_is_a_success() {
        for status in 200..300 {
            assert_eq!(Outcome::of_status(status), Outcome::Succeeded);
        }
        for status in [
            100, 199, 300, 301, 304, 308, 400, 404, 410, 429, 500, 503, 519, 528, 599,
        ] {
            assert_eq!(Outcome::of_status(status), Outcome::HttpError, "{status}");
        }
    }

    #[test]
    fn what_cloudflare_answers_for_an_unreachable_origin_is_unreachable_and_explained() {
        for status in (520..=527).chain([530]) {
            assert_eq!(Outcome::of_status(status), Outcome::Unreachable);
            assert!(explain_status(status).is_some());
        }
        assert_eq!(explain_status(500), None);
    }

    #[test]
    fn the_words_are_those_of_the_api() {
        for (outcome, word) in [
            (Outcome::Succeeded, "succeeded"),
            (Outcome::HttpError, "http_error"),
            (Outcome::Timeout, "timeout"),
            (Outcome::Unreachable, "unreachable"),
            (Outcome::Blocked, "blocked"),
            (Outcome::Lost, "lost"),
        ] {
            assert_eq!(outcome.as_str(), word);
            assert_eq!(
                serde_json::to_string(&outcome).unwrap(),
                format!("\"{word}\"")
            );
        }
    }
}
