//! A webhook relay on Cloudflare Workers: an event goes in, a signed POST comes out, failures are retried on schedule.
//!
//! Read the modules in this order; the arrows go one way, `runtime → api, dashboard → domain`.
//! ARCHITECTURE.md tells the life of an event through them.

#![cfg_attr(
    test,
    allow(
        clippy::arithmetic_side_effects,
        reason = "a test that overflows fails"
    )
)]

pub mod domain;

pub mod api;

pub mod dashboard;

#[cfg(target_arch = "wasm32")]
mod runtime;
