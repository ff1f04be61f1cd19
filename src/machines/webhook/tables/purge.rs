//! Finding what is too old to keep, and deleting it slice by slice.

use super::{
    WebhookTables,
    deliveries::delivery_id,
    event_ids::day,
    places::{SETTLED, first_place},
};
use crate::domain::{ids::DeliveryId, segment::SPAN, timestamp::Timestamp};
use crate::machines::sql::Result;

/// How many rows of a table one slice of a purge deletes at most.
pub(crate) const PURGE_SLICE: usize = 500;

impl WebhookTables {
    /// Deletes a slice of what is too old to keep; returns whether more may be left.
    pub(crate) fn purge(
        &self,
        deliveries_before: Timestamp,
        event_ids_before: Timestamp,
    ) -> Result<bool> {
        let old = DeliveryId::first_of(deliveries_before);
        let purged = self.database.run(
            &format!(
                "DELETE FROM deliveries WHERE settled = 1 AND id IN
                 (SELECT id FROM deliveries WHERE settled = 1 AND id < ? ORDER BY id LIMIT {PURGE_SLICE}) RETURNING 1"
            ),
            vec![old.as_ref().into()],
        )?;
        // A segment is kept until the last of its deliveries is too old.
        let old = first_place(true, deliveries_before.saturating_sub(SPAN));
        let purged_segments = self.database.run(
            &format!(
                "DELETE FROM segments WHERE place IN
                 (SELECT place FROM segments WHERE place BETWEEN ? AND ? ORDER BY place LIMIT {PURGE_SLICE}) RETURNING 1"
            ),
            vec![SETTLED.into(), old.saturating_sub(1).into()],
        )?;
        let forgotten = self.database.run(
            &format!(
                "DELETE FROM event_ids WHERE (day, event_id) IN
                 (SELECT day, event_id FROM event_ids WHERE day < ? LIMIT {PURGE_SLICE}) RETURNING 1"
            ),
            vec![day(event_ids_before).into()],
        )?;
        let slices = [purged, purged_segments, forgotten];
        Ok(slices.iter().any(|slice| slice.len() == PURGE_SLICE))
    }

    /// Returns a slice of the held deliveries that are older than a time.
    pub(crate) fn held_before(&self, time: Timestamp) -> Result<Vec<DeliveryId>> {
        let statement = format!(
            "SELECT id FROM deliveries WHERE settled = 0 AND status = 'held' AND id < ? ORDER BY id LIMIT {PURGE_SLICE}"
        );
        let rows = self
            .database
            .run(&statement, vec![DeliveryId::first_of(time).as_ref().into()])?;
        rows.into_iter()
            .map(|mut row| delivery_id(row.next()))
            .collect()
    }
}
