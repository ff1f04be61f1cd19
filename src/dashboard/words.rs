//! What happened, in everyday words: `did not answer within 10 seconds`, not `timeout`.

use std::{
    borrow::{Borrow, Cow},
    time::Duration,
};

use http::StatusCode;

pub use super::{
    quantities::{count, length, rate, schedule, size, took},
    result_words::{code, failed_alike, failure_briefly, outcome_briefly, result},
    visible_text::{beginning, one_line, visible, weight},
};
use crate::domain::{
    attempt::Attempt,
    delivery::{FailedReason, GONE, State},
    history::Absence,
    outcome::Outcome,
    resend::{BulkResend, BulkResendStatus},
    webhook::DisabledReason,
};

/// Characters of an error's words.
const ERROR_LIMIT: usize = 300;

/// A text with its first letter in upper case.
#[must_use]
pub fn capitalise(text: &str) -> String {
    let mut letters = text.chars();
    letters
        .next()
        .map(|first| first.to_uppercase().chain(letters).collect())
        .unwrap_or_default()
}

/// An error's words as a sentence.
#[must_use]
pub fn sentence(text: &str) -> String {
    let mut sentence = capitalise(text.trim_end_matches('.'));
    sentence.push('.');
    sentence
}

/// What is wrong with a field, as a sentence: the API's name of a member becomes the label that people see.
#[must_use]
pub fn refusal(error: &impl ToString) -> String {
    sentence(&named(&error.to_string()))
}

fn named(error: &str) -> Cow<'_, str> {
    let labels = [("url ", "the URL "), ("secret ", "the secret ")];
    let renamed = labels.into_iter().find_map(|(member, label)| {
        let rest = error.strip_prefix(member)?;
        Some(Cow::Owned(format!("{label}{rest}")))
    });
    renamed.unwrap_or(Cow::Borrowed(error))
}

/// What a bulk resend does, or how it has ended: what arrived and what did not.
#[must_use]
pub fn resend_headline(resend: &BulkResend) -> String {
    let ended = match resend.status {
        BulkResendStatus::Running => return format!("Resending {}.", count(resend.total, "event")),
        BulkResendStatus::Finished if resend.total == 0 => {
            return "The resend has ended: there was nothing to resend.".into();
        }
        BulkResendStatus::Finished => "The resend has ended",
        BulkResendStatus::Stopped => "The resend was stopped",
    };
    let BulkResend {
        delivered, failed, ..
    } = resend;
    let left = resend.total.saturating_sub(resend.done());
    let left = if left > 0 {
        format!(", {left} not resent")
    } else {
        String::new()
    };
    format!("{ended}: {delivered} arrived, {failed} failed again{left}.")
}

/// How far a bulk resend is.
#[must_use]
pub fn resent_so_far(resend: &BulkResend) -> String {
    let BulkResend {
        total,
        delivered,
        failed,
        ..
    } = resend;
    let done = resend.done();
    format!("{done} of {total} done: {delivered} arrived, {failed} failed again")
}

/// An HTTP status with its name, if it has a common one (RFC 9110, 15).
#[must_use]
pub fn status(code: impl Borrow<u16>) -> String {
    let code = code.borrow();
    let name = StatusCode::from_u16(*code)
        .ok()
        .and_then(|code| code.canonical_reason());
    name.map_or_else(|| code.to_string(), |name| format!("{code} {name}"))
}

/// An attempt's outcome, as a sentence that is [`visible`]. `timeout` is how long an endpoint may take to answer.
#[must_use]
pub fn outcome(attempt: &Attempt, timeout: impl Borrow<Duration>) -> String {
    let code = attempt.response_status.unwrap_or_default();
    let answered = || format!("The endpoint answered {}", status(code));
    let reason = attempt
        .error
        .as_deref()
        .map(|error| one_line(error, ERROR_LIMIT));
    let reason = reason.as_deref();
    match attempt.outcome {
        Outcome::HttpError if code == GONE => {
            format!("{}: it wants no more events.", answered())
        }
        Outcome::HttpError if (300..400).contains(&code) => {
            format!("{}. Redirects are not followed.", answered())
        }
        Outcome::Succeeded | Outcome::HttpError => format!("{}.", answered()),
        Outcome::Timeout => format!(
            "The endpoint did not answer within {}.",
            length(*timeout.borrow())
        ),
        Outcome::Unreachable => {
            reason.map_or_else(|| "The endpoint could not be reached.".into(), sentence)
        }
        Outcome::Blocked => {
            let why = reason.unwrap_or("the URL is not allowed");
            let why = named(why.trim_end_matches('.'));
            format!("Nothing was sent: {why}.")
        }
        Outcome::Lost => reason.map_or_else(
            || "The relay was interrupted before it learnt the answer.".into(),
            sentence,
        ),
    }
}

/// Why a delivery is in its state, as a sentence.
#[must_use]
pub fn state(state: State, is_probe: bool) -> &'static str {
    match state {
        State::Scheduled { .. } => "Waits for its next attempt.",
        State::Leased { .. } => "Is being sent at this moment.",
        State::Held => {
            "Held because the webhook was disabled when it was due. Enable the webhook, then resend it."
        }
        State::Delivered { .. } => "The endpoint has taken it.",
        State::Failed { reason, .. } => match reason {
            FailedReason::ScheduleSpent => {
                "Every attempt failed. No further one is made by itself."
            }
            FailedReason::Gone => {
                "The endpoint answered 410 Gone. No further attempt is made, and the webhook was disabled."
            }
            FailedReason::Cancelled => "Cancelled by a person. No further attempt is made.",
            FailedReason::SingleAttempt if is_probe => {
                "Its only attempt failed. Pings and test events are not retried."
            }
            FailedReason::SingleAttempt => "Its only attempt failed.",
        },
    }
}

/// Why a webhook is disabled, as a sentence.
#[must_use]
pub fn disabled(reason: impl Borrow<DisabledReason>) -> &'static str {
    match reason.borrow() {
        DisabledReason::Manual => "Somebody disabled it.",
        DisabledReason::Gone => {
            "It was disabled because the endpoint answered 410 Gone, which means that it wants no more events."
        }
        DisabledReason::Failing => "It was disabled because the endpoint had failed for too long.",
    }
}

/// Why a webhook has no delivery of an event, as a sentence.
#[must_use]
pub fn absence(absence: impl Borrow<Absence>) -> &'static str {
    match absence.borrow() {
        Absence::WebhookDidNotExist => "This webhook did not exist yet when the event was posted.",
        Absence::WebhookDeleted => "This webhook had been deleted before the event was posted.",
        Absence::TypeNotSelected => "This webhook had not selected this event type.",
        Absence::NotRecorded => {
            "This webhook existed, but what it had selected at that time is no longer recorded."
        }
        Absence::NotStored => {
            "This webhook had selected this event type, but no delivery is kept: the webhook's backlog was full, the change was too recent to be known everywhere, or the delivery is older than what is kept."
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::timestamp::Timestamp;

    #[test]
    fn an_attempt_is_told_in_plain_words() {
        let told = |outcome_of, response_status, error: Option<&str>| {
            let at = Timestamp::from_millis(0);
            let attempt = Attempt {
                outcome: outcome_of,
                response_status,
                error: error.map(Into::into),
                ..Attempt::lost(1, at, at)
            };
            outcome(&attempt, Duration::from_secs(10))
        };
        for (outcome, status, error, words) in [
            (
                Outcome::Succeeded,
                Some(204),
                None,
                "The endpoint answered 204 No Content.",
            ),
            (
                Outcome::HttpError,
                Some(499),
                None,
                "The endpoint answered 499.",
            ),
            (
                Outcome::HttpError,
                Some(410),
                None,
                "The endpoint answered 410 Gone: it wants no more events.",
            ),
            (
                Outcome::HttpError,
                Some(301),
                None,
                "The endpoint answered 301 Moved Permanently. Redirects are not followed.",
            ),
            (
                Outcome::Timeout,
                None,
                Some("timeout"),
                "The endpoint did not answer within 10 seconds.",
            ),
            (
                Outcome::Unreachable,
                Some(521),
                Some("the endpoint refused the connection"),
                "The endpoint refused the connection.",
            ),
            (
                Outcome::Unreachable,
                None,
                None,
                "The endpoint could not be reached.",
            ),
            (
                Outcome::Blocked,
                None,
                Some("url must use https"),
                "Nothing was sent: the URL must use https.",
            ),
            (
                Outcome::Lost,
                None,
                None,
                "The relay was interrupted before it learnt the answer.",
            ),
        ] {
            assert_eq!(told(outcome, status, error), words);
        }
        let long = told(Outcome::Unreachable, None, Some(&"é".repeat(9_000)));
        assert!(long.chars().count() <= ERROR_LIMIT + 2);
    }

    #[test]
    fn a_refusal_names_the_field_as_its_label_does() {
        for (error, words) in [
            ("url must use https", "The URL must use https."),
            (
                "secret must have 8 to 256 characters",
                "The secret must have 8 to 256 characters.",
            ),
            (
                "the header x is given more than once",
                "The header x is given more than once.",
            ),
        ] {
            assert_eq!(refusal(&error), words);
        }
    }
}
