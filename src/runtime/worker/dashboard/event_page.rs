//! Looking up the outcome of an event.

use std::collections::BTreeMap;

use super::{
    answers::page,
    visit::{Detour, Visit},
};
use crate::{
    api::{error::ApiError, traces::TraceQuery},
    dashboard::event::{EventPage, EventQuery, Trace, TracedWebhook},
    domain::{
        ids::{EventId, WebhookId},
        token::Scope,
    },
    runtime::{
        platform::{
            http::{Response, pairs},
            object_calls::WorkspaceCommand,
        },
        worker::{event_types, trace},
    },
};

const NOT_FOUND: &str = "No delivery of this event is kept. Choose its type and the time at which it was posted to see why.";

pub(super) async fn show(visit: &Visit<'_>) -> Result<Response, Detour> {
    let query = visit.request.query()?;
    let query = EventQuery::parse(pairs(&query));
    let command = WorkspaceCommand::History;
    let asked = visit.ask(Scope::WebhooksRead, command, trace::history);
    let (workspace, (selections, urls)) = asked.await?;
    let mut type_error = None;
    let (status, error, trace) = match question(&query) {
        Err(error) => (422, error, None),
        Ok(None) => (200, None, None),
        Ok(Some((id, asked))) => {
            let found = trace::trace(visit.env, &workspace, selections, id, asked).await;
            match found {
                Ok(found) => (200, None, Some(with_urls(found, urls))),
                Err(ApiError::UnknownEventType { .. }) => {
                    type_error = Some("Choose one of the event types.".to_string());
                    (422, None, None)
                }
                Err(ApiError::EventNotFound) => (404, Some(NOT_FOUND.to_string()), None),
                Err(error) => return Err(error.into()),
            }
        }
    };
    let mut frame = visit.frame();
    frame.refused = status >= 400;
    let shown = EventPage {
        frame,
        catalogue: event_types::catalogue(visit.env).await?,
        query,
        error,
        type_error,
        trace,
    };
    Ok(page(status, &shown)?)
}

/// Parses the search form; none if no id was typed. Refuses what is invalid, with what is wrong with the id: the field of
/// the time says itself what is wrong with it.
fn question(query: &EventQuery) -> Result<Option<(EventId, TraceQuery)>, Option<String>> {
    if query.id.is_empty() {
        return Ok(None);
    }
    let unreadable = "An id has 1 to 128 letters, digits and the characters . _ : -";
    let id = EventId::parse(&query.id).map_err(|_| Some(unreadable.to_string()))?;
    if query.at.error().is_some() {
        return Err(None);
    }
    let typed = Some(query.event_type.as_str()).filter(|name| !name.is_empty());
    let asked = TraceQuery {
        event_type: typed.map(ToString::to_string),
        at: query.at.time(),
    };
    Ok(Some((id, asked)))
}

fn with_urls(found: trace::Trace, urls: Vec<(WebhookId, String)>) -> Trace {
    let mut urls: BTreeMap<_, _> = urls.into_iter().collect();
    let webhooks = found.webhooks.into_iter().map(|(id, found)| TracedWebhook {
        url: urls.remove(&id),
        id,
        found: found.map(Box::new),
    });
    Trace {
        event_id: found.event_id,
        event_type: found.event_type,
        at: found.at,
        recorded_since: found.recorded_since,
        webhooks: webhooks.collect(),
    }
}
