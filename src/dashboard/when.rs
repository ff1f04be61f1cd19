//! Points in time as people read them: UTC in the page, the reader's own zone if the script runs.

use std::{borrow::Borrow, fmt};

use askama::filters::HtmlSafe;
use chrono::{DateTime, Utc};

use super::words::length;
use crate::domain::timestamp::Timestamp;

/// A `<time>` element: a point in time as text, and as programs read it.
#[derive(Clone, Debug)]
pub struct TimeElement {
    machine: String,
    /// What the script is to make of it, as attributes.
    kind: String,
    words: String,
}

// Digits, English month names and units, and the markup below: it contains no text from strangers.
impl HtmlSafe for TimeElement {}
impl askama::FastWritable for TimeElement {
    fn write_into(&self, into: &mut dyn fmt::Write, _: &dyn askama::Values) -> askama::Result<()> {
        write!(into, "{self}")?;
        Ok(())
    }
}

impl fmt::Display for TimeElement {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            machine,
            kind,
            words,
        } = self;
        write!(formatter, "<time datetime={machine}{kind}>{words}</time>")
    }
}

fn date_time(at: impl Borrow<Timestamp>) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(at.borrow().as_millis()).unwrap_or_default()
}

/// A time in UTC as text without its year, to tell rows apart: `15 Jan 10:30:01`.
#[must_use]
pub fn briefly(time: impl Borrow<Timestamp>) -> String {
    date_time(time).format("%-d %b %H:%M:%S").to_string()
}

/// Shows a time to the second; the script adds the exact UTC on hover.
#[must_use]
pub fn at(time: impl Borrow<Timestamp>) -> TimeElement {
    TimeElement {
        machine: time.borrow().to_string(),
        kind: String::new(),
        words: date_time(time)
            .format("%-d %b %Y, %H:%M:%S UTC")
            .to_string(),
    }
}

/// Shows a time in a column of times: without the year and the zone, which the page names.
#[must_use]
pub fn in_table(time: impl Borrow<Timestamp>) -> TimeElement {
    TimeElement {
        machine: time.borrow().to_string(),
        kind: " data-brief".into(),
        words: date_time(time).format("%-d %b, %H:%M:%S").to_string(),
    }
}

/// Shows a tick of an axis, which is of full minutes and whose zone is named beside it.
#[must_use]
pub fn tick(time: impl Borrow<Timestamp>) -> TimeElement {
    let time = date_time(time);
    TimeElement {
        machine: minutes(time),
        kind: " data-hours=0".into(),
        words: time.format("%-d %b, %H:%M").to_string(),
    }
}

/// Shows some hours from a full minute on.
#[must_use]
pub fn hours(start: impl Borrow<Timestamp>, end: impl Borrow<Timestamp>) -> TimeElement {
    let (start, end) = (date_time(start), date_time(end));
    let length = end.signed_duration_since(start).num_hours();
    let is_same_day = start.date_naive() == end.date_naive();
    let last = end.format(if is_same_day {
        "%H:%M"
    } else {
        "%-d %b, %H:%M"
    });
    TimeElement {
        machine: minutes(start),
        kind: format!(" data-hours={length}"),
        words: format!("{} to {last} UTC", start.format("%-d %b, %H:%M")),
    }
}

/// A time for programs without its seconds, as a chart has many.
fn minutes(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%dT%H:%MZ").to_string()
}

/// Shows how far a time is from now; the script keeps it moving.
#[must_use]
pub fn from_now(time: impl Borrow<Timestamp>, now: impl Borrow<Timestamp>) -> TimeElement {
    let time = *time.borrow();
    TimeElement {
        machine: time.to_string(),
        kind: " data-distance".into(),
        words: distance(time, now),
    }
}

/// How far a time is from now: `in 5 minutes`, `3 days ago`, `just now`.
#[must_use]
pub fn distance(at: impl Borrow<Timestamp>, now: impl Borrow<Timestamp>) -> String {
    let (at, now) = (*at.borrow(), *now.borrow());
    let ahead = at.saturating_duration_since(now);
    let behind = now.saturating_duration_since(at);
    if ahead.as_secs() > 0 {
        format!("in {}", length(ahead))
    } else if behind.as_secs() > 0 {
        format!("{} ago", length(behind))
    } else {
        "just now".into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_768_473_000_000);

    #[test]
    fn a_time_is_read_to_the_second_and_by_programs_exactly() {
        let shown = at(NOW.saturating_add(std::time::Duration::from_millis(1_234)));
        assert_eq!(
            shown.to_string(),
            "<time datetime=2026-01-15T10:30:01.234Z>15 Jan 2026, 10:30:01 UTC</time>"
        );
        assert_eq!(briefly(NOW), "15 Jan 10:30:00");
    }

    #[test]
    fn how_far_a_time_is_goes_both_ways() {
        let minutes = std::time::Duration::from_secs(300);
        assert_eq!(distance(NOW.saturating_add(minutes), NOW), "in 5 minutes");
        assert_eq!(distance(NOW.saturating_sub(minutes), NOW), "5 minutes ago");
        assert_eq!(distance(NOW, NOW), "just now");
    }

    #[test]
    fn hours_and_ticks_are_short() {
        let later = |hours: u64| NOW.saturating_add(std::time::Duration::from_secs(hours * 3_600));
        for (shown, html) in [
            (
                tick(NOW),
                "<time datetime=2026-01-15T10:30Z data-hours=0>15 Jan, 10:30</time>",
            ),
            (
                hours(NOW, later(6)),
                "<time datetime=2026-01-15T10:30Z data-hours=6>15 Jan, 10:30 to 16:30 UTC</time>",
            ),
            (
                hours(NOW, later(14)),
                "<time datetime=2026-01-15T10:30Z data-hours=14>15 Jan, 10:30 to 16 Jan, 00:30 UTC</time>",
            ),
        ] {
            assert_eq!(shown.to_string(), html);
        }
    }
}
