//! Who is calling: the operator, an API key of the workspace in the path, or a dashboard session of it.

use std::rc::Rc;

use worker::Env;

use crate::{
    api::error::ApiError,
    domain::{
        cookie::read_cookie,
        ids::WorkspaceId,
        session::{Transport, may_act},
        subscriptions::Snapshot,
        token::{Scope, TokenHash, bearer_token, workspace_of_key, workspace_of_session},
    },
    runtime::{
        platform::{
            config::Config,
            faults::unavailable,
            http::Request,
            object_calls::{WorkspaceCommand, WorkspaceReply, ask_workspace},
        },
        worker::{
            guesses::{self, Guess},
            subscriptions,
        },
    },
};

/// A caller whose token is valid.
#[derive(Clone, Debug)]
pub(super) enum Caller {
    /// May do everything.
    Operator,
    /// An API key or a session: may do what its scopes allow, in its own workspace.
    Scoped(Vec<Scope>),
}

impl Caller {
    /// Whether the caller has a scope.
    pub(super) fn has(&self, scope: Scope) -> bool {
        match self {
            Self::Operator => true,
            Self::Scoped(scopes) => scopes.contains(&scope),
        }
    }

    /// Refuses a caller without a scope.
    pub(super) fn require(&self, scope: Scope) -> Result<(), ApiError> {
        if self.has(scope) {
            Ok(())
        } else {
            Err(ApiError::MissingScope(scope))
        }
    }
}

/// The credential in a request.
enum Shown {
    Token(String),
    Session(SessionToken),
}

/// The token of a dashboard session from a browser's cookie; not checked yet.
#[derive(Clone)]
pub(super) struct SessionToken {
    pub(super) workspace: WorkspaceId,
    pub(super) hash: TokenHash,
}

/// Returns the relay's own origin and the transport, as the request reached it.
pub(super) fn own_origin(request: &Request) -> Result<(String, Transport), ApiError> {
    let url = request.url()?;
    let origin = url.origin().ascii_serialization();
    Ok((origin, Transport::of_scheme(url.scheme())))
}

/// Refuses a request that another site may have made a browser send.
pub(super) fn require_own_origin(request: &Request) -> Result<(), ApiError> {
    let (own, _) = own_origin(request)?;
    if may_act(request.method(), request.header("origin").as_deref(), &own) {
        Ok(())
    } else {
        Err(ApiError::ForeignOrigin)
    }
}

/// Reads the session token in a request's cookie, if there is one.
///
/// # Errors
/// `ForeignOrigin` if another site may have made the browser send it, `Unauthorized` if it is not a session token.
pub(super) fn session_token(request: &Request) -> Result<Option<SessionToken>, ApiError> {
    let (_, transport) = own_origin(request)?;
    let cookies = request.header("cookie").unwrap_or_default();
    let Some(token) = read_cookie(&cookies, transport.cookie_name()) else {
        return Ok(None);
    };
    require_own_origin(request)?;
    let workspace = workspace_of_session(token).ok_or(ApiError::Unauthorized)?;
    let hash = TokenHash::of(token);
    Ok(Some(SessionToken { workspace, hash }))
}

/// Prefers the header to a cookie, which browsers send by themselves.
fn shown(request: &Request) -> Result<Shown, ApiError> {
    let shown = match request.header("authorization") {
        Some(header) => bearer_token(&header).map(|token| Shown::Token(token.to_string())),
        None => session_token(request)?.map(Shown::Session),
    };
    shown.ok_or(ApiError::Unauthorized)
}

/// Refuses everybody but the operator: a valid key or session with `OperatorOnly`, anything else as `Unauthorized`, or
/// `RateLimited` if there was too much of that.
pub(super) async fn require_operator(
    request: &Request,
    env: &Env,
    config: &Config,
) -> Result<(), ApiError> {
    let guess = Guess::new();
    match judge_operator(request, env, config, &guess).await {
        Err(ApiError::Unauthorized) => Err(guess.failed(request, env).await),
        judged => judged,
    }
}

async fn judge_operator(
    request: &Request,
    env: &Env,
    config: &Config,
    guess: &Guess,
) -> Result<(), ApiError> {
    let workspace = match shown(request)? {
        Shown::Token(token) if config.operator.matches(&TokenHash::of(&token)) => return Ok(()),
        Shown::Token(token) => workspace_of_key(&token).ok_or(ApiError::Unauthorized)?,
        Shown::Session(session) => session.workspace,
    };
    identify(request, env, config, &workspace, false, guess).await?;
    Err(ApiError::OperatorOnly)
}

/// A caller, and what is known of its key.
pub(super) struct Authenticated {
    pub(super) caller: Caller,
    /// The snapshot that identified it, and its key's hash; a later snapshot may have the key no longer.
    pub(super) by: Option<(Rc<Snapshot>, TokenHash)>,
}

impl Authenticated {
    const fn surely(caller: Caller) -> Self {
        Self { caller, by: None }
    }
}

/// Finds the caller of a workspace's path. A snapshot, which may still have a key that was revoked a minute ago, suffices
/// only for posting events.
///
/// # Errors
/// `Unauthorized` without a valid token, or `RateLimited` if there was too much of that; `NotFound` for a valid one of
/// another workspace, whether or not the path's workspace exists.
pub(super) async fn authenticate(
    request: &Request,
    env: &Env,
    config: &Config,
    workspace: &WorkspaceId,
    snapshot_suffices: bool,
) -> Result<Authenticated, ApiError> {
    let guess = Guess::new();
    match identify(request, env, config, workspace, snapshot_suffices, &guess).await {
        Err(ApiError::Unauthorized) => Err(guess.failed(request, env).await),
        identified => identified,
    }
}

async fn identify(
    request: &Request,
    env: &Env,
    config: &Config,
    workspace: &WorkspaceId,
    snapshot_suffices: bool,
    guess: &Guess,
) -> Result<Authenticated, ApiError> {
    let token = match shown(request)? {
        Shown::Token(token) => token,
        Shown::Session(session) => {
            let is_own = session.workspace == *workspace;
            guess
                .allow(request, env, &session.workspace, &session.hash)
                .await?;
            let caller = Caller::Scoped(scopes_of_session(env, session).await?);
            return is_own
                .then_some(Authenticated::surely(caller))
                .ok_or(ApiError::NotFound("workspace"));
        }
    };
    let hash = TokenHash::of(&token);
    if config.operator.matches(&hash) {
        return Ok(Authenticated::surely(Caller::Operator));
    }
    let owner = workspace_of_key(&token).ok_or(ApiError::Unauthorized)?;
    let copy = guess.allow(request, env, &owner, &hash).await?;
    if owner != *workspace {
        scopes_of_key(env, &owner, hash).await?;
        return Err(ApiError::NotFound("workspace"));
    }
    if !snapshot_suffices {
        let scopes = scopes_of_key(env, workspace, hash).await?;
        return Ok(Authenticated::surely(Caller::Scoped(scopes)));
    }
    let knows_key = |snapshot: &Snapshot| snapshot.scopes_of(&hash).is_some();
    let is_copied = copy.as_ref().is_some_and(|copy| knows_key(copy));
    let snapshot = match subscriptions::read(env, workspace, copy, knows_key).await {
        Err(ApiError::NotFound(_)) => return Err(ApiError::Unauthorized),
        read => read?,
    };
    let scopes = snapshot.scopes_of(&hash).map(<[Scope]>::to_vec);
    if !is_copied {
        guesses::judged(&hash, scopes.is_some());
    }
    let scopes = scopes.ok_or(ApiError::Unauthorized)?;
    Ok(Authenticated {
        caller: Caller::Scoped(scopes),
        by: Some((snapshot, hash)),
    })
}

async fn scopes_of_key(
    env: &Env,
    owner: &WorkspaceId,
    hash: TokenHash,
) -> Result<Vec<Scope>, ApiError> {
    let command = WorkspaceCommand::Authenticate { hash: hash.clone() };
    let scopes = judged_by(env, owner, &command).await?;
    guesses::judged(&hash, scopes.is_some());
    scopes.ok_or(ApiError::Unauthorized)
}

async fn scopes_of_session(env: &Env, session: SessionToken) -> Result<Vec<Scope>, ApiError> {
    let command = WorkspaceCommand::AsSession {
        session: session.hash.clone(),
        needs: None,
        command: Box::new(WorkspaceCommand::Read),
    };
    let scopes = judged_by(env, &session.workspace, &command).await?;
    guesses::judged(&session.hash, scopes.is_some());
    scopes.ok_or(ApiError::Unauthorized)
}

/// The scopes that a workspace's object says a credential has; none if it is not valid.
async fn judged_by(
    env: &Env,
    workspace: &WorkspaceId,
    command: &WorkspaceCommand,
) -> Result<Option<Vec<Scope>>, ApiError> {
    let reply = ask_workspace(env, workspace, command).await;
    Ok(match reply.map_err(|error| unavailable(&error))? {
        WorkspaceReply::Scopes(scopes) => scopes,
        WorkspaceReply::Session { scopes, .. } => Some(scopes),
        _ => None,
    })
}
