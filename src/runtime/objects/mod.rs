//! The three Durable Objects: each carries what happens to its machine, and what the machine asks for to the platform.

mod workspace_object;

mod webhook_object;

mod webhook_driver;

mod catalogue_object;
