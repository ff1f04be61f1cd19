//! A webhook: its settings, its secret, how it does, its deliveries.

use super::{
    Page, assets,
    detail_query::DetailQuery,
    forms::{RotateForm, WebhookErrors, WebhookForm},
    frame::Frame,
    probe::Probe,
};
use crate::domain::{
    record::DeliveryRecord, resend::ResendJob, stats::HourTally, webhook::Webhook,
};

/// The page of a webhook.
#[derive(Page)]
#[template(path = "detail.html", config = "src/dashboard/askama.toml")]
pub struct DetailPage {
    /// What is around it.
    pub frame: Frame,
    /// What the address asked for.
    pub query: DetailQuery,
    /// The webhook.
    pub webhook: Webhook,
    /// The settings form: [`WebhookForm::of`] the webhook, or what was typed and refused. Custom headers' values only
    /// for who may write.
    pub form: WebhookForm,
    /// What is wrong with the settings form.
    pub errors: WebhookErrors,
    /// The rotation form: default, or what was typed and refused.
    pub rotation: RotateForm,
    /// What is wrong with the rotation form.
    pub rotation_error: Option<String>,
    /// The secret, where it was asked for, or the webhook was just created or its secret rotated, by who may write.
    pub secret: Option<String>,
    /// The ping of a new webhook, or the test that was sent just now.
    pub probe: Option<Probe>,
    /// The hours that have counts, of [`super::detail_query::ChartSpan::hours`]; none where they could not be read.
    pub hours: Option<Vec<(i64, HourTally)>>,
    /// The bulk resend that runs, or that the address asks for.
    pub job: Option<ResendJob>,
    /// Why a bulk resend was refused.
    pub resend_error: Option<String>,
    /// Deliveries, newest first; without payloads.
    pub deliveries: Vec<DeliveryRecord>,
    /// Whether there are older ones.
    pub more: bool,
    /// Why the id that was looked up leads nowhere.
    pub id_error: Option<String>,
}
