//! Accepting events: find the matching webhooks, store a delivery with each, answer, and make the first attempts.
//!
//! Each webhook has a task of its own that outlives the answer: it stores the deliveries, tells the answer what was
//! stored, and makes the attempts that it got leases for. So no attempt waits for another webhook's object or receiver,
//! and a granted lease is used even if the answer is 503.
//!
//! While many attempts of a webhook are under way, the answer waits a little for the first one: producers that got it
//! sooner would only post more, and all first attempts would wait longer and longer.

mod task;

use std::{collections::HashMap, rc::Rc, time::Duration};

use futures_channel::{mpsc, oneshot};
use futures_util::{
    StreamExt,
    future::{join_all, select},
};
use serde_json::value::RawValue;
use worker::{Context, Delay, console_error};

use self::task::Task;
use super::{
    commands::{
        CallError, NewDelivery, Recalled, Taken, WebhookCommand, WebhookReply, ask_webhook,
    },
    config::config,
    entropy::now,
    faults::internal,
    rate_limits::count_ingest,
    request::{Answer, Call, json, random_bytes, read_json_body},
    subscriptions,
};
use crate::{
    api::{
        error::ApiError,
        events::{
            Accepted, AcceptedDelivery, AcceptedEvent, AcceptedStatus, PostedEvents, parse_events,
        },
    },
    domain::{
        delivery::Status,
        dispatch::{ANSWER_DELAY, share_leases},
        event::{Event, build_payload},
        ids::{DeliveryId, EventId, WebhookId},
        subscriptions::Snapshot,
        timestamp::Timestamp,
        token::Scope,
    },
};

/// How long the platform lets a Worker run on after its answer.
const WORKER_TIME: Duration = Duration::from_secs(30);

/// A webhook and its new deliveries, each with the index of its event in the request.
struct Batch {
    webhook: WebhookId,
    events: Vec<usize>,
    deliveries: Vec<NewDelivery>,
}

/// What a webhook answered for one event.
struct Found {
    webhook: WebhookId,
    taken: Taken,
    id: DeliveryId,
}

/// What a webhook answered for all events.
#[derive(Default)]
struct Stored {
    /// Each with the index of its event in the request.
    found: Vec<(usize, Found)>,
    busy: bool,
}

pub(super) async fn post_events(mut call: Call<'_>, context: &Context) -> Answer {
    call.caller.require(Scope::EventsWrite)?;
    count_ingest(call.env, &call.workspace).await?;
    let config = config(call.env)?;
    let now = now();
    let body = read_json_body(&call.request).await?;
    let PostedEvents { array, events } =
        parse_events(&body, now, || Ok(EventId::mint(now, random_bytes()?)))?;
    let suffices = |snapshot: &Snapshot| {
        events.iter().all(|event| {
            snapshot
                .matching(event.event_type.as_str())
                .next()
                .is_some()
        })
    };
    let snapshot =
        subscriptions::read(call.env, &call.workspace, call.snapshot.take(), suffices).await?;
    let not_stored = || ApiError::NotStored {
        event_ids: events.iter().map(|event| event.id.clone()).collect(),
        array,
    };

    let first = first_of_each_id(&events);
    let mut found = recall(&call, &snapshot, &events).await.map_err(|error| {
        console_error!("{error}");
        not_stored()
    })?;
    let batches = batches(&snapshot, &events, &first, &found, now)?;
    let shares = share_leases(
        &batches
            .iter()
            .map(|batch| batch.deliveries.len())
            .collect::<Vec<_>>(),
    );
    let (attempted, mut first_attempt) = mpsc::unbounded();
    let tasks = batches.into_iter().zip(shares).map(|(batch, leases)| {
        let (answer, answered) = oneshot::channel();
        let task = Task {
            attempted: attempted.clone(),
            env: call.env.clone(),
            config: Rc::clone(&config),
            workspace: call.workspace.clone(),
            until: now.saturating_add(WORKER_TIME),
        };
        context.wait_until(async move { task.run(batch, leases, answer).await });
        answered
    });
    let mut busy = false;
    for stored in join_all(tasks.collect::<Vec<_>>()).await {
        // A task that ended without a result counts as an object that did not answer.
        let Ok(Some(stored)) = stored else {
            return Err(not_stored());
        };
        busy |= stored.busy;
        for (event, delivery) in stored.found {
            found.entry(event).or_default().push(delivery);
        }
    }
    drop(attempted);
    if busy {
        select(first_attempt.next(), Delay::from(ANSWER_DELAY)).await;
    }
    let answers = events.iter().enumerate().map(|(index, event)| {
        let original = first.get(&event.id).copied().unwrap_or(index);
        let deliveries = found.get(&original).into_iter().flatten();
        let deliveries = deliveries
            .filter_map(|found| show(found, original != index))
            .collect();
        AcceptedEvent {
            event_id: event.id.clone(),
            deliveries,
        }
    });
    let mut answers: Vec<_> = answers.collect();
    match (array, answers.pop()) {
        (false, Some(one)) => json(202, &Accepted::One(one)),
        (_, last) => {
            answers.extend(last);
            json(202, &Accepted::Many { events: answers })
        }
    }
}

/// The first index of each event id: later events with the same id are duplicates of that one.
fn first_of_each_id(events: &[Event]) -> HashMap<EventId, usize> {
    let mut first = HashMap::new();
    for (index, event) in events.iter().enumerate() {
        first.entry(event.id.clone()).or_insert(index);
    }
    first
}

/// Finds deliveries that earlier posts of the same ids made under another type: the first post wins, even if the
/// webhooks of this type do not know it. If all webhooks select the same types, accepting finds duplicates anyway.
async fn recall(
    call: &Call<'_>,
    snapshot: &Snapshot,
    events: &[Event],
) -> Result<HashMap<usize, Vec<Found>>, CallError> {
    let given = || {
        events
            .iter()
            .enumerate()
            .filter(|(_, event)| event.id_given)
    };
    if given().next().is_none() || !snapshot.selections_differ() {
        return Ok(HashMap::new());
    }
    let command = WebhookCommand::Recall {
        event_ids: given().map(|(_, event)| event.id.clone()).collect(),
    };
    let asked = snapshot.webhooks.iter().map(|webhook| async {
        let reply = ask_webhook(call.env, &call.workspace, &webhook.id, &command).await?;
        Ok::<_, CallError>((webhook.id.clone(), reply))
    });
    let mut found: HashMap<usize, Vec<Found>> = HashMap::new();
    for asked in join_all(asked).await {
        let (webhook, WebhookReply::Recalled(recalled)) = asked? else {
            continue;
        };
        for ((index, event), recalled) in given().zip(recalled) {
            let other_type = |recalled: &Recalled| recalled.event_type != event.event_type.as_str();
            if let Some(recalled) = recalled.filter(other_type) {
                let id = recalled.id.clone();
                let taken = Taken::Duplicate(recalled);
                found.entry(index).or_default().push(Found {
                    webhook: webhook.clone(),
                    taken,
                    id,
                });
            }
        }
    }
    Ok(found)
}

/// The new deliveries of each webhook.
fn batches(
    snapshot: &Snapshot,
    events: &[Event],
    first: &HashMap<EventId, usize>,
    found: &HashMap<usize, Vec<Found>>,
    now: Timestamp,
) -> Result<Vec<Batch>, ApiError> {
    let mut batches = Vec::new();
    for webhook in &snapshot.webhooks {
        let is_new = |(index, event): &(usize, &Event)| {
            let is_first = first.get(&event.id) == Some(index);
            is_first && !found.contains_key(index) && webhook.selects(event.event_type.as_str())
        };
        let selected: Vec<_> = events.iter().enumerate().filter(is_new).collect();
        if selected.is_empty() {
            continue;
        }
        let ids = selected
            .iter()
            .map(|_| Ok(DeliveryId::mint(now, random_bytes()?)));
        let mut ids = ids.collect::<Result<Vec<_>, ApiError>>()?;
        // Lists show the deliveries in the order of the array.
        ids.sort_unstable();
        let deliveries = selected.iter().zip(ids);
        batches.push(Batch {
            webhook: webhook.id.clone(),
            events: selected.iter().map(|(index, _)| *index).collect(),
            deliveries: deliveries
                .map(|((_, event), id)| new_delivery(event, id))
                .collect::<Result<_, _>>()?,
        });
    }
    Ok(batches)
}

/// `id` must have the time of a generated event id, by which the object finds the delivery again.
fn new_delivery(event: &Event, id: DeliveryId) -> Result<NewDelivery, ApiError> {
    let payload = build_payload(
        &id,
        event.event_type.as_str(),
        &event.timestamp,
        &event.data,
    );
    let payload =
        RawValue::from_string(payload).map_err(|error| internal("building a payload", &error))?;
    Ok(NewDelivery {
        id,
        event_id: event.id.clone(),
        event_id_given: event.id_given,
        event_type: event.event_type.as_str().to_string(),
        payload,
    })
}

fn show(found: &Found, duplicate: bool) -> Option<AcceptedDelivery> {
    let (id, status, earlier) = match &found.taken {
        Taken::New { status } => (Some(&found.id), accepted(*status), false),
        Taken::Duplicate(recalled) => (Some(&recalled.id), accepted(recalled.status), true),
        Taken::BacklogFull => (None, AcceptedStatus::Refused, false),
        Taken::NotSelected => return None,
    };
    Some(AcceptedDelivery {
        id: id.cloned(),
        webhook_id: found.webhook.clone(),
        status,
        duplicate: duplicate || earlier,
        reason: id.is_none().then_some("backlog_full"),
    })
}

const fn accepted(status: Status) -> AcceptedStatus {
    match status {
        Status::Pending => AcceptedStatus::Pending,
        Status::Delivered => AcceptedStatus::Delivered,
        Status::Failed => AcceptedStatus::Failed,
        Status::Held => AcceptedStatus::Held,
    }
}
