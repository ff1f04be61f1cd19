//! Creating, reading, changing and deleting webhooks over the API.

use std::time::Duration;

use futures_util::future::join;
use worker::console_error;

use crate::{
    api::{
        deliveries::{DeliveryView, Page},
        error::ApiError,
        webhook_views::{CreatedWebhook, WebhookView},
        webhooks::{NewTest, parse_new_webhook, parse_rotation, parse_test, parse_webhook_change},
    },
    domain::{
        catalogue::Catalogue,
        idempotency_key::Creation,
        ids::{DeliveryId, WebhookId},
        token::Scope,
        webhook::Webhook,
    },
    runtime::{
        platform::{
            entropy::{now, wait},
            faults::internal,
            object_calls::WorkspaceCommand,
        },
        worker::{
            event_types,
            object_clients::{Made, changed_webhook, made, webhook, webhooks},
            probes,
            request::{
                Answer, Call, answer_again, creation_answer, idempotency_key, json, no_content,
                random_bytes, read_json_body, url_rules,
            },
            webhook_changes::{self, changed, created, reveal_secret},
        },
    },
};

/// How long to wait before the ping of another call is read again.
const BETWEEN_READS: Duration = Duration::from_millis(100);

pub(super) async fn create(call: Call<'_>) -> Answer {
    let rules = url_rules(&call.request, &call.config.policy);
    let key = idempotency_key(&call.request)?;
    let body = read_json_body(&call.request).await?;
    let policy = &call.config.policy;
    let new = event_types::read_with(call.env, |catalogue| {
        parse_new_webhook(&body, &rules, policy, catalogue)
    })
    .await?;
    let idempotent = key.as_ref().map(|key| key.of(Creation::Webhook, &body));
    let id = WebhookId::mint(now(), random_bytes()?);
    let (command, _) = webhook_changes::creation(&call.config.keys, id, new, idempotent.clone())?;
    let webhook = match call
        .workspace()
        .change(&command, made(changed_webhook))
        .await?
    {
        Made::First(made) => created(made)?,
        Made::Before(answer) => return answer_again(key.as_ref(), &answer),
    };
    // If the creation is repeated, this is an earlier webhook with its own generated secret.
    let secret = reveal_secret(&call.config.keys, &webhook)?.secret;
    let id = webhook.id.clone();
    let ping = match probes::ping(call.env, call.config, &call.workspace, &id).await {
        Ok(ping) => read_ended_probe(&call, &id, ping).await,
        Err(error) => Err(error),
    };
    let webhook = view(&call, webhook, true)?;
    let shown = CreatedWebhook {
        webhook,
        secret,
        ping: ping.ok(),
    };
    let (answer, kept) = creation_answer(&shown, key.as_ref(), idempotent)?;
    if let Some(kept) = kept {
        // Without it a repeated creation still finds the webhook, and answers with what it is then.
        let command = WorkspaceCommand::KeepAnswer(kept);
        if let Err(error) = call.workspace().ask(&command, |_| Some(())).await {
            console_error!("keeping the answer to a creation: {error}");
        }
    }
    Ok(answer)
}

pub(super) async fn list(call: Call<'_>) -> Answer {
    let may_write = call.caller.has(Scope::WebhooksWrite);
    let webhooks = call
        .workspace()
        .ask(&WorkspaceCommand::ListWebhooks, webhooks);
    let webhooks = webhooks.await?.into_iter();
    let views = webhooks.map(|webhook| view(&call, webhook, may_write));
    let page = Page {
        data: views.collect::<Result<_, _>>()?,
        next_cursor: None,
    };
    json(200, &page)
}

pub(super) async fn read(call: Call<'_>, id: WebhookId) -> Answer {
    let may_write = call.caller.has(Scope::WebhooksWrite);
    let client = call.webhook(&id);
    let (webhook, gauges) = join(read_webhook(&call, id.clone()), client.gauges()).await;
    let gauges = match gauges {
        Ok(gauges) => gauges,
        // What its owner set, and what the object last told, is known all the same.
        Err(error) => {
            console_error!("{id}: its health is not known: {}", error.code());
            None
        }
    };
    let view = view(&call, webhook?, may_write)?;
    match gauges {
        Some(gauges) => json(200, &view.with_gauges(&gauges)),
        None => json(200, &view),
    }
}

pub(super) async fn change(call: Call<'_>, id: WebhookId) -> Answer {
    let rules = url_rules(&call.request, &call.config.policy);
    let body = read_json_body(&call.request).await?;
    let policy = &call.config.policy;
    let read = |selected: &[String], catalogue: &Catalogue| {
        parse_webhook_change(&body, &rules, policy, catalogue.selectable(selected))
    };
    let change = match event_types::read_with(call.env, |catalogue| read(&[], catalogue)).await {
        // The webhook may have selected a type that is gone: it may keep it.
        Err(ApiError::UnknownEventType { .. }) => {
            let selected = read_webhook(&call, id.clone()).await?.settings.events;
            read(&selected, &*event_types::catalogue(call.env).await?)
        }
        read => read,
    }?;
    let command = webhook_changes::change(&call.config.keys, id, change)?;
    let webhook = changed(call.workspace().change(&command, changed_webhook).await?)?;
    json(200, &view(&call, webhook, true)?)
}

pub(super) async fn delete(call: Call<'_>, id: WebhookId) -> Answer {
    let command = WorkspaceCommand::DeleteWebhook { id };
    call.workspace().change_and_apply(&command).await?;
    Ok(no_content())
}

pub(super) async fn read_secret(call: Call<'_>, id: WebhookId) -> Answer {
    let webhook = read_webhook(&call, id).await?;
    json(200, &reveal_secret(&call.config.keys, &webhook)?)
}

async fn read_webhook(call: &Call<'_>, id: WebhookId) -> Result<Webhook, ApiError> {
    let command = WorkspaceCommand::ReadWebhook { id };
    call.workspace().ask(&command, webhook).await
}

pub(super) async fn rotate_secret(call: Call<'_>, id: WebhookId) -> Answer {
    let rotation = parse_rotation(&read_json_body(&call.request).await?)?;
    let command = webhook_changes::rotation(&call.config.keys, id, rotation)?;
    let webhook = changed(call.workspace().change(&command, changed_webhook).await?)?;
    json(200, &reveal_secret(&call.config.keys, &webhook)?)
}

pub(super) async fn end_overlap(call: Call<'_>, id: WebhookId) -> Answer {
    let command = WorkspaceCommand::EndOverlap { id };
    call.workspace().change_and_apply(&command).await?;
    Ok(no_content())
}

pub(super) async fn test(call: Call<'_>, id: WebhookId) -> Answer {
    let body = read_json_body(&call.request).await?;
    let parsed = event_types::read_with(call.env, |catalogue| parse_test(&body, catalogue));
    let NewTest { event_type, data } = parsed.await?;
    // The payload has a copy of it.
    drop(body);
    let (env, config, workspace) = (call.env, call.config, &call.workspace);
    let test = probes::test(env, config, workspace, &id, &event_type, &data).await?;
    json(200, &read_probe(&call, &id, test).await?)
}

/// Reads the delivery of a ping, when its attempt is over: a repeated creation may find the ping of the first under way.
async fn read_ended_probe(
    call: &Call<'_>,
    webhook: &WebhookId,
    id: DeliveryId,
) -> Result<DeliveryView, ApiError> {
    let until = now().saturating_add(call.config.policy.lease_length());
    loop {
        let probe = read_probe(call, webhook, id.clone()).await?;
        if !probe.is_pending() || now() >= until {
            return Ok(probe);
        }
        wait(BETWEEN_READS).await;
    }
}

/// Reads the delivery of a ping or test.
async fn read_probe(
    call: &Call<'_>,
    webhook: &WebhookId,
    id: DeliveryId,
) -> Result<DeliveryView, ApiError> {
    let record = call.webhook(webhook).read(id).await?;
    let may_write = call.caller.has(Scope::WebhooksWrite);
    DeliveryView::whole(record, webhook.clone(), &call.config.keys, may_write)
        .map_err(|error| internal("showing a delivery", &error))
}

fn view(call: &Call<'_>, webhook: Webhook, may_write: bool) -> Result<WebhookView, ApiError> {
    WebhookView::new(webhook, &call.config.keys, may_write)
        .map_err(|error| internal("showing a webhook", &error))
}
