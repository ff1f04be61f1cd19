//! A hired Sender: an invocation of its own, with its own connections and its own limit of requests.

use std::cell::RefCell;

use wasm_bindgen::prelude::wasm_bindgen;
use worker::{Env, console_error};

use super::{Connections, Sending, ToObject};
use crate::{
    domain::budget::Budget,
    machines::{messages::Order, shift::Shift},
    runtime::platform::{
        config::config, entropy::now, measuring, object_calls::read_command, observer::Observer,
    },
};

/// Makes the attempts of the leases that a Sender was hired with, and of those that follow. Called by `src/entry.js`
/// after the hire was answered.
#[expect(unreachable_pub, reason = "exported to JavaScript")]
#[wasm_bindgen]
pub async fn send_hired(hire: String, env: Env) {
    #[cfg(feature = "test-hooks")]
    crate::runtime::test_hooks::begin(&env);
    let began = now();
    let hire = match read_command::<Order>(&hire) {
        Ok(Order::Send(hire)) => hire,
        Ok(Order::Probe(probe)) => {
            if let Err(error) = measuring::in_sender(&env, &probe).await {
                console_error!("a probe: {error}");
            }
            return;
        }
        Err(error) => return console_error!("a hire: {error}"),
    };
    let config = match config(&env) {
        Ok(config) => config,
        Err(error) => return console_error!("a hire of {}: {error}", hire.webhook),
    };
    #[cfg(feature = "test-hooks")]
    crate::runtime::test_hooks::log_hire(&hire);
    let budget = RefCell::new(Budget::new(config.policy.subrequests));
    budget.borrow_mut().take_posts(hire.grants.len());
    let sending = Sending {
        webhook: &hire.webhook,
        config: &config,
        observer: Observer::new(&env, hire.workspace.as_ref(), hire.webhook.as_ref()),
        shift: Shift::of_invocation(began, &config.policy).going_on(hire.goes_on),
        budget: &budget,
        connections: &Connections::new(),
        reports: ToObject {
            env: &env,
            workspace: &hire.workspace,
            webhook: &hire.webhook,
        },
        ended: || {},
        #[cfg(feature = "test-hooks")]
        counted: crate::runtime::test_hooks::Counted::new("hired"),
    };
    sending.run(hire.grants).await;
}
