//! Listing, reading, putting and deleting event types over the API.

use worker::Env;

use super::{
    event_types::{catalogue, change},
    request::{Answer, json, no_content, read_json_body},
};
use crate::{
    api::{
        deliveries::Page,
        error::ApiError,
        event_types::{EventTypeSummary, EventTypeView, parse_event_type},
    },
    runtime::platform::{http::Request, object_calls::CatalogueCommand},
};

pub(super) async fn list(env: &Env) -> Answer {
    let catalogue = catalogue(env).await?;
    let types = catalogue.types.iter().map(EventTypeSummary::from);
    let page = Page {
        data: types.collect(),
        next_cursor: None,
    };
    json(200, &page)
}

/// Anybody may ask, so the catalogue's object is not asked for a name that the copy lacks.
pub(super) async fn read(env: &Env, name: &str) -> Answer {
    let catalogue = catalogue(env).await?;
    let entry = catalogue.entry(name);
    let entry = entry.ok_or(ApiError::NotFound("event type"))?;
    json(200, &EventTypeView::from(entry))
}

pub(super) async fn put(request: &Request, env: &Env, name: &str) -> Answer {
    let entry = parse_event_type(name, &read_json_body(request).await?)?;
    let created = change(env, &CatalogueCommand::Put(entry.clone())).await?;
    json(
        if created { 201 } else { 200 },
        &EventTypeView::from(&entry),
    )
}

pub(super) async fn delete(env: &Env, name: &str) -> Answer {
    let name = name.to_string();
    change(env, &CatalogueCommand::Delete { name }).await?;
    Ok(no_content())
}
