//! A webhook's health: how the last attempts of its events have ended. Pings and tests say nothing about it, and neither
//! does an attempt that the relay itself lost.

use serde::{Deserialize, Serialize};

use crate::domain::{attempt::Attempt, outcome::Outcome, timestamp::Timestamp};

/// Failed attempts in a row that make a webhook failing.
const FAILING: u32 = 3;

/// How the attempts have been ending; a webhook without an attempt has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// Since when attempts have been ending as the last one did.
    pub since: Timestamp,
    /// Failed attempts since the last one that succeeded.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub consecutive_failures: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
const fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// The state of a webhook's health, in the API's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HealthState {
    /// No attempt has ended.
    NoEvents,
    /// The last attempt succeeded.
    Healthy,
    /// The last attempt failed.
    Retrying,
    /// The last three failed.
    Failing,
}

impl HealthState {
    /// The state of a health, if there is one.
    #[must_use]
    pub fn of(health: Option<Health>) -> Self {
        match health.map(|health| health.consecutive_failures) {
            None => Self::NoEvents,
            Some(0) => Self::Healthy,
            Some(failures) if failures < FAILING => Self::Retrying,
            Some(_) => Self::Failing,
        }
    }
}

impl Health {
    /// The health of a webhook of which an earlier release kept its first failed attempt since the last success, or else
    /// that one has succeeded at all, before a time.
    #[must_use]
    pub fn of_earlier_release(
        failing_since: Option<Timestamp>,
        succeeded_before: Option<Timestamp>,
    ) -> Option<Self> {
        let healthy = succeeded_before.map(|time| Self::after_success(None, time));
        failing_since
            .map(|since| Self::after_failure(None, since))
            .or(healthy)
    }

    /// The health after an attempt that succeeded.
    #[must_use]
    pub fn after_success(before: Option<Self>, now: Timestamp) -> Self {
        let healthy = before.filter(|before| before.consecutive_failures == 0);
        healthy.unwrap_or(Self {
            since: now,
            consecutive_failures: 0,
        })
    }

    /// The health after an attempt that failed.
    #[must_use]
    pub fn after_failure(before: Option<Self>, now: Timestamp) -> Self {
        let failing = before.filter(|before| before.consecutive_failures > 0);
        Self {
            since: failing.map_or(now, |failing| failing.since),
            consecutive_failures: failing
                .map_or(0, |failing| failing.consecutive_failures)
                .saturating_add(1),
        }
    }

    /// The same without the failures beyond those that decide on its state.
    #[must_use]
    pub fn coarse(self) -> Self {
        let consecutive_failures = self.consecutive_failures.min(FAILING);
        Self {
            consecutive_failures,
            ..self
        }
    }
}

/// When an attempt of an event last succeeded, and when one last failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastAttempts {
    /// The end of the last one that succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub success: Option<Timestamp>,
    /// The last one that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<LastFailure>,
}

/// How the last attempt that failed ended; the later one is the greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LastFailure {
    /// When.
    pub at: Timestamp,
    /// Its outcome.
    pub outcome: Outcome,
    /// The status of its response, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
}

impl LastAttempts {
    /// Whether nothing is known of any.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.success.is_none() && self.failure.is_none()
    }

    /// The later ones of both.
    #[must_use]
    pub fn or_later(self, other: Self) -> Self {
        Self {
            success: self.success.max(other.success),
            failure: self.failure.max(other.failure),
        }
    }

    /// The same with an attempt that has ended.
    #[must_use]
    pub fn with(self, attempt: &Attempt) -> Self {
        let ended_at = attempt.ended_at();
        self.or_later(match attempt.outcome {
            Outcome::Lost => Self::default(),
            outcome if outcome.is_success() => Self {
                success: Some(ended_at),
                failure: None,
            },
            outcome => Self {
                success: None,
                failure: Some(LastFailure {
                    at: ended_at,
                    outcome,
                    status: attempt.response_status,
                }),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::webhook::tests::at;

    #[test]
    fn three_failures_in_a_row_are_failing_and_one_success_is_healthy() {
        let mut health = None;
        let mut states = Vec::new();
        for (second, succeeds) in [
            (1, true),
            (2, true),
            (3, false),
            (4, false),
            (5, false),
            (6, false),
            (7, true),
            (8, false),
        ] {
            let after = if succeeds {
                Health::after_success(health, at(second))
            } else {
                Health::after_failure(health, at(second))
            };
            health = Some(after);
            let failures = after.consecutive_failures;
            states.push((HealthState::of(health), after.since, failures));
        }
        assert_eq!(HealthState::of(None), HealthState::NoEvents);
        assert_eq!(
            states,
            [
                (HealthState::Healthy, at(1), 0),
                (HealthState::Healthy, at(1), 0),
                (HealthState::Retrying, at(3), 1),
                (HealthState::Retrying, at(3), 2),
                (HealthState::Failing, at(3), 3),
                (HealthState::Failing, at(3), 4),
                (HealthState::Healthy, at(7), 0),
                (HealthState::Retrying, at(8), 1),
            ]
        );
    }

    #[test]
    fn what_an_earlier_release_kept_says_whether_a_webhook_fails() {
        let (failing, healthy) = (Some(at(3)), Some(at(5)));
        assert_eq!(Health::of_earlier_release(None, None), None);
        let state = |failing, healthy| {
            let health = Health::of_earlier_release(failing, healthy);
            (HealthState::of(health), health.unwrap().since)
        };
        assert_eq!(state(failing, healthy), (HealthState::Retrying, at(3)));
        assert_eq!(state(None, healthy), (HealthState::Healthy, at(5)));
    }

    #[test]
    fn the_last_attempts_are_the_latest_and_a_lost_one_is_none_of_them() {
        let attempt = |second, outcome| Attempt::new(1, at(second), 500, outcome);
        let last = LastAttempts::default()
            .with(&attempt(3, Outcome::Succeeded))
            .with(&attempt(2, Outcome::Succeeded))
            .with(&attempt(9, Outcome::Lost));
        assert!(!last.is_empty() && LastAttempts::default().is_empty());
        let ended = Timestamp::from_millis(3_500);
        assert_eq!((last.success, last.failure), (Some(ended), None));
        let failed = LastAttempts::default().with(&attempt(5, Outcome::Timeout));
        let both = last.or_later(failed);
        assert_eq!(both.success, Some(ended));
        let failure = LastFailure {
            at: Timestamp::from_millis(5_500),
            outcome: Outcome::Timeout,
            status: None,
        };
        assert_eq!(both.failure, Some(failure));
    }

    #[test]
    fn the_stored_forms_are_pinned() {
        let failing = Health {
            since: at(7),
            consecutive_failures: 2,
        };
        let last = LastAttempts {
            success: Some(at(1)),
            failure: Some(LastFailure {
                at: at(2),
                outcome: Outcome::HttpError,
                status: Some(500),
            }),
        };
        let stored = serde_json::to_string(&(failing, last)).unwrap();
        assert_eq!(
            stored,
            r#"[{"since":7000,"consecutive_failures":2},{"success":1000,"failure":{"at":2000,"outcome":"http_error","status":500}}]"#
        );
        assert_eq!(
            serde_json::from_str::<(Health, LastAttempts)>(&stored).unwrap(),
            (failing, last)
        );
    }
}
