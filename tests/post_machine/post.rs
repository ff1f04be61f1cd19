//! A post, and what it is made of.

use std::{cell::Cell, collections::BTreeMap, rc::Rc};

use serde_json::value::RawValue;
use webhook_relay::{
    domain::{
        delivery::Status,
        event::Event,
        event_type::EventType,
        ids::{EventId, WebhookId, WorkspaceId},
        subscriptions::{KeyGrant, Snapshot, Subscription},
        timestamp::Timestamp,
        token::{Scope, TokenHash},
        workspace::Workspace,
    },
    machines::{
        ingest::{AcceptedEvent, PostInput, PostMachine, PostStep, batch::Batch},
        messages::{Acceptance, WebhookReply},
    },
};

pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
pub(crate) const ALERT: &str = "alert.triggered";
pub(crate) const ERROR: &str = "agent.error";

pub(crate) fn event(id: &str, is_given: bool, event_type: &str) -> Event {
    Event {
        id: EventId::parse(id).unwrap(),
        id_given: is_given,
        event_type: EventType::parse(event_type).unwrap(),
        timestamp: "2026-01-15T10:30:00Z".into(),
        data: RawValue::from_string("{}".into()).unwrap(),
    }
}

pub(crate) fn webhook(number: u8) -> WebhookId {
    WebhookId::mint(NOW, [number; 10])
}

pub(crate) fn selecting(number: u8, events: &[&str]) -> Subscription {
    Subscription {
        id: webhook(number),
        events: events.iter().map(ToString::to_string).collect(),
        since: BTreeMap::new(),
    }
}

pub(crate) fn snapshot(
    revision: u64,
    webhooks: Vec<Subscription>,
    keys: &[(&str, &[Scope])],
) -> Rc<Snapshot> {
    let workspace = Workspace {
        id: WorkspaceId::parse("ws_a").unwrap(),
        name: String::new(),
        created_at: NOW,
        deleted_at: None,
        revision,
        keys_revision: revision,
    };
    let keys = keys.iter().map(|(key, scopes)| KeyGrant {
        hash: TokenHash::of(key),
        scopes: scopes.to_vec(),
    });
    Rc::new(Snapshot::new(&workspace, webhooks, keys.collect()))
}

/// A post, and random bytes that are not.
pub(crate) struct Post {
    pub(crate) machine: PostMachine,
    drawn: Cell<u8>,
}

impl Post {
    pub(crate) fn of(events: Vec<Event>, key: Option<&str>) -> Self {
        Self {
            machine: PostMachine::new(events.into(), key.map(TokenHash::of), 6, NOW),
            drawn: Cell::new(0),
        }
    }

    pub(crate) fn next(&mut self, input: PostInput) -> PostStep {
        let drawn = &self.drawn;
        self.machine.handle(input, &|| {
            drawn.set(drawn.get() + 1);
            Some([drawn.get(); 10])
        })
    }

    /// Reads a snapshot and is counted.
    pub(crate) fn begin(&mut self, snapshot: Rc<Snapshot>) -> PostStep {
        assert!(matches!(
            self.next(PostInput::Read(snapshot)),
            PostStep::Count
        ));
        self.next(PostInput::Counted)
    }

    /// Lets each batch be replied to.
    pub(crate) fn reply(
        &mut self,
        batches: Vec<Batch>,
        reply: impl Fn(&Batch) -> Option<WebhookReply>,
    ) -> PostStep {
        let stored = batches.into_iter().map(|batch| {
            let reply = reply(&batch);
            batch.read(reply).stored
        });
        let stored = stored.collect();
        self.next(PostInput::Stored(stored))
    }
}

pub(crate) fn batches(step: PostStep) -> (Vec<Batch>, Option<u64>) {
    match step {
        PostStep::Store {
            batches,
            keys_revision,
        } => (batches, keys_revision),
        other => panic!("{other:?}"),
    }
}

pub(crate) fn accepted(step: PostStep) -> Vec<AcceptedEvent> {
    match step {
        PostStep::Accept(events) => events,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn taken(batch: &Batch, busy: bool) -> WebhookReply {
    let new = || Acceptance::New {
        status: Status::Pending,
    };
    WebhookReply::Accepted {
        waits_for: None,
        deliveries: batch.deliveries.iter().map(|_| new()).collect(),
        grants: Vec::new(),
        busy,
    }
}
