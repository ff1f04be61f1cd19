//! The result of an attempt in a word or two: in a column, in a line, in a list of choices.

use std::borrow::Borrow;

use super::words::{capitalise, status};
use crate::domain::{
    attempt::Attempt, last_attempt::FailureGroup, outcome::Outcome, webhook::LastFailure,
};

/// An attempt's result in a word or two, for a line.
#[must_use]
pub fn outcome_briefly(attempt: &Attempt) -> String {
    match (attempt.outcome, attempt.response_status) {
        (Outcome::Succeeded | Outcome::HttpError, Some(code)) => status(code),
        (outcome, _) => capitalise(missing_answer(outcome)),
    }
}

/// How an attempt failed, after "last": its response's status, or what there was in place of one.
#[must_use]
pub fn failure_briefly(failure: impl Borrow<LastFailure>) -> String {
    let failure = failure.borrow();
    match (failure.outcome, failure.status) {
        (Outcome::HttpError | Outcome::Succeeded, Some(code)) => code.to_string(),
        (outcome, _) => missing_answer(outcome).to_string(),
    }
}

/// How the last attempts of a group failed: `500`, `timeout`.
#[must_use]
pub fn failed_alike(group: impl Borrow<FailureGroup>) -> String {
    let FailureGroup {
        outcome,
        status,
        since: at,
        ..
    } = *group.borrow();
    failure_briefly(LastFailure {
        at,
        outcome,
        status,
    })
}

/// What there was in place of an answer.
const fn missing_answer(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Succeeded | Outcome::HttpError => "answer",
        Outcome::Timeout => "timeout",
        Outcome::Unreachable => "failed connection",
        Outcome::Blocked => "refused URL",
        Outcome::Lost => "interruption",
    }
}

/// An attempt's result as a column of codes shows it.
#[must_use]
pub fn code(attempt: &Attempt) -> String {
    match (attempt.outcome, attempt.response_status) {
        (Outcome::Succeeded | Outcome::HttpError, Some(code)) => code.to_string(),
        (outcome, _) => capitalise(missing_answer(outcome)),
    }
}

/// A result by which deliveries are found, as a choice of a list.
#[must_use]
pub fn result(outcome: impl Borrow<Outcome>) -> String {
    match outcome.borrow() {
        Outcome::Succeeded => "Succeeded".into(),
        Outcome::HttpError => "Answered with an error".into(),
        outcome => capitalise(missing_answer(*outcome)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::timestamp::Timestamp;

    #[test]
    fn a_result_is_its_status_or_what_there_was_in_place_of_an_answer() {
        let at = Timestamp::from_millis(0);
        for (outcome, status, in_a_column, after_last) in [
            (Outcome::HttpError, Some(500), "500", "500"),
            (Outcome::Timeout, None, "Timeout", "timeout"),
            (
                Outcome::Unreachable,
                Some(521),
                "Failed connection",
                "failed connection",
            ),
            (Outcome::Blocked, None, "Refused URL", "refused URL"),
        ] {
            let attempt = Attempt {
                outcome,
                response_status: status,
                ..Attempt::lost(1, at, at)
            };
            assert_eq!(code(&attempt), in_a_column);
            let failure = LastFailure {
                at,
                outcome,
                status,
            };
            assert_eq!(failure_briefly(failure), after_last);
        }
    }
}
