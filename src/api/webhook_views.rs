//! A webhook as an answer shows it.

use serde::Serialize;

use super::{
    deliveries::DeliveryView,
    header_views::{as_object, show_headers},
    pace::PaceView,
};
use crate::domain::{
    dispatch::Lateness,
    ids::WebhookId,
    sealed::{EncryptionKeys, SealedError},
    secret::SignHeaderWith,
    timestamp::{Timestamp, as_iso, as_iso_option},
    webhook::{DisabledReason, Status, Webhook},
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
            log_since: webhook.standing.log_since,
            created_at: webhook.created_at,
            updated_at: webhook.updated_at,
        })
    }

    /// The same with how late its attempts are; none if that is not known.
    #[must_use]
    pub fn with_health(self, lateness: Option<Lateness>) -> SingleWebhookView {
        let health = lateness.map(|lateness| HealthView {
            oldest_due_at: lateness.oldest_due_at,
            width: lateness.width,
            under_way: lateness.under_way,
        });
        SingleWebhookView {
            webhook: self,
            health,
        }
    }
}

/// A webhook that was asked for alone.
#[derive(Debug, Serialize)]
pub struct SingleWebhookView {
    #[serde(flatten)]
    webhook: WebhookView,
    /// None if its object did not answer.
    health: Option<HealthView>,
}

/// How late the attempts of a webhook are.
#[derive(Debug, Serialize)]
struct HealthView {
    #[serde(serialize_with = "as_iso_option")]
    oldest_due_at: Option<Timestamp>,
    width: usize,
    under_way: usize,
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
