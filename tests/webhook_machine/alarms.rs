//! When an alarm that could not do its work is tried again, and what it deletes.

use std::{rc::Rc, time::Duration};

use webhook_relay::{
    domain::{ids::DeliveryId, timestamp::Timestamp},
    machines::{
        messages::WebhookCommand,
        sql::{Database, integer},
        webhook::Input,
    },
};

use crate::world::World;

#[test]
fn each_alarm_that_fails_waits_twice_as_long_as_the_one_before_whatever_else_succeeds() {
    let mut world = World::start();
    world.accept_unleased(1);
    let fail = |world: &mut World| {
        world.engine.fail("SELECT EXISTS", 0, 1);
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
    world.engine.fail("SELECT EXISTS", 0, 1);
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

#[test]
fn an_alarm_deletes_nothing_where_nothing_is_too_old() {
    let mut world = World::start();
    world.accept_unleased(1);
    world.restart();
    world.engine.fail("DELETE", 0, 1);
    assert!(world.happens(Input::AlarmFired).fault.is_none());
}

#[test]
fn an_object_that_wakes_reads_what_has_no_table_in_one_statement() {
    let mut world = World::start();
    world.accept_unleased(1);
    world.restart();
    world.engine.fail("FROM meta", 1, 1);
    assert!(world.happens(Input::AlarmFired).fault.is_none());
}

#[test]
fn an_alarm_deletes_what_is_too_old_whichever_table_it_is_in() {
    let id = DeliveryId::first_of(Timestamp::default());
    let old = [
        "deliveries VALUES (1, ?, 'delivered', 'event', 'a', 'ev', 9, '{}', '[]', NULL, '{}')",
        "deliveries VALUES (0, ?, 'held', 'event', 'a', 'ev', 9, '{}', '[]', NULL, '{}')",
        "segments VALUES (1 << 52, ?, '[]', '[]')",
        "event_ids VALUES (0, 'ev', ?)",
        "stats VALUES (0, json_array(?))",
    ];
    for row in old {
        let mut world = World::start();
        let database = Database::new(Rc::clone(&world.engine) as _);
        let insert = format!("INSERT INTO {row}");
        let table = row.split(' ').next().unwrap();
        let count = || {
            let count = database.value(&format!("SELECT count(*) FROM {table}"), vec![]);
            integer(count.unwrap().as_ref()).unwrap()
        };
        database.run(&insert, vec![id.as_ref().into()]).unwrap();
        assert_eq!(count(), 1);
        assert!(world.happens(Input::AlarmFired).fault.is_none(), "{row}");
        assert_eq!(count(), 0, "{row}");
    }
}
