//! Switches that tests turn, in the build with the cargo feature `test-hooks` alone: a skewed clock, SQL statements that
//! fail or panic, a KV that refuses writes, and steps at which the relay asks a test whether it may go on.
//!
//! `PUT /test/switches` (operator) sets them for this Wasm instance; the variable `TEST_SWITCHES` sets what an instance
//! begins with, so that they hold over a panic and before the first request. Both are the JSON of `Switches`.

use std::cell::RefCell;

use serde::Deserialize;
use worker::{Env, Error, Fetch, Result, Url, console_error};

/// What a test has turned.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Switches {
    /// What the relay's clock is ahead of the platform's, in milliseconds.
    skew_ms: i64,
    /// The SQL statement that does not work.
    fault: Option<Fault>,
    /// Whether KV refuses each put.
    kv_refuses: bool,
    /// The origin of a server that is asked at each step, as `GET /<step>`, and that lets the relay go on by answering.
    gate: Option<String>,
}

/// Statements that contain `statement` do not work, `times` times.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fault {
    statement: String,
    #[serde(default)]
    after: u32,
    times: u32,
    #[serde(default)]
    panics: bool,
}

thread_local! {
    static SWITCHES: RefCell<Option<Switches>> = const { RefCell::new(None) };
}

/// Takes what the deployment's variable says, once an instance.
pub(super) fn begin(env: &Env) {
    SWITCHES.with_borrow_mut(|switches| {
        if switches.is_none() {
            let text = env.var("TEST_SWITCHES").map(|text| text.to_string());
            let parsed = serde_json::from_str(text.as_deref().unwrap_or("{}"));
            *switches = Some(parsed.unwrap_or_else(|error| {
                console_error!("TEST_SWITCHES: {error}");
                Switches::default()
            }));
        }
    });
}

/// Sets all switches; `text` is the JSON of `Switches`, and what it does not name is off.
pub(super) fn turn(text: &[u8]) -> serde_json::Result<()> {
    SWITCHES.set(Some(serde_json::from_slice(text)?));
    Ok(())
}

/// What the relay's clock is ahead of the platform's, in milliseconds.
pub(super) fn skew_ms() -> i64 {
    SWITCHES.with_borrow(|switches| switches.as_ref().map_or(0, |switches| switches.skew_ms))
}

/// Fails, or panics, where a test asked that a statement does not work.
pub(super) fn before_statement(statement: &str) -> Result<()> {
    let panics = SWITCHES.with_borrow_mut(|switches| {
        let fault = switches.as_mut()?.fault.as_mut()?;
        if fault.times == 0 || !statement.contains(&fault.statement) {
            return None;
        }
        if fault.after > 0 {
            fault.after = fault.after.saturating_sub(1);
            return None;
        }
        fault.times = fault.times.saturating_sub(1);
        Some(fault.panics)
    });
    match panics {
        None => Ok(()),
        Some(panics) => {
            assert!(!panics, "as asked, before {statement}");
            Err(Error::RustError("storage does not work, as asked".into()))
        }
    }
}

/// Fails where a test asked that KV refuses writes.
pub(super) fn before_kv_put() -> Result<()> {
    let refuses = SWITCHES.with_borrow(|switches| {
        switches
            .as_ref()
            .is_some_and(|switches| switches.kv_refuses)
    });
    if refuses {
        return Err(Error::RustError("KV refuses writes, as asked".into()));
    }
    Ok(())
}

/// Asks the test's gate whether to go on after a step, and waits for its answer, whatever it is.
pub(super) async fn pass(step: &str) {
    let gate = SWITCHES.with_borrow(|switches| switches.as_ref()?.gate.clone());
    if let Some(url) = gate.and_then(|gate| Url::parse(&format!("{gate}/{step}")).ok()) {
        let _ = Fetch::Url(url).send().await;
    }
}
