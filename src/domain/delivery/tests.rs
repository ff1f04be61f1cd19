//! The promises of the state machine, on a virtual clock.

use std::time::Duration;

use super::*;
use crate::domain::outcome::Outcome;

#[test]
fn the_stored_form_is_pinned() {
    let mut delivery = Delivery::due(Kind::Event, at(5));
    let scheduled = r#"{"kind":"event","state":{"scheduled":{"due":5000}},"attempts":0,"schedule_start":0,"leases":0,"lost":0}"#;
    assert_stored(&delivery, scheduled);
    delivery.lease(at(5), &policy());
    let leased = r#"{"kind":"event","state":{"leased":{"until":20000}},"attempts":0,"schedule_start":0,"leases":1,"lost":0}"#;
    assert_stored(&delivery, leased);
    delivery.cancel(at(6)).unwrap();
    let failed = r#"{"kind":"event","state":{"failed":{"at":6000,"reason":"cancelled"}},"attempts":0,"schedule_start":0,"leases":1,"lost":0}"#;
    assert_stored(&delivery, failed);
    assert_stored(
        &Delivery::held(),
        r#"{"kind":"event","state":"held","attempts":0,"schedule_start":0,"leases":0,"lost":0}"#,
    );
}

#[test]
fn a_late_report_does_not_settle_the_next_attempt() {
    let (mut delivery, first) = leased();
    assert_eq!(delivery.lease_ended(at(15), &policy()), Change::DueAgain);
    let second = delivery.lease(at(15), &policy()).unwrap();
    assert_eq!(
        (second.attempt, second.lease),
        (first.attempt, first.lease + 1)
    );
    assert_eq!(
        delivery.report(at(16), &policy(), &failure(first, 500)),
        Change::None
    );
    assert_eq!(
        delivery.report(at(17), &policy(), &failure(second, 500)),
        Change::Rescheduled
    );
    assert_eq!(delivery.next_wake(), Some(at(17 + 60)));
}

#[test]
fn a_late_success_settles_what_is_not_settled_yet() {
    let (mut delivery, first) = leased();
    delivery.lease_ended(at(15), &policy());
    assert_eq!(
        delivery.report(at(16), &policy(), &success(first)),
        Change::Delivered
    );
    assert_eq!(delivery.attempts(), 1);
}

#[test]
fn a_success_from_before_a_resend_does_not_settle_the_resend() {
    let (mut delivery, before) = leased();
    delivery.cancel(at(1)).unwrap();
    delivery.resend(at(2), None).unwrap();
    assert_eq!(
        delivery.report(at(3), &policy(), &success(before)),
        Change::None
    );
    let resent = delivery.lease(at(4), &policy()).unwrap();
    assert_eq!(
        delivery.report(at(5), &policy(), &success(before)),
        Change::None
    );
    assert_eq!(
        delivery.report(at(6), &policy(), &success(resent)),
        Change::Delivered
    );
}

#[test]
fn a_late_success_settles_what_failed_because_its_last_attempt_was_lost() {
    let mut delivery = Delivery::due(Kind::Ping, at(0));
    let lease = delivery.lease(at(0), &policy()).unwrap();
    assert_eq!(
        delivery.lease_ended(at(15), &policy()),
        Change::Failed(FailedReason::SingleAttempt)
    );
    let stored = r#"{"kind":"ping","state":{"failed":{"at":15000,"reason":"single_attempt"}},"attempts":1,"schedule_start":0,"leases":1,"lost":0,"last_lost":true}"#;
    assert_stored(&delivery, stored);
    assert_eq!(
        delivery.report(at(16), &policy(), &success(lease)),
        Change::Delivered
    );
}

#[test]
fn a_late_success_does_not_revive_a_spent_delivery() {
    let (mut delivery, lease) = leased();
    delivery.report(at(1), &policy(), &failure(lease, 410));
    assert_eq!(
        delivery.report(at(2), &policy(), &success(lease)),
        Change::None
    );
    assert_eq!(delivery.status(), Status::Failed);
}

#[test]
fn a_late_410_changes_nothing() {
    let (mut delivery, first) = leased();
    delivery.lease_ended(at(15), &policy());
    assert_eq!(
        delivery.report(at(16), &policy(), &failure(first, GONE)),
        Change::None
    );
    assert_eq!(delivery.status(), Status::Pending);
}

#[test]
fn a_lease_does_not_end_before_its_time() {
    let (mut delivery, _) = leased();
    assert_eq!(delivery.lease_ended(at(14), &policy()), Change::None);
    assert_eq!(delivery.next_wake(), Some(at(15)));
}

#[test]
fn two_lost_leases_cost_no_step_and_the_third_counts_as_a_failed_attempt() {
    let mut delivery = Delivery::due(Kind::Event, at(0));
    for (now, change) in [
        (15, Change::DueAgain),
        (30, Change::DueAgain),
        (45, Change::Rescheduled),
    ] {
        assert_eq!(delivery.lease(at(now - 15), &policy()).unwrap().attempt, 1);
        assert_eq!(delivery.lease_ended(at(now), &policy()), change);
    }
    assert_eq!(
        (delivery.attempts(), delivery.next_wake()),
        (1, Some(at(45 + 60)))
    );
    assert_eq!(delivery.lost_leases(), 0);
}

#[test]
fn a_withdrawn_lease_is_due_again_at_once_and_not_lost() {
    let (mut delivery, first) = leased();
    assert!(delivery.withdraw(first, at(1)));
    assert_eq!(
        (delivery.next_wake(), delivery.lost_leases()),
        (Some(at(1)), 0)
    );
    let second = delivery.lease(at(2), &policy()).unwrap();
    assert_eq!((second.attempt, second.lease), (1, 2));
}

#[test]
fn only_the_lease_that_is_out_is_withdrawn() {
    let (mut delivery, first) = leased();
    assert!(delivery.withdraw(first, at(1)));
    assert!(!delivery.withdraw(first, at(2)), "it is out no more");
    delivery.lease(at(3), &policy());
    assert!(!delivery.withdraw(first, at(4)), "another lease is out");
    assert_eq!(delivery.next_wake(), Some(at(3 + 15)));
}

#[test]
fn of_a_withdrawn_lease_only_a_success_is_believed() {
    let (mut delivery, first) = leased();
    delivery.withdraw(first, at(1));
    delivery.lease(at(2), &policy());
    assert_eq!(
        delivery.report(at(3), &policy(), &failure(first, 500)),
        Change::None
    );
    let success = Report {
        outcome: Outcome::Succeeded,
        ..failure(first, 200)
    };
    assert_eq!(
        delivery.report(at(4), &policy(), &success),
        Change::Delivered
    );
}

#[test]
fn gone_ends_a_delivery_at_once() {
    let (mut delivery, lease) = leased();
    assert_eq!(
        delivery.report(at(1), &policy(), &failure(lease, GONE)),
        Change::Failed(FailedReason::Gone)
    );
    assert_eq!(delivery.next_wake(), None);
}

#[test]
fn retry_after_lengthens_a_delay_on_429_and_503_alone_and_to_the_longest_step_at_most() {
    let due_after = |status, seconds| {
        let (mut delivery, lease) = leased();
        let retry_after = Some(Duration::from_secs(seconds));
        delivery.report(
            at(0),
            &policy(),
            &Report {
                retry_after,
                ..failure(lease, status)
            },
        );
        delivery.next_wake().unwrap()
    };
    assert_eq!(due_after(429, 90), at(90));
    assert_eq!(due_after(503, 90), at(90));
    assert_eq!(due_after(500, 90), at(60));
    assert_eq!(due_after(429, 5), at(60));
    assert_eq!(due_after(429, 1_000_000), at(8 * 3600));
}

#[test]
fn a_ping_has_one_attempt_whatever_comes_of_it() {
    for kind in [Kind::Ping, Kind::Test] {
        let mut delivery = Delivery::due(kind, at(0));
        let lease = delivery.lease(at(0), &policy()).unwrap();
        let change = delivery.report(at(1), &policy(), &failure(lease, GONE));
        assert_eq!(change, Change::Failed(FailedReason::SingleAttempt));
        assert_eq!(delivery.resend(at(2), None), Err(Refusal::NotResendable));

        let mut lost = Delivery::due(kind, at(0));
        lost.lease(at(0), &policy());
        assert_eq!(
            lost.lease_ended(at(15), &policy()),
            Change::Failed(FailedReason::SingleAttempt)
        );
    }
}

#[test]
fn a_resend_restarts_the_schedule_and_attempt_numbers_go_on() {
    let (mut delivery, lease) = leased();
    delivery.report(at(1), &policy(), &success(lease));
    delivery.resend(at(100), None).unwrap();
    assert_eq!(delivery.resend(at(100), None), Err(Refusal::AlreadyPending));
    for number in 2..=7 {
        let lease = delivery.lease(at(100), &policy()).unwrap();
        assert_eq!(lease.attempt, number);
        let last = number == 7;
        let expected = if last {
            Change::Failed(FailedReason::ScheduleSpent)
        } else {
            Change::Rescheduled
        };
        assert_eq!(
            delivery.report(at(100), &policy(), &failure(lease, 500)),
            expected
        );
    }
}

#[test]
fn a_cancelled_delivery_is_delivered_when_the_attempt_in_flight_succeeds() {
    let (mut delivery, lease) = leased();
    delivery.cancel(at(1)).unwrap();
    assert_eq!(delivery.cancel(at(1)), Err(Refusal::AlreadySettled));
    assert_eq!(
        delivery.report(at(2), &policy(), &failure(lease, 500)),
        Change::None
    );
    assert_eq!(
        delivery.report(at(2), &policy(), &success(lease)),
        Change::Delivered
    );
}

#[test]
fn only_a_scheduled_delivery_is_held_and_only_a_resend_frees_it() {
    let mut delivery = Delivery::due(Kind::Event, at(0));
    assert!(delivery.hold());
    assert_eq!(
        (delivery.status(), delivery.next_wake()),
        (Status::Held, None)
    );
    assert_eq!(delivery.lease(at(1), &policy()), None);
    delivery.resend(at(2), None).unwrap();
    assert_eq!(delivery.lease(at(2), &policy()).unwrap().attempt, 1);
    assert!(!delivery.hold(), "a lease in flight is finished");
}

fn assert_stored(delivery: &Delivery, stored: &str) {
    assert_eq!(serde_json::to_string(delivery).unwrap(), stored);
    assert_eq!(&serde_json::from_str::<Delivery>(stored).unwrap(), delivery);
}

fn leased() -> (Delivery, Lease) {
    let mut delivery = Delivery::due(Kind::Event, at(0));
    let lease = delivery.lease(at(0), &policy()).unwrap();
    (delivery, lease)
}

fn success(lease: Lease) -> Report {
    Report {
        lease,
        outcome: Outcome::Succeeded,
        response_status: Some(200),
        retry_after: None,
    }
}

fn failure(lease: Lease, status: u16) -> Report {
    Report {
        lease,
        outcome: Outcome::HttpError,
        response_status: Some(status),
        retry_after: None,
    }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(seconds * 1000)
}

fn policy() -> Policy {
    Policy::parse(|_| None).unwrap()
}
