//! The machine of one workspace on SQLite and a virtual clock: what is stored, who is told when, what is answered.

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

mod world;

mod access;

mod kv;

mod secrets;

use webhook_relay::{
    domain::idempotency_key::Creation,
    machines::{
        messages::{Refusal, WorkspaceCommand, WorkspaceReply},
        workspace::{Fault, Input, wake::Reason},
    },
};
use world::{
    World, create_key, create_webhook, describe, idempotent, is_done, is_refused, key, select,
    settings, shown, told, webhook,
};

#[test]
fn without_a_workspace_every_command_is_refused_and_nobody_is_told() {
    let mut world = World::without_workspace();
    for command in [WorkspaceCommand::Read, create_webhook(1, None)] {
        let (call, outputs) = world.begin(command);
        assert!(outputs.tells.is_empty() && outputs.put.is_none() && outputs.arm.is_none());
        let (answered, answer) = &outputs.answers[0];
        assert!(*answered == call && is_refused(answer, Refusal::NoWorkspace));
    }
}

#[test]
fn a_change_is_stored_together_with_what_must_be_told() {
    let mut world = World::start();
    let (_, outputs) = world.begin(create_webhook(1, None));
    assert!(outputs.answers.is_empty(), "its object has not answered");
    assert_eq!(outputs.arm, Some(world.after(5)));
    world.restart();
    world.fire().unwrap();
    assert_eq!(world.told.len(), 1, "the alarm tells what nobody answered");
    assert_eq!(settings(&world.told[0]).unwrap().revision, 1);
    let put = world.puts[0].1.snapshot.as_ref().unwrap();
    assert_eq!(put.webhooks[0].id, webhook(1));
}

#[test]
fn a_webhook_s_object_is_told_before_kv() {
    let mut world = World::start();
    world.with_webhook(1);
    let (call, outputs) = world.begin(create_webhook(2, None));
    assert!(outputs.put.is_none());
    let outputs = world.happens(told(&outputs.tells[0], true));
    assert!(outputs.put.is_some() && outputs.answers.is_empty());
    let (created, is_applied) = shown(world.finish(call, outputs));
    assert!(is_applied && created.id == webhook(2));
}

#[test]
fn kv_is_told_when_the_last_webhook_s_object_has_answered() {
    let mut world = World::start();
    world.with_webhook(1);
    world.with_webhook(2);
    world.ask(create_key(1)).unwrap();
    world.be_quiet();
    let (_, outputs) = world.begin(WorkspaceCommand::RevokeKey { id: key(1).id });
    let [first, second] = &outputs.tells[..] else {
        panic!("both are told");
    };
    assert!(world.happens(told(first, true)).put.is_none());
    assert!(world.happens(told(second, true)).put.is_some());
}

#[test]
fn after_a_statement_that_fails_nothing_of_the_change_is_there() {
    let mut world = World::start();
    world.with_webhook(1);
    assert!(matches!(
        world.ask(create_key(1)),
        Ok(WorkspaceReply::Keys(_))
    ));
    let before = world.workspace();
    world.be_quiet();
    for command in [
        create_webhook(2, None),
        select(1, "alert.triggered"),
        WorkspaceCommand::DeleteWebhook { id: webhook(1) },
        WorkspaceCommand::RevokeKey { id: key(1).id },
        WorkspaceCommand::Delete,
    ] {
        world.engine.fail("INTO outbox", 0, 1);
        let answer = world.ask(command);
        assert!(matches!(answer, Err(Fault::Storage(_))), "{answer:?}");
        assert_eq!(world.workspace(), before);
        let webhooks = world.webhooks();
        assert_eq!(webhooks.len(), 1);
        assert_eq!(webhooks[0].settings.events, ["agent.error"]);
        let keys = world.ask(WorkspaceCommand::ListKeys);
        assert!(matches!(keys, Ok(WorkspaceReply::Keys(keys)) if keys.len() == 1));
        assert_eq!(world.next_wake(), None, "nobody has to be told");
    }
    assert!(world.told.is_empty() && world.puts.is_empty());
}

#[test]
fn a_webhook_s_object_that_does_not_answer_is_told_again_after_5_s_doubling_to_60_s() {
    let mut world = World::start();
    world.answers = false;
    let changed = world.now;
    assert!(!shown(world.ask(create_webhook(1, None))).1);
    let mut rounds = vec![changed];
    for _ in 0..7 {
        assert!(is_done(&world.fire(), false));
        rounds.push(world.now);
    }
    let waits: Vec<_> = rounds
        .windows(2)
        .map(|pair| pair[1].saturating_duration_since(pair[0]).as_secs())
        .collect();
    assert_eq!(waits, [5, 5, 10, 20, 40, 60, 60]);
    world.answers = true;
    assert!(is_done(&world.fire(), true));
    assert_eq!(world.next_wake(), None);
    world.answers = false;
    assert!(!shown(world.ask(describe(1))).1);
    for _ in 0..2 {
        assert!(is_done(&world.fire(), false));
    }
    assert_eq!(
        world.alarm,
        Some(world.after(10)),
        "it begins again with 5 s"
    );
}

#[test]
fn what_is_told_again_is_the_present_state() {
    let mut world = World::start();
    world.with_webhook(1);
    world.answers = false;
    assert!(!shown(world.ask(describe(1))).1);
    assert!(!shown(world.ask(select(1, "alert.triggered"))).1);
    world.told.clear();
    world.answers = true;
    assert!(is_done(&world.fire(), true));
    assert_eq!(world.told.len(), 1);
    assert_eq!(
        settings(&world.told[0]).unwrap().events,
        ["alert.triggered"]
    );
}

#[test]
fn an_answer_to_an_older_change_ends_no_newer_one() {
    let mut world = World::start();
    world.with_webhook(1);
    let (_, first) = world.begin(describe(1));
    let (newer, second) = world.begin(select(1, "alert.triggered"));
    let outputs = world.happens(told(&first.tells[0], true));
    assert!(outputs.answers.is_empty() && outputs.put.is_some());
    let outputs = world.happens(told(&second.tells[0], false));
    assert!(!shown(world.finish(newer, outputs)).1);
    assert_eq!(
        world.next_wake().map(|(_, reason)| reason),
        Some(Reason::Untold)
    );
}

#[test]
fn what_a_webhook_s_object_has_but_could_not_be_recorded_is_told_again() {
    let mut world = World::start();
    world.with_webhook(1);
    world.engine.fail("DELETE FROM outbox", 0, 1);
    assert!(!shown(world.ask(describe(1))).1);
    assert!(is_done(&world.fire(), true));
    assert_eq!(world.told.len(), 2);
}

#[test]
fn without_an_alarm_there_is_no_answer_but_a_fault() {
    let mut world = World::start();
    let (call, _) = world.begin(create_webhook(1, None));
    let failed = world.happens(Input::Failed);
    assert!(matches!(failed.answers[..], [(answered, Err(Fault::NotArmed))] if answered == call));
    assert_eq!(failed.arm, Some(world.after(5)), "it is tried again");
}

#[test]
fn an_alarm_that_cannot_read_is_tried_again() {
    let mut world = World::start();
    world.with_webhook(1);
    world.answers = false;
    assert!(!shown(world.ask(describe(1))).1);
    world.engine.fail("SELECT", 0, 1);
    assert!(matches!(world.fire(), Err(Fault::Storage(_))));
    assert_eq!(world.alarm, Some(world.after(5)));
}

#[test]
fn an_alarm_that_the_platform_gave_up_holds_up_no_later_one() {
    let mut world = World::start();
    world.begin(create_webhook(1, None));
    let given_up = world.happens(Input::AlarmFired(100));
    assert!(given_up.answers.is_empty() && given_up.tells.len() == 1);
    let next = world.happens(Input::AlarmFired(101));
    assert!(matches!(next.answers[..], [(100, _)]));
    assert!(is_done(&world.finish(101, next), true));
    assert_eq!(world.next_wake(), None);
}

#[test]
fn two_creations_with_one_idempotency_key_make_one_webhook() {
    let mut world = World::start();
    let creation = idempotent(Creation::Webhook, "a");
    let (first, _) = shown(world.ask(create_webhook(1, Some(creation.clone()))));
    let (again, is_applied) = shown(world.ask(create_webhook(2, Some(creation.clone()))));
    assert!(is_applied && again.id == first.id);
    let other = world.ask(create_webhook(3, Some(idempotent(Creation::Webhook, "b"))));
    assert!(is_refused(&other, Refusal::IdempotencyMismatch));
    let mut answered = creation.clone();
    answered.answer = Some("encrypted".into());
    assert!(is_done(
        &world.ask(WorkspaceCommand::KeepAnswer(answered)),
        true
    ));
    let kept = world.ask(create_webhook(4, Some(creation.clone())));
    assert!(matches!(kept, Ok(WorkspaceReply::Answered { answer }) if answer == "encrypted"));
    assert_eq!(world.webhooks().len(), 1);
    world.pass(24 * 3600);
    let (later, _) = shown(world.ask(create_webhook(5, Some(creation))));
    assert_eq!(later.id, webhook(5), "a day later it is another creation");
}

#[test]
fn a_deleted_workspace_tells_all_its_webhooks_and_is_deleted_from_kv() {
    let mut world = World::start();
    world.with_webhook(1);
    world.with_webhook(2);
    world.ask(create_key(1)).unwrap();
    world.be_quiet();
    assert!(is_done(&world.ask(WorkspaceCommand::Delete), true));
    let told: Vec<_> = world.told.iter().map(|tell| &tell.webhook).collect();
    assert_eq!(told, [&webhook(1), &webhook(2)]);
    assert!(world.told.iter().all(|tell| settings(tell).is_none()));
    assert!(world.puts[0].1.snapshot.is_none());
    assert_eq!((world.rows("webhooks"), world.rows("api_keys")), (0, 0));
    let read = world.ask(WorkspaceCommand::Read);
    assert!(is_refused(&read, Refusal::NoWorkspace));
    let again = world.ask(world::create());
    assert!(is_refused(&again, Refusal::WorkspaceDeleted));
}

#[test]
fn a_deletion_is_done_only_when_everybody_has_been_told() {
    let mut world = World::start();
    world.with_webhook(1);
    world.kv_takes = false;
    assert!(is_done(&world.ask(WorkspaceCommand::Delete), false));
    world.kv_takes = true;
    assert!(is_done(&world.fire(), true));
}

#[test]
fn webhooks_look_at_their_alarms_before_the_daily_walk_goes_on() {
    let mut world = World::start();
    world.with_webhook(1);
    let (call, outputs) = world.begin(WorkspaceCommand::LookAtAlarms);
    assert!(outputs.answers.is_empty());
    assert_eq!(outputs.look_at_alarms.unwrap().webhooks, [webhook(1)]);
    let looked = world.happens(Input::AlarmsLookedAt(call));
    assert!(is_done(&looked.answers[0].1, true));
}

#[test]
fn the_daily_walk_arms_an_alarm_that_was_lost_though_everybody_has_been_told() {
    let mut world = World::start();
    world.begin(create_key(1));
    world.restart();
    world.fire().unwrap();
    let (again_at, reason) = world.next_wake().unwrap();
    assert_eq!(reason, Reason::PutAgain);
    world.restart();
    let (_, outputs) = world.begin(WorkspaceCommand::LookAtAlarms);
    assert_eq!(outputs.arm, Some(again_at));
}

#[test]
fn an_alarm_that_the_platform_has_lost_is_armed_by_the_first_command_of_the_next_life() {
    let mut world = World::start();
    world.answers = false;
    assert!(!shown(world.ask(create_webhook(1, None))).1);
    world.restart();
    world.alarm = None;
    let (_, outputs) = world.begin(WorkspaceCommand::Read);
    assert_eq!(outputs.arm, Some(world.after(5)));
    let (_, outputs) = world.begin(WorkspaceCommand::Read);
    assert_eq!(outputs.arm, None, "reading changes nothing");
}
