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
        platform::{
            entropy::now,
            faults::{internal, unexpected_reply},
            http::Response,
            object_calls::{WebhookCommand, WebhookReply, WorkspaceCommand},
        },
        worker::request::{random_bytes, read_form_body},
    },
};

pub(super) async fn show(
    visit: &Visit<'_>,
    webhook: WebhookId,
    id: DeliveryId,
    url: &Url,
) -> Result<Response, Detour> {
    let (workspace, webhook) = read_webhook(visit, Scope::WebhooksRead, webhook).await?;
    let record = ask(visit, &workspace, &webhook.id, WebhookCommand::Read { id }).await?;
    let done = url.query_pairs().find(|(name, _)| name == "done");
    let frame = visit.frame(&done.map(|(_, word)| word).unwrap_or_default());
    render(visit, 200, frame, webhook, record)
}

pub(super) async fn resend(
    visit: &Visit<'_>,
    webhook: WebhookId,
    id: DeliveryId,
) -> Result<Response, Detour> {
    let command = WebhookCommand::Resend { id: id.clone() };
    change(visit, webhook, id, command, Done::Resent).await
}

pub(super) async fn cancel(
    visit: &Visit<'_>,
    webhook: WebhookId,
    id: DeliveryId,
) -> Result<Response, Detour> {
    let command = WebhookCommand::Cancel { id: id.clone() };
    change(visit, webhook, id, command, Done::Cancelled).await
}

/// Changes a delivery; shows a refusal on its page.
async fn change(
    visit: &Visit<'_>,
    webhook: WebhookId,
    id: DeliveryId,
    command: WebhookCommand,
    done: Done,
) -> Result<Response, Detour> {
    read_form_body(&visit.request).await?;
    let (workspace, webhook) = read_webhook(visit, Scope::WebhooksWrite, webhook).await?;
    match ask(visit, &workspace, &webhook.id, command).await {
        Ok(_) => {
            let address = format!("{HOME}/{}/deliveries/{id}", webhook.id);
            Ok(see_other(format!("{address}?done={}", done.word())))
        }
        Err(error) if error.status() == 409 => {
            let read = WebhookCommand::Read { id };
            let record = ask(visit, &workspace, &webhook.id, read).await?;
            let frame = visit.frame_with(Some(Notice::Problem(sentence(&error))));
            render(visit, error.status(), frame, webhook, record)
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

async fn ask(
    visit: &Visit<'_>,
    workspace: &WorkspaceId,
    webhook: &WebhookId,
    command: WebhookCommand,
) -> Result<DeliveryRecord, ApiError> {
    match visit.ask_webhook(workspace, webhook, &command).await? {
        WebhookReply::Delivery(record) => Ok(*record),
        _ => Err(unexpected_reply()),
    }
}

pub(super) async fn start_resend(
    visit: &Visit<'_>,
    webhook: WebhookId,
) -> Result<Response, Detour> {
    let form = ResendForm::parse(&read_form_body(&visit.request).await?);
    let selection = match form.check() {
        Ok(selection) => selection,
        Err(error) => {
            let remarks = Remarks {
                resend_error: Some(error),
                ..Remarks::refused(422)
            };
            return detail::remark(visit, webhook, remarks).await;
        }
    };
    let id = ResendId::mint(now(), random_bytes()?);
    let command = WebhookCommand::StartJob {
        id: id.clone(),
        selection,
    };
    match change_job(visit, &webhook, &command).await {
        Ok(()) => Ok(to_job(&webhook, &id, Done::ResendStarted)),
        Err(Detour::Refused(error)) if error.status() == 409 => {
            let remarks = Remarks {
                problem: Some(sentence(&error)),
                ..Remarks::refused(error.status())
            };
            detail::remark(visit, webhook, remarks).await
        }
        Err(detour) => Err(detour),
    }
}

pub(super) async fn stop_resend(
    visit: &Visit<'_>,
    webhook: WebhookId,
    id: ResendId,
) -> Result<Response, Detour> {
    read_form_body(&visit.request).await?;
    let command = WebhookCommand::StopJob { id: id.clone() };
    change_job(visit, &webhook, &command).await?;
    Ok(to_job(&webhook, &id, Done::ResendStopped))
}

async fn change_job(
    visit: &Visit<'_>,
    webhook: &WebhookId,
    command: &WebhookCommand,
) -> Result<(), Detour> {
    let (workspace, _) = visit
        .ask(Scope::WebhooksWrite, WorkspaceCommand::Read)
        .await?;
    match visit.ask_webhook(&workspace, webhook, command).await? {
        WebhookReply::Job(_) => Ok(()),
        _ => Err(unexpected_reply().into()),
    }
}

fn to_job(webhook: &WebhookId, id: &ResendId, done: Done) -> Response {
    let done = done.word();
    see_other(format!("{HOME}/{webhook}?resend={id}&done={done}#resend"))
}
