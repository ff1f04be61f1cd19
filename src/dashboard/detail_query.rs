//! The query of a webhook's page: which deliveries, which chart, what to show in place.
//!
//! The filter and the chart are in every address that leads on from the page, so that neither is lost by paging, by
//! opening a delivery, or by going back from it.

use std::borrow::Borrow;

use super::{
    spans::{ChartSpan, Range},
    time_field::TimeField,
};
use crate::domain::{
    delivery::Status,
    ids::{DeliveryId, ResendId, WebhookId},
    last_attempt::{LastAttemptFilter, ResponseStatuses},
    outcome::Outcome,
    record::DeliveryFilter,
    timestamp::Timestamp,
};

/// Deliveries of one page.
const PAGE: usize = 20;

/// Deliveries beside the result of a ping or a test, which takes their room: a page weighs less than 40 kB.
const PAGE_BESIDE_RESULT: usize = 15;

/// How many newer pages an address leads back to; before these, only the newest.
const TRAIL: usize = 8;

/// The word for pending deliveries with an attempt behind them.
const RETRYING: &str = "retrying";

/// What the query asks for. What cannot be read is ignored; for the two times, it is said at their fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DetailQuery {
    /// Deliveries of one status.
    pub status: Option<Status>,
    /// Of pending ones, only those with an attempt behind them.
    pub is_retrying: bool,
    /// By their last attempt.
    pub last_attempt: LastAttemptFilter,
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
    /// The cursors of the pages before that one, the newest page's apart; the latest last.
    pub trail: Vec<DeliveryId>,
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
                "status" => read.read_status(value),
                "response_status" => read.read_response_status(value),
                "outcome" => read.last_attempt.outcome = Outcome::of_word(value),
                // What the page's own form calls either of the two.
                "result" => {
                    read.read_response_status(value);
                    read.last_attempt.outcome = Outcome::of_word(value);
                }
                "type" => read.event_type = value.into(),
                "range" => read.range = Range::of_word(value),
                "since" => read.since = TimeField::parse(value),
                "until" => read.until = TimeField::parse(value),
                "id" => read.id = value.trim().into(),
                "cursor" => read.cursor = DeliveryId::parse(value).ok(),
                "newer" => read.trail.extend(DeliveryId::parse(value)),
                "test" => read.test = DeliveryId::parse(value).ok(),
                "created" => read.created = DeliveryId::parse(value).ok(),
                "resend" => read.resend = ResendId::parse(value).ok(),
                "chart" if value == "7d" => read.chart = ChartSpan::Week,
                _ => {}
            }
        }
        read
    }

    fn read_status(&mut self, word: &str) {
        self.is_retrying = word == RETRYING;
        self.status = if self.is_retrying {
            Some(Status::Pending)
        } else {
            status_of_word(word)
        };
    }

    fn read_response_status(&mut self, text: &str) {
        self.last_attempt.response_status = ResponseStatuses::parse(text).ok();
    }

    /// The word of the status that it asks for; empty for all.
    #[must_use]
    pub fn status_word(&self) -> &'static str {
        if self.is_retrying {
            return RETRYING;
        }
        self.status.map_or("", Status::as_str)
    }

    /// What it asks of the last attempt, as the page's form names it: a status, a class or an outcome; empty for nothing.
    #[must_use]
    pub fn result_word(&self) -> String {
        let LastAttemptFilter {
            outcome,
            response_status,
        } = self.last_attempt;
        let outcome = || outcome.map_or("", Outcome::as_str).to_string();
        response_status.map_or_else(outcome, |statuses| statuses.to_string())
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
            ..self.newest()
        }
    }

    /// The address of this page of the deliveries.
    #[must_use]
    pub fn address(&self, webhook: &WebhookId) -> String {
        format!(
            "/settings/webhooks/{webhook}{}#deliveries",
            self.suffix('?')
        )
    }

    /// What an address has to end with to lead back to this page: the filter, the chart and the place in the log, after
    /// `?` or `&`; empty if there is nothing of it.
    #[must_use]
    pub fn suffix(&self, mark: char) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        let (since, until) = (self.since.instant(), self.until.instant());
        let range = Some(self.range.word()).filter(|_| self.range != Range::All);
        let statuses = self.last_attempt.response_status;
        let statuses = statuses.map(|statuses| statuses.to_string());
        let cursors = self
            .trail
            .iter()
            .map(|cursor| ("newer", Some(cursor.as_ref())));
        let filter = [
            ("status", Some(self.status_word())),
            ("type", Some(self.event_type.as_str())),
            ("response_status", statuses.as_deref()),
            ("outcome", self.last_attempt.outcome.map(Outcome::as_str)),
            ("range", range),
            ("since", since.as_deref()),
            ("until", until.as_deref()),
            ("chart", self.chart.word()),
        ];
        let cursor = self.cursor.as_ref().map(AsRef::as_ref);
        for (name, value) in filter
            .into_iter()
            .chain(cursors)
            .chain([("cursor", cursor)])
        {
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                query.append_pair(name, value);
            }
        }
        // A colon may stand in a query as it is, which is easier to read.
        let query = query.finish().replace("%3A", ":");
        if query.is_empty() {
            return query;
        }
        format!("{mark}{query}")
    }

    /// The same filter on its newest page.
    #[must_use]
    pub fn newest(&self) -> Self {
        Self {
            cursor: None,
            trail: Vec::new(),
            ..self.clone()
        }
    }

    /// The page before this one; none if this is the newest, or if it was left out of a long way.
    #[must_use]
    pub fn newer(&self) -> Option<Self> {
        let mut newer = self.clone();
        newer.cursor = Some(newer.trail.pop()?);
        Some(newer)
    }

    /// The page after this one, which ends at a delivery.
    #[must_use]
    pub fn older(&self, ends_at: &DeliveryId) -> Self {
        let mut older = self.clone();
        older.trail.extend(older.cursor.replace(ends_at.clone()));
        let surplus = older.trail.len().saturating_sub(TRAIL);
        older.trail.drain(..surplus);
        older
    }

    /// All deliveries, beside the same chart.
    #[must_use]
    pub fn unfiltered(&self) -> Self {
        Self {
            chart: self.chart,
            ..Self::default()
        }
    }

    /// The newest deliveries whose last attempt was of one kind, beside the same chart.
    #[must_use]
    pub fn of_last_attempt(&self, last_attempt: LastAttemptFilter) -> Self {
        Self {
            last_attempt,
            ..self.unfiltered()
        }
    }

    /// How many deliveries a page has.
    #[must_use]
    pub const fn page_length(&self) -> usize {
        if self.test.is_some() || self.created.is_some() {
            PAGE_BESIDE_RESULT
        } else {
            PAGE
        }
    }

    /// The deliveries to ask for. A time that was typed overrides the range's.
    #[must_use]
    pub fn filter(&self, now: Timestamp) -> DeliveryFilter {
        DeliveryFilter {
            status: self.status,
            is_retrying: self.is_retrying,
            last_attempt: self.last_attempt,
            event_type: Some(self.event_type.clone()).filter(|name| !name.is_empty()),
            since: self.since.time().or_else(|| self.range.since(now)),
            until: self.until.time(),
            before: self.cursor.clone(),
            limit: self.page_length(),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(query: &str) -> DetailQuery {
        let pairs: Vec<_> = url::form_urlencoded::parse(query.as_bytes()).collect();
        DetailQuery::parse(pairs.iter().map(|(name, value)| (&**name, &**value)))
    }

    fn cursor(number: u8) -> DeliveryId {
        DeliveryId::mint(Timestamp::from_millis(0), [number; 10])
    }

    #[test]
    fn what_it_asks_for_is_in_the_address_of_each_page() {
        let text = "status=retrying&type=agent.error&response_status=5xx&range=1h&since=2026-01-15T10:30Z&chart=7d";
        let query = parse(text);
        assert_eq!(query.suffix('?'), format!("?{text}"));
        let older = query.older(&cursor(1));
        assert_eq!(older.suffix('&'), format!("&{text}&cursor={}", cursor(1)));
        assert_eq!(older.newest(), query);
        let filter = older.filter(Timestamp::from_millis(0));
        assert!(filter.is_retrying && filter.before == Some(cursor(1)));
        assert_eq!(parse("").suffix('?'), "");
    }

    #[test]
    fn each_page_leads_to_the_one_before_it_as_far_as_an_address_may_be_long() {
        let mut query = parse("status=failed");
        assert_eq!(query.newer(), None);
        for number in 1..=20 {
            query = query.older(&cursor(number));
            assert_eq!(parse(query.suffix('?').trim_start_matches('?')), query);
        }
        for number in (12..20).rev() {
            query = query.newer().unwrap();
            assert_eq!(query.cursor, Some(cursor(number)));
        }
        assert_eq!(query.newer(), None);
    }

    #[test]
    fn the_form_has_one_field_for_statuses_classes_and_outcomes() {
        for (result, address) in [
            ("500", "?response_status=500"),
            ("4xx", "?response_status=4xx"),
            ("timeout", "?outcome=timeout"),
            ("nonsense", ""),
            ("", ""),
        ] {
            let query = parse(&format!("result={result}"));
            assert_eq!(query.suffix('?'), address);
            assert_eq!(
                parse(address.trim_start_matches('?')).result_word(),
                query.result_word()
            );
        }
    }
}
