//! The object of one webhook as the platform runs it: its tables, its alarm, its life, and the machine in it.

use std::{collections::BTreeMap, rc::Rc};

use webhook_relay::{
    domain::{
        ids::WebhookId,
        policy::Policy,
        sealed::{EncryptionKeys, Field},
        timestamp::Timestamp,
        webhook::Settings,
    },
    machines::{
        alarm_clock::AlarmClock,
        webhook::{Context, Input, Outputs, WebhookMachine, wake::Reason},
    },
};

use crate::{engine::Engine, world::Caller};

/// An object.
pub(crate) struct Object {
    pub(crate) webhook: WebhookId,
    /// What its owner set last, and whether they deleted it.
    pub(crate) settings: Settings,
    pub(crate) is_deleted: bool,
    /// Since when nothing may be attempted, but under leases granted before.
    pub(crate) closed_since: Option<Timestamp>,
    pub(crate) engine: Rc<Engine>,
    pub(crate) machine: WebhookMachine,
    pub(crate) clock: AlarmClock,
    /// The alarm that the platform has.
    pub(crate) alarm: Option<Timestamp>,
    /// What the handler of an alarm waits for; no other one runs meanwhile.
    pub(crate) alarm_waits_for: u32,
    /// Counts its resets.
    pub(crate) life: u64,
    /// Who waits for the answers to its calls.
    pub(crate) calls: BTreeMap<u64, Caller>,
    pub(crate) called: u64,
    /// Whether its turns will be lost, and the alarm before them.
    pub(crate) loses_turns: bool,
    pub(crate) alarm_before: Option<Timestamp>,
    pub(crate) alarms_run: u64,
    /// Why it woke.
    pub(crate) woken: BTreeMap<String, u64>,
}

impl Object {
    pub(crate) fn new(webhook: WebhookId, now: Timestamp) -> Self {
        let engine = Rc::new(Engine::new());
        let secret = EncryptionKeys::default().seal("whsec_AA==", &webhook, Field::Secret, [0; 12]);
        let settings = Settings {
            revision: 1,
            status_revision: 1,
            status_changed_at: now,
            enabled: true,
            url: "https://hooks.example.com/".into(),
            events: vec!["agent.error".into()],
            headers: Vec::new(),
            secret: secret.expect("a secret is sealed"),
            previous_secret: None,
            keys_revision: 0,
        };
        Self {
            webhook,
            settings,
            is_deleted: false,
            closed_since: None,
            machine: WebhookMachine::new(Rc::clone(&engine) as _),
            engine,
            clock: AlarmClock::default(),
            alarm: None,
            alarm_waits_for: 0,
            life: 0,
            calls: BTreeMap::new(),
            called: 0,
            loses_turns: false,
            alarm_before: None,
            alarms_run: 0,
            woken: BTreeMap::new(),
        }
    }

    /// Lets something happen to the machine.
    pub(crate) fn happens(&mut self, input: Input, now: Timestamp, policy: &Policy) -> Outputs {
        let keys = EncryptionKeys::default();
        let context = Context {
            now,
            webhook: &self.webhook,
            policy,
            keys: &keys,
            nonces: &|| None,
        };
        self.machine.handle(input, &context)
    }

    /// Why it wakes next.
    pub(crate) fn reason(&mut self, now: Timestamp, policy: &Policy) -> Option<Reason> {
        let keys = EncryptionKeys::default();
        let context = Context {
            now,
            webhook: &self.webhook,
            policy,
            keys: &keys,
            nonces: &|| None,
        };
        let next = self.machine.next_wake(&context).ok()??;
        (next.0 <= now).then_some(next.1)
    }

    /// Forgets everything but the rows and the alarm. Returns who waited for answers.
    pub(crate) fn reset(&mut self) -> Vec<Caller> {
        self.life += 1;
        self.machine = WebhookMachine::new(Rc::clone(&self.engine) as _);
        self.clock = AlarmClock::default();
        self.alarm_waits_for = 0;
        std::mem::take(&mut self.calls).into_values().collect()
    }
}
