//! A delivery with all that is kept of it: its payload, its progress, its attempts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{
    attempt::Attempt,
    delivery::{Delivery, Kind, State, Status},
    ids::{DeliveryId, EventId},
    last_attempt::LastAttemptFilter,
    timestamp::Timestamp,
    webhook::StoredHeader,
};

/// A stored delivery.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeliveryRecord {
    /// Its id, which is the `id` in the payload.
    pub id: DeliveryId,
    /// The event's id.
    pub event_id: EventId,
    /// The event's type.
    pub event_type: String,
    /// Its progress.
    pub delivery: Delivery,
    /// Its attempts, oldest first.
    pub attempts: Vec<Attempt>,
    /// The bytes that are signed and sent; none in lists.
    pub payload: Option<Box<RawValue>>,
    /// The request as it was sent; kept only for pings and tests.
    pub request: Option<SentRequest>,
    /// In a reply, the delivery of an ordered webhook that has to end before this one is attempted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_for: Option<DeliveryId>,
}

/// A request as it was sent; its body is the payload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentRequest {
    /// The endpoint URL at that time.
    pub url: String,
    /// The headers that the relay set.
    pub headers: BTreeMap<String, String>,
    /// The headers that the owner added, stored as secrets are.
    pub custom_headers: Vec<StoredHeader>,
}

/// Which deliveries of a webhook to list, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryFilter {
    /// Of one status.
    pub status: Option<Status>,
    /// Of one event type.
    pub event_type: Option<String>,
    /// Of one kind.
    pub kind: Option<Kind>,
    /// Of pending ones, only those with an attempt behind them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_retrying: bool,
    /// Of one event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_id: Option<EventId>,
    /// By their last attempt.
    #[serde(default, skip_serializing_if = "LastAttemptFilter::is_empty")]
    pub last_attempt: LastAttemptFilter,
    /// Made at this time or later.
    pub since: Option<Timestamp>,
    /// Made before this time.
    pub until: Option<Timestamp>,
    /// Older than this one, at which the previous page ended.
    pub before: Option<DeliveryId>,
    /// How many at most.
    pub limit: usize,
    /// Whether the asker goes on from the cursor of a page that is not full, and needs of the answers only their
    /// statuses. Workers of an earlier release do neither.
    #[serde(default)]
    pub is_brief: bool,
}

impl DeliveryFilter {
    /// Whether a delivery matches the filter.
    #[must_use]
    pub fn selects(&self, record: &DeliveryRecord) -> bool {
        let DeliveryFilter {
            status,
            event_type,
            kind,
            is_retrying,
            event_id,
            last_attempt,
            since,
            until,
            before,
            limit: _,
            is_brief: _,
        } = self;
        status.is_none_or(|status| record.delivery.status() == status)
            && event_type
                .as_ref()
                .is_none_or(|wanted| record.event_type == *wanted)
            && kind.is_none_or(|kind| record.delivery.kind() == kind)
            && (!is_retrying || record.delivery.is_retrying())
            && event_id
                .as_ref()
                .is_none_or(|wanted| record.event_id == *wanted)
            && last_attempt.selects(&record.attempts)
            && since.is_none_or(|since| record.id >= DeliveryId::first_of(since))
            && until.is_none_or(|until| record.id < DeliveryId::first_of(until))
            && before.as_ref().is_none_or(|before| record.id < *before)
    }
}

impl DeliveryRecord {
    /// Drops what lists and traces do not show: the payload, the request, the answers' headers and bodies.
    pub fn summarize(&mut self) {
        self.payload = None;
        self.request = None;
        for attempt in &mut self.attempts {
            attempt.response_headers.clear();
            attempt.response_body = None;
        }
    }

    /// When the next attempt is due, if one is scheduled and waits for no other delivery.
    #[must_use]
    pub const fn next_attempt_at(&self) -> Option<Timestamp> {
        match self.delivery.state() {
            State::Scheduled { .. } if self.waiting_for.is_some() => None,
            State::Scheduled { due } => Some(due),
            State::Leased { .. } | State::Held | State::Delivered { .. } | State::Failed { .. } => {
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::outcome::Outcome;

    #[test]
    fn a_filter_selects_what_meets_each_of_its_conditions() {
        let record = record(Delivery::due(Kind::Event, at(5)));
        assert!(DeliveryFilter::default().selects(&record));
        for filter in [
            filter(|filter| filter.status = Some(Status::Pending)),
            filter(|filter| filter.event_type = Some("agent.error".into())),
            filter(|filter| filter.kind = Some(Kind::Event)),
            filter(|filter| filter.event_id = Some(record.event_id.clone())),
            filter(|filter| filter.since = Some(at(5))),
            filter(|filter| filter.until = Some(at(6))),
            filter(|filter| filter.before = Some(DeliveryId::after(at(5)))),
        ] {
            assert!(filter.selects(&record), "{filter:?}");
        }
        for filter in [
            filter(|filter| filter.status = Some(Status::Held)),
            filter(|filter| filter.event_type = Some("agent.started".into())),
            filter(|filter| filter.kind = Some(Kind::Ping)),
            filter(|filter| filter.is_retrying = true),
            filter(|filter| filter.event_id = Some(EventId::parse("another").unwrap())),
            filter(|filter| filter.last_attempt.outcome = Some(Outcome::Lost)),
            filter(|filter| filter.since = Some(at(6))),
            filter(|filter| filter.until = Some(at(5))),
            filter(|filter| filter.before = Some(record.id.clone())),
        ] {
            assert!(!filter.selects(&record), "{filter:?}");
        }
    }

    #[test]
    fn only_what_is_scheduled_has_a_next_attempt() {
        let scheduled = Delivery::due(Kind::Event, at(5));
        assert_eq!(record(scheduled).next_attempt_at(), Some(at(5)));
        assert_eq!(record(Delivery::held()).next_attempt_at(), None);
    }

    #[test]
    fn a_summary_has_of_answers_their_statuses_alone() {
        let mut record = record(Delivery::due(Kind::Event, at(5)));
        let mut attempt = Attempt::lost(1, at(5), at(6));
        attempt.response_status = Some(500);
        attempt.response_body = Some("sorry".into());
        attempt.response_headers = [("server".to_string(), "a".to_string())].into();
        record.attempts = vec![attempt];
        record.payload = Some(RawValue::from_string("{}".into()).unwrap());
        record.summarize();
        let [attempt] = &record.attempts[..] else {
            panic!("its attempt stays");
        };
        assert_eq!(attempt.response_status, Some(500));
        assert!(attempt.response_body.is_none() && attempt.response_headers.is_empty());
        assert!(record.payload.is_none());
    }

    fn filter(set: impl Fn(&mut DeliveryFilter)) -> DeliveryFilter {
        let mut filter = DeliveryFilter::default();
        set(&mut filter);
        filter
    }

    fn record(delivery: Delivery) -> DeliveryRecord {
        DeliveryRecord {
            id: DeliveryId::mint(at(5), [1; 10]),
            event_id: EventId::mint(at(5), [1; 10]),
            event_type: "agent.error".into(),
            delivery,
            attempts: Vec::new(),
            payload: None,
            request: None,
            waiting_for: None,
        }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }
}
