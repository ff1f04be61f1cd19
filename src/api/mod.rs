//! The HTTP contract: what requests may say, what answers look like, and every refusal; pure.

pub mod error;

pub mod error_body;

pub mod entrance;

pub mod routing;

pub mod routes;

pub mod members;

pub mod query;

pub mod events;

pub mod event_types;

pub mod traces;

pub mod workspaces;

pub mod header_views;

mod pace;

pub mod webhooks;

pub mod webhook_views;

pub mod deliveries;

pub mod keys;

pub mod dashboard_links;

pub mod resend_views;

pub mod resends;

pub mod metrics;

pub mod attempt_line;

pub mod openapi;
