//! The clock, waiting, and the random bytes that the domain takes as arguments.

use std::time::Duration;

use wasm_bindgen::prelude::wasm_bindgen;

use crate::domain::timestamp::Timestamp;

/// Returns the present time; in production it does not advance between two awaits.
pub(in crate::runtime) fn now() -> Timestamp {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "whole milliseconds far below 2^53"
    )]
    let millis = worker::js_sys::Date::now() as i64;
    Timestamp::from_millis(millis.saturating_add(skew_ms()))
}

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = scheduler, js_name = wait)]
    async fn wait_millis(millis: f64);
}

/// Waits. Cheaper than `worker::Delay`, but dropping it does not cancel the timer.
pub(in crate::runtime) async fn wait(duration: Duration) {
    wait_millis(duration.as_secs_f64() * 1000.0).await;
}

/// How many milliseconds `now` is ahead of the platform's clock, by which alarms are set: 0 except in tests.
#[cfg(not(feature = "test-hooks"))]
pub(in crate::runtime) const fn skew_ms() -> i64 {
    0
}

#[cfg(feature = "test-hooks")]
pub(in crate::runtime) use crate::runtime::test_hooks::skew_ms;

/// Draws random bytes from the runtime's generator.
pub(in crate::runtime) fn random<const LENGTH: usize>() -> worker::Result<[u8; LENGTH]> {
    let mut bytes = [0; LENGTH];
    getrandom::fill(&mut bytes)
        .map_err(|error| worker::Error::RustError(format!("no random bytes: {error}")))?;
    Ok(bytes)
}
