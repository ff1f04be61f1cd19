//! The machine of one post: which webhooks get which deliveries of the posted events, and what the producer is answered
//! when.
//!
//! **What may happen to it** is a [`PostInput`], **what it asks for** a [`PostStep`], one at a time. The order of a
//! driver's calls: read a snapshot that [`PostMachine::suffices`], give it to [`PostMachine::handle`], then carry out
//! each step and give back what came of it, until the step is an answer.
//!
//! Invariants:
//! - A key is judged by each snapshot before anything is counted, asked or stored by it.
//! - Nothing is stored before the webhooks were asked for earlier posts of the same events, if these may differ.
//! - "Accepted" is answered only when every matching webhook has answered that it stored or refused its deliveries.
//! - One copy of the posted data: batches have only the places of their events.

pub mod batch;

mod earlier;

pub mod snapshots;

use std::{
    collections::{BTreeMap, VecDeque},
    rc::Rc,
    time::Duration,
};

use self::{
    batch::{Batch, Found, Stored},
    earlier::Earlier,
};
use super::messages::{Acceptance, WebhookCommand, WebhookReply};
use crate::domain::{
    delivery::Status,
    dispatch::{ANSWER_DELAY, send_together, share_leases},
    event::Event,
    ids::{DeliveryId, EventId, WebhookId},
    subscriptions::{Snapshot, Subscription},
    timestamp::Timestamp,
    token::{Scope, TokenHash},
};
use crate::mutants::Mutant;

/// What may happen to a post.
#[derive(Debug)]
#[cfg_attr(feature = "test-hooks", derive(serde::Serialize, serde::Deserialize))]
pub enum PostInput {
    /// A snapshot of the workspace was read, at first, or after the step `AskWorkspace`.
    Read(Rc<Snapshot>),
    /// The post was counted, and no limit is reached.
    Counted,
    /// The webhooks' replies to `Recall`; none if one did not answer.
    Recalled(Option<Vec<(WebhookId, WebhookReply)>>),
    /// What became of each batch of the step `Store`.
    Stored(Vec<Stored>),
    /// A first attempt of these deliveries ended, or the wait did.
    Waited,
}

/// What a post asks for.
#[derive(Debug)]
#[cfg_attr(feature = "test-hooks", derive(serde::Serialize))]
pub enum PostStep {
    /// Count the post, as often as [`PostMachine::count_matching`] says.
    Count,
    /// Ask webhooks for earlier posts of the events.
    Recall {
        /// Whom to ask.
        webhooks: Vec<WebhookId>,
        /// What to ask.
        command: Box<WebhookCommand>,
    },
    /// Let webhooks store their batches, all at the same time. If there was a step like this before, let others that
    /// wait in this isolate be answered first.
    Store {
        /// One for each webhook.
        batches: Vec<Batch>,
        /// For their commands.
        keys_revision: Option<u64>,
    },
    /// Ask the workspace's object for its snapshot: the copy's keys are too old.
    AskWorkspace,
    /// Wait for the end of a first attempt, at most so long.
    WaitForAttempt(Duration),
    /// Answer that the events are accepted.
    Accept(Vec<AcceptedEvent>),
    /// Refuse the post.
    Refuse(PostRefusal),
}

/// An accepted event.
#[derive(Debug, PartialEq, Eq)]
#[cfg_attr(feature = "test-hooks", derive(serde::Serialize))]
pub struct AcceptedEvent {
    /// The producer's id, or the generated one.
    pub event_id: EventId,
    /// One for each webhook that selected its type.
    pub deliveries: Vec<AcceptedDelivery>,
}

/// A webhook's delivery of an accepted event.
#[derive(Debug, PartialEq, Eq)]
#[cfg_attr(feature = "test-hooks", derive(serde::Serialize))]
pub struct AcceptedDelivery {
    /// The webhook.
    pub webhook: WebhookId,
    /// Its id and status, or why the webhook has no room for it.
    pub delivery: Result<(DeliveryId, Status), NoRoom>,
    /// Whether an earlier post, or an earlier event of this one, made it.
    pub is_duplicate: bool,
}

/// What a webhook has no room in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "test-hooks", derive(serde::Serialize))]
pub enum NoRoom {
    /// As many deliveries, or bytes, are unsettled as may be.
    Backlog,
    /// The storage of its object is full.
    Storage,
}

/// Why a post is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "test-hooks", derive(serde::Serialize))]
pub enum PostRefusal {
    /// The key may not post events, or not any more.
    Unauthorized,
    /// A webhook did not answer; posting again stores only what is missing.
    NotStored,
    /// A webhook's object has too much to do; posting again later stores only what is missing.
    Overloaded,
    /// There are no random bytes for an id.
    NoRandomBytes,
}

/// Draws the random bytes of an id.
pub type DrawBytes<'a> = &'a dyn Fn() -> Option<[u8; 10]>;

/// With what the machine of a post is made, as [`PostMachine::new`] says.
#[cfg(feature = "test-hooks")]
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct Posted {
    /// The events.
    pub events: Rc<[Event]>,
    /// The caller's key.
    pub key: Option<TokenHash>,
    /// How many attempts the invocation may make.
    pub posts: usize,
    /// When it was posted.
    pub now: Timestamp,
}

/// A post of events.
#[derive(Debug)]
pub struct PostMachine {
    events: Rc<[Event]>,
    /// The first place of each event id: later events with the same id are duplicates of that one.
    first: BTreeMap<EventId, usize>,
    key: Option<TokenHash>,
    now: Timestamp,
    posts: usize,
    snapshot: Option<Rc<Snapshot>>,
    keys_revision: Option<u64>,
    /// Whether the workspace's object was asked.
    has_asked: bool,
    /// What was found, by the place of its event.
    found: BTreeMap<usize, Vec<Found>>,
    left: VecDeque<Batch>,
    is_busy: bool,
}

impl PostMachine {
    /// Makes the machine of a post. `key` is the caller's, if a snapshot let it in; `posts` is how many attempts this
    /// invocation may make.
    #[must_use]
    pub fn new(events: Rc<[Event]>, key: Option<TokenHash>, posts: usize, now: Timestamp) -> Self {
        let mut first = BTreeMap::new();
        for (place, event) in events.iter().enumerate() {
            first.entry(event.id.clone()).or_insert(place);
        }
        Self {
            events,
            first,
            key,
            now,
            posts,
            snapshot: None,
            keys_revision: None,
            has_asked: false,
            found: BTreeMap::new(),
            left: VecDeque::new(),
            is_busy: false,
        }
    }

    /// With what it was made.
    #[cfg(feature = "test-hooks")]
    #[must_use]
    pub fn posted(&self) -> Posted {
        Posted {
            events: Rc::clone(&self.events),
            key: self.key.clone(),
            posts: self.posts,
            now: self.now,
        }
    }

    /// Whether a copy that may be old knows a webhook for each event; if not, one may have been made since.
    #[must_use]
    pub fn suffices(&self, snapshot: &Snapshot) -> bool {
        let has_match = |event: &Event| {
            let mut matching = snapshot.matching(event.event_type.as_str());
            matching.next().is_some()
        };
        self.events.iter().all(has_match)
    }

    /// How many webhooks selected one of the types.
    #[must_use]
    pub fn count_matching(&self) -> usize {
        let types = self.events.iter().map(|event| event.event_type.as_str());
        let types: Vec<_> = types.collect();
        let snapshot = self.snapshot.as_ref();
        snapshot.map_or(0, |snapshot| snapshot.count_matching(&types))
    }

    /// Takes what happened; returns what to do next.
    pub fn handle(&mut self, input: PostInput, draw: DrawBytes<'_>) -> PostStep {
        self.step(input, draw).unwrap_or_else(PostStep::Refuse)
    }

    fn step(&mut self, input: PostInput, draw: DrawBytes<'_>) -> Result<PostStep, PostRefusal> {
        match input {
            PostInput::Read(snapshot) => {
                self.keys_revision = self.judge(&snapshot)?;
                if self.has_asked {
                    return Ok(self.store());
                }
                self.snapshot = Some(snapshot);
                Ok(PostStep::Count)
            }
            PostInput::Counted => match earlier::recall(self.snapshot()?, &self.events, self.now) {
                Some(step) => Ok(step),
                None => self.mint(&Earlier::default(), draw),
            },
            PostInput::Recalled(replies) => {
                let replies = replies.ok_or(PostRefusal::NotStored)?;
                let mut earlier = Earlier::read(replies, &self.events);
                self.found = std::mem::take(&mut earlier.found);
                self.mint(&earlier, draw)
            }
            PostInput::Stored(stored) => self.take_stored(stored),
            PostInput::Waited => Ok(self.accept()),
        }
    }

    fn snapshot(&self) -> Result<&Snapshot, PostRefusal> {
        // A driver that counts before it has read has nothing to store by.
        self.snapshot.as_deref().ok_or(PostRefusal::NotStored)
    }

    /// Judges the key by a snapshot, which may be newer than the one that let the caller in; returns the revision of the
    /// keys in it. Other callers have not been let in by a snapshot.
    fn judge(&self, snapshot: &Snapshot) -> Result<Option<u64>, PostRefusal> {
        let Some(key) = &self.key else {
            return Ok(None);
        };
        match snapshot.scopes_of(key) {
            Some(scopes) if scopes.contains(&Scope::EventsWrite) => {
                Ok(Some(snapshot.keys_revision))
            }
            _ => Err(PostRefusal::Unauthorized),
        }
    }

    /// Makes the new deliveries and begins to store them.
    fn mint(&mut self, earlier: &Earlier, draw: DrawBytes<'_>) -> Result<PostStep, PostRefusal> {
        let is_new = |place: usize, event: &Event, webhook: &Subscription| {
            let is_first = self.first.get(&event.id) == Some(&place);
            is_first && !self.found.contains_key(&place) && earlier.concerns(place, event, webhook)
        };
        let mut batches = VecDeque::new();
        for webhook in &self.snapshot()?.webhooks {
            let places = self.events.iter().enumerate();
            let places = places.filter(|(place, event)| is_new(*place, event, webhook));
            let places: Vec<_> = places.map(|(place, _)| place).collect();
            if !places.is_empty() {
                batches.push_back(Batch::mint(webhook.id.clone(), &places, self.now, draw)?);
            }
        }
        let wanted: Vec<_> = batches.iter().map(|batch| batch.deliveries.len()).collect();
        for (batch, share) in batches.iter_mut().zip(share_leases(self.posts, &wanted)) {
            batch.leases = share;
        }
        self.left = batches;
        Ok(self.store())
    }

    /// Lets the next batches be stored that may be under way together; if there are none, waits or answers.
    fn store(&mut self) -> PostStep {
        if !self.left.is_empty() {
            let lengths = self.left.iter().map(|batch| batch.length(&self.events));
            let together = send_together(lengths).min(self.left.len());
            return PostStep::Store {
                batches: self.left.drain(..together).collect(),
                keys_revision: self.keys_revision,
            };
        }
        if self.is_busy {
            return PostStep::WaitForAttempt(ANSWER_DELAY);
        }
        self.accept()
    }

    fn take_stored(&mut self, stored: Vec<Stored>) -> Result<PostStep, PostRefusal> {
        let (mut refused, mut is_overloaded) = (Vec::new(), false);
        for stored in stored {
            match stored {
                Stored::Done { found, is_busy } => {
                    self.is_busy |= is_busy;
                    for (place, found) in found {
                        self.found.entry(place).or_default().push(found);
                    }
                }
                Stored::StaleKey(batch) if !self.has_asked => refused.push(batch),
                Stored::Overloaded => is_overloaded = true,
                Stored::Failed if Mutant::UnansweredWebhookForgotten.is_on() => {}
                Stored::StaleKey(_) | Stored::Failed => return Err(PostRefusal::NotStored),
            }
        }
        if is_overloaded {
            return Err(PostRefusal::Overloaded);
        }
        if refused.is_empty() {
            return Ok(self.store());
        }
        self.left.extend(refused);
        self.has_asked = true;
        Ok(PostStep::AskWorkspace)
    }

    fn accept(&self) -> PostStep {
        let events = self.events.iter().enumerate().map(|(place, event)| {
            let first = self.first.get(&event.id).copied().unwrap_or(place);
            let found = self.found.get(&first).into_iter().flatten();
            AcceptedEvent {
                event_id: event.id.clone(),
                deliveries: found
                    .filter_map(|found| found.accepted(first != place))
                    .collect(),
            }
        });
        PostStep::Accept(events.collect())
    }
}

impl Found {
    fn accepted(&self, is_duplicate: bool) -> Option<AcceptedDelivery> {
        let (delivery, is_earlier) = match &self.taken {
            Acceptance::New { status } => (Ok((self.id.clone(), *status)), false),
            Acceptance::Duplicate(recalled) => (Ok((recalled.id.clone(), recalled.status)), true),
            Acceptance::BacklogFull => (Err(NoRoom::Backlog), false),
            Acceptance::StorageFull => (Err(NoRoom::Storage), false),
            Acceptance::NotSelected => return None,
        };
        Some(AcceptedDelivery {
            webhook: self.webhook.clone(),
            delivery,
            is_duplicate: is_duplicate || is_earlier,
        })
    }
}
