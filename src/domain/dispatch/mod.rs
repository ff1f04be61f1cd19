//! One webhook's dispatch: whether a delivery is accepted, leased, held or refused, and what an attempt's end changes.
//!
//! It ties the three parts that a WebhookObject keeps (settings, standing, queue) to the state machine of a delivery.
//! The object loads a row, calls one method, and stores the row and, if it changed, the standing.

mod leasing;

mod sharing;

#[cfg(test)]
mod tests;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use self::{
    leasing::{LEASED_AHEAD, Lateness, LeaseGranted},
    sharing::{SENT_AT_A_TIME, send_together, share_leases},
};

use super::{
    attempt::{self, Attempt},
    delivery::{Change, Delivery, FailedReason, Kind, Refusal, Report, State, TurnNumber},
    ids::DeliveryId,
    policy::{BACKLOG_BYTES_LIMIT, Policy},
    queue::Queue,
    record::DeliveryRecord,
    timestamp::Timestamp,
    token_bucket::TokenBucket,
    webhook::{AutoDisableReason, Settings, Standing},
    width::Width,
};
use crate::mutants::Mutant;

/// Attempts that one invocation makes at a time over all webhooks: the platform's limit of connections awaiting a
/// response. It begins with so many leases, and with one for each webhook of its post if these are more.
pub const WORKER_LEASES: usize = 6;

/// How long an attempt waits for one of these connections before its lease is given back: the webhook's own alarm hires
/// somebody sooner than a slow endpoint of another webhook answers.
pub const CONNECTION_WAIT: Duration = Duration::from_millis(250);

/// How long an answer waits for the first of its attempts while many others are under way.
pub const ANSWER_DELAY: Duration = Duration::from_millis(20);

/// A webhook's settings, standing and pending deliveries.
#[derive(Debug)]
pub struct Dispatch {
    /// What its owner set.
    pub settings: Settings,
    /// Its standing with its endpoint.
    pub standing: Standing,
    /// Its pending deliveries.
    pub queue: Queue,
    /// How many attempts may be under way.
    pub width: Width,
    /// The tokens of its rate limit, if it has one.
    pub bucket: Option<TokenBucket>,
    /// Leases that are out, though their deliveries have ended.
    pub stray: Vec<StrayLease>,
}

/// A lease whose delivery was cancelled meanwhile, or delivered by an earlier lease: until it ends or is reported, an
/// ordered webhook waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StrayLease {
    /// The delivery.
    pub id: DeliveryId,
    /// The lease's number.
    pub lease: u32,
    /// When the lease ends.
    pub until: Timestamp,
}

/// A webhook already holds as many deliveries, or bytes, as it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BacklogFull;

/// The status with which an endpoint asks for fewer requests (RFC 6585, 4).
const TOO_MANY_REQUESTS: u16 = 429;

/// Attempts under way, at most, for a webhook to count as quiet.
const QUIET: usize = 2;

/// Attempts under way, at least, for producers to be answered a little later.
const BUSY: usize = 16;

impl Dispatch {
    /// Whether so few attempts are under way that nothing else is likely to be accepted at the same moment.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.queue.leases() <= QUIET
    }

    /// Whether so many attempts are under way that more would only make first attempts wait for each other.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.queue.leases() >= BUSY
    }

    /// Whether deliveries are attempted.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.standing.is_enabled(&self.settings) || Mutant::DisabledSends.is_on()
    }

    /// Accepts a new delivery: due at once, or held while the webhook is disabled. `bytes` is its payload's length.
    ///
    /// # Errors
    /// `BacklogFull`; pings and tests are always accepted.
    pub fn accept(
        &self,
        kind: Kind,
        bytes: u64,
        now: Timestamp,
        policy: &Policy,
    ) -> Result<Delivery, BacklogFull> {
        if kind != Kind::Event {
            return Ok(Delivery::due(kind, now));
        }
        let max_backlog = if Mutant::BacklogTooSmall.is_on() {
            policy.max_backlog.div_ceil(4)
        } else {
            policy.max_backlog
        };
        let full = self.queue.len() >= max_backlog
            || self.queue.bytes().saturating_add(bytes) > BACKLOG_BYTES_LIMIT;
        match (full && !Mutant::BacklogUnbounded.is_on(), self.is_enabled()) {
            (true, _) => Err(BacklogFull),
            (false, true) => Ok(self.paced(Delivery::due(kind, now), now)),
            (false, false) => Ok(self.paced(Delivery::held(), now)),
        }
    }

    fn paced(&self, delivery: Delivery, now: Timestamp) -> Delivery {
        let turn = self.next_turn(now);
        delivery.paced(self.settings.pace.retry_schedule.clone(), turn)
    }

    /// The next place in the order, if there is one.
    fn next_turn(&self, now: Timestamp) -> Option<TurnNumber> {
        let ordered = self.settings.pace.ordered;
        ordered.then(|| self.queue.next_turn(now))
    }

    /// Restarts the schedule of a delivery, the one that is in force; in order, it joins at the end.
    ///
    /// # Errors
    /// What [`Delivery::resend`] refuses.
    pub fn resend(&self, delivery: &mut Delivery, now: Timestamp) -> Result<(), Refusal> {
        let schedule = self.settings.pace.retry_schedule.clone();
        delivery.resend(now, schedule)?;
        delivery.join(self.next_turn(now));
        Ok(())
    }

    /// Makes the next attempt of a delivery due at once; what was held joins at the end of the order.
    ///
    /// # Errors
    /// What [`Delivery::send_now`] refuses.
    pub fn send_now(&self, delivery: &mut Delivery, now: Timestamp) -> Result<(), Refusal> {
        let was_held = matches!(delivery.state(), State::Held);
        delivery.send_now(now)?;
        if was_held {
            delivery.join(self.next_turn(now));
        }
        Ok(())
    }

    /// Stops further attempts of a delivery; returns whether one may be under way.
    ///
    /// # Errors
    /// What [`Delivery::cancel`] refuses.
    pub fn cancel(&mut self, record: &mut DeliveryRecord, now: Timestamp) -> Result<bool, Refusal> {
        let lease_out = record.delivery.lease_out();
        record.delivery.cancel(now)?;
        let Some((lease, until)) = lease_out else {
            return Ok(false);
        };
        let id = record.id.clone();
        self.remember_stray(StrayLease { id, lease, until }, now);
        Ok(true)
    }

    fn remember_stray(&mut self, lease: StrayLease, now: Timestamp) {
        if Mutant::StrayLeaseForgotten.is_on() {
            return;
        }
        self.stray.retain(|stray| stray.until > now);
        self.stray.push(lease);
    }

    /// Forgets a lease that is out, though its delivery has ended, as it was reported.
    pub fn forget_stray(&mut self, id: &DeliveryId, lease: u32) {
        self.stray
            .retain(|stray| stray.lease != lease || stray.id != *id);
    }

    /// Applies newer settings. A bucket for another rate is empty at first.
    pub fn apply(&mut self, settings: &Settings, now: Timestamp, policy: &Policy) {
        self.standing.settings_changed(&self.settings, settings);
        self.settings = settings.clone();
        self.queue.set_ordered(settings.pace.ordered);
        let rate = settings.pace.rate_limit;
        if self.bucket.map(|bucket| bucket.rate()) != rate {
            let empty_at = now.max(self.last_begin(policy));
            self.bucket = rate.map(|rate| TokenBucket::empty(rate, empty_at));
        }
    }

    /// When the last of the leases that are out allows its attempt to begin.
    fn last_begin(&self, policy: &Policy) -> Timestamp {
        let stray = self.stray.iter().map(|stray| stray.until);
        let last = stray.chain(self.queue.last_lease_end()).max();
        last.unwrap_or_default()
            .saturating_sub(policy.lease_length())
    }

    /// Begins a life of the object: the bucket is empty, behind what earlier lives have granted.
    #[must_use]
    pub fn begin(mut self, now: Timestamp, policy: &Policy) -> Self {
        self.queue.set_ordered(self.settings.pace.ordered);
        let rate = self.settings.pace.rate_limit;
        let empty_at = if Mutant::BucketBeginsFull.is_on() {
            Timestamp::default()
        } else {
            now.max(self.last_begin(policy))
        };
        self.bucket = rate.map(|rate| TokenBucket::empty(rate, empty_at));
        self
    }

    /// Applies the report of an attempt that was made under a revision of the settings, and records the attempt.
    pub fn take_report(
        &mut self,
        record: &mut DeliveryRecord,
        report: &Report,
        attempt: Attempt,
        revision: u64,
        now: Timestamp,
        policy: &Policy,
    ) -> Change {
        let lease_out = record.delivery.lease_out();
        let change = record.delivery.report(now, policy, report);
        if let Some((lease, until)) = lease_out
            && lease != report.lease.lease
            && record.delivery.is_settled()
        {
            let id = record.id.clone();
            self.remember_stray(StrayLease { id, lease, until }, now);
        }
        if change != Change::None {
            attempt::record(&mut record.attempts, attempt);
            // Pings and tests say nothing about the endpoint, and neither does an attempt that was made under older
            // settings, whose URL may differ.
            let is_present = revision >= self.settings.revision || Mutant::OldGoneDisables.is_on();
            if record.delivery.kind() == Kind::Event && is_present {
                let (outcome, status) = (report.outcome, report.response_status);
                self.width.attempt_ended(outcome, status, policy.max_leases);
                if status == Some(TOO_MANY_REQUESTS)
                    && !Mutant::WaitForgotten.is_on()
                    && let Some(wait) = report.retry_after
                {
                    let longest = record.delivery.schedule(policy).longest();
                    self.standing.wait(now, wait.min(longest));
                }
                self.judge(change, revision, now, policy.disable_after);
            }
        }
        change
    }

    /// Takes a lease back that ended without a report; the last one in a row is recorded as a lost attempt. It says
    /// nothing about the endpoint, so it touches neither the width nor what counts towards disabling the webhook.
    pub fn take_back_lease(
        &mut self,
        record: &mut DeliveryRecord,
        now: Timestamp,
        policy: &Policy,
    ) -> Change {
        let until = record.delivery.next_wake().unwrap_or(now);
        let number = record.delivery.attempts().saturating_add(1);
        let change = record.delivery.lease_ended(now, policy);
        if Mutant::LostLeaseCountsAgainstEndpoint.is_on() {
            self.standing.attempt_failed(now);
        }
        if matches!(change, Change::Rescheduled | Change::Failed(_)) {
            let started_at = until.saturating_sub(policy.lease_length());
            attempt::record(
                &mut record.attempts,
                Attempt::lost(number, started_at, until),
            );
        }
        change
    }

    /// What an attempt's end says about the endpoint.
    fn judge(&mut self, change: Change, revision: u64, now: Timestamp, disable_after: Duration) {
        match change {
            Change::Delivered => self.standing.attempt_succeeded(now),
            Change::Rescheduled => self.standing.attempt_failed(now),
            Change::Failed(FailedReason::Gone) => {
                self.standing.attempt_failed(now);
                self.standing
                    .disable(AutoDisableReason::Gone, now, revision);
            }
            Change::Failed(_) => {
                self.standing.attempt_failed(now);
                self.standing.delivery_failed(now, disable_after, revision);
            }
            Change::None | Change::DueAgain => {}
        }
    }
}
