//! Senders: what makes attempts under leases and reports them.
//!
//! A Worker makes the first attempts of the events that it accepted; a Sender, an invocation of its own that the alarm of
//! a webhook's object hires, makes every other; and the alarm itself does while Senders cannot be hired. All three run
//! [`Sending`].

mod attempt;

mod connections;

mod sending;

mod reporting;

mod hired;

pub(super) use self::{
    attempt::attempt,
    connections::Connections,
    reporting::{Reports, ToObject, granted},
    sending::Sending,
};
