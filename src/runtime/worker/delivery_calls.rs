//! Deliveries: listing, reading, resending, sending now and cancelling them; a webhook's hourly counts.

use crate::{
    api::{
        deliveries::{DeliveryView, Page, parse_filter},
        resend_views::{BulkResendView, PreviewView},
        resends::{HourView, parse_hours, parse_selection},
    },
    domain::{
        ids::{DeliveryId, ResendId, WebhookId},
        record::DeliveryRecord,
        resend::BulkResend,
        token::Scope,
    },
    runtime::{
        platform::{entropy::now, faults::internal, http::pairs},
        worker::request::{Answer, Call, json, random_bytes, read_json_body},
    },
};

pub(super) async fn list(call: Call<'_>, webhook: WebhookId) -> Answer {
    let query = call.request.query()?;
    let (records, next) = call
        .webhook(&webhook)
        .list(parse_filter(pairs(&query))?)
        .await?;
    let summary = |record| DeliveryView::summary(record, webhook.clone());
    let page = Page::<DeliveryView> {
        data: records.into_iter().map(summary).collect(),
        next_cursor: next.map(Into::into),
    };
    json(200, &page)
}

pub(super) async fn read(call: Call<'_>, webhook: WebhookId, id: DeliveryId) -> Answer {
    let record = call.webhook(&webhook).read(id).await?;
    show(&call, webhook, record, 200)
}

pub(super) async fn resend(call: Call<'_>, webhook: WebhookId, id: DeliveryId) -> Answer {
    let record = call.webhook(&webhook).resend(id).await?;
    show(&call, webhook, record, 202)
}

pub(super) async fn send_now(call: Call<'_>, webhook: WebhookId, id: DeliveryId) -> Answer {
    let record = call.webhook(&webhook).send_now(id).await?;
    show(&call, webhook, record, 202)
}

pub(super) async fn cancel(call: Call<'_>, webhook: WebhookId, id: DeliveryId) -> Answer {
    let record = call.webhook(&webhook).cancel(id).await?;
    show(&call, webhook, record, 200)
}

fn show(call: &Call<'_>, webhook: WebhookId, record: DeliveryRecord, status: u16) -> Answer {
    let may_write = call.caller.has(Scope::WebhooksWrite);
    let shown = DeliveryView::whole(record, webhook, &call.config.keys, may_write);
    json(
        status,
        &shown.map_err(|error| internal("showing a delivery", &error))?,
    )
}

pub(super) async fn start_resend(call: Call<'_>, webhook: WebhookId) -> Answer {
    let selection = parse_selection(&read_json_body(&call.request).await?)?;
    let id = ResendId::mint(now(), random_bytes()?);
    show_resend(
        202,
        &call.webhook(&webhook).start_resend(id, selection).await?,
    )
}

pub(super) async fn preview_resend(call: Call<'_>, webhook: WebhookId) -> Answer {
    let selection = parse_selection(&read_json_body(&call.request).await?)?;
    let preview = call.webhook(&webhook).preview_resend(selection).await?;
    json(200, &PreviewView::from(preview))
}

pub(super) async fn read_resend(call: Call<'_>, webhook: WebhookId, id: ResendId) -> Answer {
    show_resend(200, &call.webhook(&webhook).read_resend(id).await?)
}

pub(super) async fn stop_resend(call: Call<'_>, webhook: WebhookId, id: ResendId) -> Answer {
    show_resend(200, &call.webhook(&webhook).stop_resend(id).await?)
}

fn show_resend(status: u16, bulk_resend: &BulkResend) -> Answer {
    json(status, &BulkResendView::from(bulk_resend))
}

pub(super) async fn stats(call: Call<'_>, webhook: WebhookId) -> Answer {
    let query = call.request.query()?;
    let hours = call
        .webhook(&webhook)
        .stats(parse_hours(pairs(&query))?)
        .await?;
    let hours = hours
        .iter()
        .map(|(hour, counts)| HourView::new(*hour, counts));
    let data: Vec<_> = hours.collect();
    json(200, &serde_json::json!({ "data": data }))
}

/// Answers what a webhook's object has used, and how often this isolate read KV; for tests.
#[cfg(feature = "test-hooks")]
pub(super) async fn counts(webhook: super::object_clients::WebhookClient<'_>) -> Answer {
    #[derive(serde::Serialize)]
    struct Shown {
        #[serde(flatten)]
        counted: crate::machines::messages::Counted,
        kv_reads: u32,
        kv_puts: u32,
    }
    let counted = webhook.counted().await?;
    let (kv_reads, kv_puts) = crate::runtime::platform::kv::counted();
    let shown = Shown {
        counted,
        kv_reads,
        kv_puts,
    };
    json(200, &shown)
}

/// Runs a part of the script of both SQL engines on a webhook's object; for tests.
#[cfg(feature = "test-hooks")]
pub(super) async fn run_sql(
    webhook: super::object_clients::WebhookClient<'_>,
    part: &[u8],
) -> Answer {
    let part = String::from_utf8_lossy(part).into_owned();
    let told: serde_json::Value = serde_json::from_str(&webhook.run_sql(part).await?)
        .map_err(|error| internal("a told script", &error))?;
    json(200, &told)
}
