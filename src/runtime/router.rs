//! Every route, on one screen.

use worker::{Context, Env, Request, Response, Result, Url};

use super::{
    authentication::{authenticate, require_operator},
    config::config,
    deliveries, ingest,
    request::{Answer, Call, header, json, refusal},
    webhooks, workspaces,
};
use crate::{
    api::error::ApiError,
    domain::{
        event_type::catalogue,
        ids::{DeliveryId, WebhookId, WorkspaceId},
    },
};

/// Answers a request; a refusal is an answer too. Every answer carries the request's id, under which the log has it.
pub(super) async fn answer(request: Request, env: Env, context: Context) -> Result<Response> {
    let request_id = header(&request, "cf-ray").unwrap_or_else(|| {
        super::entropy::random()
            .map_or_else(|_| "unknown".into(), |random: [u8; 8]| hex::encode(random))
    });
    let answered = match route(request, env, context).await {
        Ok(response) => response,
        Err(error) => {
            if error.status() >= 500 {
                worker::console_error!("request {request_id}: {}", error.code());
            }
            refusal(&error)?
        }
    };
    answered.headers().set("X-Request-Id", &request_id)?;
    Ok(answered)
}

async fn route(request: Request, env: Env, context: Context) -> Answer {
    let config = config(&env)?;
    let url = request.url().map_err(|_| ApiError::NotFound("page"))?;
    let method = request.method().to_string();
    let method = method.as_str();
    let path = segments(&url);
    let path: Vec<&str> = path.iter().map(String::as_str).collect();

    let (workspace, path) = match path.as_slice() {
        ["healthz"] => {
            return match method {
                "GET" => json(
                    200,
                    &serde_json::json!({"status": "ok", "version": env!("CARGO_PKG_VERSION")}),
                ),
                _ => not_allowed("GET"),
            };
        }
        ["v1", "event-types"] => {
            return match method {
                "GET" => json(
                    200,
                    &serde_json::json!({"data": catalogue(), "next_cursor": null}),
                ),
                _ => not_allowed("GET"),
            };
        }
        ["v1", "workspaces"] => {
            return match method {
                "POST" => {
                    require_operator(&request, &config)?;
                    workspaces::create(request, &env).await
                }
                _ => not_allowed("POST"),
            };
        }
        #[cfg(feature = "test-hooks")]
        ["test", "rows", workspace, webhook] => {
            require_operator(&request, &config)?;
            let workspace =
                WorkspaceId::parse(workspace).map_err(|_| ApiError::NotFound("workspace"))?;
            return deliveries::counts(&env, &workspace, &webhook_id(webhook)?).await;
        }
        ["v1", "workspaces", workspace, path @ ..] => (WorkspaceId::parse(workspace), path),
        _ => return Err(ApiError::NotFound("page")),
    };
    let allowed = allowed_methods(path).ok_or(ApiError::NotFound("page"))?;
    if !allowed.split(", ").any(|allowed| allowed == method) {
        return not_allowed(allowed);
    }
    let workspace = workspace.map_err(|_| ApiError::NotFound("workspace"));
    // A malformed id has no keys; only the operator learns that there is no such workspace.
    let Ok(workspace) = workspace else {
        require_operator(&request, &config)?;
        return Err(ApiError::NotFound("workspace"));
    };
    let (caller, snapshot) = authenticate(&request, &env, &config, &workspace).await?;
    let call = Call {
        request,
        env: &env,
        policy: &config.policy,
        workspace,
        caller,
        snapshot,
    };
    match (method, path) {
        ("GET", []) => workspaces::read(call).await,
        ("POST", ["events"]) => ingest::post_events(call, &context).await,
        ("POST", ["webhooks"]) => webhooks::create(call).await,
        ("GET", ["webhooks"]) => webhooks::list(call).await,
        ("GET", ["webhooks", webhook]) => webhooks::read(call, webhook_id(webhook)?).await,
        ("PATCH", ["webhooks", webhook]) => webhooks::change(call, webhook_id(webhook)?).await,
        ("DELETE", ["webhooks", webhook]) => webhooks::delete(call, webhook_id(webhook)?).await,
        ("GET", ["webhooks", webhook, "deliveries"]) => {
            deliveries::list(call, &url, webhook_id(webhook)?).await
        }
        ("GET", ["webhooks", webhook, "deliveries", id]) => {
            deliveries::read(call, webhook_id(webhook)?, delivery_id(id)?).await
        }
        _ => not_allowed(allowed),
    }
}

/// The methods of a workspace's paths; none for a path that does not exist.
fn allowed_methods(path: &[&str]) -> Option<&'static str> {
    Some(match path {
        ["events"] => "POST",
        ["webhooks"] => "GET, POST",
        ["webhooks", _] => "GET, PATCH, DELETE",
        [] | ["webhooks", _, "deliveries"] | ["webhooks", _, "deliveries", _] => "GET",
        _ => return None,
    })
}

fn not_allowed(allow: &'static str) -> Answer {
    Err(ApiError::MethodNotAllowed { allow })
}

fn webhook_id(segment: &str) -> std::result::Result<WebhookId, ApiError> {
    WebhookId::parse(segment).map_err(|_| ApiError::NotFound("webhook"))
}

fn delivery_id(segment: &str) -> std::result::Result<DeliveryId, ApiError> {
    DeliveryId::parse(segment).map_err(|_| ApiError::NotFound("delivery"))
}

fn segments(url: &Url) -> Vec<String> {
    url.path()
        .trim_start_matches('/')
        .split('/')
        .map(ToString::to_string)
        .collect()
}
