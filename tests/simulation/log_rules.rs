//! What must be true of the record of a delivery, at any time: it tells what the endpoint saw, and its state follows from
//! that.

use std::time::Duration;

use webhook_relay::domain::{
    attempt::Attempt,
    delivery::{FailedReason, State},
    dispatch::LEASED_AHEAD,
    outcome::Outcome,
    record::DeliveryRecord,
    timestamp::Timestamp,
};

use crate::{
    deliveries::{Known, Lease},
    lease_rules::ON_TIME,
    world::World,
};

/// Leases of an attempt that are lost before the attempt is.
const LEASES_LOST: u32 = 3;

impl World {
    /// Checks what an object says of a delivery.
    pub(crate) fn check_record(&self, object: usize, record: &DeliveryRecord) {
        let id = &record.id;
        let known = self.ledger.deliveries.get(id);
        let known = known.unwrap_or_else(|| panic!("nobody posted {id}"));
        assert_eq!(known.object, object, "{id} is of another webhook");
        assert_eq!(known.event_id, record.event_id, "{id} is of another event");
        if self.has_jumped(object) {
            return;
        }
        let leeway = self.ledger.leeway;
        for attempt in &record.attempts {
            if attempt.outcome == Outcome::Lost {
                let had_trouble = self.ledger.webhooks[object].had_trouble;
                check_lost(known, record, attempt, had_trouble, leeway);
            } else {
                check_was_made(known, record, attempt);
            }
        }
        check_all_are_recorded(known, record, leeway);
        check_numbers(known, record);
        self.check_state(object, known, record);
    }

    fn check_state(&self, object: usize, known: &Known, record: &DeliveryRecord) {
        let id = &record.id;
        let last = record.attempts.last();
        let is_alone = known.is_left_alone();
        let is_stored = |lease: &Lease| lease.has_succeeded() && lease.stored_at.is_some();
        if is_alone && known.leases.values().any(is_stored) {
            let is_delivered = matches!(record.delivery.state(), State::Delivered { .. });
            assert!(is_delivered, "{id} was accepted, but is not delivered");
        }
        match record.delivery.state() {
            State::Delivered { .. } => assert!(
                last.is_some_and(|last| last.outcome.is_success()),
                "{id} is delivered, but was never accepted"
            ),
            State::Failed { reason, .. } => check_reason(known, record, reason),
            State::Held => {
                let was_closed = self.ledger.webhooks[object].was_closed;
                assert!(
                    was_closed,
                    "{id} is held by a webhook that was never disabled"
                );
            }
            State::Scheduled { due } => {
                let due = self.by_world(object, due);
                let leeway = self.ledger.leeway;
                let next = record.delivery.attempts() + 1;
                let is_first_lease = known.leases_of(next).next().is_none();
                let expected = known.due(next).filter(|_| is_alone && is_first_lease);
                if let Some(expected) = expected.filter(|_| record.delivery.lost_leases() == 0) {
                    assert!(
                        due.saturating_add(leeway) >= expected.earliest,
                        "attempt {next} of {id} is to be early"
                    );
                    let had_trouble = self.ledger.webhooks[object].had_trouble;
                    let noticed = self.noticed_lost(object, known, next);
                    let latest = expected.latest.max(noticed);
                    assert!(
                        due <= latest.saturating_add(ON_TIME + leeway) || had_trouble,
                        "attempt {next} of {id} is to be late"
                    );
                }
            }
            State::Leased { until } => {
                let longest = self.now.saturating_add(self.policy.lease_length());
                let longest = longest.saturating_add(LEASED_AHEAD);
                let until = self.by_world(object, until);
                assert!(
                    until <= longest.saturating_add(self.ledger.leeway),
                    "a lease of {id} does not end"
                );
            }
        }
    }
}

fn check_reason(known: &Known, record: &DeliveryRecord, reason: FailedReason) {
    let id = &record.id;
    let attempts = record.attempts.len();
    let last = record.attempts.last();
    match reason {
        FailedReason::ScheduleSpent => {
            let all = known.schedule.delays().len() + 1;
            let is_resent = !known.resends.is_empty();
            let is_spent = attempts == all || is_resent;
            assert!(is_spent, "{id} failed after {attempts} attempts");
            let has_failed = last.is_some_and(|last| !last.outcome.is_success());
            assert!(has_failed, "{id} failed, but its last attempt succeeded");
        }
        FailedReason::Gone => {
            let status = last.and_then(|last| last.response_status);
            assert_eq!(status, Some(410), "{id} failed without a 410");
        }
        FailedReason::Cancelled => {
            assert!(!known.cancels.is_empty(), "nobody cancelled {id}");
        }
        FailedReason::SingleAttempt => panic!("{id} had a single attempt"),
    }
}

/// An attempt in the log is one that the endpoint saw, and its report came while its lease was the last.
fn check_was_made(known: &Known, record: &DeliveryRecord, attempt: &Attempt) {
    let (id, number) = (&record.id, attempt.attempt);
    let made = known.leases_of(number).find(|(_, lease)| {
        let reached = lease.reached;
        reached.is_some_and(|reached| reached.at == attempt.started_at)
    });
    let Some((name, lease)) = made else {
        panic!("attempt {number} of {id} is recorded, and was not made");
    };
    let reached = lease.reached.expect("it was found by that");
    let recorded = (attempt.outcome, attempt.response_status);
    assert_eq!(
        recorded,
        (reached.outcome, reached.status),
        "attempt {number} of {id} is recorded with another outcome"
    );
    let is_last_at = |at: &Timestamp| {
        let mut later = known.leases.range(name + 1..);
        !later.any(|(_, later)| {
            // The report itself may have made the next attempt due: a bulk resend takes what it ends.
            let is_before = later.granted_at < *at;
            let is_again = later.attempt == number && later.granted_at == *at;
            (is_before || is_again) && !later.is_refused
        })
    };
    assert!(
        attempt.outcome.is_success() || lease.arrivals.iter().any(is_last_at),
        "attempt {number} of {id} is recorded, though its report came too late"
    );
    let same = record.attempts.iter();
    let same = same.filter(|one| one.started_at == attempt.started_at);
    assert_eq!(
        same.count(),
        1,
        "attempt {number} of {id} is recorded twice"
    );
}

/// An attempt counts as lost only after three lost leases. One that was refused is lost too if the object was reset before
/// it knew.
fn check_lost(
    known: &Known,
    record: &DeliveryRecord,
    attempt: &Attempt,
    had_trouble: bool,
    leeway: Duration,
) {
    let (id, number) = (&record.id, attempt.attempt);
    let stored = known.leases_of(number).find(|(_, lease)| {
        lease.is_stored_in_time(leeway) && !known.is_touched_since(lease.granted_since)
    });
    assert!(
        stored.is_none(),
        "attempt {number} of {id} counts as lost, though its report was stored"
    );
    let before = known
        .leases
        .iter()
        .filter(|(_, lease)| lease.attempt < number);
    let before = before.map(|(name, _)| *name).max().unwrap_or(0);
    let after = known
        .leases
        .iter()
        .filter(|(_, lease)| lease.attempt > number);
    let Some(after) = after.map(|(name, _)| *name).min() else {
        return;
    };
    let refused = known
        .leases_of(number)
        .filter(|(_, lease)| lease.is_refused && !had_trouble);
    let lost =
        (after - before - 1).saturating_sub(u32::try_from(refused.count()).expect("it is small"));
    assert!(
        lost >= LEASES_LOST,
        "attempt {number} of {id} counts as lost after {lost} leases"
    );
}

/// What the object said to have stored is in the log, if its lease was out.
fn check_all_are_recorded(known: &Known, record: &DeliveryRecord, leeway: Duration) {
    for (name, lease) in &known.leases {
        let Some((reached, stored)) = lease.reached.zip(lease.stored_at) else {
            continue;
        };
        let is_in_time = lease.is_stored_in_time(leeway)
            && known
                .leases
                .range(name + 1..)
                .all(|(_, later)| later.granted_at > stored);
        let settled = known
            .leases
            .iter()
            .any(|(other, lease)| other != name && lease.has_succeeded());
        if !is_in_time || settled || known.is_touched_since(lease.granted_since) {
            continue;
        }
        let mut recorded = record.attempts.iter();
        assert!(
            recorded.any(|attempt| attempt.attempt == lease.attempt && attempt.started_at == reached.at),
            "attempt {} of {} was reported, and is not recorded",
            lease.attempt,
            record.id
        );
    }
}

/// Attempts are counted from 1. One is there twice if it was made under two leases: the first was lost, failed to be
/// reported in time, and still succeeded.
fn check_numbers(known: &Known, record: &DeliveryRecord) {
    let is_lost = |attempt: &Attempt| attempt.outcome == Outcome::Lost;
    if record.attempts.iter().any(is_lost) || !known.cancels.is_empty() {
        return;
    }
    let numbers = record.attempts.iter().map(|attempt| attempt.attempt);
    let mut numbers: Vec<_> = numbers.collect();
    let is_repeated = |two: &[u32]| two[0] == two[1] && known.leases_of(two[0]).count() > 1;
    if numbers.windows(2).any(is_repeated) {
        numbers.dedup();
    }
    let expected = 1..=record.delivery.attempts();
    assert!(
        numbers.into_iter().eq(expected),
        "the attempts of {} are not counted from 1: {:?}",
        record.id,
        record.attempts
    );
}
