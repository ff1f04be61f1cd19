//! The dashboard's routes: each reads a form, asks the objects as the API does, and answers with a page or a redirect.
//!
//! A page costs one call to the workspace's object, which checks the session and reads or changes in the same call, and
//! then one call to the object of each webhook that it shows. Errors are pages too, never JSON.

mod page_routes;

mod answers;

mod visit;

mod sign_in;

mod webhook_pages;

mod detail;

mod delivery_pages;

mod resend_pages;

mod event_page;

mod find_page;

use futures_util::FutureExt;
use worker::Env;

use self::{
    page_routes::{ROUTES, Target},
    visit::{Detour, Visit},
};
use crate::{
    api::{error::ApiError, routing::find},
    domain::{brand::Brand, webhook::Status},
    runtime::{
        platform::{
            config::Config,
            http::{Request, Response},
        },
        worker::{authentication::require_own_origin, request::Answer},
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
        Ok(response) => {
            return Ok(match visit.shown_notice() {
                Some(clear) => response.with_cookie(clear),
                None => response,
            });
        }
        Err(detour) => detour,
    };
    let error = match detour {
        Detour::SignIn => return sign_in::ask(&visit, false).await,
        Detour::Refused(ApiError::Unauthorized) => {
            match visit.guess.failed(&visit.request, env).await {
                ApiError::Unauthorized => return sign_in::ask(&visit, true).await,
                limited => limited,
            }
        }
        Detour::Refused(error) => error,
    };
    answers::refusal(Ok(&visit), &error, request_id)
}

/// Answers a request for a page that is refused before its route.
pub(super) fn refusal(error: &ApiError, brand: &Brand, request_id: &str) -> Answer {
    answers::refusal(Err(brand), error, request_id)
}

async fn route(visit: &Visit<'_>) -> Result<Response, Detour> {
    let url = visit.request.url()?;
    #[cfg(feature = "test-hooks")]
    assert!(url.query() != Some("x-test-hook=panic"), "as asked");
    let method = visit.request.method();
    let (target, ids) = find(ROUTES, method, url.path())?;
    let posts = method == "POST";
    if posts {
        require_own_origin(&visit.request)?;
    }
    if url.path().starts_with("/settings/") {
        visit.require_cookie()?;
        if posts {
            visit.count_change().await?;
        }
    }
    // Boxed one by one, as in `router.rs`.
    let handler = match target {
        Target::Home => return Ok(answers::redirect(302, HOME.to_string(), None)),
        Target::Asset => return Ok(answers::asset(&url, &visit.config.policy.brand)?),
        Target::Docs => return Ok(answers::page(200, &visit.docs_page().await?)?),
        Target::SignInPage => sign_in::show(visit, &url).boxed_local(),
        Target::SignIn => sign_in::sign_in(visit, &url).boxed_local(),
        Target::SignOut => sign_in::sign_out(visit).boxed_local(),
        Target::Event => event_page::show(visit).boxed_local(),
        Target::Find => find_page::show(visit).boxed_local(),
        Target::List => webhook_pages::list(visit).boxed_local(),
        Target::AddPage => webhook_pages::ask_new(visit).boxed_local(),
        Target::Add => webhook_pages::create(visit).boxed_local(),
        Target::Webhook => detail::show(visit, ids.webhook()?).boxed_local(),
        Target::Save => webhook_pages::save(visit, ids.webhook()?).boxed_local(),
        Target::Enable => {
            webhook_pages::set_status(visit, ids.webhook()?, Status::Enabled).boxed_local()
        }
        Target::Disable => {
            webhook_pages::set_status(visit, ids.webhook()?, Status::Disabled).boxed_local()
        }
        Target::Pause => {
            webhook_pages::set_status(visit, ids.webhook()?, Status::Paused).boxed_local()
        }
        Target::DeletePage => webhook_pages::ask_deletion(visit, ids.webhook()?).boxed_local(),
        Target::Delete => webhook_pages::delete(visit, ids.webhook()?).boxed_local(),
        Target::Rotate => webhook_pages::rotate(visit, ids.webhook()?).boxed_local(),
        Target::EndOverlap => webhook_pages::end_overlap(visit, ids.webhook()?).boxed_local(),
        Target::Reveal => detail::reveal(visit, ids.webhook()?).boxed_local(),
        Target::Test => webhook_pages::test(visit, ids.webhook()?).boxed_local(),
        Target::ResendPage => resend_pages::ask(visit, ids.webhook()?).boxed_local(),
        Target::StartResend => resend_pages::start_resend(visit, ids.webhook()?).boxed_local(),
        Target::StopResend => {
            resend_pages::stop_resend(visit, ids.webhook()?, ids.resend()?).boxed_local()
        }
        Target::Delivery => {
            delivery_pages::show(visit, ids.webhook()?, ids.delivery()?).boxed_local()
        }
        Target::Payload => {
            delivery_pages::payload(visit, ids.webhook()?, ids.delivery()?).boxed_local()
        }
        Target::ResponseBody => {
            delivery_pages::response_body(visit, ids.webhook()?, ids.delivery()?).boxed_local()
        }
        Target::ResendDelivery => {
            delivery_pages::resend(visit, ids.webhook()?, ids.delivery()?).boxed_local()
        }
        Target::SendDeliveryNow => {
            delivery_pages::send_now(visit, ids.webhook()?, ids.delivery()?).boxed_local()
        }
        Target::CancelDelivery => {
            delivery_pages::cancel(visit, ids.webhook()?, ids.delivery()?).boxed_local()
        }
    };
    handler.await
}

/// The first page after signing in.
const HOME: &str = "/settings/webhooks";
