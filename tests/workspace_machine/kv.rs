//! KV: what is put when, and how long a call waits for it.

use webhook_relay::machines::{
    messages::WorkspaceCommand,
    workspace::{Fault, Input, wake::Reason},
};

use crate::world::{
    World, create_key, create_webhook, describe, is_done, put_ended, select, shown, told, webhook,
};

#[test]
fn one_put_is_under_way_at_a_time_and_puts_begin_a_second_apart() {
    let mut world = World::start();
    let (_, first) = world.begin(create_key(1));
    let (second, waiting) = world.begin(create_key(2));
    assert!(waiting.put.is_none(), "one is under way");
    let put = first.put.unwrap();
    let began = world.now;
    let ended = world.happens(put_ended(&put, true));
    assert_eq!(ended.answers.len(), 1, "the first has what it waits for");
    assert!(ended.put.is_none(), "not within a second");
    assert_eq!(ended.timer, Some(world.after(1)));
    let answer = world.finish(second, ended);
    assert!(answer.is_ok());
    assert_eq!(world.puts.len(), 1);
    assert_eq!(
        world.puts[0].0,
        began.saturating_add(std::time::Duration::from_secs(1))
    );
    assert_eq!(world.puts[0].1.snapshot.as_ref().unwrap().keys.len(), 2);
}

#[test]
fn a_webhook_is_answered_before_kv_has_it_unless_another_selects_one_of_its_types() {
    let mut world = World::start();
    let (call, outputs) = world.begin(create_webhook(1, None));
    let answered = world.happens(told(&outputs.tells[0], true));
    assert!(matches!(answered.answers[..], [(one, Ok(_))] if one == call));
    let put = answered.put.unwrap();
    world.happens(put_ended(&put, true));
    let (_, outputs) = world.begin(create_webhook(2, None));
    let waiting = world.happens(told(&outputs.tells[0], true));
    assert!(
        waiting.answers.is_empty(),
        "a copy may know the first alone"
    );
    world.pass(1);
    let next = world.happens(Input::TimerFired).put.unwrap();
    assert_eq!(next.snapshot.as_ref().unwrap().webhooks.len(), 2);
    let ended = world.happens(put_ended(&next, true));
    assert_eq!(ended.answers.len(), 1);
}

#[test]
fn a_webhook_waits_for_kv_that_may_know_a_deleted_one_of_its_types() {
    let mut world = World::start();
    world.with_webhook(1);
    let (_, deleting) = world.begin(WorkspaceCommand::DeleteWebhook { id: webhook(1) });
    let put = world.happens(told(&deleting.tells[0], true)).put.unwrap();
    let (call, outputs) = world.begin(create_webhook(2, None));
    let waiting = world.happens(told(&outputs.tells[0], true));
    assert!(waiting.answers.is_empty(), "KV has the first still");
    let ended = world.happens(put_ended(&put, true));
    assert!(ended.answers.iter().all(|(one, _)| *one != call));
    assert!(shown(world.finish(call, ended)).1);
    assert_eq!(world.puts.len(), 1);
}

#[test]
fn what_no_call_waits_for_is_put_a_second_after_the_last_put_or_by_the_alarm() {
    for restarts in [false, true] {
        let mut world = World::start();
        world.ask(create_key(1)).unwrap();
        let (_, outputs) = world.begin(create_webhook(1, None));
        let answered = world.happens(told(&outputs.tells[0], true));
        assert!(answered.put.is_none() && answered.answers.len() == 1);
        assert_eq!(answered.timer, Some(world.after(1)));
        if restarts {
            world.restart();
            assert!(is_done(&world.fire(), true));
        } else {
            world.pass(1);
            let put = world.happens(Input::TimerFired).put.unwrap();
            assert_eq!(put.snapshot.as_ref().unwrap().webhooks.len(), 1);
        }
    }
}

#[test]
fn a_call_waits_at_most_5_s_for_kv() {
    let mut world = World::start();
    let (call, outputs) = world.begin(create_key(1));
    assert_eq!(outputs.timer, Some(world.after(5)));
    world.pass(4);
    assert!(world.happens(Input::TimerFired).answers.is_empty());
    world.pass(1);
    let answered = world.happens(Input::TimerFired);
    assert!(matches!(answered.answers[..], [(one, Ok(_))] if one == call));
    assert_eq!(answered.timer, Some(world.after(25)), "the put goes on");
    let put = outputs.put.unwrap();
    world.happens(put_ended(&put, true));
    assert!(is_done(&world.fire(), true));
    assert!(world.puts.is_empty(), "KV has it");
}

#[test]
fn after_a_put_that_takes_too_long_the_present_content_is_put_and_again_60_s_later() {
    let mut world = World::start();
    let (_, slow) = world.begin(create_key(1));
    let slow = slow.put.unwrap();
    world.begin(create_key(2));
    world.pass(30);
    let given_up = world.happens(Input::TimerFired);
    assert!(matches!(given_up.fault, Some(Fault::SlowPut)));
    let next = given_up.put.expect("nobody knows what KV has");
    assert_eq!(next.snapshot.as_ref().unwrap().keys.len(), 2);
    let late = world.happens(put_ended(&slow, true));
    assert!(
        late.put.is_none() && late.answers.is_empty(),
        "its end says nothing"
    );
    let again_at = world.after(60);
    let ended = world.happens(put_ended(&next, true));
    assert_eq!(ended.arm, Some(again_at));
    assert_eq!(world.next_wake(), Some((again_at, Reason::PutAgain)));
    world.let_alarms_run();
    assert_eq!(world.puts.len(), 1);
    assert_eq!(world.puts[0].0, again_at);
    assert_eq!(world.next_wake(), None);
}

#[test]
fn a_put_that_an_earlier_life_may_have_begun_is_followed_by_two() {
    let mut world = World::start();
    let (_, outputs) = world.begin(create_key(1));
    assert!(outputs.put.is_some());
    world.restart();
    world.let_alarms_run();
    let times: Vec<_> = world.puts.iter().map(|(time, _)| *time).collect();
    assert_eq!(times.len(), 2);
    assert_eq!(times[1].saturating_duration_since(times[0]).as_secs(), 60);
}

#[test]
fn a_put_that_fails_holds_up_nobody_and_is_repeated_by_the_alarm() {
    let mut world = World::start();
    world.kv_takes = false;
    let before = world.now;
    assert!(shown(world.ask(create_webhook(1, None))).1);
    assert_eq!(world.now, before);
    assert!(is_done(&world.fire(), false));
    world.kv_takes = true;
    assert!(is_done(&world.fire(), true));
    assert_eq!(world.puts.len(), 3);
    // The puts that failed may still arrive.
    world.let_alarms_run();
    assert_eq!(world.puts.len(), 4);
    assert_eq!(world.next_wake(), None);
}

#[test]
fn while_kv_refuses_what_has_to_be_put_again_waits_for_the_next_round() {
    let mut world = World::start();
    world.begin(create_key(1));
    world.restart();
    assert!(is_done(&world.fire(), true), "it is put in doubt");
    world.kv_takes = false;
    while world.puts.len() < 2 {
        let _ = world.fire();
    }
    assert_eq!(world.alarm, Some(world.after(5)));
    assert!(is_done(&world.fire(), false));
    assert_eq!(world.alarm, Some(world.after(10)));
}

#[test]
fn a_change_that_kv_does_not_hold_puts_nothing() {
    let mut world = World::start();
    world.with_webhook(1);
    assert!(shown(world.ask(describe(1))).1);
    world.let_alarms_run();
    assert!(world.puts.is_empty());
    assert!(shown(world.ask(select(1, "alert.triggered"))).1);
    assert_eq!(world.puts.len(), 1);
}

#[test]
fn what_kv_has_but_could_not_be_recorded_is_put_again() {
    let mut world = World::start();
    world.engine.fail("DELETE FROM outbox", 0, 1);
    let renamed = world.ask(WorkspaceCommand::Rename {
        name: "Other".into(),
    });
    assert!(renamed.is_ok());
    assert!(is_done(&world.fire(), true));
    assert_eq!(world.puts.len(), 2);
}
