//! Deliveries: listing, reading, resending and cancelling them; a webhook's hourly counts.

use super::{
    commands::next_page,
    commands::{WebhookCommand, WebhookReply, ask_webhook},
    entropy::now,
    faults::{internal, unavailable, unexpected_reply},
    http::pairs,
    request::{Answer, Call, json, random_bytes, read_json_body},
};
use crate::{
    api::{
        deliveries::{DeliveryView, Page, parse_filter},
        error::ApiError,
        resends::{HourView, JobView, parse_hours, parse_selection},
    },
    domain::{
        ids::{DeliveryId, ResendId, WebhookId},
        token::Scope,
    },
};

pub(super) async fn list(call: Call<'_>, webhook: WebhookId) -> Answer {
    call.caller.require(Scope::WebhooksRead)?;
    let query = call.request.query()?;
    let filter = parse_filter(pairs(&query))?;
    match ask(&call, &webhook, &WebhookCommand::List(filter)).await? {
        WebhookReply::Deliveries {
            records,
            more,
            next,
        } => {
            let next = next_page(&records, more, next);
            let data = records
                .into_iter()
                .map(|record| DeliveryView::summary(record, webhook.clone()))
                .collect();
            json(
                200,
                &Page::<DeliveryView> {
                    data,
                    next_cursor: next.map(Into::into),
                },
            )
        }
        WebhookReply::Refused(refusal) => Err(refusal.into()),
        _ => Err(unexpected_reply()),
    }
}

pub(super) async fn read(call: Call<'_>, webhook: WebhookId, id: DeliveryId) -> Answer {
    call.caller.require(Scope::WebhooksRead)?;
    let reply = ask(&call, &webhook, &WebhookCommand::Read { id }).await?;
    show(&call, webhook, reply, 200)
}

pub(super) async fn resend(call: Call<'_>, webhook: WebhookId, id: DeliveryId) -> Answer {
    call.caller.require(Scope::WebhooksWrite)?;
    let reply = ask(&call, &webhook, &WebhookCommand::Resend { id }).await?;
    show(&call, webhook, reply, 202)
}

pub(super) async fn cancel(call: Call<'_>, webhook: WebhookId, id: DeliveryId) -> Answer {
    call.caller.require(Scope::WebhooksWrite)?;
    let reply = ask(&call, &webhook, &WebhookCommand::Cancel { id }).await?;
    show(&call, webhook, reply, 200)
}

fn show(call: &Call<'_>, webhook: WebhookId, reply: WebhookReply, status: u16) -> Answer {
    match reply {
        WebhookReply::Delivery(record) => {
            let shown = DeliveryView::whole(
                *record,
                webhook,
                &call.config.keys,
                call.caller.has(Scope::WebhooksWrite),
            );
            json(
                status,
                &shown.map_err(|error| internal("showing a delivery", &error))?,
            )
        }
        WebhookReply::Refused(refusal) => Err(refusal.into()),
        _ => Err(unexpected_reply()),
    }
}

pub(super) async fn start_resend(call: Call<'_>, webhook: WebhookId) -> Answer {
    call.caller.require(Scope::WebhooksWrite)?;
    let selection = parse_selection(&read_json_body(&call.request).await?)?;
    let id = ResendId::mint(now(), random_bytes()?);
    show_job(
        ask(&call, &webhook, &WebhookCommand::StartJob { id, selection }).await?,
        202,
    )
}

pub(super) async fn read_resend(call: Call<'_>, webhook: WebhookId, id: ResendId) -> Answer {
    call.caller.require(Scope::WebhooksRead)?;
    show_job(
        ask(&call, &webhook, &WebhookCommand::ReadJob { id }).await?,
        200,
    )
}

pub(super) async fn stop_resend(call: Call<'_>, webhook: WebhookId, id: ResendId) -> Answer {
    call.caller.require(Scope::WebhooksWrite)?;
    show_job(
        ask(&call, &webhook, &WebhookCommand::StopJob { id }).await?,
        200,
    )
}

fn show_job(reply: WebhookReply, status: u16) -> Answer {
    match reply {
        WebhookReply::Job(job) => json(status, &JobView::from(*job)),
        WebhookReply::Refused(refusal) => Err(refusal.into()),
        _ => Err(unexpected_reply()),
    }
}

pub(super) async fn stats(call: Call<'_>, webhook: WebhookId) -> Answer {
    call.caller.require(Scope::WebhooksRead)?;
    let query = call.request.query()?;
    let hours = parse_hours(pairs(&query))?;
    match ask(&call, &webhook, &WebhookCommand::Stats { hours }).await? {
        WebhookReply::Stats(hours) => {
            let data: Vec<_> = hours
                .iter()
                .map(|(hour, tally)| HourView::new(*hour, tally))
                .collect();
            json(200, &serde_json::json!({ "data": data }))
        }
        WebhookReply::Refused(refusal) => Err(refusal.into()),
        _ => Err(unexpected_reply()),
    }
}

/// Answers what a webhook's object has used, and how often this isolate read KV; for tests.
#[cfg(feature = "test-hooks")]
pub(super) async fn counts(
    env: &worker::Env,
    workspace: &crate::domain::ids::WorkspaceId,
    webhook: &WebhookId,
) -> Answer {
    let reply = ask_webhook(env, workspace, webhook, &WebhookCommand::Counted).await;
    match reply.map_err(|error| unavailable(&error))? {
        WebhookReply::Counted(counted) => {
            #[derive(serde::Serialize)]
            struct Shown {
                #[serde(flatten)]
                counted: super::commands::Counted,
                kv_reads: u32,
                kv_puts: u32,
            }
            let (kv_reads, kv_puts) = super::subscriptions::counted();
            let shown = Shown {
                counted,
                kv_reads,
                kv_puts,
            };
            json(200, &shown)
        }
        _ => Err(unexpected_reply()),
    }
}

/// Runs a part of the script of both SQL engines on a webhook's object; for tests.
#[cfg(feature = "test-hooks")]
pub(super) async fn run_sql(
    env: &worker::Env,
    workspace: &crate::domain::ids::WorkspaceId,
    webhook: &WebhookId,
    part: &[u8],
) -> Answer {
    let command = WebhookCommand::RunSql(String::from_utf8_lossy(part).into_owned());
    let reply = ask_webhook(env, workspace, webhook, &command).await;
    match reply.map_err(|error| unavailable(&error))? {
        WebhookReply::Measured(told) => {
            let told: serde_json::Value = serde_json::from_str(&told)
                .map_err(|error| super::faults::internal("a told script", &error))?;
            json(200, &told)
        }
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
