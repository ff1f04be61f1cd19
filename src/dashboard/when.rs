//! Points in time as people read them: UTC in the page, the reader's own zone if the script runs.

use std::{borrow::Borrow, fmt};

use askama::filters::HtmlSafe;
use chrono::{DateTime, Datelike, Month, Utc};

use super::words::length;
use crate::domain::timestamp::Timestamp;

/// A `<time>` element: the text to the second, in UTC; the script adds the exact UTC on hover.
#[derive(Clone, Copy, Debug)]
pub struct When(pub Timestamp);

// Digits, English month names and the markup below: it contains no text from strangers.
impl HtmlSafe for When {}
impl askama::FastWritable for When {
    fn write_into(&self, into: &mut dyn fmt::Write, _: &dyn askama::Values) -> askama::Result<()> {
        write!(into, "{self}")?;
        Ok(())
    }
}

impl fmt::Display for When {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(at) = self;
        let (time, day) = (date_time(*at), day(*at));
        let (year, clock) = (time.year(), time.format("%H:%M:%S"));
        write!(
            formatter,
            "<time datetime=\"{at}\">{day} {year:04}, {clock} UTC</time>"
        )
    }
}

fn date_time(at: Timestamp) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(at.as_millis()).unwrap_or_default()
}

/// The day of a time in its year: `15 Jan`.
fn day(at: Timestamp) -> String {
    let time = date_time(at);
    let month = u8::try_from(time.month()).map(Month::try_from);
    let month = month.map_or("", |month| month.map_or("", |month| month.name()));
    let short = month.get(..3).unwrap_or(month);
    format!("{} {short}", time.day())
}

/// A time in UTC as text without its year, to tell rows apart: `15 Jan 10:30:01`.
#[must_use]
pub fn briefly(at: impl Borrow<Timestamp>) -> String {
    let at = *at.borrow();
    format!("{} {}", day(at), date_time(at).format("%H:%M:%S"))
}

/// Shows a time.
#[must_use]
pub fn at(time: impl Borrow<Timestamp>) -> When {
    When(*time.borrow())
}

/// A `<time>` element for a column of times: without the year and the zone, which the page names.
#[derive(Clone, Copy, Debug)]
pub struct InTable(Timestamp);

// Digits, English month names and the markup below.
impl HtmlSafe for InTable {}
impl askama::FastWritable for InTable {
    fn write_into(&self, into: &mut dyn fmt::Write, _: &dyn askama::Values) -> askama::Result<()> {
        write!(into, "{self}")?;
        Ok(())
    }
}

impl fmt::Display for InTable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(at) = self;
        let time = DateTime::from_timestamp_millis(at.as_millis()).unwrap_or_default();
        write!(
            formatter,
            "<time datetime=\"{at}\" data-brief>{}</time>",
            time.format("%-d %b, %H:%M:%S")
        )
    }
}

/// Shows a time in a column of times.
#[must_use]
pub fn in_table(time: impl Borrow<Timestamp>) -> InTable {
    InTable(*time.borrow())
}

/// A `<time>` element of full minutes: a tick of an axis, or some hours from then on. Short, as a page has many.
#[derive(Clone, Copy, Debug)]
pub struct Hours {
    start: Timestamp,
    end: Option<Timestamp>,
}

// Digits, English month names and the markup below.
impl HtmlSafe for Hours {}
impl askama::FastWritable for Hours {
    fn write_into(&self, into: &mut dyn fmt::Write, _: &dyn askama::Values) -> askama::Result<()> {
        write!(into, "{self}")?;
        Ok(())
    }
}

impl fmt::Display for Hours {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let read =
            |at: Timestamp| DateTime::from_timestamp_millis(at.as_millis()).unwrap_or_default();
        let start = read(self.start);
        let machine = start.format("%Y-%m-%dT%H:%MZ");
        let shown = start.format("%-d %b, %H:%M");
        let Some(end) = self.end else {
            return write!(
                formatter,
                "<time datetime={machine} data-hours=0>{shown}</time>"
            );
        };
        let hours = end
            .saturating_duration_since(self.start)
            .as_secs()
            .div_euclid(3_600);
        let end = read(end);
        let is_same_day = start.date_naive() == end.date_naive();
        let last = end.format(if is_same_day {
            "%H:%M"
        } else {
            "%-d %b, %H:%M"
        });
        write!(
            formatter,
            "<time datetime={machine} data-hours={hours}>{shown} to {last} UTC</time>"
        )
    }
}

/// Shows a tick of an axis, whose zone is named beside it.
#[must_use]
pub fn tick(at: impl Borrow<Timestamp>) -> Hours {
    Hours {
        start: *at.borrow(),
        end: None,
    }
}

/// Shows some hours.
#[must_use]
pub fn hours(start: impl Borrow<Timestamp>, end: impl Borrow<Timestamp>) -> Hours {
    Hours {
        start: *start.borrow(),
        end: Some(*end.borrow()),
    }
}

/// A `<time>` element whose text is how far the time is from now; the script keeps it moving.
#[derive(Clone, Debug)]
pub struct Distance {
    at: Timestamp,
    words: String,
}

// Numbers, English units and the markup below.
impl HtmlSafe for Distance {}
impl askama::FastWritable for Distance {
    fn write_into(&self, into: &mut dyn fmt::Write, _: &dyn askama::Values) -> askama::Result<()> {
        write!(into, "{self}")?;
        Ok(())
    }
}

impl fmt::Display for Distance {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, words } = self;
        write!(
            formatter,
            "<time datetime=\"{at}\" data-distance>{words}</time>"
        )
    }
}

/// Shows how far a time is from now.
#[must_use]
pub fn from_now(at: impl Borrow<Timestamp>, now: impl Borrow<Timestamp>) -> Distance {
    let at = *at.borrow();
    Distance {
        at,
        words: distance(at, now),
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
            "<time datetime=\"2026-01-15T10:30:01.234Z\">15 Jan 2026, 10:30:01 UTC</time>"
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
