//! The rows of the catalogue's object: one for each type, and who must still be told.

use std::rc::Rc;

use crate::{
    domain::catalogue::{Catalogue, CatalogueEntry, first_types},
    machines::{
        outbox::{self, COPY, Outbox},
        sql::{Database, Result, Sql, SqlError, integer, json},
    },
};

/// The version of the tables.
const SCHEMA: u32 = 1;

/// Those besides the outbox's. `position` gives the types their order.
const TYPES: &str = "CREATE TABLE IF NOT EXISTS types (name TEXT PRIMARY KEY, position INTEGER NOT NULL, value TEXT NOT NULL)
    WITHOUT ROWID";

/// The tables of the catalogue.
pub(super) struct CatalogueTables {
    database: Database,
}

impl CatalogueTables {
    /// The tables in an engine; none is read or made.
    pub(super) fn new(sql: Rc<dyn Sql>) -> Self {
        Self {
            database: Database::new(sql),
        }
    }

    /// Who must still be told of a change.
    pub(super) const fn outbox(&self) -> Outbox<'_> {
        Outbox::new(&self.database)
    }

    /// Reads the revision; none if there are no tables.
    pub(super) fn revision(&self) -> Result<Option<u64>> {
        if !self.database.has_table("meta")? {
            return Ok(None);
        }
        let found = self.outbox().meta("schema")?;
        if found != Some(SCHEMA.to_string()) {
            let found = found.unwrap_or_else(|| "none".to_string());
            let known = SCHEMA;
            return Err(SqlError::UnknownSchema { found, known });
        }
        let revision = self.outbox().meta("revision")?;
        let revision = revision.ok_or(SqlError::Damaged("of the revision"))?;
        Ok(Some(serde_json::from_str(&revision)?))
    }

    /// Creates the tables with the types that a relay has from its first start.
    pub(super) fn create(&self) -> Result<()> {
        self.database.transaction(|| {
            for table in outbox::TABLES.into_iter().chain([TYPES]) {
                self.database.run(table, vec![])?;
            }
            self.outbox().put_meta("schema", &SCHEMA)?;
            for entry in first_types() {
                self.add(&entry)?;
            }
            self.put_revision(1)
        })
    }

    /// Stores a change under a revision, and that KV must be told; all of it or nothing.
    pub(super) fn change<T>(&self, revision: u64, work: impl FnOnce() -> Result<T>) -> Result<T> {
        self.database.transaction(|| {
            let done = work()?;
            self.put_revision(revision)?;
            Ok(done)
        })
    }

    fn put_revision(&self, revision: u64) -> Result<()> {
        self.outbox().put_meta("revision", &revision)?;
        self.outbox().put_untold(COPY, revision)
    }

    /// Reads all types at a revision.
    pub(super) fn catalogue(&self, revision: u64) -> Result<Catalogue> {
        let rows = "SELECT value FROM types ORDER BY position";
        let rows = self.database.run(rows, vec![])?.into_iter();
        let types = rows.map(|mut row| json(row.next()));
        Ok(Catalogue::new(revision, types.collect::<Result<_>>()?))
    }

    /// Reads a type.
    pub(super) fn entry(&self, name: &str) -> Result<Option<CatalogueEntry>> {
        let found = "SELECT value FROM types WHERE name = ?";
        let found = self.database.value(found, vec![name.into()])?;
        found.map(|value| json(Some(value))).transpose()
    }

    /// Counts the types.
    pub(super) fn count(&self) -> Result<usize> {
        let count = self.database.value("SELECT count(*) FROM types", vec![])?;
        let count = integer(count.as_ref()).and_then(|count| count.try_into().ok());
        count.ok_or(SqlError::Damaged("of a count"))
    }

    /// Adds a type behind all others.
    pub(super) fn add(&self, entry: &CatalogueEntry) -> Result<()> {
        let statement = "INSERT INTO types (name, position, value)
            SELECT ?, coalesce(max(position), 0) + 1, ? FROM types";
        let value = serde_json::to_string(entry)?;
        let parameters = vec![entry.name.as_str().into(), value.into()];
        self.database.run(statement, parameters)?;
        Ok(())
    }

    /// Replaces a type, which keeps its place.
    pub(super) fn replace(&self, entry: &CatalogueEntry) -> Result<()> {
        let value = serde_json::to_string(entry)?;
        let parameters = vec![value.into(), entry.name.as_str().into()];
        self.database
            .run("UPDATE types SET value = ? WHERE name = ?", parameters)?;
        Ok(())
    }

    /// Deletes a type.
    pub(super) fn delete(&self, name: &str) -> Result<()> {
        let statement = "DELETE FROM types WHERE name = ?";
        self.database.run(statement, vec![name.into()])?;
        Ok(())
    }
}
