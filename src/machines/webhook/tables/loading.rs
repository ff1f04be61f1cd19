//! Reading what is pending into memory, when the object wakes.
//!
//! There may be 100,000 of them, and Wasm memory never shrinks. So only what the queue needs is read, each row once, and
//! never all of them together. A slice of rows comes as one text: each value that crosses from JavaScript costs more than
//! reading it.

use super::{
    WebhookTables,
    deliveries::{SHORT_LOG, damaged, delivery_id},
    places::SETTLED,
};
use crate::{
    domain::{
        delivery::Delivery,
        ids::{CompactId, DeliveryId},
        queue::Queue,
        segment::PendingMember,
        stats::Counts,
    },
    machines::sql::{Result, text},
};

/// How many rows are one text.
const SLICE: usize = 500;

impl WebhookTables {
    /// Reads the segments that are not settled.
    pub(super) fn load_segments(&self, queue: &mut Queue, counts: &mut Counts) -> Result<()> {
        let mut segments = self.segments.borrow_mut();
        let counted = CompactId::from(&DeliveryId::first_of(counts.folded_through()));
        let pending = "SELECT first, members FROM segments WHERE place < ?";
        self.database
            .each(pending, vec![SETTLED.into()], |mut row| {
                let key = CompactId::from(&delivery_id(row.next())?);
                let members = text(row.next()).ok_or_else(|| damaged("members"))?;
                for member in serde_json::from_str::<Vec<PendingMember<'_>>>(&members)? {
                    let id = CompactId::parse(member.id).map_err(|_| damaged("id"))?;
                    queue.place(id, &member.delivery, member.bytes);
                    segments.know(id, key);
                    if id >= counted && !member.attempts.is_empty() {
                        counts.recount(&id.into(), &member.delivery, &member.attempts);
                    }
                }
                Ok(())
            })
    }

    /// Reads the rows that are not settled, and counts again what was attempted of those made since the last fold.
    pub(super) fn load_rows(&self, queue: &mut Queue, counts: &mut Counts) -> Result<()> {
        // JSON has no tab and no line feed between or within its values.
        let statement = format!(
            "SELECT group_concat(row, char(10)) FROM
             (SELECT id || char(9) || bytes || char(9) || delivery || char(9) ||
                 CASE WHEN id >= ? AND attempts <> '[]' THEN {SHORT_LOG} ELSE '[]' END AS row
              FROM deliveries WHERE settled = 0 AND id > ? ORDER BY id LIMIT {SLICE})"
        );
        let counted = DeliveryId::first_of(counts.folded_through());
        let mut after = String::new();
        loop {
            let parameters = vec![counted.as_ref().into(), after.as_str().into()];
            let Some(rows) = text(self.database.value(&statement, parameters)?) else {
                return Ok(());
            };
            let mut last = "";
            for row in rows.lines() {
                let mut values = row.split('\t');
                let mut value = || values.next().ok_or_else(|| damaged("delivery"));
                let id = value()?;
                let compact = CompactId::parse(id).map_err(|_| damaged("id"))?;
                let bytes = value()?.parse().map_err(|_| damaged("bytes"))?;
                let delivery: Delivery = serde_json::from_str(value()?)?;
                queue.place(compact, &delivery, bytes);
                let attempts = value()?;
                if attempts != "[]" {
                    let attempts = serde_json::from_str::<Vec<_>>(attempts)?;
                    counts.recount(&compact.into(), &delivery, &attempts);
                }
                last = id;
            }
            last.clone_into(&mut after);
        }
    }
}
