//! The pace of a webhook, as its owner set it: in order or not, how many attempts a second, which retry schedule.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{
    policy::Policy,
    retry::{DurationError, RetrySchedule, parse_duration},
};

/// The shortest delay of a webhook's own schedule; where private endpoints are allowed it may be shorter.
const SHORTEST_DELAY: Duration = Duration::from_secs(1);

/// The longest delay of a webhook's own schedule.
const LONGEST_DELAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The most delays of a webhook's own schedule.
const MOST_DELAYS: usize = 20;

/// What the owner of a webhook set of its pace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pace {
    /// At most one attempt at a time, in the order of acceptance.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ordered: bool,
    /// How many attempts may begin in a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<RateLimit>,
    /// Its own retry schedule; none for the deployment's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_schedule: Option<RetrySchedule>,
}

impl Pace {
    /// Whether it is that of a webhook whose owner set none.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// A change of a webhook's pace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaceChange {
    /// Whether attempts are made in order; none if that stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ordered: Option<bool>,
    /// A rate limit.
    #[serde(default)]
    pub rate_limit: Replacement<RateLimit>,
    /// A schedule.
    #[serde(default)]
    pub retry_schedule: Replacement<RetrySchedule>,
}

/// What becomes of a value that need not be there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Replacement<T> {
    /// It stays.
    #[default]
    Kept,
    /// It is removed.
    Removed,
    /// It is this one.
    Set(T),
}

impl<T> Replacement<T> {
    /// Changes a value.
    fn apply(self, value: &mut Option<T>) {
        match self {
            Self::Kept => {}
            Self::Removed => *value = None,
            Self::Set(new) => *value = Some(new),
        }
    }
}

impl<T> From<Option<T>> for Replacement<T> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Removed, Self::Set)
    }
}

impl From<Pace> for PaceChange {
    /// The change to a pace, whatever it was before.
    fn from(pace: Pace) -> Self {
        Self {
            ordered: Some(pace.ordered),
            rate_limit: pace.rate_limit.into(),
            retry_schedule: pace.retry_schedule.into(),
        }
    }
}

impl PaceChange {
    /// Changes a pace.
    pub fn apply(self, pace: &mut Pace) {
        pace.ordered = self.ordered.unwrap_or(pace.ordered);
        self.rate_limit.apply(&mut pace.rate_limit);
        self.retry_schedule.apply(&mut pace.retry_schedule);
    }
}

/// How many attempts of a webhook may begin in a second: 0.1 to 1000, in thousandths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RateLimit {
    thousandths: u32,
}

impl RateLimit {
    /// What is allowed, in words.
    pub const ALLOWED: &str = "a number from 0.1 to 1000, with at most three decimals";

    /// Reads a decimal number such as `5` or `0.25`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
        let is_number =
            |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number(whole) || !is_number(decimals) {
            return None;
        }
        let decimals = decimals.trim_end_matches('0');
        if decimals.len() > 3 {
            return None;
        }
        let thousandths: u32 = format!("{decimals:0<3}").parse().ok()?;
        let whole: u32 = whole.parse().ok()?;
        let thousandths = whole.checked_mul(1000)?.checked_add(thousandths)?;
        (100..=1_000_000)
            .contains(&thousandths)
            .then_some(Self { thousandths })
    }

    /// Attempts a second.
    #[must_use]
    pub fn per_second(self) -> f64 {
        f64::from(self.thousandths) / 1000.0
    }

    /// The time between two attempts, in microseconds, rounded up: the rate is never exceeded.
    #[must_use]
    pub const fn interval_micros(self) -> u64 {
        1_000_000_000_u64.div_ceil(self.thousandths as u64)
    }
}

impl std::fmt::Display for RateLimit {
    /// The shortest decimal number that [`Self::parse`] reads back.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.per_second().fmt(formatter)
    }
}

/// Why a text is not the retry schedule of a webhook.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ScheduleError {
    /// A delay is not a duration.
    #[error(transparent)]
    Duration(#[from] DurationError),
    /// No delay, or too many.
    #[error("there are {count} delays")]
    Number {
        /// How many there are.
        count: usize,
    },
    /// A delay is too short.
    #[error("'{text}' is too short")]
    TooShort {
        /// The delay.
        text: String,
    },
    /// A delay is too long.
    #[error("'{text}' is too long")]
    TooLong {
        /// The delay.
        text: String,
    },
    /// The deliveries would be deleted before their last attempt.
    #[error("together they are too long")]
    Sum,
}

/// What a webhook's own retry schedule must be, in words.
#[must_use]
pub fn allowed_schedule(policy: &Policy) -> String {
    let days = policy.retention.as_secs().div_euclid(24 * 60 * 60);
    let shortest = if policy.allow_private_endpoints {
        "1ms"
    } else {
        "1s"
    };
    format!("1 to {MOST_DELAYS} delays, each {shortest} to 24h, together less than {days}d")
}

/// Reads the retry schedule of a webhook: 1 to 20 delays, each of 1 s to 24 h, together less than deliveries are kept.
///
/// # Errors
/// The first rule that it breaks.
pub fn parse_schedule<'t>(
    delays: impl IntoIterator<Item = &'t str>,
    policy: &Policy,
) -> Result<RetrySchedule, ScheduleError> {
    let delays: Vec<_> = delays.into_iter().collect();
    if delays.is_empty() || delays.len() > MOST_DELAYS {
        let count = delays.len();
        return Err(ScheduleError::Number { count });
    }
    let shortest = if policy.allow_private_endpoints {
        Duration::from_millis(1)
    } else {
        SHORTEST_DELAY
    };
    for delay in &delays {
        let duration = parse_duration(delay)?;
        let text = || (*delay).to_string();
        if duration < shortest {
            return Err(ScheduleError::TooShort { text: text() });
        }
        if duration > LONGEST_DELAY {
            return Err(ScheduleError::TooLong { text: text() });
        }
    }
    let schedule = RetrySchedule::parse(&delays.join(","))?;
    if schedule.sum() >= policy.retention {
        return Err(ScheduleError::Sum);
    }
    Ok(schedule)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_number_from_a_tenth_to_a_thousand_with_three_decimals() {
        for (text, thousandths) in [
            ("0.1", 100),
            ("5", 5000),
            ("0.25", 250),
            ("2.500", 2500),
            ("2.5000", 2500),
            ("1000", 1_000_000),
        ] {
            let rate = RateLimit::parse(text).unwrap();
            assert_eq!(rate.thousandths, thousandths, "{text}");
            assert_eq!(RateLimit::parse(&rate.to_string()), Some(rate));
        }
        for text in [
            "",
            ".",
            "5.",
            ".5",
            "0",
            "0.099",
            "1000.001",
            "1001",
            "-1",
            "+1",
            "1e2",
            "0.1234",
            "1,5",
            "99999999999",
        ] {
            assert_eq!(RateLimit::parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_time_between_two_attempts_is_rounded_up() {
        let micros = |text| RateLimit::parse(text).unwrap().interval_micros();
        assert_eq!(
            [micros("0.1"), micros("5"), micros("1000")],
            [10_000_000, 200_000, 1000]
        );
        assert_eq!(micros("3"), 333_334);
    }

    #[test]
    fn a_schedule_is_kept_as_it_was_written() {
        let schedule = parse_schedule(["60s", "2h"], &policy()).unwrap();
        assert_eq!(schedule.texts().collect::<Vec<_>>(), ["60s", "2h"]);
        assert_eq!(schedule.delay_after(1), Some(Duration::from_secs(60)));
        assert_eq!(serde_json::to_string(&schedule).unwrap(), r#""60s,2h""#);
        assert_eq!(
            serde_json::from_str::<RetrySchedule>(r#""60s,2h""#).unwrap(),
            schedule
        );
    }

    #[test]
    fn a_schedule_that_breaks_a_rule_is_refused_with_what_is_allowed() {
        for (delays, error) in [
            (vec![], "there are 0 delays"),
            (vec!["1s"; 21], "there are 21 delays"),
            (vec!["999ms"], "'999ms' is too short"),
            (vec!["1s", "25h"], "'25h' is too long"),
            (
                vec!["1m,5m"],
                "'1m,5m' is not a duration: a whole number and one unit of ms, s, m, h, d, such as 10s",
            ),
        ] {
            let refused = parse_schedule(delays, &policy()).unwrap_err();
            assert_eq!(refused.to_string(), error);
        }
        let short = Policy::parse(|name| (name == "RETENTION_DAYS").then(|| "1".into())).unwrap();
        assert_eq!(
            parse_schedule(["12h", "12h"], &short).unwrap_err(),
            ScheduleError::Sum
        );
        assert!(parse_schedule(["12h", "11h"], &short).is_ok());
        let allowed = "1 to 20 delays, each 1s to 24h, together less than 1d";
        assert_eq!(allowed_schedule(&short), allowed);
    }

    #[test]
    fn delays_are_shorter_where_private_endpoints_are_allowed() {
        let policy = Policy {
            allow_private_endpoints: true,
            ..policy()
        };
        assert!(parse_schedule(["1ms"], &policy).is_ok());
        assert!(parse_schedule(["0ms"], &policy).is_err());
    }

    #[test]
    fn a_change_leaves_what_it_does_not_name() {
        let mut pace = Pace {
            ordered: true,
            rate_limit: RateLimit::parse("5"),
            retry_schedule: RetrySchedule::parse("1m").ok(),
        };
        let change = PaceChange {
            rate_limit: Replacement::Removed,
            ..PaceChange::default()
        };
        let stored = serde_json::to_string(&change).unwrap();
        assert_eq!(serde_json::from_str::<PaceChange>(&stored).unwrap(), change);
        assert_eq!(
            serde_json::from_str::<PaceChange>("{}").unwrap(),
            PaceChange::default()
        );
        change.apply(&mut pace);
        assert!(pace.ordered && pace.rate_limit.is_none() && pace.retry_schedule.is_some());
    }

    fn policy() -> Policy {
        Policy::parse(|_| None).unwrap()
    }
}
