//! What an object says to a Sender that it hires.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use wasm_bindgen::{JsValue, prelude::wasm_bindgen};
use worker::{State, console_error};

use super::Grant;
use crate::domain::ids::{WebhookId, WorkspaceId};

/// How long an object waits for the answer of a Sender, which comes before the Sender does anything.
const ANSWERED_WITHIN: Duration = Duration::from_secs(5);

#[wasm_bindgen(module = "/src/runtime/hire.js")]
extern "C" {
    /// Returns whether the Sender took the hire; undefined if it did not answer in time.
    #[wasm_bindgen(catch)]
    async fn hire(state: &JsValue, body: &str, timeout_ms: f64) -> Result<JsValue, JsValue>;
}

/// Leases of one webhook, for one Sender.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Hire {
    pub(crate) workspace: WorkspaceId,
    pub(crate) webhook: WebhookId,
    pub(crate) grants: Vec<Grant>,
    /// Whether the Sender may go on with further leases.
    pub(crate) goes_on: bool,
}

/// What a Sender is asked to do.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Order<H = Hire> {
    /// To make attempts.
    Send(H),
    /// To measure the platform; the text is `platform_probe.js`'s.
    Probe(String),
}

/// What came of a hire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hired {
    Taken,
    /// The Sender does not know of it.
    Refused,
    /// It may have been taken: its leases stay out until they end.
    Unanswered,
}

impl Hire {
    /// Hires a Sender, on behalf of the object with this state. The platform holds the request until what the object has
    /// written is safe.
    pub(crate) async fn send(&self, state: &State) -> Hired {
        #[cfg(feature = "test-hooks")]
        if crate::runtime::test_hooks::refuses_hire() {
            return Hired::Refused;
        }
        let body = match serde_json::to_string(&Order::Send(self)) {
            Ok(body) => body,
            Err(error) => {
                console_error!("a hire of {}: {error}", self.webhook);
                return Hired::Refused;
            }
        };
        let timeout = ANSWERED_WITHIN.as_secs_f64() * 1000.0;
        match hire(state.as_raw(), &body, timeout).await {
            Ok(taken) => match taken.as_bool() {
                Some(true) => Hired::Taken,
                Some(false) => Hired::Refused,
                None => Hired::Unanswered,
            },
            Err(error) => {
                console_error!("a hire of {}: {error:?}", self.webhook);
                Hired::Refused
            }
        }
    }
}
