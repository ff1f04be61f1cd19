//! Every mutant is found: a fault put in on purpose that breaks no promise in 2,000 worlds is a hole in the checker.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    thread,
};

use webhook_relay::mutants::Mutant;

use crate::{choices::Choices, number, world::World};

/// In how many worlds a mutant is searched for.
const SEARCHED: u64 = 2_000;

#[test]
fn every_mutant_is_found() {
    let worlds = number("WORLDS").unwrap_or(SEARCHED);
    let only = std::env::var("MUTANT").ok();
    let wanted = |mutant: &Mutant| {
        only.as_ref()
            .is_none_or(|only| *only == format!("{mutant:?}"))
    };
    // A broken promise is what is looked for; only its first line is told.
    std::panic::set_hook(Box::new(|_| {}));
    let mut missed = Vec::new();
    println!("| mutant | seed | broken promise |\n| --- | --- | --- |");
    for mutant in Mutant::ALL.into_iter().filter(wanted) {
        // The switch is of a thread.
        let found = thread::spawn(move || find(mutant, worlds)).join();
        let found = found.unwrap_or_else(|_| panic!("without {mutant:?} a world breaks a promise"));
        if let Some((seed, promise)) = found {
            println!("| {mutant:?} | {seed} | {promise} |");
        } else {
            println!("| {mutant:?} | more than {worlds} | |");
            missed.push(mutant);
        }
    }
    let _ = std::panic::take_hook();
    assert!(missed.is_empty(), "not found: {missed:?}");
}

/// Switches on the mutant that `MUTANT` names, for the story of a seed.
pub(crate) fn switch_named() {
    let named = std::env::var("MUTANT").unwrap_or_default();
    let mut all = Mutant::ALL.into_iter();
    Mutant::switch(all.find(|mutant| format!("{mutant:?}") == named));
}

fn run(seed: u64) -> thread::Result<()> {
    catch_unwind(AssertUnwindSafe(|| {
        let mut world = World::of(seed, Choices::of(seed), false);
        world.run();
        world.check();
    }))
}

/// The first world in which a mutant breaks a promise, and which one.
fn find(mutant: Mutant, worlds: u64) -> Option<(u64, String)> {
    Mutant::switch(Some(mutant));
    (1..=worlds).find_map(|seed| {
        let cause = run(seed).err()?;
        Mutant::switch(None);
        assert!(
            run(seed).is_ok(),
            "seed {seed} breaks a promise without a mutant"
        );
        let text = cause.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| cause.downcast_ref::<&str>().copied());
        let first = text.unwrap_or_default().lines().next().unwrap_or_default();
        Some((seed, first.to_string()))
    })
}
