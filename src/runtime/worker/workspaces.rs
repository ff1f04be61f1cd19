//! Workspaces, their API keys and their dashboard links, which only the operator manages.

use worker::Env;

use crate::{
    api::{
        dashboard_links::{AccessView, LinkView, parse_access_query, parse_new_link},
        deliveries::Page,
        error::ApiError,
        keys::{CreatedKey, KeyView, parse_new_key},
        workspaces::{WorkspaceView, parse_new_name, parse_new_workspace, parse_page_query},
    },
    domain::{
        idempotency::Creation,
        ids::{AccessId, KeyId, WorkspaceId},
        session::sign_in_address,
        token::{TokenHash, mint_api_key, mint_link_token},
        workspace::{ApiKey, DashboardLink, Workspace},
    },
    runtime::{
        platform::{
            entropy::now,
            faults::{unavailable, unexpected_reply},
            http::{Request, pairs},
            kv,
            object_calls::{WorkspaceCommand, WorkspaceReply, ask_workspace},
        },
        worker::{
            rate_limits::count_change,
            request::{
                Answer, Call, answer_again, creation_answer, idempotency_key, json, no_content,
                random_bytes, read_json_body,
            },
            subscriptions,
        },
    },
};

pub(super) async fn create(request: &Request, env: &Env) -> Answer {
    let new = parse_new_workspace(&read_json_body(request).await?)?;
    let id = match new.id {
        Some(id) => id,
        None => WorkspaceId::mint(now(), random_bytes()?),
    };
    count_change(env, &id).await?;
    let command = WorkspaceCommand::Create {
        id: id.clone(),
        name: new.name,
    };
    let reply = ask_workspace(env, &id, &command)
        .await
        .map_err(|error| unavailable(&error))?;
    subscriptions::forget(&id);
    match reply {
        WorkspaceReply::Workspace { workspace, created } => {
            json(if created { 201 } else { 200 }, &view(workspace))
        }
        WorkspaceReply::Refused(refusal) => Err(refusal.into()),
        _ => Err(unexpected_reply()),
    }
}

pub(super) async fn read(call: Call<'_>) -> Answer {
    match ask(&call, &WorkspaceCommand::Read).await? {
        WorkspaceReply::Workspace { workspace, .. } => json(200, &view(workspace)),
        WorkspaceReply::Refused(refusal) => Err(refusal.into()),
        _ => Err(unexpected_reply()),
    }
}

pub(super) async fn list(request: &Request, env: &Env) -> Answer {
    let query = request.query()?;
    let page = parse_page_query(pairs(&query))?;
    let (data, next_cursor) = kv::list_workspaces(env, page.limit, page.cursor).await?;
    json(200, &Page { data, next_cursor })
}

pub(super) async fn rename(call: Call<'_>) -> Answer {
    let name = parse_new_name(&read_json_body(&call.request).await?)?;
    match ask(&call, &WorkspaceCommand::Rename { name }).await? {
        WorkspaceReply::Workspace { workspace, .. } => json(200, &view(workspace)),
        WorkspaceReply::Refused(refusal) => Err(refusal.into()),
        _ => Err(unexpected_reply()),
    }
}

pub(super) async fn delete(call: Call<'_>) -> Answer {
    done(&ask(&call, &WorkspaceCommand::Delete).await?)
}

pub(super) async fn create_key(call: Call<'_>) -> Answer {
    let idempotency = idempotency_key(&call.request)?;
    let body = read_json_body(&call.request).await?;
    let new = parse_new_key(&body)?;
    let now = now();
    let key = mint_api_key(&call.workspace, random_bytes()?);
    let record = ApiKey {
        id: KeyId::mint(now, random_bytes()?),
        name: new.name,
        scopes: new.scopes,
        created_at: now,
        hash: TokenHash::of(&key),
    };
    let shown = CreatedKey {
        record: record.clone().into(),
        key,
    };
    let creation = idempotency.as_ref();
    let creation = creation.map(|key| key.of(Creation::ApiKey, &body));
    let (answer, idempotent) = creation_answer(&shown, idempotency.as_ref(), creation)?;
    let command = WorkspaceCommand::CreateKey {
        key: record,
        idempotent,
    };
    match ask(&call, &command).await? {
        WorkspaceReply::Keys(_) => Ok(answer),
        WorkspaceReply::Answered { answer } => answer_again(idempotency.as_ref(), &answer),
        WorkspaceReply::Refused(refusal) => Err(refusal.into()),
        _ => Err(unexpected_reply()),
    }
}

pub(super) async fn list_keys(call: Call<'_>) -> Answer {
    match ask(&call, &WorkspaceCommand::ListKeys).await? {
        WorkspaceReply::Keys(keys) => {
            let data: Vec<KeyView> = keys.into_iter().map(KeyView::from).collect();
            json(
                200,
                &Page {
                    data,
                    next_cursor: None,
                },
            )
        }
        WorkspaceReply::Refused(refusal) => Err(refusal.into()),
        _ => Err(unexpected_reply()),
    }
}

pub(super) async fn revoke_key(call: Call<'_>, id: KeyId) -> Answer {
    done(&ask(&call, &WorkspaceCommand::RevokeKey { id }).await?)
}

pub(super) async fn create_link(call: Call<'_>) -> Answer {
    let idempotency = idempotency_key(&call.request)?;
    let body = read_json_body(&call.request).await?;
    let new = parse_new_link(&body)?;
    let token = mint_link_token(&call.workspace, random_bytes()?);
    let now = now();
    let expires_at = now.saturating_add(new.expires_in);
    let id = AccessId::mint(now, random_bytes()?);
    let link = DashboardLink {
        scopes: new.scopes,
        expires_at,
        id: Some(id.clone()),
        actor: new.actor,
        created_at: Some(now),
    };
    let origin = call.request.url()?.origin().ascii_serialization();
    let shown = LinkView {
        id,
        url: format!(
            "{origin}{}",
            sign_in_address(Some(&token), new.page.as_deref())
        ),
        expires_at,
    };
    let creation = idempotency.as_ref();
    let creation = creation.map(|key| key.of(Creation::DashboardLink, &body));
    let (answer, idempotent) = creation_answer(&shown, idempotency.as_ref(), creation)?;
    let command = WorkspaceCommand::CreateLink {
        hash: TokenHash::of(&token),
        link,
        idempotent,
    };
    match ask(&call, &command).await? {
        WorkspaceReply::Done { .. } => Ok(answer),
        WorkspaceReply::Answered { answer } => answer_again(idempotency.as_ref(), &answer),
        WorkspaceReply::Refused(refusal) => Err(refusal.into()),
        _ => Err(unexpected_reply()),
    }
}

pub(super) async fn list_access(call: Call<'_>) -> Answer {
    let query = call.request.query()?;
    let page = parse_access_query(pairs(&query))?;
    let command = WorkspaceCommand::ListAccess {
        after: page.cursor,
        limit: page.limit.saturating_add(1),
    };
    let open = match ask(&call, &command).await? {
        WorkspaceReply::Access(open) => open,
        WorkspaceReply::Refused(refusal) => return Err(refusal.into()),
        _ => return Err(unexpected_reply()),
    };
    let mut data: Vec<AccessView> = open.into_iter().map(AccessView::from).collect();
    let limit = usize::try_from(page.limit).unwrap_or(usize::MAX);
    let more = data.len() > limit;
    data.truncate(limit);
    let last = data.last().map(|access| access.id().to_string());
    json(
        200,
        &Page {
            data,
            next_cursor: last.filter(|_| more),
        },
    )
}

/// Ends a link and its session, or all links and sessions.
pub(super) async fn end_access(call: Call<'_>, id: Option<AccessId>) -> Answer {
    done(&ask(&call, &WorkspaceCommand::EndAccess { id }).await?)
}

async fn ask(call: &Call<'_>, command: &WorkspaceCommand) -> Result<WorkspaceReply, ApiError> {
    let reply = ask_workspace(call.env, &call.workspace, command).await;
    subscriptions::forget(&call.workspace);
    reply.map_err(|error| unavailable(&error))
}

fn done(reply: &WorkspaceReply) -> Answer {
    match reply {
        WorkspaceReply::Done { applied: true } => Ok(no_content()),
        WorkspaceReply::Done { applied: false } => Err(ApiError::NotApplied { webhook_id: None }),
        WorkspaceReply::Refused(refusal) => Err((*refusal).into()),
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
