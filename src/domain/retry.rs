//! When a failed attempt is made again.
//!
//! Delays are exact, without jitter: each webhook has an object of its own anyway, and the customer page promises the
//! times. A receiver may ask for later, never for earlier.

use std::time::{Duration, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::timestamp::Timestamp;

/// The longest duration that a setting may name.
const LONGEST_DURATION: Duration = Duration::from_secs(365 * 86_400);
/// Delays that a schedule may have at most.
const MOST_DELAYS: usize = 20;
/// Characters of a refused text that an error repeats.
const QUOTED_CHARACTERS: usize = 100;

/// The delays between the attempts of a delivery; one attempt more than delays. It is stored as its text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RetrySchedule {
    delays: Vec<Duration>,
    /// The delays as they were written, separated by commas.
    text: String,
}

impl TryFrom<String> for RetrySchedule {
    type Error = DurationError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<RetrySchedule> for String {
    fn from(schedule: RetrySchedule) -> Self {
        schedule.text
    }
}

impl RetrySchedule {
    /// Reads 1 to 20 durations separated by commas, such as `1m,5m,30m,2h,8h`. Spaces around each are ignored.
    ///
    /// # Errors
    ///
    /// [`DurationError`] if the number of delays is not allowed, or one is not a duration (see [`parse_duration`]).
    pub fn parse(text: &str) -> Result<Self, DurationError> {
        let count = if text.trim().is_empty() {
            0
        } else {
            text.split(',').count()
        };
        if count == 0 || count > MOST_DELAYS {
            return Err(DurationError::NumberOfDelays { count });
        }
        let items: Vec<_> = text.split(',').map(str::trim).collect();
        let delays = items.iter().copied().map(parse_duration);
        Ok(Self {
            delays: delays.collect::<Result<_, _>>()?,
            text: items.join(","),
        })
    }

    /// The delays as they were written, such as `60s`.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.text.split(',')
    }

    /// The delays, in order.
    #[must_use]
    pub fn delays(&self) -> &[Duration] {
        &self.delays
    }

    /// How long to wait after that many failed attempts of this run of the schedule, counted from 1.
    /// `None` if the schedule is spent.
    #[must_use]
    pub fn delay_after(&self, failures: usize) -> Option<Duration> {
        self.delays.get(failures.checked_sub(1)?).copied()
    }

    /// How long after the first attempt the last one is made, if each fails at once.
    #[must_use]
    pub fn sum(&self) -> Duration {
        self.delays.iter().sum()
    }

    /// The longest delay, which is also the longest that a receiver may ask for.
    #[must_use]
    pub fn longest(&self) -> Duration {
        self.delays.iter().copied().max().unwrap_or_default()
    }
}

/// Why a text is not a duration or not a schedule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// Not a whole number and a unit.
    #[error(
        "'{text}' is not a duration: a whole number and one unit of ms, s, m, h, d, such as 10s"
    )]
    Malformed {
        /// The text, at most its first 100 characters.
        text: String,
    },
    /// Longer than 365 days.
    #[error("'{text}' is too long: a duration is at most 365d")]
    TooLong {
        /// The text, at most its first 100 characters.
        text: String,
    },
    /// No delay, or too many.
    #[error("a retry schedule has 1 to 20 durations separated by commas, not {count}")]
    NumberOfDelays {
        /// How many there are.
        count: usize,
    },
}

/// Reads a whole number and one unit of `ms`, `s`, `m`, `h`, `d`, at most 365 days; zero is allowed.
///
/// # Errors
///
/// [`DurationError::Malformed`] for any other form (a sign, a fraction, a space, two units),
/// [`DurationError::TooLong`] beyond 365 days.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    let malformed = || DurationError::Malformed { text: quote(text) };
    let too_long = || DurationError::TooLong { text: quote(text) };

    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let number = text
        .strip_suffix(unit)
        .filter(|number| !number.is_empty())
        .ok_or_else(malformed)?;
    let unit_millis: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(malformed()),
    };
    // Only digits, so a number that does not fit in 64 bits is too long, not malformed.
    let number: u64 = number.parse().map_err(|_| too_long())?;
    let duration = Duration::from_millis(number.checked_mul(unit_millis).ok_or_else(too_long)?);
    if duration > LONGEST_DURATION {
        Err(too_long())
    } else {
        Ok(duration)
    }
}

/// How long a receiver asks to wait: the value of `Retry-After` (RFC 9110, 10.2.3), seconds or an HTTP date.
/// `None` for a date that is past and for anything else.
#[must_use]
pub fn parse_retry_after(value: &str, now: Timestamp) -> Option<Duration> {
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // More seconds than 64 bits hold mean "very long", which the caller limits.
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let since_1970 = httpdate::parse_http_date(value)
        .ok()?
        .duration_since(UNIX_EPOCH)
        .ok()?;
    let date = Timestamp::default().saturating_add(since_1970);
    (date >= now).then(|| date.saturating_duration_since(now))
}

/// The delay of the schedule, or the longer one that the receiver asked for, up to `longest`.
#[must_use]
pub fn delay_honouring(
    base: Duration,
    retry_after: Option<Duration>,
    longest: Duration,
) -> Duration {
    retry_after.map_or(base, |asked| base.max(asked.min(longest)))
}

fn quote(text: &str) -> String {
    text.chars().take(QUOTED_CHARACTERS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MINUTE: Duration = Duration::from_secs(60);
    const HOUR: Duration = Duration::from_secs(3_600);

    /// 2026-01-15T10:30:00Z, a Thursday.
    const NOW: Timestamp = Timestamp::from_millis(1_768_473_000_000);

    #[test]
    fn the_promised_schedule_is_six_attempts_in_ten_hours_and_36_minutes() {
        let schedule = RetrySchedule::parse("1m,5m,30m,2h,8h").unwrap();
        let delays: Vec<_> = (1..)
            .map_while(|failures| schedule.delay_after(failures))
            .collect();
        assert_eq!(
            delays,
            [MINUTE, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 8 * HOUR]
        );
        assert_eq!(delays.iter().sum::<Duration>(), 10 * HOUR + 36 * MINUTE);
        assert_eq!(schedule.longest(), 8 * HOUR);
    }

    #[test]
    fn a_schedule_has_no_delay_before_the_first_failure_and_none_after_the_last() {
        let schedule = RetrySchedule::parse("1s").unwrap();
        assert_eq!(schedule.delay_after(0), None);
        assert_eq!(schedule.delay_after(1), Some(Duration::from_secs(1)));
        assert_eq!(schedule.delay_after(2), None);
        assert_eq!(schedule.delay_after(usize::MAX), None);
    }

    #[test]
    fn the_longest_delay_need_not_be_the_last() {
        assert_eq!(
            RetrySchedule::parse("1m,2h,5m").unwrap().longest(),
            2 * HOUR
        );
    }

    #[test]
    fn spaces_around_the_delays_are_ignored() {
        assert_eq!(
            RetrySchedule::parse(" 1m , 5m "),
            RetrySchedule::parse("1m,5m")
        );
    }

    #[test]
    fn a_schedule_has_1_to_20_delays() {
        assert!(RetrySchedule::parse(&["1s"; 20].join(",")).is_ok());
        for (text, count) in [
            (String::new(), 0),
            ("  ".to_owned(), 0),
            (["1s"; 21].join(","), 21),
        ] {
            assert_eq!(
                RetrySchedule::parse(&text),
                Err(DurationError::NumberOfDelays { count })
            );
        }
        for text in ["1m,", ",1m", "1m,,5m", ","] {
            assert_eq!(
                RetrySchedule::parse(text),
                Err(DurationError::Malformed {
                    text: String::new()
                }),
                "{text}"
            );
        }
    }

    #[test]
    fn every_unit_is_read() {
        for (text, millis) in [
            ("100ms", 100),
            ("10s", 10_000),
            ("0s", 0),
            ("007s", 7_000),
            ("1m", 60_000),
            ("2h", 7_200_000),
            ("5d", 432_000_000),
            ("365d", 31_536_000_000),
        ] {
            assert_eq!(
                parse_duration(text),
                Ok(Duration::from_millis(millis)),
                "{text}"
            );
        }
    }

    #[test]
    fn whatever_is_not_a_number_and_a_unit_is_refused() {
        for text in [
            "", "10", "s", "-1s", "+1s", "1.5h", "1 s", " 1s", "1s ", "1h30m", "1S", "1w", "1us",
            "1e3s", "0x10s", "١s", "1ｓ", "10s\0",
        ] {
            assert_eq!(
                parse_duration(text),
                Err(DurationError::Malformed {
                    text: text.to_owned()
                })
            );
        }
    }

    #[test]
    fn more_than_365_days_are_refused_however_they_are_written() {
        for text in [
            "366d",
            "8761h",
            "31536000001ms",
            "18446744073709551615d",
            "99999999999999999999999s",
        ] {
            assert_eq!(
                parse_duration(text),
                Err(DurationError::TooLong {
                    text: text.to_owned()
                })
            );
        }
    }

    #[test]
    fn an_error_repeats_at_most_100_characters_of_the_text() {
        let DurationError::Malformed { text } = parse_duration(&"é".repeat(5_000)).unwrap_err()
        else {
            panic!("é is no duration");
        };
        assert_eq!(text, "é".repeat(100));
    }

    #[test]
    fn retry_after_is_read_as_seconds_or_as_any_http_date() {
        for (value, seconds) in [
            ("0", 0),
            ("120", 120),
            ("Thu, 15 Jan 2026 10:32:00 GMT", 120),
            ("Thursday, 15-Jan-26 10:32:00 GMT", 120),
            ("Thu Jan 15 10:32:00 2026", 120),
            ("Thu, 15 Jan 2026 10:30:00 GMT", 0),
            ("99999999999999999999999", u64::MAX),
        ] {
            assert_eq!(
                parse_retry_after(value, NOW),
                Some(Duration::from_secs(seconds)),
                "{value}"
            );
        }
    }

    #[test]
    fn a_retry_after_that_says_nothing_is_ignored() {
        for value in [
            "",
            "-1",
            "+1",
            "1.5",
            "1, 2",
            "soon",
            "10s",
            "٣",
            "Thu, 15 Jan 2026 10:29:59 GMT",
            "Thu, 01 Jan 1970 00:00:00 GMT",
            "Thu, 15 Jan 2026 10:32:00 CET",
            "2026-01-15T10:32:00Z",
        ] {
            assert_eq!(parse_retry_after(value, NOW), None, "{value:?}");
        }
    }

    #[test]
    fn a_receiver_may_ask_for_the_longest_step_at_most() {
        assert_eq!(delay_honouring(MINUTE, None, 8 * HOUR), MINUTE);
        assert_eq!(delay_honouring(MINUTE, Some(HOUR), 8 * HOUR), HOUR);
        assert_eq!(
            delay_honouring(MINUTE, Some(Duration::MAX), 8 * HOUR),
            8 * HOUR
        );
        assert_eq!(delay_honouring(HOUR, Some(MINUTE), 8 * HOUR), HOUR);
        assert_eq!(delay_honouring(HOUR, Some(2 * HOUR), MINUTE), HOUR);
    }

    proptest! {
        #[test]
        fn honouring_retry_after_only_ever_delays(
            base: Duration, retry_after: Option<Duration>, longest: Duration,
        ) {
            let delay = delay_honouring(base, retry_after, longest);
            prop_assert!(delay >= base);
            prop_assert!(delay <= base.max(longest));
            prop_assert!(delay == base || Some(delay) <= retry_after);
        }

        #[test]
        fn a_duration_is_read_back_from_every_unit(number in 0_u64..=365) {
            for (unit, millis) in [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)] {
                prop_assert_eq!(parse_duration(&format!("{number}{unit}")), Ok(Duration::from_millis(number.saturating_mul(millis))));
            }
        }

        #[test]
        fn no_text_makes_a_reader_panic(text in "\\PC*|[0-9]{0,30}(ms|s|m|h|d)?", now: i64) {
            let _ = RetrySchedule::parse(&text);
            let _ = parse_retry_after(&text, Timestamp::from_millis(now));
        }
    }
}
