//! The machine of one webhook on SQLite and a virtual clock: what is answered when, and what is asked for.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "what is not as expected has to end the test"
)]

#[path = "../engine/mod.rs"]
mod engine;

mod alarms;

mod health;

mod log;

mod overload;

mod pace;

mod resends;

mod settings;

mod storage;

mod width;

mod world;

use std::{rc::Rc, time::Duration};

use engine::Engine;
use webhook_relay::{
    domain::{
        delivery::{State, Status},
        record::DeliveryFilter,
        webhook::Settings,
    },
    machines::{
        messages::{Refusal, WebhookCommand, WebhookReply},
        webhook::{Fault, Input},
    },
};
use world::{World, accept, accepted, event, id, report, settings};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn without_settings_every_command_is_refused_and_writes_nothing() {
    let mut world = World::without_settings();
    for command in [
        WebhookCommand::Gauges,
        WebhookCommand::List(DeliveryFilter::default()),
        accept(vec![event(1, 100)], 1),
    ] {
        let reply = world.ask(command);
        assert!(matches!(
            reply,
            Ok(WebhookReply::Refused(Refusal::NoWebhook))
        ));
    }
    assert_eq!(world.tables(), 0);
}

#[test]
fn an_accepted_event_is_stored_before_it_is_answered() {
    let mut world = World::start();
    let outputs = world.happens(Input::Command(1, accept(vec![event(1, 100)], 1)));
    let (_, grants) = accepted(outputs.answers[0].1.as_ref().unwrap());
    assert_eq!(grants.len(), 1);
    world.restart();
    assert_eq!(world.read(1).delivery.status(), Status::Pending);
}

#[test]
fn events_that_arrive_while_others_are_under_way_share_one_flush() {
    let mut world = World::start();
    world.keep_busy(5);
    let first = world.happens(Input::Command(101, accept(vec![event(101, 100)], 6)));
    let second = world.happens(Input::Command(102, accept(vec![event(102, 100)], 6)));
    assert!(first.answers.is_empty() && second.answers.is_empty());
    assert!(first.sync && !second.sync, "one of them is enough");
    let flushed = world.happens(Input::Safe);
    let calls: Vec<_> = flushed.answers.iter().map(|(call, _)| *call).collect();
    assert_eq!(calls, [101, 102]);
    let (_, grants) = accepted(flushed.answers[0].1.as_ref().unwrap());
    assert_eq!(grants.len(), 2, "the first one takes the leases of both");
}

#[test]
fn what_one_statement_loses_is_answered_with_a_fault_to_all_who_wait_for_it() {
    let mut world = World::start();
    world.keep_busy(5);
    for call in [101, 102] {
        world.happens(Input::Command(call, accept(vec![event(call, 100)], 1)));
    }
    world.engine.fail("segments", 0, 1);
    let lost = world.happens(Input::Safe);
    assert_eq!(lost.answers.len(), 2);
    assert!(lost.answers.iter().all(|(_, answer)| answer.is_err()));
    world.restart();
    assert!(world.find(101).is_none() && world.find(102).is_none());
    assert_eq!(world.read(1).delivery.status(), Status::Pending);
}

#[test]
fn after_a_fault_memory_is_read_again_and_the_alarm_is_armed() {
    let mut world = World::start();
    world.accept_unleased(1);
    world.engine.fail("INSERT", 0, 1);
    let outputs = world.happens(Input::Command(9, WebhookCommand::Cancel { id: id(1) }));
    assert!(matches!(outputs.answers[0], (9, Err(Fault::Storage(_)))));
    assert_eq!(outputs.arm, Some(world.now), "what is due is still due");
    assert_eq!(world.read(1).delivery.status(), Status::Pending);
}

#[test]
fn without_an_alarm_there_is_no_answer_but_a_fault() {
    let mut world = World::start();
    world.keep_busy(5);
    world.happens(Input::Command(101, accept(vec![event(101, 100)], 1)));
    let failed = world.happens(Input::Failed);
    assert!(matches!(failed.answers[0], (101, Err(Fault::Lost))));
    assert!(failed.arm.is_some(), "it is tried again");
}

#[test]
fn an_alarm_hires_a_sender_for_each_six_deliveries_that_are_due() {
    let mut world = World::start();
    for number in 1..=13 {
        world.accept_unleased(number);
    }
    let alarm = world.happens(Input::AlarmFired);
    let sizes: Vec<_> = alarm.hires.iter().map(|hire| hire.grants.len()).collect();
    assert_eq!(sizes, [6, 6, 1]);
    assert!(
        alarm.hires[0]
            .grants
            .iter()
            .all(|grant| grant.payload.is_some())
    );
    world.restart();
    assert!(
        matches!(world.read(13).delivery.state(), State::Leased { .. }),
        "a lease is stored before its Sender is hired"
    );
}

#[test]
fn a_statement_that_fails_after_the_leases_are_stored_keeps_no_sender_from_being_hired() {
    let mut world = World::start();
    world.accept_unleased(1);
    world.engine.fail("SELECT EXISTS", 0, 1);
    let alarm = world.happens(Input::AlarmFired);
    assert!(matches!(alarm.fault, Some(Fault::Storage(_))));
    assert_eq!(alarm.hires.len(), 1);
    assert_eq!(
        alarm.arm,
        Some(world.now.saturating_add(SECOND * 10)),
        "what is left to do is done then"
    );
}

#[test]
fn never_more_leases_are_out_than_allowed_and_a_full_width_wakes_nobody() {
    let mut world = World::start();
    for number in 1..=60 {
        world.accept_unleased(number);
    }
    let alarm = world.happens(Input::AlarmFired);
    let leased: usize = alarm.hires.iter().map(|hire| hire.grants.len()).sum();
    assert_eq!(leased, 50);
    let ends = world.now.saturating_add(world.policy.lease_length());
    assert_eq!(
        alarm.arm,
        Some(ends),
        "only the end of a lease changes anything"
    );
    let again = world.happens(Input::AlarmFired);
    assert!(again.hires.is_empty());
}

#[test]
fn a_refused_hire_costs_no_lost_lease_and_is_tried_again_a_second_later() {
    let mut world = World::start();
    world.accept_unleased(1);
    let alarm = world.happens(Input::AlarmFired);
    let grant = &alarm.hires[0].grants[0];
    let refused = world.happens(Input::HiresAnswered {
        hired: 0,
        failed: 1,
        unused: vec![(grant.id.clone(), grant.lease)],
    });
    let delivery = world.read(1).delivery;
    assert!(matches!(delivery.state(), State::Scheduled { .. }));
    assert_eq!(delivery.lost_leases(), 0);
    assert_eq!(refused.arm, Some(world.now.saturating_add(SECOND)));
    world.now = world.now.saturating_add(SECOND);
    assert_eq!(world.happens(Input::AlarmFired).hires.len(), 1);
}

#[test]
fn after_three_refused_rounds_the_alarm_makes_attempts_itself() {
    let mut world = World::start();
    world.accept_unleased(1);
    for _ in 0..3 {
        let alarm = world.happens(Input::AlarmFired);
        let grant = &alarm.hires[0].grants[0];
        let refused = world.happens(Input::HiresAnswered {
            hired: 0,
            failed: 1,
            unused: vec![(grant.id.clone(), grant.lease)],
        });
        world.now = refused.arm.unwrap();
    }
    let alarm = world.happens(Input::AlarmFired);
    assert!(alarm.hires.is_empty());
    let (group, _) = alarm.attempts.expect("it makes the attempt itself");
    assert_eq!(group.grants.len(), 1);
}

#[test]
fn a_report_without_further_leases_waits_20_ms_to_be_flushed_with_others() {
    let mut world = World::start();
    let granted = world.lease(1);
    let reports = vec![report(&granted[0], 200, world.now)];
    let command = WebhookCommand::Report {
        unused: Vec::new(),
        reports,
        leases: 0,
        ahead_ms: 0,
    };
    let outputs = world.happens(Input::Command(9, command));
    assert!(outputs.answers.is_empty());
    let due = world.now.saturating_add(Duration::from_millis(20));
    assert_eq!(outputs.timer, Some(due));
    world.now = due;
    let flushed = world.happens(Input::TimerFired);
    assert!(matches!(
        flushed.answers[0],
        (9, Ok(WebhookReply::Granted(_)))
    ));
    world.restart();
    assert_eq!(world.read(1).delivery.status(), Status::Delivered);
}

#[test]
fn a_report_that_asks_for_leases_brings_the_flush_forward() {
    let mut world = World::start();
    world.accept_unleased(3);
    let granted = [world.lease(1), world.lease(2)];
    let reported = |world: &mut World, number: usize, leases| {
        let reports = vec![report(&granted[number][0], 200, world.now)];
        let call = u64::try_from(number).unwrap();
        world.happens(Input::Command(
            call,
            WebhookCommand::Report {
                unused: Vec::new(),
                reports,
                leases,
                ahead_ms: 0,
            },
        ))
    };
    reported(&mut world, 0, 0);
    let sooner = world.now.saturating_add(Duration::from_millis(3));
    assert_eq!(reported(&mut world, 1, 1).timer, Some(sooner));
    world.now = sooner;
    let flushed = world.happens(Input::TimerFired);
    let calls: Vec<_> = flushed.answers.iter().map(|(call, _)| *call).collect();
    assert_eq!(calls, [0, 1]);
}

#[test]
fn eight_events_or_16_kibibytes_are_flushed_at_once_though_others_are_under_way() {
    let mut world = World::start();
    world.keep_busy(5);
    let many: Vec<_> = (101..=108).map(|number| event(number, 100)).collect();
    let large = vec![event(201, 16 * 1024)];
    for (call, events) in [(1, many), (2, large)] {
        let outputs = world.happens(Input::Command(call, accept(events, 1)));
        assert_eq!(outputs.answers.len(), 1, "{call}");
    }
}

#[test]
fn a_failing_delivery_is_attempted_six_times_on_schedule() {
    let mut world = World::start();
    world.accept_unleased(1);
    let mut begun = Vec::new();
    while let Some((due, _)) = world.next_wake() {
        world.now = world.now.max(due);
        let alarm = world.happens(Input::AlarmFired);
        for grant in alarm.hires.into_iter().flat_map(|hire| hire.grants) {
            begun.push(world.now);
            let reports = vec![report(&grant, 500, world.now)];
            let reported = world.ask(WebhookCommand::Report {
                unused: Vec::new(),
                reports,
                leases: 0,
                ahead_ms: 0,
            });
            assert!(matches!(reported, Ok(WebhookReply::Granted(_))));
        }
        if let Some(standing) = alarm.tell {
            world.happens(Input::Told {
                standing,
                is_answered: true,
            });
        }
        assert!(begun.len() <= 6);
        if world.read(1).delivery.is_settled() {
            break;
        }
    }
    let delays: Vec<_> = begun
        .windows(2)
        .map(|pair| pair[1].saturating_duration_since(pair[0]).as_secs())
        .collect();
    assert_eq!(delays, [60, 300, 1800, 7200, 28800]);
    assert_eq!(world.read(1).delivery.status(), Status::Failed);
}

#[test]
fn a_lease_without_a_report_is_taken_back_and_the_attempt_is_due_at_once() {
    let mut world = World::start();
    world.lease(1);
    let (ends, _) = world.next_wake().unwrap();
    world.now = ends;
    let alarm = world.happens(Input::AlarmFired);
    let grant = &alarm.hires[0].grants[0];
    assert_eq!((grant.lease.attempt, grant.lease.lease), (1, 2));
    assert!(
        !alarm.hires[0].goes_on,
        "its sender takes no neighbours along"
    );
}

#[test]
fn a_disabled_webhook_holds_what_falls_due_and_hires_nobody() {
    let mut world = World::start();
    world.accept_unleased(1);
    let disabled = Settings {
        revision: 2,
        status_revision: 2,
        enabled: false,
        ..settings(world.now)
    };
    world
        .ask(WebhookCommand::Apply(Box::new(disabled)))
        .unwrap();
    let alarm = world.happens(Input::AlarmFired);
    assert!(alarm.hires.is_empty());
    assert_eq!(world.read(1).delivery.status(), Status::Held);
}

#[test]
fn an_older_revision_of_the_settings_changes_nothing() {
    let mut world = World::start();
    let newer = Settings {
        revision: 5,
        url: "https://newer.example.com/".into(),
        ..settings(world.now)
    };
    world.ask(WebhookCommand::Apply(Box::new(newer))).unwrap();
    world
        .ask(WebhookCommand::Apply(Box::new(settings(world.now))))
        .unwrap();
    assert_eq!(world.lease(1)[0].url, "https://newer.example.com/");
}

#[test]
fn a_deleted_webhook_stays_deleted_whatever_settings_arrive_late() {
    let mut world = World::start();
    let outputs = world.happens(Input::Command(7, WebhookCommand::Delete { revision: 9 }));
    let (call, revision) = outputs.delete_all.unwrap();
    assert!(outputs.answers.is_empty(), "the rows are still there");
    world.engine = Rc::new(Engine::new());
    world.restart();
    let deleted = world.happens(Input::AllDeleted { call, revision });
    assert!(matches!(deleted.answers[0], (7, Ok(WebhookReply::Done))));
    world
        .ask(WebhookCommand::Apply(Box::new(settings(world.now))))
        .unwrap();
    let reply = world.ask(WebhookCommand::Gauges);
    assert!(matches!(
        reply,
        Ok(WebhookReply::Refused(Refusal::NoWebhook))
    ));
}

#[test]
fn the_workspace_is_told_a_standing_until_it_answers() {
    let mut world = World::start();
    let grants = world.lease(1);
    let gone = report(&grants[0], 410, world.now);
    world
        .ask(WebhookCommand::Report {
            unused: Vec::new(),
            reports: vec![gone],
            leases: 0,
            ahead_ms: 0,
        })
        .unwrap();
    let standing = world.happens(Input::AlarmFired).tell.unwrap();
    let told = Input::Told {
        standing: standing.clone(),
        is_answered: false,
    };
    let again = world.happens(told).arm.unwrap();
    assert_eq!(again, world.now.saturating_add(SECOND * 10));
    assert!(world.happens(Input::AlarmFired).tell.is_none(), "not yet");
    world.now = again;
    assert_eq!(
        world.happens(Input::AlarmFired).tell,
        Some(standing.clone())
    );
    world.happens(Input::Told {
        standing,
        is_answered: true,
    });
    world.now = world.now.saturating_add(SECOND * 100);
    assert!(world.happens(Input::AlarmFired).tell.is_none());
}
