//! The commands to the catalogue's object, and its replies.

use serde::{Deserialize, Serialize};

use super::Refusal;
use crate::domain::catalogue::{Catalogue, CatalogueEntry};

/// A command to the object of the catalogue.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CatalogueCommand {
    /// Asks for all types.
    Read,
    /// Adds a type, or replaces the one of its name.
    Put(CatalogueEntry),
    /// Removes a type.
    Delete {
        /// Its name.
        name: String,
    },
    /// Asks that KV gets the copy again, in case that it was lost.
    Republish,
}

/// A reply from the object of the catalogue.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CatalogueReply {
    /// To `Read`.
    Catalogue(Catalogue),
    /// A change is stored.
    Changed {
        /// Since which revision it is.
        revision: u64,
        /// Whether it added a type.
        created: bool,
    },
    /// To `Republish`, and when an alarm has ended: whether KV has everything.
    Done {
        /// Whether KV has everything.
        applied: bool,
    },
    /// The command is refused.
    Refused(Refusal),
}
