//! The machine of one workspace: its webhooks, keys, dashboard links and sessions, and who has to be told of a change.
//!
//! A change is stored together with the targets that it must still be told to (the outbox): a webhook's object, and KV. A
//! target gets the present state, not the change, so telling twice does no harm, and whatever is lost is told again.
//!
//! **What may happen to it** is an [`Input`], **what it asks for** are its [`Outputs`]; its driver holds no rule. The order
//! of a driver's calls: [`WorkspaceMachine::handle`] with what happened, then each part of the outputs in the order of
//! their fields. What has to be awaited (a webhook's object, a put to KV) comes back as an input; other inputs may come
//! meanwhile.
//!
//! Invariants:
//! - Memory holds only who waits for what. After a fault, or a restart, the rows say what is still to be done.
//! - A change is stored together with its outbox and under a revision of its own, or not at all.
//! - Nobody is told of a change before the alarm is armed that tells it again, and KV is told after the webhook's object.
//! - A call that changes a webhook is answered when the webhook's object has said whether it has the change.
//! - One put is under way at a time, whatever else has to be put.
//! - The alarm is armed for the least of all [`wake::Reason`]s after each input that may have changed it.

mod tables;

pub mod wake;

mod telling;

mod alarm;

mod commands;

mod webhooks;

mod secrets;

mod keys;

mod access;

mod creations;

use std::{collections::BTreeMap, rc::Rc, time::Duration};

use thiserror::Error;

pub use super::publisher::{CallId, PutNumber};

use self::{tables::WorkspaceTables, telling::Waiting};
use super::{
    messages::{WebhookCommand, WorkspaceCommand, WorkspaceReply},
    publisher::Publisher,
    sql::{self, Sql, SqlError},
};
use crate::domain::{
    backoff::Backoff,
    ids::{WebhookId, WorkspaceId},
    policy::Policy,
    sealed::{EncryptionKeys, Nonce, SealedError},
    subscriptions::Snapshot,
    timestamp::Timestamp,
    workspace::Workspace,
};

/// How long after a change the alarm tells what has not been told; usually nothing is left.
const TELL_AGAIN: Duration = Duration::from_secs(5);

/// The most that the alarm waits if it could not tell several times in a row.
const TELL_AGAIN_LATEST: Duration = Duration::from_secs(60);

/// What a machine cannot know by itself.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The present time.
    pub now: Timestamp,
    /// The deployment's settings.
    pub policy: &'a Policy,
    /// The keys of stored secrets.
    pub keys: &'a EncryptionKeys,
    /// Draws a nonce; none if there is no randomness.
    pub nonces: &'a dyn Fn() -> Option<Nonce>,
}

/// What may happen to a workspace.
#[derive(Debug)]
#[cfg_attr(feature = "test-hooks", derive(serde::Serialize, serde::Deserialize))]
pub enum Input {
    /// A command arrived.
    Command(CallId, Box<WorkspaceCommand>),
    /// The alarm fired; it ends when it is answered.
    AlarmFired(CallId),
    /// A webhook's object answered what it was told, or did not.
    Told {
        /// The webhook.
        webhook: WebhookId,
        /// Up to which revision of the workspace it was told.
        revision: u64,
        /// Whether it has stored that.
        is_applied: bool,
    },
    /// The webhooks' objects were asked to look at their alarms.
    AlarmsLookedAt(CallId),
    /// A put to KV has ended.
    PutEnded {
        /// Which one.
        number: PutNumber,
        /// Whether KV has it.
        is_put: bool,
    },
    /// The timer fired.
    TimerFired,
    /// The alarm could not be armed.
    Failed,
}

/// What a machine asks its driver for, in the order in which it is done.
#[derive(Debug, Default)]
#[cfg_attr(feature = "test-hooks", derive(serde::Serialize))]
pub struct Outputs {
    /// When to say [`Input::TimerFired`]; if none, never. There is one timer: what was asked for before is off.
    pub timer: Option<Timestamp>,
    /// Makes sure that the alarm fires at this time or earlier. If that fails, [`Input::Failed`], and the answers below
    /// are faults.
    pub arm: Option<Timestamp>,
    /// Answers calls.
    pub answers: Vec<(CallId, std::result::Result<WorkspaceReply, Fault>)>,
    /// Says each command to its webhook's object, all at the same time, and [`Input::Told`] for each.
    pub tells: Vec<Tell>,
    /// Asks webhooks' objects to look at their alarms, then says [`Input::AlarmsLookedAt`].
    pub look_at_alarms: Option<LookAtAlarms>,
    /// Puts to KV, then says [`Input::PutEnded`].
    pub put: Option<Put>,
    /// Logs a fault.
    pub fault: Option<Fault>,
}

/// What a webhook's object is told.
#[derive(Debug)]
#[cfg_attr(feature = "test-hooks", derive(serde::Serialize))]
pub struct Tell {
    /// The workspace.
    pub workspace: WorkspaceId,
    /// The webhook.
    pub webhook: WebhookId,
    /// Up to which revision of the workspace this tells.
    pub revision: u64,
    /// The present settings, or that it is deleted.
    pub command: WebhookCommand,
}

/// The webhooks whose objects look at their alarms.
#[derive(Debug)]
#[cfg_attr(feature = "test-hooks", derive(serde::Serialize))]
pub struct LookAtAlarms {
    /// The call that asks for it.
    pub call: CallId,
    /// The workspace.
    pub workspace: WorkspaceId,
    /// The webhooks, disabled ones too: they have something to delete.
    pub webhooks: Vec<WebhookId>,
}

/// A put to KV.
#[derive(Debug)]
#[cfg_attr(feature = "test-hooks", derive(serde::Serialize))]
pub struct Put {
    /// Which one.
    pub number: PutNumber,
    /// The workspace.
    pub workspace: Workspace,
    /// What KV has to hold; nothing of a deleted workspace.
    pub snapshot: Option<Snapshot>,
}

/// Why a call could not be carried out, or what else went wrong. A call may have been carried out all the same.
#[derive(Debug, Error)]
pub enum Fault {
    /// A statement failed.
    #[error(transparent)]
    Storage(#[from] SqlError),
    /// A secret that a Worker has sealed does not open.
    #[error(transparent)]
    Sealed(#[from] SealedError),
    /// The alarm could not be armed.
    #[error("the alarm could not be armed")]
    NotArmed,
    /// A put has not ended in time.
    #[error("a put to KV takes too long")]
    SlowPut,
    /// The deployment's settings do not parse.
    #[error("the deployment's settings do not parse")]
    Misconfigured,
}

#[cfg(feature = "test-hooks")]
impl serde::Serialize for Fault {
    fn serialize<S: serde::Serializer>(
        &self,
        serializer: S,
    ) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

type Result<T> = std::result::Result<T, Fault>;

/// The machine of one workspace.
pub struct WorkspaceMachine {
    tables: WorkspaceTables,
    publisher: Publisher,
    /// The calls that wait until somebody has been told.
    waiting: BTreeMap<CallId, Waiting>,
    /// Whether this life of the object has looked for changes that an earlier one did not tell.
    has_looked: bool,
    /// When the alarm tells next, if a change or a round in vain has set that.
    tell_again: Option<Timestamp>,
    /// How long the alarm waits while it cannot tell.
    backoff: Backoff,
    /// Whether the next alarm may have to be another one.
    has_to_arm: bool,
    outputs: Outputs,
}

impl WorkspaceMachine {
    /// The machine of a workspace whose tables are in an engine. Reads nothing.
    #[must_use]
    pub fn new(sql: Rc<dyn Sql>) -> Self {
        Self {
            tables: WorkspaceTables::new(sql),
            publisher: Publisher::default(),
            waiting: BTreeMap::new(),
            has_looked: false,
            tell_again: None,
            backoff: Backoff::new(TELL_AGAIN, TELL_AGAIN_LATEST),
            has_to_arm: false,
            outputs: Outputs::default(),
        }
    }

    /// Lets something happen to the workspace, and returns what has to be done then.
    pub fn handle(&mut self, input: Input, context: &Context<'_>) -> Outputs {
        let now = context.now;
        match input {
            Input::Command(call, command) => self.obey(call, *command, context),
            Input::AlarmFired(call) => self.alarm_fired(call, context),
            Input::Told {
                webhook,
                revision,
                is_applied,
            } => self.told(&webhook, revision, is_applied, now),
            Input::AlarmsLookedAt(call) => self.finish(call, now),
            Input::PutEnded { number, is_put } => self.put_ended(number, is_put, now),
            Input::TimerFired => {}
            Input::Failed => self.not_armed(now),
        }
        self.publish(now);
        if std::mem::take(&mut self.has_to_arm) {
            self.arm(now);
        }
        self.outputs.timer = self.publisher.next_time();
        std::mem::take(&mut self.outputs)
    }

    /// Puts off an alarm that could not be handled, because the deployment's settings do not parse; returns until when.
    pub fn put_off(&mut self, now: Timestamp) -> Timestamp {
        now.saturating_add(self.backoff.failed())
    }

    /// When the workspace has to wake next, and why; none if nothing will be due.
    ///
    /// # Errors
    /// If the rows cannot be read.
    pub fn next_wake(&self, now: Timestamp) -> sql::Result<Option<(Timestamp, wake::Reason)>> {
        let mut next: Option<(Timestamp, wake::Reason)> = None;
        if self.tables.workspace()?.is_none() {
            return Ok(next);
        }
        // A round that is under way tells all that is due, or sets the next one.
        let round = if self.is_alarm_running() {
            self.tell_again
        } else {
            self.tell_again.or(Some(now.saturating_add(TELL_AGAIN)))
        };
        for reason in wake::Reason::ALL {
            if let Some(time) = reason.at(&self.tables, now, round)?
                && next.is_none_or(|(earlier, _)| time < earlier)
            {
                next = Some((time, reason));
            }
        }
        Ok(next)
    }

    /// Asks for the alarm at the least of the reasons to wake.
    fn arm(&mut self, now: Timestamp) {
        match self.next_wake(now) {
            Ok(wake) => self.outputs.arm = wake.map(|(time, _)| time),
            Err(error) => {
                self.outputs.arm = Some(now.saturating_add(TELL_AGAIN));
                self.log(error.into());
            }
        }
    }

    /// Stores a change and the workspace in its new revision, with those who must be told; all of it or nothing.
    fn change(
        &mut self,
        workspace: &Workspace,
        now: Timestamp,
        work: impl FnOnce(&Self) -> sql::Result<()>,
    ) -> Result<()> {
        self.tables.change(workspace, || work(self))?;
        self.tell_after(TELL_AGAIN, now);
        Ok(())
    }

    /// Lets the alarm tell a while from now, unless it does so earlier.
    fn tell_after(&mut self, wait: Duration, now: Timestamp) {
        let next = now.saturating_add(wait);
        let earlier = self.tell_again.filter(|time| (now..next).contains(time));
        self.tell_again = Some(earlier.unwrap_or(next));
        self.has_to_arm = true;
    }

    /// The alarm could not be armed, so no call is told that its change will be told in any case.
    fn not_armed(&mut self, now: Timestamp) {
        for call in std::mem::take(&mut self.waiting).into_keys() {
            self.answer(call, Err(Fault::NotArmed));
        }
        self.tell_after(TELL_AGAIN, now);
    }

    fn answer(&mut self, call: CallId, answer: Result<WorkspaceReply>) {
        self.outputs.answers.push((call, answer));
    }

    fn log(&mut self, fault: Fault) {
        self.outputs.fault.get_or_insert(fault);
    }
}

impl std::fmt::Debug for WorkspaceMachine {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("WorkspaceMachine")
            .finish_non_exhaustive()
    }
}
