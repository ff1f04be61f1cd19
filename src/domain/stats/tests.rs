//! What is counted where, what is folded, and what is counted again.

use std::slice;

use super::*;
use crate::domain::{
    delivery::{FailedReason, Report},
    outcome::Outcome,
    policy::Policy,
};

#[test]
fn the_stored_form_is_pinned() {
    let mut counts = Counts::default();
    counts.count(start_of(3), &id(), &took(1234), Change::Delivered, None);
    counts.count(start_of(3), &id(), &failed(), Change::Rescheduled, None);
    let stored = r#"{"delivered":1,"failed":0,"attempts":2,"failed_attempts":1,"durations":{"9":1,"1200":1}}"#;
    let hour = counts.hour(3, None);
    assert_eq!(serde_json::to_string(&hour).unwrap(), stored);
    assert_eq!(serde_json::from_str::<HourCounts>(stored).unwrap(), hour);
    let earlier = stored.replace(r#""failed_attempts":1,"#, "");
    assert_eq!(serde_json::from_str::<HourCounts>(&earlier).unwrap(), hour);
}

#[test]
fn a_delivery_counts_where_it_ends_and_each_attempt_where_it_ended() {
    let mut counts = Counts::default();
    counts.count(start_of(1), &id(), &took(10), Change::Rescheduled, None);
    counts.count(
        start_of(2),
        &id(),
        &took(10),
        Change::Failed(FailedReason::ScheduleSpent),
        None,
    );
    let hours: Vec<_> = counts.hours().collect();
    assert_eq!(hours, [1, 2]);
    assert_eq!(
        (shown(&counts, 1), shown(&counts, 2)),
        ((1, 0, 0), (1, 0, 1))
    );
}

#[test]
fn a_delivery_that_ends_again_counts_where_it_ended_last() {
    let spent = Change::Failed(FailedReason::ScheduleSpent);
    let ended = |hour, is_delivered| End {
        at: start_of(hour),
        attempt: 1,
        is_delivered,
    };
    let mut counts = Counts::default();
    counts.count(start_of(1), &id(), &failed(), spent, None);
    let folded = counts.hour(1, None);
    counts.fold(start_of(1));
    let before = Some(ended(1, false));
    counts.count(start_of(4), &id(), &took(1), Change::Delivered, before);
    assert_eq!(counts.hours().collect::<Vec<_>>(), [1, 4]);
    let moved = counts.hour(1, Some(folded));
    assert_eq!((moved.attempts, moved.delivered, moved.failed), (1, 0, 0));
    assert_eq!(shown(&counts, 4), (1, 1, 0));
    counts.count(start_of(4), &id(), &failed(), spent, Some(ended(4, true)));
    assert_eq!(shown(&counts, 4), (2, 0, 1));
}

#[test]
fn a_resent_delivery_is_counted_again_from_its_row_where_it_ended_last() {
    let policy = Policy::parse(|_| None).unwrap();
    let mut delivery = ended(Outcome::HttpError, 410);
    let log = [
        failed(),
        Attempt {
            attempt: 2,
            ..failed()
        },
    ];
    let counted = |delivery: &Delivery, log: &[Attempt]| {
        let mut counts = Counts::default();
        counts.recount(&id(), delivery, log);
        shown(&counts, 0)
    };
    assert_eq!(counted(&delivery, &log[..1]), (1, 0, 1));
    delivery.resend(Timestamp::from_millis(5), None).unwrap();
    assert_eq!(
        counted(&delivery, &log[..1]),
        (1, 0, 1),
        "it is still failed"
    );
    delivery.cancel(Timestamp::from_millis(6)).unwrap();
    assert_eq!(counted(&delivery, &log), (2, 0, 1));
    delivery.resend(Timestamp::from_millis(7), None).unwrap();
    let lease = delivery.lease(Timestamp::from_millis(7), &policy).unwrap();
    let report = Report {
        lease,
        outcome: Outcome::Succeeded,
        response_status: Some(200),
        retry_after: None,
    };
    delivery.report(Timestamp::from_millis(8), &policy, &report);
    let delivered = Attempt {
        attempt: 2,
        ..took(1)
    };
    assert_eq!(counted(&delivery, &[failed(), delivered]), (2, 1, 0));
}

#[test]
fn percentiles_are_of_the_attempts() {
    let mut counts = Counts::default();
    for duration in 1..=100 {
        counts.count(start_of(0), &id(), &took(duration), Change::Delivered, None);
    }
    let hour = counts.hour(0, None);
    assert_eq!(
        (hour.percentile(50), hour.percentile(95)),
        (Some(50), Some(95))
    );
    assert_eq!(HourCounts::default().percentile(50), None);
    let mut twice = hour.clone();
    twice.add(&hour);
    assert_eq!((twice.attempts, twice.percentile(95)), (200, Some(95)));
}

#[test]
fn durations_keep_two_digits() {
    assert_eq!(
        [0, 9, 99, 100, 109, 119, 9_999, 10_001].map(round),
        [0, 9, 99, 100, 100, 110, 9_900, 10_000]
    );
}

#[test]
fn counts_are_folded_when_there_are_many_and_when_memory_alone_has_them() {
    let made_at = |seconds: i64| DeliveryId::mint(Timestamp::from_millis(seconds * 1000), [1; 10]);
    let now = Timestamp::from_millis(103_000);
    let mut counts = Counts::since(Timestamp::from_millis(100_000), none());
    let attempt = at(101_000, 1);
    counts.count(now, &made_at(100), &attempt, Change::Delivered, None);
    assert!(counts.should_fold(1) && !counts.should_fold(2) && !counts.has_older());
    counts.count(now, &made_at(99), &attempt, Change::Delivered, None);
    assert!(
        counts.should_fold(9) && counts.has_older(),
        "a restart would not find it again"
    );
    counts.fold(now);
    assert_eq!(counts, Counts::since(now, counts.last()));
    assert_eq!(counts.last().success, Some(attempt.ended_at()), "it stays");
}

#[test]
fn an_attempt_that_ended_by_a_clock_ahead_is_folded_once() {
    let now = Timestamp::from_millis(103_000);
    let attempt = at(103_500, 100);
    let mut counts = Counts::default();
    counts.count(now, &id(), &attempt, Change::Delivered, None);
    let through = counts.fold_through(now);
    counts.fold(through);
    counts.recount(&id(), &cancelled(), slice::from_ref(&attempt));
    let folded = Counts::since(through, counts.last());
    assert_eq!(counts, folded, "it is counted already");
    counts.count(now, &id(), &at(103_400, 100), Change::Delivered, None);
    assert!(counts.has_older(), "a restart would not count it again");
}

#[test]
fn only_the_last_attempt_of_a_delivery_ends_it_when_it_is_counted_again() {
    let (delivered, failed) = (
        ended(Outcome::Succeeded, 200),
        ended(Outcome::HttpError, 410),
    );
    for (delivery, ends) in [(delivered, (1, 0)), (failed, (0, 1))] {
        let mut counts = Counts::default();
        counts.recount(&id(), &delivery, &[took(1), took(2)]);
        let hour = counts.hour(0, None);
        assert_eq!((hour.delivered, hour.failed), ends);
        assert_eq!(hour.attempts, 2);
    }
}

#[test]
fn an_hour_has_3600_seconds_before_1970_too() {
    let hours = [-1, 0, 3_599_999, 3_600_000].map(|millis| {
        let time = Timestamp::from_millis(millis);
        hour_of(time)
    });
    assert_eq!(hours, [-1, 0, 0, 1]);
    assert_eq!(start_of(2).as_millis(), 7_200_000);
}

#[test]
fn what_was_not_folded_is_counted_again_from_the_rows() {
    let delivery = cancelled();
    let mut counts = Counts::since(Timestamp::from_millis(15), none());
    let log = [at(10, 1), at(10, 5), at(10, 10), at(20, 1)];
    counts.recount(&id(), &delivery, &log);
    let hour = counts.hour(0, None);
    assert_eq!(
        (hour.attempts, hour.failed),
        (2, 0),
        "the first two were folded, and cancelling is no attempt"
    );
    let mut ping = Counts::default();
    ping.recount(
        &id(),
        &Delivery::due(Kind::Ping, Timestamp::from_millis(0)),
        &[at(10, 1)],
    );
    assert_eq!(ping, Counts::default());
}

/// An hour's attempts, and how many deliveries ended delivered and failed in it.
fn shown(counts: &Counts, hour: i64) -> (u64, u64, u64) {
    let hour = counts.hour(hour, None);
    (hour.attempts, hour.delivered, hour.failed)
}

fn failed() -> Attempt {
    Attempt {
        outcome: Outcome::HttpError,
        ..took(9)
    }
}

fn none() -> LastAttempts {
    LastAttempts::default()
}

fn ended(outcome: Outcome, status: u16) -> Delivery {
    let (now, policy) = (Timestamp::default(), Policy::parse(|_| None).unwrap());
    let mut delivery = Delivery::due(Kind::Event, now);
    let lease = delivery.lease(now, &policy).unwrap();
    let report = Report {
        lease,
        outcome,
        response_status: Some(status),
        retry_after: None,
    };
    delivery.report(now, &policy, &report);
    assert!(delivery.is_settled());
    delivery
}

fn id() -> DeliveryId {
    DeliveryId::mint(Timestamp::from_millis(0), [0; 10])
}

fn at(millis: i64, duration_ms: u64) -> Attempt {
    Attempt {
        started_at: Timestamp::from_millis(millis),
        ..took(duration_ms)
    }
}

fn cancelled() -> Delivery {
    let mut delivery = Delivery::due(Kind::Event, Timestamp::from_millis(0));
    delivery.cancel(Timestamp::from_millis(1)).unwrap();
    delivery
}

fn took(duration_ms: u64) -> Attempt {
    let at = Timestamp::from_millis(0);
    Attempt {
        duration_ms,
        outcome: Outcome::Succeeded,
        ..Attempt::lost(1, at, at)
    }
}
