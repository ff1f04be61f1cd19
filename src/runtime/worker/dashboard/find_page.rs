//! Finding anything of a workspace by one text.
//!
//! It costs one call to the workspace's object and, only for what may be an id of an event, one to each webhook's.

use futures_util::future::join_all;

use super::{
    answers::{page, see_other},
    visit::{Detour, Visit},
};
use crate::{
    dashboard::find::{FindPage, Found, FoundDelivery, Sought},
    domain::{
        ids::{EventId, WorkspaceId},
        token::Scope,
        webhook::Webhook,
    },
    runtime::{
        platform::{
            http::{Response, pairs},
            object_calls::WorkspaceCommand,
        },
        worker::object_clients::webhooks,
    },
};

pub(super) async fn show(visit: &Visit<'_>) -> Result<Response, Detour> {
    let query = visit.request.query()?;
    let sought = Sought::parse(pairs(&query));
    let command = WorkspaceCommand::ListWebhooks;
    let (workspace, webhooks) = visit.ask(Scope::WebhooksRead, command, webhooks).await?;
    let found = find(visit, &workspace, webhooks, &sought).await;
    if let Some(address) = found.only() {
        return Ok(see_other(address));
    }
    let shown = FindPage {
        frame: visit.frame(),
        sought,
        found,
    };
    Ok(page(200, &shown)?)
}

async fn find(
    visit: &Visit<'_>,
    workspace: &WorkspaceId,
    webhooks: Vec<Webhook>,
    sought: &Sought,
) -> Found {
    let mut found = Found {
        among: webhooks.len(),
        ..Found::default()
    };
    if let Some(event) = sought.event() {
        let asked = webhooks
            .iter()
            .map(|webhook| delivery(visit, workspace, webhook, event.clone()));
        for answer in join_all(asked).await {
            match answer {
                Ok(delivery) => found.deliveries.extend(delivery),
                Err(()) => found.silent = found.silent.saturating_add(1),
            }
        }
    }
    let matching = webhooks.into_iter();
    found.webhooks = matching.filter(|webhook| sought.matches(webhook)).collect();
    found
}

/// Asks a webhook for its delivery of an event. If its object does not answer, the others' deliveries are still shown.
async fn delivery(
    visit: &Visit<'_>,
    workspace: &WorkspaceId,
    webhook: &Webhook,
    event: EventId,
) -> Result<Option<FoundDelivery>, ()> {
    let client = visit.webhook(workspace, &webhook.id);
    let found = client.trace(event).await.map_err(drop)?;
    Ok(found.map(|record| FoundDelivery {
        webhook: webhook.id.clone(),
        url: webhook.settings.url.clone(),
        record,
    }))
}
