//! Signing in by key or link, and signing out.

use worker::{Url, console_error};

use super::{
    HOME,
    answers::{after, ended_session, page, redirect, to_sign_in},
    visit::{Detour, Visit},
    webhook_pages,
};
use crate::{
    api::error::ApiError,
    dashboard::{
        forms::SignInForm,
        frame::Done,
        kept_form::Kept,
        sign_in::{OfferedLink, SignInPage},
    },
    domain::{
        ids::AccessId,
        session::{Credential, local_path, sign_in_address},
        token::{TokenHash, mint_session_token, workspace_of_link, workspace_of_session},
    },
    runtime::{
        platform::{
            entropy::now,
            faults::unavailable,
            http::Response,
            object_calls::{Refusal, WorkspaceCommand, WorkspaceReply, ask_workspace},
        },
        worker::{
            authentication::{SessionToken, own_origin, session_token},
            guesses,
            request::{Answer, random_bytes},
        },
    },
};

/// Shows the page. That does not use up a link in the address, as mail scanners open the links that they find.
pub(super) async fn show(visit: &Visit<'_>, url: &Url) -> Result<Response, Detour> {
    let token = parameter(url, "link");
    let link = match &token {
        Some(token) => offer(visit, token).await?,
        None => None,
    };
    let link_error = (token.is_some() && link.is_none()).then(|| LINK_REFUSED.to_string());
    let shown = SignInPage {
        link,
        link_error,
        ..empty(visit, &next(url))
    };
    Ok(page(200, &shown)?)
}

/// Asks for a session: on the sign-in page, which leads back, or at once for a form that its author would lose else.
/// `ended`: the browser's cookie is invalid, so it is cleared.
pub(super) async fn ask(visit: &Visit<'_>, ended: bool) -> Answer {
    let Some(kept) = keep(visit).await else {
        return to_sign_in(visit, ended);
    };
    let shown = SignInPage {
        open: None,
        ..empty(visit, kept.page())
    };
    let shown = SignInPage {
        kept: Some(kept),
        ..shown
    };
    let response = page(401, &shown)?;
    Ok(match ended_session(visit, ended) {
        Some(clear) => response.with_cookie(clear),
        None => response,
    })
}

async fn keep(visit: &Visit<'_>) -> Option<Kept> {
    let path = visit.request.path().ok()?;
    if visit.request.method() != "POST" {
        return None;
    }
    Kept::of(&path, visit.form().await.ok()?)
}

fn next(url: &Url) -> String {
    parameter(url, "next").unwrap_or_default()
}

/// The page without a link; `next` is the page to open afterwards, empty for the first.
fn empty(visit: &Visit<'_>, next: &str) -> SignInPage {
    let open = session_token(&visit.request).ok().flatten();
    SignInPage {
        frame: visit.frame(),
        link: None,
        open: open.map(|token| token.workspace),
        action: sign_in_address(None, Some(next).filter(|next| !next.is_empty())),
        kept: None,
        key_error: None,
        link_error: None,
    }
}

/// Finds the workspace that a link opens; none if the link is not valid.
async fn offer(visit: &Visit<'_>, token: &str) -> Result<Option<OfferedLink>, ApiError> {
    let Some(workspace) = workspace_of_link(token) else {
        return Ok(None);
    };
    let hash = TokenHash::of(token);
    visit
        .guess
        .allow(&visit.request, visit.env, &workspace, &hash)
        .await?;
    let command = WorkspaceCommand::ReadLink { hash };
    let workspace_name = match ask_workspace(visit.env, &workspace, &command).await {
        Ok(WorkspaceReply::Workspace { workspace, .. }) => Some(workspace.name),
        Ok(_) => {
            return match visit.guess.failed(&visit.request, visit.env).await {
                ApiError::Unauthorized => Ok(None),
                limited => Err(limited),
            };
        }
        // The object may run a version that does not know the command; the button says whether the link is good.
        Err(error) => {
            console_error!("{error}");
            None
        }
    };
    Ok(Some(OfferedLink {
        token: token.to_string(),
        workspace,
        workspace_name,
    }))
}

/// The result of trying a key or a link.
enum Opened {
    /// It opened a session with this token.
    Session(String),
    NotValid,
    /// It is valid and has no scope that pages need.
    NoScope,
}

/// Opens a session, ends the one that the browser had, and redirects to the page that was wanted.
pub(super) async fn sign_in(visit: &Visit<'_>, url: &Url) -> Result<Response, Detour> {
    let body = visit.form().await?;
    let form = SignInForm::parse(body);
    let kept = Kept::parse(body);
    let by_link = !form.link.is_empty();
    let typed = if by_link { &form.link } else { &form.key };
    let problem = match open(visit, typed).await? {
        Opened::Session(token) => {
            end_former(visit).await;
            let (_, transport) = own_origin(&visit.request)?;
            let cookie = transport.set_cookie(&token);
            if let Some(kept) = kept
                && let Some(workspace) = workspace_of_session(&token)
            {
                let hash = TokenHash::of(&token);
                visit.open(SessionToken { workspace, hash });
                // Of another workspace, or without the scope: the session is open all the same.
                if let Ok(response) = webhook_pages::show_kept(visit, kept).await {
                    return Ok(response.with_cookie(cookie));
                }
            }
            let next = next(url);
            let next = local_path(&next).unwrap_or(HOME);
            return Ok(redirect(303, next.to_string(), Some(cookie)));
        }
        Opened::NotValid => {
            let refused = visit.guess.failed(&visit.request, visit.env).await;
            if refused != ApiError::Unauthorized {
                return Err(refused.into());
            }
            if by_link { LINK_REFUSED } else { KEY_REFUSED }
        }
        Opened::NoScope => NO_SCOPE,
    };
    let mut shown = SignInPage {
        key_error: (!by_link).then(|| problem.to_string()),
        link_error: by_link.then(|| problem.to_string()),
        kept,
        ..empty(visit, &next(url))
    };
    shown.frame.refused = true;
    Ok(page(422, &shown)?)
}

async fn open(visit: &Visit<'_>, typed: &str) -> Result<Opened, ApiError> {
    let Some((with, workspace)) = Credential::parse(typed) else {
        return Ok(Opened::NotValid);
    };
    visit
        .guess
        .allow(&visit.request, visit.env, &workspace, with.hash())
        .await?;
    let token = mint_session_token(&workspace, random_bytes()?);
    let session = TokenHash::of(&token);
    let command = WorkspaceCommand::SignIn {
        with,
        session: session.clone(),
        id: Some(AccessId::mint(now(), random_bytes()?)),
    };
    let reply = ask_workspace(visit.env, &workspace, &command).await;
    Ok(match reply.map_err(|error| unavailable(&error))? {
        WorkspaceReply::Session { .. } => {
            guesses::judged(&session, true);
            Opened::Session(token)
        }
        WorkspaceReply::Refused(Refusal::MissingScope(_)) => Opened::NoScope,
        _ => Opened::NotValid,
    })
}

/// Ends the session that the browser had before, in whichever workspace: its cookie is about to be replaced. The new
/// session is open, so a failure is only logged.
async fn end_former(visit: &Visit<'_>) {
    if let Ok(Some(former)) = session_token(&visit.request)
        && let Err(error) = end(visit, former).await
    {
        console_error!("ending the session before: {}", error.code());
    }
}

async fn end(visit: &Visit<'_>, token: SessionToken) -> Result<(), ApiError> {
    let SessionToken { workspace, hash } = token;
    visit
        .guess
        .allow(&visit.request, visit.env, &workspace, &hash)
        .await?;
    let command = WorkspaceCommand::SignOut { session: hash };
    let reply = ask_workspace(visit.env, &workspace, &command).await;
    reply.map_err(|error| unavailable(&error)).map(drop)
}

/// Ends the session and clears the cookie, even if the session has ended already.
pub(super) async fn sign_out(visit: &Visit<'_>) -> Result<Response, Detour> {
    if let Ok(Some(token)) = session_token(&visit.request) {
        end(visit, token).await?;
    }
    let (_, transport) = own_origin(&visit.request)?;
    let signed_out = after(visit, Done::SignedOut, "/sign-in".into())?;
    Ok(signed_out.with_cookie(transport.clear_cookie()))
}

const KEY_REFUSED: &str =
    "This API key is not valid. Check that you copied it whole; it begins with sk_.";

const LINK_REFUSED: &str =
    "This link is not valid: it was used before, or it has expired. Ask for a new one.";

const NO_SCOPE: &str = "This does not open the dashboard: it has neither the scope webhooks:read nor webhooks:write. Ask for one that has.";

fn parameter(url: &Url, name: &str) -> Option<String> {
    let mut pairs = url.query_pairs();
    pairs
        .find(|(found, _)| found == name)
        .map(|(_, value)| value.into_owned())
}
