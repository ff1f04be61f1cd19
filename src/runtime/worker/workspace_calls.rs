//! Workspaces, their API keys and their dashboard links, which only the operator manages.

use worker::Env;

use crate::{
    api::{
        dashboard_links::{AccessView, LinkView, parse_access_query, parse_new_link},
        deliveries::Page,
        keys::{CreatedKey, KeyView, parse_new_key},
        workspaces::{WorkspaceView, parse_new_name, parse_new_workspace, parse_page_query},
    },
    domain::{
        access::Access,
        idempotency_key::Creation,
        ids::{AccessId, KeyId, WorkspaceId},
        session::sign_in_address,
        token::{TokenHash, mint_api_key, mint_link_token},
        workspace::{ApiKey, DashboardLink, Workspace},
    },
    runtime::{
        platform::{
            entropy::now,
            http::{Request, pairs},
            kv,
            object_calls::{WorkspaceCommand, WorkspaceReply},
        },
        worker::{
            object_clients::{Made, WorkspaceClient, done, made, workspace},
            rate_limits::count_change,
            request::{
                Answer, Call, answer_again, creation_answer, idempotency_key, json, no_content,
                random_bytes, read_json_body,
            },
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
    let client = WorkspaceClient {
        env,
        workspace: &id,
    };
    let (workspace, is_new) = client.change(&command, created_workspace).await?;
    json(if is_new { 201 } else { 200 }, &view(workspace))
}

fn created_workspace(reply: WorkspaceReply) -> Option<(Workspace, bool)> {
    match reply {
        WorkspaceReply::Workspace { workspace, created } => Some((workspace, created)),
        _ => None,
    }
}

pub(super) async fn read(call: Call<'_>) -> Answer {
    let read = call.workspace().ask(&WorkspaceCommand::Read, workspace);
    json(200, &view(read.await?))
}

pub(super) async fn list(request: &Request, env: &Env) -> Answer {
    let query = request.query()?;
    let page = parse_page_query(pairs(&query))?;
    let (data, next_cursor) = kv::list_workspaces(env, page.limit, page.cursor).await?;
    json(200, &Page { data, next_cursor })
}

pub(super) async fn rename(call: Call<'_>) -> Answer {
    let name = parse_new_name(&read_json_body(&call.request).await?)?;
    let command = WorkspaceCommand::Rename { name };
    let renamed = call.workspace().change(&command, workspace).await?;
    json(200, &view(renamed))
}

pub(super) async fn delete(call: Call<'_>) -> Answer {
    change(&call, WorkspaceCommand::Delete).await
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
    match call.workspace().change(&command, made(keys)).await? {
        Made::First(_) => Ok(answer),
        Made::Before(answer) => answer_again(idempotency.as_ref(), &answer),
    }
}

pub(super) async fn list_keys(call: Call<'_>) -> Answer {
    let keys = call.workspace().ask(&WorkspaceCommand::ListKeys, keys);
    let page = Page {
        data: keys.await?.into_iter().map(KeyView::from).collect(),
        next_cursor: None,
    };
    json(200, &page)
}

fn keys(reply: WorkspaceReply) -> Option<Vec<ApiKey>> {
    match reply {
        WorkspaceReply::Keys(keys) => Some(keys),
        _ => None,
    }
}

pub(super) async fn revoke_key(call: Call<'_>, id: KeyId) -> Answer {
    change(&call, WorkspaceCommand::RevokeKey { id }).await
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
    let origin = match &call.config.policy.public_origin {
        Some(origin) => origin.as_str().to_owned(),
        None => call.request.url()?.origin().ascii_serialization(),
    };
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
    match call.workspace().change(&command, made(done)).await? {
        Made::First(_) => Ok(answer),
        Made::Before(answer) => answer_again(idempotency.as_ref(), &answer),
    }
}

pub(super) async fn list_access(call: Call<'_>) -> Answer {
    let query = call.request.query()?;
    let page = parse_access_query(pairs(&query))?;
    let command = WorkspaceCommand::ListAccess {
        after: page.cursor,
        limit: page.limit.saturating_add(1),
    };
    let open = call.workspace().ask(&command, access).await?;
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

fn access(reply: WorkspaceReply) -> Option<Vec<Access>> {
    match reply {
        WorkspaceReply::Access(open) => Some(open),
        _ => None,
    }
}

/// Ends a link and its session, or all links and sessions.
pub(super) async fn end_access(call: Call<'_>, id: Option<AccessId>) -> Answer {
    change(&call, WorkspaceCommand::EndAccess { id }).await
}

async fn change(call: &Call<'_>, command: WorkspaceCommand) -> Answer {
    call.workspace().change_and_apply(&command).await?;
    Ok(no_content())
}

fn view(workspace: Workspace) -> WorkspaceView {
    WorkspaceView {
        id: workspace.id,
        name: workspace.name,
        created_at: workspace.created_at,
    }
}
