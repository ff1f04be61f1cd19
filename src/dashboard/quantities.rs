//! Numbers with their units: `10 seconds`, `1.2 kB`, `2 attempts`.

use std::{borrow::Borrow, time::Duration};

use crate::domain::{pace::RateLimit, retry::RetrySchedule};

/// A number with the noun for it: `1 attempt`, `2 attempts`.
#[must_use]
pub fn count(number: u64, noun: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{ending}")
}

/// How long something took: `48 ms`, `1.2 s`, `17 s`.
#[must_use]
pub fn took(milliseconds: impl Borrow<u64>) -> String {
    let milliseconds = *milliseconds.borrow();
    let tenths = milliseconds.div_euclid(100);
    match milliseconds {
        0..1_000 => format!("{milliseconds} ms"),
        1_000..10_000 => format!("{}.{} s", tenths.div_euclid(10), tenths.rem_euclid(10)),
        _ => format!("{} s", tenths.div_euclid(10)),
    }
}

/// A size: `48 bytes`, `1.2 kB`, `17 MB`.
#[must_use]
pub fn size(bytes: usize) -> String {
    for (unit, name) in [(1_000_000, "MB"), (1_000, "kB")] {
        let tenths = bytes.saturating_mul(10).div_euclid(unit);
        match tenths {
            0..10 => {}
            10..100 => {
                return format!("{}.{} {name}", tenths.div_euclid(10), tenths.rem_euclid(10));
            }
            _ => return format!("{} {name}", tenths.div_euclid(10)),
        }
    }
    count(bytes.try_into().unwrap_or(u64::MAX), "byte")
}

/// A length of time in its largest whole unit: `10 seconds`, `1 hour`, `5 days`.
#[must_use]
pub fn length(duration: Duration) -> String {
    let seconds = duration.as_secs();
    for (unit, name) in [(86_400, "day"), (3_600, "hour"), (60, "minute")] {
        let whole = seconds.checked_div(unit).unwrap_or_default();
        // Not much above one unit, the next smaller unit is more exact: 90 minutes, 36 hours.
        if whole >= 2 || (whole == 1 && seconds.checked_rem(unit) == Some(0)) {
            return count(whole, name);
        }
    }
    if duration.as_millis() < 1_000 {
        return count(duration.subsec_millis().into(), "millisecond");
    }
    count(seconds, "second")
}

/// A rate limit: `1 attempt a second`, `0.5 attempts a second`.
#[must_use]
pub fn rate(rate: impl Borrow<RateLimit>) -> String {
    let rate = rate.borrow().to_string();
    let ending = if rate == "1" { "" } else { "s" };
    format!("{rate} attempt{ending} a second")
}

/// The delays of a retry schedule: `1m, 5m, 2h`.
#[must_use]
pub fn schedule(schedule: impl Borrow<RetrySchedule>) -> String {
    let delays: Vec<_> = schedule.borrow().texts().collect();
    delays.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_told_in_their_largest_whole_unit() {
        for (seconds, words) in [
            (0, "0 milliseconds"),
            (1, "1 second"),
            (59, "59 seconds"),
            (60, "1 minute"),
            (90, "90 seconds"),
            (300, "5 minutes"),
            (5_400, "90 minutes"),
            (7_200, "2 hours"),
            (86_400, "1 day"),
            (129_600, "36 hours"),
            (432_000, "5 days"),
        ] {
            assert_eq!(length(Duration::from_secs(seconds)), words);
        }
        assert_eq!(length(Duration::from_millis(250)), "250 milliseconds");
        assert_eq!(
            [0, 999, 1_000, 1_999, 10_000, 61_000].map(took),
            ["0 ms", "999 ms", "1.0 s", "1.9 s", "10 s", "61 s"]
        );
    }

    #[test]
    fn sizes_are_told_in_two_digits_or_more() {
        assert_eq!(
            [0, 1, 999, 1_000, 1_999, 10_000, 262_144, 1_500_000].map(size),
            [
                "0 bytes",
                "1 byte",
                "999 bytes",
                "1.0 kB",
                "1.9 kB",
                "10 kB",
                "262 kB",
                "1.5 MB"
            ]
        );
    }
}
