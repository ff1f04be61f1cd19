//! Everything that touches Cloudflare: the Worker's entry, its two objects, KV, and the requests that leave.
//!
//! No rule lives here: an `if` on business data belongs in `domain`.

mod router;

mod request;

mod config;

mod authentication;

mod subscriptions;

mod ingest;

mod workspaces;

mod webhooks;

mod deliveries;

mod trace;

mod metrics;

mod rate_limits;

mod sender;

mod sealing;

mod commands;

mod workspace_object;

mod webhook_object;

mod database;

mod alarm_clock;

mod entropy;

use worker::{Context, Env, Request, Response, Result, event};

#[event(fetch)]
async fn fetch(request: Request, env: Env, context: Context) -> Result<Response> {
    router::answer(request, env, context).await
}
