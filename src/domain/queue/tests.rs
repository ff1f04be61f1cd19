//! Tests of the queue.

use super::*;
use crate::domain::{delivery::Kind, outcome::Outcome, policy::Policy};

/// When something is due that may be leased, or a lease ends.
fn next_wake(queue: &Queue) -> Option<Timestamp> {
    let times = [queue.next_due(), queue.next_lease_end()];
    times.into_iter().flatten().min()
}

#[test]
fn first_attempts_go_before_retries_but_every_third_slot_goes_to_the_most_overdue_retry() {
    let mut queue = Queue::default();
    for number in 0..6 {
        queue.place(
            &id(number),
            &Delivery::due(Kind::Event, at(i64::from(number))),
            10,
        );
        queue.place(&id(100 + number), &retry_due_at(60 + i64::from(number)), 10);
    }
    let taken: Vec<_> = std::iter::from_fn(|| {
        let (id, company) = queue.next(at(1000))?;
        assert_eq!(company, Company::Unsuspected);
        lease(&mut queue, &id);
        Some(id)
    })
    .collect();
    let expected = [0, 1, 100, 2, 3, 101, 4, 5, 102, 103, 104, 105].map(id);
    assert_eq!(taken, expected);
}

#[test]
fn a_retry_has_its_turn_after_two_first_attempts_whoever_leased_them() {
    let mut queue = Queue::default();
    queue.place(&id(100), &retry_due_at(60), 10);
    for number in 0..2 {
        assert!(!queue.owes_retry(at(100)));
        // As a Worker leases what it has just posted.
        let mut accepted = Delivery::due(Kind::Event, at(100));
        accepted.lease(at(100), &policy());
        queue.place(&id(number), &accepted, 10);
    }
    assert!(!queue.owes_retry(at(59)), "it is not due");
    assert!(queue.owes_retry(at(100)));
    queue.place(&id(3), &Delivery::due(Kind::Event, at(50)), 10);
    assert_eq!(queue.next(at(100)), Some((id(100), Company::Unsuspected)));
    assert_eq!(
        queue.next(at(100)),
        Some((id(100), Company::Unsuspected)),
        "what was seen but not leased keeps its turn"
    );
    lease(&mut queue, &id(100));
    queue.place(&id(101), &retry_due_at(60), 10);
    assert_eq!(queue.next(at(100)), Some((id(3), Company::Unsuspected)));
}

#[test]
fn pings_and_tests_take_no_turns() {
    let mut queue = Queue::default();
    queue.place(&id(100), &retry_due_at(60), 10);
    for (number, kind) in [Kind::Ping, Kind::Test, Kind::Test].into_iter().enumerate() {
        let mut probe = Delivery::due(kind, at(100));
        probe.lease(at(100), &policy());
        queue.place(&id(number.try_into().unwrap()), &probe, 10);
    }
    assert!(!queue.owes_retry(at(100)));
}

#[test]
fn nothing_is_taken_before_it_is_due() {
    let mut queue = Queue::default();
    queue.place(&id(1), &Delivery::due(Kind::Event, at(10)), 1);
    assert_eq!((queue.next(at(9)), next_wake(&queue)), (None, Some(at(10))));
    assert_eq!(queue.next(at(10)), Some((id(1), Company::Unsuspected)));
}

#[test]
fn what_lost_its_lease_is_taken_after_all_others_and_the_most_often_lost_last() {
    let mut queue = Queue::default();
    queue.place(&id(1), &lost(2, at(160)), 1);
    queue.place(&id(2), &lost(1, at(165)), 1);
    queue.place(&id(3), &Delivery::due(Kind::Event, at(190)), 1);
    for expected in [
        (id(3), Company::Unsuspected),
        (id(2), Company::Suspects),
        (id(1), Company::Alone),
    ] {
        let (id, company) = queue.next(at(200)).unwrap();
        queue.remove(&id);
        assert_eq!((id, company), expected);
    }
}

#[test]
fn of_those_that_lost_two_leases_one_is_under_way_at_a_time() {
    let mut queue = Queue::default();
    let mut under_way = lost(2, at(100));
    queue.place(&id(1), &lost(2, at(101)), 1);
    under_way.lease(at(130), &policy());
    queue.place(&id(2), &under_way, 1);
    assert_eq!(
        (queue.next(at(140)), next_wake(&queue)),
        (None, Some(at(145))),
        "its lease is waited for, not the other's due time"
    );
    queue.remove(&id(2));
    assert_eq!(queue.next(at(140)), Some((id(1), Company::Alone)));
}

#[test]
fn what_lost_its_lease_does_not_wait_for_ever() {
    let mut queue = Queue::default();
    queue.place(&id(1), &lost(1, at(0)), 1);
    queue.place(&id(2), &Delivery::due(Kind::Event, at(0)), 1);
    let (before, after) = (at(15 + 59), at(15 + 60));
    assert_eq!(queue.next(before), Some((id(2), Company::Unsuspected)));
    assert_eq!(queue.next(after), Some((id(1), Company::Suspects)));
    assert_eq!(queue.next_to_go_on_with(before), Some(id(2)));
    assert_eq!(
        queue.next_to_go_on_with(after),
        None,
        "a sender that goes on gives it room"
    );
}

#[test]
fn bytes_under_way_are_counted_until_the_lease_ends() {
    let mut queue = Queue::default();
    let mut delivery = Delivery::due(Kind::Event, at(0));
    delivery.lease(at(0), &policy());
    queue.place(&id(1), &delivery, 10);
    queue.place(&id(2), &Delivery::due(Kind::Event, at(0)), 5);
    assert_eq!((queue.leased_bytes(), queue.bytes()), (10, 15));
    delivery.lease_ended(at(15), &policy());
    queue.place(&id(1), &delivery, 10);
    assert_eq!((queue.leased_bytes(), queue.bytes()), (0, 15));
}

#[test]
fn an_ended_lease_is_found_and_counts_until_then() {
    let mut queue = Queue::default();
    let mut delivery = Delivery::due(Kind::Event, at(0));
    delivery.lease(at(0), &policy());
    queue.place(&id(1), &delivery, 1);
    assert_eq!((queue.leases(), queue.ended_lease(at(14))), (1, None));
    assert_eq!(queue.ended_lease(at(15)), Some(id(1)));
    assert_eq!(queue.next(at(15)), None);
}

#[test]
fn held_deliveries_are_counted_but_never_wake() {
    let mut queue = Queue::default();
    queue.place(&id(1), &Delivery::held(), 7);
    assert_eq!(
        (queue.len(), queue.bytes(), next_wake(&queue)),
        (1, 7, None)
    );
    assert_eq!((queue.next(at(1)), queue.any_due(at(1))), (None, None));
}

#[test]
fn placing_a_delivery_again_moves_it() {
    let mut queue = Queue::default();
    queue.place(&id(1), &Delivery::due(Kind::Event, at(1)), 5);
    queue.place(&id(1), &Delivery::held(), 5);
    assert_eq!(
        (queue.len(), queue.bytes(), next_wake(&queue)),
        (1, 5, None)
    );
    let mut settled = Delivery::held();
    settled.cancel(at(2)).unwrap();
    queue.place(&id(1), &settled, 5);
    assert!(queue.is_empty());
}

fn lease(queue: &mut Queue, id: &DeliveryId) {
    let mut delivery = if queue.retries.iter().any(|(_, one)| *one == id.into()) {
        retry_due_at(60)
    } else {
        Delivery::due(Kind::Event, at(0))
    };
    delivery.lease(at(1000), &policy()).unwrap();
    queue.place(id, &delivery, 10);
}

fn retry_due_at(seconds: i64) -> Delivery {
    let mut delivery = Delivery::due(Kind::Event, at(0));
    let lease = delivery.lease(at(0), &policy()).unwrap();
    let report = crate::domain::delivery::Report {
        lease,
        outcome: Outcome::HttpError,
        response_status: Some(500),
        retry_after: None,
    };
    delivery.report(at(seconds - 60), &policy(), &report);
    delivery
}

fn lost(times: i64, from: Timestamp) -> Delivery {
    let mut delivery = Delivery::due(Kind::Event, from);
    let mut now = from;
    for _ in 0..times {
        delivery.lease(now, &policy());
        now = now.saturating_add(policy().lease_length());
        delivery.lease_ended(now, &policy());
    }
    delivery
}

fn policy() -> Policy {
    Policy::parse(|_| None).unwrap()
}

fn id(number: u8) -> DeliveryId {
    DeliveryId::mint(at(1), [number; 10])
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(seconds * 1000)
}
