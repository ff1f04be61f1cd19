//! Points in time: whole milliseconds since 1970 in UTC.
//!
//! Nothing here reads a clock: `now` is always an argument, so every rule can be tested on a virtual clock.
//! Stored JSON holds the number; answers show the ISO 8601 text ([`as_iso`], [`as_iso_option`]).

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Datelike, Timelike, Utc};
use serde::{Deserialize, Serialize, Serializer};

/// 0000-01-01T00:00:00.000Z, the earliest time that a four-digit year can express.
const EARLIEST_WRITABLE: i64 = -62_167_219_200_000;
/// 9999-12-31T23:59:59.999Z, the latest one.
const LATEST_WRITABLE: i64 = 253_402_300_799_999;

/// How chrono writes second 60: as second 59 with so many nanoseconds or more.
const NANOS_OF_SECOND_60: u32 = 1_000_000_000;

/// The years in which June ended with a leap second, and those in which December did (IERS, Bulletin C). None was
/// inserted after 2016, and none has been announced.
const LEAP_JUNES: [i32; 11] = [
    1972, 1981, 1982, 1983, 1985, 1992, 1993, 1994, 1997, 2012, 2015,
];
const LEAP_DECEMBERS: [i32; 16] = [
    1972, 1973, 1974, 1975, 1976, 1977, 1978, 1979, 1987, 1989, 1990, 1995, 1998, 2005, 2008, 2016,
];

/// A point in time: milliseconds since 1970-01-01T00:00:00Z.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The time that many milliseconds after 1970-01-01T00:00:00Z (before it, if negative).
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since 1970-01-01T00:00:00Z, rounded down.
    #[must_use]
    pub const fn as_seconds(self) -> i64 {
        self.0.div_euclid(1_000)
    }

    /// The time `duration` later, at most the latest that can be represented. Parts of a millisecond are cut off.
    #[must_use]
    pub fn saturating_add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(whole_millis(duration)))
    }

    /// The time `duration` earlier, at least the earliest that can be represented. Parts of a millisecond are cut off.
    #[must_use]
    pub fn saturating_sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(whole_millis(duration)))
    }

    /// How long after `earlier` this is; zero if it is not after it.
    #[must_use]
    pub fn saturating_duration_since(self, earlier: Self) -> Duration {
        let millis = i128::from(self.0).saturating_sub(i128::from(earlier.0));
        Duration::from_millis(u64::try_from(millis).unwrap_or(0))
    }

    /// Reads an RFC 3339 date-time (section 5.6) strictly: `T` between date and time, an offset, nothing around it.
    /// Digits after the milliseconds are cut off. Second 60 is read only where a leap second was inserted.
    ///
    /// # Errors
    ///
    /// [`TimestampError`] if the text has another form or names a day or hour that does not exist.
    pub fn parse_rfc3339(text: &str) -> Result<Self, TimestampError> {
        // chrono also accepts a space for the T and a Unicode minus; other readers of the same text would not.
        if !has_rfc3339_form(text) {
            return Err(TimestampError::NotRfc3339);
        }
        let time = DateTime::parse_from_rfc3339(text).map_err(|_| TimestampError::NotRfc3339)?;
        let time = time.to_utc();
        let is_second_60 = time.nanosecond() >= NANOS_OF_SECOND_60;
        if is_second_60 && !ends_with_a_leap_second(time) {
            return Err(TimestampError::NoLeapSecond);
        }
        Ok(Self(time.timestamp_millis()))
    }
}

/// `2026-01-15T10:30:00.000Z`. A year before 0 or after 9999 becomes the nearest time with a four-digit year.
impl fmt::Display for Timestamp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.clamp(EARLIEST_WRITABLE, LATEST_WRITABLE);
        let time = DateTime::from_timestamp_millis(millis).unwrap_or_default();
        // Not `time.format`, which parses its pattern on each call and links the code for every other pattern.
        let (year, month, day) = (time.year(), time.month(), time.day());
        let (hour, minute, second) = (time.hour(), time.minute(), time.second());
        let millis = time.timestamp_subsec_millis();
        write!(
            formatter,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z"
        )
    }
}

/// Why a text is not a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimestampError {
    /// Not a date-time of RFC 3339, or one that does not exist.
    #[error("a time must be an RFC 3339 date-time with an offset, such as 2026-01-15T10:30:00Z")]
    NotRfc3339,
    /// Second 60 of a minute that had none.
    #[error(
        "a time may have the second 60 only where a leap second was inserted, such as 2016-12-31T23:59:60Z"
    )]
    NoLeapSecond,
}

fn ends_with_a_leap_second(minute: DateTime<Utc>) -> bool {
    let years: &[i32] = match (minute.month(), minute.day()) {
        (6, 30) => &LEAP_JUNES,
        (12, 31) => &LEAP_DECEMBERS,
        _ => &[],
    };
    (minute.hour(), minute.minute()) == (23, 59) && years.contains(&minute.year())
}

/// Writes a time as its ISO 8601 text: `#[serde(serialize_with = "timestamp::as_iso")]`.
///
/// # Errors
///
/// Those of the serializer.
#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature that serde calls"
)]
pub fn as_iso<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(time)
}

/// The same for a time that may be absent, written as null then.
///
/// # Errors
///
/// Those of the serializer.
#[allow(clippy::ref_option, reason = "the signature that serde calls")]
pub fn as_iso_option<S: Serializer>(
    time: &Option<Timestamp>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => as_iso(time, serializer),
        None => serializer.serialize_none(),
    }
}

fn whole_millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn has_rfc3339_form(text: &str) -> bool {
    let Some((date_and_time, rest)) = text.split_at_checked(19) else {
        return false;
    };
    let offset = match rest.strip_prefix('.') {
        Some(fraction) => {
            let offset = fraction.trim_start_matches(|c: char| c.is_ascii_digit());
            if offset.len() == fraction.len() {
                return false;
            }
            offset
        }
        None => rest,
    };
    has_form(date_and_time, "0000-00-00T00:00:00")
        && (has_form(offset, "Z") || has_form(offset, "+00:00") || has_form(offset, "-00:00"))
}

/// Whether a text has the form of an example, in which 0 stands for any digit and a letter for itself in either case.
fn has_form(text: &str, example: &str) -> bool {
    text.len() == example.len()
        && text
            .bytes()
            .zip(example.bytes())
            .all(|(actual, expected)| match expected {
                b'0' => actual.is_ascii_digit(),
                _ => actual.eq_ignore_ascii_case(&expected),
            })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DAY: Duration = Duration::from_secs(86_400);

    #[test]
    fn a_time_is_shown_in_utc_with_milliseconds() {
        assert_eq!(
            Timestamp::from_millis(1_768_473_000_000).to_string(),
            "2026-01-15T10:30:00.000Z"
        );
        assert_eq!(
            Timestamp::from_millis(-1).to_string(),
            "1969-12-31T23:59:59.999Z"
        );
        assert_eq!(
            Timestamp::from_millis(EARLIEST_WRITABLE).to_string(),
            "0000-01-01T00:00:00.000Z"
        );
        assert_eq!(
            Timestamp::from_millis(LATEST_WRITABLE).to_string(),
            "9999-12-31T23:59:59.999Z"
        );
    }

    #[test]
    fn a_year_of_more_than_four_digits_is_shown_as_the_nearest_that_fits() {
        assert_eq!(
            Timestamp::from_millis(i64::MIN).to_string(),
            "0000-01-01T00:00:00.000Z"
        );
        assert_eq!(
            Timestamp::from_millis(i64::MAX).to_string(),
            "9999-12-31T23:59:59.999Z"
        );
    }

    #[test]
    fn every_form_of_rfc_3339_is_read() {
        for (text, millis) in [
            ("2026-01-15T10:30:00Z", 1_768_473_000_000),
            ("2026-01-15t10:30:00z", 1_768_473_000_000),
            ("2026-01-15T10:30:00.5Z", 1_768_473_000_500),
            ("2026-01-15T10:30:00.123456789123Z", 1_768_473_000_123),
            ("2026-01-15T12:30:00+02:00", 1_768_473_000_000),
            ("2026-01-15T02:30:00.001-08:00", 1_768_473_000_001),
            ("2026-01-15T10:30:00-00:00", 1_768_473_000_000),
            ("2024-02-29T00:00:00Z", 1_709_164_800_000),
            // The leap second at the end of 2016 is the first second of 2017 for a clock that does not know it.
            ("2016-12-31T23:59:60Z", 1_483_228_800_000),
            ("2016-12-31t23:59:60.25z", 1_483_228_800_250),
            ("1990-12-31T15:59:60-08:00", 662_688_000_000),
            ("2015-07-01T05:29:60+05:30", 1_435_708_800_000),
            ("2026-01-16T10:29:00+23:59", 1_768_473_000_000),
            ("0000-01-01T00:00:00Z", EARLIEST_WRITABLE),
        ] {
            assert_eq!(
                Timestamp::parse_rfc3339(text),
                Ok(Timestamp::from_millis(millis)),
                "{text}"
            );
        }
    }

    #[test]
    fn whatever_is_not_rfc_3339_is_refused() {
        for text in [
            "",
            "2026-01-15",
            "2026-01-15T10:30:00",
            "2026-01-15 10:30:00Z",
            "2026-01-15_10:30:00Z",
            "2026-01-15T10:30Z",
            "2026-01-15T10:30:00,5Z",
            "2026-01-15T10:30:00.Z",
            "2026-01-15T10:30:00+0200",
            "2026-01-15T10:30:00+02",
            "2026-01-15T10:30:00 +02:00",
            "2026-01-15T10:30:00\u{2212}02:00",
            "2026-01-15T10:30:00+24:00",
            "2026-01-15T10:30:00+25:00",
            "2026-01-15T10:30:00+02:60",
            "2026-01-15T10:30:00ZZ",
            " 2026-01-15T10:30:00Z",
            "2026-01-15T10:30:00Z\n",
            "+2026-01-15T10:30:00Z",
            "12026-01-15T10:30:00Z",
            "2026-1-15T10:30:00Z",
            "2026-13-15T10:30:00Z",
            "2026-02-29T10:30:00Z",
            "2026-01-15T24:00:00Z",
            "2026-01-15T10:60:00Z",
            "2026-01-15T10:30:61Z",
            "２０２６-01-15T10:30:00Z",
            "1768473000000",
        ] {
            assert_eq!(
                Timestamp::parse_rfc3339(text),
                Err(TimestampError::NotRfc3339),
                "{text:?}"
            );
        }
    }

    #[test]
    fn second_60_is_refused_where_no_leap_second_was_inserted() {
        for text in [
            "2026-01-15T10:30:60Z",
            "2026-12-31T23:59:60Z",
            "2016-06-30T23:59:60Z",
            "2016-12-31T23:58:60Z",
            "2016-12-31T22:59:60Z",
            "2016-12-30T23:59:60Z",
            "2016-12-31T23:59:60-08:00",
            "1971-12-31T23:59:60Z",
        ] {
            assert_eq!(
                Timestamp::parse_rfc3339(text),
                Err(TimestampError::NoLeapSecond),
                "{text}"
            );
        }
        assert_eq!(LEAP_JUNES.len() + LEAP_DECEMBERS.len(), 27);
    }

    #[test]
    fn sums_and_differences_stop_at_the_ends() {
        let last = Timestamp::from_millis(i64::MAX);
        let first = Timestamp::from_millis(i64::MIN);
        assert_eq!(last.saturating_add(DAY), last);
        assert_eq!(first.saturating_sub(DAY), first);
        assert_eq!(Timestamp::default().saturating_add(Duration::MAX), last);
        assert_eq!(first.saturating_duration_since(last), Duration::ZERO);
        assert_eq!(
            last.saturating_duration_since(first),
            Duration::from_millis(u64::MAX)
        );
    }

    #[test]
    fn seconds_are_rounded_down_before_1970_too() {
        assert_eq!(Timestamp::from_millis(1_999).as_seconds(), 1);
        assert_eq!(Timestamp::from_millis(-1).as_seconds(), -1);
    }

    #[test]
    fn the_stored_form_is_the_number_and_the_shown_form_is_the_text() {
        #[derive(Serialize)]
        struct Shown {
            #[serde(serialize_with = "as_iso")]
            at: Timestamp,
            #[serde(serialize_with = "as_iso_option")]
            then: Option<Timestamp>,
            #[serde(serialize_with = "as_iso_option")]
            never: Option<Timestamp>,
        }
        let at = Timestamp::from_millis(1_768_473_000_000);
        assert_eq!(serde_json::to_string(&at).unwrap(), "1768473000000");
        assert_eq!(
            serde_json::from_str::<Timestamp>("1768473000000").unwrap(),
            at
        );
        assert_eq!(
            serde_json::to_string(&Shown {
                at,
                then: Some(at),
                never: None
            })
            .unwrap(),
            r#"{"at":"2026-01-15T10:30:00.000Z","then":"2026-01-15T10:30:00.000Z","never":null}"#
        );
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_back(millis in EARLIEST_WRITABLE..=LATEST_WRITABLE) {
            let time = Timestamp::from_millis(millis);
            prop_assert_eq!(Timestamp::parse_rfc3339(&time.to_string()), Ok(time));
        }

        #[test]
        fn shown_times_sort_like_times(one in EARLIEST_WRITABLE..=LATEST_WRITABLE, other in EARLIEST_WRITABLE..=LATEST_WRITABLE) {
            let (one, other) = (Timestamp::from_millis(one), Timestamp::from_millis(other));
            prop_assert_eq!(one.cmp(&other), one.to_string().cmp(&other.to_string()));
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in "\\PC*|[0-9TtZz:.+ -]{0,40}") {
            let _ = Timestamp::parse_rfc3339(&text);
        }

        #[test]
        fn a_difference_leads_back(one: i32, other: i32) {
            let (earlier, later) = (one.min(other), one.max(other));
            let (earlier, later) = (Timestamp::from_millis(earlier.into()), Timestamp::from_millis(later.into()));
            prop_assert_eq!(earlier.saturating_add(later.saturating_duration_since(earlier)), later);
            prop_assert_eq!(later.saturating_sub(later.saturating_duration_since(earlier)), earlier);
        }
    }
}
