//! An object's SQLite; builds for tests count the rows read and written, which are billed.

use worker::{Result, SqlStorage, SqlStorageValue, Storage};

/// A row as it comes from SQLite.
pub(super) type Row = std::vec::IntoIter<SqlStorageValue>;

/// The SQLite database of an object.
pub(super) struct Database {
    sql: SqlStorage,
    /// Rows read and rows written.
    #[cfg(feature = "test-hooks")]
    counted: std::cell::Cell<(usize, usize)>,
}

impl Database {
    pub(super) fn new(storage: &Storage) -> Self {
        Self {
            sql: storage.sql(),
            #[cfg(feature = "test-hooks")]
            counted: std::cell::Cell::default(),
        }
    }

    /// Runs a statement to its end and returns its rows. All writes between two awaits commit together.
    pub(super) fn run(
        &self,
        statement: &str,
        parameters: Vec<SqlStorageValue>,
    ) -> Result<Vec<Row>> {
        #[cfg(feature = "test-hooks")]
        super::test_hooks::before_statement(statement)?;
        let cursor = self.sql.exec(statement, parameters)?;
        // Not `one()`, which never returns unless there is exactly one row.
        let rows = cursor
            .raw()
            .map(|row| row.map(Vec::into_iter))
            .collect::<Result<Vec<_>>>()?;
        // Only for tests, as each count is a call into JavaScript.
        #[cfg(feature = "test-hooks")]
        self.count(&cursor);
        Ok(rows)
    }

    /// Runs a statement and returns the first column of the first row.
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

    /// Whether a table exists.
    pub(super) fn has_table(&self, name: &str) -> Result<bool> {
        let found = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?";
        Ok(self.value(found, vec![name.into()])?.is_some())
    }

    #[cfg(feature = "test-hooks")]
    fn count(&self, cursor: &worker::SqlCursor) {
        let (read, written) = self.counted.get();
        self.counted.set((
            read.saturating_add(cursor.rows_read()),
            written.saturating_add(cursor.rows_written()),
        ));
    }

    /// Rows read and rows written since the object started.
    #[cfg(feature = "test-hooks")]
    pub(super) const fn counted(&self) -> (usize, usize) {
        self.counted.get()
    }
}

/// Reads the text in a column.
pub(super) fn text(value: Option<SqlStorageValue>) -> Option<String> {
    match value {
        Some(SqlStorageValue::String(text)) => Some(text),
        _ => None,
    }
}

/// Reads the integer in a column.
pub(super) const fn integer(value: Option<&SqlStorageValue>) -> Option<i64> {
    match value {
        Some(SqlStorageValue::Integer(number)) => Some(*number),
        _ => None,
    }
}

/// Reads the JSON in a column; an error if it is no text or not valid.
pub(super) fn json<T: serde::de::DeserializeOwned>(value: Option<SqlStorageValue>) -> Result<T> {
    let text = text(value)
        .ok_or_else(|| worker::Error::RustError("a column that must have text has none".into()))?;
    Ok(serde_json::from_str(&text)?)
}
