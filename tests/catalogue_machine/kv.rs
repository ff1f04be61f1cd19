//! KV: what is put when, and how long a call waits for it.

use webhook_relay::machines::{
    catalogue::{Fault, Input},
    messages::{CatalogueCommand, CatalogueReply},
};

use crate::world::{World, changed, put, put_ended};

#[test]
fn a_change_is_answered_when_kv_has_it() {
    let mut world = World::start();
    let (call, outputs) = world.begin(put("a"));
    assert!(outputs.answers.is_empty());
    let put = outputs.put.unwrap();
    assert_eq!(put.catalogue.revision, 2);
    let ended = world.happens(put_ended(&put, true));
    assert!(matches!(ended.answers[..], [(answered, Ok(_))] if answered == call));
    world.let_alarms_run();
    assert_eq!(world.next_wake(), None);
}

#[test]
fn one_put_is_under_way_at_a_time_and_puts_begin_a_second_apart() {
    let mut world = World::start();
    let (_, first) = world.begin(put("a"));
    let (second, waiting) = world.begin(put("b"));
    assert!(waiting.put.is_none(), "one is under way");
    let ended = world.happens(put_ended(&first.put.unwrap(), true));
    assert_eq!(ended.answers.len(), 1, "the first has what it waits for");
    assert!(ended.put.is_none(), "not within a second");
    assert_eq!(ended.timer, Some(world.after(1)));
    changed(world.finish(second, ended));
    assert_eq!(world.puts.len(), 1);
    assert_eq!(world.puts[0].1.catalogue.types.len(), 6);
}

#[test]
fn a_call_waits_at_most_5_s_for_kv() {
    let mut world = World::start();
    let (call, outputs) = world.begin(put("a"));
    assert_eq!(outputs.timer, Some(world.after(5)));
    world.pass(5);
    let answered = world.happens(Input::TimerFired);
    assert!(matches!(answered.answers[..], [(one, Ok(_))] if one == call));
}

#[test]
fn after_a_put_that_takes_too_long_the_present_content_is_put_and_again_60_s_later() {
    let mut world = World::start();
    let (_, slow) = world.begin(put("a"));
    world.begin(put("b"));
    world.pass(30);
    let given_up = world.happens(Input::TimerFired);
    assert!(matches!(given_up.fault, Some(Fault::SlowPut)));
    let next = given_up.put.expect("nobody knows what KV has");
    assert_eq!(next.catalogue.types.len(), 6);
    let late = world.happens(put_ended(&slow.put.unwrap(), true));
    assert!(late.put.is_none() && late.answers.is_empty());
    let again_at = world.after(60);
    world.happens(put_ended(&next, true));
    assert_eq!(world.next_wake(), Some(again_at));
    world.let_alarms_run();
    assert_eq!(world.puts.len(), 1);
    assert_eq!(world.puts[0].0, again_at);
    assert_eq!(world.next_wake(), None);
}

#[test]
fn a_put_that_an_earlier_life_may_have_begun_is_followed_by_two() {
    let mut world = World::start();
    let (_, outputs) = world.begin(put("a"));
    assert!(outputs.put.is_some());
    world.restart();
    world.let_alarms_run();
    let times: Vec<_> = world.puts.iter().map(|(time, _)| *time).collect();
    assert_eq!(times.len(), 2);
    assert_eq!(times[1].saturating_duration_since(times[0]).as_secs(), 60);
}

#[test]
fn a_put_that_fails_holds_up_nobody_and_the_alarm_repeats_it_ever_less_often() {
    let mut world = World::start();
    world.kv_takes = false;
    let before = world.now;
    changed(world.ask(put("a")));
    assert_eq!(world.now, before);
    let mut waits = Vec::new();
    for _ in 0..6 {
        let before = world.now;
        assert!(is_done(&world.fire(), false));
        waits.push(world.now.saturating_duration_since(before).as_secs());
    }
    assert_eq!(waits, [5, 5, 10, 20, 40, 60]);
    world.kv_takes = true;
    assert!(is_done(&world.fire(), true));
    assert_eq!(world.puts.last().unwrap().1.catalogue.types.len(), 5);
    // The puts that failed may still arrive.
    let puts = world.puts.len();
    world.let_alarms_run();
    assert_eq!(world.puts.len(), puts + 1);
    assert_eq!(world.next_wake(), None);
}

#[test]
fn what_kv_has_but_could_not_be_recorded_is_put_again() {
    let mut world = World::start();
    world.engine.fail("DELETE FROM outbox", 0, 1);
    changed(world.ask(put("a")));
    assert!(is_done(&world.fire(), true));
    assert_eq!(world.puts.len(), 2);
}

#[test]
fn a_change_whose_alarm_was_lost_is_told_by_the_next_command() {
    let mut world = World::start();
    world.begin(put("a"));
    world.restart();
    world.alarm = None;
    world.names();
    assert!(world.alarm.is_some());
    world.let_alarms_run();
    assert_eq!(world.puts[0].1.catalogue.types.len(), 5);
}

#[test]
fn the_copy_is_put_again_when_asked_for_and_changes_nothing_else() {
    let mut world = World::start();
    let revision = world.revision();
    assert!(is_done(&world.ask(CatalogueCommand::Republish), true));
    assert_eq!(world.puts.len(), 1);
    assert_eq!(world.revision(), revision);
    world.kv_takes = false;
    world.pass(2);
    assert!(is_done(&world.ask(CatalogueCommand::Republish), false));
    assert!(world.next_wake().is_some(), "the alarm tells it again");
}

#[test]
fn an_alarm_that_finds_nothing_to_do_ends() {
    let mut world = World::new();
    world.alarm = Some(world.now);
    assert!(is_done(&world.fire(), true));
    assert_eq!(world.next_wake(), None);
}

fn is_done(answer: &Result<CatalogueReply, Fault>, is_told: bool) -> bool {
    matches!(answer, Ok(CatalogueReply::Done { applied }) if *applied == is_told)
}
