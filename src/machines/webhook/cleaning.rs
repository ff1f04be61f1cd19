//! Deleting what is too old to keep, and what there is no storage for, slice by slice.

use std::time::Duration;

use super::{
    tables::{PURGE_SLICE, TooOld},
    turn::Turn,
};
use crate::{
    domain::{
        event::EVENT_ID_KEPT,
        ids::DeliveryId,
        stats::{HOURS_LIMIT, hour_of},
        timestamp::Timestamp,
    },
    machines::sql::Result,
    mutants::Mutant,
};

/// How long until it is tried again to delete for want of storage, after there was nothing and nothing has ended.
const TRIM_AGAIN: Duration = Duration::from_secs(60 * 60);

impl Turn<'_> {
    /// Deletes a slice of what is too old; returns whether more of it may be left.
    pub(super) fn purge(&mut self) -> Result<bool> {
        let mut retention = self.policy.retention;
        if Mutant::PurgedTooEarly.is_on() {
            retention = retention.checked_div(2).unwrap_or_default();
        }
        let kept_since = self.now.saturating_sub(retention);
        let limits = TooOld {
            deliveries_before: kept_since,
            event_ids_before: self.now.saturating_sub(EVENT_ID_KEPT),
            first_hour: hour_of(self.now).saturating_sub(i64::from(HOURS_LIMIT)),
        };
        let is_paused = self.open.dispatch.settings.paused;
        if !is_paused && !self.tables.has_too_old(limits)? {
            return Ok(false);
        }
        let held = self.tables.held_before(kept_since)?;
        for id in &held {
            self.tables.delete_unsettled(id)?;
            self.open.dispatch.queue.remove(id);
        }
        let given_up = if is_paused {
            self.give_up(kept_since)?
        } else {
            0
        };
        let more = self.tables.purge(limits)?;
        Ok(more || held.len() == PURGE_SLICE || given_up == PURGE_SLICE)
    }

    /// Ends what a paused webhook has kept waiting since before a time, as it is too old to keep; returns how many.
    fn give_up(&mut self, kept_since: Timestamp) -> Result<usize> {
        let queue = &self.open.dispatch.queue;
        let waiting = queue.waiting_before(&DeliveryId::first_of(kept_since), PURGE_SLICE);
        for id in &waiting {
            let Some(mut record) = self.tables.read(id)? else {
                self.open.dispatch.queue.remove(id);
                continue;
            };
            if record.delivery.cancel(self.now).is_ok() {
                self.put(&record, false)?;
            }
        }
        Ok(waiting.len())
    }

    /// Deletes a slice of what there is no storage for; returns whether more of it is left.
    pub(super) fn trim(&mut self) -> Result<bool> {
        let limit = self.policy.max_storage;
        let has_to = if self.open.is_trimming {
            !self.tables.is_trimmed(limit)
        } else {
            self.now >= self.open.trim_after && self.tables.is_nearly_full(limit)
        };
        self.open.is_trimming = has_to;
        if !has_to {
            return Ok(false);
        }
        if let Some(since) = self.tables.trim()? {
            self.open.log_since = Some(since);
            return Ok(true);
        }
        self.open.is_trimming = false;
        self.open.trim_after = self.now.saturating_add(TRIM_AGAIN);
        Ok(false)
    }
}
