//! `/metrics`: the gauges of a workspace's webhooks.

use futures_util::future::join_all;
use worker::Env;

use crate::{
    api::{
        error::ApiError,
        metrics::{CONTENT_TYPE, WebhookGauges, render_info, render_sealed, render_webhooks},
        query::Query,
    },
    domain::{ids::WorkspaceId, sealed::EncryptionKeys, webhook::Webhook},
    runtime::{
        platform::{
            faults::{unavailable, unexpected_reply},
            http::{Request, Response, pairs},
            object_calls::{
                Refusal, WebhookCommand, WebhookReply, WorkspaceCommand, WorkspaceReply,
                ask_webhook, ask_workspace,
            },
        },
        worker::request::Answer,
    },
};

pub(super) async fn show(request: &Request, env: &Env, keys: &EncryptionKeys) -> Answer {
    let mut text = render_info(env!("CARGO_PKG_VERSION"), keys.encrypt());
    if let Some(workspace) = wanted(request)? {
        let webhooks = webhooks(env, &workspace).await?;
        let sealed = webhooks
            .iter()
            .flat_map(|webhook| webhook.settings.sealed());
        text.push_str(&render_sealed(keys, sealed));
        text.push_str(&render_webhooks(&gauges(env, &workspace, webhooks).await?));
    }
    Ok(Response::new(200).with_body(CONTENT_TYPE, text))
}

fn wanted(request: &Request) -> Result<Option<WorkspaceId>, ApiError> {
    let query = request.query()?;
    let query = Query::parse(pairs(&query), &["workspace"])?;
    let id = query.text("workspace").map(WorkspaceId::parse).transpose();
    id.map_err(|_| ApiError::NotFound("workspace"))
}

async fn webhooks(env: &Env, workspace: &WorkspaceId) -> Result<Vec<Webhook>, ApiError> {
    let reply = ask_workspace(env, workspace, &WorkspaceCommand::ListWebhooks).await;
    match reply.map_err(|error| unavailable(&error))? {
        WorkspaceReply::Webhooks(webhooks) => Ok(webhooks),
        WorkspaceReply::Refused(refusal) => Err(refusal.into()),
        _ => Err(unexpected_reply()),
    }
}

async fn gauges(
    env: &Env,
    workspace: &WorkspaceId,
    webhooks: Vec<Webhook>,
) -> Result<Vec<WebhookGauges>, ApiError> {
    let asked = webhooks
        .into_iter()
        .map(|webhook| gauges_of(env, workspace, webhook));
    let gauges: Result<Vec<_>, ApiError> = join_all(asked).await.into_iter().collect();
    Ok(gauges?.into_iter().flatten().collect())
}

/// Asks a webhook for its gauges; none if it has been deleted meanwhile.
async fn gauges_of(
    env: &Env,
    workspace: &WorkspaceId,
    webhook: Webhook,
) -> Result<Option<WebhookGauges>, ApiError> {
    let reply = ask_webhook(env, workspace, &webhook.id, &WebhookCommand::Gauges).await;
    match reply.map_err(|error| unavailable(&error))? {
        WebhookReply::Gauges {
            enabled,
            pending,
            held,
            last_hour,
        } => Ok(Some(WebhookGauges {
            webhook: webhook.id,
            enabled,
            pending,
            held,
            last_hour,
        })),
        WebhookReply::Refused(Refusal::NoWebhook) => Ok(None),
        _ => Err(unexpected_reply()),
    }
}
