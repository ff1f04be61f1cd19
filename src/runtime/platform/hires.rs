//! Hiring a Sender, on behalf of an object.

use std::time::Duration;

use wasm_bindgen::{JsValue, prelude::wasm_bindgen};
use worker::{State, console_error};

use crate::machines::messages::{Hire, Order};

/// How long an object waits for the answer of a Sender, which comes before the Sender does anything.
const ANSWERED_WITHIN: Duration = Duration::from_secs(5);

#[wasm_bindgen(module = "/src/runtime/platform/hire.js")]
extern "C" {
    /// Returns whether the Sender took the hire; undefined if it did not answer in time.
    #[wasm_bindgen(catch)]
    async fn hire(state: &JsValue, body: &str, timeout_ms: f64) -> Result<JsValue, JsValue>;
}

/// What came of a hire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::runtime) enum Hired {
    Acceptance,
    /// The Sender does not know of it.
    Refused,
    /// It may have been taken: its leases stay out until they end.
    Unanswered,
}

/// Hires a Sender, on behalf of the object with this state. The platform holds the request until what the object has
/// written is safe.
pub(in crate::runtime) async fn hire_sender(hired: &Hire, state: &State) -> Hired {
    #[cfg(feature = "test-hooks")]
    if crate::runtime::test_hooks::refuses_hire() {
        return Hired::Refused;
    }
    let body = match serde_json::to_string(&Order::Send(hired)) {
        Ok(body) => body,
        Err(error) => {
            console_error!("a hire of {}: {error}", hired.webhook);
            return Hired::Refused;
        }
    };
    let timeout = ANSWERED_WITHIN.as_secs_f64() * 1000.0;
    match hire(state.as_raw(), &body, timeout).await {
        Ok(taken) => match taken.as_bool() {
            Some(true) => Hired::Acceptance,
            Some(false) => Hired::Refused,
            None => Hired::Unanswered,
        },
        Err(error) => {
            console_error!("a hire of {}: {error:?}", hired.webhook);
            Hired::Refused
        }
    }
}
