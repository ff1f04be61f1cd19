//! SQLite behind `Sql`, as the platform's: each statement takes effect by itself, a transaction all or nothing; numbers are
//! JavaScript's, limits the platform's; a test can let statements fail. `tests/sql_script` holds it to the platform's.

use std::cell::{Cell, RefCell};

use rusqlite::{
    Connection,
    config::DbConfig,
    limits::Limit,
    types::{Value, ValueRef},
};
use webhook_relay::machines::sql::{Result, Row, Sql, SqlError, SqlValue};

/// Limits of the platform. That of a row is documented; workerd has the other two.
const LIMITS: [(Limit, i32); 3] = [
    (Limit::SQLITE_LIMIT_LENGTH, 2 * 1024 * 1024),
    (Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 50),
    (Limit::SQLITE_LIMIT_VARIABLE_NUMBER, 100),
];

/// The largest whole number that JavaScript carries.
const SAFE: i64 = (1 << 53) - 1;

/// Which statements fail.
#[derive(Default)]
struct Failing {
    text: &'static str,
    after: u32,
    times: u32,
}

/// A database in memory.
pub(crate) struct Engine {
    connection: Connection,
    /// Statements with this text fail, so many times, after so many that work.
    failing: RefCell<Failing>,
    /// Rows that statements have returned.
    rows: Cell<u64>,
    /// Transactions so far.
    transactions: Cell<u64>,
    /// Whether nothing more can be written.
    is_full: Cell<bool>,
}

impl Engine {
    pub(crate) fn new() -> Self {
        let connection = Connection::open_in_memory().expect("SQLite opens a database in memory");
        connection.set_prepared_statement_cache_capacity(200);
        // A statement is planned once, not for each value that is bound.
        connection
            .set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)
            .expect("a statement keeps its plan");
        for (limit, value) in LIMITS {
            connection.set_limit(limit, value).expect("a limit is set");
        }
        Self {
            connection,
            failing: RefCell::default(),
            rows: Cell::new(0),
            transactions: Cell::new(0),
            is_full: Cell::default(),
        }
    }

    #[allow(dead_code, reason = "not every test lets statements fail")]
    /// Lets the next `times` statements with this text fail, after `after` that work.
    pub(crate) fn fail(&self, text: &'static str, after: u32, times: u32) {
        self.failing.replace(Failing { text, after, times });
    }

    /// How many rows statements have returned so far.
    #[allow(dead_code, reason = "only the simulator counts rows")]
    pub(crate) const fn rows(&self) -> u64 {
        self.rows.get()
    }

    /// How many transactions there have been so far.
    #[allow(dead_code, reason = "only the tests of a webhook's machine count them")]
    pub(crate) const fn transactions(&self) -> u64 {
        self.transactions.get()
    }

    /// Lets all that may grow the database fail, or work again; what deletes works.
    #[allow(dead_code, reason = "only the simulator fills disks")]
    pub(crate) fn fill(&self, is_full: bool) {
        self.is_full.set(is_full);
    }

    fn before(&self, statement: &str) -> Result<()> {
        let grows = ["INSERT", "UPDATE", "CREATE"];
        if self.is_full.get() && grows.iter().any(|word| statement.starts_with(word)) {
            return Err(SqlError::Refused("database or disk is full".into()));
        }
        let failing = &mut *self.failing.borrow_mut();
        if failing.times == 0 || !statement.contains(failing.text) {
            return Ok(());
        }
        if failing.after > 0 {
            failing.after -= 1;
            return Ok(());
        }
        failing.times -= 1;
        Err(SqlError::Refused("as asked".into()))
    }

    /// Begins turns that may be lost.
    #[allow(dead_code, reason = "only the simulator loses turns")]
    pub(crate) fn begin_turns(&self) {
        self.execute("SAVEPOINT turns").expect("a savepoint begins");
    }

    /// Ends them, kept or lost.
    #[allow(dead_code, reason = "only the simulator loses turns")]
    pub(crate) fn end_turns(&self, are_kept: bool) {
        if !are_kept {
            self.execute("ROLLBACK TO turns").expect("it is undone");
        }
        self.execute("RELEASE turns").expect("a savepoint ends");
    }

    /// Deletes everything.
    #[allow(dead_code, reason = "only the simulator deletes all")]
    pub(crate) fn delete_all(&self) {
        let tables =
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'";
        let mut names = Vec::new();
        self.each(tables, vec![], &mut |mut row| {
            names.extend(row.next());
            Ok(())
        })
        .expect("the tables have names");
        for name in names {
            if let SqlValue::Text(name) = name {
                self.execute(&format!("DROP TABLE {name}"))
                    .expect("a table is dropped");
            }
        }
    }

    fn execute(&self, statement: &str) -> Result<()> {
        let mut prepared = self.connection.prepare_cached(statement).map_err(refused)?;
        prepared.execute([]).map(drop).map_err(refused)
    }
}

impl Sql for Engine {
    fn each(
        &self,
        statement: &str,
        parameters: Vec<SqlValue>,
        take: &mut dyn FnMut(Row) -> Result<()>,
    ) -> Result<()> {
        self.before(statement)?;
        let mut prepared = self.connection.prepare_cached(statement).map_err(refused)?;
        let columns = prepared.column_count();
        let parameters = parameters.into_iter().map(to_sqlite);
        let mut rows = prepared
            .query(rusqlite::params_from_iter(parameters))
            .map_err(refused)?;
        while let Some(row) = rows.next().map_err(refused)? {
            self.rows.set(self.rows.get() + 1);
            let values = (0..columns).map(|column| {
                let value = row.get_ref(column).map_err(refused)?;
                Ok(from_sqlite(value))
            });
            take(values.collect::<Result<Vec<_>>>()?.into_iter())?;
        }
        Ok(())
    }

    fn transaction(&self, work: &mut dyn FnMut() -> Result<()>) -> Result<()> {
        self.transactions.set(self.transactions.get() + 1);
        self.execute("SAVEPOINT step")?;
        let worked = work();
        if worked.is_err() {
            self.execute("ROLLBACK TO step")?;
        }
        self.execute("RELEASE step")?;
        worked
    }

    fn size(&self) -> u64 {
        let pages = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size";
        let mut prepared = self.connection.prepare_cached(pages).expect(pages);
        let size = prepared.query_row([], |row| row.get::<_, i64>(0));
        u64::try_from(size.expect("a database has a size")).expect("a size is not negative")
    }
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "it is passed to map_err by name"
)]
fn refused(error: rusqlite::Error) -> SqlError {
    SqlError::Refused(error.to_string())
}

#[expect(clippy::cast_precision_loss, reason = "JavaScript loses it, too")]
fn to_sqlite(value: SqlValue) -> Value {
    match value {
        SqlValue::Null => Value::Null,
        // All numbers are bound as JavaScript's.
        SqlValue::Integer(number) => Value::Real(number as f64),
        SqlValue::Real(number) => Value::Real(number),
        SqlValue::Text(text) => Value::Text(text),
        SqlValue::Blob(bytes) => Value::Blob(bytes),
    }
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "JavaScript loses it, too"
)]
fn from_sqlite(value: ValueRef<'_>) -> SqlValue {
    match value {
        ValueRef::Null => SqlValue::Null,
        ValueRef::Integer(number) if number.abs_diff(0) > SAFE.abs_diff(0) => {
            SqlValue::Real(number as f64)
        }
        ValueRef::Integer(number) => SqlValue::Integer(number),
        // A whole number has no type of its own in JavaScript.
        ValueRef::Real(number) if number.fract() == 0.0 && number.abs() <= SAFE as f64 => {
            SqlValue::Integer(number as i64)
        }
        ValueRef::Real(number) => SqlValue::Real(number),
        ValueRef::Text(text) => SqlValue::Text(match str::from_utf8(text) {
            Ok(text) => text.to_owned(),
            Err(_) => String::from_utf8_lossy(text).into_owned(),
        }),
        ValueRef::Blob(bytes) => SqlValue::Blob(bytes.to_vec()),
    }
}
