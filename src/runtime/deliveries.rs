//! Listing and reading deliveries.

use worker::Url;

use super::{
    commands::{WebhookCommand, WebhookReply, ask_webhook},
    request::{Answer, Call, internal, json, unavailable, unexpected_reply},
};
use crate::{
    api::{
        deliveries::{DeliveryView, Page, parse_filter},
        error::ApiError,
    },
    domain::{
        ids::{DeliveryId, WebhookId},
        token::Scope,
    },
};

pub(super) async fn list(call: Call<'_>, url: &Url, webhook: WebhookId) -> Answer {
    call.caller.require(Scope::WebhooksRead)?;
    let query: Vec<_> = url.query_pairs().collect();
    let filter = parse_filter(
        query
            .iter()
            .map(|(name, value)| (name.as_ref(), value.as_ref())),
    )?;
    match ask(&call, &webhook, &WebhookCommand::List(filter)).await? {
        WebhookReply::Deliveries { records, more } => {
            let last = records.last().map(|record| record.id.to_string());
            let data = records
                .into_iter()
                .map(|record| DeliveryView::summary(record, webhook.clone()))
                .collect();
            json(
                200,
                &Page::<DeliveryView> {
                    data,
                    next_cursor: last.filter(|_| more),
                },
            )
        }
        WebhookReply::Refused(refusal) => Err(refusal.into()),
        _ => Err(unexpected_reply()),
    }
}

pub(super) async fn read(call: Call<'_>, webhook: WebhookId, id: DeliveryId) -> Answer {
    call.caller.require(Scope::WebhooksRead)?;
    match ask(&call, &webhook, &WebhookCommand::Read { id }).await? {
        WebhookReply::Delivery(record) => {
            let shown =
                DeliveryView::whole(*record, webhook, call.caller.has(Scope::WebhooksWrite));
            json(
                200,
                &shown.map_err(|error| internal("showing a delivery", &error))?,
            )
        }
        WebhookReply::Refused(refusal) => Err(refusal.into()),
        _ => Err(unexpected_reply()),
    }
}

/// The rows that a webhook's object has read and written; for tests.
#[cfg(feature = "test-hooks")]
pub(super) async fn counts(
    env: &worker::Env,
    workspace: &crate::domain::ids::WorkspaceId,
    webhook: &WebhookId,
) -> Answer {
    let reply = ask_webhook(env, workspace, webhook, &WebhookCommand::Counted).await;
    match reply.map_err(|error| unavailable(&error))? {
        WebhookReply::Counted {
            rows_read,
            rows_written,
            alarms_set,
        } => json(
            200,
            &serde_json::json!({"rows_read": rows_read, "rows_written": rows_written, "alarms_set": alarms_set}),
        ),
        _ => Err(unexpected_reply()),
    }
}

async fn ask(
    call: &Call<'_>,
    webhook: &WebhookId,
    command: &WebhookCommand,
) -> Result<WebhookReply, ApiError> {
    ask_webhook(call.env, &call.workspace, webhook, command)
        .await
        .map_err(|error| unavailable(&error))
}
