//! Which leases a webhook may grant, and when: enabled and not paused, within its width, its order and its rate, and not
//! before its endpoint asked for.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Dispatch;
use crate::{
    domain::{
        delivery::{Delivery, Kind, Lease},
        policy::Policy,
        timestamp::Timestamp,
    },
    mutants::Mutant,
};

/// Bytes of payload under lease at a time, for one webhook: they may all be in the memory of one isolate.
pub(super) const LEASED_BYTES: u64 = 16 * 1024 * 1024;

/// Bytes of the largest payload, about.
pub(super) const LARGEST_PAYLOAD: u64 = 257 * 1024;

/// How long before its attempt may begin a lease of a webhook with a rate limit is granted at most.
pub const LEASED_AHEAD: Duration = Duration::from_secs(10);

/// How long before that its object wakes to grant it: the attempts of the time until then are made by one Sender.
const WAKES_AHEAD: Duration = Duration::from_secs(1);

/// How late the attempts of a webhook are, and how many it makes at a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lateness {
    /// Since when a delivery has been due that waits.
    pub oldest_due_at: Option<Timestamp>,
    /// How many attempts may be under way.
    pub width: usize,
    /// How many are.
    pub under_way: usize,
}

/// A lease that was granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseGranted {
    /// The right to make the attempt.
    pub lease: Lease,
    /// When the attempt may begin.
    pub not_before: Timestamp,
}

impl Dispatch {
    /// Grants a lease of a new delivery if one is free; the last free one is left to an overdue retry whose turn it is.
    /// Pings and tests are made in any case. `ahead` is how long the holder can wait to begin.
    pub fn lease_first(
        &mut self,
        delivery: &mut Delivery,
        now: Timestamp,
        ahead: Duration,
        policy: &Policy,
    ) -> Option<LeaseGranted> {
        self.lease_if(delivery, now, policy, |dispatch| {
            let kept_free = usize::from(dispatch.queue.owes_retry(now));
            dispatch.has_free_leases(kept_free, now, ahead, policy)
                && dispatch.queue.is_turn_of_new()
        })
    }

    /// Grants a lease of a delivery if one is free; pings and tests are made in any case. `ahead` is how long the holder
    /// can wait to begin.
    pub fn lease(
        &mut self,
        delivery: &mut Delivery,
        now: Timestamp,
        ahead: Duration,
        policy: &Policy,
    ) -> Option<LeaseGranted> {
        self.lease_if(delivery, now, policy, |dispatch| {
            dispatch.has_free_lease(now, ahead, policy)
        })
    }

    /// Grants a lease if one is free, or if it is of a ping or a test.
    fn lease_if(
        &mut self,
        delivery: &mut Delivery,
        now: Timestamp,
        policy: &Policy,
        is_free: impl FnOnce(&Self) -> bool,
    ) -> Option<LeaseGranted> {
        if delivery.kind() != Kind::Event {
            return grant(delivery, now, policy);
        }
        is_free(self)
            .then(|| self.grant(delivery, now, policy))
            .flatten()
    }

    fn grant(
        &mut self,
        delivery: &mut Delivery,
        now: Timestamp,
        policy: &Policy,
    ) -> Option<LeaseGranted> {
        let bucket = self.bucket.as_mut();
        let not_before = bucket.map_or(now, |bucket| bucket.take(now));
        grant(delivery, not_before, policy)
    }

    /// Whether a lease is free: the webhook is enabled and not paused, fewer are out than it is wide, another payload has
    /// room, and the attempt may begin soon enough.
    #[must_use]
    pub fn has_free_lease(&self, now: Timestamp, ahead: Duration, policy: &Policy) -> bool {
        self.has_free_leases(0, now, ahead, policy)
    }

    /// Whether a lease is free beside so many others.
    fn has_free_leases(
        &self,
        others: usize,
        now: Timestamp,
        ahead: Duration,
        policy: &Policy,
    ) -> bool {
        let token = self.bucket.map_or(now, |bucket| bucket.next(now));
        let has_token = token <= now.saturating_add(ahead.min(LEASED_AHEAD));
        let opens = self.opens_at().is_none_or(|opens_at| opens_at <= now);
        self.has_slots(others, policy) && opens && has_token
    }

    /// Whether, apart from time, so many leases and one more may be out.
    fn has_slots(&self, others: usize, policy: &Policy) -> bool {
        let has_room = self.queue.leased_bytes() <= LEASED_BYTES.saturating_sub(LARGEST_PAYLOAD);
        let has_slot = if self.settings.pace.ordered && !Mutant::OrderIgnored.is_on() {
            self.queue.leased_events() == 0
        } else {
            let taken = self.queue.leases().saturating_add(others);
            taken < self.width.slots(policy.max_leases) || Mutant::WidthIgnored.is_on()
        };
        let is_paused = self.settings.paused && !Mutant::PausedSends.is_on();
        self.is_enabled() && !is_paused && has_slot && has_room
    }

    /// Until when nothing is leased: the endpoint asked for it, or, in order, an attempt of a delivery that has ended may
    /// be under way.
    fn opens_at(&self) -> Option<Timestamp> {
        let stray = self.stray.iter().map(|stray| stray.until);
        let stray = stray.max().filter(|_| self.settings.pace.ordered);
        self.standing.waits_until.max(stray)
    }

    /// Whether neither its owner nor its endpoint has set a limit to its attempts, but for how many may be under way.
    #[must_use]
    pub fn is_unhindered(&self, now: Timestamp) -> bool {
        let pace = &self.settings.pace;
        let is_paced = pace.ordered || pace.rate_limit.is_some() || self.settings.paused;
        let opens = self.opens_at().is_none_or(|opens_at| opens_at <= now);
        self.is_enabled() && !is_paced && opens
    }

    /// When there is something that can be done: something falls due and may be leased or held, or a lease ends.
    ///
    /// While no lease is free, what is due has to wait for a report, or for the end of a lease.
    #[must_use]
    pub fn next_wake(&self, policy: &Policy) -> Option<Timestamp> {
        let lease_end = self.queue.next_lease_end();
        if !self.is_enabled() {
            return lease_end.into_iter().chain(self.queue.first_due()).min();
        }
        let due = self.queue.next_due().filter(|_| self.has_slots(0, policy));
        let due = due.map(|due| {
            let opens_at = self.opens_at().unwrap_or_default();
            let token = self.bucket.map(|bucket| bucket.next(Timestamp::default()));
            let token = token.map(|token| token.saturating_sub(WAKES_AHEAD));
            due.max(opens_at).max(token.unwrap_or_default())
        });
        lease_end.into_iter().chain(due).min()
    }

    /// How late its attempts are.
    #[must_use]
    pub fn lateness(&self, now: Timestamp, policy: &Policy) -> Lateness {
        Lateness {
            oldest_due_at: self.queue.oldest_due(now),
            width: if self.settings.pace.ordered {
                1
            } else {
                self.width.slots(policy.max_leases)
            },
            under_way: self
                .queue
                .leases_that_end_by(now.saturating_add(policy.lease_length())),
        }
    }
}

fn grant(delivery: &mut Delivery, not_before: Timestamp, policy: &Policy) -> Option<LeaseGranted> {
    let lease = delivery.lease(not_before, policy)?;
    Some(LeaseGranted { lease, not_before })
}
