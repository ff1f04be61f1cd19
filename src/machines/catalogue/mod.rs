//! The machine of the catalogue: which types of events there are, and that KV has a copy.
//!
//! A relay has one. A change is stored together with the entry of the outbox that says that KV must be told; KV gets the
//! present content, not the change. The tables are made, with the first types, by the first command.
//!
//! **What may happen to it** is an [`Input`], **what it asks for** are its [`Outputs`]; its driver holds no rule. The order
//! of a driver's calls: [`CatalogueMachine::handle`] with what happened, then each part of the outputs in the order of
//! their fields.
//!
//! Invariants, as those of a workspace:
//! - Memory holds only who waits for what. After a fault, or a restart, the rows say what is still to be done.
//! - A change is stored together with its outbox and under a revision of its own, or not at all.
//! - KV is not told of a change before the alarm is armed that tells it again. One put is under way at a time.

mod type_rows;

mod rounds;

pub mod isolate_copy;

use std::{collections::BTreeMap, rc::Rc, time::Duration};

use thiserror::Error;

pub use super::publisher::{CallId, PutNumber};

use self::type_rows::CatalogueTables;
use super::{
    messages::{CatalogueCommand, CatalogueReply, Refusal},
    outbox::COPY,
    publisher::Publisher,
    sql::{self, Sql, SqlError},
};
use crate::domain::{
    backoff::Backoff,
    catalogue::{Catalogue, CatalogueEntry, TYPES_LIMIT},
    timestamp::Timestamp,
};

/// How long after a change the alarm tells KV, if the change did not.
const TELL_AGAIN: Duration = Duration::from_secs(5);

/// The most that the alarm waits if KV refused several times in a row.
const TELL_AGAIN_LATEST: Duration = Duration::from_secs(60);

/// What may happen to the catalogue.
#[derive(Debug)]
#[cfg_attr(feature = "test-hooks", derive(serde::Serialize, serde::Deserialize))]
pub enum Input {
    /// A command arrived.
    Command(CallId, Box<CatalogueCommand>),
    /// The alarm fired; it ends when it is answered.
    AlarmFired(CallId),
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
    pub answers: Vec<(CallId, Result<CatalogueReply>)>,
    /// Puts to KV, then says [`Input::PutEnded`].
    pub put: Option<Put>,
    /// Logs a fault.
    pub fault: Option<Fault>,
}

/// A put to KV.
#[derive(Debug)]
#[cfg_attr(feature = "test-hooks", derive(serde::Serialize))]
pub struct Put {
    /// Which one.
    pub number: PutNumber,
    /// What KV has to hold.
    pub catalogue: Catalogue,
}

/// Why a call could not be carried out, or what else went wrong. A call may have been carried out all the same.
#[derive(Debug, Error)]
pub enum Fault {
    /// A statement failed.
    #[error(transparent)]
    Storage(#[from] SqlError),
    /// The alarm could not be armed.
    #[error("the alarm could not be armed")]
    NotArmed,
    /// A put has not ended in time.
    #[error("a put to KV takes too long")]
    SlowPut,
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

/// How a command goes on.
enum Step {
    /// It is answered.
    Answer(CatalogueReply),
    /// It is answered when KV has a revision, or after a while.
    Tell(u64, Then),
}

/// What is answered to a call that has waited for KV.
enum Then {
    /// This, whether or not KV has it.
    Reply(CatalogueReply),
    /// Whether KV has everything.
    SayIfTold,
    /// The same; the alarm ends.
    EndAlarm,
}

/// The machine of the catalogue.
pub struct CatalogueMachine {
    tables: CatalogueTables,
    publisher: Publisher,
    /// The calls that wait for KV.
    waiting: BTreeMap<CallId, Then>,
    /// Whether this life of the object has looked for changes that an earlier one did not tell.
    has_looked: bool,
    /// When the alarm tells next, if a change or a round in vain has set that.
    tell_again: Option<Timestamp>,
    /// How long the alarm waits while KV refuses.
    backoff: Backoff,
    /// Whether the next alarm may have to be another one.
    has_to_arm: bool,
    outputs: Outputs,
}

impl CatalogueMachine {
    /// The machine of the catalogue whose tables are in an engine. Reads nothing.
    #[must_use]
    pub fn new(sql: Rc<dyn Sql>) -> Self {
        Self {
            tables: CatalogueTables::new(sql),
            publisher: Publisher::default(),
            waiting: BTreeMap::new(),
            has_looked: false,
            tell_again: None,
            backoff: Backoff::new(TELL_AGAIN, TELL_AGAIN_LATEST),
            has_to_arm: false,
            outputs: Outputs::default(),
        }
    }

    /// Lets something happen to the catalogue at a time, and returns what has to be done then.
    pub fn handle(&mut self, input: Input, now: Timestamp) -> Outputs {
        match input {
            Input::Command(call, command) => self.obey(call, *command, now),
            Input::AlarmFired(call) => self.alarm_fired(call, now),
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

    /// When the catalogue has to wake next; none if nothing will be due.
    ///
    /// # Errors
    /// If the rows cannot be read.
    pub fn next_wake(&self, now: Timestamp) -> sql::Result<Option<Timestamp>> {
        let outbox = self.tables.outbox();
        let again = outbox.put_again_at()?;
        if !outbox.has_to_put(now)? {
            return Ok(again);
        }
        // A round that is under way tells all that is due, or sets the next one.
        let is_round = self
            .waiting
            .values()
            .any(|then| matches!(then, Then::EndAlarm));
        Ok(if is_round {
            self.tell_again
        } else {
            self.tell_again.or(Some(now.saturating_add(TELL_AGAIN)))
        })
    }

    fn obey(&mut self, call: CallId, command: CatalogueCommand, now: Timestamp) {
        let begun = self.look_once().and_then(|()| self.carry_out(command, now));
        match begun {
            Ok(Step::Answer(reply)) => self.answer(call, Ok(reply)),
            Ok(Step::Tell(revision, then)) => {
                self.waiting.insert(call, then);
                self.publisher.wait(call, revision, now);
            }
            Err(fault) => self.answer(call, Err(fault)),
        }
    }

    fn carry_out(&mut self, command: CatalogueCommand, now: Timestamp) -> Result<Step> {
        let revision = match self.tables.revision()? {
            Some(revision) => revision,
            None => self.begin(now)?,
        };
        match command {
            CatalogueCommand::Read => {
                let catalogue = self.tables.catalogue(revision)?;
                Ok(Step::Answer(CatalogueReply::Catalogue(catalogue)))
            }
            CatalogueCommand::Put(entry) => self.put(&entry, revision, now),
            CatalogueCommand::Delete { name } => self.delete(&name, revision, now),
            CatalogueCommand::Republish => {
                self.tables.outbox().put_untold(COPY, revision)?;
                self.tell_after(TELL_AGAIN, now);
                Ok(Step::Tell(revision, Then::SayIfTold))
            }
        }
    }

    /// Makes the tables, and lets KV have the first types without a call that waits for it; returns their revision.
    fn begin(&mut self, now: Timestamp) -> Result<u64> {
        self.tables.create()?;
        self.tell_after(TELL_AGAIN, now);
        self.publisher.want();
        Ok(1)
    }

    /// Adds a type or replaces it whole. One that is the same already changes nothing.
    fn put(&mut self, entry: &CatalogueEntry, revision: u64, now: Timestamp) -> Result<Step> {
        let before = self.tables.entry(entry.name.as_str())?;
        let created = before.is_none();
        if before.as_ref() == Some(entry) {
            let unchanged = CatalogueReply::Changed { revision, created };
            return Ok(Step::Answer(unchanged));
        }
        if created && self.tables.count()? >= TYPES_LIMIT {
            let refused = CatalogueReply::Refused(Refusal::TooManyEventTypes);
            return Ok(Step::Answer(refused));
        }
        self.change(revision, created, now, |tables| {
            if created {
                tables.add(entry)
            } else {
                tables.replace(entry)
            }
        })
    }

    fn delete(&mut self, name: &str, revision: u64, now: Timestamp) -> Result<Step> {
        if self.tables.entry(name)?.is_none() {
            let refused = CatalogueReply::Refused(Refusal::NoEventType);
            return Ok(Step::Answer(refused));
        }
        self.change(revision, false, now, |tables| tables.delete(name))
    }

    /// Stores a change under the next revision, with the entry of the outbox; all of it or nothing.
    fn change(
        &mut self,
        revision: u64,
        created: bool,
        now: Timestamp,
        work: impl FnOnce(&CatalogueTables) -> sql::Result<()>,
    ) -> Result<Step> {
        let revision = revision.saturating_add(1);
        self.tables.change(revision, || work(&self.tables))?;
        self.tell_after(TELL_AGAIN, now);
        let changed = CatalogueReply::Changed { revision, created };
        Ok(Step::Tell(revision, Then::Reply(changed)))
    }

    fn answer(&mut self, call: CallId, answer: Result<CatalogueReply>) {
        self.outputs.answers.push((call, answer));
    }

    fn log(&mut self, fault: Fault) {
        self.outputs.fault.get_or_insert(fault);
    }
}

impl std::fmt::Debug for CatalogueMachine {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("CatalogueMachine")
            .finish_non_exhaustive()
    }
}
