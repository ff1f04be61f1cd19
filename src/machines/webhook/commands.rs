//! Commands: what each one does, and when it is answered.

use std::time::Duration;

use super::{
    Context, Fault, Input, WebhookMachine,
    accept::ids_of,
    group_commit::{Accepted, Answer, CallId, LEASED_WITHIN, SETTLED_WITHIN, Waiting},
    memory::Memory,
};
use crate::{
    domain::{
        delivery::Status,
        dispatch::WORKER_LEASES,
        ids::{DeliveryId, EventId},
        resend::BulkResend,
        timestamp::Timestamp,
        webhook::Settings,
    },
    machines::{
        messages::{
            Acceptance, AttemptReport, Grant, NewDelivery, Refusal, UnusedLease, WebhookCommand,
            WebhookReply,
        },
        sql,
    },
    mutants::Mutant,
};

/// How many new deliveries are worth a commit of their own.
const ENOUGH: usize = 8;

/// How many bytes of payloads are worth it: if another command takes their leases, they are copied to its Worker.
const ENOUGH_BYTES: usize = 16 * 1024;

/// The leases that a command asks for.
#[derive(Clone, Copy)]
pub(super) struct Asked {
    /// How many at most.
    pub(super) leases: usize,
    /// How long its sender can wait before the attempts begin.
    pub(super) ahead: Duration,
}

impl Asked {
    const fn new(leases: usize, ahead_ms: u64) -> Self {
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

    fn obey(
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
                let asked = Asked::new(leases, ahead_ms);
                return self.accept(call, events, asked, keys_revision, context);
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
            WebhookCommand::Recall { event_ids } => return self.recall(call, &event_ids, context),
            command => command,
        };
        self.flush(context)?;
        let reply = match command {
            WebhookCommand::Accept { .. }
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

    /// Accepts events, and grants the leases that are asked for.
    ///
    /// If other commands are likely to arrive at the same moment, they share one commit and their leases, so that their
    /// attempts are reported together.
    fn accept(
        &mut self,
        call: CallId,
        events: Vec<NewDelivery>,
        asked: Asked,
        keys_revision: Option<u64>,
        context: &Context<'_>,
    ) -> Result<(), Fault> {
        if self.knows_newer_keys(keys_revision, context)? {
            self.answer(call, WebhookReply::Refused(Refusal::StaleKey));
            return Ok(());
        }
        if self.commit.is_crowded() {
            self.answer(call, WebhookReply::Refused(Refusal::Overloaded));
            return Ok(());
        }
        let ids = ids_of(&events);
        let payloads = events.iter().map(|event| event.payload.get().len());
        let is_enough =
            events.len() >= ENOUGH || payloads.fold(0, usize::saturating_add) >= ENOUGH_BYTES;
        let is_quiet = self.look(context, |turn| Ok(turn.open.dispatch.is_quiet()))?;
        let is_alone = is_enough || is_quiet.unwrap_or(true);
        let accepts_in_memory = self.look(context, |turn| Ok(turn.accepts_in_memory()))?;
        let accepted = if accepts_in_memory.unwrap_or(false) {
            self.look(context, |turn| turn.accept(events, asked))?
        } else {
            self.change(context, |turn| turn.accept(events, asked))?
        };
        let Some((deliveries, granted)) = accepted else {
            self.answer(call, WebhookReply::Refused(Refusal::NoWebhook));
            return Ok(());
        };
        let is_due = |(id, taken): &(&DeliveryId, &Acceptance)| {
            let is_pending = matches!(
                taken,
                Acceptance::New {
                    status: Status::Pending
                }
            );
            is_pending && granted.iter().all(|grant| grant.id != **id)
        };
        let last_due = ids.iter().zip(&deliveries).rfind(is_due);
        let accepted = Accepted {
            leases: asked.leases,
            first_leased: granted.first().map(|grant| grant.id.clone()),
            last_due: last_due.map(|(id, _)| id.clone()),
            ids,
            deliveries,
        };
        if is_alone || !self.tables.has_unwritten() {
            if !Mutant::AcceptNotFlushed.is_on() {
                self.flush(context)?;
            }
            return self.answer_accepted(call, accepted, granted, context);
        }
        let answer = Answer::Accepted(accepted);
        let waiting = Waiting { call, answer };
        self.outputs.sync |= self.commit.join_when_safe(waiting, granted);
        Ok(())
    }

    fn answer_accepted(
        &mut self,
        call: CallId,
        accepted: Accepted,
        mut grants: Vec<Grant>,
        context: &Context<'_>,
    ) -> Result<(), Fault> {
        for known in &mut grants {
            if accepted.ids.contains(&known.id) {
                known.payload = None;
            }
        }
        // Most events of a large array are not sent at once, so its answer does not wait for an attempt.
        let is_few = accepted.deliveries.len() <= WORKER_LEASES;
        let is_busy = self.look(context, |turn| Ok(turn.open.dispatch.is_busy()))?;
        let busy = is_few && is_busy.unwrap_or(false);
        let has_none = grants.is_empty();
        let reply = WebhookReply::Accepted {
            busy: busy && !has_none,
            deliveries: accepted.deliveries,
            grants,
        };
        let is_behind = self.look(context, |turn| Ok(turn.is_behind()))?;
        match (accepted.last_due, accepted.first_leased) {
            // Leases are not kept waiting.
            _ if !has_none => self.answer(call, reply),
            (Some(delivery), _) if is_behind.unwrap_or(false) => {
                let now = context.now;
                self.commit.delay_while_behind(call, reply, delivery, now);
            }
            (_, Some(delivery)) if busy => {
                self.commit.delay(call, reply, delivery, context.now);
            }
            // Without a lease of its own, no attempt is near.
            _ => self.answer(call, reply),
        }
        Ok(())
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
    fn knows_newer_keys(
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
