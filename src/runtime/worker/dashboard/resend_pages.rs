//! Resending many deliveries: the page that says how many first, and the forms that start and stop it.

use super::{
    HOME,
    answers::{after, page, sentence},
    detail::{self, Remarks, read_webhook},
    visit::{Detour, Visit},
};
use crate::{
    dashboard::{
        frame::Done,
        resend::ResendPage,
        resend_form::{ResendErrors, ResendForm},
    },
    domain::{
        ids::{ResendId, WebhookId},
        token::Scope,
    },
    runtime::{
        platform::{
            entropy::now,
            http::{Response, pairs},
        },
        worker::{event_types, request::random_bytes},
    },
};

pub(super) async fn ask(visit: &Visit<'_>, webhook: WebhookId) -> Result<Response, Detour> {
    let query = visit.request.query()?;
    let form = ResendForm::parse_query(pairs(&query));
    show(visit, webhook, form, None).await
}

/// Shows what a form would resend, or what is wrong with it.
pub(super) async fn show(
    visit: &Visit<'_>,
    webhook: WebhookId,
    form: ResendForm,
    remark: Option<String>,
) -> Result<Response, Detour> {
    let (workspace, webhook) = read_webhook(visit, Scope::WebhooksWrite, webhook).await?;
    let (status, errors, preview) = match form.check() {
        Ok(selection) => {
            let client = visit.webhook(&workspace, &webhook.id);
            let preview = client.preview_resend(selection).await?;
            (200, ResendErrors::default(), Some(preview))
        }
        Err(errors) => (422, *errors, None),
    };
    let mut frame = visit.frame();
    frame.refused = status >= 400;
    let shown = ResendPage {
        frame,
        webhook,
        catalogue: event_types::catalogue(visit.env).await?,
        form,
        errors,
        preview,
        remark,
    };
    Ok(page(status, &shown)?)
}

pub(super) async fn start_resend(
    visit: &Visit<'_>,
    webhook: WebhookId,
) -> Result<Response, Detour> {
    let form = ResendForm::parse(visit.form().await?);
    let Ok(selection) = form.check() else {
        return show(visit, webhook, form, None).await;
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
