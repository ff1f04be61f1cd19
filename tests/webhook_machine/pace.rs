//! Order, rate, a schedule of one's own, pauses, sending now: across lives of the object, and for whom leases wait.

use std::time::Duration;

use webhook_relay::{
    domain::{
        delivery::Status,
        ids::{DeliveryId, ResendId},
        pace::{Pace, RateLimit},
        resend::{BulkResendStatus, Selection},
        retry::RetrySchedule,
        webhook::Settings,
    },
    machines::{
        messages::{AttemptReport, Grant, Refusal, WebhookCommand, WebhookReply},
        webhook::Input,
    },
};

use crate::world::{World, accept, accepted, bytes_of, event, id, report, settings};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn an_ordered_webhook_answers_a_report_with_the_next_lease_and_only_then() {
    let mut world = ordered();
    let reply = world
        .ask(accept(vec![event(1, 1), event(2, 1)], 6))
        .unwrap();
    let grants = accepted(&reply).1;
    assert_eq!(ids(grants), [id(1)]);
    let first = take(world.ask(accept(vec![event(3, 1)], 6)).unwrap());
    assert!(first.is_empty(), "one attempt is under way");
    let next = tell(&mut world, &grants[0], 200);
    assert_eq!(ids(&next), [id(2)]);
}

#[test]
fn order_outlives_the_memory_of_the_object() {
    let mut world = ordered();
    // By its id the second would be first.
    for number in [5, 4, 3] {
        world.accept_unleased(number);
        world.restart();
    }
    for number in [5, 4, 3] {
        let hired = world.happens(Input::AlarmFired).hires;
        let grants = &hired[0].grants;
        assert_eq!(ids(grants), [id(number)]);
        world.restart();
        settle(&mut world, &grants[0], 200);
    }
}

#[test]
fn the_attempt_of_a_cancelled_delivery_is_waited_for_in_the_next_life_too() {
    let mut world = ordered();
    let leased = world.lease(1);
    world.accept_unleased(2);
    world.ask(WebhookCommand::Cancel { id: id(1) }).unwrap();
    world.restart();
    assert!(world.happens(Input::AlarmFired).hires.is_empty());
    let next = tell(&mut world, &leased[0], 500);
    assert_eq!(ids(&next), [id(2)], "its report ends the wait");
}

#[test]
fn what_waits_for_another_names_it_and_no_time() {
    let mut world = ordered();
    let leased = world.lease(1);
    world.accept_unleased(2);
    tell(&mut world, &leased[0], 500);
    let (first, second) = (world.read(1), world.read(2));
    assert_eq!(
        (first.waiting_for.clone(), second.waiting_for.clone()),
        (None, Some(id(1)))
    );
    assert!(first.next_attempt_at().is_some() && second.next_attempt_at().is_none());
    let cancelled = world.ask(WebhookCommand::Cancel { id: id(1) }).unwrap();
    assert!(matches!(cancelled, WebhookReply::Delivery(_)));
    assert_eq!(world.read(2).waiting_for, None);
}

#[test]
fn a_rate_is_kept_across_lives_and_one_alarm_serves_the_attempts_of_ten_seconds() {
    let mut world = with(|settings| settings.pace.rate_limit = RateLimit::parse("0.5"));
    for number in 1..=20 {
        world.accept_unleased(number);
    }
    let mut begins = Vec::new();
    let mut alarms = 0;
    while begins.len() < 20 {
        let (wakes, _) = world.next_wake().unwrap();
        world.now = world.now.max(wakes);
        let hires = world.happens(Input::AlarmFired).hires;
        alarms += 1;
        let grants: Vec<_> = hires.into_iter().flat_map(|group| group.grants).collect();
        begins.extend(
            grants
                .iter()
                .map(|grant| grant.not_before.unwrap_or(world.now)),
        );
        for grant in &grants {
            world.now = world.now.max(grant.not_before.unwrap_or(world.now));
            settle(&mut world, grant, 200);
        }
        world.restart();
    }
    begins.sort();
    for two in begins.windows(2) {
        assert!(
            two[1].saturating_duration_since(two[0]) >= SECOND * 2,
            "{two:?}"
        );
    }
    assert!(alarms <= 10, "{alarms} alarms for 20 attempts");
}

#[test]
fn a_lease_that_lies_ahead_is_granted_to_who_can_wait_for_it() {
    let mut world = with(|settings| settings.pace.rate_limit = RateLimit::parse("1"));
    for (number, ahead_ms, is_leased) in [(1, 0, false), (2, 999, false), (3, 1000, true)] {
        let command = WebhookCommand::Accept {
            events: vec![event(number, 1)],
            leases: 1,
            ahead_ms,
            keys_revision: None,
        };
        let grants = take(world.ask(command).unwrap());
        assert_eq!(grants.len(), usize::from(is_leased), "{ahead_ms} ms");
        if let Some(grant) = grants.first() {
            assert_eq!(grant.not_before, Some(world.now.saturating_add(SECOND)));
        }
    }
}

#[test]
fn a_paused_webhook_keeps_what_it_accepts_and_goes_on_when_it_is_enabled() {
    let mut world = with(|settings| settings.paused = true);
    assert!(world.lease(1).is_empty());
    world.now = world.now.saturating_add(SECOND * 3600);
    assert!(world.next_wake().is_none());
    assert_eq!(world.read(1).delivery.status(), Status::Pending);
    let resumed = Settings {
        revision: 3,
        ..settings(world.now)
    };
    world.ask(WebhookCommand::Apply(Box::new(resumed))).unwrap();
    assert_eq!(
        world.next_wake().unwrap().0,
        world.read(1).next_attempt_at().unwrap()
    );
    assert_eq!(world.happens(Input::AlarmFired).hires.len(), 1);
}

#[test]
fn what_a_paused_webhook_keeps_waiting_is_kept_for_the_retention_and_no_longer() {
    let mut world = with(|settings| settings.paused = true);
    world.accept_unleased(1);
    let day = SECOND * 86_400;
    world.now = world.now.saturating_add(world.policy.retention);
    world.ask(WebhookCommand::LookAtAlarm).unwrap();
    assert!(world.find(1).is_some());
    world.now = world.now.saturating_add(day);
    world.ask(WebhookCommand::LookAtAlarm).unwrap();
    assert!(world.find(1).is_none());
    let WebhookReply::Gauges { pending, .. } = world.ask(WebhookCommand::Gauges).unwrap() else {
        panic!("no gauges");
    };
    assert_eq!(pending, 0);
}

#[test]
fn sending_now_makes_a_retry_due_whose_schedule_goes_on_from_there() {
    let mut world = World::start();
    let mut leased = world.lease(1);
    for status in [500, 500] {
        tell(&mut world, &leased[0], status);
        let asked = world.ask(WebhookCommand::SendNow { id: id(1) }).unwrap();
        assert!(matches!(asked, WebhookReply::Delivery(_)));
        assert_eq!(world.read(1).next_attempt_at(), Some(world.now));
        leased = world.happens(Input::AlarmFired).hires.remove(0).grants;
        let under_way = world.ask(WebhookCommand::SendNow { id: id(1) }).unwrap();
        assert!(matches!(
            under_way,
            WebhookReply::Refused(Refusal::AttemptUnderWay)
        ));
    }
    assert_eq!(leased[0].lease.attempt, 3);
    tell(&mut world, &leased[0], 500);
    let due = world.now.saturating_add(SECOND * 30 * 60);
    assert_eq!(world.read(1).next_attempt_at(), Some(due), "the third step");
    tell(&mut world, &leased[0], 200);
    world.ask(WebhookCommand::Cancel { id: id(1) }).unwrap();
    let settled = world.ask(WebhookCommand::SendNow { id: id(1) }).unwrap();
    assert!(matches!(
        settled,
        WebhookReply::Refused(Refusal::AlreadySettled)
    ));
}

#[test]
fn sending_now_is_refused_while_the_webhook_is_disabled_and_sends_what_was_held_afterwards() {
    let mut world = with(|settings| settings.enabled = false);
    world.lease(1);
    let disabled = world.ask(WebhookCommand::SendNow { id: id(1) }).unwrap();
    assert!(matches!(
        disabled,
        WebhookReply::Refused(Refusal::WebhookDisabled)
    ));
    assert_eq!(world.read(1).delivery.status(), Status::Held);
    let enabled = Settings {
        revision: 3,
        ..settings(world.now)
    };
    world.ask(WebhookCommand::Apply(Box::new(enabled))).unwrap();
    world.ask(WebhookCommand::SendNow { id: id(1) }).unwrap();
    assert_eq!(
        ids(&world.happens(Input::AlarmFired).hires[0].grants),
        [id(1)]
    );
}

#[test]
fn a_bulk_resend_of_what_is_pending_makes_each_retry_due_at_once() {
    let mut world = World::start();
    for number in 1..=3 {
        let leased = world.lease(number);
        tell(&mut world, &leased[0], if number == 3 { 200 } else { 500 });
    }
    let command = WebhookCommand::StartResend {
        id: ResendId::mint(world.now, bytes_of(9)),
        selection: Selection::of(Status::Pending),
    };
    let WebhookReply::BulkResend(started) = world.ask(command).unwrap() else {
        panic!("it is refused");
    };
    assert_eq!(
        (started.total, started.status),
        (2, BulkResendStatus::Running)
    );
    let grants = world.happens(Input::AlarmFired).hires.remove(0).grants;
    assert_eq!(ids(&grants), [id(1), id(2)]);
    for grant in &grants {
        assert_eq!(grant.lease.attempt, 2);
        tell(&mut world, grant, 200);
    }
    let id = started.id;
    let WebhookReply::BulkResend(ended) = world.ask(WebhookCommand::ReadResend { id }).unwrap()
    else {
        panic!("it is refused");
    };
    assert_eq!(
        (ended.status, ended.delivered),
        (BulkResendStatus::Finished, 2)
    );
}

#[test]
fn a_retry_after_with_429_outlives_the_memory_and_ends_when_somebody_sends_now() {
    let mut world = World::start();
    let leased = world.lease(1);
    world.accept_unleased(2);
    let mut busy = report(&leased[0], 429, world.now);
    busy.retry_after_ms = Some(600_000);
    ask_for(&mut world, busy, 0);
    let until = world.now.saturating_add(SECOND * 600);
    world.tell();
    world.restart();
    assert_eq!(world.next_wake().unwrap().0, until);
    assert!(world.happens(Input::AlarmFired).hires.is_empty());
    world.ask(WebhookCommand::SendNow { id: id(2) }).unwrap();
    assert_eq!(
        ids(&world.happens(Input::AlarmFired).hires[0].grants),
        [id(2)]
    );
}

#[test]
fn a_delivery_keeps_its_schedule_in_a_segment_and_in_the_next_life() {
    let mut world = with(|settings| {
        settings.pace.retry_schedule = RetrySchedule::parse("7s,2h").ok();
    });
    let leased = world.lease(1);
    world.restart();
    let usual = Settings {
        revision: 3,
        ..settings(world.now)
    };
    world.ask(WebhookCommand::Apply(Box::new(usual))).unwrap();
    tell(&mut world, &leased[0], 500);
    let due = world.now.saturating_add(SECOND * 7);
    assert_eq!(world.read(1).next_attempt_at(), Some(due));
}

#[test]
fn lateness_says_since_when_something_is_due_that_waits() {
    let mut world = with(|settings| settings.pace = ordered_pace());
    let lateness = |world: &mut World| match world.ask(WebhookCommand::Gauges).unwrap() {
        WebhookReply::Gauges { lateness, .. } => lateness,
        other => panic!("{other:?}"),
    };
    let leased = world.lease(1);
    let one = lateness(&mut world);
    assert_eq!((one.width, one.under_way, one.oldest_due_at), (1, 1, None));
    let accepted_at = world.now;
    world.accept_unleased(2);
    settle(&mut world, &leased[0], 500);
    world.now = world.now.saturating_add(SECOND);
    let late = lateness(&mut world);
    assert_eq!((late.under_way, late.oldest_due_at), (0, Some(accepted_at)));
}

fn ordered_pace() -> Pace {
    Pace {
        ordered: true,
        ..Pace::default()
    }
}

fn ordered() -> World {
    with(|settings| settings.pace = ordered_pace())
}

/// A webhook whose settings were changed.
fn with(change: impl FnOnce(&mut Settings)) -> World {
    let mut world = World::start();
    let mut settings = Settings {
        revision: 2,
        ..settings(world.now)
    };
    change(&mut settings);
    world
        .ask(WebhookCommand::Apply(Box::new(settings)))
        .unwrap();
    world
}

fn ids(grants: &[Grant]) -> Vec<DeliveryId> {
    grants.iter().map(|grant| grant.id.clone()).collect()
}

fn take(reply: WebhookReply) -> Vec<Grant> {
    match reply {
        WebhookReply::Accepted { grants, .. } | WebhookReply::Granted(grants) => grants,
        other => panic!("{other:?}"),
    }
}

/// Reports an attempt; returns the leases of the answer.
fn tell(world: &mut World, grant: &Grant, status: u16) -> Vec<Grant> {
    let report = report(grant, status, world.now);
    take(ask_for(world, report, 6))
}

/// The same, by a sender that does not go on.
fn settle(world: &mut World, grant: &Grant, status: u16) {
    let report = report(grant, status, world.now);
    ask_for(world, report, 0);
}

fn ask_for(world: &mut World, report: AttemptReport, leases: usize) -> WebhookReply {
    let command = WebhookCommand::Report {
        unused: Vec::new(),
        reports: vec![report],
        leases,
        ahead_ms: 0,
    };
    world.ask(command).unwrap()
}
