//! How long a sender goes on: when it may begin a POST, and how many leases it asks for.
//!
//! The platform ends an invocation some time after its answer, whatever it is doing. A sender that is ended in the middle
//! of an attempt loses the lease, so it stops early enough to report every attempt that it has begun.

use std::time::Duration;

use crate::{
    domain::{dispatch::LEASED_AHEAD, policy::Policy, timestamp::Timestamp},
    mutants::Mutant,
};

/// How long the platform lets an invocation run on after its answer.
const INVOCATION_TIME: Duration = Duration::from_secs(30);

/// How long reporting takes at most, after the attempt.
const REPORT_TIME: Duration = Duration::from_secs(5);

/// How long it may take to ask for leases.
const ASKING_TIME: Duration = Duration::from_secs(2);

/// The shift of one sender.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "test-hooks", derive(serde::Serialize, serde::Deserialize))]
pub struct Shift {
    begins_by: Timestamp,
    goes_on: bool,
}

impl Shift {
    /// The shift of an invocation that began at a time.
    #[must_use]
    pub fn of_invocation(began: Timestamp, policy: &Policy) -> Self {
        let needed = policy.attempt_timeout.saturating_add(REPORT_TIME);
        Self {
            begins_by: began.saturating_add(INVOCATION_TIME.saturating_sub(needed)),
            goes_on: true,
        }
    }

    /// The shift of a sender that is not ended by the platform, and begins no POST after a time.
    #[must_use]
    pub const fn until(begins_by: Timestamp) -> Self {
        Self {
            begins_by,
            goes_on: true,
        }
    }

    /// The same with only the leases that the sender begins with, unless `goes_on`.
    #[must_use]
    pub const fn going_on(self, goes_on: bool) -> Self {
        Self {
            goes_on: self.goes_on && goes_on,
            ..self
        }
    }

    /// Whether the POST of a lease may begin: it has to end before the lease does, if it is known when that is.
    #[must_use]
    pub fn may_begin(
        &self,
        now: Timestamp,
        lease_ends: Option<Timestamp>,
        policy: &Policy,
    ) -> bool {
        let ends_by = now.saturating_add(policy.attempt_timeout);
        if Mutant::SenderBeginsTooLate.is_on() {
            return true;
        }
        now <= self.begins_by && lease_ends.is_none_or(|lease_ends| ends_by <= lease_ends)
    }

    /// How long leases that are asked for now may make it wait before their attempts begin.
    #[must_use]
    pub fn ahead(&self, now: Timestamp) -> Duration {
        let left = self.begins_by.saturating_duration_since(now);
        left.saturating_sub(ASKING_TIME).min(LEASED_AHEAD)
    }

    /// How many further leases to ask for in a report of so many attempts.
    #[must_use]
    pub fn leases_wanted(&self, now: Timestamp, reported: usize) -> usize {
        if self.goes_on && now <= self.begins_by {
            reported
        } else {
            0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_post_begins_that_could_not_be_reported_within_the_30_seconds_of_an_invocation() {
        let shift = Shift::of_invocation(at(100), &policy());
        let may_begin = |seconds| shift.may_begin(at(seconds), None, &policy());
        assert!(may_begin(100) && may_begin(100 + 30 - 10 - 5));
        assert!(!may_begin(100 + 30 - 10 - 5 + 1));
    }

    #[test]
    fn no_post_begins_that_could_outlast_its_lease() {
        let shift = Shift::of_invocation(at(0), &policy());
        assert!(shift.may_begin(at(5), Some(at(15)), &policy()));
        assert!(!shift.may_begin(at(6), Some(at(15)), &policy()));
    }

    #[test]
    fn a_sender_asks_for_as_many_leases_as_it_has_used_while_there_is_time() {
        let shift = Shift::until(at(4));
        assert_eq!(shift.leases_wanted(at(4), 3), 3);
        assert_eq!(shift.leases_wanted(at(5), 3), 0);
        assert_eq!(shift.going_on(false).leases_wanted(at(0), 3), 0);
    }

    #[test]
    fn it_waits_only_for_attempts_that_it_may_still_begin() {
        let shift = Shift::of_invocation(at(0), &policy());
        let ahead = |seconds| shift.ahead(at(seconds)).as_secs();
        assert_eq!(
            [ahead(0), ahead(5), ahead(12), ahead(14), ahead(20)],
            [10, 8, 1, 0, 0]
        );
    }

    fn policy() -> Policy {
        Policy::parse(|_| None).unwrap()
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }
}
