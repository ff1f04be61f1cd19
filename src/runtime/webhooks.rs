//! Creating, reading, changing and deleting webhooks.

use serde_json::value::{RawValue, to_raw_value};

use super::{
    commands::{
        NewDelivery, NewWebhook, WebhookChange, WebhookCommand, WebhookReply, WorkspaceCommand,
        WorkspaceReply, ask_webhook, ask_workspace,
    },
    entropy::now,
    request::{
        Answer, Call, internal, json, no_content, random_bytes, read_json_body, unavailable,
        unexpected_reply, url_rules,
    },
    sealing::{seal, seal_headers},
    sender, subscriptions,
};
use crate::{
    api::{
        deliveries::{DeliveryView, Page},
        error::ApiError,
        webhooks::{
            CreatedWebhook, Rotation, SecretView, WebhookView, parse_new_webhook, parse_rotation,
            parse_test, parse_webhook_change,
        },
    },
    domain::{
        delivery::Kind,
        event::build_payload,
        event_type::EventType,
        ids::{DeliveryId, EventId, WebhookId},
        secret::Secret,
        token::Scope,
        webhook::Webhook,
    },
};

pub(super) async fn create(mut call: Call<'_>) -> Answer {
    call.caller.require(Scope::WebhooksWrite)?;
    let rules = url_rules(&call.request, call.policy);
    let new = parse_new_webhook(&read_json_body(&mut call.request).await?, &rules)?;
    let secret = match new.secret {
        Some(secret) => secret,
        None => Secret::generate(random_bytes()?),
    };
    let id = WebhookId::mint(now(), random_bytes()?);
    let webhook = NewWebhook {
        url: new.url.as_str().to_string(),
        events: names(&new.events),
        description: new.description,
        headers: seal_headers(call.keys, &id, &new.headers).map_err(|error| not_sealed(&error))?,
        secret: seal(call.keys, &id, secret.expose()).map_err(|error| not_sealed(&error))?,
    };
    let command = WorkspaceCommand::CreateWebhook {
        id: id.clone(),
        webhook,
    };
    let webhook = changed(&call, command).await?;
    let ping = probe(&call, &id, Kind::Ping, EventType::ping(), &ping_data(&id)?).await;
    let webhook = view(&call, webhook, true)?;
    json(
        201,
        &CreatedWebhook {
            webhook,
            secret: secret.expose().to_string(),
            ping: ping.ok(),
        },
    )
}

pub(super) async fn list(call: Call<'_>) -> Answer {
    call.caller.require(Scope::WebhooksRead)?;
    let may_write = call.caller.has(Scope::WebhooksWrite);
    match ask(&call, &WorkspaceCommand::ListWebhooks).await? {
        WorkspaceReply::Webhooks(webhooks) => {
            let data = webhooks
                .into_iter()
                .map(|webhook| view(&call, webhook, may_write))
                .collect::<Result<_, _>>()?;
            json(
                200,
                &Page {
                    data,
                    next_cursor: None,
                },
            )
        }
        WorkspaceReply::Refused(refusal) => Err(refusal.into()),
        _ => Err(unexpected_reply()),
    }
}

pub(super) async fn read(call: Call<'_>, id: WebhookId) -> Answer {
    call.caller.require(Scope::WebhooksRead)?;
    match ask(&call, &WorkspaceCommand::ReadWebhook { id }).await? {
        WorkspaceReply::Webhook { webhook, .. } => json(
            200,
            &view(&call, *webhook, call.caller.has(Scope::WebhooksWrite))?,
        ),
        WorkspaceReply::Refused(refusal) => Err(refusal.into()),
        _ => Err(unexpected_reply()),
    }
}

pub(super) async fn change(mut call: Call<'_>, id: WebhookId) -> Answer {
    call.caller.require(Scope::WebhooksWrite)?;
    let rules = url_rules(&call.request, call.policy);
    let change = parse_webhook_change(&read_json_body(&mut call.request).await?, &rules)?;
    let headers = change.headers.as_deref();
    let headers = headers.map(|headers| seal_headers(call.keys, &id, headers));
    let change = WebhookChange {
        url: change.url.map(|url| url.as_str().to_string()),
        events: change.events.as_deref().map(names),
        description: change.description,
        headers: headers.transpose().map_err(|error| not_sealed(&error))?,
        enabled: change.enabled,
    };
    let webhook = changed(&call, WorkspaceCommand::ChangeWebhook { id, change }).await?;
    json(200, &view(&call, webhook, true)?)
}

pub(super) async fn delete(call: Call<'_>, id: WebhookId) -> Answer {
    call.caller.require(Scope::WebhooksWrite)?;
    let reply = ask(&call, &WorkspaceCommand::DeleteWebhook { id }).await?;
    subscriptions::forget_answer(&call.workspace);
    match reply {
        WorkspaceReply::Done { applied: true } => Ok(no_content()),
        WorkspaceReply::Done { applied: false } => Err(ApiError::NotApplied),
        WorkspaceReply::Refused(refusal) => Err(refusal.into()),
        _ => Err(unexpected_reply()),
    }
}

pub(super) async fn read_secret(call: Call<'_>, id: WebhookId) -> Answer {
    call.caller.require(Scope::WebhooksWrite)?;
    match ask(&call, &WorkspaceCommand::ReadWebhook { id }).await? {
        WorkspaceReply::Webhook { webhook, .. } => json(200, &secret_view(&call, &webhook)?),
        WorkspaceReply::Refused(refusal) => Err(refusal.into()),
        _ => Err(unexpected_reply()),
    }
}

pub(super) async fn rotate_secret(mut call: Call<'_>, id: WebhookId) -> Answer {
    call.caller.require(Scope::WebhooksWrite)?;
    let Rotation {
        secret,
        overlap_seconds,
    } = parse_rotation(&read_json_body(&mut call.request).await?)?;
    let secret = match secret {
        Some(secret) => secret,
        None => Secret::generate(random_bytes()?),
    };
    let secret = seal(call.keys, &id, secret.expose()).map_err(|error| not_sealed(&error))?;
    let webhook = changed(
        &call,
        WorkspaceCommand::RotateSecret {
            id,
            secret,
            overlap_seconds,
        },
    )
    .await?;
    json(200, &secret_view(&call, &webhook)?)
}

pub(super) async fn test(mut call: Call<'_>, id: WebhookId) -> Answer {
    call.caller.require(Scope::WebhooksWrite)?;
    let event_type = parse_test(&read_json_body(&mut call.request).await?)?;
    let sample = event_type
        .sample()
        .ok_or_else(|| internal("making a test", &"the type has no sample"))?;
    json(
        200,
        &probe(&call, &id, Kind::Test, event_type, sample).await?,
    )
}

fn secret_view(call: &Call<'_>, webhook: &Webhook) -> Result<SecretView, ApiError> {
    let settings = &webhook.settings;
    let secret = call.keys.open(&settings.secret, &webhook.id);
    let secret = secret.map_err(|error| internal("showing a secret", &error))?;
    let previous = settings
        .previous_secret
        .as_ref()
        .filter(|previous| now() < previous.expires_at);
    Ok(SecretView {
        secret,
        previous_expires_at: previous.map(|previous| previous.expires_at),
    })
}

async fn ask(call: &Call<'_>, command: &WorkspaceCommand) -> Result<WorkspaceReply, ApiError> {
    ask_workspace(call.env, &call.workspace, command)
        .await
        .map_err(|error| unavailable(&error))
}

/// Asks for a change of a webhook; it is good only when the webhook's object has it.
async fn changed(call: &Call<'_>, command: WorkspaceCommand) -> Result<Webhook, ApiError> {
    let reply = ask(call, &command).await?;
    subscriptions::forget_answer(&call.workspace);
    match reply {
        WorkspaceReply::Webhook {
            webhook,
            applied: true,
        } => Ok(*webhook),
        WorkspaceReply::Webhook { applied: false, .. } => Err(ApiError::NotApplied),
        WorkspaceReply::Refused(refusal) => Err(refusal.into()),
        _ => Err(unexpected_reply()),
    }
}

/// Makes the one attempt of a ping or a test, and shows the delivery that it became.
async fn probe(
    call: &Call<'_>,
    webhook: &WebhookId,
    kind: Kind,
    event_type: EventType,
    data: &RawValue,
) -> Result<DeliveryView, ApiError> {
    let now = now();
    let id = DeliveryId::mint(now, random_bytes()?);
    let payload = build_payload(&id, event_type.as_str(), &now.to_string(), data);
    let payload = RawValue::from_string(payload);
    let payload = payload.map_err(|error| internal("building a payload", &error))?;
    let delivery = NewDelivery {
        id: id.clone(),
        event_id: EventId::mint(now, random_bytes()?),
        event_id_given: false,
        event_type: event_type.as_str().to_string(),
        payload: payload.clone(),
    };
    let ask = |command| async move {
        ask_webhook(call.env, &call.workspace, webhook, &command)
            .await
            .map_err(|error| unavailable(&error))
    };
    let mut grant = match ask(WebhookCommand::Probe { kind, delivery }).await? {
        WebhookReply::Granted(Some(grant)) => grant,
        WebhookReply::Refused(refusal) => return Err(refusal.into()),
        _ => return Err(unexpected_reply()),
    };
    grant.payload = Some(payload);
    let report = sender::attempt(grant, webhook, call.policy, call.keys).await;
    ask(WebhookCommand::Report(Box::new(report))).await?;
    match ask(WebhookCommand::Read { id }).await? {
        WebhookReply::Delivery(record) => {
            let shown = DeliveryView::whole(
                *record,
                webhook.clone(),
                call.keys,
                call.caller.has(Scope::WebhooksWrite),
            );
            shown.map_err(|error| internal("showing a delivery", &error))
        }
        WebhookReply::Refused(refusal) => Err(refusal.into()),
        _ => Err(unexpected_reply()),
    }
}

fn ping_data(webhook: &WebhookId) -> Result<Box<RawValue>, ApiError> {
    to_raw_value(&serde_json::json!({ "webhook_id": webhook }))
        .map_err(|error| internal("building a payload", &error))
}

fn view(call: &Call<'_>, webhook: Webhook, may_write: bool) -> Result<WebhookView, ApiError> {
    WebhookView::new(webhook, call.keys, may_write)
        .map_err(|error| internal("showing a webhook", &error))
}

fn not_sealed(error: &worker::Error) -> ApiError {
    internal("sealing a value", error)
}

fn names(types: &[EventType]) -> Vec<String> {
    types
        .iter()
        .map(|event_type| event_type.as_str().to_string())
        .collect()
}
