//! Accepting events: find the matching webhooks, store a delivery with each, answer, and make the first attempts.
//!
//! Each webhook has a task of its own that outlives the answer: it stores the deliveries, tells the answer what was
//! stored, and makes the attempts that it got leases for. So no attempt waits for another webhook's object or receiver,
//! and a granted lease is used even if the answer is 503.
//!
//! The posted data is held once, whatever number of webhooks it goes to: what is stored and what is sent is written from
//! it, and commands to objects that would take much memory together go one after the other.
//!
//! While many attempts of a webhook are under way, the answer waits a little for the first one: producers that got it
//! sooner would only post more, and all first attempts would wait longer and longer.

mod duplicates;

mod task;

use std::{
    cell::RefCell,
    collections::{HashMap, VecDeque},
    rc::Rc,
    time::Duration,
};

use futures_channel::{mpsc, oneshot};
use futures_util::{
    StreamExt,
    future::{join_all, select},
};
use worker::{Context, Delay, console_error};

use self::{
    duplicates::{Earlier, recall},
    task::Task,
};
use super::{
    commands::Taken,
    config::config,
    entropy::{now, wait},
    rate_limits::count_ingest,
    request::{Answer, Call, json, random_bytes, read_events_body},
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
        budget::Budget,
        delivery::Status,
        dispatch::{ANSWER_DELAY, WORKER_LEASES, send_together, share_leases},
        event::Event,
        ids::{DeliveryId, EventId, WebhookId},
        subscriptions::{Snapshot, Subscription},
        timestamp::Timestamp,
        token::{Scope, TokenHash},
    },
    machines::shift::Shift,
};

/// A webhook and its new deliveries.
struct Batch {
    webhook: WebhookId,
    /// Each with the index of its event in the request.
    deliveries: Vec<(usize, DeliveryId)>,
    /// How many leases it asks for.
    leases: usize,
}

impl Batch {
    /// About how many bytes its command has.
    fn length(&self, events: &[Event]) -> usize {
        let events = self
            .deliveries
            .iter()
            .filter_map(|(index, _)| events.get(*index));
        events
            .map(Event::length_in_command)
            .fold(0, usize::saturating_add)
    }
}

/// What a webhook answered for one event.
struct Found {
    webhook: WebhookId,
    taken: Taken,
    id: DeliveryId,
}

/// What a webhook answered for all events.
enum Stored {
    Done {
        /// Each with the index of its event in the request.
        found: Vec<(usize, Found)>,
        busy: bool,
    },
    /// A key has been revoked since the copy of the keys was made; nothing is stored.
    StaleKey(Batch),
    /// Its object did not answer.
    Failed,
}

pub(super) async fn post_events(mut call: Call<'_>, context: &Context) -> Answer {
    call.caller.require(Scope::EventsWrite)?;
    let config = config(call.env)?;
    let now = now();
    let body = read_events_body(&call.request).await?;
    let PostedEvents { array, events } =
        parse_events(&body, now, || Ok(EventId::mint(now, random_bytes()?)))?;
    drop(body);
    let events: Rc<[Event]> = events.into();
    let (known, key) = call.by.take().unzip();
    let snapshot = subscriptions::read(call.env, &call.workspace, known, |snapshot| {
        matches_all(snapshot, &events)
    })
    .await?;
    let keys_revision = judge(&snapshot, key.as_ref())?;
    count_ingest(call.env, &call.workspace, &snapshot, &events).await?;
    let not_stored = || ApiError::NotStored {
        event_ids: events.iter().map(|event| event.id.clone()).collect(),
        array,
    };

    let first = first_of_each_id(&events);
    let Earlier {
        mut found,
        first: posted,
    } = recall(&call, &snapshot, &events, now)
        .await
        .map_err(|error| {
            console_error!("{error}");
            not_stored()
        })?;
    let is_new = |index: usize, event: &Event, webhook: &Subscription| {
        let is_first = first.get(&event.id) == Some(&index) && !found.contains_key(&index);
        let event_type = event.event_type.as_str();
        is_first
            && match posted.get(&index) {
                Some(posted) => posted.concerns(webhook, event_type),
                None => webhook.selects(event_type),
            }
    };
    let budget = Rc::new(RefCell::new(Budget::new(config.policy.subrequests)));
    let mut left = batches(&snapshot, &events, is_new, now)?;
    share(budget.borrow_mut().take_posts(WORKER_LEASES), &mut left);
    let (attempted, mut first_attempt) = mpsc::unbounded();
    let store = |batches: Vec<Batch>, keys_revision| {
        let tasks = batches.into_iter().map(|batch| {
            let (answer, answered) = oneshot::channel();
            let task = Task {
                attempted: attempted.clone(),
                env: call.env.clone(),
                config: Rc::clone(&config),
                budget: Rc::clone(&budget),
                workspace: call.workspace.clone(),
                keys_revision,
                shift: Shift::of_invocation(now, &config.policy),
            };
            let events = Rc::clone(&events);
            context.wait_until(async move { task.run(events, batch, answer).await });
            answered
        });
        join_all(tasks.collect::<Vec<_>>())
    };
    let mut busy = false;
    let mut keys_revision = keys_revision;
    let mut is_repeated = false;
    while !left.is_empty() {
        let together = send_together(left.iter().map(|batch| batch.length(&events)));
        let together = left.drain(..together.min(left.len())).collect();
        let mut refused = Vec::new();
        for stored in store(together, keys_revision).await {
            // A task that ended without a result counts as an object that did not answer.
            match stored.unwrap_or(Stored::Failed) {
                Stored::Done {
                    found: stored,
                    busy: is_busy,
                } => {
                    busy |= is_busy;
                    for (event, delivery) in stored {
                        found.entry(event).or_default().push(delivery);
                    }
                }
                Stored::StaleKey(batch) if !is_repeated => refused.push(batch),
                Stored::StaleKey(_) | Stored::Failed => return Err(not_stored()),
            }
        }
        if !refused.is_empty() {
            left.extend(refused);
            let present = subscriptions::ask(call.env, &call.workspace).await?;
            keys_revision = judge(&present, key.as_ref())?;
            is_repeated = true;
        }
        if !left.is_empty() {
            // Others are answered before the next commands are written.
            wait(Duration::ZERO).await;
        }
    }
    drop(attempted);
    if busy {
        select(first_attempt.next(), Delay::from(ANSWER_DELAY)).await;
    }
    answer(&events, array, &first, &found)
}

/// Whether each event has a matching webhook; if not, one may have been made since.
fn matches_all(snapshot: &Snapshot, events: &[Event]) -> bool {
    let has_match = |event: &Event| {
        snapshot
            .matching(event.event_type.as_str())
            .next()
            .is_some()
    };
    events.iter().all(has_match)
}

/// Judges a key by a snapshot, which may be newer than the one that let its caller in; returns the revision of the keys
/// in it. Other callers have not been let in by a snapshot.
fn judge(snapshot: &Snapshot, key: Option<&TokenHash>) -> Result<Option<u64>, ApiError> {
    let Some(key) = key else {
        return Ok(None);
    };
    match snapshot.scopes_of(key) {
        Some(scopes) if scopes.contains(&Scope::EventsWrite) => Ok(Some(snapshot.keys_revision)),
        _ => Err(ApiError::Unauthorized),
    }
}

fn answer(
    events: &[Event],
    array: bool,
    first: &HashMap<EventId, usize>,
    found: &HashMap<usize, Vec<Found>>,
) -> Answer {
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

/// The new deliveries of each webhook, without leases yet. Their ids have the time of a generated event id, by which an
/// object finds a delivery again.
fn batches(
    snapshot: &Snapshot,
    events: &[Event],
    is_new: impl Fn(usize, &Event, &Subscription) -> bool,
    now: Timestamp,
) -> Result<VecDeque<Batch>, ApiError> {
    let mut batches = VecDeque::new();
    for webhook in &snapshot.webhooks {
        let selected = events.iter().enumerate();
        let selected: Vec<_> = selected
            .filter(|(index, event)| is_new(*index, event, webhook))
            .map(|(index, _)| index)
            .collect();
        if selected.is_empty() {
            continue;
        }
        let ids = selected
            .iter()
            .map(|_| Ok(DeliveryId::mint(now, random_bytes()?)));
        let mut ids = ids.collect::<Result<Vec<_>, ApiError>>()?;
        // Lists show the deliveries in the order of the array.
        ids.sort_unstable();
        batches.push_back(Batch {
            webhook: webhook.id.clone(),
            deliveries: selected.into_iter().zip(ids).collect(),
            leases: 0,
        });
    }
    Ok(batches)
}

/// Shares leases among the webhooks.
fn share(leases: usize, batches: &mut VecDeque<Batch>) {
    let wanted: Vec<_> = batches.iter().map(|batch| batch.deliveries.len()).collect();
    let shares = share_leases(leases, &wanted);
    for (batch, share) in batches.iter_mut().zip(shares) {
        batch.leases = share;
    }
}

fn show(found: &Found, duplicate: bool) -> Option<AcceptedDelivery> {
    let (id, status, earlier) = match &found.taken {
        Taken::New { status } => (Some(&found.id), accepted(*status), false),
        Taken::Duplicate(recalled) => (Some(&recalled.id), accepted(recalled.status), true),
        Taken::BacklogFull | Taken::StorageFull => (None, AcceptedStatus::Refused, false),
        Taken::NotSelected => return None,
    };
    Some(AcceptedDelivery {
        id: id.cloned(),
        webhook_id: found.webhook.clone(),
        status,
        duplicate: duplicate || earlier,
        reason: match found.taken {
            Taken::BacklogFull => Some("backlog_full"),
            Taken::StorageFull => Some("storage_full"),
            _ => None,
        },
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
