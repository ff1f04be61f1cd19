//! One webhook's dispatch: whether a delivery is accepted, leased, held or refused, and what an attempt's end changes.
//!
//! It ties the three parts that a WebhookObject keeps (settings, standing, queue) to the state machine of a delivery.
//! The object loads a row, calls one method, and stores the row and, if it changed, the standing.

use std::time::Duration;

use super::{
    attempt::{self, Attempt},
    delivery::{Change, Delivery, FailedReason, Kind, Lease, Report},
    policy::{BACKLOG_BYTES_LIMIT, Policy},
    queue::Queue,
    record::DeliveryRecord,
    timestamp::Timestamp,
    webhook::{AutoDisableReason, Settings, Standing},
    width::Width,
};
use crate::mutants::Mutant;

/// Leases that one Worker holds at a time over all webhooks: the platform's limit of connections awaiting a response.
pub const WORKER_LEASES: usize = 6;

/// Bytes of payload under lease at a time, for one webhook: they may all be in the memory of one isolate.
pub const LEASED_BYTES: u64 = 16 * 1024 * 1024;

/// Bytes of the largest payload, about.
const LARGEST_PAYLOAD: u64 = 257 * 1024;

/// Bytes of events that a Worker sends to objects at a time for one post: the platform copies each command.
pub const SENT_AT_A_TIME: usize = 4 * 1024 * 1024;

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
}

/// A webhook already holds as many deliveries, or bytes, as it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BacklogFull;

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
            (false, true) => Ok(Delivery::due(kind, now)),
            (false, false) => Ok(Delivery::held()),
        }
    }

    /// Grants a lease of a new delivery if one is free; the last free one is left to an overdue retry whose turn it is.
    /// Pings and tests are made in any case.
    pub fn lease_first(
        &self,
        delivery: &mut Delivery,
        now: Timestamp,
        policy: &Policy,
    ) -> Option<Lease> {
        let kept_free = usize::from(self.queue.owes_retry(now));
        let may_lease = delivery.kind() != Kind::Event || self.has_free_leases(kept_free, policy);
        may_lease.then(|| delivery.lease(now, policy)).flatten()
    }

    /// Grants a lease of a delivery if one is free; pings and tests are made in any case.
    pub fn lease(&self, delivery: &mut Delivery, now: Timestamp, policy: &Policy) -> Option<Lease> {
        (self.has_free_lease(policy) || delivery.kind() != Kind::Event)
            .then(|| delivery.lease(now, policy))
            .flatten()
    }

    /// Whether a lease is free: the webhook is enabled, fewer are out than it is wide, and another payload has room.
    #[must_use]
    pub fn has_free_lease(&self, policy: &Policy) -> bool {
        self.has_free_leases(0, policy)
    }

    /// Whether a lease is free beside so many others.
    fn has_free_leases(&self, others: usize, policy: &Policy) -> bool {
        let has_room = self.queue.leased_bytes() <= LEASED_BYTES.saturating_sub(LARGEST_PAYLOAD);
        let taken = self.queue.leases().saturating_add(others);
        let has_slot = taken < self.width.slots(policy.max_leases) || Mutant::WidthIgnored.is_on();
        self.is_enabled() && has_slot && has_room
    }

    /// When there is something that can be done: something falls due and may be leased or held, or a lease ends.
    ///
    /// While no lease is free, what is due has to wait for a report, or for the end of a lease.
    #[must_use]
    pub fn next_wake(&self, policy: &Policy) -> Option<Timestamp> {
        if self.is_enabled() && !self.has_free_lease(policy) {
            self.queue.next_lease_end()
        } else {
            self.queue.next_wake()
        }
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
        let change = record.delivery.report(now, policy, report);
        if change != Change::None {
            attempt::record(&mut record.attempts, attempt);
            // Pings and tests say nothing about the endpoint, and neither does an attempt that was made under older
            // settings, whose URL may differ.
            let is_present = revision >= self.settings.revision || Mutant::OldGoneDisables.is_on();
            if record.delivery.kind() == Kind::Event && is_present {
                let (outcome, status) = (report.outcome, report.response_status);
                self.width.attempt_ended(outcome, status, policy.max_leases);
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
            Change::Delivered => self.standing.attempt_succeeded(),
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

/// Shares at most `leases` leases among webhooks, given how many new deliveries each one has: one each in turn, until
/// none is left. Spare leases go to deliveries that others post at the same moment.
#[must_use]
pub fn share_leases(leases: usize, deliveries: &[usize]) -> Vec<usize> {
    let mut shares = vec![0_usize; deliveries.len()];
    let mut left = leases;
    let mut all_have_enough = false;
    while left > 0 && !deliveries.is_empty() {
        let before = left;
        for (share, wanted) in shares.iter_mut().zip(deliveries) {
            if left > 0 && (all_have_enough || *share < *wanted) {
                *share = share.saturating_add(1);
                left = left.saturating_sub(1);
            }
        }
        all_have_enough = left == before;
    }
    shares
}

/// How many of the next commands a Worker sends at a time, given their lengths in bytes: all that fit, and at least one.
#[must_use]
pub fn send_together(lengths: impl IntoIterator<Item = usize>) -> usize {
    let mut total = 0_usize;
    let fit = lengths.into_iter().take_while(|length| {
        total = total.saturating_add(*length);
        total <= SENT_AT_A_TIME
    });
    fit.count().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        event::EVENT_LIMIT,
        ids::{DeliveryId, WebhookId},
        sealed::{EncryptionKeys, Field},
    };

    #[test]
    fn a_backlog_is_full_at_its_number_of_deliveries_and_above_its_bytes() {
        let mut dispatch = dispatch();
        let waiting = Delivery::due(Kind::Event, at(0));
        let bytes = BACKLOG_BYTES_LIMIT - 10;
        dispatch.queue.place(&id(1), &waiting, bytes);
        let policy = Policy {
            max_backlog: 2,
            ..policy()
        };
        let accept = |dispatch: &Dispatch, kind, bytes| {
            let accepted = dispatch.accept(kind, bytes, at(0), &policy);
            accepted.is_ok()
        };
        assert!(accept(&dispatch, Kind::Event, 10));
        assert!(!accept(&dispatch, Kind::Event, 11));
        assert!(accept(&dispatch, Kind::Ping, 11));
        dispatch.queue.place(&id(2), &waiting, 0);
        assert!(!accept(&dispatch, Kind::Event, 0));
        assert!(accept(&dispatch, Kind::Test, 0));
    }

    #[test]
    fn no_event_is_leased_while_another_payload_might_not_fit_into_memory() {
        for (bytes, has_room) in [
            (LEASED_BYTES - LARGEST_PAYLOAD, true),
            (LEASED_BYTES - LARGEST_PAYLOAD + 1, false),
        ] {
            let mut dispatch = dispatch();
            dispatch.queue.place(&id(1), &leased(0), bytes);
            assert_eq!(dispatch.has_free_lease(&policy()), has_room, "{bytes}");
            let mut event = Delivery::due(Kind::Event, at(0));
            let lease = dispatch.lease(&mut event, at(0), &policy());
            assert_eq!(lease.is_some(), has_room);
        }
    }

    #[test]
    fn a_ping_is_leased_even_if_no_lease_is_free() {
        let mut dispatch = dispatch();
        let policy = narrow();
        dispatch.queue.place(&id(1), &leased(0), 1);
        assert!(!dispatch.has_free_lease(&policy));
        for (kind, is_leased) in [(Kind::Event, false), (Kind::Ping, true), (Kind::Test, true)] {
            let mut delivery = Delivery::due(kind, at(0));
            let first = dispatch.lease_first(&mut delivery, at(0), &policy);
            assert_eq!(first.is_some(), is_leased, "{kind:?}");
            let mut delivery = Delivery::due(kind, at(0));
            let lease = dispatch.lease(&mut delivery, at(0), &policy);
            assert_eq!(lease.is_some(), is_leased, "{kind:?}");
        }
    }

    #[test]
    fn with_every_lease_out_only_the_end_of_one_is_waited_for_unless_the_webhook_is_disabled() {
        let mut dispatch = dispatch();
        let policy = narrow();
        let waiting = Delivery::due(Kind::Event, at(1));
        dispatch.queue.place(&id(1), &waiting, 1);
        assert_eq!(dispatch.next_wake(&policy), Some(at(1)));
        dispatch.queue.place(&id(2), &leased(0), 1);
        assert_eq!(dispatch.next_wake(&policy), Some(at(15)));
        dispatch.settings.enabled = false;
        assert_eq!(dispatch.next_wake(&policy), Some(at(1)), "to be held");
    }

    #[test]
    fn a_webhook_is_quiet_with_two_attempts_under_way_and_busy_with_sixteen() {
        let mut dispatch = dispatch();
        for (leases, is_quiet, is_busy) in [
            (2, true, false),
            (3, false, false),
            (15, false, false),
            (16, false, true),
        ] {
            for number in 1..=leases {
                dispatch.queue.place(&id(number), &leased(0), 1);
            }
            assert_eq!(dispatch.is_quiet(), is_quiet, "{leases}");
            assert_eq!(dispatch.is_busy(), is_busy, "{leases}");
        }
    }

    #[test]
    fn small_commands_are_sent_together_and_large_ones_one_at_a_time() {
        assert_eq!(send_together([1000; 50]), 50);
        assert_eq!(send_together([SENT_AT_A_TIME / 16; 50]), 16);
        assert_eq!(send_together([SENT_AT_A_TIME, 1]), 1);
        assert_eq!(send_together([SENT_AT_A_TIME + 1; 2]), 1);
    }

    #[test]
    fn the_largest_payload_is_that_of_the_largest_event() {
        let limit = u64::try_from(EVENT_LIMIT).unwrap();
        assert!((limit..limit + 2048).contains(&LARGEST_PAYLOAD));
    }

    #[test]
    fn a_workers_leases_are_shared_one_each_in_turn() {
        assert_eq!(share_leases(WORKER_LEASES, &[100]), [6]);
        assert_eq!(
            share_leases(WORKER_LEASES, &[1; 8]),
            [1, 1, 1, 1, 1, 1, 0, 0]
        );
        assert_eq!(share_leases(WORKER_LEASES, &[100, 1, 100]), [3, 1, 2]);
        assert!(share_leases(WORKER_LEASES, &[]).is_empty());
    }

    #[test]
    fn what_a_webhook_does_not_need_itself_is_shared_too() {
        assert_eq!(share_leases(WORKER_LEASES, &[1]), [6]);
        assert_eq!(share_leases(WORKER_LEASES, &[1, 1, 1, 1]), [2, 2, 1, 1]);
        assert_eq!(share_leases(WORKER_LEASES, &[0, 3]), [2, 4]);
    }

    fn dispatch() -> Dispatch {
        let webhook = WebhookId::mint(at(0), [1; 10]);
        let keys = EncryptionKeys::default();
        let secret = keys.seal("whsec_AA==", &webhook, Field::Secret, [0; 12]);
        Dispatch {
            settings: Settings {
                revision: 1,
                status_revision: 1,
                status_changed_at: at(0),
                enabled: true,
                url: "https://hooks.example.com/".into(),
                events: Vec::new(),
                headers: Vec::new(),
                secret: secret.unwrap(),
                previous_secret: None,
                keys_revision: 0,
            },
            standing: Standing::default(),
            queue: Queue::default(),
            width: Width::begin(false),
        }
    }

    fn leased(seconds: i64) -> Delivery {
        let mut delivery = Delivery::due(Kind::Event, at(seconds));
        delivery.lease(at(seconds), &policy()).unwrap();
        delivery
    }

    fn policy() -> Policy {
        Policy::parse(|_| None).unwrap()
    }

    fn narrow() -> Policy {
        Policy {
            max_leases: 1,
            ..policy()
        }
    }

    fn id(number: u8) -> DeliveryId {
        DeliveryId::mint(at(0), [number; 10])
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }
}
