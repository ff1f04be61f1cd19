//! What the Worker, the objects and the senders say to each other: one command, one reply, as JSON.
//!
//! A contract between releases: a new Worker talks to objects of the release before for five minutes after a deployment.
//! New members have defaults, and nothing changes its meaning.

mod hire;

mod page_reads;

mod refusal;

mod webhook;

mod workspace;

pub use self::{
    hire::{Hire, Order},
    page_reads::{Shown, Wanted, next_page},
    refusal::Refusal,
    webhook::{AttemptReport, Grant, NewDelivery, Recalled, Taken, WebhookCommand, WebhookReply},
    workspace::{NewWebhook, WebhookChange, WorkspaceCommand, WorkspaceReply},
};

#[cfg(feature = "test-hooks")]
pub use self::webhook::Counted;
