//! The health of a webhook: what an object says of it, when it tells its workspace, and what that costs.

use webhook_relay::{
    domain::{
        outcome::Outcome,
        timestamp::Timestamp,
        webhook::{Health, HealthState, LastAttempts, LastFailure, ReportedStanding},
    },
    machines::{
        messages::{Grant, WebhookCommand, WebhookReply},
        sql::Database,
        webhook::{Input, wake::Reason},
    },
};

use crate::{
    SECOND,
    world::{World, began, report},
};

#[test]
fn a_webhook_has_no_health_before_its_first_event_and_a_probe_is_none() {
    let mut world = World::start();
    assert_eq!(gauges(&mut world), (None, LastAttempts::default()));
    assert_eq!(world.next_wake(), None);
}

#[test]
fn three_failures_in_a_row_are_failing_and_a_success_ends_them() {
    let mut world = World::start();
    for (number, status, state, failures) in [
        (1, 200, HealthState::Healthy, 0),
        (2, 500, HealthState::Retrying, 1),
        (3, 500, HealthState::Retrying, 2),
        (4, 500, HealthState::Failing, 3),
        (5, 500, HealthState::Failing, 4),
        (6, 200, HealthState::Healthy, 0),
    ] {
        attempt(&mut world, number, status);
        for life in ["this", "the next"] {
            let (health, _) = gauges(&mut world);
            assert_eq!(HealthState::of(health), state, "{number} in {life} life");
            if failures <= 3 || life == "this" {
                assert_eq!(health.unwrap().consecutive_failures, failures);
            }
            world.restart();
        }
    }
}

#[test]
fn the_workspace_is_told_within_two_seconds_of_the_third_failure() {
    let mut world = World::start();
    attempt(&mut world, 1, 500);
    assert_eq!(state_of(world.tell()), HealthState::Retrying);
    attempt(&mut world, 2, 500);
    assert!(world.tell().is_none(), "it is retrying still");
    attempt(&mut world, 3, 500);
    let third = world.now;
    let told = world.tell();
    assert_eq!(state_of(told), HealthState::Failing);
    assert!(world.now.saturating_duration_since(third) <= SECOND * 2);
}

#[test]
fn an_endpoint_that_fails_now_and_then_is_told_of_every_ten_seconds_at_most() {
    let mut world = World::start();
    let mut told = Vec::new();
    for number in 1..=100 {
        let status = if number % 2 == 0 { 200 } else { 500 };
        attempt(&mut world, number, status);
        if let Some((at, Reason::Standing)) = world.next_wake()
            && at <= world.now
        {
            world.tell();
            told.push(world.now);
        }
        world.now = world.now.saturating_add(SECOND / 2);
    }
    let is_apart = |pair: &[Timestamp]| pair[1].saturating_duration_since(pair[0]) >= SECOND * 10;
    assert!(told.len() >= 4 && told.windows(2).all(is_apart), "{told:?}");
}

#[test]
fn what_the_workspace_was_told_is_not_told_again_after_a_restart() {
    let mut world = World::start();
    attempt(&mut world, 1, 200);
    assert_eq!(state_of(world.tell()), HealthState::Healthy);
    world.restart();
    attempt(&mut world, 2, 200);
    assert!(!matches!(world.next_wake(), Some((_, Reason::Standing))));
}

#[test]
fn a_success_after_another_writes_nothing_for_the_health() {
    let mut world = World::start();
    attempt(&mut world, 1, 200);
    let stored = meta(&world);
    world.tell();
    world.now = world.now.saturating_add(SECOND * 100);
    let succeeded = attempt(&mut world, 2, 200);
    assert_eq!(meta(&world), stored);
    let (_, last) = gauges(&mut world);
    assert_eq!(last.success, Some(succeeded), "it is known all the same");
}

#[test]
fn the_last_success_and_failure_outlive_the_object_and_the_fold_of_its_counts() {
    let mut world = World::start();
    let succeeded = attempt(&mut world, 1, 200);
    world.now = world.now.saturating_add(SECOND * 7200);
    let mut failed = succeeded;
    for number in 2..=80 {
        failed = attempt(&mut world, number, 500);
    }
    world.happens(Input::AlarmFired);
    let known = LastAttempts {
        success: Some(succeeded),
        failure: Some(LastFailure {
            at: failed,
            outcome: Outcome::HttpError,
            status: Some(500),
        }),
    };
    assert_eq!(gauges(&mut world).1, known);
    world.restart();
    assert_eq!(gauges(&mut world).1, known);
}

#[test]
fn a_webhook_that_an_earlier_release_left_is_healthy_or_retrying_and_told_so_once() {
    for (standing, state) in [
        (None, HealthState::Healthy),
        (
            Some(r#"{"failing_since":1799999999000}"#),
            HealthState::Retrying,
        ),
    ] {
        let mut world = World::start();
        let database = Database::new(std::rc::Rc::clone(&world.engine) as _);
        let hour = r#"{"through":1799999990000,"tally":{"delivered":3,"failed":0,"attempts":3,"durations":{"9":3}}}"#;
        let insert = "INSERT INTO stats (hour, value) VALUES (499999, ?)";
        database.run(insert, vec![hour.into()]).unwrap();
        if let Some(standing) = standing {
            let insert = "INSERT INTO meta (key, value) VALUES ('standing', ?)";
            database.run(insert, vec![standing.into()]).unwrap();
        }
        world.restart();
        let (health, _) = gauges(&mut world);
        assert_eq!(HealthState::of(health), state);
        assert!(health.unwrap().since < began());
        assert_eq!(world.tell().unwrap().health, health);
        world.restart();
        assert!(!matches!(world.next_wake(), Some((at, Reason::Standing)) if at <= world.now));
    }
}

/// Makes the first attempt of an event; returns when it ended.
fn attempt(world: &mut World, number: u64, status: u16) -> Timestamp {
    let grants: Vec<Grant> = world.lease(number);
    let ended_at = world.now;
    let reports = vec![report(&grants[0], status, ended_at)];
    let reported = world.ask(WebhookCommand::Report {
        unused: Vec::new(),
        reports,
        leases: 0,
        ahead_ms: 0,
    });
    assert!(matches!(reported, Ok(WebhookReply::Granted(_))));
    ended_at
}

fn state_of(told: Option<ReportedStanding>) -> HealthState {
    HealthState::of(told.unwrap().health)
}

fn gauges(world: &mut World) -> (Option<Health>, LastAttempts) {
    match world.ask(WebhookCommand::Gauges).unwrap() {
        WebhookReply::Gauges { health, last, .. } => (health, last),
        other => panic!("{other:?}"),
    }
}

/// The stored standing.
fn meta(world: &World) -> String {
    let database = Database::new(std::rc::Rc::clone(&world.engine) as _);
    let value = database.value("SELECT value FROM meta WHERE key = 'standing'", vec![]);
    format!("{:?}", value.unwrap())
}
