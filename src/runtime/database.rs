//! An object's SQLite, with the rows that it reads and writes counted: they are the bill.

use std::cell::Cell;

use worker::{Result, SqlStorage, SqlStorageValue, Storage};

/// A row as it comes from SQLite.
pub(super) type Row = std::vec::IntoIter<SqlStorageValue>;

/// SQL with counted rows.
pub(super) struct Database {
    sql: SqlStorage,
    rows_read: Cell<usize>,
    rows_written: Cell<usize>,
}

impl Database {
    pub(super) fn new(storage: &Storage) -> Self {
        Self {
            sql: storage.sql(),
            rows_read: Cell::new(0),
            rows_written: Cell::new(0),
        }
    }

    /// Runs a statement to its end and gives its rows. What is written between two waits commits together.
    pub(super) fn run(
        &self,
        statement: &str,
        parameters: Vec<SqlStorageValue>,
    ) -> Result<Vec<Row>> {
        #[cfg(feature = "test-hooks")]
        super::test_hooks::before_statement(statement)?;
        let cursor = self.sql.exec(statement, parameters)?;
        // Not `one()`: on anything but one row it never returns.
        let rows = cursor
            .raw()
            .map(|row| row.map(Vec::into_iter))
            .collect::<Result<Vec<_>>>()?;
        self.rows_read
            .set(self.rows_read.get().saturating_add(cursor.rows_read()));
        self.rows_written.set(
            self.rows_written
                .get()
                .saturating_add(cursor.rows_written()),
        );
        Ok(rows)
    }

    /// The first column of the first row.
    pub(super) fn value(
        &self,
        statement: &str,
        parameters: Vec<SqlStorageValue>,
    ) -> Result<Option<SqlStorageValue>> {
        Ok(self
            .run(statement, parameters)?
            .into_iter()
            .next()
            .and_then(|mut row| row.next()))
    }

    /// Whether a table has been made.
    pub(super) fn has_table(&self, name: &str) -> Result<bool> {
        let found = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?";
        Ok(self.value(found, vec![name.into()])?.is_some())
    }

    /// Rows read and rows written since the object started.
    #[cfg(feature = "test-hooks")]
    pub(super) const fn counted(&self) -> (usize, usize) {
        (self.rows_read.get(), self.rows_written.get())
    }
}

/// The text in a column; what the relay stored as text comes back as text.
pub(super) fn text(value: Option<SqlStorageValue>) -> Option<String> {
    match value {
        Some(SqlStorageValue::String(text)) => Some(text),
        _ => None,
    }
}

/// The whole number in a column.
pub(super) const fn integer(value: Option<&SqlStorageValue>) -> Option<i64> {
    match value {
        Some(SqlStorageValue::Integer(number)) => Some(*number),
        _ => None,
    }
}

/// Reads a column's JSON.
pub(super) fn json<T: serde::de::DeserializeOwned>(value: Option<SqlStorageValue>) -> Result<T> {
    let text = text(value)
        .ok_or_else(|| worker::Error::RustError("a column that must have text has none".into()))?;
    Ok(serde_json::from_str(&text)?)
}
