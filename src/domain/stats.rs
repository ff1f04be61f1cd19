//! The outcomes of a webhook's events, hour by hour: counts, and how long endpoints took.
//!
//! Counting costs no row per delivery: attempts are counted in memory and folded into one row an hour by the alarm that
//! runs anyway. What memory has lost is counted again from the deliveries since the last fold.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    attempt::Attempt,
    delivery::{Change, Delivery, FailedReason, Kind, State},
    ids::DeliveryId,
    timestamp::Timestamp,
    webhook::LastAttempts,
};

/// Hours that can be asked for: 30 days.
pub const HOURS_LIMIT: u32 = 720;

const HOUR_SECONDS: i64 = 60 * 60;

/// The hour of a time, counted from 1970.
#[must_use]
pub fn hour_of(time: Timestamp) -> i64 {
    time.as_seconds().div_euclid(HOUR_SECONDS)
}

/// The first moment of an hour.
#[must_use]
pub fn start_of(hour: i64) -> Timestamp {
    Timestamp::from_millis(hour.saturating_mul(HOUR_SECONDS).saturating_mul(1000))
}

/// One hour's counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HourCounts {
    /// Deliveries that ended delivered.
    pub delivered: u64,
    /// Deliveries that ended failed.
    pub failed: u64,
    /// Attempts that ended.
    pub attempts: u64,
    /// The number of attempts by their duration in milliseconds, rounded to two digits.
    pub durations: BTreeMap<u64, u64>,
}

impl HourCounts {
    /// Adds other counts of the same hour.
    pub fn add(&mut self, other: &Self) {
        self.delivered = self.delivered.saturating_add(other.delivered);
        self.failed = self.failed.saturating_add(other.failed);
        self.attempts = self.attempts.saturating_add(other.attempts);
        for (duration, count) in &other.durations {
            let total = self.durations.entry(*duration).or_default();
            *total = total.saturating_add(*count);
        }
    }

    /// The duration, in milliseconds, that `percent` of the attempts did not exceed; `None` without attempts.
    #[must_use]
    pub fn percentile(&self, percent: u64) -> Option<u64> {
        let total: u64 = self
            .durations
            .values()
            .fold(0, |sum, count| sum.saturating_add(*count));
        let wanted = total.saturating_mul(percent).div_ceil(100);
        let mut seen: u64 = 0;
        self.durations
            .iter()
            .find(|(_, count)| {
                seen = seen.saturating_add(**count);
                seen >= wanted
            })
            .map(|(duration, _)| *duration)
    }
}

/// The counts that are not folded yet, by hour.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    hours: BTreeMap<i64, HourCounts>,
    /// Up to when all is folded; deliveries made later can be counted again from their rows.
    folded_through: Timestamp,
    /// Whether an attempt was counted that ended before that, or whose delivery was made before.
    has_older: bool,
    /// The latest end of a counted attempt, by the clock of who made it.
    last_ended: Timestamp,
    /// The last attempts of all, folded or not.
    last: LastAttempts,
}

impl Counts {
    /// Starts with nothing counted since a fold, up to which these were the last attempts.
    #[must_use]
    pub fn since(folded_through: Timestamp, last: LastAttempts) -> Self {
        Self {
            folded_through,
            last,
            ..Self::default()
        }
    }

    /// Up to when all is folded.
    #[must_use]
    pub const fn folded_through(&self) -> Timestamp {
        self.folded_through
    }

    /// When an attempt last succeeded, and when one last failed.
    #[must_use]
    pub const fn last(&self) -> LastAttempts {
        self.last
    }

    /// Counts an attempt of an event, and its delivery if it ended with that attempt.
    pub fn count(
        &mut self,
        ended_at: Timestamp,
        id: &DeliveryId,
        attempt: &Attempt,
        change: Change,
    ) {
        let attempt_ended = attempt.ended_at();
        self.has_older |=
            id.minted_at() < self.folded_through || attempt_ended <= self.folded_through;
        self.last_ended = self.last_ended.max(attempt_ended);
        self.last = self.last.with(attempt);
        let hour = self.hours.entry(hour_of(ended_at)).or_default();
        hour.attempts = hour.attempts.saturating_add(1);
        let duration = hour
            .durations
            .entry(round(attempt.duration_ms))
            .or_default();
        *duration = duration.saturating_add(1);
        match change {
            Change::Delivered => hour.delivered = hour.delivered.saturating_add(1),
            Change::Failed(_) => hour.failed = hour.failed.saturating_add(1),
            Change::None | Change::Rescheduled | Change::DueAgain => {}
        }
    }

    /// The hours that have counts.
    pub fn hours(&self) -> impl Iterator<Item = (i64, &HourCounts)> {
        self.hours.iter().map(|(hour, counts)| (*hour, counts))
    }

    /// One hour's counts.
    #[must_use]
    pub fn hour(&self, hour: i64) -> Option<&HourCounts> {
        self.hours.get(&hour)
    }

    /// Whether an attempt was counted that would be lost with the memory.
    #[must_use]
    pub const fn has_older(&self) -> bool {
        self.has_older
    }

    /// Whether it is time to fold: after some attempts, or one that would be lost with the memory.
    #[must_use]
    pub fn should_fold(&self, attempts: u64) -> bool {
        let counted = self.hours.values().map(|hour| hour.attempts);
        self.has_older || counted.fold(0, u64::saturating_add) >= attempts
    }

    /// Up to when all is folded once these counts are. Who made an attempt may have a clock that is ahead, and what is
    /// folded must not be counted again.
    #[must_use]
    pub fn fold_through(&self, now: Timestamp) -> Timestamp {
        now.max(self.last_ended).max(self.folded_through)
    }

    /// Forgets what was just folded, up to a time.
    pub fn fold(&mut self, through: Timestamp) {
        *self = Self::since(through, self.last);
    }

    /// Counts again, from a stored delivery, the attempts that were not folded.
    pub fn recount(&mut self, id: &DeliveryId, delivery: &Delivery, attempts: &[Attempt]) {
        if delivery.kind() != Kind::Event {
            return;
        }
        for (index, attempt) in attempts.iter().enumerate() {
            let ended_at = attempt.ended_at();
            let is_last = index.saturating_add(1) == attempts.len();
            let change = match delivery.state() {
                State::Delivered { .. } if is_last => Change::Delivered,
                State::Failed { reason, .. } if is_last && reason != FailedReason::Cancelled => {
                    Change::Failed(reason)
                }
                State::Scheduled { .. }
                | State::Leased { .. }
                | State::Held
                | State::Delivered { .. }
                | State::Failed { .. } => Change::Rescheduled,
            };
            if ended_at > self.folded_through {
                self.count(ended_at, id, attempt, change);
            }
        }
    }
}

/// Rounds to two digits, so that an hour has a few hundred different durations at most.
fn round(duration_ms: u64) -> u64 {
    let digits = duration_ms.checked_ilog10().unwrap_or_default();
    let step = 10_u64.saturating_pow(digits.saturating_sub(1));
    duration_ms
        .checked_div(step)
        .unwrap_or_default()
        .saturating_mul(step)
}

#[cfg(test)]
mod tests {
    use std::slice;

    use super::*;
    use crate::domain::{delivery::Report, outcome::Outcome, policy::Policy};

    #[test]
    fn the_stored_form_is_pinned() {
        let mut counts = Counts::default();
        counts.count(start_of(3), &id(), &took(1234), Change::Delivered);
        let stored = r#"{"delivered":1,"failed":0,"attempts":1,"durations":{"1200":1}}"#;
        assert_eq!(
            serde_json::to_string(counts.hour(3).unwrap()).unwrap(),
            stored
        );
        assert_eq!(
            &serde_json::from_str::<HourCounts>(stored).unwrap(),
            counts.hour(3).unwrap()
        );
    }

    #[test]
    fn a_delivery_counts_where_it_ends_and_each_attempt_where_it_ended() {
        let mut counts = Counts::default();
        counts.count(start_of(1), &id(), &took(10), Change::Rescheduled);
        counts.count(
            start_of(2),
            &id(),
            &took(10),
            Change::Failed(FailedReason::ScheduleSpent),
        );
        let counts = |hour| {
            counts
                .hour(hour)
                .map(|counts| (counts.attempts, counts.delivered, counts.failed))
        };
        assert_eq!(
            (counts(1), counts(2), counts(3)),
            (Some((1, 0, 0)), Some((1, 0, 1)), None)
        );
    }

    #[test]
    fn percentiles_are_of_the_attempts() {
        let mut counts = Counts::default();
        for duration in 1..=100 {
            counts.count(start_of(0), &id(), &took(duration), Change::Delivered);
        }
        let hour = counts.hour(0).unwrap();
        assert_eq!(
            (hour.percentile(50), hour.percentile(95)),
            (Some(50), Some(95))
        );
        assert_eq!(HourCounts::default().percentile(50), None);
        let mut twice = hour.clone();
        twice.add(hour);
        assert_eq!((twice.attempts, twice.percentile(95)), (200, Some(95)));
    }

    #[test]
    fn durations_keep_two_digits() {
        assert_eq!(
            [0, 9, 99, 100, 109, 119, 9_999, 10_001].map(round),
            [0, 9, 99, 100, 100, 110, 9_900, 10_000]
        );
    }

    #[test]
    fn counts_are_folded_when_there_are_many_and_when_memory_alone_has_them() {
        let made_at =
            |seconds: i64| DeliveryId::mint(Timestamp::from_millis(seconds * 1000), [1; 10]);
        let now = Timestamp::from_millis(103_000);
        let mut counts = Counts::since(Timestamp::from_millis(100_000), none());
        let attempt = at(101_000, 1);
        counts.count(now, &made_at(100), &attempt, Change::Delivered);
        assert!(counts.should_fold(1) && !counts.should_fold(2) && !counts.has_older());
        counts.count(now, &made_at(99), &attempt, Change::Delivered);
        assert!(
            counts.should_fold(9) && counts.has_older(),
            "a restart would not find it again"
        );
        counts.fold(now);
        assert_eq!(counts, Counts::since(now, counts.last()));
        assert_eq!(counts.last().success, Some(attempt.ended_at()), "it stays");
    }

    #[test]
    fn an_attempt_that_ended_by_a_clock_ahead_is_folded_once() {
        let now = Timestamp::from_millis(103_000);
        let attempt = at(103_500, 100);
        let mut counts = Counts::default();
        counts.count(now, &id(), &attempt, Change::Delivered);
        let through = counts.fold_through(now);
        counts.fold(through);
        counts.recount(&id(), &cancelled(), slice::from_ref(&attempt));
        let folded = Counts::since(through, counts.last());
        assert_eq!(counts, folded, "it is counted already");
        counts.count(now, &id(), &at(103_400, 100), Change::Delivered);
        assert!(counts.has_older(), "a restart would not count it again");
    }

    #[test]
    fn only_the_last_attempt_of_a_delivery_ends_it_when_it_is_counted_again() {
        let (delivered, failed) = (
            ended(Outcome::Succeeded, 200),
            ended(Outcome::HttpError, 410),
        );
        for (delivery, ends) in [(delivered, (1, 0)), (failed, (0, 1))] {
            let mut counts = Counts::default();
            counts.recount(&id(), &delivery, &[took(1), took(2)]);
            let hour = counts.hour(0).unwrap();
            assert_eq!((hour.delivered, hour.failed), ends);
            assert_eq!(hour.attempts, 2);
        }
    }

    #[test]
    fn an_hour_has_3600_seconds_before_1970_too() {
        let hours = [-1, 0, 3_599_999, 3_600_000].map(|millis| {
            let time = Timestamp::from_millis(millis);
            hour_of(time)
        });
        assert_eq!(hours, [-1, 0, 0, 1]);
        assert_eq!(start_of(2).as_millis(), 7_200_000);
    }

    #[test]
    fn what_was_not_folded_is_counted_again_from_the_rows() {
        let delivery = cancelled();
        let mut counts = Counts::since(Timestamp::from_millis(15), none());
        let log = [at(10, 1), at(10, 5), at(10, 10), at(20, 1)];
        counts.recount(&id(), &delivery, &log);
        let hour = counts.hour(0).unwrap();
        assert_eq!(
            (hour.attempts, hour.failed),
            (2, 0),
            "the first two were folded, and cancelling is no attempt"
        );
        let mut ping = Counts::default();
        ping.recount(
            &id(),
            &Delivery::due(Kind::Ping, Timestamp::from_millis(0)),
            &[at(10, 1)],
        );
        assert_eq!(ping, Counts::default());
    }

    fn none() -> LastAttempts {
        LastAttempts::default()
    }

    fn ended(outcome: Outcome, status: u16) -> Delivery {
        let (now, policy) = (Timestamp::default(), Policy::parse(|_| None).unwrap());
        let mut delivery = Delivery::due(Kind::Event, now);
        let lease = delivery.lease(now, &policy).unwrap();
        let report = Report {
            lease,
            outcome,
            response_status: Some(status),
            retry_after: None,
        };
        delivery.report(now, &policy, &report);
        assert!(delivery.is_settled());
        delivery
    }

    fn id() -> DeliveryId {
        DeliveryId::mint(Timestamp::from_millis(0), [0; 10])
    }

    fn at(millis: i64, duration_ms: u64) -> Attempt {
        Attempt {
            started_at: Timestamp::from_millis(millis),
            ..took(duration_ms)
        }
    }

    fn cancelled() -> Delivery {
        let mut delivery = Delivery::due(Kind::Event, Timestamp::from_millis(0));
        delivery.cancel(Timestamp::from_millis(1)).unwrap();
        delivery
    }

    fn took(duration_ms: u64) -> Attempt {
        let at = Timestamp::from_millis(0);
        Attempt {
            duration_ms,
            outcome: Outcome::Succeeded,
            ..Attempt::lost(1, at, at)
        }
    }
}
