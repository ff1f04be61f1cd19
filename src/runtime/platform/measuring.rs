//! The parts of `npm run probe` that an object and a Sender play.

use wasm_bindgen::{JsValue, prelude::wasm_bindgen};
use worker::{Env, State};

#[wasm_bindgen(module = "/src/runtime/platform/measuring.js")]
extern "C" {
    #[wasm_bindgen(catch, js_name = probeInObject)]
    async fn probe_in_object(state: &JsValue, order: &str) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(catch, js_name = probeInSender)]
    async fn probe_in_sender(env: &JsValue, order: &str) -> Result<JsValue, JsValue>;
}

/// The part of the object.
pub(in crate::runtime) async fn in_object(state: &State, order: &str) -> worker::Result<String> {
    let measured = probe_in_object(state.as_raw(), order).await?;
    Ok(measured.as_string().unwrap_or_default())
}

/// The part of a Sender.
pub(in crate::runtime) async fn in_sender(env: &Env, order: &str) -> worker::Result<()> {
    probe_in_sender(env, order).await?;
    Ok(())
}
