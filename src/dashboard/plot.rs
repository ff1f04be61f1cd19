//! The charts of a webhook's page over one axis of time: attempts by outcome as stacked bars, durations as lines.

use std::fmt::Write;

use super::{
    axis::Axis,
    chart::{Bin, Chart, PLACE, succeeded},
    spans::ChartSpan,
    words::{count, took},
};
use crate::domain::{stats::HourCounts, timestamp::Timestamp};

/// Units of the height of the bars, which are pixels as the style sheet shows them.
const BARS: u64 = 112;

/// Units of the height of the lines.
const LINES: u64 = 80;

/// The least height of a bar, so that it is seen at all.
const LEAST: u64 = 2;

impl Chart {
    /// The bars that stand for something, the oldest first, each with its place.
    pub fn filled(&self) -> impl Iterator<Item = (usize, &Bin)> {
        let bins = self.bins.iter().enumerate();
        bins.filter(|(_, bin)| bin.counts.attempts > 0)
    }

    /// How much time a bar stands for.
    #[must_use]
    pub const fn bar_span(&self) -> &'static str {
        match self.span {
            ChartSpan::Day => "an hour",
            ChartSpan::Week => "six hours",
        }
    }

    /// The times of its axis: where every sixth hour begins, or every day.
    pub fn ticks(&self) -> impl Iterator<Item = Timestamp> {
        let every = match self.span {
            ChartSpan::Day => 6,
            ChartSpan::Week => 4,
        };
        self.bins.iter().step_by(every).map(|bin| bin.start)
    }

    /// The `viewBox` of the bars.
    #[must_use]
    pub fn bars_box(&self) -> String {
        format!("0 0 {} {BARS}", self.width())
    }

    /// The `viewBox` of the lines.
    #[must_use]
    pub fn lines_box(&self) -> String {
        format!("0 0 {} {LINES}", self.width())
    }

    /// The numbers beside the bars, the largest first.
    #[must_use]
    pub fn attempt_numbers(&self) -> Vec<String> {
        self.attempts_axis().numbers().map(briefly).collect()
    }

    /// The durations beside the lines, the largest first.
    #[must_use]
    pub fn duration_numbers(&self) -> Vec<String> {
        self.durations_axis().numbers().map(duration).collect()
    }

    /// The grid behind the bars.
    #[must_use]
    pub fn bars_grid(&self) -> String {
        self.attempts_axis().lines(self.width(), BARS)
    }

    /// The grid behind the lines.
    #[must_use]
    pub fn lines_grid(&self) -> String {
        self.durations_axis().lines(self.width(), LINES)
    }

    /// The bars of the attempts that succeeded, which stand on the base.
    #[must_use]
    pub fn succeeded(&self) -> String {
        self.stacked(|succeeded, _| (0, succeeded))
    }

    /// The bars of the attempts that failed, which stand on the others.
    #[must_use]
    pub fn failed_attempts(&self) -> String {
        self.stacked(|succeeded, failed| (succeeded, failed))
    }

    /// The line of the medians.
    #[must_use]
    pub fn p50_line(&self) -> String {
        self.line_of(50)
    }

    /// The line of the 95th percentiles.
    #[must_use]
    pub fn p95_line(&self) -> String {
        self.line_of(95)
    }

    /// The content of the bars, in a sentence.
    #[must_use]
    pub fn attempts_sentence(&self) -> String {
        let total = self.total();
        let succeeded = count(succeeded(&total), "attempt");
        let (span, failed) = (self.span_words(), total.failed_attempts);
        format!("{span}: {succeeded} succeeded, {failed} failed.")
    }

    /// The content of the lines, in a sentence.
    #[must_use]
    pub fn durations_sentence(&self) -> String {
        let (span, p50, p95) = (self.span_words(), self.p50(), self.p95());
        format!("{span}: half of the attempts took at most {p50}, 95 of 100 at most {p95}.")
    }

    const fn width(&self) -> usize {
        self.bins.len().saturating_mul(PLACE)
    }

    fn attempts_axis(&self) -> Axis {
        let attempts = self.bins.iter().map(|bin| bin.counts.attempts);
        Axis::up_to(attempts.max().unwrap_or_default())
    }

    fn durations_axis(&self) -> Axis {
        let slowest = self.bins.iter().map(|bin| bin.counts.percentile(95));
        Axis::up_to(slowest.flatten().max().unwrap_or_default())
    }

    /// Bars, drawn as thick lines: from the heights of what succeeded and what failed, `part` gives where a bar stands and
    /// how high it is.
    fn stacked(&self, part: impl Fn(u64, u64) -> (u64, u64)) -> String {
        let axis = self.attempts_axis();
        let mut path = String::new();
        for (place, bin) in self.filled() {
            let (succeeded, failed) = heights(axis, &bin.counts);
            let (bottom, height) = part(succeeded, failed);
            if height > 0 {
                let base = BARS.saturating_sub(bottom);
                // Writing to a String cannot fail.
                let _ = write!(path, "M{} {base}v-{height}", middle(place));
            }
        }
        path
    }

    /// A line through a percentile of each bar, with gaps where there were no attempts; a lone one is a dot.
    fn line_of(&self, percent: u64) -> String {
        let axis = self.durations_axis();
        let mut path = String::new();
        let mut after = None;
        for (place, bin) in self.filled() {
            let height = axis.height(bin.counts.percentile(percent).unwrap_or_default(), LINES);
            let goes_on = after == Some(place);
            let command = if goes_on { 'L' } else { 'M' };
            let top = LINES.saturating_sub(height);
            let _ = write!(path, "{command}{} {top}", middle(place));
            if !goes_on {
                path.push_str("h0");
            }
            after = place.checked_add(1);
        }
        path
    }
}

/// The middle of a bar.
const fn middle(place: usize) -> usize {
    place
        .saturating_mul(PLACE)
        .saturating_add(PLACE.div_euclid(2))
}

/// The heights of what succeeded and of what failed: both are seen if both are there, and fit the drawing together.
fn heights(axis: Axis, counts: &HourCounts) -> (u64, u64) {
    let seen = |value, height: u64| if value > 0 { height.max(LEAST) } else { 0 };
    let (good, bad) = (succeeded(counts), counts.failed_attempts);
    let whole = seen(counts.attempts, axis.height(counts.attempts, BARS));
    let below = seen(good, 0);
    let failed = seen(bad, axis.height(bad, BARS)).min(BARS.saturating_sub(below));
    (seen(good, whole.saturating_sub(failed)), failed)
}

/// A number of an axis: `400`, `20k`.
fn briefly(number: u64) -> String {
    match number {
        0..10_000 => number.to_string(),
        _ if number.rem_euclid(1_000) == 0 => format!("{}k", number.div_euclid(1_000)),
        _ => number.to_string(),
    }
}

/// A duration of an axis: `0`, `500 ms`, `2 s`.
fn duration(milliseconds: u64) -> String {
    match milliseconds {
        0 => "0".into(),
        _ => took(milliseconds).replace(".0 s", " s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::stats::start_of;

    fn counts(attempts: u64, failed_attempts: u64, milliseconds: u64) -> HourCounts {
        HourCounts {
            attempts,
            failed_attempts,
            durations: [(milliseconds, attempts)].into(),
            ..HourCounts::default()
        }
    }

    fn chart(hours: &[(i64, HourCounts)]) -> Chart {
        Chart::new(hours, ChartSpan::Day, start_of(99))
    }

    #[test]
    fn bars_stand_in_proportion_on_one_base() {
        let chart = chart(&[
            (97, counts(1, 0, 9)),
            (98, counts(50, 0, 9)),
            (99, counts(60, 30, 9)),
        ]);
        assert_eq!(chart.attempt_numbers(), ["60", "40", "20", "0"]);
        assert_eq!(chart.succeeded(), "M215 112v-2M225 112v-93M235 112v-56");
        assert_eq!(chart.failed_attempts(), "M235 56v-56");
        assert_eq!(chart.bars_grid(), "M0 0h240M0 37h240M0 75h240");
    }

    #[test]
    fn one_of_very_many_is_seen_and_nothing_leaves_the_drawing() {
        for (attempts, failed) in [(1_000_000, 1), (1_000_000, 999_999), (7, 7), (7, 0), (2, 1)] {
            let hour = counts(attempts, failed, 9);
            let (good, bad) = heights(Axis::up_to(attempts), &hour);
            assert_eq!(good >= LEAST, failed < attempts, "{attempts} {failed}");
            assert_eq!(bad >= LEAST, failed > 0, "{attempts} {failed}");
            assert!(good + bad <= BARS, "{attempts} {failed}");
        }
    }

    #[test]
    fn a_line_has_gaps_where_nothing_was_attempted() {
        let chart = chart(&[
            (95, counts(1, 0, 2_000)),
            (98, counts(1, 0, 500)),
            (99, counts(1, 0, 0)),
        ]);
        assert_eq!(
            chart.duration_numbers(),
            ["2 s", "1.5 s", "1 s", "500 ms", "0"]
        );
        assert_eq!(chart.p95_line(), "M195 0h0M225 60h0L235 80");
    }

    #[test]
    fn the_axis_of_time_has_a_tick_every_six_hours_or_every_day() {
        let hours = [(99, counts(1, 0, 9))];
        let ticks = |span| {
            Chart::new(&hours, span, start_of(99))
                .ticks()
                .collect::<Vec<_>>()
        };
        assert_eq!(ticks(ChartSpan::Day), [76, 82, 88, 94].map(start_of));
        assert_eq!(ticks(ChartSpan::Week).len(), 7);
    }

    #[test]
    fn both_charts_are_told_in_a_sentence() {
        let chart = chart(&[(99, counts(10, 4, 120))]);
        assert_eq!(
            chart.attempts_sentence(),
            "Last 24 hours: 6 attempts succeeded, 4 failed."
        );
        assert_eq!(
            chart.durations_sentence(),
            "Last 24 hours: half of the attempts took at most 120 ms, 95 of 100 at most 120 ms."
        );
    }

    #[test]
    fn large_numbers_are_brief_beside_the_axis() {
        assert_eq!(
            [9_000, 20_000, 1_000_000].map(briefly),
            ["9000", "20k", "1000k"]
        );
    }
}
