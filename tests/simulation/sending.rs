//! What senders do in the world: they make attempts, report them, and end at any wait.

use std::time::Duration;

use webhook_relay::{
    domain::{attempt::Attempt, outcome::Outcome},
    machines::{
        messages::{AttemptReport, Grant},
        sender::SenderInput,
        shift::Shift,
    },
};

use crate::{
    calls::Caller, endpoint::Seen, faults::Fault, happenings::Happening, host::Node,
    sender::Sender, world::World,
};

impl World {
    pub(crate) fn new_sender(&mut self, object: usize, shift: Shift, grants: Vec<Grant>) -> u64 {
        self.made += 1;
        let number = self.made;
        let sender = Sender::new(object, shift, grants.len(), &self.policy);
        self.senders.insert(number, sender);
        if self.faults.occurs(Fault::SenderEnds, &mut self.choices) {
            let after = self.after_ms(0, 12_000);
            self.later(after, Happening::SenderEnds(number));
        }
        self.sends(number, SenderInput::Leased(grants));
        number
    }

    pub(crate) fn sends(&mut self, number: u64, input: SenderInput) {
        let now = self.now;
        let Some(sender) = self.senders.get_mut(&number) else {
            return;
        };
        if matches!(input, SenderInput::Ended(_)) {
            sender.under_way -= 1;
        }
        let outputs = sender.happens(input, now, &self.policy);
        let object = sender.object;
        if let Some(wait) = outputs.timer {
            sender.timers += 1;
            let timer = Happening::SenderTimer {
                sender: number,
                number: sender.timers,
            };
            self.later(wait, timer);
        }
        self.excused.extend(outputs.too_late);
        for grant in outputs.attempts {
            let begun = self.begun.entry(grant.id.clone()).or_default();
            begun.push((grant.lease.attempt, now));
            if self.faults.occurs(Fault::SendingFails, &mut self.choices) {
                self.excused.insert(grant.id);
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
            self.call(object, &report, Caller::Sender(number));
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
            self.fire_if_due(node);
        }
    }

    /// An invocation ends at a wait: what it held is lost.
    pub(crate) fn sender_ends(&mut self, number: u64) {
        if let Some(sender) = self.senders.get(&number) {
            let object = sender.object;
            self.tell(|| format!("sender {number} of object {object} is ended"));
            self.excuse_all(object);
            self.sender_done(number);
        }
    }

    pub(crate) fn reaches(&mut self, number: u64, grant: Grant) {
        let Some(sender) = self.senders.get(&number) else {
            return;
        };
        let object = sender.object;
        self.check_may_be_sent(object, &grant);
        let body = grant.payload.as_ref().expect("a lease has its payload");
        let seen = Seen {
            attempt: grant.lease.attempt,
            is_accepted: false,
        };
        let endpoint = &mut self.endpoints[object];
        let answer = endpoint.gets(&grant.id, seen, body.get(), &mut self.choices);
        let mut status = answer.status;
        if self.faults.occurs(Fault::AnswerLost, &mut self.choices) {
            status = None;
        }
        let outcome = match status {
            Some(status) => Outcome::of_status(status),
            None if answer.status.is_none() => Outcome::Timeout,
            None => Outcome::Unreachable,
        };
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
