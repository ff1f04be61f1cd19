//! The page before many events are resent: how many, which is the oldest and which the newest, and then the button.

use std::rc::Rc;

use super::{
    Page, assets,
    frame::{Frame, Notice},
    resend_form::{ResendErrors, ResendForm},
    type_choices::known,
    when, words,
};
use crate::domain::{
    catalogue::Catalogue,
    record::DeliveryRecord,
    resend::Preview,
    webhook::{Status, Webhook},
};

/// The page.
#[derive(Page)]
#[template(path = "resend.html", config = "src/dashboard/askama.toml")]
pub struct ResendPage {
    /// What is around it.
    pub frame: Frame,
    /// The webhook.
    pub webhook: Webhook,
    /// The types.
    pub catalogue: Rc<Catalogue>,
    /// What was chosen.
    pub form: ResendForm,
    /// What is wrong with it.
    pub errors: ResendErrors,
    /// What would be resent; none where something is wrong.
    pub preview: Option<Preview>,
    /// What is said of a form that was kept while its author signed in again.
    pub remark: Option<String>,
}

impl ResendPage {
    fn base(&self) -> String {
        format!("/settings/webhooks/{}", self.webhook.id)
    }

    fn address(&self) -> String {
        self.form.address(&self.webhook.id)
    }

    fn types(&self) -> Vec<&str> {
        let selected = self.webhook.settings.events.iter().map(String::as_str);
        let typed = std::iter::once(self.form.event_type.as_str());
        known(&self.catalogue, selected.chain(typed))
    }

    fn sends_now(&self) -> bool {
        self.form.status == "pending" && !self.form.is_named()
    }

    fn is_paused(&self) -> bool {
        self.webhook.status() == Status::Paused
    }

    /// `110 events`, or `at least 10000 failed events`.
    fn number(&self, preview: &Preview) -> String {
        let bound = if preview.is_exact { "" } else { "at least " };
        let noun = match self.form.status.as_str() {
            _ if self.form.is_named() => "event",
            "held" => "held event",
            "pending" => "pending event",
            _ => "failed event",
        };
        format!("{bound}{}", words::count(preview.total, noun))
    }

    fn headline(&self, preview: &Preview) -> String {
        if preview.total == 0 {
            return "Nothing to resend".into();
        }
        let number = words::capitalise(&self.number(preview));
        if self.sends_now() {
            format!("{number} will be sent now")
        } else {
            format!("{number} will be resent")
        }
    }

    fn button(&self, preview: &Preview) -> String {
        let bound = if preview.is_exact { "" } else { "at least " };
        let number = words::count(preview.total, "event");
        if self.sends_now() {
            format!("Send {bound}{number} now")
        } else {
            format!("Resend {bound}{number}")
        }
    }

    /// How many of the selected rows are left out.
    fn left_out(&self, preview: &Preview) -> u64 {
        let mut ids: Vec<_> = self.form.ids.iter().collect();
        ids.sort();
        ids.dedup();
        let selected = u64::try_from(ids.len()).unwrap_or(u64::MAX);
        selected.saturating_sub(preview.total)
    }

    /// The same choice of pending events.
    fn pending_address(&self) -> String {
        let pending = ResendForm {
            status: "pending".into(),
            ..self.form.clone()
        };
        pending.address(&self.webhook.id)
    }

    fn ends(preview: &Preview) -> Vec<(&'static str, &DeliveryRecord)> {
        let oldest = if preview.total == 1 {
            "The event"
        } else {
            "Oldest"
        };
        let ends = [(oldest, &preview.oldest), ("Newest", &preview.newest)];
        let ends = ends.into_iter();
        ends.filter_map(|(name, end)| Some((name, &**end.as_ref()?)))
            .collect()
    }
}
