//! What the world knows of each delivery and each lease, from what was said and seen: the promises are held against it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use webhook_relay::{
    domain::{
        delivery::Status,
        ids::{DeliveryId, EventId},
        outcome::Outcome,
        timestamp::Timestamp,
    },
    machines::{messages::AttemptReport, webhook::Outputs},
};

use crate::widths::{KnownWidth, shows_overload};

/// What the world knows.
#[derive(Default)]
pub(crate) struct Ledger {
    pub(crate) deliveries: BTreeMap<DeliveryId, Known>,
    pub(crate) webhooks: Vec<KnownWebhook>,
    /// By how much times of one object may differ, as its clock may be set again.
    pub(crate) leeway: Duration,
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

/// A delivery.
pub(crate) struct Known {
    pub(crate) object: usize,
    pub(crate) event_id: EventId,
    pub(crate) bytes: usize,
    /// When its event arrived at the object.
    pub(crate) accepted_at: Timestamp,
    /// What the object said when it accepted it.
    pub(crate) said: Option<Status>,
    pub(crate) leases: BTreeMap<u32, Lease>,
    /// When somebody asked to cancel it.
    pub(crate) cancels: Vec<Timestamp>,
    /// When the object was asked for what it then said to have cancelled.
    pub(crate) cancelled_at: Option<Timestamp>,
    /// When it may have been resent.
    pub(crate) resends: Vec<Timestamp>,
}

/// A lease that left its object.
pub(crate) struct Lease {
    pub(crate) attempt: u32,
    pub(crate) granted_at: Timestamp,
    pub(crate) until: Timestamp,
    /// It reached nobody, and the object was told so.
    pub(crate) is_refused: bool,
    pub(crate) begun: bool,
    pub(crate) reached: Option<Reached>,
    /// When its report arrived at the object; more than once if it was not answered.
    pub(crate) arrivals: Vec<Timestamp>,
    /// When the report arrived that the object said to have stored.
    pub(crate) stored_at: Option<Timestamp>,
    /// Why it may be lost.
    pub(crate) excuse: Option<&'static str>,
}

/// What an endpoint saw, and what the sender knows of its answer.
#[derive(Clone, Copy)]
pub(crate) struct Reached {
    pub(crate) at: Timestamp,
    pub(crate) answered_at: Timestamp,
    pub(crate) outcome: Outcome,
    pub(crate) status: Option<u16>,
    pub(crate) retry_after_ms: Option<u64>,
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
    pub(crate) failures: BTreeSet<Timestamp>,
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
}

impl Lease {
    pub(crate) fn has_succeeded(&self) -> bool {
        self.reached
            .is_some_and(|reached| reached.outcome.is_success())
    }

    /// Whether it was over for its object at a time.
    fn is_over(&self, at: Timestamp) -> bool {
        self.is_refused || self.until <= at || self.arrivals.iter().any(|arrival| *arrival <= at)
    }
}

impl Known {
    pub(crate) const fn accepted(
        object: usize,
        event_id: EventId,
        bytes: usize,
        at: Timestamp,
    ) -> Self {
        Self {
            object,
            event_id,
            bytes,
            accepted_at: at,
            said: None,
            leases: BTreeMap::new(),
            cancels: Vec::new(),
            cancelled_at: None,
            resends: Vec::new(),
        }
    }

    /// Whether nobody changed its schedule.
    pub(crate) const fn is_left_alone(&self) -> bool {
        self.cancels.is_empty() && self.resends.is_empty()
    }

    /// Whether somebody may have changed its schedule after a time.
    pub(crate) fn is_touched_since(&self, since: Timestamp) -> bool {
        let mut touches = self.cancels.iter().chain(&self.resends);
        touches.any(|at| *at >= since)
    }

    /// Whether it may have been resent after a time.
    pub(crate) fn is_resent_since(&self, since: Timestamp) -> bool {
        self.resends.iter().any(|at| *at >= since)
    }

    /// The known leases of an attempt.
    pub(crate) fn leases_of(&self, attempt: u32) -> impl Iterator<Item = (u32, &Lease)> {
        let leases = self.leases.iter().map(|(number, lease)| (*number, lease));
        leases.filter(move |(_, lease)| lease.attempt == attempt)
    }

    /// The leases before a lease that were not over when it was granted.
    pub(crate) fn overlap(&self, number: u32, granted_at: Timestamp) -> Option<u32> {
        let mut before = self.leases.range(..number);
        before
            .find(|(_, lease)| {
                !lease.is_over(granted_at) && !self.is_touched_since(lease.granted_at)
            })
            .map(|(number, _)| *number)
    }

    /// Whether it may have ended before a time, as far as its attempts tell.
    pub(crate) fn may_have_ended(&self) -> bool {
        !self.cancels.is_empty() || self.leases.values().any(|lease| lease.attempt >= 6) || {
            let statuses = self.leases.values().filter_map(|lease| lease.reached);
            statuses
                .into_iter()
                .any(|reached| reached.status == Some(410))
        }
    }

    /// Whether it is pending beyond doubt: no attempt has succeeded or was the last, and nobody has ended it.
    pub(crate) fn is_surely_pending(&self) -> bool {
        let has_succeeded = self.leases.values().any(Lease::has_succeeded);
        self.said.is_some() && !has_succeeded && !self.may_have_ended()
    }
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
        let webhook = self.webhook(object);
        webhook.width.reported(has_succeeded, max_leases, now);
        if !has_succeeded {
            webhook.failures.insert(local);
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
            if let Some(arrived) = self.showed_overload(&name) {
                let webhook = self.webhook(object);
                if revision >= webhook.told_revision {
                    webhook.width.overload_stored(arrived, max_leases, now);
                }
            }
        }
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
        let counts = is_last && in_time && !known.is_touched_since(lease.granted_at);
        (counts && shows_overload(&lease.reached?)).then_some(arrived)
    }

    /// Somebody may have had deliveries of an object resent, all of a status.
    pub(crate) fn may_resend(&mut self, object: usize, status: Status, at: Timestamp) {
        let was_closed = self.webhook(object).was_closed;
        for known in self.deliveries.values_mut() {
            let may_be_meant = match status {
                Status::Held => was_closed,
                _ => known.may_have_ended(),
            };
            if known.object == object && may_be_meant {
                known.resends.push(at);
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
