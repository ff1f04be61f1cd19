//! The machine of the catalogue: which types there are, what becomes of a change when a statement, KV or the alarm fails.

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
mod kv;
mod world;

use webhook_relay::{
    domain::catalogue::TYPES_LIMIT,
    machines::{
        catalogue::{Fault, Input},
        messages::{CatalogueCommand, CatalogueReply, Refusal},
    },
};

use world::{World, changed, delete, described, entry, is_refused, put};

#[test]
fn a_relay_begins_with_the_types_of_the_customer_docs_and_kv_gets_them_at_once() {
    let mut world = World::new();
    let (call, outputs) = world.begin(CatalogueCommand::Read);
    assert!(matches!(
        outputs.answers[..],
        [(answered, Ok(CatalogueReply::Catalogue(_)))] if answered == call
    ));
    assert_eq!(outputs.put.unwrap().catalogue.types.len(), 4);
    assert_eq!(world.names(), FIRST);
    assert_eq!(world.revision(), 1);
}

#[test]
fn a_type_is_added_behind_all_others_and_replaced_whole_in_its_place() {
    let mut world = World::start();
    assert_eq!(changed(world.ask(put("order.paid"))), (2, true));
    let another = CatalogueCommand::Put(described("alert.triggered", "another"));
    assert_eq!(changed(world.ask(another)), (3, false));
    let mut names = FIRST.to_vec();
    names.push("order.paid");
    assert_eq!(world.names(), names);
    let replaced = world.catalogue().types.remove(0);
    assert_eq!(replaced, described("alert.triggered", "another"));
}

#[test]
fn a_type_that_is_put_as_it_is_changes_nothing() {
    let mut world = World::start();
    changed(world.ask(put("order.paid")));
    world.be_quiet();
    assert_eq!(changed(world.ask(put("order.paid"))), (2, false));
    assert!(world.puts.is_empty());
    assert_eq!(world.next_wake(), None);
}

#[test]
fn a_type_is_deleted_once_and_may_come_again_behind_all_others() {
    let mut world = World::start();
    assert_eq!(changed(world.ask(delete("alert.triggered"))), (2, false));
    assert!(is_refused(
        &world.ask(delete("alert.triggered")),
        Refusal::NoEventType
    ));
    assert_eq!(world.names(), FIRST[1..]);
    assert_eq!(changed(world.ask(put("alert.triggered"))), (3, true));
    assert_eq!(world.names().last(), Some(&"alert.triggered".to_string()));
}

#[test]
fn all_types_may_be_deleted_and_stay_so_in_another_life() {
    let mut world = World::start();
    for name in FIRST {
        changed(world.ask(delete(name)));
    }
    world.restart();
    assert!(world.names().is_empty());
}

#[test]
fn there_are_at_most_200_types_and_a_full_catalogue_may_still_be_changed() {
    let mut world = World::start();
    for number in FIRST.len()..TYPES_LIMIT {
        changed(world.ask(put(&format!("type.{number}"))));
    }
    assert!(is_refused(
        &world.ask(put("one.more")),
        Refusal::TooManyEventTypes
    ));
    let other = CatalogueCommand::Put(described("type.9", "another"));
    assert!(!changed(world.ask(other)).1);
    changed(world.ask(delete("type.9")));
    assert!(changed(world.ask(put("one.more"))).1);
    assert_eq!(world.names().len(), TYPES_LIMIT);
}

#[test]
fn samples_and_schemas_are_kept_to_the_byte() {
    let mut world = World::start();
    let entry = entry(
        "a",
        "{ \"n\": 1.0,\n \"n\": 1e400 }",
        Some(r#"{"type" : "object"}"#),
    );
    changed(world.ask(CatalogueCommand::Put(entry.clone())));
    world.restart();
    assert_eq!(world.catalogue().types.pop(), Some(entry));
}

#[test]
fn whichever_statement_of_a_change_fails_nothing_of_it_is_stored() {
    type Make = fn(&str) -> CatalogueCommand;
    let cases: [(&str, Make, &str); 6] = [
        ("INSERT INTO types", put, "new"),
        ("('revision'", put, "new"),
        ("INTO outbox", put, "new"),
        ("DELETE FROM types", delete, "kept"),
        ("('revision'", delete, "kept"),
        ("INTO outbox", delete, "kept"),
    ];
    for (statement, command, name) in cases {
        let mut world = World::start();
        changed(world.ask(put("kept")));
        world.be_quiet();
        let before = world.catalogue();
        world.engine.fail(statement, 0, 1);
        let answer = world.ask(command(name));
        assert!(matches!(answer, Err(Fault::Storage(_))), "{statement}");
        assert_eq!(world.catalogue(), before, "{statement}");
        assert!(world.puts.is_empty(), "{statement}: KV is told of nothing");
        assert_eq!(changed(world.ask(command(name))).0, before.revision + 1);
    }
}

#[test]
fn whichever_statement_of_the_first_command_fails_the_next_one_begins_again() {
    for statement in [
        "CREATE TABLE IF NOT EXISTS types",
        "INTO types",
        "INTO outbox",
    ] {
        let mut world = World::new();
        world.engine.fail(statement, 0, 1);
        let answer = world.ask(CatalogueCommand::Read);
        assert!(matches!(answer, Err(Fault::Storage(_))), "{statement}");
        assert_eq!(world.names(), FIRST, "{statement}");
    }
}

#[test]
fn a_call_whose_alarm_could_not_be_armed_is_a_fault() {
    let mut world = World::start();
    let (call, outputs) = world.begin(put("order.paid"));
    assert!(outputs.arm.is_some() && outputs.answers.is_empty());
    let failed = world.happens(Input::Failed);
    assert!(matches!(
        failed.answers[..],
        [(answered, Err(Fault::NotArmed))] if answered == call
    ));
    assert!(failed.arm.is_some(), "it is tried again");
}

#[test]
fn tables_of_a_later_version_are_not_touched() {
    let mut world = World::start();
    world.run("UPDATE meta SET value = '2' WHERE key = 'schema'");
    world.restart();
    let Err(Fault::Storage(error)) = world.ask(put("a")) else {
        panic!("it was put");
    };
    assert!(error.to_string().contains("have schema 2"), "{error}");
}

const FIRST: [&str; 4] = [
    "alert.triggered",
    "policy.violated",
    "agent.registered",
    "agent.error",
];
