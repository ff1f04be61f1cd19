//! The segments that are in memory, and when they are written.
//!
//! Segments are changed in memory and written by `flush`, so that deliveries that arrive together share one row and one
//! commit. A command flushes before it promises that something is stored. A delivery that leaves its segment is written
//! at once, in the same commit as the segment without it.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::WebhookTables;
use crate::domain::{
    ids::{CompactId, DeliveryId, DeliveryMap, EventId},
    record::DeliveryRecord,
    segment::{Member, Segment},
    timestamp::Timestamp,
};
use crate::machines::sql::Result;

/// How many segments stay in memory without a change to flush.
const LOADED_LIMIT: usize = 64;

/// What the object has in memory of its segments.
#[derive(Default)]
pub(super) struct Segments {
    /// The segment of each delivery that lies in one that is not settled.
    homes: DeliveryMap<CompactId>,
    pub(super) loaded: BTreeMap<DeliveryId, Loaded>,
    /// The segment that the next new delivery joins.
    open: Option<DeliveryId>,
    /// Producers' ids that are not flushed, each with its delivery.
    event_ids: BTreeMap<EventId, (DeliveryId, Timestamp)>,
    /// Whether there is anything to flush.
    changed: bool,
}

pub(super) struct Loaded {
    pub(super) segment: Segment,
    /// Read when one of them is needed.
    pub(super) payloads: Option<Vec<Box<RawValue>>>,
    /// The place of the segment's row, if it has one.
    pub(super) place: Option<i64>,
    pub(super) unwritten: Unwritten,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Unwritten {
    Nothing,
    Members,
    All,
}

impl Segments {
    /// Records that a delivery is in a segment that is not settled.
    pub(super) fn know(&mut self, id: CompactId, key: CompactId) {
        self.homes.insert(id, key);
    }

    /// Records which deliveries are in a segment that is not settled.
    fn know_all(&mut self, segment: &Segment) {
        let key = CompactId::from(segment.key());
        for member in segment.members() {
            self.know(member.id().into(), key);
        }
    }

    /// The key of the segment that is not settled in which a delivery lies.
    fn home_of(&self, id: &DeliveryId) -> Option<DeliveryId> {
        let home = self.homes.get(&CompactId::from(id))?;
        Some(DeliveryId::from(*home))
    }

    fn join(&mut self, record: &DeliveryRecord, payload: Box<RawValue>) {
        self.changed = true;
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
            let key = CompactId::from(segment.key());
            self.homes.insert(CompactId::from(&record.id), key);
            return;
        }
        let segment = Segment::of(record, bytes);
        self.know_all(&segment);
        let key = segment.key().clone();
        self.open = Some(key.clone());
        let loaded = Loaded {
            segment,
            payloads: Some(vec![payload]),
            place: None,
            unwritten: Unwritten::All,
        };
        self.loaded.insert(key, loaded);
    }

    /// Drops what need not stay in memory.
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
                    homes.remove(&member.id().into());
                }
            }
            !settled && !crowded
        });
    }
}

impl WebhookTables {
    /// Adds a new delivery to the open segment, or to a new one; written by the next flush.
    pub(super) fn join_segment(&self, record: &DeliveryRecord, payload: Box<RawValue>) {
        self.segments.borrow_mut().join(record, payload);
    }

    /// Keeps a producer's id; written by the next flush.
    pub(crate) fn put_event_id(&self, event: &EventId, delivery: &DeliveryId, now: Timestamp) {
        let kept = (delivery.clone(), now);
        let mut segments = self.segments.borrow_mut();
        segments.changed = true;
        segments.event_ids.insert(event.clone(), kept);
    }

    /// Finds the delivery of a producer's id that is not flushed yet.
    pub(super) fn unwritten_event(&self, event: &EventId) -> Option<DeliveryId> {
        let segments = self.segments.borrow();
        let (delivery, _) = segments.event_ids.get(event)?;
        Some(delivery.clone())
    }

    /// Finds the delivery of an event in the segments in memory, which may not be flushed.
    pub(super) fn loaded_event(&self, event: &EventId) -> Option<DeliveryId> {
        let segments = self.segments.borrow();
        let mut members = segments
            .loaded
            .values()
            .flat_map(|loaded| loaded.segment.members());
        let found = members.find(|member| member.event_id() == event)?;
        Some(found.id().clone())
    }

    /// Flushes, and lets no new delivery join a segment that has a row: the row may be deleted.
    pub(super) fn close_segment(&self) -> Result<()> {
        self.flush()?;
        let mut segments = self.segments.borrow_mut();
        segments.open = None;
        segments.unload();
        Ok(())
    }

    /// Whether there is anything to flush.
    pub(crate) fn has_unwritten(&self) -> bool {
        self.segments.borrow().changed
    }

    /// Writes the changes in memory: one row for each segment that changed.
    pub(crate) fn flush(&self) -> Result<()> {
        if !self.has_unwritten() {
            return Ok(());
        }
        let mut segments = self.segments.borrow_mut();
        let loaded = segments.loaded.values();
        let unwritten = loaded.filter(|loaded| loaded.unwritten != Unwritten::Nothing);
        let rows = unwritten.count().saturating_add(segments.event_ids.len());
        let mut write_all = || {
            self.write_event_ids(&mut segments)?;
            for loaded in segments.loaded.values_mut() {
                self.write(loaded)?;
            }
            Ok(())
        };
        if rows > 1 {
            self.database.transaction(write_all)?;
        } else {
            write_all()?;
        }
        segments.changed = false;
        let open = segments.open.as_ref();
        let open = open.and_then(|key| segments.loaded.get(key));
        if open.is_some_and(|open| open.segment.has_enough()) {
            segments.open = None;
        }
        segments.unload();
        Ok(())
    }

    /// Writes the producers' ids that are only in memory.
    pub(super) fn store_event_ids(&self) -> Result<()> {
        self.write_event_ids(&mut self.segments.borrow_mut())
    }

    /// Comes before the segments: a delivery stored without its producer's id would be stored twice if posted again.
    fn write_event_ids(&self, segments: &mut Segments) -> Result<()> {
        for (event, (delivery, now)) in &segments.event_ids {
            self.insert_event_id(event, delivery, *now)?;
        }
        segments.event_ids.clear();
        Ok(())
    }

    /// Stores the progress of a delivery if it lies in a segment; returns whether it does.
    pub(super) fn update_member(&self, record: &DeliveryRecord, was_settled: bool) -> Result<bool> {
        let Some(key) = self.segment_of(&record.id, was_settled)? else {
            return Ok(false);
        };
        let mut segments = self.segments.borrow_mut();
        if !Segment::takes(record) {
            self.write_event_ids(&mut segments)?;
        }
        let loaded = self.load_segment(&mut segments, &key)?;
        if Segment::takes(record) {
            loaded.segment.update(record);
            loaded.unwritten = loaded.unwritten.max(Unwritten::Members);
            segments.changed = true;
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
        segments.homes.remove(&CompactId::from(&record.id));
        self.insert_row(record, payload.as_deref())?;
        Ok(true)
    }

    /// The number of the lease under which a delivery is attempted that lies in a segment in memory.
    pub(crate) fn lease_of_member(&self, id: &DeliveryId) -> Option<u32> {
        let segments = self.segments.borrow();
        let home = segments.home_of(id)?;
        let member = segments.loaded.get(&home)?.segment.find(id)?;
        let (lease, _) = member.delivery().lease_out()?;
        Some(lease)
    }

    /// Whether a delivery lies in a segment that is not settled.
    pub(super) fn is_member(&self, id: &DeliveryId) -> bool {
        self.segments.borrow().home_of(id).is_some()
    }

    /// Reads a delivery that lies in a segment, without its payload, and the segment's key.
    pub(super) fn member(&self, id: &DeliveryId) -> Result<Option<(DeliveryId, Member)>> {
        let mut segments = self.segments.borrow_mut();
        if let Some(key) = segments.home_of(id) {
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

    /// Reads the payload of a delivery that lies in a segment.
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

    /// The key of a delivery's segment; settled segments are searched only if `was_settled`.
    fn segment_of(&self, id: &DeliveryId, was_settled: bool) -> Result<Option<DeliveryId>> {
        if let Some(key) = self.segments.borrow().home_of(id) {
            return Ok(Some(key));
        }
        if !was_settled {
            return Ok(None);
        }
        let settled = self.settled_segment_of(id)?;
        Ok(settled.map(|segment| segment.key().clone()))
    }
}
