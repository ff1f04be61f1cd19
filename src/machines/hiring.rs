//! Hiring Senders: which leases, and how many, go to one Sender ([`Crew`]), how many are hired by one alarm, and what happens if hiring fails.
//!
//! Only an object's alarm hires. It asks [`Hiring::means`] by what means attempts are made, fills a [`Crew`] with the
//! leases of what is due, commits them, hires a Sender for each group, and says with [`Hiring::answered`] how that went.
//!
//! Invariants: a Sender gets at most as many leases as it may have connections, and bytes as it may hold; a delivery that
//! lost a lease shares a Sender only with its like; whatever the platform answers, attempts go on: after three rounds in
//! a row in which each hire was refused, the alarm makes them itself.

use std::time::Duration;

use crate::domain::{
    backoff::Backoff, dispatch::WORKER_LEASES, queue::Company, timestamp::Timestamp,
};

/// Senders that one alarm hires at most; the next alarm hires more. The platform limits the requests of an invocation.
pub const HIRES_LIMIT: usize = 30;

/// Bytes of payload that one Sender gets at most, if it gets more than one delivery.
pub const SENDER_BYTES: u64 = 4 * 1024 * 1024;

/// Refused rounds in a row after which the alarm makes attempts itself.
const REFUSALS_LIMIT: u32 = 3;

/// The wait after the first refused round.
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// The wait after many refused rounds in a row.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// By what means an alarm has attempts made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Means {
    /// It hires at most so many Senders.
    Hire {
        /// How many.
        at_most: usize,
    },
    /// It waits: hiring has failed a moment ago.
    Wait {
        /// Until when.
        until: Timestamp,
    },
    /// It makes them itself: hiring fails again and again.
    ByItself {
        /// When hiring is tried again.
        until: Timestamp,
    },
}

/// How hiring goes.
#[derive(Debug)]
pub struct Hiring {
    refused_in_a_row: u32,
    backoff: Backoff,
    again_at: Timestamp,
}

impl Default for Hiring {
    fn default() -> Self {
        Self {
            refused_in_a_row: 0,
            backoff: Backoff::new(FIRST_WAIT, LONGEST_WAIT),
            again_at: Timestamp::default(),
        }
    }
}

impl Hiring {
    /// By what means attempts are made at this time. `requests` is how many the invocation may make.
    #[must_use]
    pub fn means(&self, now: Timestamp, requests: usize) -> Means {
        if self.refused_in_a_row == 0 {
            let at_most = HIRES_LIMIT.min(requests);
            return Means::Hire { at_most };
        }
        let until = self.again_at;
        // A wait that is longer than any was begun before the clock was put back.
        if until <= now || until.saturating_duration_since(now) > LONGEST_WAIT {
            Means::Hire { at_most: 1 }
        } else if self.refused_in_a_row < REFUSALS_LIMIT {
            Means::Wait { until }
        } else {
            Means::ByItself { until }
        }
    }

    /// When an alarm is of use for what can be done at a time.
    #[must_use]
    pub fn wake(&self, time: Timestamp, now: Timestamp) -> Timestamp {
        match self.means(now, HIRES_LIMIT) {
            Means::Wait { until } => time.max(until),
            Means::Hire { .. } | Means::ByItself { .. } => time,
        }
    }

    /// Records how many hires of an alarm succeeded, and how many were refused.
    pub fn answered(&mut self, hired: usize, refused: usize, now: Timestamp) {
        if hired > 0 {
            self.refused_in_a_row = 0;
            self.backoff.succeeded();
        }
        if refused > 0 {
            self.refused_in_a_row = self.refused_in_a_row.saturating_add(1);
            self.again_at = now.saturating_add(self.backoff.failed());
        }
    }
}

/// The Senders that one alarm hires, while they are given their leases.
#[derive(Debug)]
pub struct Crew {
    senders: Vec<Load>,
    size: usize,
    seats: usize,
}

#[derive(Debug)]
struct Load {
    company: Company,
    deliveries: usize,
    bytes: u64,
}

impl Crew {
    /// A crew of at most `size` Senders, each of which may make `requests` requests.
    #[must_use]
    pub fn new(size: usize, requests: usize) -> Self {
        Self {
            senders: Vec::new(),
            size,
            seats: WORKER_LEASES.min(requests),
        }
    }

    /// Gives a delivery to a Sender, by the Sender's number from 0; none if the crew is full.
    pub fn seat(&mut self, company: Company, bytes: u64) -> Option<usize> {
        let seats = self.seats;
        let fits = |load: &Load| {
            company != Company::Alone
                && load.company == company
                && load.deliveries < seats
                && load.bytes.saturating_add(bytes) <= SENDER_BYTES
        };
        let number = match self.senders.iter().position(fits) {
            Some(number) => number,
            None if self.senders.len() < self.size => {
                self.senders.push(Load {
                    company,
                    deliveries: 0,
                    bytes: 0,
                });
                self.senders.len().saturating_sub(1)
            }
            None => return None,
        };
        let load = self.senders.get_mut(number)?;
        load.deliveries = load.deliveries.saturating_add(1);
        load.bytes = load.bytes.saturating_add(bytes);
        Some(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUESTS: usize = 50;

    #[test]
    fn a_sender_gets_six_leases_and_the_next_ones_go_to_another() {
        let mut crew = Crew::new(2, REQUESTS);
        let seats: Vec<_> = (0..13)
            .map(|_| crew.seat(Company::Unsuspected, 100))
            .collect();
        assert_eq!(seats.iter().filter(|seat| **seat == Some(0)).count(), 6);
        assert_eq!(seats.iter().filter(|seat| **seat == Some(1)).count(), 6);
        assert_eq!(seats.last(), Some(&None), "the crew is full");
    }

    #[test]
    fn a_sender_gets_no_more_leases_than_it_may_make_requests() {
        let mut crew = Crew::new(2, 2);
        let seats = [(); 4].map(|()| crew.seat(Company::Unsuspected, 1));
        assert_eq!(seats, [Some(0), Some(0), Some(1), Some(1)]);
    }

    #[test]
    fn a_sender_gets_at_most_4_mebibytes_but_at_least_one_delivery() {
        let mut crew = Crew::new(9, REQUESTS);
        let seat = |crew: &mut Crew, bytes| crew.seat(Company::Unsuspected, bytes);
        assert_eq!(SENDER_BYTES, 4_194_304);
        assert_eq!(seat(&mut crew, SENDER_BYTES - 1), Some(0));
        assert_eq!(seat(&mut crew, 1), Some(0));
        assert_eq!(seat(&mut crew, 1), Some(1));
        assert_eq!(seat(&mut crew, SENDER_BYTES + 1), Some(2));
    }

    #[test]
    fn what_lost_a_lease_shares_a_sender_only_with_its_like_and_after_two_with_nobody() {
        let mut crew = Crew::new(9, REQUESTS);
        let companies = [
            Company::Unsuspected,
            Company::Suspects,
            Company::Alone,
            Company::Alone,
            Company::Suspects,
            Company::Unsuspected,
        ];
        let seats = companies.map(|company| crew.seat(company, 1).unwrap());
        assert_eq!(seats, [0, 1, 2, 3, 1, 0]);
    }

    #[test]
    fn an_alarm_hires_30_at_most_and_no_more_than_it_may_make_requests() {
        let hiring = Hiring::default();
        assert_eq!(hiring.means(at(0), REQUESTS), Means::Hire { at_most: 30 });
        assert_eq!(hiring.means(at(0), 3), Means::Hire { at_most: 3 });
    }

    #[test]
    fn refused_hires_are_tried_again_one_at_a_time_ever_later_and_after_three_the_alarm_sends() {
        let mut hiring = Hiring::default();
        hiring.answered(0, 30, at(0));
        assert_eq!(hiring.means(at(0), REQUESTS), Means::Wait { until: at(1) });
        assert_eq!(
            hiring.wake(at(0), at(0)),
            at(1),
            "no alarm is of use before"
        );
        assert_eq!(hiring.means(at(1), REQUESTS), Means::Hire { at_most: 1 });
        hiring.answered(0, 1, at(1));
        assert_eq!(hiring.means(at(2), REQUESTS), Means::Wait { until: at(3) });
        hiring.answered(0, 1, at(3));
        let by_itself = Means::ByItself { until: at(7) };
        assert_eq!(hiring.means(at(3), REQUESTS), by_itself);
        assert_eq!(hiring.wake(at(3), at(3)), at(3));
        let mut now = at(7);
        for _ in 0..10 {
            assert_eq!(hiring.means(now, REQUESTS), Means::Hire { at_most: 1 });
            hiring.answered(0, 1, now);
            let Means::ByItself { until } = hiring.means(now, REQUESTS) else {
                panic!("it has attempts made by no one");
            };
            assert!(until.saturating_duration_since(now) <= LONGEST_WAIT);
            now = until;
        }
    }

    #[test]
    fn one_success_ends_the_refusals() {
        let mut hiring = Hiring::default();
        for _ in 0..5 {
            hiring.answered(0, 1, at(0));
        }
        hiring.answered(1, 0, at(100));
        assert_eq!(hiring.means(at(100), REQUESTS), Means::Hire { at_most: 30 });
        hiring.answered(29, 1, at(200));
        assert_eq!(
            hiring.means(at(200), REQUESTS),
            Means::Wait { until: at(201) }
        );
    }

    #[test]
    fn a_clock_that_is_put_back_does_not_stop_hiring() {
        let mut hiring = Hiring::default();
        hiring.answered(0, 1, at(10_000));
        assert_eq!(hiring.means(at(0), REQUESTS), Means::Hire { at_most: 1 });
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }
}
