//! All that a page asks of a webhook's object, in one call.

use serde::{Deserialize, Serialize};

use crate::domain::{
    dispatch::Lateness,
    ids::{DeliveryId, EventId},
    last_attempt::FailureGroup,
    record::{DeliveryFilter, DeliveryRecord},
    resend::BulkResend,
    stats::HourCounts,
    webhook::{Health, LastAttempts},
};

/// What a page wants to show.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Wanted {
    /// How many of the last hours' counts.
    pub hours: u32,
    /// Whether the counts include how long attempts took, which is most of their size.
    pub durations: bool,
    /// A page of deliveries.
    pub deliveries: Option<DeliveryFilter>,
    /// One delivery, with its payload.
    pub delivery: Option<DeliveryId>,
    /// The delivery to look up, by its event's id or its own.
    pub looked_up: Option<EventId>,
    /// Whether to group the deliveries whose last attempt failed.
    #[serde(default)]
    pub failures: bool,
    /// Whether to show the latest resend of many deliveries.
    #[serde(rename = "job")]
    pub bulk_resend: bool,
}

/// What was read for a `Wanted`.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Shown {
    /// Hour by hour, oldest first.
    pub hours: Vec<(i64, HourCounts)>,
    /// In the order of the events.
    pub deliveries: Vec<DeliveryRecord>,
    /// Whether there may be older deliveries.
    pub more: bool,
    /// Where the next page begins; objects of an earlier release leave it out.
    #[serde(default)]
    pub next: Option<DeliveryId>,
    /// The delivery.
    pub delivery: Option<DeliveryRecord>,
    /// The delivery that was looked up.
    pub looked_up: Option<DeliveryId>,
    /// In an ordered webhook, the delivery whose turn it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<DeliveryId>,
    /// How late its attempts are; objects of an earlier release leave it out.
    #[serde(default)]
    pub lateness: Lateness,
    /// How its attempts have been ending.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
    /// Its last attempts.
    #[serde(default)]
    pub last: LastAttempts,
    /// Those whose last attempt failed, the largest group first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<FailureGroup>,
    /// The latest bulk resend.
    #[serde(rename = "job")]
    pub bulk_resend: Option<BulkResend>,
}

/// Where the page after these deliveries begins.
#[must_use]
pub fn next_page(
    records: &[DeliveryRecord],
    more: bool,
    next: Option<DeliveryId>,
) -> Option<DeliveryId> {
    let last = records.last().map(|record| record.id.clone());
    next.or(last.filter(|_| more))
}
