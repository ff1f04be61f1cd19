//! Adding a webhook: the five steps of the customer page on one page.

use super::{
    Page, assets,
    forms::{WebhookErrors, WebhookForm},
    frame::{Frame, Notice},
    words,
};
use crate::domain::event_type;

/// The page on which a webhook is added.
#[derive(Page)]
#[template(path = "add.html", config = "src/dashboard/askama.toml")]
pub struct AddPage {
    /// What is around it.
    pub frame: Frame,
    /// What was typed; default at first.
    pub form: WebhookForm,
    /// What is wrong with it.
    pub errors: WebhookErrors,
}
