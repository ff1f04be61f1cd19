//! The outbox of an object: who must still be told of a change. It is written in the transaction of the change.
//!
//! Its tables are `meta` and `outbox`. The same for every object whose copy is in KV.

use serde::Serialize;

use super::sql::{Database, Result, SqlValue, text};
use crate::domain::timestamp::Timestamp;

/// The target that stands for the copy in KV.
pub(in crate::machines) const COPY: &str = "kv";

/// The tables.
pub(in crate::machines) const TABLES: [&str; 2] = [
    "CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS outbox (target TEXT PRIMARY KEY, revision INTEGER NOT NULL) WITHOUT ROWID",
];

/// The key under which it is stored when KV must be told again.
const PUT_AGAIN: &str = "put_again_at";

/// The outbox in an object's database.
pub(in crate::machines) struct Outbox<'a>(&'a Database);

impl<'a> Outbox<'a> {
    /// The outbox in a database; nothing is read or made.
    pub(in crate::machines) const fn new(database: &'a Database) -> Self {
        Self(database)
    }

    /// Returns the targets that must still be told, each up to a revision.
    pub(in crate::machines) fn untold(&self) -> Result<Vec<(String, u64)>> {
        if !self.0.has_table("outbox")? {
            return Ok(Vec::new());
        }
        let rows = self.0.run("SELECT target, revision FROM outbox", vec![])?;
        let untold = rows.into_iter().filter_map(|mut row| {
            let target = text(row.next())?;
            let Some(SqlValue::Integer(revision)) = row.next() else {
                return None;
            };
            Some((target, revision.try_into().ok()?))
        });
        Ok(untold.collect())
    }

    /// Stores that a target must be told everything up to a revision.
    pub(in crate::machines) fn put_untold(&self, target: &str, revision: u64) -> Result<()> {
        let statement = "INSERT OR REPLACE INTO outbox (target, revision) VALUES (?, ?)";
        self.0
            .run(statement, vec![target.into(), stored(revision)])?;
        Ok(())
    }

    /// Records that a target knows everything up to a revision.
    pub(in crate::machines) fn told(&self, target: &str, revision: u64) -> Result<()> {
        let statement = "DELETE FROM outbox WHERE target = ? AND revision <= ?";
        self.0
            .run(statement, vec![target.into(), stored(revision)])?;
        Ok(())
    }

    /// Whether KV must be told at a time, or told again.
    pub(in crate::machines) fn has_to_put(&self, now: Timestamp) -> Result<bool> {
        let is_untold = self.untold()?.iter().any(|(target, _)| target == COPY);
        Ok(is_untold || self.put_again_at()?.is_some_and(|time| time <= now))
    }

    /// When KV must be told again what it was told last, because an earlier put may have come after it.
    pub(in crate::machines) fn put_again_at(&self) -> Result<Option<Timestamp>> {
        if !self.0.has_table("meta")? {
            return Ok(None);
        }
        let stored = self.meta(PUT_AGAIN)?;
        Ok(stored
            .map(|stored| serde_json::from_str(&stored))
            .transpose()?)
    }

    /// Records at a time that KV has everything up to a revision, and when it must be told again.
    pub(in crate::machines) fn copy_put(
        &self,
        revision: u64,
        now: Timestamp,
        again_at: Option<Timestamp>,
    ) -> Result<()> {
        self.0.transaction(|| {
            self.told(COPY, revision)?;
            if let Some(again_at) = again_at {
                return self.put_meta(PUT_AGAIN, &again_at);
            }
            if self.put_again_at()?.is_some_and(|time| time <= now) {
                let statement = "DELETE FROM meta WHERE key = ?";
                self.0.run(statement, vec![PUT_AGAIN.into()])?;
            }
            Ok(())
        })
    }

    /// Reads a value.
    pub(in crate::machines) fn meta(&self, key: &str) -> Result<Option<String>> {
        let value = "SELECT value FROM meta WHERE key = ?";
        Ok(text(self.0.value(value, vec![key.into()])?))
    }

    /// Stores a value.
    pub(in crate::machines) fn put_meta<T: Serialize>(&self, key: &str, value: &T) -> Result<()> {
        let statement = format!("INSERT OR REPLACE INTO meta (key, value) VALUES ('{key}', ?)");
        let value = serde_json::to_string(value)?;
        self.0.run(&statement, vec![value.into()])?;
        Ok(())
    }
}

fn stored(revision: u64) -> SqlValue {
    i64::try_from(revision).unwrap_or(i64::MAX).into()
}
