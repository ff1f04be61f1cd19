//! What an object says to a Sender.

use serde::{Deserialize, Serialize};

use super::Grant;
use crate::domain::ids::{WebhookId, WorkspaceId};

/// What a Sender is asked to do.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order<H = Hire> {
    /// To make attempts.
    Send(H),
    /// To measure the platform; the text is that of `measuring.js`.
    Probe(String),
}

/// Leases of one webhook, for one Sender.
#[derive(Debug, Serialize, Deserialize)]
pub struct Hire {
    /// The webhook's workspace.
    pub workspace: WorkspaceId,
    /// The webhook.
    pub webhook: WebhookId,
    /// The leases, with their payloads.
    pub grants: Vec<Grant>,
    /// Whether the Sender may go on with further leases.
    pub goes_on: bool,
}
