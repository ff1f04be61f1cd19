//! What became of an event: for each webhook its delivery, or why there is none.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use percent_encoding::percent_decode_str;
use worker::Url;

use super::{
    commands::{
        Refusal, WebhookCommand, WebhookReply, WorkspaceCommand, WorkspaceReply, ask_webhook,
        ask_workspace,
    },
    entropy::now,
    request::{Answer, Call, json, unavailable, unexpected_reply},
};
use crate::{
    api::{
        error::ApiError,
        traces::{TraceQuery, TraceView, TracedWebhook, parse_trace_query},
    },
    domain::{
        history::{SelectionChange, explain},
        ids::{EventId, WebhookId},
        record::DeliveryRecord,
        token::Scope,
    },
};

/// `id` is the event's id, or the id of one of its deliveries.
pub(super) async fn trace(call: Call<'_>, url: &Url, id: &str) -> Answer {
    call.caller.require(Scope::WebhooksRead)?;
    let query: Vec<_> = url.query_pairs().collect();
    let query = parse_trace_query(
        query
            .iter()
            .map(|(name, value)| (name.as_ref(), value.as_ref())),
    )?;
    let id = percent_decode_str(id).decode_utf8_lossy();
    let mut event_id = EventId::parse(&id).map_err(|_| ApiError::NotFound("event"))?;
    let changes = history(&call).await?;
    let mut found = find(&call, &changes, &event_id).await?;
    // By a delivery's id: the event's other deliveries are found by the event's.
    if let Some(other) = found
        .values()
        .map(|record| &record.event_id)
        .find(|other| **other != event_id)
    {
        event_id = other.clone();
        for (webhook, record) in find(&call, &changes, &event_id).await? {
            found.entry(webhook).or_insert(record);
        }
    }
    let TraceQuery { event_type, at } = query;
    let stored = found.values().next();
    let stored_type = stored.map(|record| record.event_type.clone());
    let event_type = stored_type.or(event_type).ok_or(ApiError::EventNotFound)?;
    let at = stored
        .map(|record| record.id.minted_at())
        .or(at)
        .unwrap_or_else(now);
    let webhooks = changes.into_iter().map(|(webhook, changes)| {
        if let Some(record) = found.remove(&webhook) {
            return TracedWebhook::delivery(webhook, record);
        }
        let changes: Vec<_> = changes.iter().collect();
        TracedWebhook::absent(webhook, explain(&changes, &event_type, at))
    });
    json(
        200,
        &TraceView {
            event_id,
            event_type: event_type.clone(),
            at,
            webhooks: webhooks.collect(),
        },
    )
}

/// Each webhook of the workspace, deleted ones too, and what it selected when.
async fn history(call: &Call<'_>) -> Result<BTreeMap<WebhookId, Vec<SelectionChange>>, ApiError> {
    let reply = ask_workspace(call.env, &call.workspace, &WorkspaceCommand::History).await;
    let changes = match reply.map_err(|error| unavailable(&error))? {
        WorkspaceReply::History(changes) => changes,
        WorkspaceReply::Refused(refusal) => return Err(refusal.into()),
        _ => return Err(unexpected_reply()),
    };
    let mut webhooks: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for change in changes {
        webhooks
            .entry(change.webhook.clone())
            .or_default()
            .push(change);
    }
    Ok(webhooks)
}

/// The deliveries that the webhooks have of an event.
async fn find(
    call: &Call<'_>,
    webhooks: &BTreeMap<WebhookId, Vec<SelectionChange>>,
    event_id: &EventId,
) -> Result<BTreeMap<WebhookId, DeliveryRecord>, ApiError> {
    let command = WebhookCommand::Trace {
        event_id: event_id.clone(),
    };
    let live = webhooks
        .iter()
        .filter(|(_, changes)| changes.last().is_some_and(|change| change.events.is_some()));
    let asked = live.map(|(webhook, _)| async {
        match ask_webhook(call.env, &call.workspace, webhook, &command)
            .await
            .map_err(|error| unavailable(&error))?
        {
            WebhookReply::Delivery(record) => Ok(Some((webhook.clone(), *record))),
            WebhookReply::Refused(Refusal::NoDelivery | Refusal::NoWebhook) => Ok(None),
            _ => Err(unexpected_reply()),
        }
    });
    let found: Result<Vec<_>, ApiError> = join_all(asked).await.into_iter().collect();
    Ok(found?.into_iter().flatten().collect())
}
