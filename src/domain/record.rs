//! A delivery with all that is kept of it: its payload, its progress, its attempts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{
    attempt::Attempt,
    delivery::{Delivery, Kind, State, Status},
    ids::{DeliveryId, EventId},
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

    /// When the next attempt is due, if one is scheduled.
    #[must_use]
    pub const fn next_attempt_at(&self) -> Option<Timestamp> {
        match self.delivery.state() {
            State::Scheduled { due } => Some(due),
            State::Leased { .. } | State::Held | State::Delivered { .. } | State::Failed { .. } => {
                None
            }
        }
    }
}
