//! Properties of everything that reads what a stranger wrote, on generated input: ordinary, nearly right, arbitrary.
//!
//! A few hundred cases each in `cargo test`; `npm run test:fuzz` runs a million of each (`PROPTEST_CASES`).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

mod events;

mod forms;

mod sealed_values;

mod tokens;

mod waits;

use proptest::prelude::*;

/// The cases of each property: `PROPTEST_CASES`, or a few.
fn config() -> ProptestConfig {
    ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// A text that was right, with one part cut out, doubled or overwritten.
fn damaged(text: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    let put = prop_oneof![
        Just(String::new()),
        any::<char>().prop_map(String::from),
        "[\\x00-\\x20\"\\\\{}\\[\\],:;=&%+./_-]{1,3}",
        "\\PC{1,4}",
    ];
    (text, any::<prop::sample::Index>(), 0..3_usize, put).prop_map(|(text, place, cut, put)| {
        let mut characters: Vec<char> = text.chars().collect();
        let from = place.index(characters.len() + 1);
        let to = (from + cut).min(characters.len());
        characters.splice(from..to, put.chars());
        characters.into_iter().collect()
    })
}
