//! Deleting for want of storage, oldest first: answers, then deliveries that were delivered, then those that failed. What
//! is pending or held stays.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    WebhookTables,
    deliveries::{damaged, delivery_id},
    places::{SETTLED, first_place},
    segment_rows::segment,
};
use crate::{
    domain::{
        attempt::{forget_responses, read_log, write_log},
        delivery::Status,
        ids::DeliveryId,
        timestamp::Timestamp,
    },
    machines::sql::{Result, SqlValue, text},
};

/// The key under which it is stored since when the log is whole.
pub(super) const LOG_SINCE: &str = "log_since";

/// The key under which it is stored up to where answers are deleted.
const TRIMMED: &str = "trimmed";

/// How many rows lose their answers at a time: each may have half a megabyte.
const ANSWERS_SLICE: usize = 50;

/// How many deliveries of a status are deleted at a time.
const DELIVERIES_SLICE: usize = 500;

/// The size is read again when it may have grown by this part of its limit.
const PRECISION: u64 = 256;

/// Up to where answers are deleted.
#[derive(Default, Serialize, Deserialize)]
struct Trimmed {
    row: String,
    place: i64,
}

/// A slice of rows whose answers were deleted.
#[derive(Default)]
struct Slice {
    has_rows: bool,
    /// When the newest delivery was made of which an answer was deleted.
    newest: Option<Timestamp>,
}

impl WebhookTables {
    /// Whether no payload of so many bytes may be accepted.
    pub(crate) fn is_full(&self, bytes: u64, limit: u64) -> bool {
        let size = self.database.size(limit / PRECISION);
        size.saturating_add(bytes) > limit
    }

    /// Whether something has to be deleted so that the storage does not become full.
    pub(crate) fn is_nearly_full(&self, limit: u64) -> bool {
        self.database.size(limit / PRECISION) > limit.saturating_sub(limit / 8)
    }

    /// Whether enough has been deleted.
    pub(crate) fn is_trimmed(&self, limit: u64) -> bool {
        self.database.size(limit / PRECISION) <= limit.saturating_sub(limit / 4)
    }

    /// Deletes a slice; returns since when the log is whole then, or none if there was nothing to delete.
    pub(crate) fn trim(&self) -> Result<Option<Timestamp>> {
        self.close_segment()?;
        let newest = match self.trim_answers()? {
            Some(newest) => Some(newest),
            None => match self.trim_delivered()? {
                Some(newest) => Some(newest),
                None => self.trim_rows(Status::Failed)?,
            },
        };
        self.database.shrink();
        let Some(newest) = newest else {
            return Ok(None);
        };
        let known: Option<Timestamp> = self.meta(LOG_SINCE)?;
        let whole_since = newest.saturating_add(Duration::from_millis(1));
        let whole_since = known.map_or(whole_since, |known| known.max(whole_since));
        self.put_json(LOG_SINCE, &whole_since)?;
        Ok(Some(whole_since))
    }

    /// Deletes the oldest answers. Returns when the newest of their deliveries was made.
    fn trim_answers(&self) -> Result<Option<Timestamp>> {
        let mut trimmed: Trimmed = self.meta(TRIMMED)?.unwrap_or_default();
        let mut newest = None;
        while newest.is_none() {
            let in_rows = self.trim_answers_in_rows(&mut trimmed)?;
            let in_segments = self.trim_answers_in_segments(&mut trimmed)?;
            if !in_rows.has_rows && !in_segments.has_rows {
                break;
            }
            newest = in_rows.newest.max(in_segments.newest);
        }
        self.put_json(TRIMMED, &trimmed)?;
        Ok(newest)
    }

    /// Deletes the answers in a slice of the rows.
    fn trim_answers_in_rows(&self, trimmed: &mut Trimmed) -> Result<Slice> {
        let rows = self.database.run(
            &format!(
                "SELECT id, attempts FROM deliveries WHERE settled = 1 AND id > ? ORDER BY id LIMIT {ANSWERS_SLICE}"
            ),
            vec![trimmed.row.as_str().into()],
        )?;
        if rows.is_empty() {
            return Ok(Slice::default());
        }
        let mut newest = None;
        for mut row in rows {
            let id = delivery_id(row.next())?;
            let stored = text(row.next()).ok_or_else(|| damaged("attempts"))?;
            let mut log = read_log(&stored)?;
            if forget_responses(&mut log) {
                let statement = "UPDATE deliveries SET attempts = ? WHERE settled = 1 AND id = ?";
                let parameters = vec![write_log(&log)?.into(), id.as_ref().into()];
                self.database.run(statement, parameters)?;
                newest = newest.max(Some(id.minted_at()));
            }
            id.as_ref().clone_into(&mut trimmed.row);
        }
        Ok(Slice {
            has_rows: true,
            newest,
        })
    }

    /// The same in a slice of the segments.
    fn trim_answers_in_segments(&self, trimmed: &mut Trimmed) -> Result<Slice> {
        let segments = self.database.run(
            &format!(
                "SELECT place, first, members FROM segments WHERE place > ? ORDER BY place LIMIT {ANSWERS_SLICE}"
            ),
            vec![trimmed.place.max(SETTLED.saturating_sub(1)).into()],
        )?;
        if segments.is_empty() {
            return Ok(Slice::default());
        }
        let mut newest = None;
        for row in segments {
            let (place, mut segment) = segment(row)?;
            if segment.forget_responses() {
                let statement = "UPDATE segments SET members = ? WHERE place = ?";
                let members: SqlValue = serde_json::to_string(segment.members())?.into();
                self.database.run(statement, vec![members, place.into()])?;
                newest = newest.max(segment.newest());
            }
            trimmed.place = place;
        }
        Ok(Slice {
            has_rows: true,
            newest,
        })
    }

    /// Deletes the oldest deliveries that were delivered. Returns when the newest of them was made.
    fn trim_delivered(&self) -> Result<Option<Timestamp>> {
        let newest = self.trim_rows(Status::Delivered)?;
        let through = newest.map_or(i64::MAX, |time| first_place(true, time));
        let segments = self.database.run(
            &format!(
                "DELETE FROM segments WHERE place IN
                 (SELECT place FROM segments WHERE place BETWEEN ? AND ? ORDER BY place LIMIT {DELIVERIES_SLICE})
                 RETURNING place, first, members"
            ),
            vec![SETTLED.into(), through.into()],
        )?;
        let mut newest = newest;
        for row in segments {
            newest = newest.max(segment(row)?.1.newest());
        }
        Ok(newest)
    }

    /// Deletes the oldest rows of a status. Returns when the newest of their deliveries was made.
    fn trim_rows(&self, status: Status) -> Result<Option<Timestamp>> {
        let rows = self.database.run(
            &format!(
                "DELETE FROM deliveries WHERE settled = 1 AND id IN
                 (SELECT id FROM deliveries WHERE settled = 1 AND status = ? ORDER BY id LIMIT {DELIVERIES_SLICE})
                 RETURNING id"
            ),
            vec![status.as_str().into()],
        )?;
        let ids = rows.into_iter().map(|mut row| delivery_id(row.next()));
        let ids = ids.collect::<Result<Vec<_>>>()?;
        Ok(ids.iter().map(DeliveryId::minted_at).max())
    }
}
