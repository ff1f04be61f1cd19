//! What is deleted for want of storage, and when.

use std::time::Duration;

use webhook_relay::{
    domain::delivery::Status,
    machines::{
        messages::{Acceptance, Grant, WebhookCommand, WebhookReply},
        sql::Sql as _,
        webhook::{Input, Outputs, wake::Reason},
    },
};

use crate::world::{World, accept, accepted, began, event, id, report};

const BETWEEN_SLICES: Duration = Duration::from_millis(250);

#[test]
fn for_want_of_storage_answers_go_first_then_what_was_delivered_then_what_failed() {
    let mut world = World::start();
    let in_segment = world.lease(1);
    answer(&mut world, &in_segment[0], 200);
    deliver_at_the_second_attempt(&mut world, 2);
    fail(&mut world, 3);
    world.restart();
    world.tell();
    world.accept_unleased(4);
    world.policy.max_storage = 1;

    let alarm = slice(&mut world);
    assert!(is_telling_nothing_deleted(&alarm));
    assert!(alarm.arm.unwrap() <= world.now.saturating_add(BETWEEN_SLICES));
    for number in 1..=3 {
        let attempts = world.read(number).attempts;
        assert!(
            attempts
                .iter()
                .all(|attempt| attempt.response_body.is_none() && attempt.response_truncated),
            "{number}"
        );
    }

    assert!(is_telling_nothing_deleted(&slice(&mut world)));
    assert!(world.find(1).is_none() && world.find(2).is_none());
    assert_eq!(world.read(3).delivery.status(), Status::Failed);

    assert!(is_telling_nothing_deleted(&slice(&mut world)));
    assert!(world.find(3).is_none());

    let told = slice(&mut world).tell.unwrap();
    let newest_deleted = began();
    let whole_since = newest_deleted.saturating_add(Duration::from_millis(1));
    assert_eq!(told.log_since, Some(whole_since));
    assert_eq!(world.read(4).delivery.status(), Status::Pending);
}

#[test]
fn deleting_begins_above_seven_eighths_of_the_storage_and_ends_at_three_quarters() {
    let mut world = World::start();
    let in_segment = world.lease(1);
    answer(&mut world, &in_segment[0], 200);
    world.tell();
    world.restart();
    let size = world.engine.size();

    let limit = smallest(|limit| limit - limit / 8 >= size);
    world.policy.max_storage = limit;
    assert_ne!(reason_to_wake(&mut world), Some(Reason::Storage));
    world.policy.max_storage = limit - 1;
    assert_eq!(reason_to_wake(&mut world), Some(Reason::Storage));
    slice(&mut world);
    assert!(world.read(1).attempts[0].response_truncated, "it has begun");

    // The size is known to a 256th part of the limit.
    let limit = smallest(|limit| limit - limit / 4 >= size + limit / 256);
    world.policy.max_storage = limit;
    slice(&mut world);
    assert!(world.find(1).is_some(), "it has ended");
}

#[test]
fn deleting_goes_on_below_seven_eighths_of_the_storage() {
    let mut world = World::start();
    let in_segment = world.lease(1);
    answer(&mut world, &in_segment[0], 200);
    world.restart();
    world.policy.max_storage = 1;
    slice(&mut world);
    let size = world.engine.size();
    world.policy.max_storage = smallest(|limit| limit - limit / 4 >= size) - 1;
    slice(&mut world);
    assert!(world.find(1).is_none());
}

#[test]
fn if_nothing_can_be_deleted_the_next_look_is_an_hour_later_or_when_something_is_settled() {
    let mut world = World::start();
    world.policy.max_storage = 1;
    let alarm = slice(&mut world);
    let later = world.now.saturating_add(Duration::from_secs(60 * 60));
    assert_eq!(alarm.arm, Some(later));

    world.policy.max_storage = u64::MAX;
    let grants = world.lease(1);
    world.policy.max_storage = 1;
    let reported = answer(&mut world, &grants[0], 200);
    assert_eq!(
        reported.arm,
        Some(world.now),
        "there is something to delete"
    );
}

#[test]
fn an_event_that_is_delivered_at_once_needs_no_transaction() {
    let mut world = World::start();
    deliver(&mut world, 1);
    let before = world.engine.transactions();
    deliver(&mut world, 2);
    assert_eq!(world.engine.transactions(), before);
    world.restart();
    assert_eq!(world.read(2).delivery.status(), Status::Delivered);
}

#[test]
fn what_changes_more_than_a_row_needs_a_transaction() {
    let mut world = World::start();
    // The first success is a change of the webhook's health.
    for (number, status) in [(1, 200), (2, 500)] {
        let grants = world.lease(number);
        let before = world.engine.transactions();
        answer(&mut world, &grants[0], status);
        assert!(world.engine.transactions() > before, "{status}");
    }
}

#[test]
fn a_payload_is_accepted_if_it_fits_into_the_storage_to_the_byte() {
    let mut world = World::start();
    let payload = u64::try_from(event(1, 100).payload.get().len()).unwrap();
    let room = world.engine.size() + payload;
    for (max_storage, is_accepted) in [(room - 1, false), (room, true)] {
        world.restart();
        world.policy.max_storage = max_storage;
        let reply = world.ask(accept(vec![event(1, 100)], 0)).unwrap();
        let (taken, _) = accepted(&reply);
        match taken[0] {
            Acceptance::New { .. } => assert!(is_accepted),
            Acceptance::StorageFull => assert!(!is_accepted),
            ref other => panic!("{other:?}"),
        }
    }
}

#[test]
fn what_is_written_counts_at_once() {
    let mut world = World::start();
    world.policy.max_storage = 1_000_000;
    let mut number = 0;
    loop {
        number += 1;
        let reply = world.ask(accept(vec![event(number, 100_000)], 0)).unwrap();
        match accepted(&reply).0[0] {
            Acceptance::New { .. } => assert!(number < 10, "it is full"),
            Acceptance::StorageFull => break,
            ref other => panic!("{other:?}"),
        }
    }
    assert!(number > 5, "it is not full yet");
}

/// Lets the alarm fire, and the time pass until the next slice.
fn slice(world: &mut World) -> Outputs {
    world.now = world.now.saturating_add(BETWEEN_SLICES);
    world.happens(Input::AlarmFired)
}

fn is_telling_nothing_deleted(alarm: &Outputs) -> bool {
    alarm
        .tell
        .as_ref()
        .is_none_or(|told| told.log_since.is_none())
}

fn reason_to_wake(world: &mut World) -> Option<Reason> {
    world.restart();
    world.next_wake().map(|(_, reason)| reason)
}

fn smallest(suffices: impl Fn(u64) -> bool) -> u64 {
    (1..1 << 40).find(|limit| suffices(*limit)).unwrap()
}

/// Reports an attempt with an answer of which something is kept.
fn answer(world: &mut World, grant: &Grant, status: u16) -> Outputs {
    let mut report = report(grant, status, world.now);
    report.attempt.response_body = Some("an answer".into());
    let reports = vec![report];
    world.happens(Input::Command(
        1,
        WebhookCommand::Report {
            unused: Vec::new(),
            reports,
            leases: 0,
            ahead_ms: 0,
        },
    ));
    world.now = world.now.saturating_add(Duration::from_millis(20));
    world.happens(Input::TimerFired)
}

fn deliver(world: &mut World, number: u64) {
    let grants = world.lease(number);
    answer(world, &grants[0], 200);
}

/// A delivery in a row of its own.
fn deliver_at_the_second_attempt(world: &mut World, number: u64) {
    let grants = world.lease(number);
    answer(world, &grants[0], 500);
    world
        .ask(WebhookCommand::Cancel { id: id(number) })
        .unwrap();
    let resent = world.ask(WebhookCommand::Resend { id: id(number) });
    assert!(matches!(resent, Ok(WebhookReply::Delivery(_))));
    let mut alarm = world.happens(Input::AlarmFired);
    let group = alarm.hires.pop().unwrap();
    answer(world, &group.grants[0], 200);
    assert_eq!(world.read(number).delivery.status(), Status::Delivered);
}

fn fail(world: &mut World, number: u64) {
    let grants = world.lease(number);
    answer(world, &grants[0], 500);
    let cancelled = world.ask(WebhookCommand::Cancel { id: id(number) });
    assert!(matches!(cancelled, Ok(WebhookReply::Delivery(_))));
    assert_eq!(world.read(number).delivery.status(), Status::Failed);
}
