//! The webhook's hourly counts and its gauges.

use std::collections::BTreeMap;

use worker::Result;

use super::{Open, WebhookObject};
use crate::{
    domain::{
        delivery::{Change, Kind},
        record::DeliveryRecord,
        stats::{HourTally, hour_of},
        timestamp::Timestamp,
    },
    runtime::{commands::WebhookReply, entropy::now},
};

/// How many attempts may wait in memory to be folded.
const UNFOLDED_LIMIT: u64 = 50;

impl Open {
    /// Counts an attempt that has just ended.
    pub(super) fn count(&mut self, record: &DeliveryRecord, change: Change, now: Timestamp) {
        if let (Kind::Event, Some(attempt)) = (record.delivery.kind(), record.attempts.last()) {
            self.tally.count(now, &record.id, attempt, change);
        }
    }
}

impl WebhookObject {
    /// Folds the counts into the rows of the hours, once there are enough of them.
    pub(super) fn fold_counts(&self) -> Result<()> {
        let now = now();
        self.change_desk(|open| {
            if open.tally.should_fold(UNFOLDED_LIMIT) {
                self.store.fold(&open.tally, now)?;
                open.tally.fold(now);
            }
            Ok(())
        })?;
        Ok(())
    }

    pub(super) fn stats(&self, hours: u32) -> Result<WebhookReply> {
        let present = hour_of(now());
        self.on_desk(|open| {
            let first = present.saturating_sub(i64::from(hours)).saturating_add(1);
            let folded = self.store.hours(first)?;
            let tally = |hour| (hour, sum(&folded, open, hour));
            Ok(WebhookReply::Stats((first..=present).map(tally).collect()))
        })
    }

    pub(super) fn gauges(&self) -> Result<WebhookReply> {
        let last_full = hour_of(now()).saturating_sub(1);
        self.on_desk(|open| {
            let folded = self.store.hours(last_full)?;
            let queue = &open.dispatch.queue;
            Ok(WebhookReply::Gauges {
                enabled: open.dispatch.is_enabled(),
                pending: queue.len().saturating_sub(queue.held()),
                held: queue.held(),
                last_hour: sum(&folded, open, last_full),
            })
        })
    }
}

fn sum(folded: &BTreeMap<i64, HourTally>, open: &Open, hour: i64) -> HourTally {
    let mut sum = folded.get(&hour).cloned().unwrap_or_default();
    if let Some(tally) = open.tally.hour(hour) {
        sum.add(tally);
    }
    sum
}
