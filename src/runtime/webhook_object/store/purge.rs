//! Finding what is too old to keep, and deleting it slice by slice.

use std::time::Duration;

use worker::Result;

use super::{
    WebhookStore,
    deliveries::delivery_id,
    event_ids::{day, start_of_day},
    places::{SETTLED, first_place},
};
use crate::{
    domain::{ids::DeliveryId, segment::SPAN, timestamp::Timestamp},
    runtime::database::integer,
};

/// How many rows of a table one slice of a purge deletes at most.
pub(crate) const PURGE_SLICE: usize = 500;

impl WebhookStore {
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

    /// Returns when the oldest of what is kept has to be purged.
    pub(crate) fn next_purge(&self, retention: Duration) -> Result<Option<Timestamp>> {
        let oldest = |statement: &str| -> Result<Option<Timestamp>> {
            let id = self.database.value(statement, vec![])?;
            let made_at = id
                .map(|id| delivery_id(Some(id)))
                .transpose()?
                .map(|id| id.minted_at());
            Ok(made_at.map(|time| time.saturating_add(retention)))
        };
        let oldest_day = self
            .database
            .value("SELECT day FROM event_ids ORDER BY day LIMIT 1", vec![])?;
        // The ids of a day are needed through the next one.
        let forgotten = integer(oldest_day.as_ref()).map(|day| start_of_day(day.saturating_add(2)));
        let unsettled = oldest("SELECT id FROM deliveries WHERE settled = 0 ORDER BY id LIMIT 1")?;
        let settled = oldest("SELECT id FROM deliveries WHERE settled = 1 ORDER BY id LIMIT 1")?;
        let segment = oldest(&format!(
            "SELECT first FROM segments WHERE place >= {SETTLED} ORDER BY place LIMIT 1"
        ))?
        .map(|time| time.saturating_add(SPAN));
        Ok([unsettled, settled, segment, forgotten]
            .into_iter()
            .flatten()
            .min())
    }
}
