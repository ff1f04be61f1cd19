//! The steps of the script that both SQL engines run: each says what it has to give.
//!
//! Values are written as `null`, `integer 1`, `real 0.5`, `text a`, `blob 00ff`, and long texts as `x times 2000000`. The
//! Worker with test hooks compiles this file, too.

use serde::Deserialize;

use super::sql::{Database, Result, Row, SqlError, SqlValue};

/// An engine.
#[derive(Clone, Copy, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
#[allow(dead_code, reason = "each build runs one of them")]
pub(super) enum Engine {
    Native,
    Platform,
}

/// One step of a script.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Step {
    /// What it shows, for people.
    #[serde(default)]
    shows: String,
    /// The engine on which it is run, if the engines are known to differ; `shows` says why.
    #[serde(default)]
    only: Option<Engine>,
    /// A statement.
    #[serde(default)]
    sql: Option<String>,
    /// Its parameters.
    #[serde(default)]
    with: Vec<String>,
    /// Its rows; the values of a row are separated by ` | `.
    #[serde(default)]
    gives: Vec<String>,
    /// Words of the error with which it fails. The engines wrap them differently, and nothing depends on that.
    #[serde(default)]
    fails: Option<String>,
    /// Whether its error ends the transaction.
    #[serde(default)]
    passes_on: bool,
    /// Rows read and written. Only the platform counts them: SQLite does not.
    #[serde(default)]
    counts: Option<(usize, usize)>,
    /// Steps in a transaction; with `fails`, they are undone.
    #[serde(default)]
    transaction: Option<Vec<Self>>,
    /// Ends the transaction, or the whole turn, with an error.
    #[serde(default)]
    throws: bool,
}

/// What came of a part of the script, which is a turn of its own.
pub(super) struct Told {
    /// Where something else was given than the script says.
    pub(super) differences: Vec<String>,
    /// The steps that were run.
    pub(super) steps: usize,
    /// Whether the turn ends with an error.
    pub(super) throws: bool,
}

/// Runs a part of the script. `counted` says how many rows the engine has read and written, if it counts them.
pub(super) fn run(
    engine: Engine,
    database: &Database,
    steps: &[Step],
    counted: &dyn Fn() -> Option<(usize, usize)>,
) -> Told {
    let mut script = Script {
        engine,
        database,
        counted,
        differences: Vec::new(),
        steps: 0,
    };
    let throws = script.run(steps).is_err();
    Told {
        differences: script.differences,
        steps: script.steps,
        throws,
    }
}

struct Script<'a> {
    engine: Engine,
    database: &'a Database,
    counted: &'a dyn Fn() -> Option<(usize, usize)>,
    differences: Vec<String>,
    steps: usize,
}

impl Script<'_> {
    fn run(&mut self, steps: &[Step]) -> Result<()> {
        steps.iter().try_for_each(|step| self.step(step))
    }

    fn step(&mut self, step: &Step) -> Result<()> {
        self.steps = self.steps.saturating_add(1);
        if step.only.is_some_and(|only| only != self.engine) {
            return Ok(());
        }
        if step.throws {
            return Err(SqlError::Refused("as the script says".into()));
        }
        if let Some(steps) = &step.transaction {
            let database = self.database;
            let ended = database.transaction(|| self.run(steps));
            self.compare_error(step, &ended.map(|()| Vec::new()));
            return Ok(());
        }
        let statement = step.sql.as_deref().unwrap_or_default();
        let with: Option<Vec<_>> = step.with.iter().map(|text| parse(text)).collect();
        let Some(with) = with else {
            self.differs(step, "the parameters cannot be read");
            return Ok(());
        };
        let before = (self.counted)();
        let given = self.database.run(statement, with);
        let after = (self.counted)();
        let given = given.map(|rows| rows.into_iter().map(show_row).collect::<Vec<_>>());
        if let (Some(counts), Some(before), Some(after)) = (step.counts, before, after) {
            let counted = (
                after.0.saturating_sub(before.0),
                after.1.saturating_sub(before.1),
            );
            if counted != counts {
                self.differs(step, &format!("rows read and written: {counted:?}"));
            }
        }
        self.compare_error(step, &given);
        match given {
            Ok(rows) => {
                if rows != step.gives {
                    self.differs(step, &format!("{rows:?}"));
                }
                Ok(())
            }
            Err(error) if step.passes_on => Err(error),
            Err(_) => Ok(()),
        }
    }

    fn compare_error(&mut self, step: &Step, given: &Result<Vec<String>>) {
        match (&step.fails, given) {
            (Some(words), Err(error)) if error.to_string().contains(words) => {}
            (None, Ok(_)) => {}
            (_, Err(error)) => self.differs(step, &error.to_string()),
            (Some(_), Ok(_)) => self.differs(step, "it did not fail"),
        }
    }

    fn differs(&mut self, step: &Step, given: &str) {
        let Step {
            shows, sql, with, ..
        } = step;
        self.differences
            .push(format!("{shows} {sql:?} {with:?} gave {given}"));
    }
}

fn parse(text: &str) -> Option<SqlValue> {
    if text == "null" {
        return Some(SqlValue::Null);
    }
    if let Some((letter, times)) = text.split_once(" times ") {
        return Some(SqlValue::Text(letter.repeat(times.parse().ok()?)));
    }
    let (kind, value) = text.split_once(' ')?;
    Some(match kind {
        "integer" => SqlValue::Integer(value.parse().ok()?),
        "real" => SqlValue::Real(value.parse().ok()?),
        "text" => SqlValue::Text(value.to_string()),
        "blob" => SqlValue::Blob(hex::decode(value).ok()?),
        _ => return None,
    })
}

fn show_row(row: Row) -> String {
    let values: Vec<_> = row.map(|value| show(&value)).collect();
    values.join(" | ")
}

fn show(value: &SqlValue) -> String {
    match value {
        SqlValue::Null => "null".into(),
        SqlValue::Integer(number) => format!("integer {number}"),
        SqlValue::Real(number) => format!("real {number:?}"),
        SqlValue::Text(text) => match text.chars().next() {
            Some(first) if text.len() > 100 && text.chars().all(|one| one == first) => {
                format!("{first} times {}", text.chars().count())
            }
            _ => format!("text {text}"),
        },
        SqlValue::Blob(bytes) => format!("blob {}", hex::encode(bytes)),
    }
}
