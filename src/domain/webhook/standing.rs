//! A webhook's standing: whether its endpoint fails, since when, and whether the relay disabled it for that.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Health, HealthState, Settings};
use crate::{domain::timestamp::Timestamp, mutants::Mutant};

/// After this long without a failed attempt, the next failure starts a new run of failures.
const QUIET_DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How far the stored time of the last failed attempt may lag behind, so that not every failure writes a row.
const LAST_FAILURE_STEP: Duration = Duration::from_secs(60);

/// By how much an endpoint has to ask for later, so that not every 429 writes a row.
const WAIT_STEP: Duration = Duration::from_secs(1);

/// How long a webhook fails before its workspace is told.
const FAILING_TOLD_AFTER: Duration = Duration::from_secs(60 * 60);

/// The least time between two tellings of the health alone, so that an endpoint that fails now and then costs no call of
/// the workspace for each attempt.
const HEALTH_TOLD_AFTER: Duration = Duration::from_secs(10);

/// The same for a webhook that begins to fail.
const HEALTH_TOLD_SOON: Duration = Duration::from_secs(1);

/// Why a webhook was disabled by the relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AutoDisableReason {
    /// The endpoint answered 410.
    Gone,
    /// A delivery failed for good after the webhook had failed for too long.
    Failing,
}

/// An automatic disable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AutoDisable {
    /// Why.
    pub reason: AutoDisableReason,
    /// When.
    pub at: Timestamp,
    /// The revision of the settings under which it happened.
    pub revision: u64,
}

/// A webhook's standing with its endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// Set when the relay disabled it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled: Option<AutoDisable>,
    /// The first failed attempt since the last success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing_since: Option<Timestamp>,
    /// A recent failed attempt, at most a minute older than the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<Timestamp>,
    /// Until when its endpoint asked, with 429 and `Retry-After`, to be sent nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_until: Option<Timestamp>,
    /// How attempts have been ending.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
}

impl Standing {
    /// Whether deliveries are attempted: the status that a person set, unless the relay disabled the webhook later.
    #[must_use]
    pub fn is_enabled(&self, settings: &Settings) -> bool {
        settings.enabled
            && self
                .disabled
                .is_none_or(|disable| disable.revision < settings.status_revision)
    }

    /// Whether it has to be stored, after what is stored. The number of failures in a row lags behind by those of a
    /// minute, so that not every failure writes a row.
    #[must_use]
    pub fn differs_from(&self, stored: &Self) -> bool {
        let coarse = |standing: &Self| Self {
            health: standing.health.map(Health::coarse),
            ..standing.clone()
        };
        coarse(self) != coarse(stored)
    }

    /// Records that an attempt succeeded.
    pub fn attempt_succeeded(&mut self, now: Timestamp) {
        self.failing_since = None;
        self.last_failure = None;
        if !Mutant::FailuresNotReset.is_on() {
            self.health = Some(Health::after_success(self.health, now));
        }
    }

    /// Records that an attempt failed.
    pub fn attempt_failed(&mut self, now: Timestamp) {
        self.health = Some(Health::after_failure(self.health, now));
        let quiet = self
            .last_failure
            .is_none_or(|last| now.saturating_duration_since(last) >= QUIET_DAY);
        if quiet || self.failing_since.is_none() {
            self.failing_since = Some(now);
        }
        if self
            .last_failure
            .is_none_or(|last| now.saturating_duration_since(last) >= LAST_FAILURE_STEP)
        {
            self.last_failure = Some(now);
        }
    }

    /// Records that a delivery failed for good: disables the webhook if it has been failing for too long.
    pub fn delivery_failed(&mut self, now: Timestamp, disable_after: Duration, revision: u64) {
        let for_too_long = |since: Timestamp| now.saturating_duration_since(since) >= disable_after;
        if self.failing_since.is_some_and(for_too_long) {
            self.disable(AutoDisableReason::Failing, now, revision);
        }
    }

    /// Records that the endpoint asked to wait. What adds less than a second is not stored again.
    pub fn wait(&mut self, now: Timestamp, wait: Duration) {
        let until = now.saturating_add(wait);
        let known = self.waits_until.unwrap_or_default();
        if until > known.saturating_add(WAIT_STEP) {
            self.waits_until = Some(until);
        }
    }

    /// Disables the webhook; an earlier reason is kept.
    pub fn disable(&mut self, reason: AutoDisableReason, now: Timestamp, revision: u64) {
        self.disabled.get_or_insert(AutoDisable {
            reason,
            at: now,
            revision,
        });
    }

    /// Applies new settings: a status that a person set after an automatic disable ends the disable, and another endpoint
    /// has not asked to wait. How the last attempts ended stays true.
    pub fn settings_changed(&mut self, known: &Settings, settings: &Settings) {
        if settings.url != known.url {
            self.waits_until = None;
        }
        if self
            .disabled
            .is_some_and(|disable| disable.revision < settings.status_revision)
        {
            *self = Self {
                health: self.health,
                ..Self::default()
            };
        }
    }

    /// What the workspace has to be told of the standing: a disable at once, failures once they have lasted a while.
    #[must_use]
    pub fn reportable(&self, now: Timestamp) -> ReportedStanding {
        let lasting =
            |since: &Timestamp| now.saturating_duration_since(*since) >= FAILING_TOLD_AFTER;
        ReportedStanding {
            disabled: self.disabled,
            failing_since: self.failing_since.filter(lasting),
            log_since: None,
            health: self.health,
        }
    }

    /// When the workspace has to be told that the webhook fails.
    #[must_use]
    pub fn failing_reportable_at(&self) -> Option<Timestamp> {
        self.failing_since
            .map(|since| since.saturating_add(FAILING_TOLD_AFTER))
    }
}

/// What the WorkspaceObject knows of a standing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportedStanding {
    /// Set when the relay disabled it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled: Option<AutoDisable>,
    /// The first failed attempt since the last success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing_since: Option<Timestamp>,
    /// Since when its log is whole, if anything was deleted for want of storage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_since: Option<Timestamp>,
    /// How attempts have been ending; objects of an earlier release leave it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
}

impl ReportedStanding {
    /// How long after the last telling a workspace that was told `told` has to be told this; none if it knows it. Of the
    /// health, another state is news, or another beginning of it, not each further failure.
    #[must_use]
    pub fn told_after(&self, told: &Self) -> Option<Duration> {
        let beside = |standing: &Self| Self {
            health: None,
            ..standing.clone()
        };
        if beside(self) != beside(told) {
            return Some(Duration::ZERO);
        }
        let state = |standing: &Self| HealthState::of(standing.health);
        let since = |standing: &Self| standing.health.map(|health| health.since);
        let is_known = state(self) == state(told) && since(self) == since(told);
        let begins_to_fail =
            state(self) == HealthState::Failing && state(told) != HealthState::Failing;
        match (is_known, begins_to_fail) {
            (true, _) => None,
            (false, true) => Some(HEALTH_TOLD_SOON),
            (false, false) => Some(HEALTH_TOLD_AFTER),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::webhook::tests::{at, webhook};

    #[test]
    fn a_webhook_is_disabled_when_a_delivery_fails_five_days_after_the_first_failure_and_not_by_the_clock()
     {
        let mut standing = Standing::default();
        for day in 0..5 {
            for hour in [0, 12, 23] {
                standing.attempt_failed(at(day * 86_400 + hour * 3_600));
            }
            standing.delivery_failed(at(day * 86_400), FIVE_DAYS, 1);
        }
        assert_eq!(standing.disabled, None);
        assert_eq!(standing.failing_since, Some(at(0)));
        standing.delivery_failed(at(5 * 86_400), FIVE_DAYS, 1);
        assert_eq!(
            standing.disabled.unwrap().reason,
            AutoDisableReason::Failing
        );
    }

    #[test]
    fn a_success_or_a_quiet_day_restarts_failing_since() {
        let mut standing = Standing::default();
        standing.attempt_failed(at(0));
        standing.attempt_succeeded(at(50));
        assert_eq!(standing.failing_since, None);
        standing.attempt_failed(at(100));
        standing.attempt_failed(at(100 + 86_400));
        assert_eq!(standing.failing_since, Some(at(100 + 86_400)));
    }

    #[test]
    fn failures_within_a_minute_change_nothing_that_is_stored_once_it_is_failing() {
        let mut standing = Standing::default();
        for failure in 0..3 {
            let stored = standing.clone();
            standing.attempt_failed(at(failure));
            assert!(standing.differs_from(&stored), "{failure}");
        }
        let stored = standing.clone();
        standing.attempt_failed(at(59));
        assert!(!standing.differs_from(&stored));
        standing.attempt_failed(at(60));
        assert!(standing.differs_from(&stored));
        assert_eq!(standing.health.unwrap().consecutive_failures, 5);
        assert_eq!(standing.last_failure, Some(at(60)));
    }

    #[test]
    fn a_success_after_another_changes_nothing() {
        let mut standing = Standing::default();
        standing.attempt_succeeded(at(0));
        let stored = standing.clone();
        standing.attempt_succeeded(at(86_400));
        assert_eq!(standing, stored);
    }

    #[test]
    fn a_workspace_is_told_another_state_and_at_once_if_it_is_failing() {
        let mut standing = Standing::default();
        let mut told = ReportedStanding::default();
        let mut after = Vec::new();
        for failure in 0..5 {
            standing.attempt_failed(at(failure));
            let reportable = standing.reportable(at(failure));
            after.push(reportable.told_after(&told).map(|wait| wait.as_secs()));
            told = reportable;
        }
        assert_eq!(after, [Some(10), None, Some(1), None, None]);
        standing.attempt_succeeded(at(9));
        standing.disable(AutoDisableReason::Gone, at(9), 1);
        let reportable = standing.reportable(at(9));
        assert_eq!(reportable.told_after(&told), Some(Duration::ZERO));
        told.disabled = reportable.disabled;
        assert_eq!(reportable.told_after(&told), Some(HEALTH_TOLD_AFTER));
        // It has failed three times again since.
        for failure in 10..13 {
            standing.attempt_failed(at(failure));
        }
        let again = standing.reportable(at(13));
        assert_eq!(again.told_after(&told), Some(HEALTH_TOLD_AFTER));
    }

    #[test]
    fn only_a_newer_word_on_the_status_ends_an_automatic_disable() {
        let mut standing = Standing::default();
        standing.disable(AutoDisableReason::Gone, at(1), 3);
        let mut settings = webhook().settings;
        let known = settings.clone();
        standing.settings_changed(&known, &settings);
        assert!(
            !standing.is_enabled(&settings),
            "a change of the description does not enable"
        );
        settings.revision = 4;
        settings.status_revision = 4;
        assert!(standing.is_enabled(&settings));
        standing.attempt_failed(at(2));
        let health = standing.health;
        standing.settings_changed(&known, &settings);
        let expected = Standing {
            health,
            ..Standing::default()
        };
        assert_eq!(standing, expected);
    }

    #[test]
    fn a_workspace_is_told_of_a_disable_at_once_and_of_failing_after_an_hour() {
        let mut standing = Standing::default();
        standing.attempt_failed(at(0));
        assert_eq!(standing.reportable(at(3_599)).failing_since, None);
        assert_eq!(standing.reportable(at(3_600)).failing_since, Some(at(0)));
        standing.disable(AutoDisableReason::Gone, at(1), 1);
        assert!(standing.reportable(at(1)).disabled.is_some());
    }

    const FIVE_DAYS: Duration = Duration::from_secs(5 * 86_400);
}
