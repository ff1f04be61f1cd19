//! All routes of the API.

use std::rc::Rc;

use futures_util::FutureExt;
use worker::{Context, Env};

use super::{
    authentication::{Authenticated, Caller, authenticate, require_operator},
    config::{Config, config},
    dashboard, deliveries,
    http::{Request, Response, pairs},
    ingest, metrics,
    path_ids::{access_id, delivery_id, resend_id, webhook_id},
    platform_probe,
    rate_limits::count_change,
    request::{Answer, Call, JSON, json, refusal},
    trace, webhooks, workspaces,
};
#[cfg(feature = "test-hooks")]
use super::{faults::internal, request::read_json_body};
use crate::{
    api::{
        entrance::{ANSWER_HEADERS, Arrival, Entrance, HTTPS_ONLY, enter},
        error::ApiError,
        openapi,
        query::Query,
    },
    domain::{
        event_type::catalogue,
        ids::{KeyId, WorkspaceId},
        token::Scope,
    },
};

/// Answers a request. Every answer, refusals too, has the request's id, by which to find it in the log.
pub(super) async fn answer(request: Request, env: Env, context: Context) -> Response {
    let request_id = request.header("cf-ray").map_or_else(
        || {
            super::entropy::random()
                .map_or_else(|_| "unknown".into(), |random: [u8; 8]| hex::encode(random))
        },
        std::borrow::Cow::into_owned,
    );
    #[cfg(feature = "test-hooks")]
    super::object_calls::take();
    let config = config(&env);
    let https_only = config
        .as_ref()
        .is_ok_and(|config| !config.policy.allow_private_endpoints);
    let arrival = request.arrival();
    let answered = pass(request, arrival, env, context, config, &request_id).await;
    let answered = answered.unwrap_or_else(|error| {
        if error.status() >= 500 {
            worker::console_error!("request {request_id}: {}", error.code());
        }
        refusal(&error)
    });
    let answered = answered.with("X-Request-Id", request_id);
    #[cfg(feature = "test-hooks")]
    let answered = answered.with("X-Object-Calls", super::object_calls::take());
    let answered = ANSWER_HEADERS.into_iter().fold(answered, Response::or_with);
    if https_only && arrival.is_https {
        answered.or_with(HTTPS_ONLY)
    } else {
        answered
    }
}

/// Lets a request through to its route, or answers what the entrance says. Refusals of pages are pages.
async fn pass(
    request: Request,
    arrival: Arrival,
    env: Env,
    context: Context,
    config: Result<Rc<Config>, ApiError>,
    request_id: &str,
) -> Answer {
    let path = request.path()?;
    let is_page = dashboard::has(&path);
    let entered = config.and_then(|config| {
        let https_only = !config.policy.allow_private_endpoints;
        Ok((enter(arrival, https_only)?, config))
    });
    match entered {
        Err(error) if is_page => dashboard::refusal(&error, request_id),
        Err(error) => Err(error),
        Ok((Entrance::ToHttps, _)) => to_https(&request),
        Ok((Entrance::Route, config)) if is_page => {
            dashboard::answer(request, &env, &config, request_id)
                .boxed_local()
                .await
        }
        Ok((Entrance::Route, config)) => route(request, &path, env, context, &config).await,
    }
}

/// Redirects to the same address with https, on its own port.
fn to_https(request: &Request) -> Answer {
    let mut url = request.url()?;
    // Neither can fail on the address of a request.
    let _ = url.set_scheme("https");
    let _ = url.set_port(None);
    Ok(Response::new(308).with("Location", url.to_string()))
}

async fn route(
    request: Request,
    path: &str,
    env: Env,
    context: Context,
    config: &Config,
) -> Answer {
    let path: Vec<&str> = path
        .strip_prefix('/')
        .unwrap_or_default()
        .split('/')
        .collect();
    let path = path.as_slice();
    let allowed = allowed_methods(path).ok_or(ApiError::NotFound("page"))?;
    if !allowed
        .split(", ")
        .any(|allowed| allowed == request.method())
    {
        return Err(ApiError::MethodNotAllowed { allow: allowed });
    }
    match path {
        ["v1", "workspaces", workspace, path @ ..] => {
            let workspace = WorkspaceId::parse(workspace);
            route_workspace(request, &env, &context, config, path, workspace.ok()).await
        }
        ["healthz"] => json(
            200,
            &serde_json::json!({"status": "ok", "version": env!("CARGO_PKG_VERSION")}),
        ),
        ["openapi.json"] => Ok(openapi_document()),
        ["v1", "event-types"] => json(
            200,
            &serde_json::json!({"data": catalogue(), "next_cursor": null}),
        ),
        _ => {
            require_operator(&request, &env, config).await?;
            match (request.method(), path) {
                ("POST", ["v1", "workspaces"]) => workspaces::create(&request, &env).await,
                ("GET", ["v1", "workspaces"]) => workspaces::list(&request, &env).await,
                ("GET", ["metrics"]) => metrics::show(&request, &env, &config.keys).await,
                ("POST", ["probe", step]) => {
                    platform_probe::run(&request, &env, &config.policy, step)
                        .boxed_local()
                        .await
                }
                #[cfg(feature = "test-hooks")]
                ("GET", ["test", "rows", workspace, webhook]) => {
                    let workspace = WorkspaceId::parse(workspace)
                        .map_err(|_| ApiError::NotFound("workspace"))?;
                    deliveries::counts(&env, &workspace, &webhook_id(webhook)?).await
                }
                #[cfg(feature = "test-hooks")]
                ("POST", ["test", "sql", workspace, webhook]) => {
                    let workspace = WorkspaceId::parse(workspace)
                        .map_err(|_| ApiError::NotFound("workspace"))?;
                    let part = read_json_body(&request).await?;
                    deliveries::run_sql(&env, &workspace, &webhook_id(webhook)?, &part).await
                }
                #[cfg(feature = "test-hooks")]
                ("GET", ["test", "recordings"]) => json(200, &super::test_hooks::recordings(&env)),
                #[cfg(feature = "test-hooks")]
                ("GET", ["test", "memory"]) => json(200, &super::test_hooks::memory()),
                #[cfg(feature = "test-hooks")]
                ("PUT", ["test", "switches"]) => {
                    let switches = read_json_body(&request).await?;
                    super::test_hooks::turn(&switches)
                        .map_err(|error| internal("reading switches", &error))?;
                    json(200, &serde_json::json!({}))
                }
                _ => Err(ApiError::NotFound("page")),
            }
        }
    }
}

/// Routes the paths of one workspace; `workspace` is none if the id in the path is not valid.
async fn route_workspace(
    request: Request,
    env: &Env,
    context: &Context,
    config: &Config,
    path: &[&str],
    workspace: Option<WorkspaceId>,
) -> Answer {
    let Some(workspace) = workspace else {
        // The same answer as for any workspace that is not the caller's own.
        return Err(match require_operator(&request, env, config).await {
            Ok(()) | Err(ApiError::OperatorOnly) => ApiError::NotFound("workspace"),
            Err(error) => error,
        });
    };
    let Authenticated { caller, by } =
        authenticate(&request, env, config, &workspace, path == ["events"]).await?;
    let operators = matches!(path, [] | ["keys" | "dashboard-links", ..]);
    if operators && !matches!(caller, Caller::Operator) {
        return Err(ApiError::OperatorOnly);
    }
    let changes = !matches!(request.method(), "GET" | "HEAD") && path != ["events"];
    if changes && caller.has(Scope::WebhooksWrite) {
        count_change(env, &workspace).await?;
    }
    let call = Call {
        request,
        env,
        config,
        workspace,
        caller,
        by,
    };
    // Boxed one by one: otherwise all are one function, which the runtime compiles whole for the first request.
    let method = call.request.method().to_string();
    let handler = match (method.as_str(), path) {
        ("GET", []) => workspaces::read(call).boxed_local(),
        ("PATCH", []) => workspaces::rename(call).boxed_local(),
        ("DELETE", []) => workspaces::delete(call).boxed_local(),
        ("POST", ["keys"]) => workspaces::create_key(call).boxed_local(),
        ("GET", ["keys"]) => {
            refuse_parameters(&call.request)?;
            workspaces::list_keys(call).boxed_local()
        }
        ("DELETE", ["keys", key]) => workspaces::revoke_key(call, key_id(key)?).boxed_local(),
        ("POST", ["dashboard-links"]) => workspaces::create_link(call).boxed_local(),
        ("GET", ["dashboard-links"]) => workspaces::list_access(call).boxed_local(),
        ("DELETE", ["dashboard-links"]) => workspaces::end_access(call, None).boxed_local(),
        ("DELETE", ["dashboard-links", id]) => {
            workspaces::end_access(call, Some(access_id(id)?)).boxed_local()
        }
        ("POST", ["events"]) => ingest::post_events(call, context).boxed_local(),
        ("GET", ["events", event]) => trace::show(call, event).boxed_local(),
        ("POST", ["webhooks"]) => webhooks::create(call).boxed_local(),
        ("GET", ["webhooks"]) => {
            refuse_parameters(&call.request)?;
            webhooks::list(call).boxed_local()
        }
        ("GET", ["webhooks", id]) => webhooks::read(call, webhook_id(id)?).boxed_local(),
        ("PATCH", ["webhooks", id]) => webhooks::change(call, webhook_id(id)?).boxed_local(),
        ("DELETE", ["webhooks", id]) => webhooks::delete(call, webhook_id(id)?).boxed_local(),
        ("GET", ["webhooks", id, "secret"]) => {
            webhooks::read_secret(call, webhook_id(id)?).boxed_local()
        }
        ("POST", ["webhooks", id, "secret", "rotate"]) => {
            webhooks::rotate_secret(call, webhook_id(id)?).boxed_local()
        }
        ("POST", ["webhooks", id, "test"]) => webhooks::test(call, webhook_id(id)?).boxed_local(),
        ("GET", ["webhooks", id, "stats"]) => {
            deliveries::stats(call, webhook_id(id)?).boxed_local()
        }
        ("POST", ["webhooks", id, "resend"]) => {
            deliveries::start_resend(call, webhook_id(id)?).boxed_local()
        }
        (method, ["webhooks", id, "resend", resend]) => {
            let (id, resend) = (webhook_id(id)?, resend_id(resend)?);
            match method {
                "DELETE" => deliveries::stop_resend(call, id, resend).boxed_local(),
                _ => deliveries::read_resend(call, id, resend).boxed_local(),
            }
        }
        ("GET", ["webhooks", id, "deliveries"]) => {
            deliveries::list(call, webhook_id(id)?).boxed_local()
        }
        (_, ["webhooks", id, "deliveries", delivery, action @ ..]) => {
            let (id, delivery) = (webhook_id(id)?, delivery_id(delivery)?);
            match action {
                ["resend"] => deliveries::resend(call, id, delivery).boxed_local(),
                ["cancel"] => deliveries::cancel(call, id, delivery).boxed_local(),
                _ => deliveries::read(call, id, delivery).boxed_local(),
            }
        }
        _ => return Err(ApiError::NotFound("page")),
    };
    handler.await
}

/// The methods that a path allows; none if the path does not exist.
#[expect(clippy::match_same_arms, reason = "in the order of the contract")]
fn allowed_methods(path: &[&str]) -> Option<&'static str> {
    Some(match path {
        ["healthz" | "openapi.json" | "metrics"] | ["v1", "event-types"] => "GET, HEAD",
        [
            "probe",
            "wait" | "hires" | "lasts" | "connections" | "posts" | "read",
        ] => "POST",
        #[cfg(feature = "test-hooks")]
        ["test", "rows", _, _] => "GET, HEAD",
        #[cfg(feature = "test-hooks")]
        ["test", "memory" | "recordings"] => "GET, HEAD",
        #[cfg(feature = "test-hooks")]
        ["test", "switches"] => "PUT",
        #[cfg(feature = "test-hooks")]
        ["test", "sql", _, _] => "POST",
        ["v1", "workspaces"] => "GET, HEAD, POST",
        ["v1", "workspaces", _, path @ ..] => match path {
            [] => "GET, HEAD, PATCH, DELETE",
            ["keys" | "webhooks"] => "GET, HEAD, POST",
            ["keys" | "dashboard-links", _] => "DELETE",
            ["dashboard-links"] => "GET, HEAD, POST, DELETE",
            ["events"] => "POST",
            ["webhooks", _] => "GET, HEAD, PATCH, DELETE",
            ["events", _]
            | ["webhooks", _, "secret" | "stats" | "deliveries"]
            | ["webhooks", _, "deliveries", _] => "GET, HEAD",
            ["webhooks", _, "test" | "resend"]
            | ["webhooks", _, "secret", "rotate"]
            | ["webhooks", _, "deliveries", _, "resend" | "cancel"] => "POST",
            ["webhooks", _, "resend", _] => "GET, HEAD, DELETE",
            _ => return None,
        },
        _ => return None,
    })
}

fn openapi_document() -> Response {
    Response::new(200)
        .with_body(JSON, openapi::document())
        .with("Cache-Control", "public, max-age=300")
}

/// Refuses parameters of lists without pages: ignoring a `limit` there would mislead the caller.
fn refuse_parameters(request: &Request) -> Result<(), ApiError> {
    let query = request.query()?;
    Query::parse(pairs(&query), &[]).map(drop)
}

fn key_id(segment: &str) -> Result<KeyId, ApiError> {
    KeyId::parse(segment).map_err(|_| ApiError::NotFound("key"))
}
