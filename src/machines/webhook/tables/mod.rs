//! The rows of a webhook's object.
//!
//! Two tables hold the deliveries: those that go well are in segments, several in a row; all others have rows of their
//! own. Both tables are clustered by whether the rows are settled, then by time, so that a wake-up reads the pending
//! deliveries and none of the log, and the order of the rows is the order of a list.

mod deliveries;

mod log;

mod conditions;

mod selected;

mod failures;

mod places;

mod segments;

mod segment_rows;

mod event_ids;

mod purge;

mod trim;

mod hours;

mod loading;

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

pub(crate) use self::{
    log::Listed,
    purge::{PURGE_SLICE, TooOld},
};

use self::{segments::Segments, trim::LOG_SINCE};
use super::memory::Open;
use crate::{
    domain::{
        dispatch::{Dispatch, StrayLease},
        occupancy::Occupancy,
        policy::Policy,
        queue::Queue,
        resend::BulkResend,
        timestamp::Timestamp,
        webhook::{Health, ReportedStanding, Settings, Standing},
        width::Width,
    },
    machines::sql::{Database, Result, Sql, SqlError, text},
};

/// The version of the tables; each new version adds a step to `migrate`.
const SCHEMA: u32 = 3;

/// The key of the leases that are out, though their deliveries have ended.
const STRAY: &str = "stray_leases";

const SEGMENTS_TABLE: &str =
    "CREATE TABLE IF NOT EXISTS segments (place INTEGER PRIMARY KEY, first TEXT NOT NULL, members TEXT NOT NULL,
        payloads TEXT NOT NULL)";

const TABLES: [&str; 5] = [
    SEGMENTS_TABLE,
    "CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS deliveries (settled INTEGER NOT NULL, id TEXT NOT NULL, status TEXT NOT NULL, kind TEXT NOT NULL,
        type TEXT NOT NULL, event_id TEXT NOT NULL, bytes INTEGER NOT NULL, delivery TEXT NOT NULL,
        attempts TEXT NOT NULL, request TEXT, payload TEXT NOT NULL, PRIMARY KEY (settled, id)) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS event_ids (day INTEGER NOT NULL, event_id TEXT NOT NULL, delivery_id TEXT NOT NULL,
        PRIMARY KEY (day, event_id)) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS stats (hour INTEGER PRIMARY KEY, value TEXT NOT NULL)",
];

/// The tables of one webhook.
pub(crate) struct WebhookTables {
    database: Database,
    segments: RefCell<Segments>,
}

impl WebhookTables {
    /// The tables in an engine; none is read or made.
    #[must_use]
    pub(crate) fn new(sql: Rc<dyn Sql>) -> Self {
        Self {
            database: Database::new(sql),
            segments: RefCell::default(),
        }
    }

    /// Drops what is in memory, flushed or not.
    pub(crate) fn forget(&self) {
        self.segments.take();
    }

    pub(crate) const fn database(&self) -> &Database {
        &self.database
    }

    /// Reads what the object keeps in memory; none if the webhook has no settings. Reads the rows of pending
    /// deliveries, and of the log only what is not folded.
    pub(crate) fn load(&self, now: Timestamp, policy: &Policy) -> Result<Option<Open>> {
        if !self.database.has_table("meta")? {
            return Ok(None);
        }
        let meta = self.all_meta()?;
        let Some(settings) = meta.read("settings")? else {
            return Ok(None);
        };
        self.migrate(meta.read("schema")?)?;
        self.forget();
        let mut queue = Queue::default();
        let mut counts = self.counts()?;
        self.load_segments(&mut queue, &mut counts)?;
        self.load_rows(&mut queue, &mut counts)?;
        self.recount_settled(&mut counts)?;
        let mut standing: Standing = meta.read("standing")?.unwrap_or_default();
        if standing.health.is_none() {
            let succeeded_before = self.succeeded_before(&counts)?;
            standing.health = Health::of_earlier_release(standing.failing_since, succeeded_before);
            if standing.health.is_some() {
                self.put_standing(&standing)?;
            }
        }
        let dispatch = Dispatch {
            width: Width::begin(standing.failing_since.is_some()),
            settings,
            standing,
            queue,
            bucket: None,
            stray: meta.read(STRAY)?.unwrap_or_default(),
        };
        Ok(Some(Open {
            dispatch: dispatch.begin(now, policy),
            occupancy: Occupancy::default(),
            told: meta.read("told")?.unwrap_or_default(),
            told_at: Timestamp::default(),
            bulk_resend: meta.read("job")?,
            counts,
            log_since: meta.read(LOG_SINCE)?,
            is_trimming: false,
            trim_after: Timestamp::default(),
        }))
    }

    /// Brings the tables to their present form.
    ///
    /// # Errors
    /// If they have a form that this version does not know: a later version wrote them.
    fn migrate(&self, schema: Option<u32>) -> Result<()> {
        let steps = match schema {
            Some(SCHEMA) => return Ok(()),
            // There were no segments. Versions without transactions may have ended between the steps.
            Some(1) => vec![
                "DROP TABLE IF EXISTS segments".to_string(),
                SEGMENTS_TABLE.to_string(),
            ],
            // They were found by (settled, first).
            Some(2) => {
                // What such a version began is begun again from the table that still has everything.
                let kept = if self.database.has_table("segments_2")? {
                    "DROP TABLE IF EXISTS segments"
                } else {
                    "ALTER TABLE segments RENAME TO segments_2"
                };
                vec![
                    kept.to_string(),
                    SEGMENTS_TABLE.to_string(),
                    format!(
                        "INSERT INTO segments (place, first, members, payloads) SELECT {}, first, members, payloads FROM segments_2",
                        places::place_of("settled", "first")
                    ),
                    "DROP TABLE segments_2".to_string(),
                ]
            }
            unknown => return Err(unknown_schema(unknown)),
        };
        self.database.transaction(|| {
            for step in &steps {
                self.database.run(step, vec![])?;
            }
            self.put_json("schema", &SCHEMA)
        })
    }

    /// Creates the tables that are missing: all of a new object, and the last ones of an object in which a version without
    /// transactions made only the first.
    pub(crate) fn create(&self) -> Result<()> {
        if self.database.has_table("meta")? && self.meta::<u32>("schema")?.is_some() {
            return Ok(());
        }
        self.database.transaction(|| {
            for table in TABLES {
                self.database.run(table, vec![])?;
            }
            self.put_json("schema", &SCHEMA)
        })
    }

    /// Returns the revision of the webhook's deletion, if it was deleted.
    pub(crate) fn deleted_revision(&self) -> Result<Option<u64>> {
        if self.database.has_table("meta")? {
            self.meta("deleted")
        } else {
            Ok(None)
        }
    }

    /// Keeps the revision of a deletion, so that older settings that arrive late do not bring the webhook back.
    pub(crate) fn put_deleted_revision(&self, revision: u64) -> Result<()> {
        self.put_json("deleted", &revision)
    }

    pub(crate) fn put_settings(&self, settings: &Settings) -> Result<()> {
        self.put_json("settings", settings)
    }

    pub(crate) fn put_standing(&self, standing: &Standing) -> Result<()> {
        self.put_json("standing", standing)
    }

    /// Keeps the standing that the workspace was last told.
    pub(crate) fn put_told(&self, told: &ReportedStanding) -> Result<()> {
        self.put_json("told", told)
    }

    /// Keeps the leases that are out, though their deliveries have ended.
    pub(crate) fn put_stray(&self, stray: &[StrayLease]) -> Result<()> {
        self.put_json(STRAY, &stray)
    }

    pub(crate) fn put_bulk_resend(&self, bulk_resend: &BulkResend) -> Result<()> {
        self.put_json("job", bulk_resend)
    }

    /// Reads all values: a wake-up needs most of them, and a statement costs more than a row.
    fn all_meta(&self) -> Result<Meta> {
        let rows = self.database.run("SELECT key, value FROM meta", vec![])?;
        let values = rows.into_iter().map(|mut row| {
            let key = text(row.next()).ok_or(SqlError::Damaged("key"))?;
            let value = text(row.next()).ok_or(SqlError::Damaged("value"))?;
            Ok((key, value))
        });
        Ok(Meta(values.collect::<Result<_>>()?))
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
        self.database.run(
            "INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)",
            vec![key.into(), serde_json::to_string(value)?.into()],
        )?;
        Ok(())
    }
}

/// The values of an object that have no table of their own: JSON by its key.
struct Meta(BTreeMap<String, String>);

impl Meta {
    fn read<T: serde::de::DeserializeOwned>(&self, key: &str) -> Result<Option<T>> {
        let value = self.0.get(key);
        Ok(value.map(|value| serde_json::from_str(value)).transpose()?)
    }
}

fn unknown_schema(found: Option<u32>) -> SqlError {
    SqlError::UnknownSchema {
        found: found.map_or_else(|| "none".to_string(), |schema| schema.to_string()),
        known: SCHEMA,
    }
}
