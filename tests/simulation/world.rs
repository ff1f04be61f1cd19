//! A world: one queue of what happens, in one thread, all from one seed.

use std::{collections::BTreeMap, time::Duration};

use webhook_relay::{
    domain::{
        ids::{DeliveryId, EventId, WebhookId, WorkspaceId},
        policy::Policy,
        timestamp::Timestamp,
    },
    machines::{ingest::snapshots::Snapshots, webhook::group_commit::CallId},
};

use crate::{
    choices::Choices,
    endpoint::Endpoint,
    faults::{Fault, Faults},
    happenings::Happening,
    host::Node,
    kv::{Kv, PLACES},
    ledger::{KnownWebhook, Ledger},
    object::Object,
    posting::Post,
    producer::Event,
    sender::Sender,
    trouble::CLOCKS_DIFFER,
    wishes::Wish,
    workspace::Workspace,
};

pub(crate) const HOUR: Duration = Duration::from_secs(60 * 60);

/// How long faults last.
pub(crate) const TROUBLED: Duration = Duration::from_secs(24 * 60 * 60);

/// When the world ends: whatever was due when the platform became well has ended by then.
const ENDS: Duration = Duration::from_secs(60 * 60 * 60);

/// When producers begin: people have made their webhooks by then, unless much goes wrong.
const SET_UP: Duration = Duration::from_secs(10 * 60);

const WORKSPACES: usize = 3;
const EVENTS: u64 = 200;

/// The events that are posted when all has been well for hours.
const LAST_EVENTS: u64 = 12;

/// The types of events.
pub(crate) const TYPES: [&str; 3] = ["agent.error", "alert.triggered", "agent.registered"];

/// A world.
pub(crate) struct World {
    pub(crate) now: Timestamp,
    pub(crate) began: Timestamp,
    pub(crate) queue: BTreeMap<(Timestamp, u64, u64), Happening>,
    pub(crate) put: u64,
    pub(crate) choices: Choices,
    pub(crate) faults: Faults,
    pub(crate) policy: Policy,
    pub(crate) workspaces: Vec<Workspace>,
    pub(crate) kv: Kv,
    /// What workspaces' calls wait for whose webhooks look at their alarms.
    pub(crate) looks: BTreeMap<(usize, CallId), usize>,
    pub(crate) wishes: u64,
    pub(crate) objects: Vec<Object>,
    pub(crate) by_webhook: BTreeMap<WebhookId, usize>,
    pub(crate) endpoints: Vec<Endpoint>,
    pub(crate) senders: BTreeMap<u64, Sender>,
    pub(crate) made: u64,
    pub(crate) events: Vec<Event>,
    pub(crate) posts: BTreeMap<usize, Post>,
    /// What the isolate of each place keeps of snapshots.
    pub(crate) isolates: [Snapshots; PLACES],
    pub(crate) posts_begun: usize,
    /// The deliveries that a 202 promised, with their webhook.
    pub(crate) promised: BTreeMap<DeliveryId, usize>,
    pub(crate) ledger: Ledger,
    pub(crate) story: Vec<String>,
    pub(crate) tells: bool,
    pub(crate) hash: u64,
}

impl World {
    /// The world of a seed, with the choices that follow from it or others.
    pub(crate) fn of(seed: u64, mut choices: Choices, tells: bool) -> Self {
        let began = Timestamp::from_millis(1_800_000_000_000);
        let faults = Faults::draw(&mut choices);
        let max_leases = [2, 6, 50][usize::try_from(choices.below(3)).expect("it is small")];
        let leeway = if faults.has(Fault::ClocksDiffer) {
            CLOCKS_DIFFER * 2
        } else {
            Duration::ZERO
        };
        let requests = choices.between(2, 8);
        let max_backlog = if choices.happens(150) { 8 } else { 100_000 };
        let retention = if choices.happens(100) { 1 } else { 30 };
        let policy = Policy::parse(|name| match name {
            "MAX_LEASES" => Some(max_leases.to_string()),
            "MAX_BACKLOG" => Some(max_backlog.to_string()),
            "RETENTION_DAYS" => Some(retention.to_string()),
            "MAX_STORAGE" => faults.has(Fault::SmallStorage).then(|| "1MB".into()),
            "SUBREQUESTS" => faults.has(Fault::FewRequests).then(|| requests.to_string()),
            _ => None,
        });
        let mut world = Self {
            now: began,
            began,
            queue: BTreeMap::new(),
            put: 0,
            choices,
            faults,
            policy: policy.expect("the settings parse"),
            workspaces: Vec::new(),
            kv: Kv::default(),
            looks: BTreeMap::new(),
            wishes: 0,
            objects: Vec::new(),
            by_webhook: BTreeMap::new(),
            endpoints: Vec::new(),
            senders: BTreeMap::new(),
            made: 0,
            events: Vec::new(),
            posts: BTreeMap::new(),
            isolates: Default::default(),
            posts_begun: 0,
            promised: BTreeMap::new(),
            ledger: Ledger {
                leeway,
                ..Ledger::default()
            },
            story: Vec::new(),
            tells,
            hash: seed,
        };
        world.set_up();
        world
    }

    pub(crate) fn set_up(&mut self) {
        for workspace in 0..WORKSPACES {
            let id = WorkspaceId::parse(&format!("ws_{workspace}")).expect("it is an id");
            self.workspaces.push(Workspace::new(id));
            self.set_clock(Node::Workspace(workspace));
            self.wants(workspace, Wish::MakeWorkspace);
            for _ in 0..self.choices.between(1, 3) {
                self.wants(workspace, Wish::MakeWebhook);
            }
            for _ in 0..2 {
                self.wants(workspace, Wish::MakeKey);
            }
            self.draw_wishes(workspace);
        }
        for _ in 0..EVENTS {
            let event = self.draw_event(false);
            // Many come in bursts.
            let at = if self.choices.happens(500) {
                Duration::from_millis(self.choices.below(4) * 3_600_000 + self.choices.below(50))
            } else {
                Duration::from_millis(self.choices.below(85_000_000))
            };
            self.later(at + SET_UP, Happening::Posts(event));
        }
        for _ in 0..LAST_EVENTS {
            let event = self.draw_event(true);
            let at = TROUBLED + HOUR * 6 + self.after_ms(0, 3_600_000);
            self.later(at, Happening::Posts(event));
        }
        for _ in 0..20 {
            self.spread(Happening::PersonActs);
        }
        for _ in 0..10 {
            let at = Duration::from_millis(self.choices.below(130_000_000));
            self.later(at, Happening::Looks);
        }
        // A walk while there is trouble may miss a workspace; the next one comes when the platform is well.
        for hour in [12, 25, 49] {
            self.later(HOUR * hour, Happening::Walk);
        }
        for _ in 0..40 {
            if self.faults.occurs(Fault::Crash, &mut self.choices) {
                self.spread(Happening::Crash);
            }
        }
        self.draw_trouble();
        self.later(TROUBLED, Happening::Heals);
    }

    fn draw_event(&mut self, is_last: bool) -> usize {
        let workspace = usize::try_from(self.choices.below(WORKSPACES as u64));
        let event_type = usize::try_from(self.choices.below(TYPES.len() as u64));
        let payload_bytes = self.draw_length();
        self.events.push(Event {
            workspace: workspace.expect("it is small"),
            type_name: TYPES[event_type.expect("it is small")],
            id: EventId::mint(self.began, self.choices.bytes()),
            is_given: self.choices.happens(700),
            payload_bytes,
            has_key: self.choices.happens(500),
            is_last,
            try_number: 0,
            first_posted_at: None,
            promised: BTreeMap::new(),
        });
        self.events.len() - 1
    }

    /// The object of a webhook; the platform makes it when it is first called.
    pub(crate) fn object_of(&mut self, workspace: usize, webhook: &WebhookId) -> usize {
        if let Some(known) = self.by_webhook.get(webhook) {
            return *known;
        }
        let object = self.objects.len();
        self.by_webhook.insert(webhook.clone(), object);
        self.objects.push(Object::new(workspace, webhook.clone()));
        self.set_clock(Node::Webhook(object));
        self.endpoints.push(Endpoint::new());
        self.ledger.webhooks.push(KnownWebhook::default());
        if !self.is_well() {
            let after = self.after_ms(0, 20_000_000);
            self.later(after, Happening::EndpointChanges(object));
        }
        object
    }

    pub(crate) fn spread(&mut self, happening: Happening) {
        let at = Duration::from_millis(self.choices.below(86_000_000));
        self.later(at, happening);
    }

    /// Lets something happen after a time.
    pub(crate) fn later(&mut self, after: Duration, happening: Happening) {
        self.put += 1;
        let tie = self.choices.tie();
        self.queue
            .insert((self.now.saturating_add(after), tie, self.put), happening);
    }

    pub(crate) fn after_ms(&mut self, least: u64, most: u64) -> Duration {
        Duration::from_millis(self.choices.between(least, most))
    }

    pub(crate) fn tell(&mut self, what: impl FnOnce() -> String) {
        if self.tells {
            let at = self.now.saturating_duration_since(self.began);
            self.story
                .push(format!("{:>14.3} {}", at.as_secs_f64(), what()));
        }
    }

    /// Runs the world to its end.
    pub(crate) fn run(&mut self) {
        let ends = self.began.saturating_add(ENDS);
        while let Some(((at, tie, _), happening)) = self.queue.pop_first() {
            if at > ends {
                break;
            }
            self.now = at;
            self.hash = self
                .hash
                .rotate_left(5)
                .wrapping_add(tie ^ u64::try_from(at.as_millis()).unwrap_or(0));
            self.happen(happening);
        }
    }

    pub(crate) fn is_well(&self) -> bool {
        self.now >= self.began.saturating_add(TROUBLED)
    }
}
