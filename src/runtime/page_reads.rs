//! What a page asks of a webhook's object, all of it in one call.

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
    /// The counts of the last hours.
    pub(super) hours: u32,
    /// Whether the counts have to tell how long attempts took; it is most of their weight.
    pub(super) durations: bool,
    /// A page of deliveries.
    pub(super) deliveries: Option<DeliveryFilter>,
    /// One delivery, whole.
    pub(super) delivery: Option<DeliveryId>,
    /// The delivery that an event's id, or its own, leads to.
    pub(super) looked_up: Option<EventId>,
    /// The last bulk resend.
    pub(super) job: bool,
}

/// What there is of it.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Shown {
    /// Hour by hour, the oldest first.
    pub(super) hours: Vec<(i64, HourTally)>,
    pub(super) deliveries: Vec<DeliveryRecord>,
    /// Whether there are older ones.
    pub(super) more: bool,
    pub(super) delivery: Option<DeliveryRecord>,
    pub(super) looked_up: Option<DeliveryId>,
    pub(super) job: Option<ResendJob>,
}
