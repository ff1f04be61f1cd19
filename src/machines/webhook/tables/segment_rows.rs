//! Reading and writing the rows of segments.

use serde_json::value::RawValue;

use super::{
    WebhookTables,
    deliveries::{damaged, delivery_id},
    places::{is_settled, places},
    segments::{Loaded, Segments, Unwritten},
};
use crate::{
    domain::{
        ids::DeliveryId,
        segment::{Segment, times_around},
        timestamp::Timestamp,
    },
    machines::sql::{Result, Row, SqlValue, integer, json, text},
};

/// The column of a segment's deliveries.
pub(super) const MEMBERS: &str = "members";

/// The same without the answers' headers and bodies; each has one attempt at most.
pub(super) const SUMMARIES: &str =
    "(SELECT json_group_array(json_remove(value, '$.attempts[0].response_headers',
    '$.attempts[0].response_body')) FROM json_each(members))";

const INSERT: &str = "INSERT INTO segments (place, first, members, payloads)
    VALUES ((SELECT COALESCE(MAX(place) + 1, ?1) FROM segments WHERE place BETWEEN ?1 AND ?2), ?3, ?4, ?5) RETURNING place";

const UPDATE_MEMBERS: &str = "UPDATE segments SET members = ? WHERE place = ?";

const UPDATE_ALL: &str = "UPDATE segments SET members = ?, payloads = ? WHERE place = ?";

const MOVE_MEMBERS: &str = "UPDATE segments SET members = ?3,
    place = (SELECT COALESCE(MAX(place) + 1, ?1) FROM segments WHERE place BETWEEN ?1 AND ?2) WHERE place = ?4 RETURNING place";

const MOVE_ALL: &str = "UPDATE segments SET members = ?3, payloads = ?4,
    place = (SELECT COALESCE(MAX(place) + 1, ?1) FROM segments WHERE place BETWEEN ?1 AND ?2) WHERE place = ?5 RETURNING place";

impl WebhookTables {
    /// Writes a segment's row if the segment has changed.
    pub(super) fn write(&self, loaded: &mut Loaded) -> Result<()> {
        let segment = &loaded.segment;
        let all = match loaded.unwritten {
            Unwritten::Nothing => return Ok(()),
            Unwritten::Members => false,
            Unwritten::All => true,
        };
        loaded.unwritten = Unwritten::Nothing;
        if segment.members().is_empty() {
            if let Some(place) = loaded.place.take() {
                let statement = "DELETE FROM segments WHERE place = ?";
                self.database.run(statement, vec![place.into()])?;
            }
            return Ok(());
        }
        let settled = segment.is_settled();
        let time = segment.key().minted_at();
        let (first, last) = places(settled, time, time);
        let members: SqlValue = serde_json::to_string(segment.members())?.into();
        // If the payloads have changed, all of them are in memory.
        let payloads = loaded.payloads.as_deref().filter(|_| all).map(array_of);
        let stays = loaded
            .place
            .is_some_and(|place| is_settled(place) == settled);
        let (statement, parameters) = match (loaded.place, payloads) {
            (None, payloads) => (
                INSERT,
                vec![
                    first.into(),
                    last.into(),
                    segment.key().as_ref().into(),
                    members,
                    payloads.unwrap_or_default().into(),
                ],
            ),
            (Some(place), None) if stays => (UPDATE_MEMBERS, vec![members, place.into()]),
            (Some(place), Some(payloads)) if stays => {
                (UPDATE_ALL, vec![members, payloads.into(), place.into()])
            }
            (Some(place), None) => (
                MOVE_MEMBERS,
                vec![first.into(), last.into(), members, place.into()],
            ),
            (Some(place), Some(payloads)) => (
                MOVE_ALL,
                vec![
                    first.into(),
                    last.into(),
                    members,
                    payloads.into(),
                    place.into(),
                ],
            ),
        };
        let moved = self.database.value(statement, parameters)?;
        loaded.place = integer(moved.as_ref()).or(loaded.place);
        Ok(())
    }

    pub(super) fn settled_segment_of(&self, id: &DeliveryId) -> Result<Option<Segment>> {
        let around = self.segments_with(id.as_ref(), &[true], id.minted_at())?;
        let mut around = around.into_iter();
        Ok(around.find(|segment| segment.find(id).is_some()))
    }

    /// Reads the segments from around a time that contain a text: an id, which needs no escape in JSON.
    pub(super) fn segments_with(
        &self,
        text: &str,
        settled: &[bool],
        time: Timestamp,
    ) -> Result<Vec<Segment>> {
        let (since, until) = times_around(time, time);
        let statement = "SELECT place, first, members FROM segments WHERE place BETWEEN ? AND ? AND instr(members, ?)";
        let mut found = Vec::new();
        for settled in settled {
            let (first, last) = places(*settled, since, until);
            let parameters = vec![first.into(), last.into(), text.into()];
            for row in self.database.run(statement, parameters)? {
                found.push(segment(row)?.1);
            }
        }
        Ok(found)
    }

    /// Reads the settled segments that may have deliveries from a time on, one after the other.
    pub(super) fn settled_segments_since(
        &self,
        time: Timestamp,
        mut take: impl FnMut(&Segment),
    ) -> Result<()> {
        let (since, _) = times_around(time, time);
        let statement =
            format!("SELECT place, first, {SUMMARIES} FROM segments WHERE place BETWEEN ? AND ?");
        let (first, last) = places(true, since, Timestamp::from_millis(i64::MAX));
        self.database
            .each(&statement, vec![first.into(), last.into()], |row| {
                take(&segment(row)?.1);
                Ok(())
            })
    }

    pub(super) fn load_segment<'a>(
        &self,
        segments: &'a mut Segments,
        key: &DeliveryId,
    ) -> Result<&'a mut Loaded> {
        match segments.loaded.entry(key.clone()) {
            std::collections::btree_map::Entry::Occupied(loaded) => Ok(loaded.into_mut()),
            std::collections::btree_map::Entry::Vacant(entry) => {
                let time = key.minted_at();
                let mut found = None;
                for settled in [false, true] {
                    let (first, last) = places(settled, time, time);
                    let statement = "SELECT place, first, members FROM segments WHERE place BETWEEN ? AND ? AND first = ?";
                    let parameters = vec![first.into(), last.into(), key.as_ref().into()];
                    let rows = self.database.run(statement, parameters)?;
                    found = rows.into_iter().next().or(found);
                }
                let (place, segment) = segment(found.ok_or_else(|| damaged("segment"))?)?;
                Ok(entry.insert(Loaded {
                    segment,
                    payloads: None,
                    place: Some(place),
                    unwritten: Unwritten::Nothing,
                }))
            }
        }
    }

    pub(super) fn load_payloads<'a>(
        &self,
        loaded: &'a mut Loaded,
    ) -> Result<&'a mut Vec<Box<RawValue>>> {
        match &mut loaded.payloads {
            Some(payloads) => Ok(payloads),
            none => {
                let statement = "SELECT payloads FROM segments WHERE place = ?";
                let place = loaded.place.ok_or_else(|| damaged("payloads"))?;
                let stored = text(self.database.value(statement, vec![place.into()])?);
                let stored = stored.ok_or_else(|| damaged("payloads"))?;
                Ok(none.insert(serde_json::from_str(&stored)?))
            }
        }
    }
}

/// Reads `place`, `first` and `members`.
pub(super) fn segment(mut row: Row) -> Result<(i64, Segment)> {
    let place = integer(row.next().as_ref()).ok_or_else(|| damaged("place"))?;
    let key = delivery_id(row.next())?;
    Ok((place, Segment::stored(key, json(row.next())?)))
}

/// Joins JSON texts, unchanged, into a JSON array.
fn array_of(payloads: &[Box<RawValue>]) -> String {
    let payloads: Vec<_> = payloads.iter().map(|payload| payload.get()).collect();
    format!("[{}]", payloads.join(","))
}
