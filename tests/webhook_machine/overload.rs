//! The answers to posts while the relay, or the endpoint, does not keep up.

use std::time::Duration;

use webhook_relay::{
    domain::{pace::RateLimit, webhook::Settings},
    machines::{
        messages::{AttemptReport, Grant, Refusal, WebhookCommand, WebhookReply},
        webhook::{Fault, Input, Outputs, group_commit::CallId},
    },
};

use crate::world::{World, accept, event, id, report, settings};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn while_the_relay_is_behind_an_endpoint_that_answers_a_post_waits_for_its_attempt() {
    let (mut world, under_way) = behind();
    let outputs = post(&mut world, 3);
    assert!(outputs.answers.is_empty());
    assert_eq!(outputs.timer, Some(world.now.saturating_add(SECOND)));
    let (answered, granted) = ended(&mut world, &under_way, 1);
    assert!(answered.is_empty(), "its own attempt has not begun");
    let (answered, _) = ended(&mut world, &granted[0], 0);
    assert_eq!(answered, [3]);
}

#[test]
fn a_post_waits_a_second_at_most() {
    let (mut world, _) = behind();
    let outputs = post(&mut world, 3);
    world.now = outputs.timer.unwrap();
    let outputs = world.happens(Input::TimerFired);
    assert_eq!(calls(&outputs), [3]);
}

#[test]
fn a_post_does_not_wait_for_an_endpoint_that_is_slow() {
    let mut world = World::start();
    world.policy.max_leases = 1;
    let grant = world.lease(1).remove(0);
    world.now = world.now.saturating_add(SECOND);
    let mut slow = report(&grant, 200, world.now);
    slow.attempt.duration_ms = 980;
    world.ask(reported(slow, 0)).unwrap();
    world.lease(2);
    assert_eq!(calls(&post(&mut world, 3)), [3]);
}

#[test]
fn a_post_does_not_wait_for_an_endpoint_that_does_not_answer() {
    let mut world = World::start();
    world.policy.max_leases = 1;
    world.lease(1);
    assert_eq!(calls(&post(&mut world, 2)), [2], "nothing is known of it");
    let (mut world, _) = behind();
    world.now = world.now.saturating_add(SECOND);
    assert_eq!(calls(&post(&mut world, 3)), [3], "it has hung for a second");
}

#[test]
fn a_post_does_not_wait_for_what_an_owner_has_slowed_down() {
    let slow_downs: [fn(&mut Settings); 4] = [
        |settings| settings.pace.ordered = true,
        |settings| settings.pace.rate_limit = RateLimit::parse("1"),
        |settings| settings.paused = true,
        |settings| settings.enabled = false,
    ];
    for (number, slow_down) in slow_downs.into_iter().enumerate() {
        let (mut world, _) = behind();
        let mut settings = settings(world.now);
        settings.revision = 2;
        slow_down(&mut settings);
        world
            .ask(WebhookCommand::Apply(Box::new(settings)))
            .unwrap();
        assert_eq!(calls(&post(&mut world, 3)), [3], "setting {number}");
    }
}

#[test]
fn when_a_thousand_posts_wait_no_more_is_taken() {
    let (mut world, _) = behind();
    for number in 3..1003 {
        assert!(post(&mut world, number).answers.is_empty());
    }
    let refused = post(&mut world, 1003).answers.remove(0).1;
    assert!(matches!(
        refused,
        Ok(WebhookReply::Refused(Refusal::Overloaded))
    ));
    world.now = world.now.saturating_add(SECOND);
    assert_eq!(world.happens(Input::TimerFired).answers.len(), 1000);
    assert!(world.find(1003).is_none(), "nothing of it is stored");
}

#[test]
fn a_post_that_shares_its_call_is_told_to_wait_so_that_it_holds_up_no_other() {
    let (mut world, under_way) = behind();
    let outputs = share(&mut world, &[3, 4]);
    let waits_for = |(_, answer): &(CallId, Result<WebhookReply, Fault>)| match answer {
        Ok(WebhookReply::Accepted { waits_for, .. }) => waits_for.clone(),
        other => panic!("{other:?}"),
    };
    let told: Vec<_> = outputs.answers.iter().map(waits_for).collect();
    assert_eq!(calls(&outputs), [3, 4]);
    assert_eq!(told, [Some(id(3)), Some(id(4))]);
    assert!(wait(&mut world, 5, 3).answers.is_empty());
    let (answered, granted) = ended(&mut world, &under_way, 1);
    assert!(answered.is_empty(), "its own attempt has not begun");
    let (answered, _) = ended(&mut world, &granted[0], 0);
    assert_eq!(answered, [5]);
    let outputs = wait(&mut world, 6, 3);
    assert_eq!(calls(&outputs), [6], "it has been attempted");
}

#[test]
fn who_is_told_to_wait_waits_a_second_at_most_whatever_the_endpoint_does() {
    let (mut world, _) = behind();
    share(&mut world, &[3, 4]);
    world.now = world.now.saturating_add(SECOND);
    let outputs = wait(&mut world, 5, 4);
    assert_eq!(outputs.timer, Some(world.now.saturating_add(SECOND)));
    world.now = world.now.saturating_add(SECOND);
    assert_eq!(calls(&world.happens(Input::TimerFired)), [5]);
}

#[test]
fn posts_that_share_a_call_are_not_told_to_wait_while_the_relay_keeps_up() {
    let mut world = World::start();
    let outputs = share(&mut world, &[1, 2]);
    assert_eq!(calls(&outputs), [1, 2]);
    for (_, answer) in outputs.answers {
        assert!(matches!(
            answer,
            Ok(WebhookReply::Accepted {
                waits_for: None,
                ..
            })
        ));
    }
}

#[test]
fn posts_that_share_a_call_share_a_flush_and_the_first_gets_the_leases() {
    let mut world = World::start();
    let outputs = share(&mut world, &[1, 2, 3]);
    assert!(!outputs.sync, "nothing is left to be flushed");
    let leases = outputs.answers.into_iter().map(|(_, answer)| match answer {
        Ok(WebhookReply::Accepted { grants, .. }) => grants.len(),
        other => panic!("{other:?}"),
    });
    assert_eq!(leases.collect::<Vec<_>>(), [3, 0, 0]);
}

#[test]
fn what_is_large_keeps_its_own_leases_in_a_shared_call() {
    let mut world = World::start();
    let command = |number: u64| (number, accept(vec![event(number, 20_000)], 6));
    let outputs = world.happens(Input::SharedCall(vec![command(1), command(2)]));
    let leased = outputs.answers.into_iter().map(|(_, answer)| match answer {
        Ok(WebhookReply::Accepted { grants, .. }) => grants.into_iter().map(|grant| grant.id),
        other => panic!("{other:?}"),
    });
    let leased: Vec<Vec<_>> = leased.map(Iterator::collect).collect();
    assert_eq!(leased, [[id(1)], [id(2)]]);
}

#[test]
fn reports_that_share_a_call_are_answered_together_when_they_are_written_in_a_moment() {
    let mut world = World::start();
    let grants = [1, 2].map(|number| world.lease(number).remove(0));
    let command = |grant: &Grant| reported(report(grant, 200, world.now), 0);
    let commands = vec![(11, command(&grants[0])), (12, command(&grants[1]))];
    let outputs = world.happens(Input::SharedCall(commands));
    assert!(outputs.answers.is_empty());
    world.now = outputs.timer.unwrap();
    let outputs = world.happens(Input::TimerFired);
    assert_eq!(calls(&outputs), [11, 12]);
}

#[test]
fn if_the_flush_of_a_shared_call_fails_each_of_its_posts_is_told_so_once() {
    let mut world = World::start();
    world.lease(1);
    world.engine.fail("segments", 0, 1);
    let outputs = share(&mut world, &[2, 3, 4]);
    assert_eq!(calls(&outputs), [2, 3, 4]);
    assert!(outputs.answers.iter().all(|(_, answer)| answer.is_err()));
    assert!(world.find(2).is_none() && world.find(1).is_some());
}

/// A webhook with one attempt at a time, one that ended at once, and one that is under way.
fn behind() -> (World, Grant) {
    let mut world = World::start();
    world.policy.max_leases = 1;
    let grant = world.lease(1).remove(0);
    let report = report(&grant, 200, world.now);
    world.ask(reported(report, 0)).unwrap();
    let under_way = world.lease(2).remove(0);
    (world, under_way)
}

/// Posts an event in a call with its number, and lets its writes be safe.
fn post(world: &mut World, number: u64) -> Outputs {
    let mut outputs = world.happens(Input::Command(number, accept(vec![event(number, 9)], 1)));
    if outputs.sync {
        let timer = outputs.timer;
        outputs = world.happens(Input::Safe);
        outputs.timer = outputs.timer.or(timer);
    }
    outputs
}

/// Posts events in one call, each in a command with its number, and lets their writes be safe.
fn share(world: &mut World, numbers: &[u64]) -> Outputs {
    let command = |number: &u64| (*number, accept(vec![event(*number, 9)], 6));
    let commands = numbers.iter().map(command).collect();
    let mut outputs = world.happens(Input::SharedCall(commands));
    if outputs.answers.is_empty() && outputs.sync {
        outputs = world.happens(Input::Safe);
    }
    outputs
}

fn wait(world: &mut World, call: CallId, number: u64) -> Outputs {
    let command = WebhookCommand::WaitForAttempt { id: id(number) };
    world.happens(Input::Command(call, command))
}

/// Reports an attempt, and lets the report be stored: the calls that are answered, and the leases.
fn ended(world: &mut World, grant: &Grant, leases: usize) -> (Vec<CallId>, Vec<Grant>) {
    const CALL: CallId = 9999;
    let report = report(grant, 200, world.now);
    let mut outputs = world.happens(Input::Command(CALL, reported(report, leases)));
    let (mut answered, mut granted) = (Vec::new(), Vec::new());
    loop {
        for (call, answer) in outputs.answers {
            match answer.unwrap() {
                WebhookReply::Granted(grants) if call == CALL => {
                    granted.extend(grants);
                    return (answered, granted);
                }
                _ => answered.push(call),
            }
        }
        world.now = outputs.timer.unwrap_or(world.now).max(world.now);
        outputs = world.happens(Input::TimerFired);
    }
}

fn reported(report: AttemptReport, leases: usize) -> WebhookCommand {
    WebhookCommand::Report {
        unused: Vec::new(),
        reports: vec![report],
        leases,
        ahead_ms: 0,
    }
}

fn calls(outputs: &Outputs) -> Vec<CallId> {
    outputs.answers.iter().map(|(call, _)| *call).collect()
}
