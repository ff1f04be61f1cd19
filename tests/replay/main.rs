//! What machines did in workerd, done again natively: the same inputs on an empty database give the same bytes.
//!
//! `tests/e2e/recordings.test.js` records into `target/recordings`. `RECORDINGS=folder` names another folder; then it is
//! an error if there are none.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::arithmetic_side_effects,
    reason = "what is not as expected has to end the test"
)]

#[path = "../engine/mod.rs"]
mod engine;

use std::{
    cell::RefCell,
    collections::{BTreeMap, VecDeque},
    fs,
    path::{Path, PathBuf},
    rc::Rc,
};

use engine::Engine;
use serde::Deserialize;
use webhook_relay::{
    domain::{
        ids::WebhookId,
        policy::Policy,
        sealed::{EncryptionKeys, Nonce},
    },
    machines::{
        recording::{self, Kind, Line, Whose},
        sender::{SenderContext, SenderMachine},
        webhook::{self, WebhookMachine},
        workspace::{self, WorkspaceMachine},
    },
};

/// What an instance of the Worker recorded until it was asked.
#[derive(Deserialize)]
struct Acceptance {
    vars: BTreeMap<String, String>,
    lines: Vec<String>,
}

/// How many inputs of each machine were replayed.
#[derive(Debug, Default)]
struct Counts {
    webhook: usize,
    workspace: usize,
    sender: usize,
    nonces: usize,
}

#[test]
fn what_machines_did_in_workerd_they_do_natively_to_the_byte() {
    let asked_for = std::env::var_os("RECORDINGS").map(PathBuf::from);
    let folder = asked_for
        .clone()
        .unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target/recordings"));
    let recordings: Vec<PathBuf> = fs::read_dir(&folder)
        .map(|files| files.map(|file| file.unwrap().path()).collect())
        .unwrap_or_default();
    assert!(
        asked_for.is_none() || !recordings.is_empty(),
        "no recordings in {}",
        folder.display()
    );
    for path in recordings {
        let counts = replay(&fs::read_to_string(&path).unwrap());
        println!("{}: {counts:?}", path.display());
        assert!(
            counts.webhook > 0 && counts.workspace > 0 && counts.sender > 0 && counts.nonces > 0,
            "{} leaves a machine out: {counts:?}",
            path.display()
        );
    }
}

/// Replays a recording: what instances one after the other recorded, a line each.
fn replay(text: &str) -> Counts {
    let mut counts = Counts::default();
    let mut engines: BTreeMap<(Kind, String), Rc<Engine>> = BTreeMap::new();
    let mut players = BTreeMap::new();
    let mut begun = None;
    for taken in text.lines() {
        let (instance, taken): (u64, Acceptance) = serde_json::from_str(taken).unwrap();
        if begun.replace(instance) != Some(instance) {
            players.clear();
        }
        let policy = Policy::parse(|name| taken.vars.get(name).cloned()).unwrap();
        let keys = taken.vars.get("ENCRYPTION_KEYS");
        let keys = keys.map_or_else(EncryptionKeys::default, |keys| {
            EncryptionKeys::parse(keys).unwrap()
        });
        for line in &taken.lines {
            let line: Line = serde_json::from_str(line).unwrap();
            counts.nonces += line.nonces.len();
            match line.whose.kind {
                Kind::Webhook => counts.webhook += 1,
                Kind::Workspace => counts.workspace += 1,
                Kind::Sender => counts.sender += 1,
            }
            let engine = engines
                .entry((line.whose.kind, line.whose.object.clone()))
                .or_insert_with(|| Rc::new(Engine::new()));
            let player = players
                .entry(line.whose.clone())
                .or_insert_with(|| Player::of(&line, engine));
            let outputs = player.play(&line, engine, &policy, &keys);
            assert_eq!(
                outputs,
                line.outputs.get(),
                "of {:?} at {:?}, told {}",
                line.whose,
                line.now,
                line.input.get()
            );
        }
    }
    counts
}

/// A machine that does again what is recorded.
enum Player {
    Webhook(Box<WebhookMachine>),
    Workspace(Box<WorkspaceMachine>),
    Sender(SenderMachine),
}

impl Player {
    fn of(line: &Line, engine: &Rc<Engine>) -> Self {
        let sql = Rc::clone(engine) as _;
        match line.whose.kind {
            Kind::Webhook => Self::Webhook(Box::new(WebhookMachine::new(sql))),
            Kind::Workspace => Self::Workspace(Box::new(WorkspaceMachine::new(sql))),
            Kind::Sender => Self::Sender(SenderMachine::new(line.sender.as_ref().unwrap().0)),
        }
    }

    fn play(
        &mut self,
        line: &Line,
        engine: &Engine,
        policy: &Policy,
        keys: &EncryptionKeys,
    ) -> String {
        let left: RefCell<VecDeque<Option<Nonce>>> = RefCell::new(line.nonces.clone().into());
        let nonces = || left.borrow_mut().pop_front().expect("no more were drawn");
        let outputs = match self {
            Self::Webhook(machine) => {
                let input: webhook::Input = recording::read(line).unwrap();
                if matches!(input, webhook::Input::AllDeleted { .. }) {
                    engine.delete_all();
                }
                let context = webhook::Context {
                    now: line.now,
                    webhook: &webhook_of(&line.whose),
                    policy,
                    keys,
                    nonces: &nonces,
                };
                serde_json::to_string(&machine.handle(input, &context))
            }
            Self::Workspace(machine) => {
                let context = workspace::Context {
                    now: line.now,
                    policy,
                    keys,
                    nonces: &nonces,
                };
                let input = recording::read(line).unwrap();
                serde_json::to_string(&machine.handle(input, &context))
            }
            Self::Sender(machine) => {
                let (_, before, after) = line.sender.as_ref().unwrap();
                let mut budget = before.clone();
                let mut context = SenderContext {
                    now: line.now,
                    policy,
                    budget: &mut budget,
                };
                let outputs = machine.handle(recording::read(line).unwrap(), &mut context);
                assert_eq!(&budget, after);
                serde_json::to_string(&outputs)
            }
        };
        assert!(left.borrow().is_empty(), "fewer nonces were drawn");
        outputs.unwrap()
    }
}

/// The webhook in the name of an object.
fn webhook_of(whose: &Whose) -> WebhookId {
    let (_, webhook) = whose.object.split_once('/').unwrap();
    WebhookId::parse(webhook).unwrap()
}
