//! Creating and reading workspaces.

use worker::{Env, Request};

use super::{
    authentication::Caller,
    commands::{WorkspaceCommand, WorkspaceReply, ask_workspace},
    entropy::now,
    request::{Answer, Call, json, random_bytes, read_json_body, unavailable, unexpected_reply},
    subscriptions,
};
use crate::{
    api::{
        error::ApiError,
        workspaces::{WorkspaceView, parse_new_workspace},
    },
    domain::{ids::WorkspaceId, workspace::Workspace},
};

pub(super) async fn create(mut request: Request, env: &Env) -> Answer {
    let new = parse_new_workspace(&read_json_body(&mut request).await?)?;
    let id = match new.id {
        Some(id) => id,
        None => WorkspaceId::mint(now(), random_bytes()?),
    };
    let command = WorkspaceCommand::Create {
        id: id.clone(),
        name: new.name,
    };
    let reply = ask_workspace(env, &id, &command)
        .await
        .map_err(|error| unavailable(&error))?;
    subscriptions::forget_answer(&id);
    match reply {
        WorkspaceReply::Workspace { workspace, created } => {
            json(if created { 201 } else { 200 }, &view(workspace))
        }
        WorkspaceReply::Refused(refusal) => Err(refusal.into()),
        _ => Err(unexpected_reply()),
    }
}

pub(super) async fn read(call: Call<'_>) -> Answer {
    if !matches!(call.caller, Caller::Operator) {
        return Err(ApiError::OperatorOnly);
    }
    let reply = ask_workspace(call.env, &call.workspace, &WorkspaceCommand::Read).await;
    match reply.map_err(|error| unavailable(&error))? {
        WorkspaceReply::Workspace { workspace, .. } => json(200, &view(workspace)),
        WorkspaceReply::Refused(refusal) => Err(refusal.into()),
        _ => Err(unexpected_reply()),
    }
}

fn view(workspace: Workspace) -> WorkspaceView {
    WorkspaceView {
        id: workspace.id,
        name: workspace.name,
        created_at: workspace.created_at,
    }
}
