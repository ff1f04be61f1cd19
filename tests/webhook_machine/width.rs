//! How many attempts are under way at an endpoint that is overloaded, and that recovers.

use webhook_relay::{
    domain::{delivery::Kind, dispatch::WORKER_LEASES, webhook::Settings},
    machines::{
        messages::{AttemptReport, Grant, WebhookCommand, WebhookReply},
        webhook::{Input, wake::Reason},
    },
};

use crate::world::{World, accept, accepted, began, event, id, report, settings};

#[test]
fn a_lease_that_is_given_back_is_due_at_once_and_not_lost() {
    let mut world = World::start();
    let grants = world.lease(1);
    let given_back = world.ask(WebhookCommand::Report {
        reports: Vec::new(),
        unused: vec![(grants[0].id.clone(), grants[0].lease)],
        leases: 0,
        ahead_ms: 0,
    });
    assert!(matches!(given_back, Ok(WebhookReply::Granted(grants)) if grants.is_empty()));
    let (wakes_at, reason) = world.next_wake().unwrap();
    assert!(wakes_at <= world.now && reason == Reason::Delivery);
    let hired = world.happens(Input::AlarmFired).hires;
    assert_eq!(hired[0].grants[0].lease.attempt, 1);
    assert_eq!(world.read(1).delivery.lost_leases(), 0);
}

#[test]
fn an_overloaded_endpoint_narrows_its_webhook_to_six_and_each_success_adds_one() {
    let mut world = World::start();
    let grants = backlog(&mut world, 150);
    assert_eq!(grants.len(), 50);
    for grant in &grants {
        tell(&mut world, grant, 503);
    }
    let narrow = hired(&mut world);
    assert_eq!(narrow.len(), 6);
    tell(&mut world, &narrow[0], 200);
    assert_eq!(hired(&mut world).len(), 2, "its own slot, and one more");
}

#[test]
fn one_failure_between_successes_narrows_nothing() {
    let mut world = World::start();
    let grants = backlog(&mut world, 150);
    for (number, grant) in grants.iter().enumerate() {
        tell(&mut world, grant, if number % 2 == 0 { 503 } else { 200 });
    }
    assert_eq!(hired(&mut world).len(), 50);
}

#[test]
fn lost_leases_and_attempts_under_older_settings_narrow_nothing() {
    let mut world = World::start();
    let grants = backlog(&mut world, 120);
    let newer = settings(began());
    world
        .ask(WebhookCommand::Apply(Box::new(Settings {
            revision: 2,
            ..newer
        })))
        .unwrap();
    for grant in &grants[..25] {
        tell(&mut world, grant, 503);
    }
    world.now = world.now.saturating_add(world.policy.lease_length());
    assert_eq!(hired(&mut world).len(), 50, "the other 25 lost their lease");
}

#[test]
fn a_life_that_begins_while_the_endpoint_fails_begins_at_six() {
    let mut world = World::start();
    let grants = backlog(&mut world, 100);
    tell(&mut world, &grants[0], 500);
    for grant in &grants[1..] {
        withdraw(&mut world, grant);
    }
    world.restart();
    let narrow = hired(&mut world);
    assert_eq!(narrow.len(), 6);
    for grant in &narrow {
        tell(&mut world, grant, 200);
    }
    let wider = hired(&mut world);
    assert_eq!(wider.len(), 12);
    for grant in &wider {
        withdraw(&mut world, grant);
    }
    world.restart();
    assert_eq!(hired(&mut world).len(), 50, "the endpoint has recovered");
}

#[test]
fn a_flood_of_events_leaves_the_last_free_slot_to_a_retry_that_is_due() {
    let mut world = World::start();
    world.policy.max_leases = 2;
    for (number, status) in [(1, 500), (2, 200), (3, 200)] {
        let grants = world.lease(number);
        tell(&mut world, &grants[0], status);
    }
    world.now = world.read(1).delivery.next_wake().unwrap();
    let posted = |world: &mut World, number| {
        let reply = world.ask(accept(vec![event(number, 100)], 1)).unwrap();
        accepted(&reply).1.len()
    };
    assert_eq!(posted(&mut world, 4), 1);
    assert_eq!(posted(&mut world, 5), 0, "it is the turn of the retry");
    let next = hired(&mut world);
    assert_eq!(next.len(), 1);
    assert_eq!(next[0].id, id(1));
}

/// Accepts events without leases, and returns the leases with which Senders are hired for them.
fn backlog(world: &mut World, events: u64) -> Vec<Grant> {
    for number in 1..=events {
        world.accept_unleased(number);
    }
    hired(world)
}

fn hired(world: &mut World) -> Vec<Grant> {
    let alarm = world.happens(Input::AlarmFired);
    let hires = alarm.hires.into_iter();
    let groups: Vec<_> = hires.map(|group| group.grants).collect();
    assert!(groups.iter().all(|grants| grants.len() <= WORKER_LEASES));
    world.happens(Input::HiresAnswered {
        hired: groups.len(),
        failed: 0,
        unused: Vec::new(),
    });
    groups.into_iter().flatten().collect()
}

fn tell(world: &mut World, grant: &Grant, status: u16) {
    assert_eq!(grant.kind, Kind::Event);
    let reports: Vec<AttemptReport> = vec![report(grant, status, world.now)];
    let reply = world.ask(WebhookCommand::Report {
        unused: Vec::new(),
        reports,
        leases: 0,
        ahead_ms: 0,
    });
    assert!(matches!(reply, Ok(WebhookReply::Granted(_))));
}

/// The lease reached nobody.
fn withdraw(world: &mut World, grant: &Grant) {
    world.happens(Input::HiresAnswered {
        hired: 1,
        failed: 0,
        unused: vec![(grant.id.clone(), grant.lease)],
    });
}
