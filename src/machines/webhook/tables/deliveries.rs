//! Storing, changing and reading a delivery.

use serde::Serialize;
use serde_json::value::RawValue;

use super::WebhookTables;
use crate::{
    domain::{
        attempt::{read_log, write_log},
        delivery::Delivery,
        ids::{DeliveryId, EventId},
        outcome::Outcome,
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

/// The outcome of the last attempt. Rows of earlier releases have it in the log alone.
pub(super) const LAST_OUTCOME: &str =
    "COALESCE(json_extract(delivery, '$.last.outcome'), json_extract(attempts, '$[#-1].outcome'))";

/// The status of the last attempt's response, null without one.
pub(super) const LAST_STATUS: &str = "CASE WHEN json_type(delivery, '$.last') IS NULL
    THEN json_extract(attempts, '$[#-1].response_status') ELSE json_extract(delivery, '$.last.status') END";

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
                delivery_column(record)?,
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
                delivery_column(record)?,
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

/// A delivery's progress, and beside it what its last attempt was: searches for that need not read the log, in which
/// answers are.
#[derive(Serialize)]
struct Progress<'a> {
    #[serde(flatten)]
    delivery: &'a Delivery,
    #[serde(skip_serializing_if = "Option::is_none")]
    last: Option<Last>,
}

#[derive(Serialize)]
struct Last {
    outcome: Outcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
}

fn delivery_column(record: &DeliveryRecord) -> Result<SqlValue> {
    let last = record.attempts.last().map(|attempt| Last {
        outcome: attempt.outcome,
        status: attempt.response_status,
    });
    let progress = Progress {
        delivery: &record.delivery,
        last,
    };
    Ok(serde_json::to_string(&progress)?.into())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{attempt::Attempt, delivery::Kind, timestamp::Timestamp};

    #[test]
    fn the_stored_form_of_a_deliverys_progress_is_pinned() {
        let at = Timestamp::from_millis(0);
        let mut attempt = Attempt::new(1, at, 1, Outcome::HttpError);
        attempt.response_status = Some(500);
        let mut record = DeliveryRecord {
            id: DeliveryId::mint(at, [0; 10]),
            event_id: EventId::mint(at, [0; 10]),
            event_type: "agent.error".into(),
            delivery: Delivery::due(Kind::Event, at),
            attempts: Vec::new(),
            payload: None,
            request: None,
            waiting_for: None,
        };
        let progress = r#"{"kind":"event","state":{"scheduled":{"due":0}},"attempts":0,"schedule_start":0,"leases":0,"lost":0"#;
        for (attempts, last) in [
            (vec![], ""),
            (
                vec![attempt.clone()],
                r#","last":{"outcome":"http_error","status":500}"#,
            ),
            (
                vec![attempt, Attempt::lost(2, at, at)],
                r#","last":{"outcome":"lost"}"#,
            ),
        ] {
            record.attempts = attempts;
            let SqlValue::Text(stored) = delivery_column(&record).unwrap() else {
                panic!("it is no text");
            };
            assert_eq!(stored, format!("{progress}{last}}}"));
            let read: Delivery = serde_json::from_str(&stored).unwrap();
            assert_eq!(read, record.delivery);
        }
    }
}
