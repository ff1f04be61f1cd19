//! Storing, changing and reading a delivery.

use serde_json::value::RawValue;

use super::WebhookTables;
use crate::{
    domain::{
        attempt::{read_log, write_log},
        ids::{DeliveryId, EventId},
        record::{DeliveryRecord, SentRequest},
        segment::Segment,
    },
    machines::sql::{Result, Row, SqlError, SqlValue, integer, json, text},
};

/// All columns but the payload, in the order that `record` expects.
pub(super) const COLUMNS: &str = "id, event_id, type, delivery, attempts, request";

/// A log without the answers' headers and bodies.
pub(super) const SHORT_LOG: &str =
    "(SELECT json_group_array(json_remove(value, '$.response_headers', '$.response_body'))
    FROM json_each(attempts))";

/// Finds a row by its delivery's id. Looks among the unsettled rows first and stops at a match, as each comparison of
/// the search reads a whole row, payload and all.
const BY_ID: &str = "WHERE settled IN (0, 1) AND id = ? LIMIT 1";

impl WebhookTables {
    /// Stores a new delivery with its payload: in a segment, which the next flush writes, or in a row of its own.
    pub(crate) fn insert(&self, record: &mut DeliveryRecord) -> Result<()> {
        match record.payload.take() {
            Some(payload) if Segment::takes(record) => {
                self.join_segment(record, payload);
                Ok(())
            }
            payload => {
                // A row without its producer's id would be stored twice if the event is posted again.
                self.store_event_ids()?;
                self.insert_row(record, payload.as_deref())
            }
        }
    }

    /// Stores a delivery in a row of its own.
    pub(super) fn insert_row(
        &self,
        record: &DeliveryRecord,
        payload: Option<&RawValue>,
    ) -> Result<()> {
        let payload = payload.map_or("null", RawValue::get);
        self.database.run(
            "INSERT INTO deliveries (settled, id, status, kind, type, event_id, bytes, delivery, attempts, request, payload)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            vec![
                i64::from(record.delivery.is_settled()).into(),
                record.id.as_ref().into(),
                record.delivery.status().as_str().into(),
                record.delivery.kind().as_str().into(),
                record.event_type.as_str().into(),
                record.event_id.as_ref().into(),
                i64::try_from(payload.len()).unwrap_or(i64::MAX).into(),
                serde_json::to_string(&record.delivery)?.into(),
                write_log(&record.attempts)?.into(),
                request_column(record.request.as_ref())?,
                payload.into(),
            ],
        )?;
        Ok(())
    }

    /// Stores the progress of a delivery: one row, even if it gets settled. In a segment, the next flush writes it.
    pub(crate) fn update(&self, record: &DeliveryRecord, was_settled: bool) -> Result<()> {
        if self.update_member(record, was_settled)? {
            return Ok(());
        }
        let settled = record.delivery.is_settled();
        // Setting a part of the key deletes the row and inserts it again, even if the value is the same.
        let key = if settled == was_settled {
            ""
        } else {
            "settled = NOT settled, "
        };
        self.database.run(
            &format!(
                "UPDATE deliveries SET {key}status = ?, delivery = ?, attempts = ?, request = ?
                 WHERE settled = ? AND id = ?"
            ),
            vec![
                record.delivery.status().as_str().into(),
                serde_json::to_string(&record.delivery)?.into(),
                write_log(&record.attempts)?.into(),
                request_column(record.request.as_ref())?,
                i64::from(was_settled).into(),
                record.id.as_ref().into(),
            ],
        )?;
        Ok(())
    }

    /// Changes the requests that are kept for pings and tests; `change` returns whether it changed one.
    pub(crate) fn change_requests(
        &self,
        change: impl Fn(&mut SentRequest) -> Result<bool>,
    ) -> Result<()> {
        let kept = "SELECT settled, id, request FROM deliveries WHERE kind <> 'event' AND request IS NOT NULL";
        for mut row in self.database.run(kept, vec![])? {
            let settled = integer(row.next().as_ref()).ok_or_else(|| damaged("settled"))?;
            let id = delivery_id(row.next())?;
            let mut request = json(row.next())?;
            if change(&mut request)? {
                self.database.run(
                    "UPDATE deliveries SET request = ? WHERE settled = ? AND id = ?",
                    vec![
                        request_column(Some(&request))?,
                        settled.into(),
                        id.as_ref().into(),
                    ],
                )?;
            }
        }
        Ok(())
    }

    /// Reads a delivery without its payload.
    pub(crate) fn read(&self, id: &DeliveryId) -> Result<Option<DeliveryRecord>> {
        match self.find_row(COLUMNS, id)? {
            Some(row) => record(row).map(Some),
            None => Ok(self.member(id)?.map(|(_, member)| member.to_record())),
        }
    }

    /// Reads of a delivery what lists and traces show.
    pub(crate) fn read_summary(&self, id: &DeliveryId) -> Result<Option<DeliveryRecord>> {
        if let Some(row) = self.find_row(&summary(), id)? {
            return record(row).map(Some);
        }
        let member = self.member(id)?.map(|(_, member)| member.to_record());
        Ok(member.map(|mut record| {
            record.summarize();
            record
        }))
    }

    /// Reads a delivery with its payload.
    pub(crate) fn read_whole(&self, id: &DeliveryId) -> Result<Option<DeliveryRecord>> {
        if let Some(mut row) = self.find_row(&format!("payload, {COLUMNS}"), id)? {
            let payload = text(row.next()).map(RawValue::from_string).transpose()?;
            let record = record(row)?;
            return Ok(Some(DeliveryRecord { payload, ..record }));
        }
        let Some((segment, member)) = self.member(id)? else {
            return Ok(None);
        };
        let mut record = member.to_record();
        record.payload = self.payload_in(&segment, id)?;
        Ok(Some(record))
    }

    fn find_row(&self, columns: &str, id: &DeliveryId) -> Result<Option<Row>> {
        if self.is_member(id) {
            return Ok(None);
        }
        let statement = format!("SELECT {columns} FROM deliveries {BY_ID}");
        let rows = self.database.run(&statement, vec![id.as_ref().into()])?;
        Ok(rows.into_iter().next())
    }

    /// The length of a delivery's payload.
    pub(crate) fn bytes(&self, id: &DeliveryId) -> Result<u64> {
        let row = self.find_row("bytes", id)?;
        let bytes = row.and_then(|mut row| integer(row.next().as_ref()));
        let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
        match bytes {
            Some(bytes) => Ok(bytes),
            None => Ok(self.member(id)?.map_or(0, |(_, member)| member.bytes())),
        }
    }

    /// Deletes an unsettled delivery.
    pub(crate) fn delete_unsettled(&self, id: &DeliveryId) -> Result<()> {
        self.database.run(
            "DELETE FROM deliveries WHERE settled = 0 AND id = ?",
            vec![id.as_ref().into()],
        )?;
        Ok(())
    }
}

/// The columns that `record` expects, without the request and the answers' headers and bodies.
pub(super) fn summary() -> String {
    format!("id, event_id, type, delivery, {SHORT_LOG}, NULL")
}

fn request_column(request: Option<&SentRequest>) -> Result<SqlValue> {
    Ok(request.map(serde_json::to_string).transpose()?.into())
}

pub(super) fn record(mut row: Row) -> Result<DeliveryRecord> {
    let mut missing = |name: &'static str| text(row.next()).ok_or_else(|| damaged(name));
    let id = DeliveryId::parse(&missing("id")?).map_err(|_| damaged("id"))?;
    let event_id = EventId::parse(&missing("event_id")?).map_err(|_| damaged("event_id"))?;
    let event_type = missing("type")?;
    let delivery = json(row.next())?;
    let attempts = read_log(&text(row.next()).ok_or_else(|| damaged("attempts"))?)?;
    let request = text(row.next())
        .map(|request| serde_json::from_str(&request))
        .transpose()?;
    Ok(DeliveryRecord {
        waiting_for: None,
        id,
        event_id,
        event_type,
        delivery,
        attempts,
        payload: None,
        request,
    })
}

pub(super) fn delivery_id(value: Option<SqlValue>) -> Result<DeliveryId> {
    text(value)
        .and_then(|id| DeliveryId::parse(&id).ok())
        .ok_or_else(|| damaged("id"))
}

pub(super) const fn damaged(column: &'static str) -> SqlError {
    SqlError::Damaged(column)
}
