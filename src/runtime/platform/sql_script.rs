//! Runs a part of the script of both SQL engines on an object's, for tests.

#[path = "../../../tests/sql_script/steps.rs"]
mod steps;

use std::rc::Rc;

use worker::{Error, Result};

use self::steps::{Engine, Step, run};
use super::object_sql::ObjectSql;
use crate::machines::sql::{self, Database};

/// Runs a part, the JSON of its steps; returns what differs from it, as JSON.
pub(in crate::runtime) fn run_part(sql: &Rc<ObjectSql>, part: &str) -> Result<String> {
    let steps: Vec<Step> = serde_json::from_str(part)?;
    let database = Database::new(Rc::clone(sql) as _);
    let told = run(Engine::Platform, &database, &steps, &|| Some(sql.counted()));
    if told.throws {
        return Err(Error::RustError("as the script says".into()));
    }
    let (differences, steps) = (told.differences, told.steps);
    Ok(serde_json::json!({ "differences": differences, "steps": steps }).to_string())
}
