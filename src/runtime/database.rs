//! An object's SQLite; builds for tests count the rows read and written, which are billed.

use std::cell::Cell;

use wasm_bindgen::{JsCast, JsValue, prelude::wasm_bindgen};
use worker::{Error, Result, SqlStorage, SqlStorageValue, Storage};

#[wasm_bindgen]
extern "C" {
    /// The runtime's storage, for what worker 0.8.7 does not bind.
    #[derive(Clone)]
    type ObjectStorage;

    #[wasm_bindgen(method, catch, js_name = transactionSync)]
    fn transaction_sync(
        this: &ObjectStorage,
        work: &mut dyn FnMut() -> std::result::Result<JsValue, JsValue>,
    ) -> std::result::Result<JsValue, JsValue>;
}

/// A row as it comes from SQLite.
pub(super) type Row = std::vec::IntoIter<SqlStorageValue>;

/// The SQLite database of an object.
pub(super) struct Database {
    sql: SqlStorage,
    storage: ObjectStorage,
    /// The size when it was last read, and the bytes of the texts in statements since: at least what it has grown.
    size: Cell<Option<(u64, u64)>>,
    /// Rows read and rows written.
    #[cfg(feature = "test-hooks")]
    counted: Cell<(usize, usize)>,
}

impl Database {
    pub(super) fn new(storage: &Storage) -> Self {
        Self {
            sql: storage.sql(),
            storage: storage.as_raw().unchecked_ref::<ObjectStorage>().clone(),
            size: Cell::default(),
            #[cfg(feature = "test-hooks")]
            counted: Cell::default(),
        }
    }

    /// Runs a statement to its end and returns its rows. All writes between two awaits commit together.
    pub(super) fn run(
        &self,
        statement: &str,
        parameters: Vec<SqlStorageValue>,
    ) -> Result<Vec<Row>> {
        let mut rows = Vec::new();
        self.each(statement, parameters, |row| {
            rows.push(row);
            Ok(())
        })?;
        Ok(rows)
    }

    /// Runs a statement and hands over row after row, so that they are never in memory together.
    pub(super) fn each(
        &self,
        statement: &str,
        parameters: Vec<SqlStorageValue>,
        mut take: impl FnMut(Row) -> Result<()>,
    ) -> Result<()> {
        #[cfg(feature = "test-hooks")]
        super::test_hooks::before_statement(statement)?;
        self.grow(&parameters);
        let cursor = self.sql.exec(statement, parameters)?;
        // Not `one()`, which never returns unless there is exactly one row.
        for row in cursor.raw() {
            take(row?.into_iter())?;
        }
        // Only for tests, as each count is a call into JavaScript.
        #[cfg(feature = "test-hooks")]
        self.count(&cursor);
        Ok(())
    }

    /// The bytes of the database, at most `precision` too many: reading it is a statement.
    pub(super) fn size(&self, precision: u64) -> u64 {
        match self.size.get() {
            Some((size, grown)) if grown <= precision => size.saturating_add(grown),
            _ => {
                let size = u64::try_from(self.sql.database_size()).unwrap_or(u64::MAX);
                self.size.set(Some((size, 0)));
                size
            }
        }
    }

    /// Forgets the size, since rows were deleted.
    pub(super) fn shrink(&self) {
        self.size.set(None);
    }

    fn grow(&self, parameters: &[SqlStorageValue]) {
        let texts = parameters.iter().map(|parameter| match parameter {
            SqlStorageValue::String(text) => u64::try_from(text.len()).unwrap_or(u64::MAX),
            _ => 0,
        });
        let bytes = texts.fold(0, u64::saturating_add);
        if let Some((size, grown)) = self.size.get() {
            self.size.set(Some((size, grown.saturating_add(bytes))));
        }
    }

    /// Does all that `work` writes, or nothing of it.
    ///
    /// Without it a statement that fails does not undo those before it, and they are committed. Transactions may be
    /// nested.
    ///
    /// # Errors
    /// Those of `work`, which is undone then; those of the storage.
    pub(super) fn transaction<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let mut work = Some(work);
        let mut worked = None;
        let ended = self.storage.transaction_sync(&mut || {
            let result = work.take().map(|work| work());
            let is_done = matches!(result, Some(Ok(_)));
            worked = result;
            // Whatever is thrown rolls back.
            if is_done {
                Ok(JsValue::UNDEFINED)
            } else {
                Err(JsValue::UNDEFINED)
            }
        });
        match (worked, ended) {
            (Some(Ok(value)), Ok(_)) => Ok(value),
            (Some(Err(error)), _) => Err(error),
            (_, Err(error)) => Err(error.into()),
            (None, Ok(_)) => Err(Error::RustError("a transaction did not run".into())),
        }
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
