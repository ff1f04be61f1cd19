//! Changes of webhooks as commands, and their results, for the API and the dashboard: a checked change is sealed here,
//! and has succeeded only if the webhook's object has it.

use crate::{
    api::{error::ApiError, webhook_views::SecretView, webhooks},
    domain::{
        event_type::EventType,
        idempotency_key::Idempotent,
        ids::WebhookId,
        sealed::{EncryptionKeys, Field},
        secret::Secret,
        webhook::{Rotation, Status, Webhook, WebhookDraft},
    },
    runtime::{
        platform::{
            entropy::now,
            faults::internal,
            object_calls::{NewWebhook, WebhookChange, WorkspaceCommand},
            sealing::{seal, seal_headers},
        },
        worker::{object_clients::applied, request::random_bytes},
    },
};

/// Makes the command that creates a webhook; returns it with the secret, given by the owner or generated.
pub(super) fn creation(
    keys: &EncryptionKeys,
    id: WebhookId,
    new: WebhookDraft,
    idempotent: Option<Idempotent>,
) -> Result<(WorkspaceCommand, Secret), ApiError> {
    let secret = given_or_generated(new.secret)?;
    let webhook = NewWebhook {
        url: new.url.as_str().to_string(),
        events: names(&new.events),
        description: new.description,
        headers: seal_headers(keys, &id, &new.headers).map_err(|error| not_sealed(&error))?,
        secret: seal(keys, &id, Field::Secret, secret.expose())
            .map_err(|error| not_sealed(&error))?,
        pace: new.pace,
    };
    let command = WorkspaceCommand::CreateWebhook {
        id,
        webhook,
        idempotent,
    };
    Ok((command, secret))
}

/// Makes the command that changes a webhook.
pub(super) fn change(
    keys: &EncryptionKeys,
    id: WebhookId,
    change: webhooks::WebhookChange,
) -> Result<WorkspaceCommand, ApiError> {
    let headers = change.headers.as_deref();
    let headers = headers.map(|headers| seal_headers(keys, &id, headers));
    let change = WebhookChange {
        url: change.url.map(|url| url.as_str().to_string()),
        events: change.events.as_deref().map(names),
        description: change.description,
        headers: headers.transpose().map_err(|error| not_sealed(&error))?,
        enabled: match change.status {
            Some(Status::Enabled) => Some(true),
            Some(Status::Disabled) => Some(false),
            Some(Status::Paused) | None => None,
        },
        paused: change.status == Some(Status::Paused),
        pace: change.pace,
        sign_header_with: change.sign_header_with,
    };
    Ok(WorkspaceCommand::ChangeWebhook { id, change })
}

/// Makes the command that rotates a webhook's secret.
pub(super) fn rotation(
    keys: &EncryptionKeys,
    id: WebhookId,
    rotation: Rotation,
) -> Result<WorkspaceCommand, ApiError> {
    let is_generated = rotation.secret.is_none();
    let secret = given_or_generated(rotation.secret)?;
    Ok(WorkspaceCommand::RotateSecret {
        is_generated,
        secret: seal(keys, &id, Field::Secret, secret.expose())
            .map_err(|error| not_sealed(&error))?,
        id,
        overlap_seconds: rotation.overlap_seconds,
        sign_header_with: rotation.sign_header_with,
    })
}

/// Returns the created webhook; an error, which names it, if its object does not have it.
pub(super) fn created((webhook, applied): (Webhook, bool)) -> Result<Webhook, ApiError> {
    if applied {
        return Ok(webhook);
    }
    Err(ApiError::NotApplied {
        webhook_id: Some(webhook.id),
    })
}

/// Returns the changed webhook; an error if its object does not have the change.
pub(super) fn changed((webhook, is_applied): (Webhook, bool)) -> Result<Webhook, ApiError> {
    applied(is_applied).map(|()| webhook)
}

/// Opens a webhook's secret, for callers that may see it.
pub(super) fn reveal_secret(
    keys: &EncryptionKeys,
    webhook: &Webhook,
) -> Result<SecretView, ApiError> {
    let settings = &webhook.settings;
    let secret = keys
        .open(&settings.secret, &webhook.id, Field::Secret)
        .map_err(|error| internal("showing a secret", &error))?;
    let previous = settings.overlap(now());
    Ok(SecretView {
        secret,
        previous_expires_at: previous.map(|previous| previous.expires_at),
        sign_header_with: previous
            .map(|previous| previous.sign_header_with)
            .unwrap_or_default(),
    })
}

fn given_or_generated(secret: Option<Secret>) -> Result<Secret, ApiError> {
    match secret {
        Some(secret) => Ok(secret),
        None => Ok(Secret::generate(random_bytes()?)),
    }
}

fn names(types: &[EventType]) -> Vec<String> {
    types
        .iter()
        .map(|event_type| event_type.as_str().to_string())
        .collect()
}

fn not_sealed(error: &worker::Error) -> ApiError {
    internal("sealing a value", error)
}
