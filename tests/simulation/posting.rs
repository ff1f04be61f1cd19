//! A Worker that takes a post: it reads the snapshot, asks the workspace if that does not suffice, and has the event stored
//! with each webhook that selects its type, as `runtime/ingest` does.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::value::RawValue;
use webhook_relay::{
    domain::{
        dispatch::{WORKER_LEASES, share_leases},
        event::EVENT_ID_KEPT,
        ids::DeliveryId,
        subscriptions::{Snapshot, Subscription},
        timestamp::Timestamp,
        token::{Scope, TokenHash},
    },
    machines::{
        messages::{
            Grant, NewDelivery, Recalled, Refusal, Taken, WebhookCommand, WebhookReply,
            WorkspaceCommand, WorkspaceReply,
        },
        shift::Shift,
    },
};

use crate::{
    calls::Caller, faults::Fault, happenings::Happening, kv::PLACES, producer::PostAnswer,
    world::World,
};

/// A post under way.
pub(crate) struct Post {
    pub(crate) event: usize,
    pub(crate) key: Option<TokenHash>,
    /// What the place showed when it began.
    pub(crate) copy: Option<Snapshot>,
    began_at: Timestamp,
    snapshot: Option<Snapshot>,
    keys_revision: Option<u64>,
    is_recalling: bool,
    is_repeated: bool,
    has_failed: bool,
    awaited: BTreeSet<usize>,
    /// The webhooks that refused the keys.
    stale: Vec<usize>,
    ids: BTreeMap<usize, DeliveryId>,
    /// The first post of the same id: when, and who has it.
    first: Option<(Timestamp, Vec<usize>)>,
    /// The deliveries of a first post under another type.
    of_other_type: Vec<(usize, DeliveryId)>,
    stored: Vec<(usize, DeliveryId)>,
    /// The revisions of revoked keys that webhooks' objects had answered to know when they were asked.
    pub(crate) keys_known: BTreeMap<usize, u64>,
    /// The webhooks that selected the type when they were asked.
    pub(crate) selected: BTreeSet<usize>,
}

impl World {
    pub(crate) fn begin_post(&mut self, event: usize, key: Option<TokenHash>) {
        let workspace = self.events[event].workspace;
        let place = usize::try_from(self.choices.below(PLACES as u64)).expect("it is small");
        let copy = self.read_kv(place, workspace);
        let event_type = self.events[event].type_name;
        let suffices = copy.as_ref().is_some_and(|copy| {
            let knows_key = key.as_ref().is_none_or(|key| copy.scopes_of(key).is_some());
            knows_key && copy.matching(event_type).next().is_some()
        });
        self.posts_begun += 1;
        let number = self.posts_begun;
        let post = Post {
            event,
            key,
            copy: copy.clone(),
            began_at: self.now,
            snapshot: None,
            keys_revision: None,
            is_recalling: false,
            is_repeated: false,
            has_failed: false,
            awaited: BTreeSet::new(),
            stale: Vec::new(),
            ids: BTreeMap::new(),
            first: None,
            of_other_type: Vec::new(),
            stored: Vec::new(),
            keys_known: BTreeMap::new(),
            selected: BTreeSet::new(),
        };
        self.posts.insert(number, post);
        if self.faults.occurs(Fault::WorkerEnds, &mut self.choices) {
            let after = self.after_ms(0, 60);
            self.later(after, Happening::WorkerEnds(number));
        }
        match copy.filter(|_| suffices) {
            Some(copy) => self.post_knows(number, &copy),
            None => self.ask_for_snapshot(number),
        }
    }

    /// The Worker ends at a wait: the producer gets no answer, and leases that come are lost.
    pub(crate) fn worker_ends(&mut self, number: usize) {
        if let Some(post) = self.posts.remove(&number) {
            let event = post.event;
            self.tell(|| format!("the Worker of event {event} is ended"));
            self.excused.extend(post.ids.into_values());
            self.producer_answered(event, PostAnswer::NotStored);
        }
    }

    fn ask_for_snapshot(&mut self, number: usize) {
        let workspace = self.events[self.posts[&number].event].workspace;
        let caller = Caller::Post {
            post: number,
            webhook: None,
        };
        self.call_workspace(workspace, &WorkspaceCommand::Snapshot, caller);
    }

    /// The workspace's object answered, or not.
    pub(crate) fn post_told(&mut self, number: usize, reply: Option<WorkspaceReply>) {
        if !self.posts.contains_key(&number) {
            return;
        }
        match reply {
            Some(WorkspaceReply::Snapshot(snapshot)) => self.post_knows(number, &snapshot),
            _ => self.end_post(number, PostAnswer::NotStored),
        }
    }

    /// The Worker has the snapshot that it goes by.
    fn post_knows(&mut self, number: usize, snapshot: &Snapshot) {
        let post = self.posts.get_mut(&number).expect("it is under way");
        if let Some(key) = &post.key {
            let scopes = snapshot.scopes_of(key);
            if !scopes.is_some_and(|scopes| scopes.contains(&Scope::EventsWrite)) {
                self.end_post(number, PostAnswer::Unauthorized);
                return;
            }
            post.keys_revision = Some(snapshot.keys_revision);
        }
        if post.snapshot.is_some() {
            // It has asked because some refused its keys.
            post.is_repeated = true;
            let stale = std::mem::take(&mut post.stale);
            self.ask_to_accept(number, stale);
            return;
        }
        let event = &self.events[post.event];
        let event_type = event.type_name;
        let kept_since = post.began_at.saturating_sub(EVENT_ID_KEPT);
        let is_late = |webhook: &Subscription| {
            webhook.selects(event_type) && !webhook.selected_at(event_type, kept_since)
        };
        let may_differ = snapshot.selections_differ() || snapshot.webhooks.iter().any(is_late);
        let asks = event.is_given && may_differ && !snapshot.webhooks.is_empty();
        let command = WebhookCommand::Recall {
            event_ids: vec![event.id.clone()],
        };
        let workspace = event.workspace;
        post.snapshot = Some(snapshot.clone());
        post.is_recalling = asks;
        if !asks {
            self.accept_post(number);
            return;
        }
        let webhooks = snapshot.webhooks.iter();
        let objects: Vec<_> = webhooks
            .map(|webhook| self.object_of(workspace, &webhook.id))
            .collect();
        let post = self.posts.get_mut(&number).expect("it is under way");
        post.awaited = objects.iter().copied().collect();
        for object in objects {
            let caller = Caller::Post {
                post: number,
                webhook: Some(object),
            };
            self.call(object, &command, caller);
        }
    }

    fn recalled(&mut self, number: usize, object: usize, recalled: Recalled) {
        let post = self.posts.get_mut(&number).expect("it is under way");
        if recalled.event_type != self.events[post.event].type_name {
            post.of_other_type.push((object, recalled.id));
            return;
        }
        let at = recalled.id.minted_at();
        let first = post.first.get_or_insert((at, Vec::new()));
        first.0 = first.0.min(at);
        first.1.push(object);
    }

    /// Finds the webhooks that get the event, and asks them to accept it.
    fn accept_post(&mut self, number: usize) {
        let post = &self.posts[&number];
        let event = &self.events[post.event];
        let (workspace, event_type) = (event.workspace, event.type_name);
        let first = post.first.clone();
        let is_other = !post.of_other_type.is_empty();
        let snapshot = post.snapshot.clone().expect("it is read");
        let mut chosen = Vec::new();
        for webhook in snapshot.webhooks.iter().filter(|_| !is_other) {
            let object = self.object_of(workspace, &webhook.id);
            let is_chosen = match &first {
                Some((at, holders)) => {
                    holders.contains(&object) || webhook.selected_at(event_type, *at)
                }
                None => webhook.selects(event_type),
            };
            if is_chosen {
                chosen.push(object);
            }
        }
        for object in &chosen {
            let id = DeliveryId::mint(self.now, self.choices.bytes());
            self.tried.entry(*object).or_default().insert(id.clone());
            let post = self.posts.get_mut(&number).expect("it is under way");
            post.ids.insert(*object, id);
        }
        self.ask_to_accept(number, chosen);
    }

    fn ask_to_accept(&mut self, number: usize, objects: Vec<usize>) {
        let shares = share_leases(WORKER_LEASES, &vec![1; objects.len()]);
        let post = self.posts.get_mut(&number).expect("it is under way");
        post.awaited = objects.iter().copied().collect();
        for (object, leases) in objects.into_iter().zip(shares) {
            let post = self.posts.get_mut(&number).expect("it is under way");
            let known = self.objects[object].keys_known;
            post.keys_known.insert(object, known);
            let event = &self.events[post.event];
            let selects = self.objects[object].settings();
            if selects.is_some_and(|settings| settings.selects(event.type_name)) {
                post.selected.insert(object);
            }
            let id = post.ids[&object].clone();
            let command = WebhookCommand::Accept {
                events: vec![NewDelivery {
                    payload: payload(&id, event.payload_bytes),
                    id,
                    event_id: event.id.clone(),
                    event_id_given: event.is_given,
                    event_type: event.type_name.into(),
                }],
                leases,
                keys_revision: post.keys_revision,
            };
            let caller = Caller::Post {
                post: number,
                webhook: Some(object),
            };
            self.call(object, &command, caller);
        }
        self.look_at_post(number);
    }

    /// A webhook's object answered, or not.
    pub(crate) fn post_answered(
        &mut self,
        number: usize,
        object: usize,
        reply: Option<WebhookReply>,
    ) {
        let Some(post) = self.posts.get_mut(&number) else {
            if let Some(WebhookReply::Taken { grants, .. }) = reply {
                self.excused
                    .extend(grants.into_iter().map(|grant| grant.id));
            }
            return;
        };
        post.awaited.remove(&object);
        let own = post.ids.get(&object).cloned();
        match reply {
            Some(WebhookReply::Recalled(found)) => {
                if let Some(found) = found.into_iter().next().flatten() {
                    self.recalled(number, object, found);
                }
            }
            Some(WebhookReply::Taken {
                deliveries, grants, ..
            }) => {
                match deliveries.into_iter().next() {
                    Some(Taken::New { .. }) => {
                        post.stored.extend(own.map(|id| (object, id)));
                        self.check_key_was_good(number, object);
                        self.check_selected(number, object);
                    }
                    Some(Taken::Duplicate(found)) => post.stored.push((object, found.id)),
                    _ => {}
                }
                self.send_first(number, object, grants);
            }
            Some(WebhookReply::Refused(Refusal::StaleKey)) => {
                post.has_failed |= post.is_repeated;
                post.stale.push(object);
            }
            // It is deleted.
            Some(_) => {}
            None => {
                post.has_failed = true;
                self.excused.extend(own);
            }
        }
        self.look_at_post(number);
    }

    fn send_first(&mut self, number: usize, object: usize, mut grants: Vec<Grant>) {
        if grants.is_empty() {
            return;
        }
        let event = &self.events[self.posts[&number].event];
        for grant in &mut grants {
            if grant.payload.is_none() {
                grant.payload = Some(payload(&grant.id, event.payload_bytes));
            }
        }
        let shift = Shift::of_invocation(self.now, &self.policy);
        self.new_sender(object, shift, grants);
    }

    /// Goes on if all who were asked have answered.
    fn look_at_post(&mut self, number: usize) {
        let post = self.posts.get_mut(&number).expect("it is under way");
        if !post.awaited.is_empty() {
            return;
        }
        if post.has_failed {
            self.end_post(number, PostAnswer::NotStored);
        } else if std::mem::take(&mut post.is_recalling) {
            self.accept_post(number);
        } else if post.stale.is_empty() {
            let mut stored = std::mem::take(&mut post.stored);
            stored.append(&mut post.of_other_type);
            self.check_accepted(number, &stored);
            self.end_post(number, PostAnswer::Accepted(stored));
        } else {
            self.ask_for_snapshot(number);
        }
    }

    fn end_post(&mut self, number: usize, answer: PostAnswer) {
        let post = self.posts.remove(&number).expect("it is under way");
        let event = post.event;
        self.check_last(&post, &answer);
        self.tell(|| format!("the post of event {event} is answered: {answer:?}"));
        self.producer_answered(event, answer);
    }
}

pub(crate) fn payload(id: &DeliveryId, length: usize) -> Box<RawValue> {
    let text = format!("{{\"id\":\"{id}\",\"data\":\"{}\"}}", "x".repeat(length));
    RawValue::from_string(text).expect("it is JSON")
}
