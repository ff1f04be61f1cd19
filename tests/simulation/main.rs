//! Worlds in which everything goes wrong, each from one seed: the machines of production, with their tables, on a simulated
//! platform. A world that breaks a promise prints its seed.
//!
//! `SEED=7 cargo test --test simulation -- --nocapture` tells the story of a world; `WORLDS=100000` runs so many.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::print_stdout,
    reason = "what is not as expected has to end the test"
)]

#[path = "../engine/mod.rs"]
mod engine;

mod calls;

mod checker;

mod checker_workspace;

mod choices;

mod endpoint;

mod faults;

mod happenings;

mod host;

mod kv;

mod object;

mod people;

mod platform;

mod posting;

mod producer;

mod sender;

mod sending;

mod workspace;

mod workspace_platform;

mod world;

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
};

use world::World;

/// How many worlds the short form runs.
const WORLDS: u64 = 60;

#[test]
fn no_world_breaks_a_promise() {
    if let Some(seed) = number("SEED") {
        let mut world = World::new(seed, true);
        let lived = live(&mut world);
        println!("{}", world.story.join("\n"));
        println!("seed {seed}, fingerprint {:016x}", world.hash);
        lived.unwrap();
        return;
    }
    let first = number("FIRST").unwrap_or(1);
    let worlds = number("WORLDS").unwrap_or(WORLDS);
    let mut occurred: BTreeMap<String, u64> = BTreeMap::new();
    let mut broken = Vec::new();
    let (mut promised, mut delivered) = (0, 0);
    for seed in first..first + worlds {
        let mut world = World::new(seed, false);
        if let Err(promise) = live(&mut world) {
            println!("SEED={seed} breaks a promise: {promise}");
            broken.push(seed);
            continue;
        }
        for what in world.what_occurred() {
            *occurred.entry(what).or_default() += 1;
        }
        let (of_world, arrived) = world.summary();
        promised += of_world;
        delivered += arrived;
    }
    println!("{worlds} worlds, {promised} promised deliveries, {delivered} delivered");
    for (what, count) in occurred {
        println!("{count:>8} worlds: {what}");
    }
    assert!(
        broken.is_empty(),
        "these seeds break a promise, see above: {broken:?}"
    );
}

/// Lets a world live to its end; if it breaks a promise, which one.
fn live(world: &mut World) -> Result<(), String> {
    let lived = catch_unwind(AssertUnwindSafe(|| {
        world.run();
        world.check();
    }));
    lived.map_err(|cause| match cause.downcast::<String>() {
        Ok(message) => *message,
        Err(cause) => cause
            .downcast_ref::<&str>()
            .copied()
            .unwrap_or_default()
            .into(),
    })
}

#[test]
fn the_same_seed_tells_the_same_story() {
    let run = || {
        let mut world = World::new(1, true);
        world.run();
        (world.hash, world.story.join("\n"))
    };
    assert_eq!(run(), run());
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}
