//! Commands: what each one does, and when it is answered.

use std::time::Duration;

use super::{
    Context, Fault, Input, WebhookMachine,
    accept_command::Accept,
    group_commit::{Answer, CallId, LEASED_WITHIN, SETTLED_WITHIN, Waiting},
    memory::Memory,
};
use crate::{
    domain::{ids::EventId, resend::BulkResend, timestamp::Timestamp, webhook::Settings},
    machines::{
        messages::{AttemptReport, Refusal, UnusedLease, WebhookCommand, WebhookReply},
        sql,
    },
    mutants::Mutant,
};

/// The leases that a command asks for.
#[derive(Clone, Copy)]
pub(super) struct Asked {
    /// How many at most.
    pub(super) leases: usize,
    /// How long its sender can wait before the attempts begin.
    pub(super) ahead: Duration,
}

impl Asked {
    pub(super) const fn new(leases: usize, ahead_ms: u64) -> Self {
        Self {
            leases,
            ahead: Duration::from_millis(ahead_ms),
        }
    }
}

impl WebhookMachine {
    pub(super) fn step(&mut self, input: Input, context: &Context<'_>) -> Result<(), Fault> {
        match input {
            Input::Command(call, command) => self.obey(call, command, context),
            Input::SharedCall(commands) => self.obey_together(commands, context),
            Input::Safe if self.commit.is_safe() => self.flush(context),
            Input::Safe => Ok(()),
            Input::TimerFired => {
                self.timer = None;
                self.release(&[], context.now);
                Ok(())
            }
            Input::AllDeleted { call, revision } => {
                self.tables.database().transaction(|| {
                    self.tables.create()?;
                    if Mutant::DeletionForgotten.is_on() {
                        return Ok(());
                    }
                    self.tables.put_deleted_revision(revision)
                })?;
                self.answer(call, WebhookReply::Done);
                Ok(())
            }
            Input::AlarmFired => self.alarm_fired(context),
            Input::Failed => Err(Fault::NotArmed),
            Input::HiresAnswered {
                hired,
                failed,
                unused,
            } => self.hires_answered(hired, failed, &unused, context),
            Input::Told {
                standing,
                is_answered,
            } => self.told(standing, is_answered, context),
        }
    }

    pub(super) fn obey(
        &mut self,
        call: CallId,
        command: WebhookCommand,
        context: &Context<'_>,
    ) -> Result<(), Fault> {
        let command = match command {
            // These are flushed together with others that arrive at the same moment.
            WebhookCommand::Accept {
                events,
                leases,
                ahead_ms,
                keys_revision,
            } => {
                let accept = Accept {
                    call,
                    events,
                    asked: Asked::new(leases, ahead_ms),
                    keys_revision,
                };
                return self.accept(accept, context);
            }
            WebhookCommand::Report {
                reports,
                unused,
                leases,
                ahead_ms,
            } => {
                let asked = Asked::new(leases, ahead_ms);
                return self.take_reports(call, (reports, unused), asked, context);
            }
            WebhookCommand::WaitForAttempt { id } => {
                return self.wait_for_attempt(call, id, context);
            }
            WebhookCommand::Recall { event_ids } => return self.recall(call, &event_ids, context),
            command => command,
        };
        self.flush(context)?;
        let reply = match command {
            WebhookCommand::Accept { .. }
            | WebhookCommand::WaitForAttempt { .. }
            | WebhookCommand::Report { .. }
            | WebhookCommand::Recall { .. } => None,
            WebhookCommand::Apply(settings) => {
                self.apply(&settings, context)?;
                Some(WebhookReply::Done)
            }
            WebhookCommand::Delete { revision } => return self.delete(call, revision),
            WebhookCommand::LookAtAlarm => {
                self.purge_after = context.now;
                self.delete_old(context)?;
                Some(WebhookReply::Done)
            }
            WebhookCommand::Probe {
                kind,
                delivery,
                once,
            } => self.change(context, |turn| turn.probe(kind, delivery, once))?,
            WebhookCommand::Read { id } => self.look(context, |turn| turn.read(&id))?,
            WebhookCommand::Trace { event_id, is_brief } => {
                self.look(context, |turn| turn.trace(&event_id, is_brief))?
            }
            WebhookCommand::List(filter) => self.look(context, |turn| turn.list(filter))?,
            WebhookCommand::Resend { id } => self.change(context, |turn| turn.resend(&id))?,
            WebhookCommand::SendNow { id } => self.change(context, |turn| turn.send_now(&id))?,
            WebhookCommand::Cancel { id } => self.change(context, |turn| turn.cancel(&id))?,
            WebhookCommand::StartResend { id, selection }
            | WebhookCommand::StartNarrowedResend { id, selection } => {
                self.change(context, |turn| turn.start_resend(id, selection))?
            }
            WebhookCommand::PreviewResend { selection } => self.look(context, |turn| {
                let preview = turn.tables.preview(&selection, turn.now)?;
                Ok(WebhookReply::Previewed(preview))
            })?,
            WebhookCommand::ReadResend { id } => {
                self.change(context, |turn| turn.change_resend(&id, |_| ()))?
            }
            WebhookCommand::StopResend { id } => {
                self.change(context, |turn| turn.change_resend(&id, BulkResend::stop))?
            }
            WebhookCommand::Stats { hours } => {
                self.look(context, |turn| Ok(WebhookReply::Stats(turn.hours(hours)?)))?
            }
            WebhookCommand::Gauges => self.look(context, |turn| turn.gauges())?,
            WebhookCommand::Show(wanted) => self.change(context, |turn| turn.show(wanted))?,
            // The driver answers these.
            WebhookCommand::ProbePlatform(_) => None,
            #[cfg(feature = "test-hooks")]
            WebhookCommand::Counted | WebhookCommand::RunSql(_) => None,
        };
        // What a command changed in memory is flushed before it is answered.
        self.flush(context)?;
        self.answer(
            call,
            reply.unwrap_or(WebhookReply::Refused(Refusal::NoWebhook)),
        );
        Ok(())
    }

    pub(super) fn answer(&mut self, call: CallId, reply: WebhookReply) {
        self.outputs.answers.push((call, Ok(reply)));
    }

    /// Stores reports, and answers with further leases when they are flushed.
    fn take_reports(
        &mut self,
        call: CallId,
        (reports, unused): (Vec<AttemptReport>, Vec<UnusedLease>),
        asked: Asked,
        context: &Context<'_>,
    ) -> Result<(), Fault> {
        let stays_in_memory =
            self.look(context, |turn| Ok(turn.stays_in_memory(&reports, asked)))?;
        let granted = if unused.is_empty() && stays_in_memory.unwrap_or(false) {
            self.look(context, |turn| turn.take_reports(reports, asked))?
        } else {
            self.change(context, |turn| {
                turn.withdraw(&unused)?;
                turn.take_reports(reports, asked)
            })?
        };
        let Some(grants) = granted else {
            self.answer(call, WebhookReply::Refused(Refusal::NoWebhook));
            return Ok(());
        };
        let moment = if grants.is_empty() {
            SETTLED_WITHIN
        } else {
            LEASED_WITHIN
        };
        self.answer_within(call, WebhookReply::Granted(grants), moment, context.now);
        Ok(())
    }

    fn answer_within(
        &mut self,
        call: CallId,
        reply: WebhookReply,
        moment: Duration,
        now: Timestamp,
    ) {
        if self.tables.has_unwritten() && !Mutant::ReportNotFlushed.is_on() {
            let answer = Answer::Ready(reply);
            self.commit.join(Waiting { call, answer }, moment, now);
        } else {
            self.answer(call, reply);
        }
    }

    fn recall(
        &mut self,
        call: CallId,
        event_ids: &[EventId],
        context: &Context<'_>,
    ) -> Result<(), Fault> {
        let found = self.look(context, |turn| turn.recall(event_ids))?;
        // What is recalled is promised, so it must be stored.
        if found.iter().flatten().any(Option::is_some) {
            self.flush(context)?;
        }
        let reply = found.map_or(WebhookReply::Refused(Refusal::NoWebhook), |found| {
            WebhookReply::Recalled(found)
        });
        self.answer(call, reply);
        Ok(())
    }

    /// Flushes the changes in memory, and answers the commands that wait for it.
    pub(super) fn flush(&mut self, context: &Context<'_>) -> Result<(), Fault> {
        self.tables.flush()?;
        for (call, answer, grants) in self.commit.flushed() {
            match answer {
                Answer::Ready(reply) => self.answer(call, reply),
                Answer::Accepted(accepted) => {
                    self.answer_accepted(call, accepted, grants, context)?;
                }
            }
        }
        Ok(())
    }

    /// Whether a key has been revoked since the revision by which a caller was let in.
    pub(super) fn knows_newer_keys(
        &mut self,
        judged_by: Option<u64>,
        context: &Context<'_>,
    ) -> sql::Result<bool> {
        let Some(judged_by) = judged_by else {
            return Ok(false);
        };
        let known = self.look(context, |turn| {
            Ok(turn.open.dispatch.settings.keys_revision)
        })?;
        let is_newer = known.is_some_and(|known| known > judged_by);
        Ok(is_newer && !Mutant::StaleKeyTrusted.is_on())
    }

    fn apply(&mut self, settings: &Settings, context: &Context<'_>) -> Result<(), Fault> {
        let applied = self.change(context, |turn| turn.apply(settings, context))?;
        if applied.is_none() && self.tables.deleted_revision()?.is_none() {
            self.tables.database().transaction(|| {
                self.tables.create()?;
                self.tables.put_settings(settings)
            })?;
            self.memory = Memory::Unread;
        }
        Ok(())
    }

    fn delete(&mut self, call: CallId, revision: u64) -> Result<(), Fault> {
        if self.tables.deleted_revision()?.is_some() {
            self.answer(call, WebhookReply::Done);
            return Ok(());
        }
        self.forget();
        self.memory = Memory::Closed;
        self.has_more_to_delete = false;
        self.tell_after = Timestamp::default();
        self.outputs.delete_all = Some((call, revision));
        Ok(())
    }
}
