//! The dashboard's routes: each reads a form, asks the objects as the API does, and answers with a page or a redirect.
//!
//! A page costs one call to the workspace's object, which checks the session and reads or changes in the same call, and
//! then one call to the object of each webhook that it shows. Errors are pages too, never JSON.

mod answers;

mod visit;

mod sign_in;

mod webhooks;

mod detail;

mod deliveries;

mod events;

use futures_util::FutureExt;
use worker::{Env, Url};

use self::visit::{Detour, Visit};
use crate::{
    api::error::ApiError,
    runtime::{
        platform::{
            config::Config,
            http::{Request, Response},
        },
        worker::{
            path_ids::{delivery_id, resend_id, webhook_id},
            request::Answer,
        },
    },
};

/// Whether a path belongs to the dashboard, so that its errors are pages.
pub(super) fn has(path: &str) -> bool {
    let first = path.strip_prefix('/').unwrap_or(path).split('/').next();
    matches!(
        first,
        Some("" | "sign-in" | "sign-out" | "settings" | "assets" | "docs")
    ) && (path == "/" || first != Some(""))
}

/// Answers a request for a page.
pub(super) async fn answer(
    request: Request,
    env: &Env,
    config: &Config,
    request_id: &str,
) -> Answer {
    let visit = Visit::new(request, env, config);
    let detour = match route(&visit).await {
        Ok(response) => return Ok(response),
        Err(detour) => detour,
    };
    let error = match detour {
        Detour::SignIn => return answers::to_sign_in(&visit, false),
        Detour::Refused(ApiError::Unauthorized) => {
            match visit.guess.failed(&visit.request, env).await {
                ApiError::Unauthorized => return answers::to_sign_in(&visit, true),
                limited => limited,
            }
        }
        Detour::Refused(error) => error,
    };
    answers::refusal(Some(&visit), &error, request_id)
}

/// Answers a request for a page that is refused before its route.
pub(super) fn refusal(error: &ApiError, request_id: &str) -> Answer {
    answers::refusal(None, error, request_id)
}

async fn route(visit: &Visit<'_>) -> Result<Response, Detour> {
    let url = visit.request.url()?;
    #[cfg(feature = "test-hooks")]
    assert!(url.query() != Some("x-test-hook=panic"), "as asked");
    let path: Vec<&str> = url.path().split('/').skip(1).collect();
    let path = path.as_slice();
    let allow = allowed_methods(path).ok_or(ApiError::NotFound("page"))?;
    let method = visit.request.method();
    if !allow.split(", ").any(|allowed| allowed == method) {
        return Err(ApiError::MethodNotAllowed { allow }.into());
    }
    let posts = method == "POST";
    if posts {
        crate::runtime::worker::authentication::require_own_origin(&visit.request)?;
    }
    match path {
        [""] => Ok(answers::redirect(302, HOME.to_string(), None)),
        ["assets", ..] => Ok(answers::asset(&url)?),
        ["docs"] => Ok(answers::page(200, &visit.docs_page())?),
        ["sign-in"] if posts => sign_in::sign_in(visit, &url).await,
        ["sign-in"] => sign_in::show(visit, &url).await,
        ["sign-out"] => sign_in::sign_out(visit).await,
        ["settings", "events"] => {
            visit.require_cookie()?;
            events::show(visit).await
        }
        ["settings", "webhooks", path @ ..] => {
            visit.require_cookie()?;
            if posts {
                visit.count_change().await?;
                act(visit, path).await
            } else {
                show(visit, path, &url).await
            }
        }
        _ => Err(ApiError::NotFound("page").into()),
    }
}

async fn show(visit: &Visit<'_>, path: &[&str], url: &Url) -> Result<Response, Detour> {
    // Boxed one by one, as in `router.rs`.
    let handler = match path {
        [] => webhooks::list(visit, url).boxed_local(),
        ["new"] => webhooks::ask_new(visit).boxed_local(),
        [id] => detail::show(visit, webhook_id(id)?).boxed_local(),
        [id, "delete"] => webhooks::ask_deletion(visit, webhook_id(id)?).boxed_local(),
        [id, "deliveries", delivery] => {
            deliveries::show(visit, webhook_id(id)?, delivery_id(delivery)?, url).boxed_local()
        }
        _ => return Err(ApiError::NotFound("page").into()),
    };
    handler.await
}

async fn act(visit: &Visit<'_>, path: &[&str]) -> Result<Response, Detour> {
    let handler = match path {
        ["new"] => webhooks::create(visit).boxed_local(),
        [id] => webhooks::save(visit, webhook_id(id)?).boxed_local(),
        [id, "enable"] => webhooks::set_enabled(visit, webhook_id(id)?, true).boxed_local(),
        [id, "disable"] => webhooks::set_enabled(visit, webhook_id(id)?, false).boxed_local(),
        [id, "delete"] => webhooks::delete(visit, webhook_id(id)?).boxed_local(),
        [id, "rotate"] => webhooks::rotate(visit, webhook_id(id)?).boxed_local(),
        [id, "test"] => webhooks::test(visit, webhook_id(id)?).boxed_local(),
        [id, "resend"] => deliveries::start_resend(visit, webhook_id(id)?).boxed_local(),
        [id, "resend", resend, "stop"] => {
            deliveries::stop_resend(visit, webhook_id(id)?, resend_id(resend)?).boxed_local()
        }
        [id, "deliveries", delivery, "resend"] => {
            deliveries::resend(visit, webhook_id(id)?, delivery_id(delivery)?).boxed_local()
        }
        [id, "deliveries", delivery, "cancel"] => {
            deliveries::cancel(visit, webhook_id(id)?, delivery_id(delivery)?).boxed_local()
        }
        _ => return Err(ApiError::NotFound("page").into()),
    };
    handler.await
}

/// The first page after signing in.
const HOME: &str = "/settings/webhooks";

/// The methods that a path allows; none if the path does not exist.
fn allowed_methods(path: &[&str]) -> Option<&'static str> {
    const SHOWN: &str = "GET, HEAD";
    const SHOWN_AND_POSTED: &str = "GET, HEAD, POST";
    const POSTED: &str = "POST";
    Some(match path {
        ["sign-out"] => POSTED,
        ["" | "assets", ..] | ["docs"] | ["settings", "events"] => SHOWN,
        ["sign-in"] => SHOWN_AND_POSTED,
        ["settings", "webhooks", path @ ..] => match path {
            [] | [_, "deliveries", _] => SHOWN,
            [_] | [_, "delete"] => SHOWN_AND_POSTED,
            [_, "enable" | "disable" | "rotate" | "test" | "resend"]
            | [_, "resend", _, "stop"]
            | [_, "deliveries", _, "resend" | "cancel"] => POSTED,
            _ => return None,
        },
        _ => return None,
    })
}
