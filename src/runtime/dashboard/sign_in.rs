//! Signing in by key or link, and signing out.

use worker::Url;

use super::{
    HOME,
    answers::{page, redirect},
    visit::{Detour, Visit},
};
use crate::{
    api::error::ApiError,
    dashboard::{forms::SignInForm, frame::Done, sign_in::SignInPage},
    domain::{
        session::{Credential, local_path},
        token::{TokenHash, mint_session_token, workspace_of_link},
    },
    runtime::{
        authentication::{own_origin, session_token},
        commands::{WorkspaceCommand, WorkspaceReply, ask_workspace},
        faults::unavailable,
        guesses,
        http::Response,
        request::{random_bytes, read_form_body},
    },
};

/// Shows the page. That does not use up a link in the address, as mail scanners open the links that they find.
pub(super) fn show(visit: &Visit<'_>, url: &Url) -> Result<Response, Detour> {
    let link = parameter(url, "link");
    let good = link
        .as_deref()
        .is_some_and(|link| workspace_of_link(link).is_some());
    let done = parameter(url, "done").unwrap_or_default();
    let shown = SignInPage {
        frame: visit.frame(&done),
        link_error: (link.is_some() && !good).then(|| LINK_REFUSED.to_string()),
        link: link.filter(|_| good),
        key_error: None,
    };
    Ok(page(200, &shown)?)
}

/// Opens a session and redirects to the page that was wanted.
pub(super) async fn sign_in(visit: &Visit<'_>, url: &Url) -> Result<Response, Detour> {
    let form = SignInForm::parse(&read_form_body(&visit.request).await?);
    let by_link = !form.link.is_empty();
    let typed = if by_link { &form.link } else { &form.key };
    let Some(token) = open(visit, typed).await? else {
        let refused = visit.guess.failed(&visit.request, visit.env).await;
        if refused != ApiError::Unauthorized {
            return Err(refused.into());
        }
        let shown = SignInPage {
            frame: visit.frame(""),
            link: None,
            key_error: (!by_link).then(|| KEY_REFUSED.to_string()),
            link_error: by_link.then(|| LINK_REFUSED.to_string()),
        };
        return Ok(page(422, &shown)?);
    };
    let next = parameter(url, "next");
    let next = next.as_deref().and_then(local_path).unwrap_or(HOME);
    let (_, transport) = own_origin(&visit.request)?;
    Ok(redirect(
        303,
        next.to_string(),
        Some(transport.set_cookie(&token)),
    ))
}

/// Opens a session and returns its token; none if the credential is not valid.
async fn open(visit: &Visit<'_>, typed: &str) -> Result<Option<String>, ApiError> {
    let Some((with, workspace)) = Credential::parse(typed) else {
        return Ok(None);
    };
    visit
        .guess
        .admit(&visit.request, visit.env, &workspace, with.hash())
        .await?;
    let token = mint_session_token(&workspace, random_bytes()?);
    let session = TokenHash::of(&token);
    let command = WorkspaceCommand::SignIn {
        with,
        session: session.clone(),
    };
    let reply = ask_workspace(visit.env, &workspace, &command).await;
    let opened = matches!(
        reply.map_err(|error| unavailable(&error))?,
        WorkspaceReply::Session { .. }
    );
    if opened {
        guesses::judged(&session, true);
    }
    Ok(opened.then_some(token))
}

/// Ends the session and clears the cookie, even if the session has ended already.
pub(super) async fn sign_out(visit: &Visit<'_>) -> Result<Response, Detour> {
    if let Ok(Some(token)) = session_token(&visit.request) {
        visit
            .guess
            .admit(&visit.request, visit.env, &token.workspace, &token.hash)
            .await?;
        let command = WorkspaceCommand::SignOut {
            session: token.hash,
        };
        ask_workspace(visit.env, &token.workspace, &command)
            .await
            .map_err(|error| unavailable(&error))?;
    }
    let (_, transport) = own_origin(&visit.request)?;
    let location = format!("/sign-in?done={}", Done::SignedOut.word());
    Ok(redirect(303, location, Some(transport.clear_cookie())))
}

const KEY_REFUSED: &str =
    "This API key is not valid. Check that you copied it whole; it begins with sk_.";

const LINK_REFUSED: &str =
    "This link is not valid: it was used before, or it has expired. Ask for a new one.";

fn parameter(url: &Url, name: &str) -> Option<String> {
    let mut pairs = url.query_pairs();
    pairs
        .find(|(found, _)| found == name)
        .map(|(_, value)| value.into_owned())
}
