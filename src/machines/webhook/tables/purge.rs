//! Finding what is too old to keep, and deleting it slice by slice.

use super::{
    WebhookTables,
    deliveries::delivery_id,
    event_ids::day,
    places::{SETTLED, first_place},
};
use crate::domain::{ids::DeliveryId, segment::SPAN, timestamp::Timestamp};
use crate::machines::sql::{Result, integer};

/// How many rows of a table one slice of a purge deletes at most.
pub(crate) const PURGE_SLICE: usize = 500;

/// The limits of what is kept: what is older is deleted.
#[derive(Clone, Copy)]
pub(crate) struct TooOld {
    pub(crate) deliveries_before: Timestamp,
    pub(crate) event_ids_before: Timestamp,
    /// The first hour whose counts are kept.
    pub(crate) first_hour: i64,
}

impl TooOld {
    /// The places of settled segments that are too old, first and last. A segment is kept until the last of its
    /// deliveries is too old.
    fn places(self) -> [i64; 2] {
        let kept = first_place(true, self.deliveries_before.saturating_sub(SPAN));
        [SETTLED, kept.saturating_sub(1)]
    }
}

impl WebhookTables {
    /// Whether anything is too old to keep: one statement, where deleting is one for each table.
    pub(crate) fn has_too_old(&self, limits: TooOld) -> Result<bool> {
        let statement = "SELECT EXISTS (SELECT 1 FROM deliveries WHERE settled = 1 AND id < ?1)
            OR EXISTS (SELECT 1 FROM deliveries WHERE settled = 0 AND status = 'held' AND id < ?1)
            OR EXISTS (SELECT 1 FROM segments WHERE place BETWEEN ?2 AND ?3)
            OR EXISTS (SELECT 1 FROM event_ids WHERE day < ?4)
            OR EXISTS (SELECT 1 FROM stats WHERE hour < ?5)";
        let [first, last] = limits.places();
        let parameters = vec![
            DeliveryId::first_of(limits.deliveries_before)
                .as_ref()
                .into(),
            first.into(),
            last.into(),
            day(limits.event_ids_before).into(),
            limits.first_hour.into(),
        ];
        let found = self.database.value(statement, parameters)?;
        Ok(integer(found.as_ref()) != Some(0))
    }

    /// Deletes a slice of what is too old to keep, held deliveries left out; returns whether more may be left.
    pub(crate) fn purge(&self, limits: TooOld) -> Result<bool> {
        let old = DeliveryId::first_of(limits.deliveries_before);
        let purged = self.database.run(
            &format!(
                "DELETE FROM deliveries WHERE settled = 1 AND id IN
                 (SELECT id FROM deliveries WHERE settled = 1 AND id < ? ORDER BY id LIMIT {PURGE_SLICE}) RETURNING 1"
            ),
            vec![old.as_ref().into()],
        )?;
        let [first, last] = limits.places();
        let purged_segments = self.database.run(
            &format!(
                "DELETE FROM segments WHERE place IN
                 (SELECT place FROM segments WHERE place BETWEEN ? AND ? ORDER BY place LIMIT {PURGE_SLICE}) RETURNING 1"
            ),
            vec![first.into(), last.into()],
        )?;
        let forgotten = self.database.run(
            &format!(
                "DELETE FROM event_ids WHERE (day, event_id) IN
                 (SELECT day, event_id FROM event_ids WHERE day < ? LIMIT {PURGE_SLICE}) RETURNING 1"
            ),
            vec![day(limits.event_ids_before).into()],
        )?;
        self.purge_hours(limits.first_hour)?;
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
