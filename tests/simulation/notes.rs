//! Keeps in the ledger what is asked of objects, what leaves them, and what may be lost.

use std::time::Duration;

use webhook_relay::{
    domain::{delivery::Status, ids::DeliveryId},
    machines::{
        messages::{Acceptance, Grant, WebhookCommand, WebhookReply},
        webhook::Outputs,
    },
};

use crate::{
    calls::Caller,
    deliveries::{Known, Reached},
    host::Node,
    lease_rules::ON_TIME,
    ledger::{Asked, LeaseName, grants_of},
    world::World,
};

/// How long after a fault an object's alarm may wait, at most.
const AFTER_FAULT: Duration = Duration::from_secs(61);

/// How long after the end of a lease that nobody has an object may need to find it.
const AFTER_RESET: Duration = Duration::from_secs(3);

impl World {
    /// A command arrives at an object.
    pub(crate) fn note_command(&mut self, object: usize, call: u64, command: &WebhookCommand) {
        let now = self.now;
        let local = self.local_now(Node::Webhook(object));
        let life = self.objects[object].host.life;
        let pace = self.pace_of(object);
        let schedule = pace
            .retry_schedule
            .unwrap_or_else(|| self.policy.schedule.clone());
        let ledger = &mut self.ledger;
        let asked = match command {
            WebhookCommand::Accept { events, .. } => {
                for event in events {
                    let bytes = event.payload.get().len();
                    ledger.placed += 1;
                    let in_order = pace.ordered.then_some(ledger.placed);
                    let event_id = event.event_id.clone();
                    let schedule = schedule.clone();
                    let known = Known::accepted(object, event_id, bytes, now, schedule, in_order);
                    ledger.deliveries.insert(event.id.clone(), known);
                }
                Asked::Accept(events.iter().map(|event| event.id.clone()).collect())
            }
            WebhookCommand::Report {
                reports, unused, ..
            } => {
                ledger.refused(object, unused, now);
                for report in reports {
                    ledger.reported(object, report, self.policy.max_leases, now, local);
                }
                let names = reports.iter();
                let names = names.map(|report| {
                    let name = (report.id.clone(), report.lease.lease);
                    (name, report.revision)
                });
                Asked::Store(names.collect())
            }
            WebhookCommand::Cancel { id } => {
                let resent_at = ledger.webhook(object).failed_resent_at;
                if let Some(known) = ledger.deliveries.get_mut(id) {
                    known.cancels.push(now);
                    // A bulk resend may still take it.
                    if resent_at.is_some_and(|resent_at| local <= resent_at) {
                        known.resends.push(now);
                    }
                }
                ledger.release(object, now, |(leased, _)| leased == id);
                Asked::Cancel(id.clone(), now)
            }
            WebhookCommand::Resend { id } => {
                if let Some(known) = ledger.deliveries.get_mut(id) {
                    known.resends.push(now);
                }
                Asked::Resend(id.clone(), now)
            }
            WebhookCommand::SendNow { id } => {
                if let Some(known) = ledger.deliveries.get_mut(id) {
                    known.hurried.push(now);
                }
                ledger.webhook(object).pace.waits_no_longer();
                return;
            }
            WebhookCommand::StartNarrowedResend { selection, .. } if selection.is_named() => {
                for id in &selection.ids {
                    if let Some(known) = ledger.deliveries.get_mut(id) {
                        known.resends.push(now);
                    }
                }
                ledger.webhook(object).failed_resent_at = Some(local);
                return;
            }
            WebhookCommand::StartResend { selection, .. }
            | WebhookCommand::StartNarrowedResend { selection, .. } => {
                let Some(status) = selection.status else {
                    return;
                };
                if status == Status::Pending {
                    ledger.webhook(object).pace.waits_no_longer();
                }
                ledger.may_resend(object, status, now);
                if status == Status::Failed {
                    ledger.webhook(object).failed_resent_at = Some(local);
                }
                return;
            }
            WebhookCommand::Apply(settings) => {
                let webhook = ledger.webhook(object);
                webhook.was_closed |= !settings.enabled;
                webhook.told_revision = webhook.told_revision.max(settings.revision);
                webhook.pace.told(settings);
                ledger.delays(object, now);
                Asked::Apply(settings.revision)
            }
            WebhookCommand::Delete { .. } => {
                ledger.webhook(object).was_closed = true;
                return;
            }
            _ => return,
        };
        ledger.asked.insert((object, life, call), asked);
    }

    /// An object has had a turn: after a fault it waits.
    pub(crate) fn note_turn(&mut self, object: usize, outputs: &Outputs) {
        let failed = outputs.answers.iter();
        let failed = failed.filter(|(_, answer)| answer.is_err()).count() as u64;
        self.ledger.webhook(object).commands_failed += failed;
        if failed > 0 || outputs.fault.is_some() {
            self.note_trouble(object);
            let until = self.now.saturating_add(AFTER_FAULT);
            self.ledger.delays(object, until);
        }
    }

    /// An object may have forgotten what it had in memory.
    fn note_trouble(&mut self, object: usize) {
        let now = self.now;
        let webhook = self.ledger.webhook(object);
        webhook.had_trouble = true;
        webhook.pace.forgets(now);
        webhook.width.forgotten(!webhook.failures.is_empty());
    }

    /// What an object has decided leaves it.
    pub(crate) fn note_leaving(&mut self, object: usize, outputs: &Outputs, is_armed: bool) {
        for grant in grants_of(outputs) {
            self.granted(object, grant);
        }
        let life = self.objects[object].host.life;
        for (call, answer) in &outputs.answers {
            let asked = self.ledger.asked.remove(&(object, life, *call));
            match answer {
                Ok(reply) if is_armed => self.note_answer(object, asked, reply),
                Ok(reply) => self.note_lost_reply(reply),
                Err(_) => {}
            }
        }
    }

    fn note_answer(&mut self, object: usize, asked: Option<Asked>, reply: &WebhookReply) {
        let ledger = &mut self.ledger;
        let is_refused = matches!(reply, WebhookReply::Refused(_));
        match (asked, reply) {
            (Some(Asked::Accept(ids)), WebhookReply::Accepted { deliveries, .. }) => {
                // What is held for longer than deliveries are kept goes.
                let kept_since = self.now.saturating_sub(self.policy.retention);
                let kept_since = kept_since.saturating_add(ledger.leeway);
                let backlog = ledger.deliveries.iter().filter(|(id, one)| {
                    one.object == object && one.is_surely_pending() && id.minted_at() >= kept_since
                });
                let backlog = backlog.count();
                for (id, taken) in ids.iter().zip(deliveries) {
                    let is_within = backlog <= self.policy.max_backlog;
                    assert!(
                        is_within || !matches!(taken, Acceptance::New { .. }),
                        "webhook {object} holds {backlog} deliveries and takes {id}"
                    );
                    let most = ledger
                        .deliveries
                        .values()
                        .filter(|one| one.object == object);
                    assert!(
                        most.count() > self.policy.max_backlog
                            || !matches!(taken, Acceptance::BacklogFull),
                        "webhook {object} refuses {id}, though it holds few"
                    );
                    if let (Some(known), Acceptance::New { status }) =
                        (ledger.deliveries.get_mut(id), taken)
                    {
                        known.said = Some(*status);
                    }
                }
            }
            (Some(Asked::Store(names)), WebhookReply::Granted(_)) => {
                ledger.stored(object, names, self.policy.max_leases, self.now);
            }
            (Some(Asked::Resend(id, at)), _) if is_refused => {
                if let Some(known) = ledger.deliveries.get_mut(&id) {
                    known.resends.retain(|one| *one != at);
                }
            }
            (Some(Asked::Cancel(id, at)), _) => {
                if let Some(known) = ledger.deliveries.get_mut(&id) {
                    if is_refused {
                        known.cancels.retain(|one| *one != at);
                    } else {
                        known.cancelled_at = Some(at);
                    }
                }
            }
            (Some(Asked::Apply(revision)), _) if !is_refused => {
                let webhook = ledger.webhook(object);
                webhook.answered_revision = webhook.answered_revision.max(revision);
            }
            _ => {}
        }
    }

    /// A reply reaches nobody: its leases are lost.
    pub(crate) fn note_lost_reply(&mut self, reply: &WebhookReply) {
        if let WebhookReply::Accepted { grants, .. } | WebhookReply::Granted(grants) = reply {
            for grant in grants {
                let name = (grant.id.clone(), grant.lease.lease);
                self.ledger.excuses(&name, "its reply is lost");
            }
        }
    }

    /// An object is reset: what it had not answered may be lost, and leases that did not leave it have to end.
    pub(crate) fn note_reset(&mut self, object: usize) {
        let life = self.objects[object].host.life;
        let calls = (object, life, 0)..(object, life, u64::MAX);
        let calls: Vec<_> = self
            .ledger
            .asked
            .range(calls)
            .map(|(call, _)| *call)
            .collect();
        for call in calls {
            if let Some(Asked::Store(names)) = self.ledger.asked.remove(&call) {
                let names: Vec<_> = names.into_iter().map(|(name, _)| name).collect();
                self.note_lost(&names, "its object was reset");
            }
        }
        self.note_trouble(object);
        let ended = self.now.saturating_add(self.policy.lease_length());
        self.ledger
            .delays(object, ended.saturating_add(AFTER_RESET));
    }

    /// An object has no alarm, though it asked for one.
    pub(crate) fn note_asleep(&mut self, node: Node) {
        if let Node::Webhook(object) = node {
            let webhook = self.ledger.webhook(object);
            webhook.is_asleep = true;
            webhook.had_trouble = true;
        }
    }

    /// Whether an object had no alarm before the turns that are lost.
    pub(crate) fn was_asleep(&mut self, node: Node) -> bool {
        match node {
            Node::Webhook(object) => self.ledger.webhook(object).was_asleep,
            Node::Workspace(_) => false,
        }
    }

    /// An object's alarm is set.
    pub(crate) fn note_awake(&mut self, node: Node) {
        if let Node::Webhook(object) = node
            && std::mem::take(&mut self.ledger.webhook(object).is_asleep)
        {
            self.note_late(node, Duration::ZERO);
        }
    }

    /// Something delays what an object does by a time.
    pub(crate) fn note_late(&mut self, node: Node, by: Duration) {
        if let Node::Webhook(object) = node {
            let until = self.now.saturating_add(by);
            self.ledger.delays(object, until);
        }
    }

    /// A sender's report was answered, or not: it was not if its reports may be lost.
    pub(crate) fn note_report_answered(&mut self, number: u64, reply: Option<&WebhookReply>) {
        match (self.senders.get_mut(&number), reply) {
            (Some(sender), None) => {
                let reporting = sender.reporting.clone();
                self.note_lost(&reporting, "its report was not answered");
            }
            (Some(sender), Some(reply)) => {
                sender.reporting.clear();
                if let WebhookReply::Granted(grants) = reply {
                    sender.hold(grants);
                }
            }
            (None, Some(reply)) => self.note_lost_reply(reply),
            (None, None) => {}
        }
    }

    /// A sender waits long for the answer to a report: what ends meanwhile may be reported too late.
    pub(crate) fn note_slow_report(&mut self, caller: &Caller) {
        if let Caller::Sender(sender) = caller
            && let Some(sender) = self.senders.get(sender)
        {
            self.note_lost(&sender.held.clone(), "a report is slow");
        }
    }

    /// The leases whose report a caller waits for may be lost.
    pub(crate) fn note_lost_report(&mut self, caller: &Caller, excuse: &'static str) {
        if let Caller::Sender(sender) = caller
            && let Some(sender) = self.senders.get(sender)
        {
            self.note_lost(&sender.reporting.clone(), excuse);
        }
    }

    /// Leases may be lost.
    pub(crate) fn note_lost(&mut self, names: &[LeaseName], excuse: &'static str) {
        for name in names {
            self.ledger.excuses(name, excuse);
        }
    }

    /// An attempt begins: once for its lease, which lasts longer.
    pub(crate) fn note_begun(&mut self, object: usize, grant: &Grant) {
        self.ledger.webhook(object).begun += 1;
        let (has_jumped, leeway) = (self.has_jumped(object), self.ledger.leeway);
        let name = (grant.id.clone(), grant.lease.lease);
        let lease = self.ledger.lease_mut(&name).expect("it was granted");
        assert!(!lease.begun, "lease {} of {} is used twice", name.1, name.0);
        assert!(!lease.is_refused, "a refused lease of {} is used", name.0);
        lease.begun = true;
        let begins = lease.begins;
        assert!(
            has_jumped || self.now.saturating_add(leeway) >= begins,
            "attempt {} of {} begins before its time",
            grant.lease.attempt,
            grant.id
        );
        let until = lease.until.saturating_add(leeway);
        let ends = self.now.saturating_add(self.policy.attempt_timeout);
        assert!(
            has_jumped || ends <= until,
            "{} may outlast its lease",
            name.0
        );
        // A new life of the object may have another clock.
        if ends.saturating_add(ON_TIME + leeway) > lease.until {
            lease.excuse.get_or_insert("its report may be late");
        }
    }

    /// An endpoint has got a request: of the leases that are out, no more than may be are at it.
    pub(crate) fn note_reached(&mut self, grant: &Grant, reached: Reached) {
        let name = (grant.id.clone(), grant.lease.lease);
        let lease = self.ledger.lease_mut(&name).expect("it was granted");
        lease.reached = Some(reached);
        let object = self.ledger.deliveries[&grant.id].object;
        let is_at_it = |name: &LeaseName| {
            let lease = self.ledger.deliveries[&name.0].leases.get(&name.1);
            let reached = lease.and_then(|lease| lease.reached);
            reached.is_some_and(|reached| reached.answered_at > self.now)
        };
        let leased = self.ledger.webhooks[object].out.keys();
        let at_it = leased.filter(|name| is_at_it(name)).count();
        assert!(
            self.has_jumped(object) || at_it <= self.policy.max_leases,
            "endpoint {object} has {at_it} requests at a time"
        );
    }

    /// The attempts of deliveries would have begun too late.
    pub(crate) fn note_too_late(&mut self, ids: &[DeliveryId]) {
        for id in ids {
            let known = self.ledger.deliveries.get_mut(id);
            let last = known.and_then(|known| known.leases.values_mut().last());
            if let Some(lease) = last {
                lease.excuse.get_or_insert("it would have begun too late");
            }
        }
    }
}
