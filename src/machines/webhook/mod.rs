//! The machine of one webhook: its settings, its deliveries, the retry schedule.
//!
//! **What may happen to it** is an [`Input`], **what it asks for** are its [`Outputs`]; its driver holds no rule. The order
//! of a driver's calls: [`WebhookMachine::handle`] with what happened, then each part of the outputs in the order of
//! their fields. What has to be awaited (a write that is safe, a hire, the workspace's answer) comes back as an input;
//! other inputs may come meanwhile.
//!
//! Invariants:
//! - Memory never differs from the rows: after a fault it is forgotten, and the next command reads the rows again.
//! - A command is answered after its changes are flushed, and after the alarm is armed for what they need.
//! - A lease leaves the machine after it is flushed. An attempt is under at most one lease at a time.
//! - The alarm is armed for the least of all [`wake::Reason`]s, after each input.
//! - Only the alarm hires Senders.

pub mod hire;

mod memory;

mod tables;

pub mod turn;

pub mod wake;

pub mod group_commit;

mod accept;

mod accept_command;

mod alarm;

mod bulk_resend;

mod cleaning;

mod commands;

mod counts;

mod hold;

mod page;

mod report;

mod settings;

mod single_delivery;

use std::{rc::Rc, time::Duration};

use thiserror::Error;

use self::{
    group_commit::{CallId, GroupCommit},
    hire::Group,
    memory::Memory,
    tables::WebhookTables,
    turn::{LostAttempt, Noted, Turn},
};
use super::{
    hiring::Hiring,
    messages::{UnusedLease, WebhookCommand, WebhookReply},
    sql::{Result, Sql, SqlError},
};
use crate::{
    domain::{
        backoff::Backoff,
        ids::{DeliveryId, WebhookId},
        policy::Policy,
        sealed::{EncryptionKeys, Nonce},
        timestamp::Timestamp,
        webhook::ReportedStanding,
    },
    mutants::Mutant,
};

/// How long after a fault of the relay itself the alarm tries again.
const AFTER_FAULT: Duration = Duration::from_secs(10);

/// The most that it waits after several faults in a row: a setting that does not parse lasts until the next deployment.
const AFTER_FAULTS: Duration = Duration::from_secs(60);

/// What a machine cannot know by itself.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The present time.
    pub now: Timestamp,
    /// The webhook.
    pub webhook: &'a WebhookId,
    /// The deployment's settings.
    pub policy: &'a Policy,
    /// The keys of stored secrets.
    pub keys: &'a EncryptionKeys,
    /// Draws a nonce; none if there is no randomness.
    pub nonces: &'a dyn Fn() -> Option<Nonce>,
}

/// What may happen to a webhook.
#[derive(Debug)]
#[cfg_attr(feature = "test-hooks", derive(serde::Serialize, serde::Deserialize))]
pub enum Input {
    /// A command arrived.
    Command(CallId, WebhookCommand),
    /// Commands of several posts arrived in one call, which returns when all of them are answered.
    SharedCall(Vec<(CallId, WebhookCommand)>),
    /// The writes before `sync` was asked for are safe.
    Safe,
    /// The timer that was asked for fired.
    TimerFired,
    /// All rows of a deleted webhook are deleted, and the alarm with them.
    AllDeleted {
        /// The command that deletes it.
        call: CallId,
        /// The revision of the deletion.
        revision: u64,
    },
    /// The alarm fired.
    AlarmFired,
    /// What an input asked for failed: a write, or arming the alarm.
    Failed,
    /// The hires of an alarm were answered.
    HiresAnswered {
        /// How many Senders were hired.
        hired: usize,
        /// How many were not, or did not answer.
        failed: usize,
        /// The leases of those that were refused. The leases of one that did not answer stay out until they end.
        unused: Vec<UnusedLease>,
    },
    /// The workspace was told the standing.
    Told {
        /// What it was told.
        standing: ReportedStanding,
        /// Whether it answered.
        is_answered: bool,
    },
}

/// What a machine asks its driver for, in the order in which it is done.
#[derive(Debug, Default)]
#[cfg_attr(feature = "test-hooks", derive(serde::Serialize))]
pub struct Outputs {
    /// Deletes all rows and the alarm, then says [`Input::AllDeleted`].
    pub delete_all: Option<(CallId, u64)>,
    /// Makes sure that the alarm fires at this time or earlier. If that fails, [`Input::Failed`], and the answers below
    /// are faults.
    pub arm: Option<Timestamp>,
    /// Answers commands.
    pub answers: Vec<(CallId, std::result::Result<WebhookReply, Fault>)>,
    /// Logs attempts that ended without a report.
    pub lost: Vec<LostAttempt>,
    /// Says [`Input::Safe`] when all writes so far are safe, or [`Input::Failed`].
    pub sync: bool,
    /// Says [`Input::TimerFired`] at this time.
    pub timer: Option<Timestamp>,
    /// Hires a Sender for each group of leases, then says [`Input::HiresAnswered`] once.
    pub hires: Vec<Group>,
    /// Makes attempts in the alarm itself, and goes on with the leases that their reports are answered with, until a
    /// time.
    pub attempts: Option<(Group, Timestamp)>,
    /// Tells the workspace the standing, then says [`Input::Told`].
    pub tell: Option<ReportedStanding>,
    /// Logs a fault.
    pub fault: Option<Fault>,
}

/// Why a command or an alarm could not be carried out. It may have been carried out all the same.
#[derive(Debug, Error)]
pub enum Fault {
    /// A statement failed.
    #[error(transparent)]
    Storage(#[from] SqlError),
    /// What the command changed was forgotten before it was flushed.
    #[error("what was stored is lost by the fault of another command")]
    Lost,
    /// The alarm could not be armed.
    #[error("the alarm could not be armed")]
    NotArmed,
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

/// The machine of one webhook.
pub struct WebhookMachine {
    tables: WebhookTables,
    memory: Memory,
    commit: GroupCommit,
    hiring: Hiring,
    /// When the timer fires that was asked for.
    timer: Option<Timestamp>,
    /// Whether the workspace is being told the standing.
    is_telling: bool,
    /// When to tell the workspace again after it did not answer.
    tell_after: Timestamp,
    telling: Backoff,
    /// How long the alarm waits after its faults.
    faults: Backoff,
    /// Until when it waits, whatever falls due: while nothing can be stored, each command would else wake it in vain.
    alarm_after: Timestamp,
    /// When the next slice of what is too old may be deleted, and whether the last one left more.
    purge_after: Timestamp,
    has_more_to_purge: bool,
    /// When the next slice is due, and whether there is more to delete.
    delete_after: Timestamp,
    has_more_to_delete: bool,
    outputs: Outputs,
}

impl WebhookMachine {
    /// The machine of a webhook whose tables are in an engine. Reads nothing.
    #[must_use]
    pub fn new(sql: Rc<dyn Sql>) -> Self {
        Self {
            tables: WebhookTables::new(sql),
            memory: Memory::Unread,
            commit: GroupCommit::default(),
            hiring: Hiring::default(),
            timer: None,
            is_telling: false,
            tell_after: Timestamp::default(),
            telling: Backoff::new(AFTER_FAULT, AFTER_FAULTS),
            faults: Backoff::new(AFTER_FAULT, AFTER_FAULTS),
            alarm_after: Timestamp::default(),
            purge_after: Timestamp::default(),
            has_more_to_purge: false,
            delete_after: Timestamp::default(),
            has_more_to_delete: false,
            outputs: Outputs::default(),
        }
    }

    /// Lets something happen to the webhook, and returns what has to be done then.
    pub fn handle(&mut self, input: Input, context: &Context<'_>) -> Outputs {
        let calls: Vec<_> = match &input {
            Input::Command(call, _) | Input::AllDeleted { call, .. } => vec![*call],
            Input::SharedCall(commands) => commands.iter().map(|(call, _)| *call).collect(),
            _ => Vec::new(),
        };
        let is_alarm = matches!(input, Input::AlarmFired);
        if is_alarm {
            self.alarm_after = Timestamp::default();
        }
        let handled = self.step(input, context).and_then(|()| {
            // A timer that was lost with the request that set it holds up nobody for long.
            if self.commit.is_due(context.now) {
                self.flush(context)?;
            }
            let is_forgotten = if is_alarm {
                Mutant::NextAlarmNotArmed.is_on()
            } else {
                Mutant::AlarmNotArmed.is_on()
            };
            if is_forgotten {
                return Ok(());
            }
            self.arm(context)
        });
        match handled {
            Ok(()) if is_alarm => self.faults.succeeded(),
            Ok(()) => {}
            Err(fault) => self.fail(fault, &calls, is_alarm, context),
        }
        self.ask_for_timer();
        std::mem::take(&mut self.outputs)
    }

    /// Puts off an alarm that could not be handled, because the deployment's settings do not parse; returns until when.
    pub fn put_off(&mut self, now: Timestamp) -> Timestamp {
        now.saturating_add(self.faults.failed())
    }

    /// Forgets what is in memory after a fault, and arms the alarm for what was stored before it.
    fn fail(&mut self, fault: Fault, calls: &[CallId], is_alarm: bool, context: &Context<'_>) {
        if !Mutant::MemoryOutlivesRollback.is_on() {
            self.forget();
        }
        let answers = &mut self.outputs.answers;
        answers.retain(|(answered, _)| !calls.contains(answered));
        if let [first, others @ ..] = calls {
            answers.push((*first, Err(fault)));
            answers.extend(others.iter().map(|call| (*call, Err(Fault::Lost))));
        } else {
            self.outputs.fault = Some(fault);
        }
        let again = || context.now.saturating_add(AFTER_FAULT);
        if is_alarm {
            self.alarm_after = context.now.saturating_add(self.faults.failed());
            // What is hired for is stored by now, so it is attempted all the same.
            self.outputs.arm = Some(self.alarm_after);
        } else if self.arm(context).is_err() {
            self.outputs.arm = Some(again());
        }
    }

    /// Drops what is in memory, so that the next command reads the rows again.
    fn forget(&mut self) {
        self.memory = Memory::Unread;
        self.tables.forget();
        self.is_telling = false;
        let lost = self.commit.lost().into_iter();
        let lost = lost.map(|call| (call, Err(Fault::Lost)));
        self.outputs.answers.extend(lost);
    }

    /// Runs `work`, which writes nothing to the rows, on the webhook's memory; returns `None` if it has no settings.
    fn look<T>(
        &mut self,
        context: &Context<'_>,
        work: impl FnOnce(&mut Turn<'_>) -> Result<T>,
    ) -> Result<Option<T>> {
        self.take_turn(context, |turn| {
            let database = turn.tables.database();
            database.reading(|| work(turn))
        })
    }

    fn take_turn<T>(
        &mut self,
        context: &Context<'_>,
        work: impl FnOnce(&mut Turn<'_>) -> Result<T>,
    ) -> Result<Option<T>> {
        if matches!(self.memory, Memory::Unread) {
            let read = self.tables.load(context.now, context.policy)?;
            self.memory = read.map_or(Memory::Closed, |open| Memory::Open(Box::new(open)));
        }
        let Memory::Open(open) = &mut self.memory else {
            return Ok(None);
        };
        let mut noted = Noted::default();
        let worked = work(&mut Turn {
            tables: &self.tables,
            open,
            now: context.now,
            policy: context.policy,
            noted: &mut noted,
        })?;
        self.outputs.lost.append(&mut noted.lost);
        self.release(&noted.reported, context.now);
        Ok(Some(worked))
    }

    /// The same for work that writes: all of it is stored, or nothing. Whoever gets an error forgets what is in memory,
    /// which has the change.
    fn change<T>(
        &mut self,
        context: &Context<'_>,
        work: impl FnOnce(&mut Turn<'_>) -> Result<T>,
    ) -> Result<Option<T>> {
        self.take_turn(context, |turn| {
            let tables = turn.tables;
            if Mutant::NotAtomic.is_on() {
                return work(turn);
            }
            tables.database().transaction(|| work(turn))
        })
    }

    /// Answers the commands whose attempt is reported, or whose time is up.
    fn release(&mut self, reported: &[DeliveryId], now: Timestamp) {
        let released = self.commit.released(reported, now).into_iter();
        let released = released.map(|(call, reply)| (call, Ok(reply)));
        self.outputs.answers.extend(released);
    }

    fn ask_for_timer(&mut self) {
        let next = self.commit.next_time();
        if let Some(next) = next
            && self.timer.is_none_or(|timer| next < timer)
        {
            self.timer = Some(next);
            self.outputs.timer = Some(next);
        }
    }
}

impl std::fmt::Debug for WebhookMachine {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("WebhookMachine")
            .finish_non_exhaustive()
    }
}
