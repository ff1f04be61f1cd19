//! A webhook: its settings, its secret, its activity, its deliveries.

use std::rc::Rc;

use super::{
    Page, advice, assets,
    chart::{Bin, Chart},
    detail_query::DetailQuery,
    forms::{RotateForm, WebhookErrors, WebhookForm},
    frame::{Frame, Notice},
    health::{Day, Standing},
    json,
    kept_form::{Kept, KeptForm},
    probe::Probe,
    spans::{ChartSpan, Range},
    type_choices::{TypeChoice, known, selectable, testable},
    when, words,
};
use crate::domain::{
    catalogue::Catalogue,
    delivery::State,
    dispatch::Lateness,
    ids::DeliveryId,
    last_attempt::{FailureGroup, LastAttemptFilter, ResponseStatuses},
    outcome::Outcome,
    record::DeliveryRecord,
    resend::BulkResend,
    stats::HourCounts,
    timestamp::Timestamp,
    webhook::{Health, LastAttempts, Status, Webhook},
};

/// Groups of failures that the page names.
const GROUPS_SHOWN: usize = 6;

/// Classes of statuses by which the log is filtered.
const CLASSES: [u16; 4] = [2, 3, 4, 5];

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
    /// How its attempts have been ending.
    pub health: Option<Health>,
    /// Its last attempts.
    pub last: LastAttempts,
    /// The deliveries whose last attempt failed, the largest group first.
    pub failures: Vec<FailureGroup>,
}

/// A choice of a list: its value and its label.
struct Choice {
    value: String,
    label: String,
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

    fn standing(&self) -> Standing {
        Standing::new(&self.webhook, self.health, self.last)
    }

    fn day(&self) -> Option<Day> {
        Day::new(self.hours.as_deref()?, self.last, self.frame.now)
    }

    /// The groups of failures, each with the address of its deliveries and whether they are what is shown.
    fn groups(&self) -> Vec<(FailureGroup, String, bool)> {
        let groups = self.failures.iter().take(GROUPS_SHOWN);
        let chip = groups.map(|group| {
            let last_attempt = LastAttemptFilter {
                outcome: Some(group.outcome),
                response_status: group.status.map(ResponseStatuses::One),
            };
            let query = self.query.of_last_attempt(last_attempt);
            let is_shown = self.query.last_attempt == last_attempt;
            (*group, query.address(&self.webhook.id), is_shown)
        });
        chip.collect()
    }

    /// The results by which the log is filtered: what ended the last attempts, then classes, then the other outcomes.
    fn results(&self) -> Vec<Choice> {
        let classes = CLASSES.map(ResponseStatuses::Class);
        let found = self.failures.iter().filter_map(|group| group.status);
        let mut statuses: Vec<_> = found.map(ResponseStatuses::One).collect();
        statuses.extend(classes);
        statuses.extend(self.query.last_attempt.response_status);
        let of_statuses = statuses.into_iter().map(|statuses| Choice {
            value: statuses.to_string(),
            label: statuses.to_string(),
        });
        let of_outcomes = Outcome::ALL.into_iter().map(|outcome| Choice {
            value: outcome.as_str().into(),
            label: words::result(outcome),
        });
        let mut choices: Vec<Choice> = Vec::new();
        for choice in of_statuses.chain(of_outcomes) {
            if choices.iter().all(|known| known.value != choice.value) {
                choices.push(choice);
            }
        }
        choices
    }

    /// When the next attempt of a delivery of the log is due, unless something else has to happen before.
    fn due(&self, record: &DeliveryRecord) -> Option<Timestamp> {
        let due = record.next_attempt_at();
        due.filter(|_| self.paused_since().is_none())
    }

    /// The page that looks for what was typed in all webhooks.
    fn find_address(&self) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.append_pair("q", &self.query.id);
        format!("/settings/find?{}", query.finish())
    }

    /// What comes next for a delivery of the log, if not an attempt at a time.
    fn next_in_words(&self, record: &DeliveryRecord) -> &'static str {
        match record.delivery.state() {
            State::Scheduled { .. } if record.waiting_for.is_some() => "In order",
            State::Scheduled { .. } if self.paused_since().is_some() => "When resumed",
            State::Held => "When resent",
            State::Leased { .. } => "Under way",
            State::Scheduled { .. } | State::Delivered { .. } | State::Failed { .. } => "",
        }
    }

    fn has_times(&self) -> bool {
        !self.query.since.is_empty() || !self.query.until.is_empty()
    }

    pub(super) fn is_filtered(&self) -> bool {
        self.query.status.is_some()
            || !self.query.last_attempt.is_empty()
            || !self.query.event_type.is_empty()
            || self.query.range != Range::All
            || self.has_times()
    }

    fn newest_page(&self) -> Option<String> {
        self.query.cursor.as_ref()?;
        Some(self.query.newest().address(&self.webhook.id))
    }

    fn newer_page(&self) -> Option<String> {
        Some(self.query.newer()?.address(&self.webhook.id))
    }

    fn older_page(&self) -> Option<String> {
        let older = self.query.older(self.older.as_ref()?);
        Some(older.address(&self.webhook.id))
    }

    fn all_deliveries(&self) -> String {
        self.query.unfiltered().address(&self.webhook.id)
    }

    /// The address of another chart, with the filter in force.
    fn chart_address(&self, span: ChartSpan) -> String {
        let query = self.query.with_chart(span);
        query
            .address(&self.webhook.id)
            .replace("#deliveries", "#activity")
    }

    /// The address of the deliveries of a bar, with the rest of the filter in force; without the page's own, as there
    /// may be many.
    fn bar_address(&self, bin: &Bin) -> String {
        let query = self.query.within(bin.start, bin.end);
        let address = query.address(&self.webhook.id);
        match address.split_once('?') {
            Some((_, query)) if !self.frame.posted => format!("?{query}"),
            _ => address,
        }
    }
}
