//! Accepting events: drives the machine of a post, answers, and makes the first attempts.
//!
//! Each webhook has a task of its own that outlives the answer: it stores the deliveries, tells the machine what was
//! stored, and makes the attempts that it got leases for. So no attempt waits for another webhook's object or receiver,
//! and a granted lease is used even if the answer is 503.

mod task;

use std::{cell::RefCell, pin::pin, rc::Rc, time::Duration};

use futures_channel::{mpsc, oneshot};
use futures_util::{
    StreamExt,
    future::{join_all, select},
};
use worker::{Context, console_error};

use self::task::Task;
use crate::{
    api::{
        error::ApiError,
        events::{self as api, Accepted, AcceptedStatus, PostedEvents, parse_events},
    },
    domain::{budget::Budget, event::Event, ids::EventId},
    machines::{
        ingest::{
            AcceptedDelivery, AcceptedEvent, NoRoom, PostInput, PostMachine, PostRefusal, PostStep,
            batch::{Batch, Stored},
        },
        shift::Shift,
    },
    runtime::{
        platform::{
            config::config,
            entropy::{now, random, wait},
            faults::internal,
            object_calls::{CallError, ask_webhook},
        },
        sender::Connections,
        worker::{
            event_types,
            rate_limits::count_ingest,
            request::{Answer, Call, json, random_bytes, read_events_body},
            subscriptions,
        },
    },
};
#[cfg(feature = "test-hooks")]
use crate::{machines::recording, runtime::test_hooks};

pub(super) async fn post_events(mut call: Call<'_>, context: &Context) -> Answer {
    let config = config(call.env)?;
    let now = now();
    let body = read_events_body(&call.request).await?;
    let PostedEvents { array, events } = event_types::read_with(call.env, |catalogue| {
        parse_events(&body, catalogue, now, || {
            Ok(EventId::mint(now, random_bytes()?))
        })
    })
    .await?;
    drop(body);
    let events: Rc<[Event]> = events.into();
    let (known, key) = call.by.take().unzip();
    let budget = Rc::new(RefCell::new(Budget::new(config.policy.subrequests)));
    let connections = Rc::new(Connections::new());
    let posts = budget.borrow().posts();
    let mut machine = PostMachine::new(Rc::clone(&events), key, posts, now);
    let suffices = |snapshot: &_| machine.suffices(snapshot);
    let snapshot = subscriptions::read(call.env, &call.workspace, known, suffices).await?;
    let (attempted, mut first_attempt) = mpsc::unbounded();
    let store = |batches: Vec<Batch>, keys_revision| {
        let tasks = batches.into_iter().map(|mut batch| {
            batch.leases = budget.borrow_mut().take_posts(batch.leases);
            let (answer, answered) = oneshot::channel();
            let task = Task {
                attempted: attempted.clone(),
                env: call.env.clone(),
                config: Rc::clone(&config),
                budget: Rc::clone(&budget),
                connections: Rc::clone(&connections),
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
    let mut input = PostInput::Read(snapshot);
    let mut is_storing = false;
    #[cfg(feature = "test-hooks")]
    let whose = test_hooks::begin_life(recording::Kind::Post, "");
    loop {
        let step = handle(
            &mut machine,
            input,
            #[cfg(feature = "test-hooks")]
            &whose,
        );
        input = match step {
            PostStep::Count => {
                let units = || machine.count_matching();
                count_ingest(call.env, &call.workspace, units).await?;
                PostInput::Counted
            }
            PostStep::Recall { webhooks, command } => {
                let asked = webhooks.into_iter().map(|webhook| async {
                    let reply = ask_webhook(call.env, &call.workspace, &webhook, &command).await?;
                    Ok::<_, CallError>((webhook, reply))
                });
                let replies: Result<Vec<_>, _> = join_all(asked).await.into_iter().collect();
                PostInput::Recalled(replies.map_err(|error| console_error!("{error}")).ok())
            }
            PostStep::Store {
                batches,
                keys_revision,
            } => {
                if std::mem::replace(&mut is_storing, true) {
                    wait(Duration::ZERO).await;
                }
                let stored = store(batches, keys_revision).await.into_iter();
                // A task that ended without a result counts as an object that did not answer.
                PostInput::Stored(stored.map(|one| one.unwrap_or(Stored::Failed)).collect())
            }
            PostStep::AskWorkspace => {
                PostInput::Read(subscriptions::ask(call.env, &call.workspace).await?)
            }
            PostStep::WaitForAttempt(longest) => {
                select(first_attempt.next(), pin!(wait(longest))).await;
                PostInput::Waited
            }
            PostStep::Accept(accepted) => return answer(accepted, array),
            PostStep::Refuse(refusal) => return Err(refused(refusal, &events, array)),
        }
    }
}

fn handle(
    machine: &mut PostMachine,
    input: PostInput,
    #[cfg(feature = "test-hooks")] whose: &recording::Whose,
) -> PostStep {
    let draw = || random().ok();
    #[cfg(feature = "test-hooks")]
    if test_hooks::records() {
        return test_hooks::keep(recording::post(machine, whose.clone(), input, &draw));
    }
    machine.handle(input, &draw)
}

fn refused(refusal: PostRefusal, events: &[Event], array: bool) -> ApiError {
    match refusal {
        PostRefusal::Unauthorized => ApiError::Unauthorized,
        PostRefusal::NotStored => ApiError::NotStored {
            event_ids: events.iter().map(|event| event.id.clone()).collect(),
            array,
        },
        PostRefusal::Overloaded => ApiError::Overloaded {
            event_ids: events.iter().map(|event| event.id.clone()).collect(),
            array,
        },
        PostRefusal::NoRandomBytes => internal("making an id", &"no random bytes"),
    }
}

/// Answers in the form of the request.
fn answer(accepted: Vec<AcceptedEvent>, array: bool) -> Answer {
    let mut events: Vec<_> = accepted.into_iter().map(show).collect();
    match (array, events.pop()) {
        (false, Some(one)) => json(202, &Accepted::One(one)),
        (_, last) => {
            events.extend(last);
            json(202, &Accepted::Many { events })
        }
    }
}

fn show(accepted: AcceptedEvent) -> api::AcceptedEvent {
    let deliveries = accepted.deliveries.into_iter();
    api::AcceptedEvent {
        event_id: accepted.event_id,
        deliveries: deliveries.map(show_delivery).collect(),
    }
}

fn show_delivery(accepted: AcceptedDelivery) -> api::AcceptedDelivery {
    let (id, status, reason) = match accepted.delivery {
        Ok((id, status)) => (Some(id), status.into(), None),
        Err(NoRoom::Backlog) => (None, AcceptedStatus::Refused, Some("backlog_full")),
        Err(NoRoom::Storage) => (None, AcceptedStatus::Refused, Some("storage_full")),
    };
    api::AcceptedDelivery {
        id,
        webhook_id: accepted.webhook,
        status,
        duplicate: accepted.is_duplicate,
        reason,
    }
}
