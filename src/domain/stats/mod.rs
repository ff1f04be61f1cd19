//! The outcomes of a webhook's events, hour by hour: counts, and how long endpoints took.
//!
//! Counting costs no row per delivery: attempts are counted in memory and folded into one row an hour by the alarm that
//! runs anyway. What memory has lost is counted again from the deliveries since the last fold.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{
    attempt::Attempt,
    delivery::{Change, Delivery, End, Kind},
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
#[serde(from = "StoredCounts")]
pub struct HourCounts {
    /// Deliveries that ended delivered, and have not ended again since.
    pub delivered: u64,
    /// Deliveries that ended failed, and have not ended again since.
    pub failed: u64,
    /// Attempts that ended.
    pub attempts: u64,
    /// Of these, the ones that failed.
    pub failed_attempts: u64,
    /// The number of attempts by their duration in milliseconds, rounded to two digits.
    pub durations: BTreeMap<u64, u64>,
}

/// The same as an earlier release may have stored or sent it.
#[derive(Deserialize)]
struct StoredCounts {
    delivered: u64,
    failed: u64,
    attempts: u64,
    failed_attempts: Option<u64>,
    durations: BTreeMap<u64, u64>,
}

impl From<StoredCounts> for HourCounts {
    fn from(stored: StoredCounts) -> Self {
        // That release counted each attempt that succeeded as a delivery that ended delivered.
        let failed = stored.attempts.saturating_sub(stored.delivered);
        Self {
            delivered: stored.delivered,
            failed: stored.failed,
            attempts: stored.attempts,
            failed_attempts: stored.failed_attempts.unwrap_or(failed),
            durations: stored.durations,
        }
    }
}

impl HourCounts {
    /// Adds other counts of the same hour.
    pub fn add(&mut self, other: &Self) {
        self.delivered = self.delivered.saturating_add(other.delivered);
        self.failed = self.failed.saturating_add(other.failed);
        self.attempts = self.attempts.saturating_add(other.attempts);
        self.failed_attempts = self.failed_attempts.saturating_add(other.failed_attempts);
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

/// How many deliveries ended in each way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Ends {
    delivered: u64,
    failed: u64,
}

impl Ends {
    const fn count(&mut self, is_delivered: bool) {
        if is_delivered {
            self.delivered = self.delivered.saturating_add(1);
        } else {
            self.failed = self.failed.saturating_add(1);
        }
    }
}

/// The counts that are not folded yet, by hour.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    hours: BTreeMap<i64, HourCounts>,
    /// Deliveries that have ended again, by the hour in which they had ended: what they were counted as there.
    ended_again: BTreeMap<i64, Ends>,
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

    /// Counts an attempt of an event, and its delivery if it ended with that attempt. If the delivery had ended `before`, it
    /// counts there no longer.
    pub fn count(
        &mut self,
        ended_at: Timestamp,
        id: &DeliveryId,
        attempt: &Attempt,
        change: Change,
        before: Option<End>,
    ) {
        let is_delivered = match change {
            Change::Delivered => Some(true),
            Change::Failed(_) => Some(false),
            Change::None | Change::Rescheduled | Change::DueAgain => None,
        };
        let end = is_delivered.map(|is_delivered| (ended_at, is_delivered));
        self.count_attempt(ended_at, id, attempt);
        if let Some(end) = end {
            self.count_end(end);
            if let Some(before) = before {
                let ends = self.ended_again.entry(hour_of(before.at)).or_default();
                ends.count(before.is_delivered);
            }
        }
    }

    fn count_attempt(&mut self, ended_at: Timestamp, id: &DeliveryId, attempt: &Attempt) {
        let attempt_ended = attempt.ended_at();
        self.has_older |= self.is_older(id, attempt);
        self.last_ended = self.last_ended.max(attempt_ended);
        self.last = self.last.with(attempt);
        let hour = self.hours.entry(hour_of(ended_at)).or_default();
        hour.attempts = hour.attempts.saturating_add(1);
        if !attempt.outcome.is_success() {
            hour.failed_attempts = hour.failed_attempts.saturating_add(1);
        }
        let duration = hour
            .durations
            .entry(round(attempt.duration_ms))
            .or_default();
        *duration = duration.saturating_add(1);
    }

    fn count_end(&mut self, (at, is_delivered): (Timestamp, bool)) {
        let hour = self.hours.entry(hour_of(at)).or_default();
        let mut ends = Ends {
            delivered: hour.delivered,
            failed: hour.failed,
        };
        ends.count(is_delivered);
        (hour.delivered, hour.failed) = (ends.delivered, ends.failed);
    }

    /// The hours whose counts are not all folded, oldest first.
    pub fn hours(&self) -> impl Iterator<Item = i64> {
        let hours = self.hours.keys().chain(self.ended_again.keys());
        hours.copied().collect::<BTreeSet<_>>().into_iter()
    }

    /// One hour's counts, with those that are folded.
    #[must_use]
    pub fn hour(&self, hour: i64, folded: Option<HourCounts>) -> HourCounts {
        let mut sum = folded.unwrap_or_default();
        if let Some(counts) = self.hours.get(&hour) {
            sum.add(counts);
        }
        if let Some(again) = self.ended_again.get(&hour) {
            sum.delivered = sum.delivered.saturating_sub(again.delivered);
            sum.failed = sum.failed.saturating_sub(again.failed);
        }
        sum
    }

    /// Whether an attempt would be lost with the memory if it was counted.
    #[must_use]
    pub fn is_older(&self, id: &DeliveryId, attempt: &Attempt) -> bool {
        id.minted_at() < self.folded_through || attempt.ended_at() <= self.folded_through
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
        let end = delivery.last_end();
        // Those after it were made since a resend, and have higher numbers.
        let ended_by = end.and_then(|end| {
            let mut attempts = attempts.iter();
            attempts.rposition(|attempt| attempt.attempt <= end.attempt)
        });
        for (index, attempt) in attempts.iter().enumerate() {
            let ended_at = attempt.ended_at();
            if ended_at <= self.folded_through {
                continue;
            }
            self.count_attempt(ended_at, id, attempt);
            if let Some(end) = end.filter(|_| ended_by == Some(index)) {
                self.count_end((end.at, end.is_delivered));
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
