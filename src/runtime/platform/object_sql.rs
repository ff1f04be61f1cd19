//! The platform's SQLite behind `Sql`; builds for tests count the rows read and written, which are billed.

#[cfg(feature = "test-hooks")]
use std::cell::Cell;

use wasm_bindgen::{JsCast, JsValue, prelude::wasm_bindgen};
use worker::{SqlStorage, SqlStorageValue, Storage};

use crate::machines::sql::{Result, Row, Sql, SqlError, SqlValue};

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

/// The SQLite database of an object.
pub(in crate::runtime) struct ObjectSql {
    sql: SqlStorage,
    storage: ObjectStorage,
    /// Rows read and rows written.
    #[cfg(feature = "test-hooks")]
    counted: Cell<(usize, usize)>,
}

impl ObjectSql {
    pub(in crate::runtime) fn new(storage: &Storage) -> Self {
        Self {
            sql: storage.sql(),
            storage: storage.as_raw().unchecked_ref::<ObjectStorage>().clone(),
            #[cfg(feature = "test-hooks")]
            counted: Cell::default(),
        }
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
    pub(in crate::runtime) const fn counted(&self) -> (usize, usize) {
        self.counted.get()
    }
}

impl Sql for ObjectSql {
    fn each(
        &self,
        statement: &str,
        parameters: Vec<SqlValue>,
        take: &mut dyn FnMut(Row) -> Result<()>,
    ) -> Result<()> {
        #[cfg(feature = "test-hooks")]
        crate::runtime::test_hooks::before_statement(statement).map_err(refused)?;
        let parameters = parameters.into_iter().map(to_platform);
        let cursor = self
            .sql
            .exec(statement, parameters.collect::<Vec<_>>())
            .map_err(refused)?;
        // Not `one()`, which never returns unless there is exactly one row.
        for row in cursor.raw() {
            let row = row.map_err(refused)?.into_iter().map(from_platform);
            take(row.collect::<Vec<_>>().into_iter())?;
        }
        // Only for tests, as each count is a call into JavaScript.
        #[cfg(feature = "test-hooks")]
        self.count(&cursor);
        Ok(())
    }

    fn transaction(&self, work: &mut dyn FnMut() -> Result<()>) -> Result<()> {
        let mut worked = None;
        let ended = self.storage.transaction_sync(&mut || {
            let result = work();
            let is_done = result.is_ok();
            worked = Some(result);
            // Whatever is thrown rolls back.
            if is_done {
                Ok(JsValue::UNDEFINED)
            } else {
                Err(JsValue::UNDEFINED)
            }
        });
        match (worked, ended) {
            (Some(Err(error)), _) => Err(error),
            (_, Err(error)) => Err(refused(error.into())),
            (Some(Ok(())), Ok(_)) => Ok(()),
            (None, Ok(_)) => Err(SqlError::Refused("a transaction did not run".to_string())),
        }
    }

    fn size(&self) -> u64 {
        u64::try_from(self.sql.database_size()).unwrap_or(u64::MAX)
    }
}

impl From<SqlError> for worker::Error {
    fn from(error: SqlError) -> Self {
        Self::RustError(error.to_string())
    }
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "it is passed to map_err by name"
)]
fn refused(error: worker::Error) -> SqlError {
    SqlError::Refused(error.to_string())
}

fn to_platform(value: SqlValue) -> SqlStorageValue {
    match value {
        SqlValue::Null => SqlStorageValue::Null,
        SqlValue::Integer(number) => SqlStorageValue::Integer(number),
        SqlValue::Real(number) => SqlStorageValue::Float(number),
        SqlValue::Text(text) => SqlStorageValue::String(text),
        SqlValue::Blob(bytes) => SqlStorageValue::Blob(bytes),
    }
}

fn from_platform(value: SqlStorageValue) -> SqlValue {
    match value {
        SqlStorageValue::Null => SqlValue::Null,
        SqlStorageValue::Boolean(is_true) => SqlValue::Integer(i64::from(is_true)),
        SqlStorageValue::Integer(number) => SqlValue::Integer(number),
        SqlStorageValue::Float(number) => SqlValue::Real(number),
        SqlStorageValue::String(text) => SqlValue::Text(text),
        SqlStorageValue::Blob(bytes) => SqlValue::Blob(bytes),
    }
}
