//! A machine on SQLite, its virtual clock and alarm, and the webhooks' objects and KV around it.

use std::{collections::VecDeque, rc::Rc, time::Duration};

use webhook_relay::{
    domain::{
        idempotency_key::{Creation, Idempotent},
        ids::{KeyId, WebhookId, WorkspaceId},
        pace::{Pace, PaceChange},
        policy::Policy,
        sealed::{EncryptionKeys, Field, Sealed},
        timestamp::Timestamp,
        token::{Scope, TokenHash},
        webhook::Webhook,
        workspace::{ApiKey, Workspace},
    },
    machines::{
        messages::{
            NewWebhook, Refusal, WebhookChange, WebhookCommand, WorkspaceCommand, WorkspaceReply,
        },
        sql::{Database, SqlValue},
        workspace::{
            CallId, Context, Fault, Input, Outputs, Put, Tell, WorkspaceMachine, wake::Reason,
        },
    },
};

use crate::engine::Engine;

pub(crate) type Answer = Result<WorkspaceReply, Fault>;

/// A machine with its tables, the time, and whom it talks to.
pub(crate) struct World {
    pub(crate) engine: Rc<Engine>,
    pub(crate) machine: WorkspaceMachine,
    pub(crate) keys: EncryptionKeys,
    pub(crate) now: Timestamp,
    pub(crate) alarm: Option<Timestamp>,
    /// Whether the webhooks' objects answer.
    pub(crate) answers: bool,
    /// Whether KV takes what is put.
    pub(crate) kv_takes: bool,
    /// What the webhooks' objects have been told, and what was put and when.
    pub(crate) told: Vec<Tell>,
    pub(crate) puts: Vec<(Timestamp, Put)>,
    policy: Policy,
    calls: CallId,
}

impl World {
    /// A workspace that KV knows.
    pub(crate) fn start() -> Self {
        let mut world = Self::without_workspace();
        let created = world.ask(create());
        assert!(matches!(
            created,
            Ok(WorkspaceReply::Workspace { created: true, .. })
        ));
        world.be_quiet();
        world
    }

    pub(crate) fn without_workspace() -> Self {
        let engine = Rc::new(Engine::new());
        Self {
            machine: WorkspaceMachine::new(Rc::clone(&engine) as _),
            engine,
            keys: EncryptionKeys::default(),
            now: Timestamp::from_millis(1_800_000_000_000),
            alarm: None,
            answers: true,
            kv_takes: true,
            told: Vec::new(),
            puts: Vec::new(),
            policy: Policy::parse(|_| None).unwrap(),
            calls: 0,
        }
    }

    /// Lets the alarms run that are due soon, and forgets what was told and put.
    pub(crate) fn be_quiet(&mut self) {
        self.let_alarms_run();
        self.pass(2);
        self.told.clear();
        self.puts.clear();
    }

    pub(crate) fn let_alarms_run(&mut self) {
        while self.alarm.is_some_and(|time| time < self.after(120)) {
            self.fire().unwrap();
        }
    }

    /// Forgets everything but the rows.
    pub(crate) fn restart(&mut self) {
        self.machine = WorkspaceMachine::new(Rc::clone(&self.engine) as _);
    }

    pub(crate) fn after(&self, seconds: u64) -> Timestamp {
        self.now.saturating_add(Duration::from_secs(seconds))
    }

    pub(crate) fn pass(&mut self, seconds: u64) {
        self.now = self.after(seconds);
    }

    pub(crate) fn happens(&mut self, input: Input) -> Outputs {
        let context = Context {
            now: self.now,
            policy: &self.policy,
            keys: &self.keys,
            nonces: &|| Some([7; 12]),
        };
        let outputs = self.machine.handle(input, &context);
        self.alarm = self.alarm.into_iter().chain(outputs.arm).min();
        outputs
    }

    /// Begins a command, and lets nobody answer.
    pub(crate) fn begin(&mut self, command: WorkspaceCommand) -> (CallId, Outputs) {
        self.calls += 1;
        let outputs = self.happens(Input::Command(self.calls, Box::new(command)));
        (self.calls, outputs)
    }

    /// Runs a command to its answer.
    pub(crate) fn ask(&mut self, command: WorkspaceCommand) -> Answer {
        let (call, outputs) = self.begin(command);
        self.finish(call, outputs)
    }

    /// Lets the time pass until the alarm fires, and runs it.
    pub(crate) fn fire(&mut self) -> Answer {
        self.now = self.now.max(self.alarm.take().expect("it is armed"));
        self.calls += 1;
        let outputs = self.happens(Input::AlarmFired(self.calls));
        self.finish(self.calls, outputs)
    }

    /// Does what is asked for until a call is answered, and what was asked for with the answer.
    pub(crate) fn finish(&mut self, call: CallId, outputs: Outputs) -> Answer {
        let mut timer = outputs.timer;
        let mut inputs = VecDeque::new();
        let mut outputs = Some(outputs);
        let mut answer = None;
        loop {
            if let Some(outputs) = outputs.take() {
                let mut answers = outputs.answers.into_iter();
                answer = answer.or(answers.find(|(answered, _)| *answered == call));
                for tell in outputs.tells {
                    inputs.push_back(told(&tell, self.answers));
                    self.told.push(tell);
                }
                let asked = outputs.look_at_alarms;
                inputs.extend(asked.map(|asked| Input::AlarmsLookedAt(asked.call)));
                if let Some(put) = outputs.put {
                    inputs.push_back(put_ended(&put, self.kv_takes));
                    self.puts.push((self.now, put));
                }
            }
            let input = match (inputs.pop_front(), answer.take()) {
                (Some(input), kept) => {
                    answer = kept;
                    input
                }
                (None, Some((_, answer))) => return answer,
                (None, None) => {
                    self.now = timer.expect("it is answered at some time");
                    Input::TimerFired
                }
            };
            let next = self.happens(input);
            timer = next.timer;
            outputs = Some(next);
        }
    }

    pub(crate) fn next_wake(&self) -> Option<(Timestamp, Reason)> {
        self.machine.next_wake(self.now).unwrap()
    }

    /// How many rows a table has.
    pub(crate) fn rows(&self, table: &str) -> i64 {
        let database = Database::new(Rc::clone(&self.engine) as _);
        let count = database.value(&format!("SELECT count(*) FROM {table}"), vec![]);
        match count.unwrap() {
            Some(SqlValue::Integer(count)) => count,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn workspace(&mut self) -> Workspace {
        match self.ask(WorkspaceCommand::Read).unwrap() {
            WorkspaceReply::Workspace { workspace, .. } => workspace,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn webhooks(&mut self) -> Vec<Webhook> {
        match self.ask(WorkspaceCommand::ListWebhooks).unwrap() {
            WorkspaceReply::Webhooks(webhooks) => webhooks,
            other => panic!("{other:?}"),
        }
    }

    /// Makes a webhook and lets everybody know it.
    pub(crate) fn with_webhook(&mut self, number: u8) {
        assert!(shown(self.ask(create_webhook(number, None))).1);
        self.be_quiet();
    }
}

/// What a webhook's object says to what it is told.
pub(crate) fn told(tell: &Tell, is_applied: bool) -> Input {
    Input::Told {
        webhook: tell.webhook.clone(),
        revision: tell.revision,
        is_applied,
    }
}

pub(crate) fn put_ended(put: &Put, is_put: bool) -> Input {
    Input::PutEnded {
        number: put.number,
        is_put,
    }
}

pub(crate) fn create() -> WorkspaceCommand {
    WorkspaceCommand::Create {
        id: WorkspaceId::parse("ws_a").unwrap(),
        name: "Acme".into(),
    }
}

pub(crate) fn webhook(number: u8) -> WebhookId {
    WebhookId::mint(Timestamp::from_millis(0), [number; 10])
}

pub(crate) fn create_webhook(number: u8, idempotent: Option<Idempotent>) -> WorkspaceCommand {
    WorkspaceCommand::CreateWebhook {
        id: webhook(number),
        webhook: NewWebhook {
            url: "https://hooks.example.com/".into(),
            events: vec!["agent.error".into()],
            description: String::new(),
            headers: Vec::new(),
            secret: sealed(number, "the first secret"),
            pace: Pace::default(),
        },
        idempotent,
    }
}

pub(crate) fn sealed(number: u8, secret: &str) -> Sealed {
    let keys = EncryptionKeys::default();
    let sealed = keys.seal(secret, &webhook(number), Field::Secret, [0; 12]);
    sealed.unwrap()
}

/// A creation with a key, and with a body of which `body` is the hash.
pub(crate) fn idempotent(creation: Creation, body: &str) -> Idempotent {
    Idempotent {
        creation,
        key: "the caller's".into(),
        body: body.into(),
        answer: None,
    }
}

pub(crate) fn no_change() -> WebhookChange {
    WebhookChange {
        url: None,
        events: None,
        description: None,
        headers: None,
        enabled: None,
        paused: false,
        pace: PaceChange::default(),
        sign_header_with: None,
    }
}

pub(crate) fn describe(number: u8) -> WorkspaceCommand {
    WorkspaceCommand::ChangeWebhook {
        id: webhook(number),
        change: WebhookChange {
            description: Some("a note".into()),
            ..no_change()
        },
    }
}

pub(crate) fn select(number: u8, event: &str) -> WorkspaceCommand {
    WorkspaceCommand::ChangeWebhook {
        id: webhook(number),
        change: WebhookChange {
            events: Some(vec![event.into()]),
            ..no_change()
        },
    }
}

pub(crate) fn key(number: u8) -> ApiKey {
    ApiKey {
        id: KeyId::mint(Timestamp::from_millis(0), [number; 10]),
        name: format!("key {number}"),
        scopes: vec![Scope::WebhooksRead, Scope::WebhooksWrite],
        created_at: Timestamp::from_millis(0),
        hash: TokenHash::of(&format!("key {number}")),
    }
}

pub(crate) fn create_key(number: u8) -> WorkspaceCommand {
    WorkspaceCommand::CreateKey {
        key: key(number),
        idempotent: None,
    }
}

/// The webhook in an answer, and whether its object has it.
pub(crate) fn shown(answer: Answer) -> (Webhook, bool) {
    match answer.unwrap() {
        WorkspaceReply::Webhook { webhook, applied } => (*webhook, applied),
        other => panic!("{other:?}"),
    }
}

pub(crate) fn is_done(answer: &Answer, is_applied: bool) -> bool {
    matches!(answer, Ok(WorkspaceReply::Done { applied }) if *applied == is_applied)
}

pub(crate) fn is_refused(answer: &Answer, refusal: Refusal) -> bool {
    matches!(answer, Ok(WorkspaceReply::Refused(refused)) if *refused == refusal)
}

/// The settings that a webhook's object is told; none if it is told that the webhook is deleted.
pub(crate) fn settings(tell: &Tell) -> Option<&webhook_relay::domain::webhook::Settings> {
    match &tell.command {
        WebhookCommand::Apply(settings) => Some(settings),
        WebhookCommand::Delete { .. } => None,
        other => panic!("{other:?}"),
    }
}
