//! Switches for tests, only in builds with the cargo feature `test-hooks`: a skewed clock, SQL statements that fail or
//! panic, a KV that refuses writes, and steps at which the relay waits for a test.
//!
//! `PUT /test/switches` (operator) sets them for this Wasm instance; the variable `TEST_SWITCHES` sets what an instance
//! starts with, so that they apply after a panic and before the first request. Both are the JSON of `Switches`.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    time::Duration,
};

use serde::Deserialize;
use worker::{Delay, Env, Error, Fetch, Result, Url, console_error};

use crate::machines::recording::{Kind, Recorded, Whose};

/// The switches that a test has set.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Switches {
    /// How many milliseconds the relay's clock is ahead of the platform's.
    skew_ms: i64,
    /// The SQL statements that fail.
    fault: Option<Fault>,
    /// Whether KV refuses all writes.
    kv_refuses: bool,
    /// How many milliseconds each of the next writes to KV takes.
    kv_delays_ms: VecDeque<u64>,
    /// How many of the next hires of Senders are refused.
    hires_refused: u32,
    /// Whether what machines are told and ask for is recorded.
    records: bool,
    /// The origin of a server that gets `GET /<step>` at each step; the relay goes on when it answers.
    gate: Option<String>,
}

/// Statements that contain `statement` fail `times` times, after `after` that work.
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

/// Reads `TEST_SWITCHES`, once per instance.
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

/// Sets all switches; `text` is the JSON of `Switches`, and switches that it does not name are off.
pub(super) fn turn(text: &[u8]) -> serde_json::Result<()> {
    SWITCHES.set(Some(serde_json::from_slice(text)?));
    Ok(())
}

/// The memory of this Wasm instance. It never shrinks, so it shows the most that was needed at a time.
pub(super) fn memory() -> serde_json::Value {
    const PAGE: usize = 64 * 1024;
    let bytes = core::arch::wasm32::memory_size(0).saturating_mul(PAGE);
    serde_json::json!({ "bytes": bytes })
}

thread_local! {
    /// What is recorded and not taken, a line of JSON each.
    static RECORDED: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    static LIVES: Cell<u64> = const { Cell::new(0) };
}

/// Begins a life of a machine.
pub(super) fn begin_life(kind: Kind, object: &str) -> Whose {
    LIVES.set(LIVES.get().saturating_add(1));
    Whose {
        kind,
        object: object.to_string(),
        life: LIVES.get(),
    }
}

/// Whether a test asked for recordings.
pub(super) fn records() -> bool {
    SWITCHES.with_borrow(|switches| switches.as_ref().is_some_and(|switches| switches.records))
}

/// Keeps a recorded line, or says why there is none.
pub(super) fn keep<T>((outputs, line): Recorded<T>) -> T {
    match line.and_then(|line| serde_json::to_string(&line)) {
        Ok(line) => RECORDED.with_borrow_mut(|lines| lines.push(line)),
        Err(error) => console_error!("recording: {error}"),
    }
    outputs
}

/// Takes what is recorded.
pub(super) fn recordings(env: &Env) -> serde_json::Value {
    let vars = super::platform::config::vars(env);
    serde_json::json!({ "vars": vars, "lines": RECORDED.take() })
}

/// Returns how many milliseconds the relay's clock is ahead of the platform's.
pub(super) fn skew_ms() -> i64 {
    SWITCHES.with_borrow(|switches| switches.as_ref().map_or(0, |switches| switches.skew_ms))
}

/// Returns the size of this instance's Wasm memory, which only grows.
pub(super) fn wasm_bytes() -> usize {
    const PAGE: usize = 64 * 1024;
    core::arch::wasm32::memory_size::<0>().saturating_mul(PAGE)
}

/// Fails or panics if a test asked for that at this statement.
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

/// Fails if a test asked that KV refuses writes; waits if it asked that they take time.
pub(super) async fn before_kv_put() -> Result<()> {
    let delay = SWITCHES.with_borrow_mut(|switches| {
        switches
            .as_mut()
            .and_then(|all| all.kv_delays_ms.pop_front())
    });
    if let Some(delay) = delay {
        Delay::from(Duration::from_millis(delay)).await;
    }
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

/// Returns whether a test asked that the next hire of a Sender is refused.
pub(super) fn refuses_hire() -> bool {
    SWITCHES.with_borrow_mut(|switches| {
        let left = switches
            .as_mut()
            .map(|switches| &mut switches.hires_refused);
        left.is_some_and(|left| {
            let refuses = *left > 0;
            *left = left.saturating_sub(1);
            refuses
        })
    })
}

/// Says in the log which deliveries a Sender begins with.
pub(super) fn log_hire(hire: &crate::machines::messages::Hire) {
    let ids: Vec<_> = hire.grants.iter().map(|grant| grant.id.as_ref()).collect();
    worker::console_log!("sender hired {}", serde_json::json!(ids));
}

/// Counts the attempts of one sender, and says them in the log when it ends.
pub(super) struct Counted {
    sender: &'static str,
    made: Cell<u32>,
    under_way: Cell<u32>,
    most: Cell<u32>,
}

impl Counted {
    /// Counts for a sender of a kind.
    pub(super) const fn new(sender: &'static str) -> Self {
        Self {
            sender,
            made: Cell::new(0),
            under_way: Cell::new(0),
            most: Cell::new(0),
        }
    }

    /// An attempt begins.
    pub(super) fn begins(&self) {
        self.made.set(self.made.get().saturating_add(1));
        self.under_way.set(self.under_way.get().saturating_add(1));
        self.most.set(self.most.get().max(self.under_way.get()));
    }

    /// An attempt has ended.
    pub(super) fn ends(&self) {
        self.under_way.set(self.under_way.get().saturating_sub(1));
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let (sender, made, most) = (self.sender, self.made.get(), self.most.get());
        worker::console_log!(r#"sender ended {{"sender":"{sender}","made":{made},"most":{most}}}"#);
    }
}

/// Calls the test's gate after a step, and waits until it answers or fails.
pub(super) async fn pass(step: &str) {
    let gate = SWITCHES.with_borrow(|switches| switches.as_ref()?.gate.clone());
    if let Some(url) = gate.and_then(|gate| Url::parse(&format!("{gate}/{step}")).ok()) {
        let _ = Fetch::Url(url).send().await;
    }
}
