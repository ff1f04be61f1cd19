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
            http::{Request, Response, pairs},
            object_calls::WorkspaceCommand,
        },
        worker::{
            object_clients::{WebhookClient, WorkspaceClient, webhooks},
            request::Answer,
        },
    },
};

pub(super) async fn show(request: &Request, env: &Env, keys: &EncryptionKeys) -> Answer {
    let mut text = render_info(env!("CARGO_PKG_VERSION"), keys.encrypt());
    if let Some(workspace) = wanted(request)? {
        let client = WorkspaceClient {
            env,
            workspace: &workspace,
        };
        let webhooks = client
            .ask(&WorkspaceCommand::ListWebhooks, webhooks)
            .await?;
        let sealed = webhooks
            .iter()
            .flat_map(|webhook| webhook.settings.sealed());
        text.push_str(&render_sealed(keys, sealed));
        text.push_str(&render_webhooks(&gauges(env, &workspace, &webhooks).await?));
    }
    Ok(Response::new(200).with_body(CONTENT_TYPE, text))
}

fn wanted(request: &Request) -> Result<Option<WorkspaceId>, ApiError> {
    let query = request.query()?;
    let query = Query::parse(pairs(&query), &["workspace"])?;
    let id = query.text("workspace").map(WorkspaceId::parse).transpose();
    id.map_err(|_| ApiError::NotFound("workspace"))
}

async fn gauges(
    env: &Env,
    workspace: &WorkspaceId,
    webhooks: &[Webhook],
) -> Result<Vec<WebhookGauges>, ApiError> {
    let asked = webhooks.iter().map(|webhook| async {
        let client = WebhookClient {
            env,
            workspace,
            webhook: &webhook.id,
        };
        client.gauges().await
    });
    // None of a webhook that has been deleted meanwhile.
    let gauges: Result<Vec<_>, ApiError> = join_all(asked).await.into_iter().collect();
    Ok(gauges?.into_iter().flatten().collect())
}
