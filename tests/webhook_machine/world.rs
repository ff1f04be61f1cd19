//! A machine on SQLite, its virtual clock, and what the tests say to it.

use std::{rc::Rc, time::Duration};

use serde_json::value::RawValue;
use webhook_relay::{
    domain::{
        attempt::Attempt,
        ids::{DeliveryId, EventId, WebhookId},
        outcome::Outcome,
        pace::Pace,
        policy::Policy,
        record::DeliveryRecord,
        sealed::{EncryptionKeys, Field, Nonce},
        timestamp::Timestamp,
        webhook::{ReportedStanding, Settings},
    },
    machines::{
        messages::{
            Acceptance, AttemptReport, Grant, NewDelivery, Refusal, WebhookCommand, WebhookReply,
        },
        sql::{Database, SqlValue},
        webhook::{Context, Fault, Input, Outputs, WebhookMachine, wake::Reason},
    },
};

use crate::engine::Engine;

/// A machine with its tables, and the time.
pub(crate) struct World {
    pub(crate) engine: Rc<Engine>,
    pub(crate) machine: WebhookMachine,
    pub(crate) policy: Policy,
    pub(crate) keys: EncryptionKeys,
    pub(crate) nonce: Option<Nonce>,
    pub(crate) webhook: WebhookId,
    pub(crate) now: Timestamp,
    pub(crate) calls: u64,
}

impl World {
    pub(crate) fn without_settings() -> Self {
        let engine = Rc::new(Engine::new());
        Self {
            machine: WebhookMachine::new(Rc::clone(&engine) as _),
            engine,
            policy: Policy::parse(|_| None).unwrap(),
            keys: EncryptionKeys::default(),
            nonce: None,
            webhook: webhook(),
            now: began(),
            calls: 1000,
        }
    }

    pub(crate) fn start() -> Self {
        let mut world = Self::without_settings();
        let applied = world.ask(WebhookCommand::Apply(Box::new(settings(began()))));
        assert!(matches!(applied, Ok(WebhookReply::Done)));
        world
    }

    /// Forgets everything but the rows.
    pub(crate) fn restart(&mut self) {
        self.machine = WebhookMachine::new(Rc::clone(&self.engine) as _);
    }

    pub(crate) fn happens(&mut self, input: Input) -> Outputs {
        let context = Context {
            now: self.now,
            webhook: &self.webhook,
            policy: &self.policy,
            keys: &self.keys,
            nonces: &|| self.nonce,
        };
        self.machine.handle(input, &context)
    }

    pub(crate) fn next_wake(&mut self) -> Option<(Timestamp, Reason)> {
        let context = Context {
            now: self.now,
            webhook: &self.webhook,
            policy: &self.policy,
            keys: &self.keys,
            nonces: &|| self.nonce,
        };
        self.machine.next_wake(&context).unwrap()
    }

    /// Runs a command, and lets the time pass that its answer takes.
    pub(crate) fn ask(&mut self, command: WebhookCommand) -> Result<WebhookReply, Fault> {
        self.calls += 1;
        let call = self.calls;
        let mut outputs = self.happens(Input::Command(call, command));
        loop {
            if let Some(position) = outputs.answers.iter().position(|(one, _)| *one == call) {
                return outputs.answers.swap_remove(position).1;
            }
            outputs = if outputs.sync {
                self.happens(Input::Safe)
            } else {
                self.now = outputs.timer.expect("it is answered at some time");
                self.happens(Input::TimerFired)
            };
        }
    }

    pub(crate) fn accept_unleased(&mut self, number: u64) {
        let reply = self.ask(accept(vec![event(number, 100)], 0)).unwrap();
        let (taken, _) = accepted(&reply);
        assert!(matches!(taken[0], Acceptance::New { .. }));
    }

    pub(crate) fn lease(&mut self, number: u64) -> Vec<Grant> {
        match self.ask(accept(vec![event(number, 100)], 1)).unwrap() {
            WebhookReply::Accepted { grants, .. } => grants,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn keep_busy(&mut self, attempts: u64) {
        for number in 1..=attempts {
            self.lease(number);
        }
    }

    /// Lets the alarm fire if the workspace has to be told of the webhook's standing, and returns what it is told.
    pub(crate) fn tell(&mut self) -> Option<ReportedStanding> {
        let (at, reason) = self.next_wake()?;
        let soon = self.now.saturating_add(Duration::from_secs(10));
        if reason != Reason::Standing || at > soon {
            return None;
        }
        self.now = self.now.max(at);
        let standing = self.happens(Input::AlarmFired).tell?;
        self.happens(Input::Told {
            standing: standing.clone(),
            is_answered: true,
        });
        Some(standing)
    }

    pub(crate) fn find(&mut self, number: u64) -> Option<DeliveryRecord> {
        match self.ask(WebhookCommand::Read { id: id(number) }).unwrap() {
            WebhookReply::Delivery(record) => Some(*record),
            WebhookReply::Refused(Refusal::NoDelivery) => None,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn read(&mut self, number: u64) -> DeliveryRecord {
        self.find(number).expect("it is stored")
    }

    pub(crate) fn tables(&self) -> u64 {
        let database = Database::new(Rc::clone(&self.engine) as _);
        let count = "SELECT count(*) FROM sqlite_master";
        let count = database.value(count, vec![]).unwrap();
        match count {
            Some(SqlValue::Integer(count)) => count.try_into().unwrap(),
            other => panic!("{other:?}"),
        }
    }
}

pub(crate) fn began() -> Timestamp {
    Timestamp::from_millis(1_800_000_000_000)
}

pub(crate) fn webhook() -> WebhookId {
    WebhookId::mint(began(), [0; 10])
}

pub(crate) fn bytes_of(number: u64) -> [u8; 10] {
    let mut bytes = [0; 10];
    bytes[2..].copy_from_slice(&number.to_be_bytes());
    bytes
}

pub(crate) fn id(number: u64) -> DeliveryId {
    DeliveryId::mint(began(), bytes_of(number))
}

pub(crate) fn settings(now: Timestamp) -> Settings {
    let secret = EncryptionKeys::default().seal("whsec_AA==", &webhook(), Field::Secret, [0; 12]);
    Settings {
        revision: 1,
        status_revision: 1,
        status_changed_at: now,
        enabled: true,
        url: "https://hooks.example.com/".into(),
        events: vec!["agent.error".into()],
        headers: Vec::new(),
        secret: secret.unwrap(),
        previous_secret: None,
        keys_revision: 0,
        paused: false,
        pace: Pace::default(),
    }
}

pub(crate) fn event(number: u64, length: usize) -> NewDelivery {
    let payload = format!("\"{}\"", "x".repeat(length));
    NewDelivery {
        id: id(number),
        event_id: EventId::mint(began(), bytes_of(number)),
        event_id_given: false,
        event_type: "agent.error".into(),
        payload: RawValue::from_string(payload).unwrap(),
    }
}

pub(crate) fn accept(events: Vec<NewDelivery>, leases: usize) -> WebhookCommand {
    WebhookCommand::Accept {
        events,
        leases,
        ahead_ms: 0,
        keys_revision: None,
    }
}

pub(crate) fn accepted(reply: &WebhookReply) -> (&[Acceptance], &[Grant]) {
    match reply {
        WebhookReply::Accepted {
            deliveries, grants, ..
        } => (deliveries, grants),
        other => panic!("{other:?}"),
    }
}

pub(crate) fn report(grant: &Grant, status: u16, now: Timestamp) -> AttemptReport {
    AttemptReport {
        id: grant.id.clone(),
        lease: grant.lease,
        revision: grant.revision,
        attempt: Attempt {
            outcome: if status < 300 {
                Outcome::Succeeded
            } else {
                Outcome::HttpError
            },
            response_status: Some(status),
            ..Attempt::lost(grant.lease.attempt, now, now)
        },
        retry_after_ms: None,
        request: None,
    }
}
