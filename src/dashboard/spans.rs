//! Stretches of time by name: which deliveries the log shows, and how much the chart does.

use std::time::Duration;

use crate::domain::timestamp::Timestamp;

const HOUR: Duration = Duration::from_secs(60 * 60);

/// A time range by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Range {
    /// The last hour.
    Hour,
    /// The last 24 hours.
    Day,
    /// The last 7 days.
    Week,
    /// The last 30 days.
    Month,
    /// All that is kept.
    #[default]
    All,
}

impl Range {
    /// Every range: its word and its label.
    pub const CHOICES: [(&'static str, &'static str); 5] = [
        ("all", "Any time"),
        ("1h", "Last hour"),
        ("24h", "Last 24 hours"),
        ("7d", "Last 7 days"),
        ("30d", "Last 30 days"),
    ];

    /// The word in a query.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Hour => "1h",
            Self::Day => "24h",
            Self::Week => "7d",
            Self::Month => "30d",
            Self::All => "all",
        }
    }

    /// The range of which this is the word; all for any other.
    #[must_use]
    pub fn of_word(word: &str) -> Self {
        [Self::Hour, Self::Day, Self::Week, Self::Month]
            .into_iter()
            .find(|range| range.word() == word)
            .unwrap_or_default()
    }

    /// When it began; none for all.
    #[must_use]
    pub fn since(self, now: Timestamp) -> Option<Timestamp> {
        let hours = match self {
            Self::Hour => 1,
            Self::Day => 24,
            Self::Week => 7 * 24,
            Self::Month => 30 * 24,
            Self::All => return None,
        };
        Some(now.saturating_sub(HOUR.saturating_mul(hours)))
    }
}

/// How much time the chart shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ChartSpan {
    /// 24 hours, one bar per hour.
    #[default]
    Day,
    /// 7 days, one bar per six hours.
    Week,
}

impl ChartSpan {
    /// The word in a query; none for what is shown without one.
    #[must_use]
    pub const fn word(self) -> Option<&'static str> {
        match self {
            Self::Day => None,
            Self::Week => Some("7d"),
        }
    }

    /// Hours of stats to ask for.
    #[must_use]
    pub const fn hours(self) -> u32 {
        match self {
            Self::Day => 24,
            Self::Week => 7 * 24,
        }
    }
}
