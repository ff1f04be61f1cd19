//! The rows of a webhook's object.
//!
//! One table holds all deliveries, clustered by (settled, id): what is pending lies together, so that a wake-up reads
//! nothing of the log, and a delivery is one row from acceptance to its end: one write to store it, one to settle it.
//! Ids are ordered by time, so the key's order is the order of a list.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use worker::{Error, Result, SqlStorageValue as Value, Storage};

use super::Open;
use crate::{
    domain::{
        delivery::{Delivery, Status},
        dispatch::Dispatch,
        ids::{DeliveryId, EventId},
        queue::Queue,
        record::{DeliveryFilter, DeliveryRecord, SentRequest},
        resend::{ResendJob, Selection},
        stats::{HourTally, Tally},
        timestamp::Timestamp,
        webhook::{ReportedStanding, Settings, Standing},
    },
    runtime::database::{Database, Row, integer, json, text},
};

/// The present form of the tables; a later one brings a step from it.
const SCHEMA: &str = "1";

const TABLES: [&str; 4] = [
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE deliveries (settled INTEGER NOT NULL, id TEXT NOT NULL, status TEXT NOT NULL, kind TEXT NOT NULL,
        type TEXT NOT NULL, event_id TEXT NOT NULL, bytes INTEGER NOT NULL, delivery TEXT NOT NULL,
        attempts TEXT NOT NULL, request TEXT, payload TEXT NOT NULL, PRIMARY KEY (settled, id)) WITHOUT ROWID",
    "CREATE TABLE event_ids (day INTEGER NOT NULL, event_id TEXT NOT NULL, delivery_id TEXT NOT NULL,
        PRIMARY KEY (day, event_id)) WITHOUT ROWID",
    "CREATE TABLE stats (hour INTEGER PRIMARY KEY, value TEXT NOT NULL)",
];

const DAY_SECONDS: i64 = 24 * 60 * 60;

/// All columns but the payload, in the order in which a record is read.
const COLUMNS: &str = "id, event_id, type, delivery, attempts, request";

/// Rows that one slice of a purge deletes at most.
pub(super) const PURGE_SLICE: usize = 500;

/// The tables of one webhook.
pub(super) struct WebhookStore {
    database: Database,
}

/// One hour's row.
#[derive(Serialize, Deserialize)]
struct HourRow {
    /// Up to when all attempts are folded, into this row and those of earlier hours.
    through: Timestamp,
    tally: HourTally,
}

impl WebhookStore {
    pub(super) fn new(storage: &Storage) -> Self {
        Self {
            database: Database::new(storage),
        }
    }

    #[cfg(feature = "test-hooks")]
    pub(super) const fn database(&self) -> &Database {
        &self.database
    }

    /// Reads what the object keeps in memory; none where the webhook has no settings. Reads a row for each pending
    /// delivery and none of the log.
    pub(super) fn load(&self) -> Result<Option<Open>> {
        if !self.database.has_table("meta")? {
            return Ok(None);
        }
        let Some(settings) = self.meta("settings")? else {
            return Ok(None);
        };
        let mut queue = Queue::default();
        for mut row in self.database.run(
            "SELECT id, delivery, bytes FROM deliveries WHERE settled = 0",
            vec![],
        )? {
            let id = delivery_id(row.next())?;
            let delivery: Delivery = json(row.next())?;
            let bytes = integer(row.next().as_ref())
                .and_then(|bytes| bytes.try_into().ok())
                .unwrap_or_default();
            queue.place(&id, &delivery, bytes);
        }
        Ok(Some(Open {
            dispatch: Dispatch {
                settings,
                standing: self.meta("standing")?.unwrap_or_default(),
                queue,
            },
            told: self.meta("told")?.unwrap_or_default(),
            job: self.meta("job")?,
            tally: self.recount()?,
        }))
    }

    /// Counts again what had been counted since the last fold: the deliveries made since then.
    fn recount(&self) -> Result<Tally> {
        let last = text(
            self.database
                .value("SELECT value FROM stats ORDER BY hour DESC LIMIT 1", vec![])?,
        );
        let last: Option<HourRow> = last.map(|row| serde_json::from_str(&row)).transpose()?;
        let mut tally = Tally::since(last.map(|row| row.through).unwrap_or_default());
        let since = DeliveryId::first_of(tally.folded_through());
        let statement =
            format!("SELECT {COLUMNS} FROM deliveries WHERE settled IN (0, 1) AND id >= ?");
        for row in self.database.run(&statement, vec![since.as_ref().into()])? {
            let record = record(row)?;
            tally.recount(&record.id, &record.delivery, &record.attempts);
        }
        Ok(tally)
    }

    /// Adds counts to their hours' rows.
    pub(super) fn fold(&self, tally: &Tally, through: Timestamp) -> Result<()> {
        for (hour, counted) in tally.hours() {
            let mut sum = self
                .hour_row(hour)?
                .map(|row| row.tally)
                .unwrap_or_default();
            sum.add(counted);
            let row = serde_json::to_string(&HourRow {
                through,
                tally: sum,
            })?;
            let statement = "INSERT OR REPLACE INTO stats (hour, value) VALUES (?, ?)";
            self.database
                .run(statement, vec![hour.into(), row.into()])?;
        }
        Ok(())
    }

    fn hour_row(&self, hour: i64) -> Result<Option<HourRow>> {
        let value = self
            .database
            .value("SELECT value FROM stats WHERE hour = ?", vec![hour.into()])?;
        Ok(text(value)
            .map(|row| serde_json::from_str(&row))
            .transpose()?)
    }

    /// The folded counts from an hour on.
    pub(super) fn hours(&self, first: i64) -> Result<BTreeMap<i64, HourTally>> {
        let rows = self.database.run(
            "SELECT hour, value FROM stats WHERE hour >= ?",
            vec![first.into()],
        )?;
        let hours = rows.into_iter().map(|mut row| {
            let hour = integer(row.next().as_ref()).ok_or_else(|| damaged("hour"))?;
            Ok((hour, json::<HourRow>(row.next())?.tally))
        });
        hours.collect()
    }

    pub(super) fn put_job(&self, job: &ResendJob) -> Result<()> {
        self.put_json("job", job)
    }

    /// How many deliveries a job has to resend, at this moment.
    pub(super) fn count_selected(&self, selection: &Selection) -> Result<u64> {
        let (conditions, parameters) = selected(selection, None);
        let statement = format!("SELECT COUNT(*) FROM deliveries WHERE {conditions}");
        let count = integer(self.database.value(&statement, parameters)?.as_ref());
        Ok(count
            .and_then(|count| count.try_into().ok())
            .unwrap_or_default())
    }

    /// The next deliveries that a job may take, oldest first.
    pub(super) fn next_selected(
        &self,
        selection: &Selection,
        after: Option<&DeliveryId>,
        limit: usize,
    ) -> Result<Vec<DeliveryId>> {
        let (conditions, parameters) = selected(selection, after);
        let statement =
            format!("SELECT id FROM deliveries WHERE {conditions} ORDER BY id LIMIT {limit}");
        self.database
            .run(&statement, parameters)?
            .into_iter()
            .map(|mut row| delivery_id(row.next()))
            .collect()
    }

    /// The length of a delivery's payload.
    pub(super) fn bytes(&self, id: &DeliveryId) -> Result<u64> {
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

    /// Makes the tables where there are none.
    pub(super) fn create(&self) -> Result<()> {
        if self.database.has_table("meta")? {
            return Ok(());
        }
        for table in TABLES {
            self.database.run(table, vec![])?;
        }
        self.put_meta("schema", SCHEMA)
    }

    /// The revision under which the webhook was deleted, where it was.
    pub(super) fn deleted_revision(&self) -> Result<Option<u64>> {
        if self.database.has_table("meta")? {
            self.meta("deleted")
        } else {
            Ok(None)
        }
    }

    /// Keeps the revision of a deletion, so that older settings that arrive later do not bring the webhook back.
    pub(super) fn put_deleted_revision(&self, revision: u64) -> Result<()> {
        self.put_json("deleted", &revision)
    }

    pub(super) fn put_settings(&self, settings: &Settings) -> Result<()> {
        self.put_json("settings", settings)
    }

    pub(super) fn put_standing(&self, standing: &Standing) -> Result<()> {
        self.put_json("standing", standing)
    }

    /// Keeps what the workspace was last told of the standing.
    pub(super) fn put_told(&self, told: &ReportedStanding) -> Result<()> {
        self.put_json("told", told)
    }

    fn meta<T: serde::de::DeserializeOwned>(&self, key: &str) -> Result<Option<T>> {
        let value = text(
            self.database
                .value("SELECT value FROM meta WHERE key = ?", vec![key.into()])?,
        );
        Ok(value
            .map(|value| serde_json::from_str(&value))
            .transpose()?)
    }

    fn put_json<T: serde::Serialize>(&self, key: &str, value: &T) -> Result<()> {
        self.put_meta(key, &serde_json::to_string(value)?)
    }

    fn put_meta(&self, key: &str, value: &str) -> Result<()> {
        self.database.run(
            "INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)",
            vec![key.into(), value.into()],
        )?;
        Ok(())
    }

    /// Stores a new delivery: one row.
    pub(super) fn insert(&self, record: &DeliveryRecord) -> Result<()> {
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
    pub(super) fn update(&self, record: &DeliveryRecord, was_settled: bool) -> Result<()> {
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
    pub(super) fn change_requests(
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
    pub(super) fn read(&self, id: &DeliveryId) -> Result<Option<DeliveryRecord>> {
        let statement =
            format!("SELECT {COLUMNS} FROM deliveries WHERE settled IN (0, 1) AND id = ?");
        let rows = self.database.run(&statement, vec![id.as_ref().into()])?;
        rows.into_iter().next().map(record).transpose()
    }

    /// A delivery with its payload.
    pub(super) fn read_whole(&self, id: &DeliveryId) -> Result<Option<DeliveryRecord>> {
        let Some(mut record) = self.read(id)? else {
            return Ok(None);
        };
        record.payload = self.payload(id)?;
        Ok(Some(record))
    }

    /// The payload of a delivery, as it was stored.
    pub(super) fn payload(&self, id: &DeliveryId) -> Result<Option<Box<RawValue>>> {
        let statement = "SELECT payload FROM deliveries WHERE settled IN (0, 1) AND id = ?";
        let payload = text(self.database.value(statement, vec![id.as_ref().into()])?);
        Ok(payload.map(RawValue::from_string).transpose()?)
    }

    /// The deliveries of a filter, newest first, without payloads. Each of the two clusters is read from its newest
    /// matching row on; the pages of both are merged.
    pub(super) fn list(&self, filter: &DeliveryFilter) -> Result<Vec<DeliveryRecord>> {
        let settled: &[i64] = match filter.status {
            None => &[0, 1],
            Some(Status::Pending | Status::Held) => &[0],
            Some(Status::Delivered | Status::Failed) => &[1],
        };
        let mut records = Vec::new();
        for settled in settled {
            records.extend(self.list_cluster(*settled, filter)?);
        }
        records.sort_by(|a, b| b.id.cmp(&a.id));
        records.truncate(filter.limit);
        Ok(records)
    }

    fn list_cluster(&self, settled: i64, filter: &DeliveryFilter) -> Result<Vec<DeliveryRecord>> {
        let mut conditions = vec!["settled = ?"];
        let mut parameters: Vec<Value> = vec![settled.into()];
        let mut condition = |text, value: Option<Value>| {
            if let Some(value) = value {
                conditions.push(text);
                parameters.push(value);
            }
        };
        condition(
            "id >= ?",
            filter
                .since
                .map(|since| DeliveryId::first_of(since).as_ref().into()),
        );
        condition(
            "id < ?",
            filter
                .until
                .map(|until| DeliveryId::first_of(until).as_ref().into()),
        );
        condition(
            "id < ?",
            filter.before.as_ref().map(|before| before.as_ref().into()),
        );
        condition(
            "status = ?",
            filter.status.map(|status| status.as_str().into()),
        );
        condition("kind = ?", filter.kind.map(|kind| kind.as_str().into()));
        condition("type = ?", filter.event_type.as_deref().map(Into::into));
        let conditions = conditions.join(" AND ");
        let limit = filter.limit;
        let statement = format!(
            "SELECT {COLUMNS} FROM deliveries WHERE {conditions} ORDER BY id DESC LIMIT {limit}"
        );
        self.database
            .run(&statement, parameters)?
            .into_iter()
            .map(record)
            .collect()
    }

    /// The delivery that an earlier post of the same event made within `kept`, a day at most.
    ///
    /// A generated id is kept in no table of its own; it has the time of its delivery in it, and the few deliveries of
    /// that millisecond are looked through.
    pub(super) fn find_event(
        &self,
        id: &EventId,
        now: Timestamp,
        kept: Duration,
    ) -> Result<Option<DeliveryRecord>> {
        let today = day(now);
        let mut found = self.database.value(
            "SELECT delivery_id FROM event_ids WHERE day IN (?, ?) AND event_id = ? ORDER BY day DESC",
            vec![today.into(), today.saturating_sub(1).into(), id.as_ref().into()],
        )?;
        if let (None, Some(time)) = (&found, id.minted_at()) {
            found = self.database.value(
                "SELECT id FROM deliveries WHERE settled IN (0, 1) AND id BETWEEN ? AND ? AND event_id = ?",
                vec![
                    DeliveryId::first_of(time).as_ref().into(),
                    DeliveryId::last_of(time).as_ref().into(),
                    id.as_ref().into(),
                ],
            )?;
        }
        let Some(found) = found else { return Ok(None) };
        let found = delivery_id(Some(found))?;
        if now.saturating_duration_since(found.minted_at()) > kept {
            Ok(None)
        } else {
            self.read(&found)
        }
    }

    /// Keeps a producer's id, to find the event's delivery by it: one row, clustered by day, so that forgetting a day
    /// reads nothing of another.
    pub(super) fn put_event_id(
        &self,
        event: &EventId,
        delivery: &DeliveryId,
        now: Timestamp,
    ) -> Result<()> {
        self.database.run(
            "INSERT OR REPLACE INTO event_ids (day, event_id, delivery_id) VALUES (?, ?, ?)",
            vec![
                day(now).into(),
                event.as_ref().into(),
                delivery.as_ref().into(),
            ],
        )?;
        Ok(())
    }

    /// Deletes the counts of hours before one.
    pub(super) fn purge_hours(&self, first: i64) -> Result<()> {
        self.database
            .run("DELETE FROM stats WHERE hour < ?", vec![first.into()])?;
        Ok(())
    }

    /// Deletes a slice of what is older than its time; tells whether more is left. Held deliveries age like the log.
    pub(super) fn purge(
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
        let forgotten = self.database.run(
            &format!(
                "DELETE FROM event_ids WHERE (day, event_id) IN
                 (SELECT day, event_id FROM event_ids WHERE day < ? LIMIT {PURGE_SLICE}) RETURNING 1"
            ),
            vec![day(event_ids_before).into()],
        )?;
        Ok(purged.len() == PURGE_SLICE || forgotten.len() == PURGE_SLICE)
    }

    /// Held deliveries that are older than a time, a slice of them.
    pub(super) fn held_before(&self, time: Timestamp) -> Result<Vec<DeliveryId>> {
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

    /// Deletes an unsettled delivery.
    pub(super) fn delete_unsettled(&self, id: &DeliveryId) -> Result<()> {
        self.database.run(
            "DELETE FROM deliveries WHERE settled = 0 AND id = ?",
            vec![id.as_ref().into()],
        )?;
        Ok(())
    }

    /// When the oldest of what is kept has to be purged.
    pub(super) fn next_purge(&self, retention: Duration) -> Result<Option<Timestamp>> {
        let oldest = |settled: i64| -> Result<Option<Timestamp>> {
            let statement = "SELECT id FROM deliveries WHERE settled = ? ORDER BY id LIMIT 1";
            let id = self.database.value(statement, vec![settled.into()])?;
            let made_at = id
                .map(|id| delivery_id(Some(id)))
                .transpose()?
                .map(|id| id.minted_at());
            Ok(made_at.map(|time| time.saturating_add(retention)))
        };
        let oldest_day = self
            .database
            .value("SELECT day FROM event_ids ORDER BY day LIMIT 1", vec![])?;
        // Its ids are needed through the next day.
        let forgotten = integer(oldest_day.as_ref()).map(|day| start_of_day(day.saturating_add(2)));
        Ok([oldest(0)?, oldest(1)?, forgotten]
            .into_iter()
            .flatten()
            .min())
    }
}

/// The day of a time, counted from 1970.
fn day(time: Timestamp) -> i64 {
    time.as_seconds().div_euclid(DAY_SECONDS)
}

fn start_of_day(day: i64) -> Timestamp {
    Timestamp::from_millis(day.saturating_mul(DAY_SECONDS).saturating_mul(1000))
}

/// The conditions of a job's selection.
fn selected(selection: &Selection, after: Option<&DeliveryId>) -> (String, Vec<Value>) {
    let settled = i64::from(selection.status == Status::Failed);
    let mut conditions = String::from("settled = ? AND kind = 'event' AND status = ?");
    let mut parameters: Vec<Value> = vec![settled.into(), selection.status.as_str().into()];
    let since = selection
        .since
        .map(|since| ("id >= ?", DeliveryId::first_of(since)));
    let until = selection
        .until
        .map(|until| ("id < ?", DeliveryId::first_of(until)));
    let after = after.map(|after| ("id > ?", after.clone()));
    for (condition, id) in [since, until, after].into_iter().flatten() {
        conditions.push_str(" AND ");
        conditions.push_str(condition);
        parameters.push(id.as_ref().into());
    }
    (conditions, parameters)
}

fn request_column(request: Option<&SentRequest>) -> Result<Value> {
    Ok(request.map(serde_json::to_string).transpose()?.into())
}

fn record(mut row: Row) -> Result<DeliveryRecord> {
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

fn delivery_id(value: Option<Value>) -> Result<DeliveryId> {
    text(value)
        .and_then(|id| DeliveryId::parse(&id).ok())
        .ok_or_else(|| damaged("id"))
}

fn damaged(column: &str) -> Error {
    Error::RustError(format!("the column {column} of a delivery is damaged"))
}
