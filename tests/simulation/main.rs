//! Worlds in which everything goes wrong, each from one seed: the machines of production, with their tables, on a simulated
//! platform. A world that breaks a promise prints its seed.
//!
//! `SEED=7 cargo test --test simulation -- --nocapture` tells the story of a world, with `WHOLE=1` not the shrunk one;
//! `WORLDS=100000` runs so many, from the seed `FIRST` on.

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

mod deliveries;

mod endpoint;

mod faults;

mod happenings;

mod host;

mod kv;

mod lease_rules;

mod ledger;

mod log_rules;

mod looks;

#[cfg(feature = "mutants")]
mod mutants;

mod notes;

mod object;

mod pace_rules;

mod people;

mod platform;

mod posting;

mod producer;

mod sender;

mod sending;

mod shrinking;

mod trouble;

mod widths;

mod wishes;

mod workspace;

mod workspace_platform;

mod world;

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
};

use choices::Choices;
use shrinking::{Shrunk, shrink};
use world::{HOUR, World};

/// From so many worlds on, each fault and each reason to wake must occur in one of a hundred.
const MANY: u64 = 1000;

/// How many worlds the short form runs.
const WORLDS: u64 = 60;

#[test]
fn no_world_breaks_a_promise() {
    if let Some(seed) = number("SEED") {
        #[cfg(feature = "mutants")]
        mutants::switch_named();
        tell_world(seed);
        return;
    }
    let first = number("FIRST").unwrap_or(1);
    let worlds = number("WORLDS").unwrap_or(WORLDS);
    let mut occurred: BTreeMap<String, u64> = BTreeMap::new();
    let mut broken = Vec::new();
    let (mut promised, mut delivered, mut hours) = (0, 0, 0);
    for seed in first..first + worlds {
        let mut world = World::of(seed, Choices::of(seed), false);
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
        hours += world.now.saturating_duration_since(world.began).as_secs() / HOUR.as_secs();
    }
    println!(
        "{worlds} worlds of {hours} hours, {promised} promised deliveries, {delivered} of those kept delivered"
    );
    for (what, count) in &occurred {
        println!("{count:>8} worlds: {what}");
    }
    if worlds >= MANY {
        for what in faults::all_that_must_occur() {
            let count = occurred.get(&what).copied().unwrap_or(0);
            assert!(100 * count >= worlds, "{what} occurs in {count} worlds");
        }
    }
    assert!(
        broken.is_empty(),
        "these seeds break a promise, see above: {broken:?}"
    );
}

/// Tells the story of a world: of the calmest that breaks a promise as it does, if it does and `WHOLE` is not set.
fn tell_world(seed: u64) {
    let mut world = World::of(seed, Choices::of(seed), true);
    let lived = live(&mut world);
    if lived.is_err() && number("WHOLE").is_none() {
        print_shrunk(seed, world.choices.made);
    } else {
        println!("{}", world.story.join("\n"));
        println!("seed {seed}, fingerprint {:016x}", world.hash);
    }
    lived.unwrap();
}

fn print_shrunk(seed: u64, choices: Vec<u64>) {
    let all = choices.len();
    let Shrunk {
        world,
        promise,
        choices,
    } = shrink(seed, choices);
    println!("{}", world.story.join("\n"));
    println!("seed {seed}, {choices} of {all} choices: {promise}");
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
        let mut world = World::of(1, Choices::of(1), true);
        world.run();
        (world.hash, world.story.join("\n"))
    };
    assert_eq!(run(), run());
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}
