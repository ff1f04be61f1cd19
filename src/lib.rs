//! A webhook relay on Cloudflare Workers: an event goes in, a signed POST comes out, failures are retried on schedule.
//!
//! Dependencies go one way, `runtime → machines, api, dashboard → domain`; read the modules in the order below.
//! ARCHITECTURE.md follows an event through them.

#![cfg_attr(
    test,
    allow(
        clippy::arithmetic_side_effects,
        reason = "a test that overflows fails"
    )
)]

pub mod domain;

pub mod machines;

pub mod mutants;

pub mod api;

pub mod dashboard;

#[cfg(target_arch = "wasm32")]
mod runtime;
