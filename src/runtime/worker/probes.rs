//! Pings and tests: one attempt, made at once by the Worker that got the request.

use serde_json::value::{RawValue, to_raw_value};
use worker::Env;

use crate::{
    api::error::ApiError,
    domain::{
        delivery::Kind,
        event::Payload,
        event_type::EventType,
        ids::{DeliveryId, EventId, WebhookId, WorkspaceId},
    },
    runtime::{
        platform::{
            config::Config, entropy::now, faults::internal, object_calls::NewDelivery,
            observer::Observer,
        },
        sender,
        worker::{object_clients::WebhookClient, request::random_bytes},
    },
};

/// Sends a ping to a new webhook; returns its delivery. If its creation is repeated, the ping is not.
pub(super) async fn ping(
    env: &Env,
    config: &Config,
    workspace: &WorkspaceId,
    webhook: &WebhookId,
) -> Result<DeliveryId, ApiError> {
    let data = to_raw_value(&serde_json::json!({ "webhook_id": webhook }))
        .map_err(|error| internal("building a payload", &error))?;
    let probe = Probe {
        kind: Kind::Ping,
        event_type: &EventType::ping(),
        data: &data,
    };
    probe.send(env, config, workspace, webhook).await
}

/// Sends a test event; returns its delivery.
pub(super) async fn test(
    env: &Env,
    config: &Config,
    workspace: &WorkspaceId,
    webhook: &WebhookId,
    event_type: &EventType,
    data: &RawValue,
) -> Result<DeliveryId, ApiError> {
    let probe = Probe {
        kind: Kind::Test,
        event_type,
        data,
    };
    probe.send(env, config, workspace, webhook).await
}

struct Probe<'a> {
    kind: Kind,
    event_type: &'a EventType,
    data: &'a RawValue,
}

impl Probe<'_> {
    async fn send(
        self,
        env: &Env,
        config: &Config,
        workspace: &WorkspaceId,
        webhook: &WebhookId,
    ) -> Result<DeliveryId, ApiError> {
        let now = now();
        let id = DeliveryId::mint(now, random_bytes()?);
        let event_type = self.event_type.as_str();
        let payload = to_raw_value(&Payload {
            id: &id,
            event_type,
            timestamp: &now.to_string(),
            data: self.data,
        });
        let payload = payload.map_err(|error| internal("building a payload", &error))?;
        let delivery = NewDelivery {
            id: id.clone(),
            event_id: EventId::mint(now, random_bytes()?),
            event_id_given: false,
            event_type: event_type.to_string(),
            payload: payload.clone(),
        };
        let client = WebhookClient {
            env,
            workspace,
            webhook,
        };
        let mut grant = match client.probe(self.kind, delivery).await? {
            Ok(grant) => grant,
            Err(earlier) => return Ok(earlier),
        };
        grant.payload = Some(payload);
        let observer = Observer::new(env, workspace.as_ref(), webhook.as_ref());
        let report = sender::attempt(grant, webhook, config, &observer).await;
        let report = report.map_err(|fault| internal("sending", &fault))?;
        client.report(report).await?;
        Ok(id)
    }
}
