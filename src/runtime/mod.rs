//! Everything that touches Cloudflare: the Worker's entry, its two objects, KV, and outgoing requests.
//!
//! No business rules are here: an `if` on business data belongs in `domain` or `machines`.

mod router;

mod http;

mod request;

mod faults;

mod path_ids;

mod config;

mod authentication;

mod guesses;

mod subscriptions;

mod daily_walk;

mod ingest;

mod workspaces;

mod webhooks;

mod webhook_changes;

mod probes;

mod deliveries;

mod trace;

mod dashboard;

mod metrics;

mod rate_limits;

mod sender;

mod hires;

mod observer;

mod platform_probe;

mod sealing;

mod commands;

mod refusals;

#[cfg(feature = "test-hooks")]
mod object_calls;

mod workspace_object;

mod webhook_object;

mod object_sql;

#[cfg(feature = "test-hooks")]
mod sql_script;

mod object_alarm;

mod entropy;

#[cfg(feature = "test-hooks")]
mod test_hooks;

use worker::{
    Context, Env, Result, ScheduleContext, ScheduledEvent, console_error, event,
    web_sys::{Request, Response},
};

#[event(fetch)]
async fn fetch(request: Request, env: Env, context: Context) -> Result<Response> {
    #[cfg(feature = "test-hooks")]
    test_hooks::begin(&env);
    router::answer(http::Request::new(request), env, context)
        .await
        .into_raw()
}

#[event(scheduled)]
async fn scheduled(_: ScheduledEvent, env: Env, _: ScheduleContext) {
    #[cfg(feature = "test-hooks")]
    test_hooks::begin(&env);
    if let Err(error) = daily_walk::walk(&env).await {
        console_error!("the daily walk: {error}");
    }
}
