//! The query of a webhook's page: which deliveries, which chart, what to show in place.

use std::{borrow::Borrow, time::Duration};

use super::time_field::TimeField;
use crate::domain::{
    delivery::Status,
    ids::{DeliveryId, ResendId, WebhookId},
    record::DeliveryFilter,
    timestamp::Timestamp,
};

/// Deliveries of one page.
const PAGE: usize = 50;

const HOUR: Duration = Duration::from_secs(60 * 60);

/// A time range by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Range {
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
    pub const CHOICES: [(&'static str, &'static str); 4] = [
        ("all", "Any time"),
        ("24h", "Last 24 hours"),
        ("7d", "Last 7 days"),
        ("30d", "Last 30 days"),
    ];

    /// The word in a query.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Day => "24h",
            Self::Week => "7d",
            Self::Month => "30d",
            Self::All => "all",
        }
    }

    fn of_word(word: &str) -> Self {
        [Self::Day, Self::Week, Self::Month]
            .into_iter()
            .find(|range| range.word() == word)
            .unwrap_or_default()
    }

    fn since(self, now: Timestamp) -> Option<Timestamp> {
        let hours = match self {
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

/// What the query asks for. What cannot be read is ignored; for the two times, it is said at their fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DetailQuery {
    /// Deliveries of one status.
    pub status: Option<Status>,
    /// Deliveries of one event type; empty for all.
    pub event_type: String,
    /// Deliveries of a time range by name.
    pub range: Range,
    /// Deliveries since a time.
    pub since: TimeField,
    /// Deliveries before a time.
    pub until: TimeField,
    /// A delivery's id to look up, as typed; empty for none.
    pub id: String,
    /// Where the previous page ended.
    pub cursor: Option<DeliveryId>,
    /// A test whose result to show in place.
    pub test: Option<DeliveryId>,
    /// The ping of a webhook that was just created, whose result to show on top.
    pub created: Option<DeliveryId>,
    /// A bulk resend whose progress to show.
    pub resend: Option<ResendId>,
    /// How much time the chart shows.
    pub chart: ChartSpan,
}

impl DetailQuery {
    /// Reads the query.
    #[must_use]
    pub fn parse<'a>(query: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        let mut read = Self::default();
        for (name, value) in query {
            match name {
                "status" => read.status = status_of_word(value),
                "type" => read.event_type = value.into(),
                "range" => read.range = Range::of_word(value),
                "since" => read.since = TimeField::parse(value),
                "until" => read.until = TimeField::parse(value),
                "id" => read.id = value.trim().into(),
                "cursor" => read.cursor = DeliveryId::parse(value).ok(),
                "test" => read.test = DeliveryId::parse(value).ok(),
                "created" => read.created = DeliveryId::parse(value).ok(),
                "resend" => read.resend = ResendId::parse(value).ok(),
                "chart" if value == "7d" => read.chart = ChartSpan::Week,
                _ => {}
            }
        }
        read
    }

    /// Whether something in it cannot be read, or was not found.
    #[must_use]
    pub fn refuses(&self) -> bool {
        let times = self.since.error().or(self.until.error_after(&self.since));
        times.is_some() || !self.id.is_empty()
    }

    /// The same filter, with another chart.
    #[must_use]
    pub fn with_chart(&self, chart: ChartSpan) -> Self {
        Self {
            chart,
            ..self.clone()
        }
    }

    /// The same filter, for the deliveries of a bar of the chart.
    #[must_use]
    pub fn within(&self, since: impl Borrow<Timestamp>, until: impl Borrow<Timestamp>) -> Self {
        Self {
            range: Range::All,
            since: TimeField::of(since),
            until: TimeField::of(until),
            ..self.clone()
        }
    }

    /// The address of a page of the deliveries that this filter lets through.
    #[must_use]
    pub fn address(&self, webhook: &WebhookId, before: Option<&DeliveryId>) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        let (since, until) = (self.since.instant(), self.until.instant());
        let range = Some(self.range.word()).filter(|_| self.range != Range::All);
        for (name, value) in [
            ("status", self.status.map(Status::as_str)),
            ("type", Some(self.event_type.as_str())),
            ("range", range),
            ("since", since.as_deref()),
            ("until", until.as_deref()),
            ("cursor", before.map(AsRef::as_ref)),
            ("chart", self.chart.word()),
        ] {
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                query.append_pair(name, value);
            }
        }
        // A colon may stand in a query as it is, which is easier to read.
        let query = query.finish().replace("%3A", ":");
        format!("/settings/webhooks/{webhook}?{query}#deliveries")
    }

    /// The deliveries to ask for. A time that was typed overrides the range's.
    #[must_use]
    pub fn filter(&self, now: Timestamp) -> DeliveryFilter {
        DeliveryFilter {
            status: self.status,
            event_type: Some(self.event_type.clone()).filter(|name| !name.is_empty()),
            since: self.since.time().or_else(|| self.range.since(now)),
            until: self.until.time(),
            before: self.cursor.clone(),
            limit: PAGE,
            is_brief: true,
            ..DeliveryFilter::default()
        }
    }
}

fn status_of_word(word: &str) -> Option<Status> {
    [
        Status::Pending,
        Status::Delivered,
        Status::Failed,
        Status::Held,
    ]
    .into_iter()
    .find(|status| status.as_str() == word)
}
