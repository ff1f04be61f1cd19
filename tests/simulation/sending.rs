//! What senders do in the world: they make attempts, report them, and end at any wait.

use std::time::Duration;

use webhook_relay::{
    domain::{attempt::Attempt, dispatch::CONNECTION_WAIT, outcome::Outcome},
    machines::{
        messages::{AttemptReport, Grant},
        sender::SenderInput,
        shift::Shift,
    },
};

use crate::{
    calls::Caller, deliveries::Reached, faults::Fault, happenings::Happening, host::Node,
    sender::Sender, world::World,
};

impl World {
    /// Lets a sender begin with leases; it may be part of the alarm of a life of its object.
    pub(crate) fn new_sender(
        &mut self,
        object: usize,
        shift: Shift,
        grants: Vec<Grant>,
        is_alarm_of: Option<u64>,
    ) {
        self.made += 1;
        let number = self.made;
        let mut sender = Sender::new(object, shift, grants.len(), &self.policy);
        sender.hold(&grants);
        sender.is_alarm_of = is_alarm_of;
        self.senders.insert(number, sender);
        if self.faults.occurs(Fault::SenderEnds, &mut self.choices) {
            let after = self.after_ms(0, 12_000);
            self.later(after, Happening::SenderEnds(number));
        }
        self.sends(number, SenderInput::Leased(grants));
    }

    pub(crate) fn sends(&mut self, number: u64, input: SenderInput) {
        let now = self.now;
        let Some(sender) = self.senders.get_mut(&number) else {
            return;
        };
        if matches!(input, SenderInput::Ended(_) | SenderInput::NotBegun(..)) {
            sender.under_way -= 1;
        }
        let outputs = sender.happens(input, now, &self.policy);
        let object = sender.object;
        if sender.posts >= self.policy.subrequests && self.faults.has(Fault::FewRequests) {
            self.faults.note(Fault::FewRequests);
        }
        if let Some(wait) = outputs.timer {
            sender.timers += 1;
            let timer = Happening::SenderTimer {
                sender: number,
                number: sender.timers,
            };
            self.later(wait, timer);
        }
        self.note_too_late(&outputs.too_late);
        for grant in outputs.attempts {
            if self.faults.occurs(Fault::NoConnection, &mut self.choices) {
                let input = Box::new(SenderInput::NotBegun(grant.id, grant.lease));
                self.later(
                    CONNECTION_WAIT,
                    Happening::Sends {
                        sender: number,
                        input,
                    },
                );
                continue;
            }
            self.note_begun(object, &grant);
            if self.faults.occurs(Fault::SendingFails, &mut self.choices) {
                let name = (grant.id, grant.lease.lease);
                self.ledger.excuses(&name, "a fault of the relay's own");
                let input = Box::new(SenderInput::Ended(None));
                self.later(
                    Duration::from_millis(1),
                    Happening::Sends {
                        sender: number,
                        input,
                    },
                );
                continue;
            }
            let after = self.after_ms(1, 30);
            self.later(
                after,
                Happening::Reaches {
                    sender: number,
                    grant: Box::new(grant),
                },
            );
        }
        if let Some(report) = outputs.report {
            self.call_to_report(object, &report, Caller::Sender(number));
        }
        if outputs.is_done {
            self.sender_done(number);
        }
    }

    pub(crate) fn sender_done(&mut self, number: u64) {
        let Some(sender) = self.senders.remove(&number) else {
            return;
        };
        let object = sender.object;
        let node = Node::Webhook(object);
        if sender.is_alarm_of == Some(self.host(node).life) {
            self.host(node).alarm_waits_for -= 1;
            // What fell due meanwhile has waited for its alarm.
            self.note_late(node, Duration::ZERO);
            self.fire_if_due(node);
        }
    }

    /// An invocation ends at a wait: what it held is lost.
    pub(crate) fn sender_ends(&mut self, number: u64) {
        if let Some(sender) = self.senders.get(&number) {
            let object = sender.object;
            let held = sender.held.clone();
            self.tell(|| format!("sender {number} of object {object} is ended"));
            self.note_lost(&held, "its sender was ended");
            self.sender_done(number);
        }
    }

    pub(crate) fn reaches(&mut self, number: u64, grant: Grant) {
        let Some(sender) = self.senders.get(&number) else {
            return;
        };
        let object = sender.object;
        let body = grant.payload.as_ref().expect("a lease has its payload");
        let endpoint = &mut self.endpoints[object];
        let answer = endpoint.gets(&grant.id, body.get(), &mut self.choices);
        let mut status = answer.status;
        if self.faults.occurs(Fault::AnswerLost, &mut self.choices) {
            status = None;
        }
        let outcome = match status {
            Some(status) => Outcome::of_status(status),
            None if answer.status.is_none() => Outcome::Timeout,
            None => Outcome::Unreachable,
        };
        let answered_at = self
            .now
            .saturating_add(Duration::from_millis(answer.after_ms));
        self.note_reached(
            &grant,
            Reached {
                at: self.now,
                answered_at,
                outcome,
                status,
                retry_after_ms: answer.retry_after_ms,
            },
        );
        if status == Some(410) && self.choices.happens(100) {
            self.owner_moves(object);
        }
        let (id, attempt) = (grant.id.clone(), grant.lease.attempt);
        self.tell(|| format!("attempt {attempt} of {id} at endpoint {object}: {outcome:?}"));
        let report = AttemptReport {
            id: grant.id,
            lease: grant.lease,
            revision: grant.revision,
            attempt: Attempt {
                started_at: self.now,
                duration_ms: answer.after_ms,
                outcome,
                response_status: status,
                ..Attempt::lost(grant.lease.attempt, self.now, self.now)
            },
            retry_after_ms: answer.retry_after_ms,
            request: None,
        };
        let input = Box::new(SenderInput::Ended(Some(Box::new(report))));
        let after = Duration::from_millis(answer.after_ms);
        self.later(
            after,
            Happening::Sends {
                sender: number,
                input,
            },
        );
    }
}
