//! The segments' rows, and the part of them that is in memory.
//!
//! A change of a segment is made in memory and written by `flush`, once for all that changed meanwhile: so what arrives
//! together is one row and one commit. Whoever promises that something is stored flushes first. A delivery that leaves
//! its segment is written at once, in the same commit as the segment without it.

use std::collections::{BTreeMap, HashMap};

use serde_json::value::RawValue;
use worker::{Result, SqlStorageValue as Value};

use super::{
    WebhookStore,
    deliveries::{damaged, delivery_id},
};
use crate::{
    domain::{
        ids::{DeliveryId, EventId},
        record::DeliveryRecord,
        segment::{Member, Segment, keys_around},
        timestamp::Timestamp,
    },
    runtime::database::{Row, integer, json, text},
};

/// Segments that stay in memory when nothing of them waits to be written.
const LOADED_LIMIT: usize = 64;

/// What the object has in memory of its segments.
#[derive(Default)]
pub(super) struct Segments {
    /// The segment of each delivery, of all segments that are not settled.
    homes: HashMap<DeliveryId, DeliveryId>,
    loaded: BTreeMap<DeliveryId, Loaded>,
    /// The one that takes in what arrives next.
    open: Option<DeliveryId>,
    /// Producers' ids that are not written, each with its delivery.
    event_ids: HashMap<EventId, (DeliveryId, Timestamp)>,
    /// Changes so far, and how many of them are written.
    changes: u64,
    written: u64,
}

struct Loaded {
    segment: Segment,
    /// None until somebody needs one.
    payloads: Option<Vec<Box<RawValue>>>,
    /// Whether its row lies among the settled ones; none where it has no row.
    row: Option<bool>,
    unwritten: Unwritten,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Unwritten {
    Nothing,
    Members,
    All,
}

impl Segments {
    /// A segment that was read while the object started; its deliveries are found from here on.
    pub(super) fn know(&mut self, segment: &Segment) {
        for member in segment.members() {
            self.homes
                .insert(member.id().clone(), segment.key().clone());
        }
    }

    const fn changed(&mut self) {
        self.changes = self.changes.wrapping_add(1);
    }

    fn join(&mut self, record: &DeliveryRecord, payload: Box<RawValue>) {
        self.changed();
        let bytes = u64::try_from(payload.get().len()).unwrap_or(u64::MAX);
        let open = self.open.as_ref().and_then(|key| self.loaded.get_mut(key));
        let open = open.filter(|open| open.segment.has_room_for(&record.id, bytes));
        if let Some(Loaded {
            segment,
            payloads: Some(payloads),
            unwritten,
            ..
        }) = open
        {
            segment.push(record, bytes);
            payloads.push(payload);
            *unwritten = Unwritten::All;
            let key = segment.key().clone();
            self.homes.insert(record.id.clone(), key);
            return;
        }
        let segment = Segment::of(record, bytes);
        self.know(&segment);
        let key = segment.key().clone();
        self.open = Some(key.clone());
        let loaded = Loaded {
            segment,
            payloads: Some(vec![payload]),
            row: None,
            unwritten: Unwritten::All,
        };
        self.loaded.insert(key, loaded);
    }

    /// Lets go what needs not stay in memory.
    fn unload(&mut self) {
        let Self {
            homes,
            loaded,
            open,
            ..
        } = self;
        let crowded = loaded.len() > LOADED_LIMIT;
        loaded.retain(|key, kept| {
            let settled = kept.segment.is_settled();
            if kept.unwritten != Unwritten::Nothing || open.as_ref() == Some(key) {
                return true;
            }
            if settled {
                for member in kept.segment.members() {
                    homes.remove(member.id());
                }
            }
            !settled && !crowded
        });
    }
}

impl WebhookStore {
    /// Stores a new delivery with what arrives beside it; written by the next flush.
    pub(super) fn join_segment(&self, record: &DeliveryRecord, payload: Box<RawValue>) {
        self.segments.borrow_mut().join(record, payload);
    }

    /// Keeps a producer's id; written by the next flush.
    pub(crate) fn put_event_id(&self, event: &EventId, delivery: &DeliveryId, now: Timestamp) {
        let kept = (delivery.clone(), now);
        let mut segments = self.segments.borrow_mut();
        segments.changed();
        segments.event_ids.insert(event.clone(), kept);
    }

    /// The delivery of a producer's id that is not written yet.
    pub(super) fn unwritten_event(&self, event: &EventId) -> Option<DeliveryId> {
        let segments = self.segments.borrow();
        let (delivery, _) = segments.event_ids.get(event)?;
        Some(delivery.clone())
    }

    /// The delivery of an event that lies in a segment in memory, which may not be written.
    pub(super) fn loaded_event(&self, event: &EventId) -> Option<DeliveryId> {
        let segments = self.segments.borrow();
        let mut members = segments
            .loaded
            .values()
            .flat_map(|loaded| loaded.segment.members());
        let found = members.find(|member| member.event_id() == event)?;
        Some(found.id().clone())
    }

    /// The last change so far; none where all is written.
    pub(crate) fn unwritten(&self) -> Option<u64> {
        let segments = self.segments.borrow();
        (segments.written < segments.changes).then_some(segments.changes)
    }

    /// Whether a change is written.
    pub(crate) fn is_written(&self, change: u64) -> bool {
        self.segments.borrow().written >= change
    }

    /// Writes what waits to be written: one row for each segment that changed.
    pub(crate) fn flush(&self) -> Result<()> {
        if self.unwritten().is_none() {
            return Ok(());
        }
        let mut segments = self.segments.borrow_mut();
        self.write_event_ids(&mut segments)?;
        for loaded in segments.loaded.values_mut() {
            self.write(loaded)?;
        }
        segments.written = segments.changes;
        segments.unload();
        Ok(())
    }

    /// Before any segment: a delivery whose producer's id is not kept would be stored again when it is posted again.
    fn write_event_ids(&self, segments: &mut Segments) -> Result<()> {
        for (event, (delivery, now)) in &segments.event_ids {
            self.insert_event_id(event, delivery, *now)?;
        }
        segments.event_ids.clear();
        Ok(())
    }

    fn write(&self, loaded: &mut Loaded) -> Result<()> {
        let segment = &loaded.segment;
        let key = || Value::from(segment.key().as_ref());
        let settled = segment.is_settled();
        let members = || serde_json::to_string(segment.members());
        let payloads = || loaded.payloads.as_deref().map(array_of).unwrap_or_default();
        let all = loaded.unwritten == Unwritten::All;
        match loaded.row {
            _ if loaded.unwritten == Unwritten::Nothing => return Ok(()),
            None if segment.members().is_empty() => {}
            Some(was_settled) if segment.members().is_empty() => {
                self.database.run(
                    "DELETE FROM segments WHERE settled = ? AND first = ?",
                    vec![i64::from(was_settled).into(), key()],
                )?;
            }
            None => {
                self.database.run(
                    "INSERT INTO segments (settled, first, members, payloads) VALUES (?, ?, ?, ?)",
                    vec![
                        i64::from(settled).into(),
                        key(),
                        members()?.into(),
                        payloads().into(),
                    ],
                )?;
            }
            Some(was_settled) if all => {
                self.database.run(
                    "UPDATE segments SET settled = ?, members = ?, payloads = ? WHERE settled = ? AND first = ?",
                    vec![
                        i64::from(settled).into(),
                        members()?.into(),
                        payloads().into(),
                        i64::from(was_settled).into(),
                        key(),
                    ],
                )?;
            }
            Some(was_settled) => {
                self.database.run(
                    "UPDATE segments SET settled = ?, members = ? WHERE settled = ? AND first = ?",
                    vec![
                        i64::from(settled).into(),
                        members()?.into(),
                        i64::from(was_settled).into(),
                        key(),
                    ],
                )?;
            }
        }
        loaded.row = (!loaded.segment.members().is_empty()).then_some(settled);
        loaded.unwritten = Unwritten::Nothing;
        Ok(())
    }

    /// Takes over the progress of a delivery that lies in a segment; tells whether it does.
    pub(super) fn update_member(&self, record: &DeliveryRecord, was_settled: bool) -> Result<bool> {
        let Some(key) = self.segment_of(&record.id, was_settled)? else {
            return Ok(false);
        };
        let mut segments = self.segments.borrow_mut();
        if !Segment::admits(record) {
            self.write_event_ids(&mut segments)?;
        }
        let loaded = self.load_segment(&mut segments, &key)?;
        if Segment::admits(record) {
            loaded.segment.update(record);
            loaded.unwritten = loaded.unwritten.max(Unwritten::Members);
            segments.changed();
            return Ok(true);
        }
        self.load_payloads(loaded)?;
        let left = loaded.segment.remove(&record.id);
        let payloads = loaded.payloads.as_mut();
        let payload = left.zip(payloads).and_then(|(position, payloads)| {
            (position < payloads.len()).then(|| payloads.remove(position))
        });
        loaded.unwritten = Unwritten::All;
        self.write(loaded)?;
        segments.homes.remove(&record.id);
        self.insert_row(record, payload.as_deref())?;
        Ok(true)
    }

    /// Whether a delivery is known to lie in a segment; a settled one may without.
    pub(super) fn is_member(&self, id: &DeliveryId) -> bool {
        self.segments.borrow().homes.contains_key(id)
    }

    /// A delivery that lies in a segment, without its payload, and the segment's key.
    pub(super) fn member(&self, id: &DeliveryId) -> Result<Option<(DeliveryId, Member)>> {
        let mut segments = self.segments.borrow_mut();
        if let Some(key) = segments.homes.get(id).cloned() {
            let loaded = self.load_segment(&mut segments, &key)?;
            let member = loaded.segment.find(id).cloned();
            return Ok(member.map(|member| (key, member)));
        }
        let Some(settled) = self.settled_segment_of(id)? else {
            return Ok(None);
        };
        let member = settled.find(id).cloned();
        Ok(member.map(|member| (settled.key().clone(), member)))
    }

    /// The payload of a delivery that lies in a segment.
    pub(super) fn payload_in(
        &self,
        key: &DeliveryId,
        id: &DeliveryId,
    ) -> Result<Option<Box<RawValue>>> {
        let mut segments = self.segments.borrow_mut();
        let loaded = self.load_segment(&mut segments, key)?;
        let position = loaded.segment.position(id);
        let payloads = self.load_payloads(loaded)?;
        let payload = position.and_then(|position| payloads.get(position).cloned());
        segments.unload();
        Ok(payload)
    }

    /// The key of a delivery's segment; a settled one is looked for where `was_settled`.
    fn segment_of(&self, id: &DeliveryId, was_settled: bool) -> Result<Option<DeliveryId>> {
        if let Some(key) = self.segments.borrow().homes.get(id) {
            return Ok(Some(key.clone()));
        }
        if !was_settled {
            return Ok(None);
        }
        let settled = self.settled_segment_of(id)?;
        Ok(settled.map(|segment| segment.key().clone()))
    }

    fn settled_segment_of(&self, id: &DeliveryId) -> Result<Option<Segment>> {
        let around = self.segments_with(id.as_ref(), &[true], id.minted_at())?;
        let mut around = around.into_iter();
        Ok(around.find(|segment| segment.find(id).is_some()))
    }

    /// The stored segments from around a time that have a text in them: an id, which needs no escape in JSON.
    pub(super) fn segments_with(
        &self,
        text: &str,
        settled: &[bool],
        time: Timestamp,
    ) -> Result<Vec<Segment>> {
        let (first, last) = keys_around(time, time);
        let statement = "SELECT first, members FROM segments WHERE settled = ? AND first BETWEEN ? AND ? AND instr(members, ?)";
        let mut found = Vec::new();
        for settled in settled {
            let parameters = vec![
                i64::from(*settled).into(),
                first.as_ref().into(),
                last.as_ref().into(),
                text.into(),
            ];
            for row in self.database.run(statement, parameters)? {
                found.push(segment(row)?);
            }
        }
        Ok(found)
    }

    /// The stored segments that may have deliveries from a time on.
    pub(super) fn segments_since(&self, time: Timestamp) -> Result<Vec<Segment>> {
        let (first, _) = keys_around(time, time);
        let statement =
            "SELECT first, members FROM segments WHERE settled IN (0, 1) AND first >= ?";
        let rows = self.database.run(statement, vec![first.as_ref().into()])?;
        rows.into_iter().map(segment).collect()
    }

    fn load_segment<'a>(
        &self,
        segments: &'a mut Segments,
        key: &DeliveryId,
    ) -> Result<&'a mut Loaded> {
        match segments.loaded.entry(key.clone()) {
            std::collections::btree_map::Entry::Occupied(loaded) => Ok(loaded.into_mut()),
            std::collections::btree_map::Entry::Vacant(place) => {
                let statement = "SELECT settled, first, members FROM segments WHERE settled IN (0, 1) AND first = ?";
                let rows = self.database.run(statement, vec![key.as_ref().into()])?;
                let mut row = rows.into_iter().next().ok_or_else(|| damaged("segment"))?;
                let settled = integer(row.next().as_ref()) == Some(1);
                Ok(place.insert(Loaded {
                    segment: segment(row)?,
                    payloads: None,
                    row: Some(settled),
                    unwritten: Unwritten::Nothing,
                }))
            }
        }
    }

    fn load_payloads<'a>(&self, loaded: &'a mut Loaded) -> Result<&'a mut Vec<Box<RawValue>>> {
        match &mut loaded.payloads {
            Some(payloads) => Ok(payloads),
            none => {
                let statement =
                    "SELECT payloads FROM segments WHERE settled IN (0, 1) AND first = ?";
                let key = loaded.segment.key().as_ref();
                let stored = text(self.database.value(statement, vec![key.into()])?);
                let stored = stored.ok_or_else(|| damaged("payloads"))?;
                Ok(none.insert(serde_json::from_str(&stored)?))
            }
        }
    }
}

/// Reads `first` and `members`.
pub(super) fn segment(mut row: Row) -> Result<Segment> {
    let key = delivery_id(row.next())?;
    Ok(Segment::stored(key, json(row.next())?))
}

/// A JSON array of texts that are JSON, as they are.
fn array_of(payloads: &[Box<RawValue>]) -> String {
    let payloads: Vec<_> = payloads.iter().map(|payload| payload.get()).collect();
    format!("[{}]", payloads.join(","))
}
