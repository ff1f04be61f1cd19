//! An object's SQLite as its machine sees it: statements, values, errors, transactions.
//!
//! What a driver's engine must do is `Sql`. All that is written between two waits of an object commits together, also
//! after a statement that failed: what has to be all or nothing runs in a transaction.

use std::{cell::Cell, rc::Rc};

use serde::de::DeserializeOwned;
use thiserror::Error;

/// A statement, or what was read, was refused.
#[derive(Debug, Error)]
pub enum SqlError {
    /// The engine refused it; its message.
    #[error("{0}")]
    Refused(String),
    /// A column does not hold what it must.
    #[error("the column {0} is damaged")]
    Damaged(&'static str),
    /// A column does not hold the JSON that it must, or something cannot be written as JSON.
    #[error("JSON of a column: {0}")]
    Json(#[from] serde_json::Error),
    /// The tables have a form that this version does not know: a later version wrote them.
    #[error(
        "the tables have schema {found}, and this version knows up to {known}: deploy the version that wrote them, or a later one"
    )]
    UnknownSchema {
        /// What they have, `none` if nothing.
        found: String,
        /// The highest that is known.
        known: u32,
    },
}

/// What a statement, or reading its rows, results in.
pub type Result<T> = std::result::Result<T, SqlError>;

/// A value in a row, or a parameter of a statement.
#[derive(Clone, Debug, PartialEq)]
pub enum SqlValue {
    /// SQL's NULL.
    Null,
    /// An integer; JavaScript carries it only up to 2^53.
    Integer(i64),
    /// A real number.
    Real(f64),
    /// A text.
    Text(String),
    /// Bytes.
    Blob(Vec<u8>),
}

impl From<&str> for SqlValue {
    fn from(text: &str) -> Self {
        Self::Text(text.to_string())
    }
}

impl From<String> for SqlValue {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Option<String>> for SqlValue {
    fn from(text: Option<String>) -> Self {
        text.map_or(Self::Null, Self::Text)
    }
}

impl From<i64> for SqlValue {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

/// A row as the engine gives it: its values in the order of the columns.
pub type Row = std::vec::IntoIter<SqlValue>;

/// An engine that holds one object's tables.
pub trait Sql {
    /// Runs a statement to its end and hands over row after row, so that they are never in memory together.
    ///
    /// # Errors
    /// If the engine refuses the statement; those of `take`, after which no further row is read. Neither undoes what was
    /// written before.
    fn each(
        &self,
        statement: &str,
        parameters: Vec<SqlValue>,
        take: &mut dyn FnMut(Row) -> Result<()>,
    ) -> Result<()>;

    /// Does all that `work` writes, or nothing of it if it fails. May be nested. `work` is run once.
    ///
    /// # Errors
    /// Those of `work`; those of the engine.
    fn transaction(&self, work: &mut dyn FnMut() -> Result<()>) -> Result<()>;

    /// The bytes of the database.
    fn size(&self) -> u64;
}

/// An object's tables in an engine, and what is known of their size.
#[derive(Clone)]
pub struct Database {
    sql: Rc<dyn Sql>,
    /// The size when it was last read, and the bytes of the texts in statements since: at least what it has grown.
    size: Rc<Cell<Option<(u64, u64)>>>,
    /// Whether work is under way that writes nothing.
    is_reading: Rc<Cell<bool>>,
}

impl Database {
    /// The tables in an engine.
    #[must_use]
    pub fn new(sql: Rc<dyn Sql>) -> Self {
        Self {
            sql,
            size: Rc::default(),
            is_reading: Rc::default(),
        }
    }

    /// Runs a statement to its end and returns its rows.
    ///
    /// # Errors
    /// If the engine refuses it.
    pub fn run(&self, statement: &str, parameters: Vec<SqlValue>) -> Result<Vec<Row>> {
        let mut rows = Vec::new();
        self.each(statement, parameters, |row| {
            rows.push(row);
            Ok(())
        })?;
        Ok(rows)
    }

    /// Runs a statement and hands over row after row, so that they are never in memory together.
    ///
    /// # Errors
    /// If the engine refuses it; those of `take`.
    pub fn each(
        &self,
        statement: &str,
        parameters: Vec<SqlValue>,
        mut take: impl FnMut(Row) -> Result<()>,
    ) -> Result<()> {
        debug_assert!(
            !self.is_reading.get() || statement.starts_with("SELECT"),
            "work that only reads ran {statement}"
        );
        self.grow(&parameters);
        self.sql.each(statement, parameters, &mut take)
    }

    /// Runs a statement and returns the first column of the first row.
    ///
    /// # Errors
    /// If the engine refuses it.
    pub fn value(&self, statement: &str, parameters: Vec<SqlValue>) -> Result<Option<SqlValue>> {
        let rows = self.run(statement, parameters)?;
        Ok(rows.into_iter().next().and_then(|mut row| row.next()))
    }

    /// Does work that writes nothing, so that it needs no transaction.
    pub fn reading<T>(&self, work: impl FnOnce() -> T) -> T {
        let before = self.is_reading.replace(true);
        let done = work();
        self.is_reading.set(before);
        done
    }

    /// Does all that `work` writes, or nothing of it. Transactions may be nested.
    ///
    /// # Errors
    /// Those of `work`, which is undone then; those of the engine.
    pub fn transaction<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let mut work = Some(work);
        let mut done = None;
        self.sql.transaction(&mut || {
            if let Some(work) = work.take() {
                done = Some(work()?);
            }
            Ok(())
        })?;
        done.ok_or_else(|| SqlError::Refused("a transaction did not run".to_string()))
    }

    /// Whether a table exists.
    ///
    /// # Errors
    /// If the engine refuses the statement.
    pub fn has_table(&self, name: &str) -> Result<bool> {
        let found = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?";
        Ok(self.value(found, vec![name.into()])?.is_some())
    }

    /// The bytes of the database, at most `precision` too many: reading it is a statement.
    #[must_use]
    pub fn size(&self, precision: u64) -> u64 {
        match self.size.get() {
            Some((size, grown)) if grown <= precision => size.saturating_add(grown),
            _ => {
                let size = self.sql.size();
                self.size.set(Some((size, 0)));
                size
            }
        }
    }

    /// Forgets the size, since rows were deleted.
    pub fn shrink(&self) {
        self.size.set(None);
    }

    fn grow(&self, parameters: &[SqlValue]) {
        let texts = parameters.iter().map(|parameter| match parameter {
            SqlValue::Text(text) => u64::try_from(text.len()).unwrap_or(u64::MAX),
            _ => 0,
        });
        let bytes = texts.fold(0, u64::saturating_add);
        if let Some((size, grown)) = self.size.get() {
            self.size.set(Some((size, grown.saturating_add(bytes))));
        }
    }
}

/// Reads the text in a column.
#[must_use]
pub fn text(value: Option<SqlValue>) -> Option<String> {
    match value {
        Some(SqlValue::Text(text)) => Some(text),
        _ => None,
    }
}

/// Reads the integer in a column.
#[must_use]
pub const fn integer(value: Option<&SqlValue>) -> Option<i64> {
    match value {
        Some(SqlValue::Integer(number)) => Some(*number),
        _ => None,
    }
}

/// Reads the JSON in a column.
///
/// # Errors
/// `Damaged` if it is no text, `Json` if the text is no such JSON.
pub fn json<T: DeserializeOwned>(value: Option<SqlValue>) -> Result<T> {
    let text = text(value).ok_or(SqlError::Damaged("of JSON"))?;
    Ok(serde_json::from_str(&text)?)
}
