//! When an object's copy is put to KV: one put at a time, so that a slow one does not overtake a newer one, and a second
//! apart.
//!
//! A put that takes too long or fails, or that an earlier life of the object began, may still arrive after a newer one.
//! Then the present content is put, and once more a minute later, when nothing old is on its way any longer.

use std::time::Duration;

use crate::domain::timestamp::Timestamp;
use crate::mutants::Mutant;

/// KV accepts one write a second for a key.
const BETWEEN_PUTS: Duration = Duration::from_secs(1);

/// How long a put may take, before nobody knows whether it will arrive.
const PUT_TIME: Duration = Duration::from_secs(30);

/// When the content is put again, because an older put may have arrived after it.
const PUT_AGAIN: Duration = Duration::from_secs(60);

/// How long a call waits for its put.
const PATIENCE: Duration = Duration::from_secs(5);

/// Tells the calls of one object's life apart; the driver chooses it.
pub type CallId = u64;

/// Tells the puts of one object's life apart.
pub type PutNumber = u64;

/// The puts of one object.
#[derive(Debug, Default)]
pub(in crate::machines) struct Publisher {
    /// Whether KV has to get what it lacks; a put that failed ends that, until somebody asks again.
    is_wanted: bool,
    under_way: Option<UnderWay>,
    /// The earliest time at which KV accepts another put.
    next_put: Timestamp,
    /// Whether an older put may still arrive.
    is_in_doubt: bool,
    /// How many have been begun.
    begun: PutNumber,
    /// The calls that wait.
    waiting: Vec<Waiting>,
}

#[derive(Debug)]
struct UnderWay {
    number: PutNumber,
    revision: u64,
    /// Whether an older put could still arrive when it began.
    was_in_doubt: bool,
    until: Timestamp,
}

/// A call that waits until KV has a revision.
#[derive(Debug)]
struct Waiting {
    call: CallId,
    revision: u64,
    until: Timestamp,
}

/// A put that has ended well.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::machines) struct Ended {
    /// What KV has.
    pub(in crate::machines) revision: u64,
    /// When the content must be put again, if an older put may have arrived after this one.
    pub(in crate::machines) again_at: Option<Timestamp>,
}

impl Publisher {
    /// Records that a put whose end nobody knows may still arrive.
    pub(in crate::machines) const fn doubt(&mut self) {
        self.is_in_doubt = true;
    }

    /// Asks for a put for which no call waits.
    pub(in crate::machines) const fn want(&mut self) {
        self.is_wanted = true;
    }

    /// Lets a call wait until KV has a revision, `PATIENCE` at most.
    pub(in crate::machines) fn wait(&mut self, call: CallId, revision: u64, now: Timestamp) {
        self.is_wanted = true;
        self.waiting.push(Waiting {
            call,
            revision,
            until: now.saturating_add(PATIENCE),
        });
    }

    /// Whether the next put is to be begun as soon as it may be.
    pub(in crate::machines) fn has_to_put(&self) -> bool {
        self.is_wanted && (self.under_way.is_none() || Mutant::PutsOvertake.is_on())
    }

    /// Whether KV accepts another put.
    pub(in crate::machines) fn may_put(&self, now: Timestamp) -> bool {
        is_over(self.next_put, BETWEEN_PUTS, now)
    }

    /// Begins a put of the content at a revision.
    pub(in crate::machines) fn begin(&mut self, revision: u64, now: Timestamp) -> PutNumber {
        self.begun = self.begun.saturating_add(1);
        self.next_put = now.saturating_add(BETWEEN_PUTS);
        self.under_way = Some(UnderWay {
            number: self.begun,
            revision,
            was_in_doubt: self.is_in_doubt,
            until: now.saturating_add(PUT_TIME),
        });
        self.begun
    }

    /// Gives up the put under way if it takes too long; returns whether it did.
    pub(in crate::machines) fn give_up(&mut self, now: Timestamp) -> bool {
        let gives_up = self
            .under_way
            .as_ref()
            .is_some_and(|put| is_over(put.until, PUT_TIME, now));
        if gives_up {
            self.under_way = None;
            self.doubt();
        }
        gives_up
    }

    /// A put has ended well; none if it was given up before.
    pub(in crate::machines) fn ended(
        &mut self,
        number: PutNumber,
        now: Timestamp,
    ) -> Option<Ended> {
        let put = self.under_way.take_if(|put| put.number == number)?;
        Some(Ended {
            revision: put.revision,
            again_at: put.was_in_doubt.then(|| now.saturating_add(PUT_AGAIN)),
        })
    }

    /// A put has failed, but may still arrive; returns whether it was not given up before.
    pub(in crate::machines) fn failed(&mut self, number: PutNumber) -> bool {
        let is_known = self.under_way.take_if(|put| put.number == number).is_some();
        self.is_in_doubt |= is_known;
        is_known
    }

    /// It is stored what KV has: returns the calls that wait for no more than that.
    pub(in crate::machines) fn stored(&mut self, ended: &Ended) -> Vec<CallId> {
        if ended.again_at.is_some() {
            self.is_in_doubt = false;
        }
        self.release(|waiting| waiting.revision <= ended.revision)
    }

    /// Puts no more, until somebody asks again: returns the calls that waited.
    pub(in crate::machines) fn stop(&mut self) -> Vec<CallId> {
        self.is_wanted = false;
        self.release(|_| true)
    }

    /// Returns the calls that have waited long enough.
    pub(in crate::machines) fn out_of_patience(&mut self, now: Timestamp) -> Vec<CallId> {
        self.release(|waiting| is_over(waiting.until, PATIENCE, now))
    }

    /// When something is due next.
    pub(in crate::machines) fn next_time(&self) -> Option<Timestamp> {
        let put = match &self.under_way {
            Some(put) => Some(put.until),
            None => self.is_wanted.then_some(self.next_put),
        };
        let waiting = self.waiting.iter().map(|waiting| waiting.until);
        waiting.chain(put).min()
    }

    fn release(&mut self, is_released: impl Fn(&Waiting) -> bool) -> Vec<CallId> {
        let released = self.waiting.extract_if(.., |waiting| is_released(waiting));
        released.map(|waiting| waiting.call).collect()
    }
}

/// Whether a time that was at most so far ahead has come. A longer wait means that the clock was put back.
fn is_over(time: Timestamp, longest: Duration, now: Timestamp) -> bool {
    let left = time.saturating_duration_since(now);
    left.is_zero() || left > longest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_put_at_a_time_begun_a_second_apart() {
        let mut publisher = Publisher::default();
        assert!(!publisher.has_to_put(), "nobody has asked");
        publisher.wait(1, 7, at(0));
        assert!(publisher.has_to_put() && publisher.may_put(at(0)));
        let number = publisher.begin(7, at(0));
        publisher.wait(2, 8, at(0));
        assert!(!publisher.has_to_put(), "one is under way");
        let ended = publisher.ended(number, at(0)).unwrap();
        assert_eq!(publisher.stored(&ended), [1]);
        assert!(publisher.has_to_put() && !publisher.may_put(at(0)));
        assert_eq!(publisher.next_time(), Some(at(1)));
        assert!(publisher.may_put(at(1)));
    }

    #[test]
    fn a_put_of_30_s_is_given_up_and_the_next_one_is_repeated_a_minute_after_its_end() {
        let mut publisher = Publisher::default();
        publisher.wait(1, 7, at(0));
        let slow = publisher.begin(7, at(0));
        assert!(!publisher.give_up(at(29)));
        assert!(publisher.give_up(at(30)) && publisher.has_to_put());
        let next = publisher.begin(7, at(30));
        assert_eq!(publisher.ended(slow, at(31)), None, "its end says nothing");
        assert!(!publisher.failed(slow));
        let ended = publisher.ended(next, at(31)).unwrap();
        assert_eq!(ended.again_at, Some(at(91)));
        publisher.stored(&ended);
        let last = publisher.begin(7, at(91));
        assert_eq!(publisher.ended(last, at(91)).unwrap().again_at, None);
    }

    #[test]
    fn the_put_after_one_that_failed_is_repeated_a_minute_after_its_end() {
        let mut publisher = Publisher::default();
        let failing = publisher.begin(1, at(0));
        assert!(publisher.failed(failing));
        let next = publisher.begin(1, at(1));
        let ended = publisher.ended(next, at(2)).expect("it is under way");
        assert_eq!(ended.again_at, Some(at(62)));
        publisher.stored(&ended);
        let again = publisher.begin(1, at(62));
        let ended = publisher.ended(again, at(63)).expect("it is under way");
        assert_eq!(ended.again_at, None);
    }

    #[test]
    fn doubt_that_comes_while_a_put_is_under_way_lasts_until_after_the_next_one() {
        let mut publisher = Publisher::default();
        let before = publisher.begin(7, at(0));
        publisher.doubt();
        let ended = publisher.ended(before, at(1)).unwrap();
        assert_eq!(ended.again_at, None);
        publisher.stored(&ended);
        let after = publisher.begin(7, at(1));
        assert!(publisher.ended(after, at(1)).unwrap().again_at.is_some());
    }

    #[test]
    fn a_call_waits_5_s_and_a_put_that_failed_holds_up_nobody() {
        let mut publisher = Publisher::default();
        publisher.wait(1, 7, at(0));
        publisher.wait(2, 7, at(3));
        let number = publisher.begin(7, at(0));
        assert_eq!(publisher.next_time(), Some(at(5)));
        assert!(publisher.out_of_patience(at(4)).is_empty());
        assert_eq!(publisher.out_of_patience(at(5)), [1]);
        assert!(publisher.failed(number));
        assert_eq!(publisher.stop(), [2]);
        assert!(!publisher.has_to_put(), "the alarm asks again");
        assert_eq!(publisher.next_time(), None);
    }

    #[test]
    fn a_clock_that_is_put_back_holds_up_nobody() {
        let mut publisher = Publisher::default();
        publisher.wait(1, 7, at(1000));
        publisher.begin(7, at(1000));
        assert!(publisher.may_put(at(0)));
        assert!(publisher.give_up(at(0)));
        assert_eq!(publisher.out_of_patience(at(0)), [1]);
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }
}
