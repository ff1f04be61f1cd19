//! The producers' event ids, by which a repeated post finds the delivery of the first. They are kept by the day, and
//! found of today, of yesterday, and of tomorrow, which was today before the clock was put back.

use std::time::Duration;

use super::{WebhookTables, deliveries::delivery_id};
use crate::domain::{
    event::EVENT_ID_KEPT,
    ids::{DeliveryId, EventId},
    record::DeliveryRecord,
    timestamp::Timestamp,
};
use crate::machines::sql::Result;

const DAY_SECONDS: i64 = 24 * 60 * 60;

const _: () = assert!(
    EVENT_ID_KEPT.as_secs() <= DAY_SECONDS.unsigned_abs(),
    "an id of the day before yesterday is not found"
);

impl WebhookTables {
    /// Finds the delivery that an earlier post of the same event made within `kept`, a day at most.
    ///
    /// Generated ids have no table: such an id contains the time of its delivery, and the few deliveries of that
    /// millisecond are searched.
    pub(crate) fn find_event_id(
        &self,
        id: &EventId,
        now: Timestamp,
        kept: Duration,
    ) -> Result<Option<DeliveryId>> {
        let found = match self.unwritten_event(id) {
            Some(found) => Some(found),
            None => self.find_given(id, now)?,
        };
        let found = match (found, id.minted_at()) {
            (None, Some(time)) => self.find_generated(id, time)?,
            (found, _) => found,
        };
        Ok(found.filter(|found| now.saturating_duration_since(found.minted_at()) <= kept))
    }

    /// Reads the delivery that an earlier post of the same event made within `kept`, as lists show it.
    pub(crate) fn find_event(
        &self,
        id: &EventId,
        now: Timestamp,
        kept: Duration,
    ) -> Result<Option<DeliveryRecord>> {
        match self.find_event_id(id, now, kept)? {
            Some(found) => self.read_summary(&found),
            None => Ok(None),
        }
    }

    fn find_given(&self, id: &EventId, now: Timestamp) -> Result<Option<DeliveryId>> {
        let today = day(now);
        let found = self.database.value(
            "SELECT delivery_id FROM event_ids WHERE day IN (?1 - 1, ?1, ?1 + 1) AND event_id = ?2 ORDER BY day DESC",
            vec![today.into(), id.as_ref().into()],
        )?;
        found.map(|found| delivery_id(Some(found))).transpose()
    }

    fn find_generated(&self, id: &EventId, time: Timestamp) -> Result<Option<DeliveryId>> {
        if let Some(found) = self.loaded_event(id) {
            return Ok(Some(found));
        }
        for segment in self.segments_with(id.as_ref(), &[false, true], time)? {
            let mut members = segment.members().iter();
            if let Some(member) = members.find(|member| member.event_id() == id) {
                return Ok(Some(member.id().clone()));
            }
        }
        let found = self.database.value(
            "SELECT id FROM deliveries WHERE settled IN (0, 1) AND id BETWEEN ? AND ? AND event_id = ?",
            vec![
                DeliveryId::first_of(time).as_ref().into(),
                DeliveryId::last_of(time).as_ref().into(),
                id.as_ref().into(),
            ],
        )?;
        found.map(|found| delivery_id(Some(found))).transpose()
    }

    /// Keeps a producer's id, to find the event's delivery by it: one row, clustered by day, so that purging a day
    /// reads no other day.
    pub(super) fn insert_event_id(
        &self,
        event: &EventId,
        delivery: &DeliveryId,
        now: Timestamp,
    ) -> Result<()> {
        self.database.run(
            "INSERT OR REPLACE INTO event_ids (day, event_id, delivery_id) VALUES (?, ?, ?)",
            vec![
                day(now).into(),
                event.as_ref().into(),
                delivery.as_ref().into(),
            ],
        )?;
        Ok(())
    }
}

/// The day of a time, in days since 1970.
pub(super) fn day(time: Timestamp) -> i64 {
    time.as_seconds().div_euclid(DAY_SECONDS)
}
