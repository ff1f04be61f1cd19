//! Resending many deliveries: how many at a time, and when it ends.

use webhook_relay::{
    domain::{
        delivery::Status,
        ids::ResendId,
        resend::{BulkResend, BulkResendStatus, Selection},
    },
    machines::{
        messages::{Grant, WebhookCommand, WebhookReply},
        webhook::Input,
    },
};

use crate::world::{World, began, id, report};

#[test]
fn a_bulk_resend_has_twelve_under_way_and_goes_on_when_half_of_them_are_over() {
    let mut world = with_failed(20);
    assert_eq!(start(&mut world).total, 20);
    let first = hired(&mut world);
    assert_eq!(first.len(), 12);
    tell(&mut world, &first[..5], 200);
    assert!(hired(&mut world).is_empty(), "seven are under way");
    tell(&mut world, &first[5..6], 200);
    let second = hired(&mut world);
    assert_eq!(second.len(), 6);
    tell(&mut world, &first[6..], 500);
    let third = hired(&mut world);
    assert_eq!(third.len(), 2);
    tell(&mut world, &second, 200);
    let running = read(&mut world);
    assert_eq!((running.delivered, running.failed), (12, 6));
    assert_eq!(running.status, BulkResendStatus::Running);
    tell(&mut world, &third, 200);
    let finished = read(&mut world);
    assert_eq!((finished.delivered, finished.failed), (14, 6));
    assert_eq!(finished.status, BulkResendStatus::Finished);
}

#[test]
fn a_bulk_resend_goes_on_after_a_restart_and_repeats_nothing() {
    let mut world = with_failed(14);
    start(&mut world);
    let first = hired(&mut world);
    world.restart();
    tell(&mut world, &first, 200);
    let second = hired(&mut world);
    assert_eq!(second.len(), 2);
    let repeated = second
        .iter()
        .any(|grant| first.iter().any(|before| before.id == grant.id));
    assert!(!repeated);
    tell(&mut world, &second, 200);
    world.restart();
    assert_eq!(read(&mut world).status, BulkResendStatus::Finished);
}

#[test]
fn a_stopped_bulk_resend_stays_stopped_and_takes_nothing_more() {
    let mut world = with_failed(20);
    start(&mut world);
    let first = hired(&mut world);
    world
        .ask(WebhookCommand::StopResend { id: resend_id() })
        .unwrap();
    world.restart();
    assert_eq!(read(&mut world).status, BulkResendStatus::Stopped);
    tell(&mut world, &first, 200);
    assert!(hired(&mut world).is_empty());
}

/// A webhook with deliveries that have failed.
fn with_failed(count: u64) -> World {
    let mut world = World::start();
    for number in 1..=count {
        world.accept_unleased(number);
        world
            .ask(WebhookCommand::Cancel { id: id(number) })
            .unwrap();
    }
    world
}

fn resend_id() -> ResendId {
    ResendId::mint(began(), [1; 10])
}

fn start(world: &mut World) -> BulkResend {
    let selection = Selection {
        status: Status::Failed,
        since: None,
        until: None,
    };
    bulk_resend(world.ask(WebhookCommand::StartResend {
        id: resend_id(),
        selection,
    }))
}

fn read(world: &mut World) -> BulkResend {
    bulk_resend(world.ask(WebhookCommand::ReadResend { id: resend_id() }))
}

fn bulk_resend<E: std::fmt::Debug>(reply: Result<WebhookReply, E>) -> BulkResend {
    match reply.unwrap() {
        WebhookReply::BulkResend(bulk_resend) => *bulk_resend,
        other => panic!("{other:?}"),
    }
}

fn hired(world: &mut World) -> Vec<Grant> {
    let alarm = world.happens(Input::AlarmFired);
    let groups = alarm.hires.into_iter();
    groups.flat_map(|group| group.grants).collect()
}

fn tell(world: &mut World, grants: &[Grant], status: u16) {
    for grant in grants {
        let reports = vec![report(grant, status, world.now)];
        world
            .ask(WebhookCommand::Report {
                reports,
                leases: 0,
                ahead_ms: 0,
            })
            .unwrap();
    }
}
