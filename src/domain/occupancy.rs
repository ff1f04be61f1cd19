//! How many attempts are at an endpoint on average: how often they end, times how long they take (Little's law).
//!
//! A webhook whose leases are all out may be waiting for its endpoint, or for the relay itself. In the first case many of
//! the attempts are at the endpoint; in the second few are, and the others wait to begin or to be reported.

use std::time::Duration;

use super::timestamp::Timestamp;

/// The mean is taken over one to two windows.
const WINDOW: Duration = Duration::from_millis(500);

/// If no attempt has ended for so long, all are at the endpoint.
const LATELY: Duration = Duration::from_millis(250);

/// The attempts that ended lately, and how long they took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Occupancy {
    /// When the present window began, and the time that its attempts took.
    began: Timestamp,
    taken: Duration,
    /// The time that those of the window before took.
    taken_before: Duration,
    last_end: Option<Timestamp>,
}

impl Occupancy {
    /// Takes note of an attempt that took so long.
    pub fn attempt_ended(&mut self, took: Duration, now: Timestamp) {
        let passed = now.saturating_duration_since(self.began);
        let is_put_back = now < self.began;
        if passed >= WINDOW || is_put_back {
            // After a pause, what was before it says nothing.
            let is_next = passed < WINDOW.saturating_mul(2) && !is_put_back;
            self.taken_before = if is_next { self.taken } else { Duration::ZERO };
            self.taken = Duration::ZERO;
            self.began = now;
        }
        self.taken = self.taken.saturating_add(took);
        self.last_end = Some(now);
    }

    /// Whether the endpoint answers, and fewer than half of the attempts that may be under way are at it.
    #[must_use]
    pub fn is_low(&self, slots: usize, now: Timestamp) -> bool {
        let is_lately = |end| now >= end && now.saturating_duration_since(end) < LATELY;
        if !self.last_end.is_some_and(is_lately) {
            return false;
        }
        let passed = now.saturating_duration_since(self.began);
        let passed = passed.saturating_add(WINDOW).as_millis();
        let taken = self.taken.saturating_add(self.taken_before).as_millis();
        let slots = u128::try_from(slots).unwrap_or(u128::MAX);
        taken.saturating_mul(2) < passed.saturating_mul(slots)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_that_answers_at_once_is_occupied_by_few() {
        assert!(after(1000, 50, 5).is_low(50, at(1000)));
    }

    #[test]
    fn an_endpoint_that_takes_its_time_is_occupied_by_as_many_as_may_be() {
        // 50 at a time that take 300 ms, and 20 ms to be reported.
        assert!(!after(3200, 50, 300).is_low(50, at(3200)));
    }

    #[test]
    fn an_endpoint_that_does_not_answer_is_not_taken_for_a_fast_one() {
        assert!(!Occupancy::default().is_low(50, at(0)));
        let occupancy = after(1000, 50, 5);
        assert!(occupancy.is_low(50, at(1249)));
        assert!(!occupancy.is_low(50, at(1250)));
    }

    #[test]
    fn what_was_before_a_pause_says_nothing() {
        let mut occupancy = after(3200, 50, 300);
        occupancy.attempt_ended(Duration::from_millis(5), at(60_000));
        assert!(occupancy.is_low(50, at(60_000)));
    }

    #[test]
    fn a_clock_that_is_put_back_does_not_count_for_long() {
        let mut occupancy = after(100_000, 50, 300);
        assert!(!occupancy.is_low(50, at(1000)));
        occupancy.attempt_ended(Duration::from_millis(5), at(1000));
        assert!(occupancy.is_low(50, at(1000)));
    }

    /// So many at a time, each of which takes so long and 20 ms to be reported, until a time.
    fn after(until: i64, at_a_time: usize, took: i64) -> Occupancy {
        let mut occupancy = Occupancy::default();
        let mut now = until % (took + 20);
        while now <= until {
            for _ in 0..at_a_time {
                let took = Duration::from_millis(took.unsigned_abs());
                occupancy.attempt_ended(took, at(now));
            }
            now += took + 20;
        }
        occupancy
    }

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(1_000_000 + millis)
    }
}
