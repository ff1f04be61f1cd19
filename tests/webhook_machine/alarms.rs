//! When an alarm that could not do its work is tried again.

use std::time::Duration;

use webhook_relay::machines::{messages::WebhookCommand, webhook::Input};

use crate::world::World;

#[test]
fn each_alarm_that_fails_waits_twice_as_long_as_the_one_before_whatever_else_succeeds() {
    let mut world = World::start();
    world.accept_unleased(1);
    let fail = |world: &mut World| {
        world.engine.fail("DELETE FROM deliveries", 0, 1);
        let again = world.happens(Input::AlarmFired).arm.unwrap();
        world.ask(WebhookCommand::Gauges).unwrap();
        again.saturating_duration_since(world.now)
    };
    for seconds in [10, 20, 40, 60, 60] {
        assert_eq!(fail(&mut world), Duration::from_secs(seconds));
    }
    world.happens(Input::AlarmFired);
    // What is too old is looked for once an hour.
    world.now = world.now.saturating_add(Duration::from_secs(60 * 60));
    assert_eq!(fail(&mut world), Duration::from_secs(10));
}

#[test]
fn after_an_alarm_that_failed_no_command_wakes_the_object_before_the_wait_is_over() {
    let mut world = World::start();
    world.accept_unleased(1);
    world.engine.fail("DELETE FROM deliveries", 0, 1);
    let again = world.happens(Input::AlarmFired).arm;
    world.now = world.now.saturating_add(Duration::from_secs(1));
    world.accept_unleased(2);
    let command = || Input::Command(9, WebhookCommand::Gauges);
    assert_eq!(world.happens(command()).arm, again);
    // A clock that was put back by an hour does not make the wait an hour longer.
    world.now = world.now.saturating_sub(Duration::from_secs(60 * 60));
    assert!(world.happens(command()).arm < again);
}

#[test]
fn while_the_settings_do_not_parse_each_alarm_waits_longer_up_to_a_minute() {
    let mut world = World::start();
    let now = world.now;
    let waits = [(); 5].map(|()| world.machine.put_off(now).saturating_duration_since(now));
    assert_eq!(waits.map(|wait| wait.as_secs()), [10, 20, 40, 60, 60]);
}
