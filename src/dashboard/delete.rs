//! The confirmation before a webhook is deleted.

use super::{
    Page, assets,
    frame::{Frame, Notice},
    words,
};
use crate::domain::webhook::Webhook;

/// The page that asks for confirmation.
#[derive(Page)]
#[template(path = "delete.html", config = "src/dashboard/askama.toml")]
pub struct DeletePage {
    /// What is around it.
    pub frame: Frame,
    /// The webhook.
    pub webhook: Webhook,
}
