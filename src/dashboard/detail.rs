//! A webhook: its settings, its secret, its activity, its deliveries.

use std::rc::Rc;

use super::{
    Page, advice, assets,
    chart::Chart,
    detail_query::{DetailQuery, Range},
    forms::{RotateForm, WebhookErrors, WebhookForm},
    frame::{Frame, Notice},
    json,
    kept_form::{Kept, KeptForm},
    probe::Probe,
    type_choices::{TypeChoice, known, selectable, testable},
    when, words,
};
use crate::domain::{
    catalogue::Catalogue,
    dispatch::Lateness,
    ids::DeliveryId,
    record::DeliveryRecord,
    resend::BulkResend,
    stats::HourCounts,
    timestamp::Timestamp,
    webhook::{Status, Webhook},
};

/// The page of a webhook.
#[derive(Page)]
#[template(path = "detail.html", config = "src/dashboard/askama.toml")]
pub struct DetailPage {
    /// What is around it.
    pub frame: Frame,
    /// What the address asked for.
    pub query: DetailQuery,
    /// The types.
    pub catalogue: Rc<Catalogue>,
    /// The webhook.
    pub webhook: Webhook,
    /// The settings form: [`WebhookForm::of`] the webhook, or what was typed and refused. Custom headers' values only
    /// for users who may write.
    pub form: WebhookForm,
    /// What is wrong with the settings form.
    pub errors: WebhookErrors,
    /// The rotation form: default, or what was typed and refused.
    pub rotation: RotateForm,
    /// What is wrong with the rotation form.
    pub rotation_error: Option<String>,
    /// The secret, if a user who may write asked for it.
    pub secret: Option<String>,
    /// The ping of a new webhook, or the test that was just sent.
    pub probe: Option<Probe>,
    /// The hours with counts, of [`super::detail_query::ChartSpan::hours`]; none if they could not be read.
    pub hours: Option<Vec<(i64, HourCounts)>>,
    /// The bulk resend that runs, or that the address asks for.
    pub bulk_resend: Option<BulkResend>,
    /// A form that was kept while its author signed in again.
    pub kept: Option<Kept>,
    /// Deliveries, newest first; without payloads.
    pub deliveries: Vec<DeliveryRecord>,
    /// Where older ones begin, if there may be any: a page that matches little ends before it is full.
    pub older: Option<DeliveryId>,
    /// Why no delivery was found by the id that was looked up.
    pub id_error: Option<String>,
    /// The delays of the deployment's retry schedule.
    pub usual_schedule: String,
    /// In an ordered webhook, the delivery whose turn it is.
    pub head: Option<DeliveryId>,
    /// How late its attempts are.
    pub lateness: Lateness,
}

impl DetailPage {
    /// The address of the page.
    fn base(&self) -> String {
        format!("/settings/webhooks/{}", self.webhook.id)
    }

    /// Whether the webhook was just created, so that its ping is shown on top.
    fn is_new(&self) -> bool {
        self.query.created.is_some()
    }

    fn kept_settings(&self) -> Option<String> {
        let kept = self.kept.as_ref()?;
        matches!(kept.form(), Some(KeptForm::Settings(..))).then(|| kept.remark())
    }

    fn rotation_errors(&self) -> Vec<(&'static str, &str)> {
        let error = self.rotation_error.as_deref();
        error
            .map(|error| ("new-secret", error))
            .into_iter()
            .collect()
    }

    fn filter_errors(&self) -> Vec<(&'static str, String)> {
        let Self { query, .. } = self;
        let errors = [
            ("since", query.since.error()),
            ("until", query.until.error_after(&query.since)),
        ];
        let errors = errors.into_iter();
        let found = errors.filter_map(|(field, error)| Some((field, error?)));
        found.collect()
    }

    fn probe_succeeded(&self) -> bool {
        let attempt = self
            .probe
            .as_ref()
            .and_then(|probe| probe.record.attempts.last());
        attempt.is_some_and(|attempt| attempt.outcome.is_success())
    }

    fn shows_test(&self) -> bool {
        self.query.test.is_some() && !self.is_new()
    }

    /// The types that the settings form offers.
    fn choices(&self) -> Vec<TypeChoice<'_>> {
        selectable(&self.catalogue, &self.webhook.settings.events)
    }

    /// The types that the test form offers.
    fn testable(&self) -> Vec<TypeChoice<'_>> {
        testable(&self.catalogue, &self.webhook.settings.events)
    }

    /// The types by which the log is filtered.
    fn logged(&self) -> Vec<&str> {
        let selected = self.webhook.settings.events.iter().map(String::as_str);
        let more = selected.chain(["ping", self.query.event_type.as_str()]);
        known(&self.catalogue, more)
    }

    /// The type that the test form has chosen: that of the previous test, or else the first that the webhook selects.
    fn is_tested(&self, event_type: &str) -> bool {
        let tested = self.probe.as_ref().filter(|_| self.shows_test());
        let before = tested.map(|probe| probe.record.event_type.as_str());
        let first = self.webhook.settings.events.first();
        before.or(first.map(String::as_str)) == Some(event_type)
    }

    fn paused_since(&self) -> Option<Timestamp> {
        let is_paused = self.webhook.status() == Status::Paused;
        is_paused.then_some(self.webhook.settings.status_changed_at)
    }

    /// Since when something has been due, and how many attempts are under way; none if its object does not tell it.
    fn lateness_shown(&self) -> Option<(Option<Timestamp>, String)> {
        let Lateness {
            oldest_due_at,
            width,
            under_way,
        } = self.lateness;
        let of = words::count(u64::try_from(width).ok()?, "attempt");
        (width > 0).then(|| (oldest_due_at, format!("{under_way} of {of} under way.")))
    }

    /// The delivery that those on the page wait for.
    fn first_in_order(&self) -> Option<&DeliveryId> {
        let waits = |record: &DeliveryRecord| record.waiting_for.is_some();
        let head = self.head.as_ref();
        head.filter(|_| self.deliveries.iter().any(waits))
    }

    fn previous_secret_until(&self) -> Option<Timestamp> {
        let previous = self.webhook.settings.previous_secret.as_ref()?;
        Some(previous.expires_at).filter(|until| self.frame.now < *until)
    }

    fn old_secret_signs_header(&self) -> bool {
        let overlap = self.webhook.settings.overlap(self.frame.now);
        overlap.is_some_and(|overlap| !overlap.sign_header_with.is_current())
    }

    fn has_status(&self, word: &str) -> bool {
        self.query
            .status
            .is_some_and(|status| status.as_str() == word)
    }

    fn has_times(&self) -> bool {
        !self.query.since.is_empty() || !self.query.until.is_empty()
    }

    pub(super) fn is_filtered(&self) -> bool {
        self.query.status.is_some()
            || !self.query.event_type.is_empty()
            || self.query.range != Range::All
            || self.has_times()
    }

    fn first_page(&self) -> String {
        self.query.address(&self.webhook.id, None)
    }

    fn next_page(&self) -> Option<String> {
        let older = self.older.as_ref()?;
        Some(self.query.address(&self.webhook.id, Some(older)))
    }
}
