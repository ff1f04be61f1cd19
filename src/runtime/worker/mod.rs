//! The Worker: its entry, its routes, the API's and the dashboard's handlers.

mod router;

mod request;

mod path_ids;

mod refusals;

mod object_clients;

mod authentication;

mod guesses;

mod rate_limits;

mod subscriptions;

mod event_types;

mod event_type_calls;

mod ingest;

mod workspace_calls;

mod webhook_calls;

mod webhook_changes;

mod probes;

mod delivery_calls;

mod trace;

mod metrics;

mod dashboard;

mod daily_walk;

mod platform_probe;

use worker::{
    Context, Env, Result, ScheduleContext, ScheduledEvent, console_error, event,
    web_sys::{Request, Response},
};

use super::platform::{config::config, http};
#[cfg(feature = "test-hooks")]
use super::test_hooks;

#[event(fetch)]
async fn fetch(request: Request, env: Env, context: Context) -> Result<Response> {
    #[cfg(feature = "test-hooks")]
    test_hooks::begin(&env);
    let config = config(&env);
    let attempt_header = config
        .as_ref()
        .map(|config| config.policy.brand.attempt_header().to_ascii_lowercase());
    let request = http::Request::new(request, attempt_header.as_deref().ok());
    router::answer(request, env, context, config)
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
