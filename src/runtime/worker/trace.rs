//! The outcome of an event: for each webhook its delivery, or why there is none.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use percent_encoding::percent_decode_str;
use worker::Env;

use crate::{
    api::{
        error::ApiError,
        traces::{TraceQuery, TraceView, TracedWebhook, parse_trace_query},
    },
    domain::{
        history::{Absence, SelectionChange, explain},
        ids::{EventId, WebhookId, WorkspaceId},
        record::DeliveryRecord,
        timestamp::Timestamp,
    },
    runtime::{
        platform::{
            entropy::now,
            http::pairs,
            object_calls::{WorkspaceCommand, WorkspaceReply},
        },
        worker::{
            event_types,
            object_clients::WebhookClient,
            request::{Answer, Call, json},
        },
    },
};

/// What the webhooks of a workspace selected and when.
pub(super) struct Selections {
    /// Each webhook, deleted ones too, with its changes, oldest first.
    webhooks: BTreeMap<WebhookId, Vec<SelectionChange>>,
    /// Since when they are all that there were; none if always.
    recorded_since: Option<Timestamp>,
}

impl Selections {
    /// Refuses a type that is neither in the catalogue nor ever was selected; one that is gone may be asked about.
    async fn check_type(&self, env: &Env, event_type: &str) -> Result<(), ApiError> {
        let mut changes = self.webhooks.values().flatten();
        if changes.any(|change| change.selects(event_type)) {
            return Ok(());
        }
        let found = event_types::read_with(env, |catalogue| {
            let unknown = |error| ApiError::UnknownEventType {
                field: "type".into(),
                error,
            };
            catalogue.find(event_type).map_err(unknown)
        });
        found.await.map(drop)
    }
}

/// The outcome of an event.
pub(super) struct Trace {
    pub(super) event_id: EventId,
    pub(super) event_type: String,
    /// The time for which a missing delivery is explained.
    pub(super) at: Timestamp,
    /// Since when the record that explains it is whole; none if it always was.
    pub(super) recorded_since: Option<Timestamp>,
    /// Each webhook of the workspace, deleted ones too: its delivery, or why it has none.
    pub(super) webhooks: Vec<(WebhookId, Result<DeliveryRecord, Absence>)>,
}

/// Answers a trace; `id` is the event's id, or the id of one of its deliveries.
pub(super) async fn show(call: Call<'_>, id: &str) -> Answer {
    let query = call.request.query()?;
    let query = parse_trace_query(pairs(&query))?;
    let id = percent_decode_str(id).decode_utf8_lossy();
    let event_id = EventId::parse(&id).map_err(|_| ApiError::NotFound("event"))?;
    let history = call.workspace().ask(&WorkspaceCommand::History, history);
    let (selections, _) = history.await?;
    let trace = trace(call.env, &call.workspace, selections, event_id, query).await?;
    let webhooks = trace
        .webhooks
        .into_iter()
        .map(|(webhook, found)| match found {
            Ok(record) => TracedWebhook::delivery(webhook, record),
            Err(absence) => TracedWebhook::absent(webhook, absence),
        });
    json(
        200,
        &TraceView {
            event_id: trace.event_id,
            event_type: trace.event_type,
            at: trace.at,
            recorded_since: trace.recorded_since,
            webhooks: webhooks.collect(),
        },
    )
}

/// Reads what each webhook selected and when, and the URLs of those that exist.
pub(super) fn history(reply: WorkspaceReply) -> Option<(Selections, Vec<(WebhookId, String)>)> {
    let WorkspaceReply::History {
        changes,
        urls,
        recorded_since,
    } = reply
    else {
        return None;
    };
    let mut webhooks = BTreeMap::<_, Vec<_>>::new();
    for change in changes {
        let own = webhooks.entry(change.webhook.clone());
        own.or_default().push(change);
    }
    let selections = Selections {
        webhooks,
        recorded_since,
    };
    Some((selections, urls))
}

/// Finds an event's deliveries, by the event's id or by that of one of them, and explains missing ones.
pub(super) async fn trace(
    env: &Env,
    workspace: &WorkspaceId,
    selections: Selections,
    mut event_id: EventId,
    TraceQuery { event_type, at }: TraceQuery,
) -> Result<Trace, ApiError> {
    if let Some(event_type) = &event_type {
        selections.check_type(env, event_type).await?;
    }
    let mut found = find(env, workspace, &selections, &event_id).await?;
    // `event_id` was a delivery's: the event's id finds the other deliveries.
    if let Some(other) = found
        .values()
        .map(|record| &record.event_id)
        .find(|other| **other != event_id)
    {
        event_id = other.clone();
        for (webhook, record) in find(env, workspace, &selections, &event_id).await? {
            found.entry(webhook).or_insert(record);
        }
    }
    let stored = found.values().next();
    let stored_type = stored.map(|record| record.event_type.clone());
    let event_type = stored_type.or(event_type).ok_or(ApiError::EventNotFound)?;
    let at = stored
        .map(|record| record.id.minted_at())
        .or(at)
        .unwrap_or_else(now);
    let recorded_since = selections.recorded_since;
    let webhooks = selections.webhooks.into_iter().map(|(webhook, changes)| {
        let delivery = found.remove(&webhook);
        let traced = delivery.ok_or_else(|| explain(&changes, &event_type, at, recorded_since));
        (webhook, traced)
    });
    let webhooks = webhooks.collect();
    Ok(Trace {
        event_id,
        event_type,
        at,
        recorded_since,
        webhooks,
    })
}

/// Asks the webhooks for their deliveries of an event.
async fn find(
    env: &Env,
    workspace: &WorkspaceId,
    selections: &Selections,
    event_id: &EventId,
) -> Result<BTreeMap<WebhookId, DeliveryRecord>, ApiError> {
    let live = selections
        .webhooks
        .iter()
        .filter(|(_, changes)| changes.last().is_some_and(|change| change.events.is_some()));
    let asked = live.map(|(webhook, _)| async {
        let client = WebhookClient {
            env,
            workspace,
            webhook,
        };
        let found = client.trace(event_id.clone()).await?;
        Ok(found.map(|record| (webhook.clone(), record)))
    });
    let found: Result<Vec<_>, ApiError> = join_all(asked).await.into_iter().collect();
    Ok(found?.into_iter().flatten().collect())
}
