//! The script of both SQL engines on the one that native tests and the simulator use: what they prove holds on the
//! platform's too. `tests/e2e/sql_script.test.js` runs it there.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    reason = "what is not as expected has to end the test"
)]

#[path = "../engine/mod.rs"]
mod engine;

mod steps;

use std::rc::Rc;

use engine::Engine;
use steps::{Step, run};
use webhook_relay::machines::sql::{self, Database};

const SCRIPT: &str = include_str!("script.json");

#[test]
fn the_engine_of_native_tests_gives_what_the_platforms_gives() {
    let parts: Vec<Vec<Step>> = serde_json::from_str(SCRIPT).unwrap();
    let database = Database::new(Rc::new(Engine::new()) as _);
    for part in &parts {
        let told = run(steps::Engine::Native, &database, part, &|| None);
        assert!(told.differences.is_empty(), "{:#?}", told.differences);
        assert!(told.steps > 0);
    }
}

#[test]
fn whatever_differs_from_the_script_is_told() {
    let wrong = r#"[
        {"sql": "CREATE TABLE one (id TEXT PRIMARY KEY)"},
        {"sql": "SELECT ?", "with": ["text a"], "gives": ["text b"]},
        {"sql": "SELECT 1", "fails": "syntax"},
        {"sql": "SELEC 1"},
        {"sql": "SELEC 1", "fails": "UNIQUE"},
        {"sql": "SELECT 1", "gives": ["integer 1", "integer 1"]},
        {"sql": "SELECT ?", "with": ["number 1"], "gives": ["integer 1"]},
        {"transaction": [{"throws": true}]},
        {"transaction": [{"sql": "SELECT 1", "gives": ["integer 1"]}], "fails": "as the script says"}
    ]"#;
    let steps: Vec<Step> = serde_json::from_str(wrong).unwrap();
    let database = Database::new(Rc::new(Engine::new()) as _);
    let told = run(steps::Engine::Native, &database, &steps, &|| Some((0, 0)));
    // The statement that should have failed gave a row, too.
    assert_eq!(told.differences.len(), 9, "{:#?}", told.differences);
    assert!(!told.throws);
}
