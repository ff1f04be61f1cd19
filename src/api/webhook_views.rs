//! A webhook as an answer shows it.

use serde::Serialize;

use super::{
    deliveries::DeliveryView,
    header_views::{as_object, show_headers},
    metrics::WebhookGauges,
    pace::PaceView,
};
use crate::domain::{
    ids::WebhookId,
    sealed::{EncryptionKeys, SealedError},
    secret::SignHeaderWith,
    timestamp::{Timestamp, as_iso, as_iso_option},
    webhook::{DisabledReason, Health, HealthState, Status, Webhook},
};

/// A webhook's secret as its owner sees it.
#[derive(Debug, Serialize)]
pub struct SecretView {
    /// The secret that signs.
    pub secret: String,
    /// Until when the previous one signs too.
    #[serde(serialize_with = "as_iso_option")]
    pub previous_expires_at: Option<Timestamp>,
    /// Which secret makes the hex signature.
    pub sign_header_with: SignHeaderWith,
}

/// A webhook as an answer shows it.
#[derive(Debug, Serialize)]
pub struct WebhookView {
    id: WebhookId,
    url: String,
    events: Vec<String>,
    description: String,
    #[serde(serialize_with = "as_object")]
    headers: Vec<(String, String)>,
    #[serde(flatten)]
    pace: PaceView,
    status: Status,
    disabled_reason: Option<DisabledReason>,
    #[serde(serialize_with = "as_iso_option")]
    disabled_at: Option<Timestamp>,
    #[serde(serialize_with = "as_iso_option")]
    failing_since: Option<Timestamp>,
    health: HealthView,
    #[serde(serialize_with = "as_iso_option")]
    log_since: Option<Timestamp>,
    #[serde(serialize_with = "as_iso")]
    created_at: Timestamp,
    #[serde(serialize_with = "as_iso")]
    updated_at: Timestamp,
}

impl WebhookView {
    /// Shows a webhook; the values of its custom headers only to those who may change them.
    ///
    /// # Errors
    /// If a stored value cannot be read.
    pub fn new(
        webhook: Webhook,
        keys: &EncryptionKeys,
        may_write: bool,
    ) -> Result<Self, SealedError> {
        let (status, disabled) = (webhook.status(), webhook.disabled());
        let headers = show_headers(&webhook.settings.headers, &webhook.id, keys, may_write)?;
        Ok(Self {
            id: webhook.id,
            url: webhook.settings.url,
            events: webhook.settings.events,
            description: webhook.description,
            headers,
            pace: webhook.settings.pace.into(),
            status,
            disabled_reason: disabled.map(|(reason, _)| reason),
            disabled_at: disabled.map(|(_, at)| at),
            failing_since: webhook.standing.failing_since,
            health: HealthView::new(webhook.standing.health, webhook.created_at),
            log_since: webhook.standing.log_since,
            created_at: webhook.created_at,
            updated_at: webhook.updated_at,
        })
    }

    /// The same with what its object says of it, at this moment.
    #[must_use]
    pub fn with_gauges(mut self, gauges: &WebhookGauges) -> Self {
        self.health = HealthView {
            present: Some(PresentView {
                last_success_at: gauges.last.success,
                last_failure_at: gauges.last.failure.map(|failure| failure.at),
                pending: gauges.pending,
                oldest_due_at: gauges.lateness.oldest_due_at,
                width: gauges.lateness.width,
                under_way: gauges.lateness.under_way,
            }),
            ..HealthView::new(gauges.health, self.created_at)
        };
        self
    }
}

/// How the attempts of a webhook's events have been ending.
#[derive(Debug, Serialize)]
struct HealthView {
    state: HealthState,
    #[serde(serialize_with = "as_iso")]
    since: Timestamp,
    consecutive_failures: u32,
    /// Only of a webhook that was asked for alone; none if its object did not answer.
    #[serde(flatten)]
    present: Option<PresentView>,
}

/// The last attempts of a webhook, and those to come.
#[derive(Debug, Serialize)]
struct PresentView {
    #[serde(serialize_with = "as_iso_option")]
    last_success_at: Option<Timestamp>,
    #[serde(serialize_with = "as_iso_option")]
    last_failure_at: Option<Timestamp>,
    pending: usize,
    #[serde(serialize_with = "as_iso_option")]
    oldest_due_at: Option<Timestamp>,
    width: usize,
    under_way: usize,
}

impl HealthView {
    /// A webhook without an attempt has had no events since it was created.
    fn new(health: Option<Health>, created_at: Timestamp) -> Self {
        Self {
            state: HealthState::of(health),
            since: health.map_or(created_at, |health| health.since),
            consecutive_failures: health.map_or(0, |health| health.consecutive_failures),
            present: None,
        }
    }
}

/// The answer to the creation of a webhook.
#[derive(Debug, Serialize)]
pub struct CreatedWebhook {
    /// The webhook.
    #[serde(flatten)]
    pub webhook: WebhookView,
    /// Its secret; shown here, and when its owner asks for it.
    pub secret: String,
    /// The ping made at once; none if the object did not answer.
    pub ping: Option<DeliveryView>,
}
