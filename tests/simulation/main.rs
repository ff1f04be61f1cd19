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

mod choices;

mod endpoint;

mod faults;

mod object;

mod people;

mod platform;

mod producer;

mod sender;

mod sending;

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
        let ended = catch_unwind(AssertUnwindSafe(|| {
            world.run();
            world.check();
        }));
        println!("{}", world.story.join("\n"));
        println!("seed {seed}, fingerprint {:016x}", world.hash);
        ended.unwrap_or_else(|cause| std::panic::resume_unwind(cause));
        return;
    }
    let first = number("FIRST").unwrap_or(1);
    let worlds = number("WORLDS").unwrap_or(WORLDS);
    let mut occurred: BTreeMap<String, u64> = BTreeMap::new();
    let (mut promised, mut delivered) = (0, 0);
    for seed in first..first + worlds {
        let ended = catch_unwind(AssertUnwindSafe(|| {
            let mut world = World::new(seed, false);
            world.run();
            world.check();
            world
        }));
        let mut world = ended.unwrap_or_else(|_| panic!("SEED={seed} breaks a promise, see above"));
        let faults = world
            .faults
            .occurred
            .keys()
            .map(|fault| format!("{fault:?}"));
        let woken = world.objects.iter().flat_map(|object| object.woken.keys());
        let woken = woken.map(|reason| format!("wakes for {reason}"));
        let all: std::collections::BTreeSet<_> = faults.chain(woken).collect();
        for what in all {
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
