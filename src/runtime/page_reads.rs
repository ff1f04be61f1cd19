//! All that a page asks of a webhook's object, in one call.

use serde::{Deserialize, Serialize};

use crate::domain::{
    ids::{DeliveryId, EventId},
    record::{DeliveryFilter, DeliveryRecord},
    resend::ResendJob,
    stats::HourTally,
};

/// What a page wants to show.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Wanted {
    /// How many of the last hours' counts.
    pub(super) hours: u32,
    /// Whether the counts include how long attempts took, which is most of their size.
    pub(super) durations: bool,
    /// A page of deliveries.
    pub(super) deliveries: Option<DeliveryFilter>,
    /// One delivery, with its payload.
    pub(super) delivery: Option<DeliveryId>,
    /// The delivery to look up, by its event's id or its own.
    pub(super) looked_up: Option<EventId>,
    /// Whether to show the latest resend of many deliveries.
    pub(super) job: bool,
}

/// What was read for a `Wanted`.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Shown {
    /// Hour by hour, oldest first.
    pub(super) hours: Vec<(i64, HourTally)>,
    pub(super) deliveries: Vec<DeliveryRecord>,
    /// Whether there may be older deliveries.
    pub(super) more: bool,
    /// Where the next page begins; objects of an earlier release leave it out.
    #[serde(default)]
    pub(super) next: Option<DeliveryId>,
    pub(super) delivery: Option<DeliveryRecord>,
    pub(super) looked_up: Option<DeliveryId>,
    pub(super) job: Option<ResendJob>,
}

/// Where the page after these deliveries begins.
pub(super) fn next_page(
    records: &[DeliveryRecord],
    more: bool,
    next: Option<DeliveryId>,
) -> Option<DeliveryId> {
    let last = records.last().map(|record| record.id.clone());
    next.or(last.filter(|_| more))
}
