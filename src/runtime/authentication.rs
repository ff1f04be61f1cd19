//! Who is calling: the operator, or an API key of the workspace in the path.

use std::rc::Rc;

use worker::{Env, Request};

use super::{
    commands::{WorkspaceCommand, WorkspaceReply, ask_workspace},
    config::Config,
    request::{header, unavailable},
    subscriptions,
};
use crate::{
    api::error::ApiError,
    domain::{
        ids::WorkspaceId,
        subscriptions::Snapshot,
        token::{Scope, TokenHash, bearer_token, workspace_of_key},
    },
};

/// A caller whose token is valid.
#[derive(Clone, Debug)]
pub(super) enum Caller {
    /// May do everything.
    Operator,
    /// May do what its scopes allow, in its own workspace.
    Key(Vec<Scope>),
}

impl Caller {
    /// Whether the caller has a scope.
    pub(super) fn has(&self, scope: Scope) -> bool {
        match self {
            Self::Operator => true,
            Self::Key(scopes) => scopes.contains(&scope),
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

/// Refuses everybody but the operator; a valid key is told that it may not, anything else that it is not valid.
pub(super) async fn require_operator(
    request: &Request,
    env: &Env,
    config: &Config,
) -> Result<(), ApiError> {
    let token = token(request).ok_or(ApiError::Unauthorized)?;
    if config.operator.matches(&TokenHash::of(&token)) {
        return Ok(());
    }
    let workspace = workspace_of_key(&token).ok_or(ApiError::Unauthorized)?;
    authenticate(request, env, config, &workspace, false).await?;
    Err(ApiError::OperatorOnly)
}

/// Finds the caller of a workspace's path, and the snapshot that told it, where one did. Only for posting events does
/// the snapshot suffice, which may still have a key that was revoked a minute ago.
/// A key of another workspace is told what a key of an unknown one is.
pub(super) async fn authenticate(
    request: &Request,
    env: &Env,
    config: &Config,
    workspace: &WorkspaceId,
    snapshot_suffices: bool,
) -> Result<(Caller, Option<Rc<Snapshot>>), ApiError> {
    let token = token(request).ok_or(ApiError::Unauthorized)?;
    let hash = TokenHash::of(&token);
    if config.operator.matches(&hash) {
        return Ok((Caller::Operator, None));
    }
    if workspace_of_key(&token).as_ref() != Some(workspace) {
        return Err(ApiError::Unauthorized);
    }
    if !snapshot_suffices {
        let reply = ask_workspace(env, workspace, &WorkspaceCommand::Authenticate { hash }).await;
        return match reply.map_err(|error| unavailable(&error))? {
            WorkspaceReply::Scopes(Some(scopes)) => Ok((Caller::Key(scopes), None)),
            _ => Err(ApiError::Unauthorized),
        };
    }
    let knows_key = |snapshot: &Snapshot| snapshot.scopes_of(&hash).is_some();
    let snapshot = match subscriptions::read(env, workspace, None, knows_key).await {
        Err(ApiError::NotFound(_)) => return Err(ApiError::Unauthorized),
        read => read?,
    };
    let scopes = snapshot
        .scopes_of(&hash)
        .ok_or(ApiError::Unauthorized)?
        .to_vec();
    Ok((Caller::Key(scopes), Some(snapshot)))
}

fn token(request: &Request) -> Option<String> {
    bearer_token(&header(request, "authorization")?).map(ToString::to_string)
}
