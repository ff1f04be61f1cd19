//! Order, rate, pauses, waits and schedules of a webhook.

use super::*;
use crate::domain::{
    delivery::Lease, ids::EventId, outcome::Outcome, pace::RateLimit, retry::RetrySchedule,
};

#[test]
fn an_ordered_webhook_makes_one_attempt_at_a_time_in_the_order_of_acceptance() {
    let mut dispatch = ordered();
    for number in [3, 1, 2] {
        accept(&mut dispatch, number, at(0));
    }
    for number in [3, 1, 2] {
        let (next, _) = dispatch.queue.next(at(1)).unwrap();
        assert_eq!(next, id(number));
        let leased = lease(&mut dispatch, number, at(1)).unwrap();
        assert!(!dispatch.has_free_lease(at(1), AT_ONCE, &policy()));
        assert_eq!(dispatch.queue.next(at(1)), None);
        assert_eq!(
            dispatch.next_wake(&policy()),
            Some(at(16)),
            "the end of the lease"
        );
        report(&mut dispatch, leased, Outcome::Succeeded, None);
    }
    assert_eq!(dispatch.next_wake(&policy()), None);
}

#[test]
fn what_fails_in_an_ordered_webhook_keeps_the_others_waiting() {
    let mut dispatch = ordered();
    accept(&mut dispatch, 1, at(0));
    accept(&mut dispatch, 2, at(0));
    let leased = lease(&mut dispatch, 1, at(0)).unwrap();
    let failed = report(&mut dispatch, leased, Outcome::HttpError, Some(500));
    assert_eq!(dispatch.queue.next(at(30)), None);
    assert_eq!(dispatch.next_wake(&policy()), failed.delivery.next_wake());
    assert_eq!(dispatch.queue.head(), Some(id(1)));
    let mut new = dispatch.accept(Kind::Event, 1, at(5), &policy()).unwrap();
    assert_eq!(
        dispatch.lease_first(&mut new, at(5), AT_ONCE, &policy()),
        None
    );
}

#[test]
fn an_ordered_webhook_waits_for_the_attempt_of_a_cancelled_delivery() {
    let mut dispatch = ordered();
    accept(&mut dispatch, 1, at(0));
    accept(&mut dispatch, 2, at(0));
    let mut leased = lease(&mut dispatch, 1, at(0)).unwrap();
    assert_eq!(dispatch.cancel(&mut leased, at(1)), Ok(true));
    dispatch.queue.place(&id(1), &leased.delivery, 1);
    assert_eq!(dispatch.next_wake(&policy()), Some(at(15)));
    assert!(!dispatch.has_free_lease(at(14), AT_ONCE, &policy()));
    assert!(dispatch.has_free_lease(at(15), AT_ONCE, &policy()));
    dispatch.forget_stray(&id(1), 2);
    assert!(
        !dispatch.has_free_lease(at(2), AT_ONCE, &policy()),
        "another lease"
    );
    dispatch.forget_stray(&id(1), 1);
    assert!(dispatch.has_free_lease(at(2), AT_ONCE, &policy()));
}

#[test]
fn what_is_resent_or_was_held_joins_an_ordered_webhook_at_the_end() {
    let mut dispatch = ordered();
    let leased = {
        accept(&mut dispatch, 1, at(0));
        lease(&mut dispatch, 1, at(0)).unwrap()
    };
    let mut first = report(&mut dispatch, leased, Outcome::Succeeded, Some(200));
    accept(&mut dispatch, 2, at(1));
    dispatch.resend(&mut first.delivery, at(1)).unwrap();
    dispatch.queue.place(&id(1), &first.delivery, 1);
    let mut held = Delivery::held();
    dispatch.send_now(&mut held, at(1)).unwrap();
    dispatch.queue.place(&id(3), &held, 1);
    for number in [2, 1, 3] {
        assert_eq!(dispatch.queue.head(), Some(id(number)));
        dispatch.queue.remove(&id(number));
    }
}

#[test]
fn turning_order_on_takes_what_is_pending_by_its_time_and_waits_for_what_is_under_way() {
    let mut dispatch = dispatch();
    let later = DeliveryId::mint(at(5), [0; 10]);
    let waiting = Delivery::due(Kind::Event, at(0));
    dispatch.queue.place(&later, &waiting, 1);
    dispatch.queue.place(&id(1), &waiting, 1);
    dispatch.queue.place(&id(2), &leased(0), 1);
    let mut settings = dispatch.settings.clone();
    settings.pace.ordered = true;
    dispatch.apply(&settings, at(1), &policy());
    assert!(!dispatch.has_free_lease(at(1), AT_ONCE, &policy()));
    assert_eq!(dispatch.queue.head(), Some(id(1)));
    dispatch.queue.remove(&id(2));
    assert!(dispatch.has_free_lease(at(1), AT_ONCE, &policy()));
    settings.pace.ordered = false;
    dispatch.apply(&settings, at(1), &policy());
    assert_eq!(dispatch.queue.head(), None);
}

#[test]
fn pings_and_tests_stand_outside_the_order_the_rate_and_a_pause() {
    let mut dispatch = ordered();
    dispatch.settings.paused = true;
    dispatch.bucket = Some(TokenBucket::empty(RateLimit::parse("0.1").unwrap(), at(0)));
    dispatch.queue.place(&id(1), &leased(0), 1);
    let mut test = Delivery::due(Kind::Test, at(0));
    let granted = dispatch
        .lease(&mut test, at(0), AT_ONCE, &policy())
        .unwrap();
    assert_eq!(granted.not_before, at(0));
    let mut event = Delivery::due(Kind::Event, at(0));
    assert_eq!(
        dispatch.lease(&mut event, at(0), LEASED_AHEAD, &policy()),
        None
    );
}

#[test]
fn a_paused_webhook_accepts_and_leases_nothing_and_wakes_for_the_ends_of_leases_alone() {
    let mut dispatch = dispatch();
    dispatch.settings.paused = true;
    accept(&mut dispatch, 1, at(0));
    assert_eq!(dispatch.next_wake(&policy()), None);
    assert!(!dispatch.has_free_lease(at(0), AT_ONCE, &policy()));
    dispatch.queue.place(&id(2), &leased(0), 1);
    assert_eq!(dispatch.next_wake(&policy()), Some(at(15)));
    assert_eq!(
        dispatch.lateness(at(60), &policy()).oldest_due_at,
        Some(at(0))
    );
    dispatch.settings.paused = false;
    assert_eq!(dispatch.next_wake(&policy()), Some(at(0)));
}

#[test]
fn a_rate_limit_leases_ahead_for_who_can_wait_and_wakes_shortly_before_the_next_token() {
    let mut dispatch = dispatch();
    let mut settings = dispatch.settings.clone();
    settings.pace.rate_limit = RateLimit::parse("0.2");
    dispatch.apply(&settings, at(0), &policy());
    for number in 1..=4 {
        accept(&mut dispatch, number, at(0));
    }
    assert!(
        !dispatch.has_free_lease(at(0), AT_ONCE, &policy()),
        "the bucket is empty"
    );
    assert_eq!(dispatch.next_wake(&policy()), Some(at(4)));
    for (number, begins) in [(1, 5), (2, 10)] {
        let mut delivery = Delivery::due(Kind::Event, at(0));
        let granted = dispatch.lease(&mut delivery, at(4), LEASED_AHEAD, &policy());
        assert_eq!(granted.unwrap().not_before, at(begins));
        assert_eq!(
            delivery.next_wake(),
            Some(at(begins + 15)),
            "its lease begins then"
        );
        dispatch.queue.place(&id(number), &delivery, 1);
    }
    assert!(
        !dispatch.has_free_lease(at(4), LEASED_AHEAD, &policy()),
        "more than 10 s ahead"
    );
    assert_eq!(dispatch.next_wake(&policy()), Some(at(14)));
    let under_way = |now| dispatch.lateness(at(now), &policy()).under_way;
    assert_eq!([under_way(4), under_way(5), under_way(10)], [0, 1, 2]);
}

#[test]
fn the_bucket_of_a_new_life_begins_behind_what_was_granted() {
    let mut dispatch = dispatch();
    dispatch.settings.pace.rate_limit = RateLimit::parse("1");
    dispatch.queue.place(&id(1), &leased(8), 1);
    let dispatch = dispatch.begin(at(0), &policy());
    assert_eq!(dispatch.bucket.unwrap().next(at(0)), at(9));
}

#[test]
fn the_bucket_of_a_new_life_begins_behind_the_leases_of_what_was_cancelled_too() {
    let mut dispatch = dispatch();
    dispatch.settings.pace.rate_limit = RateLimit::parse("1");
    let mut cancelled = record(1, leased(8));
    dispatch.cancel(&mut cancelled, at(0)).unwrap();
    let dispatch = dispatch.begin(at(0), &policy());
    assert_eq!(dispatch.bucket.unwrap().next(at(0)), at(9));
}

#[test]
fn a_429_with_retry_after_holds_back_the_whole_webhook_and_a_503_does_not() {
    for (status, waits) in [(429, true), (503, false)] {
        let mut dispatch = dispatch();
        accept(&mut dispatch, 1, at(0));
        accept(&mut dispatch, 2, at(0));
        let leased = lease(&mut dispatch, 1, at(0)).unwrap();
        report(&mut dispatch, leased, Outcome::HttpError, Some(status));
        assert_eq!(
            dispatch.has_free_lease(at(119), AT_ONCE, &policy()),
            !waits,
            "{status}"
        );
        assert!(dispatch.has_free_lease(at(121), AT_ONCE, &policy()));
        let wake = if waits { at(121) } else { at(0) };
        assert_eq!(dispatch.next_wake(&policy()), Some(wake));
        let mut moved = dispatch.settings.clone();
        moved.url = "https://other.example.com/".into();
        dispatch.apply(&moved, at(2), &policy());
        assert_eq!(
            dispatch.standing.waits_until, None,
            "another endpoint did not ask"
        );
    }
}

#[test]
fn a_delivery_keeps_the_schedule_of_its_acceptance_and_a_resend_takes_the_one_in_force() {
    let mut dispatch = dispatch();
    dispatch.settings.pace.retry_schedule = RetrySchedule::parse("2s").ok();
    accept(&mut dispatch, 1, at(0));
    let leased = lease(&mut dispatch, 1, at(0)).unwrap();
    dispatch.settings.pace.retry_schedule = RetrySchedule::parse("7s").ok();
    let mut record = report(&mut dispatch, leased, Outcome::HttpError, Some(500));
    assert_eq!(record.delivery.next_wake(), Some(at(3)));
    record.delivery.cancel(at(2)).unwrap();
    dispatch.resend(&mut record.delivery, at(2)).unwrap();
    assert_eq!(
        record
            .delivery
            .schedule(&policy())
            .texts()
            .collect::<Vec<_>>(),
        ["7s"]
    );
}

/// Accepts an event.
fn accept(dispatch: &mut Dispatch, number: u8, now: Timestamp) {
    let delivery = dispatch.accept(Kind::Event, 1, now, &policy()).unwrap();
    dispatch.queue.place(&id(number), &delivery, 1);
}

/// Leases what is next, which must be the delivery of that number if the webhook is ordered.
fn lease(dispatch: &mut Dispatch, number: u8, now: Timestamp) -> Option<DeliveryRecord> {
    let turn = dispatch.settings.pace.ordered.then_some(u64::from(number));
    let schedule = dispatch.settings.pace.retry_schedule.clone();
    let mut delivery = Delivery::due(Kind::Event, at(0)).paced(schedule, turn);
    dispatch.lease(&mut delivery, now, AT_ONCE, &policy())?;
    dispatch.queue.place(&id(number), &delivery, 1);
    Some(record(number, delivery))
}

/// Reports the attempt of a leased delivery a second after its begin, with a `Retry-After` of two minutes.
fn report(
    dispatch: &mut Dispatch,
    mut record: DeliveryRecord,
    outcome: Outcome,
    response_status: Option<u16>,
) -> DeliveryRecord {
    let report = Report {
        lease: Lease {
            attempt: 1,
            lease: 1,
        },
        outcome,
        response_status,
        retry_after: Some(Duration::from_secs(120)),
    };
    let attempt = Attempt::new(1, at(0), 1, outcome);
    dispatch.take_report(&mut record, &report, attempt, 1, at(1), &policy());
    dispatch.queue.place(&record.id, &record.delivery, 1);
    record
}

fn record(number: u8, delivery: Delivery) -> DeliveryRecord {
    DeliveryRecord {
        id: id(number),
        event_id: EventId::parse(&format!("order-{number}")).unwrap(),
        event_type: "alert.triggered".into(),
        delivery,
        attempts: Vec::new(),
        payload: None,
        request: None,
        waiting_for: None,
    }
}

fn ordered() -> Dispatch {
    let mut dispatch = dispatch();
    let mut settings = dispatch.settings.clone();
    settings.pace.ordered = true;
    dispatch.apply(&settings, at(0), &policy());
    dispatch
}
