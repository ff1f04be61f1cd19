//! A Worker that takes a post: it drives the machine of a post, with what its isolate keeps of the workspace's snapshot.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use serde_json::value::RawValue;
use webhook_relay::{
    domain::{
        catalogue::Catalogue, event::Event, ids::WebhookId, subscriptions::Snapshot,
        token::TokenHash,
    },
    machines::{
        ingest::{
            AcceptedEvent, PostInput, PostMachine, PostRefusal, PostStep,
            batch::{Batch, Replied, Stored, add_payloads},
        },
        messages::{
            Acceptance, Grant, WebhookCommand, WebhookReply, WorkspaceCommand, WorkspaceReply,
        },
        shift::Shift,
    },
};

use crate::{
    calls::Caller, choices::Choices, faults::Fault, happenings::Happening, kv::PLACES,
    producer::PostAnswer, world::World,
};

/// A post under way.
pub(crate) struct Post {
    pub(crate) event: usize,
    pub(crate) key: Option<TokenHash>,
    /// The snapshot by which it finds its webhooks: what the place showed when it began, or a newer answer of the
    /// workspace's object.
    pub(crate) shown: Option<Rc<Snapshot>>,
    place: usize,
    events: Rc<[Event]>,
    machine: PostMachine,
    /// Whom it asked and who has not answered.
    awaited: BTreeSet<usize>,
    /// The batches of the webhooks that are asked to accept; none are if it asks for earlier posts.
    batches: BTreeMap<usize, Batch>,
    is_recalling: bool,
    replies: Vec<(WebhookId, Option<WebhookReply>)>,
    stored: Vec<Stored>,
    /// The revisions of revoked keys that webhooks' objects had answered to know when they were asked.
    pub(crate) keys_known: BTreeMap<usize, u64>,
    /// The webhooks that selected the type when they were asked.
    pub(crate) selected: BTreeSet<usize>,
}

impl World {
    pub(crate) fn begin_post(&mut self, event: usize, key: Option<TokenHash>) {
        let workspace = self.events[event].workspace;
        let place = usize::try_from(self.choices.below(PLACES as u64)).expect("it is small");
        let copy = self.read_copy(place, workspace);
        let one = &self.events[event];
        let data = format!("{{\"x\":\"{}\"}}", "x".repeat(one.payload_bytes));
        let posted = Event {
            id: one.id.clone(),
            id_given: one.is_given,
            event_type: Catalogue::default()
                .find(one.type_name)
                .expect("it is one of the catalogue"),
            timestamp: "2026-01-15T10:30:00Z".into(),
            data: RawValue::from_string(data).expect("it is JSON"),
        };
        let events: Rc<[Event]> = [posted].into();
        let machine = PostMachine::new(
            Rc::clone(&events),
            key.clone(),
            self.policy.subrequests,
            self.now,
        );
        let suffices = |snapshot: &Snapshot| {
            let mut keys = key.iter();
            keys.all(|key| snapshot.scopes_of(key).is_some()) && machine.suffices(snapshot)
        };
        let id = self.workspaces[workspace].id.clone();
        let isolate = &self.isolates[place];
        let chosen = isolate.choose(&id, copy.as_ref(), suffices, self.now);
        if let (Some(copy), Some(chosen)) = (&copy, &chosen) {
            assert!(
                chosen.revision >= copy.revision,
                "a post of event {event} goes by what is older than the copy"
            );
        }
        self.posts_begun += 1;
        let number = self.posts_begun;
        let post = Post {
            event,
            key,
            shown: None,
            place,
            events,
            machine,
            awaited: BTreeSet::new(),
            batches: BTreeMap::new(),
            is_recalling: false,
            replies: Vec::new(),
            stored: Vec::new(),
            keys_known: BTreeMap::new(),
            selected: BTreeSet::new(),
        };
        self.posts.insert(number, post);
        if self.faults.occurs(Fault::WorkerEnds, &mut self.choices) {
            let after = self.after_ms(0, 60);
            self.later(after, Happening::WorkerEnds(number));
        }
        match chosen {
            Some(snapshot) => self.go_on(number, PostInput::Read(snapshot)),
            None => self.ask_for_snapshot(number),
        }
    }

    /// Reads a workspace's snapshot from KV, unless the isolate of the place has it.
    fn read_copy(&mut self, place: usize, workspace: usize) -> Option<Rc<Snapshot>> {
        let id = self.workspaces[workspace].id.clone();
        if let Some(kept) = self.isolates[place].copy(&id, self.now) {
            return Some(kept);
        }
        let reading = self.isolates[place].begin_reading();
        let copy = Rc::new(self.read_kv(place, workspace)?);
        let now = self.now;
        self.isolates[place].keep_copy(&id, &copy, reading, now);
        Some(copy)
    }

    /// The Worker ends at a wait: the producer gets no answer, and leases that come are lost.
    pub(crate) fn worker_ends(&mut self, number: usize) {
        if let Some(post) = self.posts.remove(&number) {
            let event = post.event;
            self.tell(|| format!("the Worker of event {event} is ended"));
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
        let Some(post) = self.posts.get(&number) else {
            return;
        };
        let Some(WorkspaceReply::Snapshot(snapshot)) = reply else {
            self.end_post(number, PostAnswer::NotStored);
            return;
        };
        let snapshot = Rc::new(snapshot);
        let id = self.workspaces[self.events[post.event].workspace]
            .id
            .clone();
        let now = self.now;
        self.isolates[post.place].keep_answer(&id, &snapshot, now);
        self.go_on(number, PostInput::Read(snapshot));
    }

    /// Gives the machine what happened, and carries out its steps until it has to wait.
    fn go_on(&mut self, number: usize, mut input: PostInput) {
        if let PostInput::Read(snapshot) = &input {
            let post = self.posts.get_mut(&number).expect("it is under way");
            post.shown.get_or_insert_with(|| Rc::clone(snapshot));
        }
        loop {
            let bytes = RefCell::new(Choices::of(self.choices.seed()));
            let post = self.posts.get_mut(&number).expect("it is under way");
            let step = post
                .machine
                .handle(input, &|| Some(bytes.borrow_mut().bytes()));
            input = match step {
                PostStep::Count => PostInput::Counted,
                PostStep::Recall { webhooks, command } => {
                    return self.ask_for_earlier(number, &webhooks, &command);
                }
                PostStep::Store {
                    batches,
                    keys_revision,
                } => return self.ask_to_accept(number, batches, keys_revision),
                PostStep::AskWorkspace => return self.ask_for_snapshot(number),
                // The shortest wait.
                PostStep::WaitForAttempt(_) => PostInput::Waited,
                PostStep::Accept(events) => return self.accepted(number, events),
                PostStep::Refuse(PostRefusal::Unauthorized) => {
                    return self.end_post(number, PostAnswer::Unauthorized);
                }
                PostStep::Refuse(_) => return self.end_post(number, PostAnswer::NotStored),
            };
        }
    }

    fn ask_for_earlier(&mut self, number: usize, webhooks: &[WebhookId], command: &WebhookCommand) {
        let workspace = self.events[self.posts[&number].event].workspace;
        let objects = webhooks.iter().map(|id| self.object_of(workspace, id));
        let objects: Vec<_> = objects.collect();
        let post = self.posts.get_mut(&number).expect("it is under way");
        post.is_recalling = true;
        post.awaited = objects.iter().copied().collect();
        for object in objects {
            let caller = Caller::Post {
                post: number,
                webhook: Some(object),
            };
            self.call(object, command, caller);
        }
        self.look_at_post(number);
    }

    fn ask_to_accept(&mut self, number: usize, batches: Vec<Batch>, keys_revision: Option<u64>) {
        let event = self.posts[&number].event;
        let (workspace, event_type) = (self.events[event].workspace, self.events[event].type_name);
        let events = Rc::clone(&self.posts[&number].events);
        for batch in batches {
            let object = self.object_of(workspace, &batch.webhook);
            let selects = self.selects(object, event_type);
            let known = self.objects[object].keys_known;
            let caller = Caller::Post {
                post: number,
                webhook: Some(object),
            };
            let ahead = Shift::of_invocation(self.now, &self.policy).ahead(self.now);
            self.call_to_accept(
                object,
                &batch.command(&events, ahead, keys_revision),
                caller,
            );
            let post = self.posts.get_mut(&number).expect("it is under way");
            post.keys_known.insert(object, known);
            if selects {
                post.selected.insert(object);
            }
            post.awaited.insert(object);
            post.batches.insert(object, batch);
        }
    }

    /// A webhook's object answered, or not.
    pub(crate) fn post_answered(
        &mut self,
        number: usize,
        object: usize,
        reply: Option<WebhookReply>,
    ) {
        let Some(post) = self.posts.get_mut(&number) else {
            if let Some(reply) = reply {
                self.note_lost_reply(&reply);
            }
            return;
        };
        post.awaited.remove(&object);
        if let Some(batch) = post.batches.remove(&object) {
            let deliveries = batch.deliveries.clone();
            let Replied {
                stored,
                grants,
                waits_for,
                ..
            } = batch.read(reply);
            let is_new = |stored: &Stored| {
                let Stored::Done { found, .. } = stored else {
                    return false;
                };
                let mut found = found.iter();
                found.any(|(_, found)| matches!(found.taken, Acceptance::New { .. }))
            };
            let is_new = is_new(&stored);
            post.stored.push(stored);
            let grants = add_payloads(grants, &deliveries, &post.events);
            if is_new {
                self.check_key_was_good(number, object);
                self.check_selected(number, object);
            }
            self.send_first(object, grants);
            if let Some(id) = waits_for {
                // The shortest wait.
                self.call(
                    object,
                    &WebhookCommand::WaitForAttempt { id },
                    Caller::Nobody,
                );
            }
        } else {
            let webhook = self.objects[object].webhook.clone();
            post.replies.push((webhook, reply));
        }
        self.look_at_post(number);
    }

    fn send_first(&mut self, object: usize, grants: Vec<Grant>) {
        if !grants.is_empty() {
            let shift = Shift::of_invocation(self.now, &self.policy);
            self.new_sender(object, shift, grants, None);
        }
    }

    /// Goes on if all who were asked have answered.
    fn look_at_post(&mut self, number: usize) {
        let post = self.posts.get_mut(&number).expect("it is under way");
        if !post.awaited.is_empty() {
            return;
        }
        let input = if std::mem::take(&mut post.is_recalling) {
            let replies = std::mem::take(&mut post.replies).into_iter();
            let replies = replies.map(|(webhook, reply)| Some((webhook, reply?)));
            PostInput::Recalled(replies.collect())
        } else {
            PostInput::Stored(std::mem::take(&mut post.stored))
        };
        self.go_on(number, input);
    }

    fn accepted(&mut self, number: usize, events: Vec<AcceptedEvent>) {
        let workspace = self.events[self.posts[&number].event].workspace;
        let (mut stored, mut full) = (Vec::new(), Vec::new());
        for one in events.into_iter().flat_map(|event| event.deliveries) {
            let object = self.object_of(workspace, &one.webhook);
            match one.delivery {
                Ok((id, _)) => stored.push((object, id)),
                Err(_) => full.push(object),
            }
        }
        self.check_accepted(number, &stored, &full);
        self.end_post(number, PostAnswer::Accepted { stored, full });
    }

    fn end_post(&mut self, number: usize, answer: PostAnswer) {
        let post = self.posts.remove(&number).expect("it is under way");
        let event = post.event;
        self.check_last(&post, &answer);
        self.tell(|| format!("the post of event {event} is answered: {answer:?}"));
        self.producer_answered(event, answer);
    }
}
