//! A webhook's last hours in bars: what each stands for, and the small chart of the list.
//!
//! In the list, attempts that succeeded are above the line and failed ones below it, so that the two differ by more than
//! colour.

use std::{borrow::Borrow, fmt::Write};

use super::{spans::ChartSpan, words::took};
use crate::domain::{
    stats::{HourCounts, hour_of, start_of},
    timestamp::Timestamp,
};

/// Units of width for each bar, of which one on each side stays free.
pub(super) const PLACE: usize = 10;

/// Units of the chart's height.
const HEIGHT: u64 = 100;

/// The least height of a bar, so that the smallest number is visible next to the largest.
const SMALLEST: u64 = 4;

/// Counts over time, the oldest first.
pub struct Chart {
    /// One for each bar.
    pub bins: Vec<Bin>,
    /// How much time they are.
    pub(super) span: ChartSpan,
}

/// What one bar represents.
#[derive(Clone, Debug, Default)]
pub struct Bin {
    /// When it begins.
    pub start: Timestamp,
    /// When the next one begins.
    pub end: Timestamp,
    /// The counts.
    pub counts: HourCounts,
}

impl Bin {
    /// The median of the durations in words.
    #[must_use]
    pub fn p50(&self) -> String {
        percentile(&self.counts, 50)
    }

    /// The 95th percentile of the durations in words.
    #[must_use]
    pub fn p95(&self) -> String {
        percentile(&self.counts, 95)
    }
}

pub(super) fn succeeded(counts: &HourCounts) -> u64 {
    counts.attempts.saturating_sub(counts.failed_attempts)
}

fn percentile(counts: &HourCounts, percent: u64) -> String {
    let duration = counts.percentile(percent);
    duration.map_or_else(|| "–".into(), took)
}

impl Chart {
    /// The chart of the hours up to now; `hours` are those that have counts.
    #[must_use]
    pub fn new(
        hours: &[(i64, HourCounts)],
        span: impl Borrow<ChartSpan>,
        now: impl Borrow<Timestamp>,
    ) -> Self {
        let (span, now) = (*span.borrow(), *now.borrow());
        let (width, places) = match span {
            ChartSpan::Day => (1, 24),
            ChartSpan::Week => (6, 28),
        };
        let end = hour_of(now).saturating_add(1);
        let bins = (0..places).rev().map(|place: i64| {
            let last = end.saturating_sub(place.saturating_mul(width));
            let first = last.saturating_sub(width);
            let mut counts = HourCounts::default();
            for (hour, counted) in hours {
                if (first..last).contains(hour) {
                    counts.add(counted);
                }
            }
            Bin {
                start: start_of(first),
                end: start_of(last),
                counts,
            }
        });
        Self {
            bins: bins.collect(),
            span,
        }
    }

    /// The chart of the last 24 hours.
    #[must_use]
    pub fn day(hours: &[(i64, HourCounts)], now: impl Borrow<Timestamp>) -> Self {
        Self::new(hours, ChartSpan::Day, now)
    }

    /// Whether there were no attempts.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.total().attempts == 0
    }

    /// All bars together.
    #[must_use]
    pub fn total(&self) -> HourCounts {
        let mut total = HourCounts::default();
        for bin in &self.bins {
            total.add(&bin.counts);
        }
        total
    }

    /// The median of all durations in words.
    #[must_use]
    pub fn p50(&self) -> String {
        percentile(&self.total(), 50)
    }

    /// The 95th percentile of all durations in words.
    #[must_use]
    pub fn p95(&self) -> String {
        percentile(&self.total(), 95)
    }

    /// The `viewBox` of the small chart.
    #[must_use]
    pub fn view_box(&self) -> String {
        format!("0 0 {} {HEIGHT}", self.bins.len().saturating_mul(PLACE))
    }

    /// The bars of the attempts that succeeded, above the line.
    #[must_use]
    pub fn above(&self) -> String {
        let line = self.line();
        self.bars(|counts| {
            let height = self.height(succeeded(counts));
            (line.saturating_sub(height), height)
        })
    }

    /// The bars of the attempts that failed, below the line.
    #[must_use]
    pub fn below(&self) -> String {
        let line = self.line();
        self.bars(|counts| (line, self.height(counts.failed_attempts)))
    }

    /// The line between the two, as a path.
    #[must_use]
    pub fn base(&self) -> String {
        let width = self.bins.len().saturating_mul(PLACE);
        format!("M0 {}h{width}", self.line())
    }

    pub(super) const fn span_words(&self) -> &'static str {
        match self.span {
            ChartSpan::Day => "Last 24 hours",
            ChartSpan::Week => "Last 7 days",
        }
    }

    fn most(&self, value: impl Fn(&HourCounts) -> u64) -> u64 {
        let values = self.bins.iter().map(|bin| value(&bin.counts));
        values.max().unwrap_or_default()
    }

    /// What succeeded and what failed share a scale: together their highest bars fill the height.
    fn height(&self, value: u64) -> u64 {
        let all = self
            .most(succeeded)
            .saturating_add(self.most(|counts| counts.failed_attempts));
        scaled(value, all)
    }

    fn line(&self) -> u64 {
        if self.total().failed_attempts == 0 {
            return HEIGHT;
        }
        self.height(self.most(succeeded))
    }

    fn bars(&self, top_and_height: impl Fn(&HourCounts) -> (u64, u64)) -> String {
        let mut path = String::new();
        for (index, bin) in self.bins.iter().enumerate() {
            let (top, height) = top_and_height(&bin.counts);
            if height > 0 {
                let left = index.saturating_mul(PLACE).saturating_add(1);
                // Writing to a String cannot fail.
                let _ = write!(path, "M{left} {top}h8v{height}h-8z");
            }
        }
        path
    }
}

/// A share of the height, with the smallest still visible; the two together never exceed it.
fn scaled(value: u64, all: u64) -> u64 {
    if value == 0 {
        return 0;
    }
    let room = HEIGHT.saturating_sub(SMALLEST);
    value
        .saturating_mul(room)
        .checked_div(all)
        .unwrap_or_default()
        .max(SMALLEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_hour_of_the_span_has_its_place_and_older_ones_have_none() {
        let hours = [(75, counts(1, 0)), (76, counts(2, 0)), (99, counts(3, 0))];
        let chart = Chart::new(&hours, ChartSpan::Day, start_of(99));
        let delivered: Vec<_> = chart.bins.iter().map(|bin| bin.counts.delivered).collect();
        assert_eq!((delivered.len(), delivered[0], delivered[23]), (24, 2, 3));
        assert_eq!(chart.bins[0].start, start_of(76));
    }

    #[test]
    fn a_bar_of_the_week_stands_for_six_hours() {
        let hours = [(94, counts(1, 2)), (99, counts(3, 4)), (93, counts(50, 0))];
        let chart = Chart::new(&hours, ChartSpan::Week, start_of(99));
        let last = &chart.bins[27].counts;
        assert_eq!((chart.bins.len(), last.delivered, last.failed), (28, 4, 6));
        assert_eq!(
            chart.attempts_sentence(),
            "Last 7 days: 54 attempts succeeded, 6 failed."
        );
    }

    #[test]
    fn what_succeeded_stands_above_the_line_and_what_failed_below_it_within_the_drawing() {
        for (delivered, failed) in [(1, 0), (0, 1), (1, 1_000_000), (1_000_000, 1), (7, 7)] {
            let hours = [(99, counts(delivered, failed))];
            let chart = Chart::new(&hours, ChartSpan::Day, start_of(99));
            let line = chart.line();
            assert!(chart.height(delivered) <= line, "{delivered} {failed}");
            assert!(
                line + chart.height(failed) <= HEIGHT,
                "{delivered} {failed}"
            );
            assert_eq!(chart.above().is_empty(), delivered == 0);
            assert_eq!(chart.below().is_empty(), failed == 0);
        }
    }

    #[test]
    fn the_smallest_number_is_seen_beside_the_largest() {
        let hours = [(98, counts(1_000_000, 0)), (99, counts(1, 0))];
        let chart = Chart::new(&hours, ChartSpan::Day, start_of(99));
        assert!(chart.above().ends_with("h8v4h-8z"), "{}", chart.above());
    }

    #[test]
    fn nothing_is_said_in_words_too() {
        let chart = Chart::new(&[], ChartSpan::Day, start_of(99));
        assert!(chart.is_empty());
        assert_eq!(chart.p95(), "–");
    }

    fn counts(delivered: u64, failed: u64) -> HourCounts {
        HourCounts {
            delivered,
            failed,
            attempts: delivered + failed,
            failed_attempts: failed,
            ..HourCounts::default()
        }
    }
}
