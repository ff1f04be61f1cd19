//! The page of a delivery, and resending one or many.

use super::{
    HOME,
    answers::{after, page, sentence},
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
        worker::{object_clients::WebhookClient, request::random_bytes},
    },
};

pub(super) async fn show(
    visit: &Visit<'_>,
    webhook: WebhookId,
    id: DeliveryId,
) -> Result<Response, Detour> {
    let (workspace, webhook) = read_webhook(visit, Scope::WebhooksRead, webhook).await?;
    let record = visit.webhook(&workspace, &webhook.id).read(id).await?;
    render(visit, 200, visit.frame(), webhook, record)
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
    visit.form().await?;
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
            Ok(after(visit, done, address)?)
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
    let form = ResendForm::parse(visit.form().await?);
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
        Ok(_) => to_resend(visit, &webhook, &id, Done::ResendStarted),
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
    visit.form().await?;
    let workspace = visit.may_change().await?;
    visit
        .webhook(&workspace, &webhook)
        .stop_resend(id.clone())
        .await?;
    to_resend(visit, &webhook, &id, Done::ResendStopped)
}

fn to_resend(
    visit: &Visit<'_>,
    webhook: &WebhookId,
    id: &ResendId,
    done: Done,
) -> Result<Response, Detour> {
    Ok(after(
        visit,
        done,
        format!("{HOME}/{webhook}?resend={id}#resend"),
    )?)
}
