//! The rules of the relay, pure: no clock, no randomness, no I/O; time and random bytes are arguments.
//!
//! The terms, each building on those before it:
//! - a **workspace** is a tenant; it has **webhooks**, each a customer's registration: endpoint URL, types, secret;
//! - an **event** is a thing that happened, accepted once; a **delivery** is one event to one webhook;
//! - an **attempt** is one POST of a delivery, with an **outcome**; a **lease** is the right to make it until a time;
//! - a delivery is **held** while its webhook is disabled, and **resent** when a person asks for it again.

pub mod timestamp;

pub mod ids;

pub mod event_type;

pub mod catalogue;

pub mod event;

pub mod own_hosts;

pub mod public_origin;

pub mod jurisdiction;

pub mod endpoint_url;

pub mod secret;

pub mod sealed;

pub mod signature;

pub mod request_headers;

pub mod idempotency_key;

pub mod workspace;

pub mod brand;

pub mod custom_headers;

pub mod outcome;

pub mod retry;

pub mod policy;

pub mod pace;

pub mod webhook;

pub mod subscriptions;

pub mod history;

pub mod attempt;

pub mod last_attempt;

pub mod delivery;

pub mod record;

pub mod segment;

pub mod queue;

pub mod budget;

pub mod backoff;

pub mod width;

pub mod occupancy;

pub mod token_bucket;

pub mod dispatch;

pub mod resend;

pub mod stats;

pub mod token;

pub mod session;

pub mod access;

pub mod cookie;

pub mod client_address;

pub mod until;
