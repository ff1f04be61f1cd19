//! A delivery's row: stored, changed, read.

use serde_json::value::RawValue;
use worker::{Error, Result, SqlStorageValue as Value};

use super::WebhookStore;
use crate::{
    domain::{
        ids::{DeliveryId, EventId},
        record::{DeliveryRecord, SentRequest},
    },
    runtime::database::{Row, integer, json, text},
};

/// All columns but the payload, in the order in which a record is read.
pub(super) const COLUMNS: &str = "id, event_id, type, delivery, attempts, request";

impl WebhookStore {
    /// Stores a new delivery: one row.
    pub(crate) fn insert(&self, record: &DeliveryRecord) -> Result<()> {
        let payload = record
            .payload
            .as_ref()
            .map_or("null", |payload| payload.get());
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
                serde_json::to_string(&record.attempts)?.into(),
                request_column(record.request.as_ref())?,
                payload.into(),
            ],
        )?;
        Ok(())
    }

    /// Stores the progress of a delivery: one row, also when it is settled by it.
    pub(crate) fn update(&self, record: &DeliveryRecord, was_settled: bool) -> Result<()> {
        self.database.run(
            "UPDATE deliveries SET settled = ?, status = ?, delivery = ?, attempts = ?, request = ?
             WHERE settled = ? AND id = ?",
            vec![
                i64::from(record.delivery.is_settled()).into(),
                record.delivery.status().as_str().into(),
                serde_json::to_string(&record.delivery)?.into(),
                serde_json::to_string(&record.attempts)?.into(),
                request_column(record.request.as_ref())?,
                i64::from(was_settled).into(),
                record.id.as_ref().into(),
            ],
        )?;
        Ok(())
    }

    /// Changes the requests that are kept of pings and tests; `change` tells whether it changed one.
    pub(crate) fn change_requests(
        &self,
        change: impl Fn(&mut SentRequest) -> Result<bool>,
    ) -> Result<()> {
        let kept = "SELECT settled, id, request FROM deliveries WHERE request IS NOT NULL";
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

    /// A delivery without its payload.
    pub(crate) fn read(&self, id: &DeliveryId) -> Result<Option<DeliveryRecord>> {
        let statement =
            format!("SELECT {COLUMNS} FROM deliveries WHERE settled IN (0, 1) AND id = ?");
        let rows = self.database.run(&statement, vec![id.as_ref().into()])?;
        rows.into_iter().next().map(record).transpose()
    }

    /// A delivery with its payload.
    pub(crate) fn read_whole(&self, id: &DeliveryId) -> Result<Option<DeliveryRecord>> {
        let Some(mut record) = self.read(id)? else {
            return Ok(None);
        };
        record.payload = self.payload(id)?;
        Ok(Some(record))
    }

    /// The payload of a delivery, as it was stored.
    pub(crate) fn payload(&self, id: &DeliveryId) -> Result<Option<Box<RawValue>>> {
        let statement = "SELECT payload FROM deliveries WHERE settled IN (0, 1) AND id = ?";
        let payload = text(self.database.value(statement, vec![id.as_ref().into()])?);
        Ok(payload.map(RawValue::from_string).transpose()?)
    }

    /// The length of a delivery's payload.
    pub(crate) fn bytes(&self, id: &DeliveryId) -> Result<u64> {
        let statement = "SELECT bytes FROM deliveries WHERE settled IN (0, 1) AND id = ?";
        let bytes = integer(
            self.database
                .value(statement, vec![id.as_ref().into()])?
                .as_ref(),
        );
        Ok(bytes
            .and_then(|bytes| bytes.try_into().ok())
            .unwrap_or_default())
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

fn request_column(request: Option<&SentRequest>) -> Result<Value> {
    Ok(request.map(serde_json::to_string).transpose()?.into())
}

pub(super) fn record(mut row: Row) -> Result<DeliveryRecord> {
    let mut missing = |name: &str| text(row.next()).ok_or_else(|| damaged(name));
    let id = DeliveryId::parse(&missing("id")?).map_err(|_| damaged("id"))?;
    let event_id = EventId::parse(&missing("event_id")?).map_err(|_| damaged("event_id"))?;
    let event_type = missing("type")?;
    let delivery = json(row.next())?;
    let attempts = json(row.next())?;
    let request = text(row.next())
        .map(|request| serde_json::from_str(&request))
        .transpose()?;
    Ok(DeliveryRecord {
        id,
        event_id,
        event_type,
        delivery,
        attempts,
        payload: None,
        request,
    })
}

pub(super) fn delivery_id(value: Option<Value>) -> Result<DeliveryId> {
    text(value)
        .and_then(|id| DeliveryId::parse(&id).ok())
        .ok_or_else(|| damaged("id"))
}

pub(super) fn damaged(column: &str) -> Error {
    Error::RustError(format!("the column {column} of a delivery is damaged"))
}
