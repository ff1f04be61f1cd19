//! What decides: the machines of a post, of a sender, of a webhook, of a workspace and of the catalogue, and the
//! messages between them.
//!
//! Plain Rust: no `async`, no clock, no randomness. Time and random bytes come in as arguments; storage is behind the
//! `Sql` trait, so that natively the same statements run on SQLite.

pub mod messages;

pub mod sql;

mod publisher;

mod outbox;

pub mod alarm_clock;

pub mod shift;

pub mod hiring;

pub mod ingest;

pub mod sender;

pub mod webhook;

pub mod workspace;

pub mod catalogue;

#[cfg(feature = "test-hooks")]
pub mod recording;
