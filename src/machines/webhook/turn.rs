//! One turn of the machine at a webhook that has settings: its memory and its tables change together.
//!
//! Every change of a delivery goes through `put`, so that the row and the queue in memory never differ.

use std::time::Duration;

use super::{memory::Open, tables::WebhookTables};
use crate::{
    domain::{
        attempt::Attempt,
        delivery::{Change, End, Kind},
        dispatch::Dispatch,
        ids::DeliveryId,
        policy::Policy,
        record::DeliveryRecord,
        timestamp::Timestamp,
    },
    machines::{messages::Grant, sql::Result},
    mutants::Mutant,
};

/// What a turn has to work with.
pub(super) struct Turn<'a> {
    pub(super) tables: &'a WebhookTables,
    pub(super) open: &'a mut Open,
    pub(super) now: Timestamp,
    pub(super) policy: &'a Policy,
    pub(super) noted: &'a mut Noted,
}

/// What a turn leaves for the machine to tell others.
#[derive(Default)]
pub(super) struct Noted {
    /// Deliveries whose attempt has been reported.
    pub(super) reported: Vec<DeliveryId>,
    /// Attempts that ended without a report.
    pub(super) lost: Vec<LostAttempt>,
}

/// An attempt that ended without a report, for the operator's log.
#[derive(Debug)]
#[cfg_attr(feature = "test-hooks", derive(serde::Serialize))]
pub struct LostAttempt {
    /// The delivery.
    pub id: DeliveryId,
    /// The event's type.
    pub event_type: String,
    /// The delivery's kind.
    pub kind: Kind,
    /// The attempt as it is recorded.
    pub attempt: Attempt,
}

impl Turn<'_> {
    /// Calls the domain, and stores the standing if that has changed.
    pub(super) fn and_standing<T>(&mut self, change: impl FnOnce(&mut Dispatch) -> T) -> Result<T> {
        let before = self.open.dispatch.standing.clone();
        let changed = change(&mut self.open.dispatch);
        if self.open.dispatch.standing.differs_from(&before) {
            self.tables.put_standing(&self.open.dispatch.standing)?;
        }
        Ok(changed)
    }

    /// Stores the progress of a delivery.
    pub(super) fn put(&mut self, record: &DeliveryRecord, was_settled: bool) -> Result<()> {
        self.tables.update(record, was_settled)?;
        if record.delivery.is_settled() {
            // There is something to delete again.
            self.open.trim_after = Timestamp::default();
        }
        let queue = &mut self.open.dispatch.queue;
        let bytes = if was_settled {
            self.tables.bytes(&record.id)?
        } else {
            queue.bytes_of(&record.id)
        };
        queue.place(&record.id, &record.delivery, bytes);
        Ok(())
    }

    /// Leases a due delivery, if it may be, to somebody who can wait `ahead` to begin; the grant has its payload.
    pub(super) fn lease(&mut self, id: &DeliveryId, ahead: Duration) -> Result<Option<Grant>> {
        let Some(mut record) = self.tables.read_whole(id)? else {
            self.open.dispatch.queue.remove(id);
            return Ok(None);
        };
        let dispatch = &mut self.open.dispatch;
        let lease = dispatch.lease(&mut record.delivery, self.now, ahead, self.policy);
        if !(Mutant::LeaseNotRecorded.is_on() && lease.is_some()) {
            self.put(&record, false)?;
        }
        let Some(lease) = lease else {
            return Ok(None);
        };
        let grant = Grant::new(&self.open.dispatch.settings, &record, lease, self.now);
        let payload = record.payload;
        Ok(Some(Grant { payload, ..grant }))
    }

    /// Takes back the leases that have ended, each delivery a step of its own.
    pub(super) fn take_back_leases(&mut self) -> Result<()> {
        while !Mutant::LeaseNeverEnds.is_on()
            && let Some(id) = self.open.dispatch.queue.ended_lease(self.now)
        {
            let Some(mut record) = self.tables.read(&id)? else {
                self.open.dispatch.queue.remove(&id);
                continue;
            };
            let (now, policy) = (self.now, self.policy);
            let before = record.delivery.last_end();
            let change =
                self.and_standing(|dispatch| dispatch.take_back_lease(&mut record, now, policy))?;
            self.put(&record, false)?;
            if change != Change::DueAgain {
                self.count(&record, change, before);
            }
            if matches!(change, Change::Rescheduled | Change::Failed(_))
                && let Some(attempt) = record.attempts.last()
            {
                self.noted.lost.push(LostAttempt {
                    attempt: attempt.clone(),
                    kind: record.delivery.kind(),
                    event_type: record.event_type,
                    id,
                });
            }
        }
        Ok(())
    }

    /// Counts an attempt that has just ended, of a delivery that had ended `before`.
    pub(super) fn count(&mut self, record: &DeliveryRecord, change: Change, before: Option<End>) {
        if let (Kind::Event, Some(attempt)) = (record.delivery.kind(), record.attempts.last()) {
            self.open
                .counts
                .count(self.now, &record.id, attempt, change, before);
        }
    }
}
