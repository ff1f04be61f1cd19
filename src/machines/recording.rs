//! What a machine was told and what it asked for, a line of JSON each: builds for tests record it in workerd, and a native
//! test replays it and wants the same bytes.

use std::cell::RefCell;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;

use super::{
    catalogue::{self, CatalogueMachine},
    ingest::{DrawBytes, PostInput, PostMachine, PostStep, Posted},
    sender::{SenderContext, SenderInput, SenderMachine, SenderOutputs},
    shift::Shift,
    webhook::{self, WebhookMachine},
    workspace::{self, WorkspaceMachine},
};
use crate::domain::{budget::Budget, sealed::Nonce, timestamp::Timestamp};

/// Which machine it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// That of a webhook.
    Webhook,
    /// That of a workspace.
    Workspace,
    /// That of the catalogue.
    Catalogue,
    /// That of a sender.
    Sender,
    /// That of a post.
    Post,
}

/// The machine of a recorded line.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Whose {
    /// Which machine.
    pub kind: Kind,
    /// The name of the object; empty for a sender and a post.
    pub object: String,
    /// Tells the lives of machines apart, within one instance.
    pub life: u64,
}

/// One input with its outputs.
#[derive(Debug, Serialize, Deserialize)]
pub struct Line {
    /// Whose it was.
    pub whose: Whose,
    /// The machine's time.
    pub now: Timestamp,
    /// The nonces that it drew.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nonces: Vec<Option<Nonce>>,
    /// The random bytes of ids that it drew.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drawn: Vec<Option<[u8; 10]>>,
    /// A sender's shift and what its invocation might still ask for, before and after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender: Option<(Shift, Budget, Budget)>,
    /// With what the machine of a post was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub post: Option<Posted>,
    /// What it was told.
    pub input: Box<RawValue>,
    /// What it asked for.
    pub outputs: Box<RawValue>,
}

/// What a handled input gives: the outputs, and the line, or why there is none.
pub type Recorded<T> = (T, serde_json::Result<Line>);

fn raw(value: &impl Serialize) -> serde_json::Result<Box<RawValue>> {
    serde_json::value::to_raw_value(value)
}

/// Reads a recorded input.
///
/// # Errors
/// If it is damaged.
pub fn read<T: DeserializeOwned>(line: &Line) -> serde_json::Result<T> {
    serde_json::from_str(line.input.get())
}

/// Lets something happen to a webhook's machine, and records it.
pub fn webhook(
    machine: &mut WebhookMachine,
    whose: Whose,
    input: webhook::Input,
    context: &webhook::Context<'_>,
) -> Recorded<webhook::Outputs> {
    let told = raw(&input);
    let drawn = RefCell::new(Vec::new());
    let nonces = || draw(&drawn, context.nonces);
    let outputs = machine.handle(
        input,
        &webhook::Context {
            nonces: &nonces,
            ..*context
        },
    );
    let line = line(whose, context.now, drawn.take(), told, raw(&outputs));
    (outputs, line)
}

/// The same for a workspace's machine.
pub fn workspace(
    machine: &mut WorkspaceMachine,
    whose: Whose,
    input: workspace::Input,
    context: &workspace::Context<'_>,
) -> Recorded<workspace::Outputs> {
    let told = raw(&input);
    let drawn = RefCell::new(Vec::new());
    let nonces = || draw(&drawn, context.nonces);
    let outputs = machine.handle(
        input,
        &workspace::Context {
            nonces: &nonces,
            ..*context
        },
    );
    let line = line(whose, context.now, drawn.take(), told, raw(&outputs));
    (outputs, line)
}

/// The same for the catalogue's machine.
pub fn catalogue(
    machine: &mut CatalogueMachine,
    whose: Whose,
    input: catalogue::Input,
    now: Timestamp,
) -> Recorded<catalogue::Outputs> {
    let told = raw(&input);
    let outputs = machine.handle(input, now);
    let line = line(whose, now, Vec::new(), told, raw(&outputs));
    (outputs, line)
}

/// The same for a sender's machine, which began with a shift.
pub fn sender(
    machine: &mut SenderMachine,
    whose: Whose,
    shift: Shift,
    input: SenderInput,
    context: &mut SenderContext<'_>,
) -> Recorded<SenderOutputs> {
    let told = raw(&input);
    let before = context.budget.clone();
    let outputs = machine.handle(input, context);
    let line = line(whose, context.now, Vec::new(), told, raw(&outputs));
    let line = line.map(|line| Line {
        sender: Some((shift, before, context.budget.clone())),
        ..line
    });
    (outputs, line)
}

/// The same for the machine of a post.
pub fn post(
    machine: &mut PostMachine,
    whose: Whose,
    input: PostInput,
    random: DrawBytes<'_>,
) -> Recorded<PostStep> {
    let told = raw(&input);
    let posted = machine.posted();
    let drawn = RefCell::new(Vec::new());
    let step = machine.handle(input, &|| draw(&drawn, random));
    let line = line(whose, posted.now, Vec::new(), told, raw(&step));
    let line = line.map(|line| Line {
        drawn: drawn.take(),
        post: Some(posted),
        ..line
    });
    (step, line)
}

fn draw<T: Copy>(drawn: &RefCell<Vec<Option<T>>>, source: &dyn Fn() -> Option<T>) -> Option<T> {
    let bytes = source();
    drawn.borrow_mut().push(bytes);
    bytes
}

fn line(
    whose: Whose,
    now: Timestamp,
    nonces: Vec<Option<Nonce>>,
    input: serde_json::Result<Box<RawValue>>,
    outputs: serde_json::Result<Box<RawValue>>,
) -> serde_json::Result<Line> {
    Ok(Line {
        whose,
        now,
        nonces,
        drawn: Vec::new(),
        sender: None,
        post: None,
        input: input?,
        outputs: outputs?,
    })
}
