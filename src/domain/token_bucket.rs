//! The token bucket of a webhook's rate limit: when the next attempts may begin.
//!
//! A token may be taken before it is there: the lease then says when its attempt may begin. So one alarm has several
//! attempts made, each in its time. The bucket is kept in memory; that of a new life is empty, and begins behind what
//! earlier lives have granted.

use super::{pace::RateLimit, timestamp::Timestamp};

/// The capacity of a rate of one a second or more, in microseconds: what comes in within a second.
const SECOND: u64 = 1_000_000;

/// Tokens of one webhook. Its capacity is what comes in within a second, but at least one token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenBucket {
    rate: RateLimit,
    /// When it is full, if no more is taken, in microseconds: each token that is missing puts it off by an interval.
    full_at: u64,
}

impl TokenBucket {
    /// A bucket that is empty at a time.
    #[must_use]
    pub fn empty(rate: RateLimit, at: Timestamp) -> Self {
        let interval = rate.interval_micros();
        let full_at = micros(at).saturating_add(interval.max(SECOND));
        Self { rate, full_at }
    }

    /// The rate at which it is filled.
    #[must_use]
    pub const fn rate(&self) -> RateLimit {
        self.rate
    }

    /// When the next token is there, at the earliest now.
    #[must_use]
    pub fn next(&self, now: Timestamp) -> Timestamp {
        let interval = self.rate.interval_micros();
        // With less than a whole token missing, there is one to take.
        let spare = interval.max(SECOND).saturating_sub(interval);
        timestamp(self.full_at.saturating_sub(spare)).max(now)
    }

    /// Takes the next token; returns when it is there.
    pub fn take(&mut self, now: Timestamp) -> Timestamp {
        let taken_at = self.next(now);
        let full_at = self.full_at.max(micros(taken_at));
        self.full_at = full_at.saturating_add(self.rate.interval_micros());
        taken_at
    }
}

fn micros(at: Timestamp) -> u64 {
    u64::try_from(at.as_millis())
        .unwrap_or_default()
        .saturating_mul(1000)
}

/// Rounded up: nothing begins before its token is there.
fn timestamp(micros: u64) -> Timestamp {
    Timestamp::from_millis(i64::try_from(micros.div_ceil(1000)).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_new_bucket_is_empty_and_holds_what_comes_in_within_a_second() {
        let mut bucket = bucket("5", 0);
        assert_eq!(bucket.next(at(0)), at(200));
        // Full after a second, however long it waits.
        let taken = [(); 7].map(|()| bucket.take(at(60_000)));
        let expected = [60_000, 60_000, 60_000, 60_000, 60_000, 60_200, 60_400].map(at);
        assert_eq!(taken, expected);
    }

    #[test]
    fn a_slow_bucket_holds_one_token() {
        let mut bucket = bucket("0.2", 0);
        let taken = [(); 3].map(|()| bucket.take(at(60_000)));
        assert_eq!(taken, [60_000, 65_000, 70_000].map(at));
        let mut fresh = super::tests::bucket("0.2", 1000);
        assert_eq!(fresh.take(at(1000)), at(6000));
    }

    proptest! {
        #[test]
        fn no_window_has_more_than_the_capacity_and_what_comes_in(
            thousandths in 100_u32..=50_000, waits in prop::collection::vec(0_i64..5000, 1..200),
        ) {
            let rate = format!("{}.{:03}", thousandths / 1000, thousandths % 1000);
            let per_second = f64::from(thousandths) / 1000.0;
            let mut bucket = bucket(&rate, 0);
            let mut now = 0;
            let taken: Vec<_> = waits.iter().map(|wait| {
                now += wait;
                bucket.take(at(now)).as_millis()
            }).collect();
            prop_assert!(taken.is_sorted());
            for (first, from) in taken.iter().enumerate() {
                for (last, to) in taken.iter().enumerate().skip(first) {
                    #[expect(clippy::cast_precision_loss, reason = "the numbers are small")]
                    let (count, seconds) = ((last - first + 1) as f64, (to - from) as f64 / 1000.0);
                    prop_assert!(count <= per_second.max(1.0) + per_second * (seconds + 0.001));
                }
            }
        }
    }

    fn bucket(rate: &str, millis: i64) -> TokenBucket {
        TokenBucket::empty(RateLimit::parse(rate).unwrap(), at(millis))
    }

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }
}
