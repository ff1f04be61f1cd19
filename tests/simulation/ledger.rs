//! What the world knows of each delivery and each lease, from what was said and seen: the promises are held against it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use webhook_relay::{
    domain::{delivery::Status, ids::DeliveryId, timestamp::Timestamp},
    machines::{
        messages::{AttemptReport, UnusedLease},
        webhook::Outputs,
    },
};

use crate::{
    deliveries::{Known, Lease},
    pace_rules::KnownPace,
    widths::{KnownWidth, shows_overload},
};

/// What the world knows.
#[derive(Default)]
pub(crate) struct Ledger {
    pub(crate) deliveries: BTreeMap<DeliveryId, Known>,
    pub(crate) webhooks: Vec<KnownWebhook>,
    /// By how much times of one object may differ, as its clock may be set again.
    pub(crate) leeway: Duration,
    /// Deliveries that were given a place in an order so far.
    pub(crate) placed: u64,
    /// What is asked of an object, by its life and the call.
    pub(crate) asked: BTreeMap<(usize, u64, u64), Asked>,
}

/// A delivery, and the number of its lease.
pub(crate) type LeaseName = (DeliveryId, u32);

/// What an object is asked for in a call.
pub(crate) enum Asked {
    Accept(Vec<DeliveryId>),
    /// Reports, each with the revision of the settings under which its attempt was made.
    Store(Vec<(LeaseName, u64)>),
    Resend(DeliveryId, Timestamp),
    Cancel(DeliveryId, Timestamp),
    /// Settings of a revision.
    Apply(u64),
}

/// What is known of an object as a whole.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct KnownWebhook {
    /// The leases that are out, with their end.
    pub(crate) out: BTreeMap<LeaseName, Timestamp>,
    /// Until when a fault, its width or its settings explain that something is late.
    pub(crate) late_until: Timestamp,
    /// Until when a delivery that was sent alone explains that others of its kind are late.
    pub(crate) alone_until: Timestamp,
    /// Whether the platform has lost its alarm.
    pub(crate) is_asleep: bool,
    /// The same before the turns that will be lost.
    pub(crate) was_asleep: bool,
    /// Hires in a row that failed.
    pub(crate) refusals: u32,
    /// Whether a lease may have been stored that nobody got.
    pub(crate) had_trouble: bool,
    /// Whether it was disabled or deleted at some time.
    pub(crate) was_closed: bool,
    /// When reports of failed attempts arrived, by the object's clock.
    pub(crate) failures: BTreeMap<Timestamp, u32>,
    /// The same of attempts that succeeded.
    pub(crate) successes: BTreeSet<Timestamp>,
    /// When, by the object's clock, reports of a 410 arrived under settings that were the newest of which the object was told.
    pub(crate) gone: BTreeSet<(Timestamp, u64)>,
    /// The newest revision of the settings that the object said to have stored.
    pub(crate) answered_revision: u64,
    /// The newest revision of the settings that the object was told.
    pub(crate) told_revision: u64,
    pub(crate) width: KnownWidth,
    /// When, by the object's clock, somebody last asked to resend all that had failed by then.
    pub(crate) failed_resent_at: Option<Timestamp>,
    /// The attempts that were begun.
    pub(crate) begun: u64,
    /// The commands that a fault has answered.
    pub(crate) commands_failed: u64,
    pub(crate) pace: KnownPace,
}

impl Ledger {
    pub(crate) fn webhook(&mut self, object: usize) -> &mut KnownWebhook {
        if self.webhooks.len() <= object {
            self.webhooks.resize_with(object + 1, KnownWebhook::default);
        }
        &mut self.webhooks[object]
    }

    /// Something explains that what is due at an object is not attempted before a time.
    pub(crate) fn delays(&mut self, object: usize, until: Timestamp) {
        let webhook = self.webhook(object);
        webhook.late_until = webhook.late_until.max(until);
    }

    /// A lease may be lost.
    pub(crate) fn excuses(&mut self, lease: &LeaseName, excuse: &'static str) {
        if let Some(lease) = self.lease_mut(lease) {
            lease.excuse.get_or_insert(excuse);
        }
    }

    pub(crate) fn lease_mut(&mut self, (id, number): &LeaseName) -> Option<&mut Lease> {
        self.deliveries.get_mut(id)?.leases.get_mut(number)
    }

    /// A report arrives at an object: its lease is out no longer, nor is any other of a delivery that succeeded.
    pub(crate) fn reported(
        &mut self,
        object: usize,
        report: &AttemptReport,
        max_leases: usize,
        now: Timestamp,
        local: Timestamp,
    ) {
        let name = (report.id.clone(), report.lease.lease);
        if let Some(lease) = self.lease_mut(&name) {
            lease.arrivals.push(now);
        }
        let has_succeeded = report.attempt.outcome.is_success();
        let asked = report
            .retry_after_ms
            .filter(|_| report.attempt.response_status == Some(429));
        let webhook = self.webhook(object);
        if let Some(asked) = asked {
            // The webhook may wait for as long.
            let until = now.saturating_add(Duration::from_millis(asked));
            webhook.late_until = webhook.late_until.max(until);
        }
        webhook.width.reported(has_succeeded, max_leases, now);
        if has_succeeded {
            webhook.successes.insert(local);
        } else {
            *webhook.failures.entry(local).or_default() += 1;
        }
        if report.attempt.response_status == Some(410)
            && report.revision >= webhook.answered_revision
        {
            webhook.gone.insert((local, report.revision));
            webhook.was_closed = true;
        }
        self.release(object, now, |(id, number)| {
            *id == report.id && (has_succeeded || *number == report.lease.lease)
        });
    }

    /// Leases reached nobody, and their object is told so.
    pub(crate) fn refused(&mut self, object: usize, unused: &[UnusedLease], now: Timestamp) {
        for (id, lease) in unused {
            let name = (id.clone(), lease.lease);
            self.release(object, now, |leased| *leased == name);
            if let Some(lease) = self.lease_mut(&name) {
                lease.is_refused = true;
                let until = lease.until_there;
                self.webhook(object).pace.refused(until);
            }
        }
    }

    /// Leases of an object are out no longer.
    pub(crate) fn release(
        &mut self,
        object: usize,
        now: Timestamp,
        is_over: impl Fn(&LeaseName) -> bool,
    ) {
        let out = &mut self.webhook(object).out;
        let before = out.len();
        out.retain(|name, _| !is_over(name));
        if out.len() < before {
            // Whatever waited for one of them waits no longer.
            self.webhook(object).late_until = self.webhook(object).late_until.max(now);
        }
    }

    /// Drops the leases that ended before a time from those that are out.
    pub(crate) fn prune(&mut self, object: usize, at: Timestamp) {
        let at = at.saturating_add(self.leeway);
        let webhook = self.webhook(object);
        let ended = webhook.out.values().filter(|until| **until <= at).max();
        if let Some(ended) = ended.copied() {
            webhook.late_until = webhook.late_until.max(ended);
            webhook.out.retain(|_, until| *until > at);
        }
    }

    /// A call with reports was answered: they are stored.
    pub(crate) fn stored(
        &mut self,
        object: usize,
        reports: Vec<(LeaseName, u64)>,
        max_leases: usize,
        now: Timestamp,
    ) {
        for (name, revision) in reports {
            if let Some(lease) = self.lease_mut(&name) {
                let last = lease.arrivals.last().copied();
                lease.stored_at = lease.stored_at.or(last);
            }
            let asked = self.asked_to_wait(&name);
            if let Some(arrived) = self.showed_overload(&name) {
                let leeway = self.leeway;
                let webhook = self.webhook(object);
                if revision >= webhook.told_revision {
                    if let Some(asked) = asked {
                        webhook
                            .pace
                            .waits(now, arrived.saturating_add(asked).saturating_sub(leeway));
                    }
                    webhook.width.overload_stored(arrived, max_leases, now);
                }
            }
        }
    }

    /// How long the answer to a lease's attempt asks the whole webhook to wait.
    fn asked_to_wait(&self, (id, number): &LeaseName) -> Option<Duration> {
        // The schedule that a resend has taken, and with it the longest wait, is not known.
        let known = self.deliveries.get(id)?;
        if !known.resends.is_empty() {
            return None;
        }
        let reached = known.leases.get(number)?.reached?;
        let asked = reached
            .retry_after_ms
            .filter(|_| reached.status == Some(429))?;
        Some(Duration::from_millis(asked).min(known.schedule.longest()))
    }

    /// When the report of a lease arrived that surely counts as a sign of overload.
    fn showed_overload(&self, (id, number): &LeaseName) -> Option<Timestamp> {
        let known = self.deliveries.get(id)?;
        let lease = known.leases.get(number)?;
        let is_last = known.leases.range(number + 1..).next().is_none();
        let [arrived] = lease.arrivals[..] else {
            return None;
        };
        let in_time = arrived.saturating_add(self.leeway) < lease.until;
        let counts = is_last && in_time && !known.is_touched_since(lease.granted_since);
        (counts && shows_overload(&lease.reached?)).then_some(arrived)
    }

    /// Somebody may have had deliveries of an object resent, all of a status.
    pub(crate) fn may_resend(&mut self, object: usize, status: Status, at: Timestamp) {
        let was_closed = self.webhook(object).was_closed;
        for known in self.deliveries.values_mut() {
            let may_be_meant = match status {
                Status::Held => was_closed,
                Status::Pending => !known.is_surely_delivered(),
                _ => known.may_have_ended(),
            };
            if known.object == object && may_be_meant {
                if status == Status::Pending {
                    known.may_be_hurried = true;
                } else {
                    known.resends.push(at);
                }
            }
        }
    }

    /// Hires were answered: after failures the object waits before it hires again.
    pub(crate) fn hired(&mut self, object: usize, hired: usize, failed: usize, at: Timestamp) {
        let webhook = self.webhook(object);
        if hired > 0 {
            webhook.refusals = 0;
        }
        if failed > 0 {
            webhook.refusals += 1;
            let wait = Duration::from_secs(1 << (webhook.refusals - 1).min(6)).as_secs();
            let until = at.saturating_add(Duration::from_secs(wait.min(60)));
            self.delays(object, until);
        }
    }
}

/// The grants in what leaves an object.
pub(crate) fn grants_of(
    outputs: &Outputs,
) -> impl Iterator<Item = &webhook_relay::machines::messages::Grant> {
    use webhook_relay::machines::messages::WebhookReply;
    let answers = outputs
        .answers
        .iter()
        .filter_map(|(_, answer)| match answer {
            Ok(WebhookReply::Accepted { grants, .. } | WebhookReply::Granted(grants)) => {
                Some(grants)
            }
            _ => None,
        });
    let hires = outputs.hires.iter().map(|group| &group.grants);
    let own = outputs.attempts.iter().map(|(group, _)| &group.grants);
    answers.chain(hires).chain(own).flatten()
}
