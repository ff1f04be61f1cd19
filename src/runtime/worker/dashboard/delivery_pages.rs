//! The page of a delivery, and resending it.

use super::{
    HOME,
    answers::{after, download, page, sentence},
    detail::{read_webhook, sent_parts},
    visit::{Detour, Visit},
};
use crate::{
    api::{
        error::ApiError,
        header_views::{HIDDEN, show_headers},
    },
    dashboard::{
        delivery::{AttemptRequest, DeliveryPage, Source},
        delivery_query::DeliveryQuery,
        detail_query::DetailQuery,
        frame::{Done, Frame, Notice},
        probe::SentParts,
    },
    domain::{
        attempt::Attempt,
        ids::{DeliveryId, WebhookId, WorkspaceId},
        record::DeliveryRecord,
        request_headers::{admits, own_headers},
        sealed::{EncryptionKeys, Field, Sealed, SealedError},
        secret::{Secret, SigningSecrets},
        signature::{SignatureHeaders, sign},
        timestamp::Timestamp,
        token::Scope,
        webhook::Webhook,
    },
    runtime::{
        platform::{
            faults::internal,
            http::{Response, pairs},
        },
        worker::object_clients::WebhookClient,
    },
};

pub(super) async fn show(
    visit: &Visit<'_>,
    webhook: WebhookId,
    id: DeliveryId,
) -> Result<Response, Detour> {
    let (webhook, record) = read(visit, webhook, id).await?;
    render(visit, 200, visit.frame(), webhook, record)
}

/// Answers with the payload as it is signed and sent.
pub(super) async fn payload(
    visit: &Visit<'_>,
    webhook: WebhookId,
    id: DeliveryId,
) -> Result<Response, Detour> {
    let (_, record) = read(visit, webhook, id).await?;
    let payload = record.payload.ok_or(ApiError::NotFound("payload"))?;
    Ok(download(
        &format!("{}.json", record.id),
        payload.get().to_string(),
    ))
}

/// Answers with all that is kept of the body of an attempt's response.
pub(super) async fn response_body(
    visit: &Visit<'_>,
    webhook: WebhookId,
    id: DeliveryId,
) -> Result<Response, Detour> {
    let query = delivery_query(visit)?;
    let (_, record) = read(visit, webhook, id).await?;
    let kept = query.opened(&record).and_then(|attempt| {
        let body = attempt.response_body.clone()?;
        Some(download(
            &format!("{}-attempt-{}.txt", record.id, attempt.attempt),
            body,
        ))
    });
    Ok(kept.ok_or(ApiError::NotFound("response"))?)
}

async fn read(
    visit: &Visit<'_>,
    webhook: WebhookId,
    id: DeliveryId,
) -> Result<(Webhook, DeliveryRecord), Detour> {
    let (workspace, webhook) = read_webhook(visit, Scope::WebhooksRead, webhook).await?;
    let record = visit.webhook(&workspace, &webhook.id).read(id).await?;
    Ok((webhook, record))
}

fn delivery_query(visit: &Visit<'_>) -> Result<DeliveryQuery, ApiError> {
    let query = visit.request.query()?;
    Ok(DeliveryQuery::parse(pairs(&query)))
}

/// Reads from which part of the log the delivery was opened.
fn log_query(visit: &Visit<'_>) -> Result<DetailQuery, ApiError> {
    let query = visit.request.query()?;
    Ok(DetailQuery::parse(pairs(&query)))
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
            let log = log_query(visit)?.suffix('?');
            let address = format!("{HOME}/{}/deliveries/{id}{log}", webhook.id);
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
    let query = delivery_query(visit)?;
    let opened = query.opened(&record);
    let request = opened.map(|attempt| attempt_request(visit, &webhook, &record, attempt));
    let request = request
        .transpose()
        .map_err(|error| internal("showing a delivery", &error))?
        .flatten();
    let shown = DeliveryPage {
        frame,
        query,
        log: log_query(visit)?,
        webhook,
        record,
        request,
    };
    Ok(page(status, &shown)?)
}

/// The request of an attempt: as it is kept, or made again as the Sender made it.
fn attempt_request(
    visit: &Visit<'_>,
    webhook: &Webhook,
    record: &DeliveryRecord,
    attempt: &Attempt,
) -> Result<Option<AttemptRequest>, SealedError> {
    let (keys, may_write) = (&visit.config.keys, visit.may_write());
    if let Some(sent) = &record.request {
        let parts = sent_parts(Some(sent), &webhook.id, keys, may_write)?;
        return Ok(parts.map(|parts| AttemptRequest {
            parts,
            source: Source::Kept,
        }));
    }
    let is_unchanged = webhook.updated_at <= attempt.started_at;
    let knows_values = is_unchanged && may_write;
    let signature = match record.payload.as_ref().filter(|_| knows_values) {
        Some(payload) => sign(
            &signing_secrets(keys, webhook, attempt.started_at)?,
            record.id.as_ref(),
            attempt.started_at.as_seconds(),
            payload.get().as_bytes(),
        ),
        None => SignatureHeaders {
            hex: HIDDEN.into(),
            id: record.id.to_string(),
            timestamp: attempt.started_at.as_seconds().to_string(),
            standard: HIDDEN.into(),
        },
    };
    let brand = &visit.config.policy.brand;
    let mut own = own_headers(brand, &record.event_type, attempt.attempt, &signature);
    let mut custom = webhook.settings.headers.clone();
    custom.retain(|header| admits(&mut own, &header.name));
    let custom = show_headers(&custom, &webhook.id, keys, knows_values)?;
    let custom = custom
        .into_iter()
        .map(|(name, value)| (name.to_ascii_lowercase(), value));
    Ok(Some(AttemptRequest {
        parts: SentParts {
            url: webhook.settings.url.clone(),
            headers: own.into_iter().chain(custom).collect(),
        },
        source: if is_unchanged {
            Source::Recomputed
        } else {
            Source::Changed
        },
    }))
}

/// The secrets that signed an attempt of a webhook whose settings have not changed since.
fn signing_secrets(
    keys: &EncryptionKeys,
    webhook: &Webhook,
    at: Timestamp,
) -> Result<SigningSecrets, SealedError> {
    let open = |sealed: &Sealed| {
        let secret = keys.open(sealed, &webhook.id, Field::Secret)?;
        Secret::stored(&secret).map_err(|_| SealedError::Damaged)
    };
    let previous = webhook.settings.previous_secret.as_ref();
    let previous = previous.filter(|previous| at < previous.expires_at);
    Ok(SigningSecrets {
        sign_header_with: previous
            .map(|previous| previous.sign_header_with)
            .unwrap_or_default(),
        current: open(&webhook.settings.secret)?,
        previous: previous
            .map(|previous| open(&previous.secret))
            .transpose()?,
    })
}
