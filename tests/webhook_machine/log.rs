//! What lists and traces show, and what is found again after a restart.

use std::{rc::Rc, time::Duration};

use webhook_relay::{
    domain::{
        delivery::{Kind, Status},
        event::EVENT_ID_KEPT,
        ids::{DeliveryId, EventId},
        last_attempt::{LastAttemptFilter, ResponseStatuses},
        outcome::Outcome,
        record::{DeliveryFilter, DeliveryRecord},
        stats::HOURS_LIMIT,
        timestamp::Timestamp,
        webhook::Settings,
    },
    machines::{
        messages::{Acceptance, NewDelivery, Wanted, WebhookCommand, WebhookReply},
        sql::{Database, SqlValue},
        webhook::Input,
    },
};

use crate::world::{World, accept, accepted, event, id, report, settings};

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn pages_show_every_delivery_once_and_the_newest_first() {
    let mut world = with_one_of_each_status();
    for limit in 1..=6 {
        for is_brief in [false, true] {
            let filter = DeliveryFilter {
                limit,
                is_brief,
                ..DeliveryFilter::default()
            };
            let listed = list_all(&mut world, filter);
            assert_eq!(listed, [5, 4, 3, 2, 1].map(id), "{limit} {is_brief}");
        }
    }
}

#[test]
fn a_list_shows_what_has_the_status_also_after_a_restart() {
    let mut world = with_one_of_each_status();
    for _ in 0..2 {
        for (status, numbers) in [
            (Status::Delivered, vec![2, 1]),
            (Status::Failed, vec![3]),
            (Status::Pending, vec![5, 4]),
            (Status::Held, vec![]),
        ] {
            let filter = DeliveryFilter {
                status: Some(status),
                limit: 10,
                ..DeliveryFilter::default()
            };
            let expected: Vec<_> = numbers.into_iter().map(id).collect();
            assert_eq!(list_all(&mut world, filter), expected, "{status:?}");
        }
        world.restart();
    }
}

#[test]
fn a_delivery_is_read_with_its_payload_in_a_segment_and_in_a_row_of_its_own() {
    let mut world = with_one_of_each_status();
    for _ in 0..2 {
        for number in 1..=5 {
            let payload = world.read(number).payload.expect("it has one");
            assert_eq!(payload.get(), event(number, length(number)).payload.get());
        }
        world.restart();
    }
}

#[test]
fn an_event_is_found_by_its_generated_id_in_memory_in_a_segment_and_in_a_row() {
    let mut world = World::start();
    world.keep_busy(3);
    world.happens(Input::Command(9, accept(vec![event(4, 100)], 0)));
    assert_eq!(trace(&mut world, &event(4, 100).event_id), Some(id(4)));
    world.restart();
    assert_eq!(trace(&mut world, &event(4, 100).event_id), Some(id(4)));
    world.ask(WebhookCommand::Cancel { id: id(4) }).unwrap();
    assert_eq!(trace(&mut world, &event(4, 100).event_id), Some(id(4)));
    assert_eq!(trace(&mut world, &event(5, 100).event_id), None);
}

#[test]
fn what_is_held_is_stored_with_its_producers_event_id_or_not_at_all() {
    let mut world = World::start();
    let disabled = Settings {
        revision: 2,
        enabled: false,
        ..settings(world.now)
    };
    world
        .ask(WebhookCommand::Apply(Box::new(disabled)))
        .unwrap();
    world.engine.fail("event_ids", 1, 1);
    assert!(world.ask(accept(vec![with_given_id(1)], 0)).is_err());
    assert_eq!(rows(&world, "deliveries"), 0);
    world.ask(accept(vec![with_given_id(2)], 0)).unwrap();
    assert_eq!(rows(&world, "deliveries"), 1);
}

#[test]
fn a_producers_event_id_finds_its_delivery_also_after_the_clock_was_put_back_past_midnight() {
    const DAY_MS: i64 = 24 * 60 * 60 * 1000;
    let mut world = World::start();
    let midnight = (world.now.as_millis() / DAY_MS + 1) * DAY_MS;
    world.now = Timestamp::from_millis(midnight);
    assert_eq!(post(&mut world, 1), None);
    world.restart();
    world.now = world.now.saturating_sub(Duration::from_millis(1));
    assert_eq!(post(&mut world, 2), Some(id(1)));
}

#[test]
fn a_producers_event_id_finds_its_delivery_for_24_hours() {
    let mut world = World::start();
    assert_eq!(post(&mut world, 1), None);
    assert_eq!(post(&mut world, 2), Some(id(1)));
    world.restart();
    world.now = world.now.saturating_add(EVENT_ID_KEPT);
    assert_eq!(post(&mut world, 3), Some(id(1)));
    world.now = world.now.saturating_add(Duration::from_millis(1));
    assert_eq!(post(&mut world, 4), None);
}

#[test]
fn a_page_that_finds_little_in_a_thousand_rows_ends_early_unless_all_of_it_is_asked_for() {
    let mut world = World::start();
    let probe = WebhookCommand::Probe {
        kind: Kind::Test,
        delivery: event(1, 100),
        once: false,
    };
    world.ask(probe).unwrap();
    world.ask(WebhookCommand::Cancel { id: id(1) }).unwrap();
    for number in 2..=1001 {
        world.accept_unleased(number);
        world
            .ask(WebhookCommand::Cancel { id: id(number) })
            .unwrap();
    }
    for (is_brief, found) in [(true, 0), (false, 1)] {
        let filter = DeliveryFilter {
            kind: Some(Kind::Test),
            limit: 1,
            is_brief,
            ..DeliveryFilter::default()
        };
        let (records, next) = list(&mut world, filter.clone());
        assert_eq!(records.len(), found);
        assert_eq!(next.is_some(), is_brief);
        assert_eq!(list_all(&mut world, filter), [id(1)]);
    }
}

#[test]
fn pages_come_to_an_end_even_if_very_many_segments_are_of_one_moment() {
    let mut world = World::start();
    for number in 1..=300 {
        // Too large for two of them in a segment.
        world.ask(accept(vec![event(number, 40_000)], 0)).unwrap();
    }
    let filter = DeliveryFilter {
        event_type: Some("alert.triggered".into()),
        limit: 10,
        is_brief: true,
        ..DeliveryFilter::default()
    };
    let (records, next) = list(&mut world, filter.clone());
    assert!(records.is_empty() && next.is_some(), "it ends early");
    let second = DeliveryFilter {
        before: next,
        ..filter
    };
    assert_eq!(list(&mut world, second).1, None);
}

#[test]
fn a_list_by_the_last_attempt_has_those_whose_last_attempt_was_so() {
    let mut world = with_one_of_each_status();
    for _ in 0..2 {
        for (outcome, statuses, is_retrying, numbers) in [
            (Some(Outcome::Succeeded), "", false, vec![2, 1]),
            (None, "2xx", false, vec![2, 1]),
            (Some(Outcome::HttpError), "", false, vec![4, 3]),
            (None, "500", false, vec![4, 3]),
            (None, "503", false, vec![]),
            (None, "", true, vec![4]),
            (None, "500", true, vec![4]),
        ] {
            let filter = DeliveryFilter {
                status: is_retrying.then_some(Status::Pending),
                is_retrying,
                last_attempt: LastAttemptFilter {
                    outcome,
                    response_status: ResponseStatuses::parse(statuses).ok(),
                },
                limit: 1,
                is_brief: true,
                ..DeliveryFilter::default()
            };
            let expected: Vec<_> = numbers.into_iter().map(id).collect();
            assert_eq!(list_all(&mut world, filter.clone()), expected, "{filter:?}");
        }
        world.restart();
    }
}

#[test]
fn rows_of_an_earlier_release_have_their_last_attempt_in_the_log_alone() {
    let mut world = with_one_of_each_status();
    let database = Database::new(Rc::clone(&world.engine) as _);
    let earlier = "UPDATE deliveries SET delivery = json_remove(delivery, '$.last')";
    database.run(earlier, vec![]).unwrap();
    let filter = DeliveryFilter {
        last_attempt: LastAttemptFilter {
            outcome: Some(Outcome::HttpError),
            response_status: ResponseStatuses::parse("5xx").ok(),
        },
        limit: 10,
        ..DeliveryFilter::default()
    };
    assert_eq!(list_all(&mut world, filter), [4, 3].map(id));
}

#[test]
fn the_deliveries_of_an_event_are_listed_and_those_of_other_days_by_following_pages() {
    let mut world = World::start();
    let day = EVENT_ID_KEPT.saturating_add(Duration::from_millis(1));
    let mut posted = Vec::new();
    for _ in 0..3 {
        let millis = u64::try_from(world.now.as_millis()).unwrap();
        let first = NewDelivery {
            id: DeliveryId::mint(world.now, [1; 10]),
            ..with_given_id(1)
        };
        posted.insert(0, first.id.clone());
        world.ask(accept(vec![first], 0)).unwrap();
        let other = NewDelivery {
            id: DeliveryId::mint(world.now, [2; 10]),
            ..event(millis, 100)
        };
        world.ask(accept(vec![other], 0)).unwrap();
        world.now = world.now.saturating_add(day);
    }
    let of = |event_id: &str| DeliveryFilter {
        event_id: Some(EventId::parse(event_id).unwrap()),
        limit: 1,
        is_brief: true,
        ..DeliveryFilter::default()
    };
    for _ in 0..2 {
        assert_eq!(list_all(&mut world, of("order-1")), posted);
        assert_eq!(list_all(&mut world, of("order-2")), []);
        world.restart();
    }
}

#[test]
fn counts_are_shown_before_and_after_they_are_folded() {
    let mut world = World::start();
    let attempts = |world: &mut World| match world.ask(WebhookCommand::Stats { hours: 1 }) {
        Ok(WebhookReply::Stats(hours)) => hours[0].1.attempts,
        other => panic!("{other:?}"),
    };
    for number in 1..=50 {
        deliver(&mut world, number);
    }
    assert_eq!((attempts(&mut world), rows(&world, "stats")), (50, 0));
    world.happens(Input::AlarmFired);
    assert_eq!((attempts(&mut world), rows(&world, "stats")), (50, 1));
    deliver(&mut world, 51);
    assert_eq!(attempts(&mut world), 51);
}

#[test]
fn counts_are_kept_for_30_days() {
    let mut world = World::start();
    for number in 1..=50 {
        deliver(&mut world, number);
    }
    world.happens(Input::AlarmFired);
    assert_eq!(rows(&world, "stats"), 1);
    world.now = world.now.saturating_add(HOUR * HOURS_LIMIT);
    world.happens(Input::AlarmFired);
    assert_eq!(rows(&world, "stats"), 1);
    world.now = world.now.saturating_add(HOUR);
    world.happens(Input::AlarmFired);
    assert_eq!(rows(&world, "stats"), 0);
}

#[test]
fn a_page_has_the_durations_of_attempts_if_it_wants_them() {
    let mut world = with_one_of_each_status();
    for wants in [true, false] {
        let wanted = Wanted {
            hours: 1,
            durations: wants,
            ..Wanted::default()
        };
        let WebhookReply::Shown(shown) = world.ask(WebhookCommand::Show(wanted)).unwrap() else {
            panic!("nothing is shown");
        };
        let (_, counts) = &shown.hours[0];
        assert!(counts.attempts > 0);
        assert_eq!(counts.percentile(50).is_some(), wants);
    }
}

#[test]
fn deliveries_whose_last_attempt_failed_are_grouped_by_how_it_did() {
    let mut world = World::start();
    deliver(&mut world, 1);
    for number in 2..=4 {
        fail_once(&mut world, number);
    }
    world.ask(WebhookCommand::Cancel { id: id(4) }).unwrap();
    world.ask(accept(vec![event(5, length(5))], 0)).unwrap();
    let wanted = Wanted {
        failures: true,
        ..Wanted::default()
    };
    let WebhookReply::Shown(shown) = world.ask(WebhookCommand::Show(wanted)).unwrap() else {
        panic!("nothing is shown");
    };
    let [group] = &shown.failures[..] else {
        panic!("{:?}", shown.failures);
    };
    assert_eq!(
        (group.outcome, group.status, group.deliveries),
        (Outcome::HttpError, Some(500), 3)
    );
    assert_eq!(group.since, id(2).minted_at());
}

/// One and two are delivered, three is cancelled, four is due for its second attempt, five for its first. One is in a
/// segment, two to four in rows of their own.
fn with_one_of_each_status() -> World {
    let mut world = World::start();
    deliver(&mut world, 1);
    fail_once(&mut world, 2);
    fail_once(&mut world, 3);
    world.ask(WebhookCommand::Cancel { id: id(3) }).unwrap();
    world.ask(WebhookCommand::Cancel { id: id(2) }).unwrap();
    world.ask(WebhookCommand::Resend { id: id(2) }).unwrap();
    let alarm = world.happens(Input::AlarmFired);
    let reports = vec![report(&alarm.hires[0].grants[0], 200, world.now)];
    world
        .ask(WebhookCommand::Report {
            unused: Vec::new(),
            reports,
            leases: 0,
            ahead_ms: 0,
        })
        .unwrap();
    fail_once(&mut world, 4);
    world.ask(accept(vec![event(5, length(5))], 0)).unwrap();
    world
}

/// Posts an event with the same id as the others: the earlier delivery that it is found to be, if it is.
fn post(world: &mut World, number: u64) -> Option<DeliveryId> {
    let reply = world.ask(accept(vec![with_given_id(number)], 0)).unwrap();
    match &accepted(&reply).0[0] {
        Acceptance::Duplicate(found) => Some(found.id.clone()),
        Acceptance::New { .. } => None,
        other => panic!("{other:?}"),
    }
}

fn with_given_id(number: u64) -> NewDelivery {
    NewDelivery {
        event_id: EventId::parse("order-1").unwrap(),
        event_id_given: true,
        ..event(number, 100)
    }
}

/// The length of a payload, so that each is another.
fn length(number: u64) -> usize {
    100 + usize::try_from(number).unwrap()
}

fn deliver(world: &mut World, number: u64) {
    attempt(world, number, 200);
    assert_eq!(world.read(number).delivery.status(), Status::Delivered);
}

fn fail_once(world: &mut World, number: u64) {
    attempt(world, number, 500);
    assert_eq!(world.read(number).delivery.status(), Status::Pending);
}

fn attempt(world: &mut World, number: u64, status: u16) {
    let reply = world
        .ask(accept(vec![event(number, length(number))], 1))
        .unwrap();
    let (_, grants) = accepted(&reply);
    assert_eq!(grants[0].kind, Kind::Event);
    let reports = vec![report(&grants[0], status, world.now)];
    world
        .ask(WebhookCommand::Report {
            unused: Vec::new(),
            reports,
            leases: 0,
            ahead_ms: 0,
        })
        .unwrap();
}

fn list_all(world: &mut World, mut filter: DeliveryFilter) -> Vec<DeliveryId> {
    let mut listed = Vec::new();
    loop {
        let (records, next) = list(world, filter.clone());
        assert!(records.len() <= filter.limit);
        listed.extend(records.into_iter().map(|record| record.id));
        if next.is_none() {
            return listed;
        }
        filter.before = next;
    }
}

fn list(world: &mut World, filter: DeliveryFilter) -> (Vec<DeliveryRecord>, Option<DeliveryId>) {
    match world.ask(WebhookCommand::List(filter)).unwrap() {
        WebhookReply::Deliveries { records, next, .. } => (records, next),
        other => panic!("{other:?}"),
    }
}

fn trace(world: &mut World, event_id: &EventId) -> Option<DeliveryId> {
    let command = WebhookCommand::Trace {
        event_id: event_id.clone(),
        is_brief: true,
    };
    match world.ask(command).unwrap() {
        WebhookReply::Delivery(record) => Some(record.id),
        WebhookReply::Refused(_) => None,
        other => panic!("{other:?}"),
    }
}

fn rows(world: &World, table: &str) -> i64 {
    let database = Database::new(Rc::clone(&world.engine) as _);
    let count = database.value(&format!("SELECT count(*) FROM {table}"), vec![]);
    match count.unwrap() {
        Some(SqlValue::Integer(count)) => count,
        other => panic!("{other:?}"),
    }
}
