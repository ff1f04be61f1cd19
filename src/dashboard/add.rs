//! Adding a webhook: the five steps of the customer page on one page.

use std::rc::Rc;

use super::{
    Page, assets,
    forms::{WebhookErrors, WebhookForm},
    frame::{Frame, Notice},
    json,
    type_choices::{TypeChoice, selectable},
    words,
};
use crate::domain::catalogue::Catalogue;

/// The page on which a webhook is added.
#[derive(Page)]
#[template(path = "add.html", config = "src/dashboard/askama.toml")]
pub struct AddPage {
    /// What is around it.
    pub frame: Frame,
    /// The types.
    pub catalogue: Rc<Catalogue>,
    /// What was typed; default at first.
    pub form: WebhookForm,
    /// What is wrong with it.
    pub errors: WebhookErrors,
    /// What to say above a form that was kept while its author signed in again.
    pub remark: Option<String>,
    /// The delays of the deployment's retry schedule.
    pub usual_schedule: String,
}

impl AddPage {
    fn choices(&self) -> Vec<TypeChoice<'_>> {
        selectable(&self.catalogue, &[])
    }
}
