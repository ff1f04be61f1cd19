//! The machine on SQLite, its virtual clock and alarm, and KV around it.

use std::{collections::VecDeque, rc::Rc, time::Duration};

use serde_json::value::RawValue;
use webhook_relay::{
    domain::{
        catalogue::{Catalogue, CatalogueEntry},
        event_type::EventType,
        timestamp::Timestamp,
    },
    machines::{
        catalogue::{CallId, CatalogueMachine, Fault, Input, Outputs, Put},
        messages::{CatalogueCommand, CatalogueReply, Refusal},
        sql::Database,
    },
};

use crate::engine::Engine;

pub(crate) type Answer = Result<CatalogueReply, Fault>;

/// A machine with its tables, the time, and KV.
pub(crate) struct World {
    pub(crate) engine: Rc<Engine>,
    pub(crate) now: Timestamp,
    pub(crate) alarm: Option<Timestamp>,
    /// Whether KV takes what is put.
    pub(crate) kv_takes: bool,
    /// What was put and when.
    pub(crate) puts: Vec<(Timestamp, Put)>,
    machine: CatalogueMachine,
    calls: CallId,
}

impl World {
    /// A relay that was never started.
    pub(crate) fn new() -> Self {
        let engine = Rc::new(Engine::new());
        Self {
            machine: CatalogueMachine::new(Rc::clone(&engine) as _),
            engine,
            now: Timestamp::from_millis(1_800_000_000_000),
            alarm: None,
            kv_takes: true,
            puts: Vec::new(),
            calls: 0,
        }
    }

    /// One whose first catalogue KV has.
    pub(crate) fn start() -> Self {
        let mut world = Self::new();
        let (_, outputs) = world.begin(CatalogueCommand::Read);
        world.happens(put_ended(&outputs.put.unwrap(), true));
        world.be_quiet();
        world
    }

    /// Lets the alarms run that are due soon, and forgets what was put.
    pub(crate) fn be_quiet(&mut self) {
        self.let_alarms_run();
        self.pass(2);
        self.puts.clear();
    }

    pub(crate) fn let_alarms_run(&mut self) {
        while self.alarm.is_some_and(|time| time < self.after(120)) {
            self.fire().unwrap();
        }
    }

    /// Forgets everything but the rows.
    pub(crate) fn restart(&mut self) {
        self.machine = CatalogueMachine::new(Rc::clone(&self.engine) as _);
    }

    pub(crate) fn after(&self, seconds: u64) -> Timestamp {
        self.now.saturating_add(Duration::from_secs(seconds))
    }

    pub(crate) fn pass(&mut self, seconds: u64) {
        self.now = self.after(seconds);
    }

    pub(crate) fn happens(&mut self, input: Input) -> Outputs {
        let outputs = self.machine.handle(input, self.now);
        self.alarm = self.alarm.into_iter().chain(outputs.arm).min();
        outputs
    }

    /// Begins a command, and lets KV not answer.
    pub(crate) fn begin(&mut self, command: CatalogueCommand) -> (CallId, Outputs) {
        self.calls += 1;
        let outputs = self.happens(Input::Command(self.calls, Box::new(command)));
        (self.calls, outputs)
    }

    /// Runs a command to its answer.
    pub(crate) fn ask(&mut self, command: CatalogueCommand) -> Answer {
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

    /// Does what is asked for until a call is answered.
    pub(crate) fn finish(&mut self, call: CallId, mut outputs: Outputs) -> Answer {
        let mut inputs = VecDeque::new();
        loop {
            if let Some(put) = outputs.put.take() {
                inputs.push_back(put_ended(&put, self.kv_takes));
                self.puts.push((self.now, put));
            }
            let mut answers = outputs.answers.into_iter();
            if let Some((_, answer)) = answers.find(|(answered, _)| *answered == call) {
                return answer;
            }
            let timer = outputs.timer;
            let input = inputs.pop_front().unwrap_or_else(|| {
                self.now = timer.expect("it is answered at some time");
                Input::TimerFired
            });
            outputs = self.happens(input);
        }
    }

    pub(crate) fn next_wake(&self) -> Option<Timestamp> {
        self.machine.next_wake(self.now).unwrap()
    }

    pub(crate) fn run(&self, statement: &str) {
        let database = Database::new(Rc::clone(&self.engine) as _);
        database.run(statement, vec![]).unwrap();
    }

    pub(crate) fn catalogue(&mut self) -> Catalogue {
        match self.ask(CatalogueCommand::Read).unwrap() {
            CatalogueReply::Catalogue(catalogue) => catalogue,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn revision(&mut self) -> u64 {
        self.catalogue().revision
    }

    pub(crate) fn names(&mut self) -> Vec<String> {
        let types = self.catalogue().types.into_iter();
        types.map(|entry| entry.name.to_string()).collect()
    }
}

pub(crate) fn put_ended(put: &Put, is_put: bool) -> Input {
    Input::PutEnded {
        number: put.number,
        is_put,
    }
}

pub(crate) fn entry(name: &str, sample: &str, schema: Option<&str>) -> CatalogueEntry {
    let json = |text: &str| RawValue::from_string(text.into()).unwrap();
    CatalogueEntry {
        name: EventType::parse(name).unwrap(),
        description: "described".into(),
        sample: json(sample),
        schema: schema.map(json),
        deprecated: false,
    }
}

pub(crate) fn described(name: &str, description: &str) -> CatalogueEntry {
    CatalogueEntry {
        description: description.into(),
        ..entry(name, "{}", None)
    }
}

pub(crate) fn put(name: &str) -> CatalogueCommand {
    CatalogueCommand::Put(entry(name, "{}", None))
}

pub(crate) fn delete(name: &str) -> CatalogueCommand {
    CatalogueCommand::Delete { name: name.into() }
}

/// The revision of a change, and whether it added a type.
pub(crate) fn changed(answer: Answer) -> (u64, bool) {
    match answer.unwrap() {
        CatalogueReply::Changed { revision, created } => (revision, created),
        other => panic!("{other:?}"),
    }
}

pub(crate) fn is_refused(answer: &Answer, refusal: Refusal) -> bool {
    matches!(answer, Ok(CatalogueReply::Refused(refused)) if *refused == refusal)
}
