//! The conditions of a search, and the columns that they need.

use super::deliveries::{LAST_OUTCOME, LAST_STATUS};
use crate::{
    domain::last_attempt::{LastAttemptFilter, ResponseStatuses},
    machines::sql::SqlValue,
};

/// Conditions that must all be met, with their parameters.
#[derive(Default)]
pub(super) struct Conditions {
    texts: Vec<&'static str>,
    pub(super) parameters: Vec<SqlValue>,
}

impl Conditions {
    /// Adds a condition if there is a value for it.
    pub(super) fn add(&mut self, text: &'static str, value: Option<SqlValue>) {
        if let Some(value) = value {
            self.texts.push(text);
            self.parameters.push(value);
        }
    }

    /// Adds what a filter asks of the last attempt, of the columns that `last_attempt_columns` names.
    pub(super) fn add_last_attempt(&mut self, filter: LastAttemptFilter) {
        let outcome = filter.outcome.map(|outcome| outcome.as_str().into());
        self.add("last_outcome = ?", outcome);
        let bounds = filter.response_status.map(ResponseStatuses::bounds);
        let first = bounds.map(|(first, _)| i64::from(first).into());
        self.add("last_status >= ?", first);
        let last = bounds.map(|(_, last)| i64::from(last).into());
        self.add("last_status <= ?", last);
    }
}

impl std::fmt::Display for Conditions {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.texts.is_empty() {
            return formatter.write_str("TRUE");
        }
        formatter.write_str(&self.texts.join(" AND "))
    }
}

/// The columns of what a filter asks of the last attempt.
pub(super) fn last_attempt_columns(filter: LastAttemptFilter) -> String {
    let mut columns = String::new();
    if filter.outcome.is_some() {
        columns = format!(", {LAST_OUTCOME} AS last_outcome");
    }
    if filter.response_status.is_some() {
        columns = format!("{columns}, {LAST_STATUS} AS last_status");
    }
    columns
}
