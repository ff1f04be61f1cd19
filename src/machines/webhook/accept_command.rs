//! Accepting events: when what is accepted is flushed, and when its command is answered.

use super::{
    Context, Fault, WebhookMachine,
    accept::ids_of,
    commands::Asked,
    group_commit::{Accepted, Answer, CallId, Waiting},
};
use crate::{
    domain::{delivery::Status, dispatch::WORKER_LEASES, ids::DeliveryId},
    machines::messages::{Acceptance, Grant, NewDelivery, Refusal, WebhookCommand, WebhookReply},
    mutants::Mutant,
};

/// How many new deliveries are worth a commit of their own.
const ENOUGH: usize = 8;

/// How many bytes of payloads are worth it: if another command takes their leases, they are copied to its Worker.
const ENOUGH_BYTES: usize = 16 * 1024;

/// A command that accepts events.
pub(super) struct Accept {
    pub(super) call: CallId,
    pub(super) events: Vec<NewDelivery>,
    pub(super) asked: Asked,
    pub(super) keys_revision: Option<u64>,
}

/// How much was accepted.
#[derive(Clone, Copy, Default)]
struct Amount {
    events: usize,
    bytes: usize,
}

impl Amount {
    fn of(events: &[NewDelivery]) -> Self {
        let payloads = events.iter().map(|event| event.payload.get().len());
        Self {
            events: events.len(),
            bytes: payloads.fold(0, usize::saturating_add),
        }
    }

    const fn plus(self, other: Self) -> Self {
        Self {
            events: self.events.saturating_add(other.events),
            bytes: self.bytes.saturating_add(other.bytes),
        }
    }

    const fn is_enough(self) -> bool {
        self.events >= ENOUGH || self.bytes >= ENOUGH_BYTES
    }
}

impl WebhookMachine {
    /// Accepts events, and grants the leases that are asked for.
    ///
    /// If other commands are likely to arrive at the same moment, they share one commit and their leases, so that their
    /// attempts are reported together.
    pub(super) fn accept(&mut self, accept: Accept, context: &Context<'_>) -> Result<(), Fault> {
        let call = accept.call;
        let is_enough = Amount::of(&accept.events).is_enough();
        let is_alone = is_enough || self.is_quiet(context)?;
        let Some((accepted, granted)) = self.take_events(accept, context)? else {
            return Ok(());
        };
        if is_alone || !self.tables.has_unwritten() {
            if !Mutant::AcceptNotFlushed.is_on() {
                self.flush(context)?;
            }
            return self.answer_accepted(call, accepted, granted, context);
        }
        self.wait_for_flush(call, accepted, granted);
        Ok(())
    }

    /// Obeys commands that came in one call, which returns when all of them are answered: so those that accept events are
    /// answered as soon as these are flushed, and one that would wait for an attempt is told to ask for it.
    pub(super) fn obey_together(
        &mut self,
        commands: Vec<(CallId, WebhookCommand)>,
        context: &Context<'_>,
    ) -> Result<(), Fault> {
        let is_quiet = self.is_quiet(context)?;
        let mut all = Amount::default();
        // Each of these keeps its own leases.
        let mut large = Vec::new();
        for (call, command) in commands {
            let WebhookCommand::Accept {
                events,
                leases,
                ahead_ms,
                keys_revision,
            } = command
            else {
                self.obey(call, command, context)?;
                continue;
            };
            let amount = Amount::of(&events);
            all = all.plus(amount);
            let accept = Accept {
                call,
                events,
                asked: Asked::new(leases, ahead_ms),
                keys_revision,
            };
            let Some((mut accepted, granted)) = self.take_events(accept, context)? else {
                continue;
            };
            accepted.is_of_shared_call = true;
            if amount.is_enough() {
                large.push((call, accepted, granted));
            } else {
                self.wait_for_flush(call, accepted, granted);
            }
        }
        let is_due = is_quiet || all.is_enough() || !self.tables.has_unwritten();
        // Reports that share a call are flushed in a moment, as they are alone.
        if all.events > 0 && is_due && !Mutant::AcceptNotFlushed.is_on() {
            self.flush(context)?;
            self.outputs.sync = false;
        }
        for (call, accepted, granted) in large {
            self.answer_accepted(call, accepted, granted, context)?;
        }
        Ok(())
    }

    /// Answers when a delivery has been attempted, a second later at most. Whether the relay is behind was judged when it
    /// was accepted: by now the wait may be what relieves it.
    pub(super) fn wait_for_attempt(
        &mut self,
        call: CallId,
        id: DeliveryId,
        context: &Context<'_>,
    ) -> Result<(), Fault> {
        let waits = self.look(context, |turn| {
            Ok(turn.open.dispatch.queue.awaits_attempt(&id))
        })?;
        if waits.unwrap_or(false) {
            let reply = WebhookReply::Done;
            self.commit.delay_while_behind(call, reply, id, context.now);
        } else {
            self.answer(call, WebhookReply::Done);
        }
        Ok(())
    }

    fn is_quiet(&mut self, context: &Context<'_>) -> Result<bool, Fault> {
        let is_quiet = self.look(context, |turn| Ok(turn.open.dispatch.is_quiet()))?;
        Ok(is_quiet.unwrap_or(true))
    }

    fn wait_for_flush(&mut self, call: CallId, accepted: Accepted, granted: Vec<Grant>) {
        let answer = Answer::Accepted(accepted);
        let waiting = Waiting { call, answer };
        self.outputs.sync |= self.commit.join_when_safe(waiting, granted);
    }

    /// Takes events into memory; none if the command is refused, and answered.
    fn take_events(
        &mut self,
        accept: Accept,
        context: &Context<'_>,
    ) -> Result<Option<(Accepted, Vec<Grant>)>, Fault> {
        let Accept {
            call,
            events,
            asked,
            keys_revision,
        } = accept;
        if self.knows_newer_keys(keys_revision, context)? {
            self.answer(call, WebhookReply::Refused(Refusal::StaleKey));
            return Ok(None);
        }
        if self.commit.is_crowded() {
            self.answer(call, WebhookReply::Refused(Refusal::Overloaded));
            return Ok(None);
        }
        let ids = ids_of(&events);
        let accepts_in_memory = self.look(context, |turn| Ok(turn.accepts_in_memory()))?;
        let accepted = if accepts_in_memory.unwrap_or(false) {
            self.look(context, |turn| turn.accept(events, asked))?
        } else {
            self.change(context, |turn| turn.accept(events, asked))?
        };
        let Some((deliveries, granted)) = accepted else {
            self.answer(call, WebhookReply::Refused(Refusal::NoWebhook));
            return Ok(None);
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
            is_of_shared_call: false,
            ids,
            deliveries,
        };
        Ok(Some((accepted, granted)))
    }

    pub(super) fn answer_accepted(
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
        let load = self
            .look(context, |turn| Ok(turn.load()))?
            .unwrap_or_default();
        let busy = is_few && load.is_busy;
        // Leases are not kept waiting.
        let has_none = grants.is_empty();
        let is_behind = has_none && load.is_behind;
        let mut reply = WebhookReply::Accepted {
            busy: busy && !has_none,
            deliveries: accepted.deliveries,
            grants,
            waits_for: None,
        };
        match (accepted.last_due, accepted.first_leased) {
            (due, leased) if accepted.is_of_shared_call => {
                // What others wait for, one that another command took along waits for too.
                let leased = leased.filter(|_| load.has_due);
                if let WebhookReply::Accepted { waits_for, .. } = &mut reply {
                    *waits_for = due.or(leased).filter(|_| is_behind);
                }
                self.answer(call, reply);
            }
            (Some(delivery), _) if is_behind => {
                let now = context.now;
                self.commit.delay_while_behind(call, reply, delivery, now);
            }
            (_, Some(delivery)) if busy && has_none => {
                self.commit.delay(call, reply, delivery, context.now);
            }
            // Without a lease of its own, no attempt is near.
            _ => self.answer(call, reply),
        }
        Ok(())
    }
}
