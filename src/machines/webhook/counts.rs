//! The webhook's hourly counts and its gauges.

use super::turn::Turn;
use crate::{
    domain::{
        dispatch::Lateness,
        stats::{HourCounts, hour_of},
    },
    machines::{messages::WebhookReply, sql::Result},
    mutants::Mutant,
};

/// How many attempts may wait in memory to be folded.
const UNFOLDED_LIMIT: u64 = 50;

impl Turn<'_> {
    /// Folds the counts into the rows of the hours, once there are enough of them.
    pub(super) fn fold_counts(&mut self) -> Result<()> {
        if self.open.counts.should_fold(UNFOLDED_LIMIT) {
            self.fold()?;
        }
        Ok(())
    }

    /// Folds the counts if they have an attempt that a reset would not count again: it is folded together with what it
    /// changed.
    pub(super) fn fold_older(&mut self) -> Result<()> {
        if self.open.counts.has_older() && !Mutant::OlderCountsKept.is_on() {
            self.fold()?;
        }
        Ok(())
    }

    fn fold(&mut self) -> Result<()> {
        // What is counted must be stored, or it happens and is counted again.
        self.tables.flush()?;
        let through = self.open.counts.fold_through(self.now);
        if !Mutant::CountsNotFolded.is_on() {
            self.tables.fold(&self.open.counts, through)?;
        }
        self.open.counts.fold(through);
        Ok(())
    }

    /// The counts of the last hours, the present one included, oldest first.
    pub(super) fn hours(&self, hours: u32) -> Result<Vec<(i64, HourCounts)>> {
        let present = hour_of(self.now);
        let first = present.saturating_sub(i64::from(hours)).saturating_add(1);
        let mut folded = self.tables.hours(first)?;
        let mut counts = |hour| {
            let folded = folded.remove(&hour);
            (hour, self.open.counts.hour(hour, folded))
        };
        Ok((first..=present).map(&mut counts).collect())
    }

    /// How late its attempts are.
    pub(super) fn lateness(&self) -> Lateness {
        self.open.dispatch.lateness(self.now, self.policy)
    }

    pub(super) fn gauges(&self) -> Result<WebhookReply> {
        let last_full = hour_of(self.now).saturating_sub(1);
        let folded = self.tables.hours(last_full)?.remove(&last_full);
        let queue = &self.open.dispatch.queue;
        Ok(WebhookReply::Gauges {
            enabled: self.open.dispatch.is_enabled(),
            pending: queue.len().saturating_sub(queue.held()),
            held: queue.held(),
            lateness: self.lateness(),
            health: self.open.dispatch.standing.health,
            last: self.open.counts.last(),
            last_hour: self.open.counts.hour(last_full, folded),
        })
    }
}
