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
    domain::{ids::WebhookId, policy::Policy, sealed::EncryptionKeys},
    machines::{
        catalogue::CatalogueMachine,
        ingest::PostMachine,
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
    catalogue: usize,
    sender: usize,
    post: usize,
    nonces: usize,
    drawn: usize,
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
        let each = [
            counts.webhook,
            counts.workspace,
            counts.catalogue,
            counts.sender,
            counts.post,
            counts.nonces,
            counts.drawn,
        ];
        assert!(
            each.iter().all(|count| *count > 0),
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
            counts.drawn += line.drawn.len();
            match line.whose.kind {
                Kind::Webhook => counts.webhook += 1,
                Kind::Workspace => counts.workspace += 1,
                Kind::Catalogue => counts.catalogue += 1,
                Kind::Sender => counts.sender += 1,
                Kind::Post => counts.post += 1,
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
    Catalogue(Box<CatalogueMachine>),
    Sender(SenderMachine),
    Post(Box<PostMachine>),
}

impl Player {
    fn of(line: &Line, engine: &Rc<Engine>) -> Self {
        let sql = Rc::clone(engine) as _;
        match line.whose.kind {
            Kind::Webhook => Self::Webhook(Box::new(WebhookMachine::new(sql))),
            Kind::Workspace => Self::Workspace(Box::new(WorkspaceMachine::new(sql))),
            Kind::Catalogue => Self::Catalogue(Box::new(CatalogueMachine::new(sql))),
            Kind::Sender => Self::Sender(SenderMachine::new(line.sender.as_ref().unwrap().0)),
            Kind::Post => {
                let posted = line.post.clone().unwrap();
                let (events, key) = (posted.events, posted.key);
                let machine = PostMachine::new(events, key, posted.posts, posted.now);
                Self::Post(Box::new(machine))
            }
        }
    }

    fn play(
        &mut self,
        line: &Line,
        engine: &Engine,
        policy: &Policy,
        keys: &EncryptionKeys,
    ) -> String {
        let left = Drawn::of(&line.nonces);
        let nonces = || left.next();
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
            Self::Catalogue(machine) => {
                let input = recording::read(line).unwrap();
                serde_json::to_string(&machine.handle(input, line.now))
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
            Self::Post(machine) => {
                let drawn = Drawn::of(&line.drawn);
                let step = machine.handle(recording::read(line).unwrap(), &|| drawn.next());
                drawn.end();
                serde_json::to_string(&step)
            }
        };
        left.end();
        outputs.unwrap()
    }
}

/// What a machine drew, in order.
struct Drawn<T>(RefCell<VecDeque<Option<T>>>);

impl<T: Copy> Drawn<T> {
    fn of(recorded: &[Option<T>]) -> Self {
        Self(RefCell::new(recorded.iter().copied().collect()))
    }

    fn next(&self) -> Option<T> {
        let next = self.0.borrow_mut().pop_front();
        next.expect("no more were drawn")
    }

    fn end(&self) {
        assert!(self.0.borrow().is_empty(), "fewer were drawn");
    }
}

/// The webhook in the name of an object.
fn webhook_of(whose: &Whose) -> WebhookId {
    let (_, webhook) = whose.object.split_once('/').unwrap();
    WebhookId::parse(webhook).unwrap()
}
