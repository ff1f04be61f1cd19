//! One workspace: its tables.

pub mod access_rows;

pub mod creation_rows;

pub mod outbox;

pub mod workspace_tables;
