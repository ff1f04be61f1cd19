//! A world: one queue of what happens, in one thread, all from one seed.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use webhook_relay::{
    domain::{
        ids::{DeliveryId, EventId, WebhookId},
        policy::Policy,
        timestamp::Timestamp,
    },
    machines::{
        messages::{Grant, WebhookCommand},
        sender::SenderInput,
        webhook::{Input, Outputs},
    },
};

use crate::{
    choices::Choices,
    endpoint::{Endpoint, Mood},
    faults::{Fault, Faults},
    object::Object,
    sender::Sender,
};

pub(crate) const HOUR: Duration = Duration::from_secs(60 * 60);

/// How long faults last.
pub(crate) const TROUBLED: Duration = Duration::from_secs(24 * 60 * 60);

/// When the world ends: whatever was due when the platform became well has ended by then.
const ENDS: Duration = Duration::from_secs(60 * 60 * 60);

const WEBHOOKS: u64 = 3;
const EVENTS: u64 = 200;

/// Who waits for the reply to a call.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Caller {
    /// A Worker that posts an event to a webhook, in one of its tries.
    Post {
        event: usize,
        object: usize,
        try_number: u32,
    },
    Sender(u64),
    /// Somebody who changes a webhook's settings to a revision.
    Owner {
        object: usize,
        revision: u64,
    },
    Nobody,
}

/// What happens at a time.
pub(crate) enum Happening {
    Posts(usize),
    Arrives {
        object: usize,
        command: String,
        caller: Caller,
    },
    Replied {
        caller: Caller,
        reply: Option<String>,
    },
    Leave {
        object: usize,
        life: u64,
        outputs: Box<Outputs>,
        is_armed: bool,
        is_alarm: bool,
    },
    Safe {
        object: usize,
        life: u64,
    },
    Timer {
        object: usize,
        life: u64,
    },
    Alarm {
        object: usize,
        at: Timestamp,
    },
    AlarmAgain {
        object: usize,
    },
    Tells {
        object: usize,
        life: u64,
        input: Box<Input>,
    },
    Reset {
        object: usize,
        loses_turns: bool,
    },
    Sends {
        sender: u64,
        input: Box<SenderInput>,
    },
    SenderTimer {
        sender: u64,
        number: u64,
    },
    Reaches {
        sender: u64,
        grant: Box<Grant>,
    },
    SenderEnds(u64),
    EndpointChanges(usize),
    OwnerChanges(usize),
    PersonActs(usize),
    Walk,
    Heals,
}

/// An event of a producer.
pub(crate) struct Event {
    pub(crate) id: EventId,
    pub(crate) is_given: bool,
    pub(crate) payload_bytes: usize,
    /// The webhooks that have not answered this try.
    pub(crate) awaited: BTreeSet<usize>,
    pub(crate) has_failed: bool,
    pub(crate) try_number: u32,
    /// The ids of this try.
    pub(crate) ids: BTreeMap<usize, DeliveryId>,
    /// What this try's answers promise.
    pub(crate) stored: BTreeMap<usize, DeliveryId>,
}

/// A world.
pub(crate) struct World {
    pub(crate) now: Timestamp,
    pub(crate) began: Timestamp,
    pub(crate) queue: BTreeMap<(Timestamp, u64, u64), Happening>,
    pub(crate) put: u64,
    pub(crate) choices: Choices,
    pub(crate) faults: Faults,
    pub(crate) policy: Policy,
    pub(crate) objects: Vec<Object>,
    pub(crate) endpoints: Vec<Endpoint>,
    pub(crate) senders: BTreeMap<u64, Sender>,
    pub(crate) made: u64,
    pub(crate) events: Vec<Event>,
    /// The deliveries that a 202 promised, with their webhook.
    pub(crate) promised: BTreeMap<DeliveryId, usize>,
    /// The deliveries of which a lease may have been lost: their attempts may be repeated.
    pub(crate) excused: BTreeSet<DeliveryId>,
    /// The deliveries that a person resent or cancelled.
    pub(crate) touched: BTreeSet<DeliveryId>,
    /// The webhooks of which a person resent many.
    pub(crate) resent: BTreeSet<usize>,
    /// When an attempt of a delivery began, by its number.
    pub(crate) begun: BTreeMap<DeliveryId, Vec<(u32, Timestamp)>>,
    pub(crate) story: Vec<String>,
    pub(crate) tells: bool,
    pub(crate) hash: u64,
}

impl World {
    pub(crate) fn new(seed: u64, tells: bool) -> Self {
        let began = Timestamp::from_millis(1_800_000_000_000);
        let mut choices = Choices::of(seed);
        let faults = Faults::draw(&mut choices);
        let max_leases = [2, 6, 50][usize::try_from(choices.below(3)).expect("it is small")];
        let policy = Policy::parse(|name| (name == "MAX_LEASES").then(|| max_leases.to_string()));
        let mut world = Self {
            now: began,
            began,
            queue: BTreeMap::new(),
            put: 0,
            choices,
            faults,
            policy: policy.expect("the settings parse"),
            objects: Vec::new(),
            endpoints: Vec::new(),
            senders: BTreeMap::new(),
            made: 0,
            events: Vec::new(),
            promised: BTreeMap::new(),
            excused: BTreeSet::new(),
            touched: BTreeSet::new(),
            resent: BTreeSet::new(),
            begun: BTreeMap::new(),
            story: Vec::new(),
            tells,
            hash: seed,
        };
        world.set_up();
        world
    }

    pub(crate) fn set_up(&mut self) {
        for object in 0..WEBHOOKS {
            let webhook = WebhookId::mint(self.began, self.choices.bytes());
            self.objects.push(Object::new(webhook, self.began));
            self.endpoints.push(Endpoint::new());
            let object = usize::try_from(object).expect("it is small");
            let settings = self.objects[object].settings.clone();
            let outputs = self.objects[object].happens(
                Input::Command(0, WebhookCommand::Apply(settings)),
                self.now,
                &self.policy,
            );
            assert!(outputs.answers.iter().all(|(_, answer)| answer.is_ok()));
            self.spread(Happening::EndpointChanges(object));
        }
        for event in 0..EVENTS {
            let length = if self.choices.happens(20) { 20_000 } else { 50 };
            let id = EventId::mint(self.began, self.choices.bytes());
            self.events.push(Event {
                id,
                is_given: self.choices.happens(700),
                payload_bytes: length,
                awaited: BTreeSet::new(),
                has_failed: false,
                try_number: 0,
                ids: BTreeMap::new(),
                stored: BTreeMap::new(),
            });
            let event = usize::try_from(event).expect("it is small");
            // Many come in bursts.
            let at = if self.choices.happens(500) {
                Duration::from_millis(self.choices.below(4) * 3_600_000 + self.choices.below(50))
            } else {
                Duration::from_millis(self.choices.below(86_000_000))
            };
            self.later(at, Happening::Posts(event));
        }
        for _ in 0..20 {
            let object = self.any_object();
            self.spread(Happening::PersonActs(object));
        }
        for _ in 0..3 {
            let object = self.any_object();
            self.spread(Happening::OwnerChanges(object));
        }
        for day in 1..=3 {
            self.later(HOUR * 24 * day, Happening::Walk);
        }
        for _ in 0..40 {
            let object = self.any_object();
            if self.faults.occurs(Fault::Crash, &mut self.choices) {
                self.spread(Happening::Reset {
                    object,
                    loses_turns: false,
                });
            }
        }
        self.later(TROUBLED, Happening::Heals);
    }

    pub(crate) fn any_object(&mut self) -> usize {
        usize::try_from(self.choices.below(WEBHOOKS)).expect("it is small")
    }

    pub(crate) fn spread(&mut self, happening: Happening) {
        let at = Duration::from_millis(self.choices.below(86_000_000));
        self.later(at, happening);
    }

    /// Lets something happen after a time.
    pub(crate) fn later(&mut self, after: Duration, happening: Happening) {
        self.put += 1;
        let tie = self.choices.next();
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

    pub(crate) fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Posts(event) => self.post(event),
            Happening::Arrives {
                object,
                command,
                caller,
            } => {
                self.arrives(object, &command, caller);
            }
            Happening::Replied { caller, reply } => self.replied(caller, reply),
            Happening::Leave {
                object,
                life,
                outputs,
                is_armed,
                is_alarm,
            } => {
                if self.objects[object].life == life {
                    self.leave(object, *outputs, is_armed, is_alarm);
                }
            }
            Happening::Safe { object, life } => self.turn(object, life, Input::Safe),
            Happening::Timer { object, life } => self.turn(object, life, Input::TimerFired),
            Happening::Tells {
                object,
                life,
                input,
            } => {
                if self.objects[object].life == life {
                    self.objects[object].alarm_waits_for -= 1;
                }
                self.turn(object, life, *input);
                self.fire_if_due(object);
            }
            Happening::Alarm { object, at } => {
                if self.objects[object].alarm == Some(at) {
                    self.fire_if_due(object);
                }
            }
            Happening::AlarmAgain { object } => self.fire(object),
            Happening::Reset {
                object,
                loses_turns,
            } => self.reset(object, loses_turns),
            Happening::Sends { sender, input } => self.sends(sender, *input),
            Happening::SenderTimer { sender, number } => {
                if self
                    .senders
                    .get(&sender)
                    .is_some_and(|one| one.timers == number)
                {
                    self.sends(sender, SenderInput::TimerFired);
                }
            }
            Happening::Reaches { sender, grant } => self.reaches(sender, *grant),
            Happening::SenderEnds(sender) => self.sender_ends(sender),
            Happening::EndpointChanges(object) => {
                let mood = if self.is_well() {
                    Mood::Well
                } else {
                    Mood::draw(&mut self.choices)
                };
                self.tell(|| format!("endpoint {object} is {mood:?}"));
                self.endpoints[object].mood = mood;
                if !self.is_well() {
                    let after = self.after_ms(60_000, 14_400_000);
                    self.later(after, Happening::EndpointChanges(object));
                }
            }
            Happening::OwnerChanges(object) => self.owner_changes(object),
            Happening::PersonActs(object) => self.person_acts(object),
            Happening::Walk => {
                for object in 0..self.objects.len() {
                    self.call(object, &WebhookCommand::LookAtAlarm, Caller::Nobody);
                }
            }
            Happening::Heals => {
                self.tell(|| "the platform and the endpoints are well".into());
                self.faults.end();
                for endpoint in &mut self.endpoints {
                    endpoint.mood = Mood::Well;
                }
            }
        }
    }

    pub(crate) fn is_well(&self) -> bool {
        self.now >= self.began.saturating_add(TROUBLED)
    }
}
