//! Reads what the page of a webhook shows, and renders it; rendered again, with a remark, if a form posted from it is refused.

use super::{
    HOME,
    answers::{page, see_other},
    visit::{Detour, Visit},
};
use crate::{
    api::{deliveries::show_sent_headers, error::ApiError, header_views::show_headers},
    dashboard::{
        detail::DetailPage,
        detail_query::DetailQuery,
        forms::{RotateForm, WebhookErrors, WebhookForm},
        frame::Notice,
        kept_form::Kept,
        probe::{Probe, SentParts},
        words,
    },
    domain::{
        ids::{EventId, WebhookId, WorkspaceId},
        record::SentRequest,
        resend::{BulkResend, BulkResendStatus},
        sealed::{EncryptionKeys, SealedError},
        token::Scope,
        webhook::Webhook,
    },
    runtime::{
        platform::{
            entropy::now,
            faults::internal,
            http::{Response, pairs},
            object_calls::{Shown, Wanted, WorkspaceCommand, next_page},
        },
        worker::{event_types, object_clients::webhook, webhook_changes::reveal_secret},
    },
};

/// What the page says about a form that was refused.
#[derive(Default)]
pub(super) struct Remarks {
    pub(super) status: u16,
    pub(super) form: Option<(WebhookForm, WebhookErrors)>,
    pub(super) rotation: Option<(RotateForm, String)>,
    /// A problem that belongs to no field.
    pub(super) problem: Option<String>,
    /// A form that was kept while its author signed in again.
    pub(super) kept: Option<Kept>,
    /// Whether to show the secret.
    pub(super) shows_secret: bool,
}

impl Remarks {
    pub(super) fn refused(status: u16) -> Self {
        Self {
            status,
            ..Self::default()
        }
    }
}

pub(super) async fn show(visit: &Visit<'_>, id: WebhookId) -> Result<Response, Detour> {
    let query = visit.request.query()?;
    let query = DetailQuery::parse(pairs(&query));
    render(visit, Scope::WebhooksRead, id, query, Remarks::refused(200)).await
}

/// Shows the page with the secret, which is in no answer to a GET.
pub(super) async fn reveal(visit: &Visit<'_>, id: WebhookId) -> Result<Response, Detour> {
    visit.form().await?;
    let remarks = Remarks {
        shows_secret: true,
        ..Remarks::refused(200)
    };
    remark(visit, id, remarks).await
}

/// Shows the page after a refusal.
pub(super) async fn remark(
    visit: &Visit<'_>,
    id: WebhookId,
    remarks: Remarks,
) -> Result<Response, Detour> {
    let query = DetailQuery::default();
    render(visit, Scope::WebhooksWrite, id, query, remarks).await
}

async fn render(
    visit: &Visit<'_>,
    needs: Scope,
    id: WebhookId,
    query: DetailQuery,
    remarks: Remarks,
) -> Result<Response, Detour> {
    let (workspace, webhook) = read_webhook(visit, needs, id).await?;
    let shown = read_shown(visit, &workspace, &webhook.id, &query).await?;
    if let Some(found) = &shown.looked_up {
        return Ok(see_other(format!(
            "{HOME}/{}/deliveries/{found}",
            webhook.id
        )));
    }
    let may_write = visit.may_write();
    let keys = &visit.config.keys;
    let read = |error: SealedError| internal("showing a webhook", &error);
    let headers =
        show_headers(&webhook.settings.headers, &webhook.id, keys, may_write).map_err(read)?;
    let (form, errors) = remarks.form.unwrap_or_else(|| {
        (
            WebhookForm::of(&webhook, &headers),
            WebhookErrors::default(),
        )
    });
    let (rotation, rotation_error) = match remarks.rotation {
        Some((form, error)) => (form, Some(error)),
        None => (RotateForm::default(), None),
    };
    let secret = if may_write && remarks.shows_secret {
        Some(reveal_secret(keys, &webhook)?.secret)
    } else {
        None
    };
    let probe = shown.delivery.map(|record| {
        let request =
            sent_parts(record.request.as_ref(), &webhook.id, keys, may_write).map_err(read)?;
        Ok::<_, ApiError>(Probe { record, request })
    });
    let probe = probe.transpose()?;
    let attempt = probe
        .as_ref()
        .and_then(|probe| probe.record.attempts.last());
    let notice = match remarks.problem {
        Some(problem) => Some(Notice::Problem(problem)),
        None => visit.done().map(|done| Notice::of(done, attempt)),
    };
    let mut frame = visit.frame_with(notice);
    frame.refused = remarks.status >= 400 || query.refuses();
    let shown = DetailPage {
        frame,
        kept: remarks.kept,
        form,
        errors,
        rotation,
        rotation_error,
        secret,
        probe,
        hours: Some(shown.hours),
        bulk_resend: shown
            .bulk_resend
            .filter(|bulk_resend| is_wanted(bulk_resend, &query)),
        catalogue: event_types::catalogue(visit.env).await?,
        older: next_page(&shown.deliveries, shown.more, shown.next),
        deliveries: shown.deliveries,
        usual_schedule: words::schedule(&visit.config.policy.schedule),
        head: shown.head,
        lateness: shown.lateness,
        health: shown.health,
        last: shown.last,
        failures: shown.failures,
        id_error: (!query.id.is_empty()).then(|| UNKNOWN_ID.to_string()),
        webhook,
        query,
    };
    Ok(page(remarks.status, &shown)?)
}

const UNKNOWN_ID: &str = "This webhook has no delivery of that event. Write a delivery id, which begins with evt_, or your own event_id.";

fn is_wanted(bulk_resend: &BulkResend, query: &DetailQuery) -> bool {
    bulk_resend.status == BulkResendStatus::Running
        || query.resend.as_ref() == Some(&bulk_resend.id)
}

/// Reads a webhook of the session's workspace.
pub(super) async fn read_webhook(
    visit: &Visit<'_>,
    needs: Scope,
    id: WebhookId,
) -> Result<(WorkspaceId, Webhook), Detour> {
    let command = WorkspaceCommand::ReadWebhook { id };
    visit.ask(needs, command, webhook).await
}

async fn read_shown(
    visit: &Visit<'_>,
    workspace: &WorkspaceId,
    webhook: &WebhookId,
    query: &DetailQuery,
) -> Result<Shown, ApiError> {
    let wanted = Wanted {
        hours: query.chart.hours(),
        durations: true,
        deliveries: Some(query.filter(now())),
        delivery: query.test.clone().or_else(|| query.created.clone()),
        looked_up: EventId::parse(&query.id).ok(),
        failures: true,
        bulk_resend: true,
    };
    visit.webhook(workspace, webhook).show(wanted).await
}

/// Shows what is kept of the request of a ping or test.
pub(super) fn sent_parts(
    request: Option<&SentRequest>,
    webhook: &WebhookId,
    keys: &EncryptionKeys,
    may_write: bool,
) -> Result<Option<SentParts>, SealedError> {
    let show = |request: &SentRequest| {
        Ok(SentParts {
            url: request.url.clone(),
            headers: show_sent_headers(request, webhook, keys, may_write)?,
        })
    };
    request.map(show).transpose()
}
