//! Answers to a browser: pages, redirects, files and refusals, all with the security headers.

use std::time::Duration;

use worker::Url;

use super::{HOME, visit::Visit};
use crate::{
    api::error::ApiError,
    dashboard::{
        Page, assets,
        error::ErrorPage,
        frame::{Done, Frame},
        theme,
        words::capitalise,
    },
    domain::{brand::Brand, session::sign_in_address},
    runtime::{
        platform::{entropy::now, faults::internal, http::Response},
        worker::{authentication::own_origin, request::Answer},
    },
};

/// A page loads only files of this origin, sends forms only to it, and cannot be framed.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; \
     connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// For colours: another version may derive others from the same accent.
const FOR_A_DAY: &str = "public, max-age=86400";

/// For a file whose address contains a hash of its content.
const FOR_EVER: &str = "public, max-age=31536000, immutable";

/// Answers with a page.
pub(super) fn page(status: u16, page: &impl Page) -> Answer {
    page_with(status, page, Vec::new())
}

fn page_with(status: u16, page: &impl Page, headers: Vec<(&'static str, String)>) -> Answer {
    let html = page
        .render()
        .map_err(|error| internal("rendering a page", &error))?;
    let mut response = guarded(status, "no-store");
    for (name, value) in headers {
        response = response.with(name, value);
    }
    Ok(response.with_body("text/html; charset=utf-8", html))
}

/// Redirects within the relay, and sets a cookie if there is one.
pub(super) fn redirect(status: u16, location: String, cookie: Option<String>) -> Response {
    let response = guarded(status, "no-store").with("Location", location);
    match cookie {
        Some(cookie) => response.with_cookie(cookie),
        None => response,
    }
}

/// Redirects to another page.
pub(super) fn see_other(location: String) -> Response {
    redirect(303, location, None)
}

/// Redirects after an accepted form, so that a reload does not post it again; the page there says what was done.
pub(super) fn after(visit: &Visit<'_>, done: Done, location: String) -> Answer {
    let (_, transport) = own_origin(&visit.request)?;
    Ok(see_other(location).with_cookie(transport.set_notice(done.word())))
}

/// Redirects to the sign-in page, which leads back. `ended`: the browser's cookie is invalid, so it is cleared.
pub(super) fn to_sign_in(visit: &Visit<'_>, ended: bool) -> Answer {
    let url = visit.request.url()?;
    let wanted = &url[worker::url::Position::BeforePath..];
    let next = Some(wanted).filter(|wanted| visit.request.method() != "POST" && *wanted != HOME);
    let location = sign_in_address(None, next);
    Ok(redirect(303, location, ended_session(visit, ended)))
}

/// The cookie that clears the browser's, if its session has ended.
pub(super) fn ended_session(visit: &Visit<'_>, ended: bool) -> Option<String> {
    let origin = own_origin(&visit.request).ok().filter(|_| ended);
    origin.map(|(_, transport)| transport.clear_cookie())
}

/// Answers with a stranger's text as a file to keep, which no browser shows as a page.
pub(super) fn download(name: &str, text: String) -> Response {
    guarded(200, "no-store")
        .with(
            "Content-Disposition",
            format!("attachment; filename=\"{name}\""),
        )
        .with_body("text/plain; charset=utf-8", text)
}

/// Answers with a file of the dashboard.
pub(super) fn asset(url: &Url, brand: &Brand) -> Answer {
    match url.path() {
        theme::PATH => return theme(url, brand),
        assets::LOGO_PATH => return logo(url, brand),
        _ => {}
    }
    let (content_type, content) = assets::find(url.path()).ok_or(ApiError::NotFound("page"))?;
    let asked = url.query().map(|query| format!("{}?{query}", url.path()));
    let addressed = [
        assets::style_address(),
        assets::script_address(),
        assets::log_script_address(),
        assets::icon_address(),
    ];
    let is_addressed = asked.is_some_and(|asked| addressed.contains(&asked));
    let cache = if is_addressed { FOR_EVER } else { "no-cache" };
    Ok(guarded(200, cache).with_body(content_type, content))
}

/// Answers with the colours of the brand that the address names: while two deployments answer, a page of one may ask
/// the other.
fn theme(url: &Url, brand: &Brand) -> Answer {
    let (accent, cache) = match url.query() {
        None => (brand.accent, "no-cache"),
        Some(query) => {
            let accent = theme::accent_of(query).ok_or(ApiError::NotFound("page"))?;
            (accent, FOR_A_DAY)
        }
    };
    Ok(guarded(200, cache).with_body("text/css; charset=utf-8", theme::style(accent)))
}

fn logo(url: &Url, brand: &Brand) -> Answer {
    let logo = brand.logo.as_ref().ok_or(ApiError::NotFound("page"))?;
    let is_addressed = url.query() == Some(logo.hash().as_str());
    let cache = if is_addressed { FOR_EVER } else { "no-cache" };
    let content_type = logo.format().content_type();
    Ok(guarded(200, cache).with_bytes(content_type, logo.bytes().to_vec()))
}

/// Answers a refusal as a page: of a visit, or before there is one.
pub(super) fn refusal(
    visit: Result<&Visit<'_>, &Brand>,
    error: &ApiError,
    request_id: &str,
) -> Answer {
    let status = error.status();
    if status >= 500 {
        worker::console_error!("request {request_id}: {}", error.code());
    }
    let mut frame = visit.map_or_else(bare_frame, |visit| visit.frame_with(None));
    frame.refused = true;
    let shown = ErrorPage {
        frame,
        status,
        message: sentence(error),
        request_id: (status >= 500).then(|| request_id.to_string()),
    };
    page_with(status, &shown, error.headers())
}

/// Words a refusal for people, who see pages and not tokens.
pub(super) fn sentence(error: &ApiError) -> String {
    match error {
        ApiError::MissingScope(scope) => format!(
            "Your session does not have the permission {}. Sign in with a key or a link that has it.",
            scope.as_str()
        ),
        ApiError::ForeignOrigin => {
            "This request did not come from a page of this site, so nothing was done. Open the page here and try again."
                .into()
        }
        ApiError::UnsupportedMediaType => {
            "The request is no form: its Content-Type must be application/x-www-form-urlencoded.".into()
        }
        error => format!("{}.", capitalise(&error.to_string())),
    }
}

/// The frame of an error page before a visit, where the relay's settings may be what is wrong.
fn bare_frame(brand: &Brand) -> Frame {
    Frame {
        brand: brand.clone(),
        session: None,
        allow_private_endpoints: false,
        notice: None,
        refused: false,
        posted: false,
        now: now(),
        attempt_timeout: Duration::ZERO,
        disable_after: Duration::ZERO,
    }
}

fn guarded(status: u16, cache: &'static str) -> Response {
    Response::new(status)
        .with("Content-Security-Policy", CONTENT_SECURITY_POLICY)
        .with("Referrer-Policy", "same-origin")
        .with("Cache-Control", cache)
}
