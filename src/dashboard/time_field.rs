//! A field in which people type a time: read in UTC, the zone that a page names unless the script runs and reads it in
//! the reader's own.

use std::borrow::Borrow;

use chrono::DateTime;

use super::words::one_line;
use crate::domain::timestamp::Timestamp;

/// Characters of what was typed that an error repeats.
const TYPED_LIMIT: usize = 40;

/// A time as typed, or as an address holds it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TimeField {
    typed: String,
    read: Option<Timestamp>,
}

impl TimeField {
    /// Reads a time as a date field writes it (`2026-01-15T10:30`, in UTC), or as RFC 3339.
    #[must_use]
    pub fn parse(typed: &str) -> Self {
        let typed = typed.trim();
        let completed = match typed.len() {
            10 => format!("{typed}T00:00:00Z"),
            16 => format!("{typed}:00Z"),
            17 if typed.ends_with('Z') => typed.replace('Z', ":00Z"),
            19 => format!("{typed}Z"),
            // A date field writes milliseconds where there are any.
            23 if !typed.contains(['+', 'Z']) => format!("{typed}Z"),
            _ => typed.to_string(),
        };
        Self {
            read: Timestamp::parse_rfc3339(&completed).ok(),
            typed: typed.into(),
        }
    }

    /// A time that nobody typed.
    #[must_use]
    pub fn of(time: impl Borrow<Timestamp>) -> Self {
        Self::parse(&time.borrow().to_string())
    }

    /// The time; none if nothing readable was typed.
    #[must_use]
    pub const fn time(&self) -> Option<Timestamp> {
        self.read
    }

    /// Whether nothing was typed.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.typed.is_empty()
    }

    /// What is wrong with what was typed, as a sentence that shows an example.
    #[must_use]
    pub fn error(&self) -> Option<String> {
        let is_wrong = self.read.is_none() && !self.is_empty();
        let typed = one_line(&self.typed, TYPED_LIMIT);
        is_wrong.then(|| {
            format!("“{typed}” is not a time. Write it in UTC, such as 2026-01-15T10:30:00.")
        })
    }

    /// What is wrong with the end of a period that begins at `since`.
    #[must_use]
    pub fn error_after(&self, since: &Self) -> Option<String> {
        let is_late = self.read.zip(since.read);
        let is_late = is_late.is_none_or(|(until, since)| since < until);
        let order = (!is_late).then(|| "Choose a time after the one in From.".to_string());
        self.error().or(order)
    }

    /// What a date field shows: the time in UTC to the second, which it can be edited to.
    #[must_use]
    pub fn value(&self) -> String {
        let seconds = self.read.map(Timestamp::as_seconds);
        let time = seconds.and_then(|seconds| DateTime::from_timestamp(seconds, 0));
        time.map(|time| time.naive_utc().format("%Y-%m-%dT%H:%M:%S").to_string())
            .unwrap_or_default()
    }

    /// What an address holds: the instant in UTC, as short as it can be; none if there is none.
    #[must_use]
    pub fn instant(&self) -> Option<String> {
        let exact = self.read.map(|time| time.to_string());
        exact.map(|time| time.replace(".000Z", "Z").replace(":00Z", "Z"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: Timestamp = Timestamp::from_millis(1_768_473_000_000);

    #[test]
    fn a_time_is_read_as_a_date_field_writes_it_and_as_an_address_does() {
        for text in [
            "2026-01-15T10:30",
            "2026-01-15T10:30Z",
            "2026-01-15T10:30:00",
            "2026-01-15T10:30:00.000",
            " 2026-01-15T10:30:00Z ",
            "2026-01-15T10:30:00.000Z",
            "2026-01-15T11:30:00+01:00",
        ] {
            let field = TimeField::parse(text);
            assert_eq!((field.time(), field.error()), (Some(TIME), None), "{text}");
            assert_eq!(field.value(), "2026-01-15T10:30:00");
            assert_eq!(field.instant().as_deref(), Some("2026-01-15T10:30Z"));
        }
    }

    #[test]
    fn what_is_no_time_is_said_with_an_example_and_nothing_is_nothing() {
        let nothing = TimeField::parse(" ");
        assert!(nothing.is_empty() && nothing.time().is_none() && nothing.error().is_none());
        for text in ["yesterday", "é26-01-15T10:3", "2026-02-30T10:00"] {
            let field = TimeField::parse(text);
            let error = field.error().unwrap();
            assert!(error.contains(text) && error.contains("2026-01-15T10:30:00"));
            assert_eq!((field.value().as_str(), field.instant()), ("", None));
        }
    }

    #[test]
    fn a_period_ends_after_it_begins() {
        let since = TimeField::parse("2026-01-15T10:30");
        for until in ["2026-01-15T10:30", "2026-01-15T09:00"] {
            assert!(TimeField::parse(until).error_after(&since).is_some());
        }
        for until in ["2026-01-15T10:31", ""] {
            assert_eq!(TimeField::parse(until).error_after(&since), None);
        }
        assert_eq!(since.error_after(&TimeField::default()), None);
    }
}
