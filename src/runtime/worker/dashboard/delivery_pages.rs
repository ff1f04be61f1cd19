//! The page of a delivery, and resending one or many.

use worker::Url;

use super::{
    HOME,
    answers::{page, see_other, sentence},
    detail::{self, Remarks, read_webhook, sent_parts},
    visit::{Detour, Visit},
};
use crate::{
    api::error::ApiError,
    dashboard::{
        delivery::DeliveryPage,
        forms::ResendForm,
        frame::{Done, Frame, Notice},
    },
    domain::{
        ids::{DeliveryId, ResendId, WebhookId, WorkspaceId},
        record::DeliveryRecord,
        token::Scope,
        webhook::Webhook,
    },
    runtime::{
        platform::{entropy::now, faults::internal, http::Response},
        worker::{
            object_clients::WebhookClient,
            request::{random_bytes, read_form_body},
        },
    },
};

pub(super) async fn show(
    visit: &Visit<'_>,
    webhook: WebhookId,
    id: DeliveryId,
    url: &Url,
) -> Result<Response, Detour> {
    let (workspace, webhook) = read_webhook(visit, Scope::WebhooksRead, webhook).await?;
    let record = visit.webhook(&workspace, &webhook.id).read(id).await?;
    let done = url.query_pairs().find(|(name, _)| name == "done");
    let frame = visit.frame(&done.map(|(_, word)| word).unwrap_or_default());
    render(visit, 200, frame, webhook, record)
}

pub(super) async fn resend(
    visit: &Visit<'_>,
    webhook: WebhookId,
    id: DeliveryId,
) -> Result<Response, Detour> {
    let (workspace, webhook) = begin_change(visit, webhook).await?;
    let client = visit.webhook(&workspace, &webhook.id);
    let resent = client.resend(id.clone()).await;
    end_change(visit, &client, &webhook, id, resent, Done::Resent).await
}

pub(super) async fn send_now(
    visit: &Visit<'_>,
    webhook: WebhookId,
    id: DeliveryId,
) -> Result<Response, Detour> {
    let (workspace, webhook) = begin_change(visit, webhook).await?;
    let client = visit.webhook(&workspace, &webhook.id);
    let due = client.send_now(id.clone()).await;
    end_change(visit, &client, &webhook, id, due, Done::SentNow).await
}

pub(super) async fn cancel(
    visit: &Visit<'_>,
    webhook: WebhookId,
    id: DeliveryId,
) -> Result<Response, Detour> {
    let (workspace, webhook) = begin_change(visit, webhook).await?;
    let client = visit.webhook(&workspace, &webhook.id);
    let cancelled = client.cancel(id.clone()).await;
    end_change(visit, &client, &webhook, id, cancelled, Done::Cancelled).await
}

async fn begin_change(
    visit: &Visit<'_>,
    webhook: WebhookId,
) -> Result<(WorkspaceId, Webhook), Detour> {
    read_form_body(&visit.request).await?;
    read_webhook(visit, Scope::WebhooksWrite, webhook).await
}

/// Shows a changed delivery, or a refusal on its page.
async fn end_change(
    visit: &Visit<'_>,
    client: &WebhookClient<'_>,
    webhook: &Webhook,
    id: DeliveryId,
    changed: Result<DeliveryRecord, ApiError>,
    done: Done,
) -> Result<Response, Detour> {
    match changed {
        Ok(_) => {
            let address = format!("{HOME}/{}/deliveries/{id}", webhook.id);
            Ok(see_other(format!("{address}?done={}", done.word())))
        }
        Err(error) if error.status() == 409 => {
            let record = client.read(id).await?;
            let frame = visit.frame_with(Some(Notice::Problem(sentence(&error))));
            render(visit, error.status(), frame, webhook.clone(), record)
        }
        Err(error) => Err(error.into()),
    }
}

fn render(
    visit: &Visit<'_>,
    status: u16,
    frame: Frame,
    webhook: Webhook,
    record: DeliveryRecord,
) -> Result<Response, Detour> {
    let request = record.request.as_ref();
    let request = sent_parts(request, &webhook.id, &visit.config.keys, visit.may_write())
        .map_err(|error| internal("showing a delivery", &error))?;
    let shown = DeliveryPage {
        frame,
        webhook,
        record,
        request,
    };
    Ok(page(status, &shown)?)
}

pub(super) async fn start_resend(
    visit: &Visit<'_>,
    webhook: WebhookId,
) -> Result<Response, Detour> {
    let form = ResendForm::parse(&read_form_body(&visit.request).await?);
    let selection = match form.check() {
        Ok(selection) => selection,
        Err(errors) => {
            let remarks = Remarks {
                resend: Some((form, errors)),
                ..Remarks::refused(422)
            };
            return detail::remark(visit, webhook, remarks).await;
        }
    };
    let id = ResendId::mint(now(), random_bytes()?);
    let workspace = visit.may_change().await?;
    let client = visit.webhook(&workspace, &webhook);
    match client.start_resend(id.clone(), selection).await {
        Ok(_) => Ok(to_resend(&webhook, &id, Done::ResendStarted)),
        Err(error) if error.status() == 409 => {
            let remarks = Remarks {
                problem: Some(sentence(&error)),
                ..Remarks::refused(error.status())
            };
            detail::remark(visit, webhook, remarks).await
        }
        Err(error) => Err(error.into()),
    }
}

pub(super) async fn stop_resend(
    visit: &Visit<'_>,
    webhook: WebhookId,
    id: ResendId,
) -> Result<Response, Detour> {
    read_form_body(&visit.request).await?;
    let workspace = visit.may_change().await?;
    visit
        .webhook(&workspace, &webhook)
        .stop_resend(id.clone())
        .await?;
    Ok(to_resend(&webhook, &id, Done::ResendStopped))
}

fn to_resend(webhook: &WebhookId, id: &ResendId, done: Done) -> Response {
    let done = done.word();
    see_other(format!("{HOME}/{webhook}?resend={id}&done={done}#resend"))
}
