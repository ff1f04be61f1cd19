//! Leads each request to its handler. The routes of the API stand in `api::routes`, those of pages in `dashboard`.

use std::rc::Rc;

use futures_util::FutureExt;
use worker::{Context, Env};

#[cfg(feature = "test-hooks")]
use crate::runtime::{
    platform::faults::internal,
    worker::{object_clients::WebhookClient, request::read_json_body},
};
use crate::{
    api::{
        entrance::{ANSWER_HEADERS, Arrival, Entrance, HTTPS_ONLY, enter},
        error::ApiError,
        openapi,
        query::Query,
        routes::{Access, Operation, ROUTES},
        routing::{PathIds, Route, find},
    },
    domain::{brand::Brand, ids::WorkspaceId, policy::Policy},
    runtime::{
        platform::{
            config::Config,
            http::{Request, Response, pairs},
        },
        worker::{
            authentication::{Authenticated, Caller, authenticate, require_operator},
            dashboard, delivery_calls, event_type_calls, ingest, metrics, platform_probe,
            rate_limits::count_change,
            request::{Answer, Call, JSON, json, refusal},
            trace, webhook_calls, workspace_calls,
        },
    },
};

/// Answers a request. Every answer, refusals too, has the request's id, by which to find it in the log.
pub(super) async fn answer(
    request: Request,
    env: Env,
    context: Context,
    config: Result<Rc<Config>, ApiError>,
) -> Response {
    let request_id = request.header("cf-ray").map_or_else(
        || {
            crate::runtime::platform::entropy::random()
                .map_or_else(|_| "unknown".into(), |random: [u8; 8]| hex::encode(random))
        },
        std::borrow::Cow::into_owned,
    );
    #[cfg(feature = "test-hooks")]
    crate::runtime::platform::counted_calls::take();
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
    let answered = answered.with(
        "X-Object-Calls",
        crate::runtime::platform::counted_calls::take(),
    );
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
    let config = match config {
        Err(error) if is_page => {
            return dashboard::refusal(&error, &Brand::nobodys(), request_id);
        }
        config => config?,
    };
    let Policy {
        allow_private_endpoints,
        brand,
        ..
    } = &config.policy;
    match enter(arrival, !allow_private_endpoints, brand) {
        Err(error) if is_page => dashboard::refusal(&error, brand, request_id),
        Err(error) => Err(error),
        Ok(Entrance::ToHttps) => to_https(&request),
        Ok(Entrance::Route) if is_page => {
            dashboard::answer(request, &env, &config, request_id)
                .boxed_local()
                .await
        }
        Ok(Entrance::Route) => route(request, &path, env, context, &config).await,
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
    let ((operation, access), ids) = match find(ROUTES, request.method(), path) {
        Err(ApiError::NotFound(_)) => return serve_hidden(&request, &env, config, path).await,
        found => found?,
    };
    if ids.has("workspace_id") {
        let place = Place {
            operation,
            access,
            ids,
        };
        return route_workspace(request, &env, &context, config, place).await;
    }
    if access == Access::Operator {
        require_operator(&request, &env, config).await?;
    }
    match operation {
        Operation::GetHealth => json(
            200,
            &serde_json::json!({"status": "ok", "version": env!("CARGO_PKG_VERSION")}),
        ),
        Operation::GetOpenApiDocument => Ok(openapi_document(&config.policy.brand)),
        Operation::ListEventTypes => event_type_calls::list(&env).await,
        Operation::GetEventType => event_type_calls::read(&env, ids.at("name")).await,
        Operation::PutEventType => event_type_calls::put(&request, &env, ids.at("name")).await,
        Operation::DeleteEventType => event_type_calls::delete(&env, ids.at("name")).await,
        Operation::CreateWorkspace => workspace_calls::create(&request, &env).await,
        Operation::ListWorkspaces => workspace_calls::list(&request, &env).await,
        Operation::GetMetrics => metrics::show(&request, &env, &config.keys).await,
        _ => Err(ApiError::NotFound("page")),
    }
}

async fn serve_hidden(request: &Request, env: &Env, config: &Config, path: &str) -> Answer {
    let (hidden, ids) = find(HIDDEN, request.method(), path)?;
    require_operator(request, env, config).await?;
    match hidden {
        Hidden::Probe => {
            platform_probe::run(request, env, &config.policy, ids.at("step"))
                .boxed_local()
                .await
        }
        #[cfg(feature = "test-hooks")]
        Hidden::Counts => {
            let workspace = WorkspaceId::parse(ids.at("workspace_id"));
            delivery_calls::counts(WebhookClient {
                env,
                workspace: &workspace.map_err(|_| ApiError::NotFound("workspace"))?,
                webhook: &ids.webhook()?,
            })
            .await
        }
        #[cfg(feature = "test-hooks")]
        Hidden::RunSql => {
            let workspace = WorkspaceId::parse(ids.at("workspace_id"));
            let client = WebhookClient {
                env,
                workspace: &workspace.map_err(|_| ApiError::NotFound("workspace"))?,
                webhook: &ids.webhook()?,
            };
            delivery_calls::run_sql(client, &read_json_body(request).await?).await
        }
        #[cfg(feature = "test-hooks")]
        Hidden::Recordings => json(200, &crate::runtime::test_hooks::recordings(env)),
        #[cfg(feature = "test-hooks")]
        Hidden::Memory => json(200, &crate::runtime::test_hooks::memory()),
        #[cfg(feature = "test-hooks")]
        Hidden::Switches => {
            let switches = read_json_body(request).await?;
            crate::runtime::test_hooks::turn(&switches)
                .map_err(|error| internal("reading switches", &error))?;
            json(200, &serde_json::json!({}))
        }
    }
}

/// What is no part of the API, and for the operator only.
#[derive(Clone, Copy)]
enum Hidden {
    Probe,
    #[cfg(feature = "test-hooks")]
    Counts,
    #[cfg(feature = "test-hooks")]
    RunSql,
    #[cfg(feature = "test-hooks")]
    Recordings,
    #[cfg(feature = "test-hooks")]
    Memory,
    #[cfg(feature = "test-hooks")]
    Switches,
}

const HIDDEN: &[Route<Hidden>] = &[
    Route {
        method: "POST",
        path: "/probe/{step}",
        name: Hidden::Probe,
    },
    #[cfg(feature = "test-hooks")]
    Route {
        method: "GET",
        path: "/test/rows/{workspace_id}/{webhook_id}",
        name: Hidden::Counts,
    },
    #[cfg(feature = "test-hooks")]
    Route {
        method: "POST",
        path: "/test/sql/{workspace_id}/{webhook_id}",
        name: Hidden::RunSql,
    },
    #[cfg(feature = "test-hooks")]
    Route {
        method: "GET",
        path: "/test/recordings",
        name: Hidden::Recordings,
    },
    #[cfg(feature = "test-hooks")]
    Route {
        method: "GET",
        path: "/test/memory",
        name: Hidden::Memory,
    },
    #[cfg(feature = "test-hooks")]
    Route {
        method: "PUT",
        path: "/test/switches",
        name: Hidden::Switches,
    },
];

/// A route of a workspace, with the ids in its path.
struct Place<'a> {
    operation: Operation,
    access: Access,
    ids: PathIds<'a>,
}

/// Routes the operations of one workspace.
async fn route_workspace(
    request: Request,
    env: &Env,
    context: &Context,
    config: &Config,
    Place {
        operation,
        access,
        ids,
    }: Place<'_>,
) -> Answer {
    let Ok(workspace) = WorkspaceId::parse(ids.at("workspace_id")) else {
        // The same answer as for any workspace that is not the caller's own.
        return Err(match require_operator(&request, env, config).await {
            Ok(()) | Err(ApiError::OperatorOnly) => ApiError::NotFound("workspace"),
            Err(error) => error,
        });
    };
    let posts_events = operation == Operation::PostEvents;
    let Authenticated { caller, by } =
        authenticate(&request, env, config, &workspace, posts_events).await?;
    if let Access::Scoped(scope) = access {
        caller.require(scope)?;
    } else if !matches!(caller, Caller::Operator) {
        return Err(ApiError::OperatorOnly);
    }
    if request.method() != "GET" && !posts_events {
        count_change(env, &workspace).await?;
    }
    if matches!(operation, Operation::ListKeys | Operation::ListWebhooks) {
        refuse_parameters(&request)?;
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
    let handler = match operation {
        Operation::GetWorkspace => workspace_calls::read(call).boxed_local(),
        Operation::ChangeWorkspace => workspace_calls::rename(call).boxed_local(),
        Operation::DeleteWorkspace => workspace_calls::delete(call).boxed_local(),
        Operation::CreateKey => workspace_calls::create_key(call).boxed_local(),
        Operation::ListKeys => workspace_calls::list_keys(call).boxed_local(),
        Operation::RevokeKey => workspace_calls::revoke_key(call, ids.key()?).boxed_local(),
        Operation::CreateDashboardLink => workspace_calls::create_link(call).boxed_local(),
        Operation::ListDashboardLinks => workspace_calls::list_access(call).boxed_local(),
        Operation::EndDashboardAccess => workspace_calls::end_access(call, None).boxed_local(),
        Operation::EndDashboardLink => {
            workspace_calls::end_access(call, Some(ids.access()?)).boxed_local()
        }
        Operation::PostEvents => ingest::post_events(call, context).boxed_local(),
        Operation::TraceEvent => trace::show(call, ids.at("event_id")).boxed_local(),
        Operation::CreateWebhook => webhook_calls::create(call).boxed_local(),
        Operation::ListWebhooks => webhook_calls::list(call).boxed_local(),
        Operation::GetWebhook => webhook_calls::read(call, ids.webhook()?).boxed_local(),
        Operation::ChangeWebhook => webhook_calls::change(call, ids.webhook()?).boxed_local(),
        Operation::DeleteWebhook => webhook_calls::delete(call, ids.webhook()?).boxed_local(),
        Operation::RevealSecret => webhook_calls::read_secret(call, ids.webhook()?).boxed_local(),
        Operation::RotateSecret => webhook_calls::rotate_secret(call, ids.webhook()?).boxed_local(),
        Operation::EndOverlap => webhook_calls::end_overlap(call, ids.webhook()?).boxed_local(),
        Operation::TestWebhook => webhook_calls::test(call, ids.webhook()?).boxed_local(),
        Operation::GetStats => delivery_calls::stats(call, ids.webhook()?).boxed_local(),
        Operation::ListDeliveries => delivery_calls::list(call, ids.webhook()?).boxed_local(),
        Operation::GetDelivery => {
            delivery_calls::read(call, ids.webhook()?, ids.delivery()?).boxed_local()
        }
        Operation::ResendDelivery => {
            delivery_calls::resend(call, ids.webhook()?, ids.delivery()?).boxed_local()
        }
        Operation::SendDeliveryNow => {
            delivery_calls::send_now(call, ids.webhook()?, ids.delivery()?).boxed_local()
        }
        Operation::CancelDelivery => {
            delivery_calls::cancel(call, ids.webhook()?, ids.delivery()?).boxed_local()
        }
        Operation::StartResend => delivery_calls::start_resend(call, ids.webhook()?).boxed_local(),
        Operation::PreviewResend => {
            delivery_calls::preview_resend(call, ids.webhook()?).boxed_local()
        }
        Operation::GetResend => {
            delivery_calls::read_resend(call, ids.webhook()?, ids.resend()?).boxed_local()
        }
        Operation::StopResend => {
            delivery_calls::stop_resend(call, ids.webhook()?, ids.resend()?).boxed_local()
        }
        Operation::GetHealth
        | Operation::GetOpenApiDocument
        | Operation::ListEventTypes
        | Operation::GetEventType
        | Operation::PutEventType
        | Operation::DeleteEventType
        | Operation::CreateWorkspace
        | Operation::ListWorkspaces
        | Operation::GetMetrics => return Err(ApiError::NotFound("page")),
    };
    handler.await
}

fn openapi_document(brand: &Brand) -> Response {
    Response::new(200)
        .with_body(JSON, openapi::document(brand))
        .with("Cache-Control", "public, max-age=300")
}

/// Refuses parameters of lists without pages: ignoring a `limit` there would mislead the caller.
fn refuse_parameters(request: &Request) -> Result<(), ApiError> {
    let query = request.query()?;
    Query::parse(pairs(&query), &[]).map(drop)
}
