//! The ids in a path; an invalid one is not found.

use crate::{
    api::{error::ApiError, routing::PathIds},
    domain::ids::{AccessId, DeliveryId, KeyId, ResendId, WebhookId},
};

impl PathIds<'_> {
    /// The id of a webhook.
    pub(super) fn webhook(&self) -> Result<WebhookId, ApiError> {
        WebhookId::parse(self.at("webhook_id")).map_err(|_| ApiError::NotFound("webhook"))
    }

    /// The id of a delivery.
    pub(super) fn delivery(&self) -> Result<DeliveryId, ApiError> {
        DeliveryId::parse(self.at("delivery_id")).map_err(|_| ApiError::NotFound("delivery"))
    }

    /// The id of a dashboard link or session.
    pub(super) fn access(&self) -> Result<AccessId, ApiError> {
        let id = AccessId::parse(self.at("link_id"));
        id.map_err(|_| ApiError::NotFound("dashboard link or session"))
    }

    /// The id of a resend.
    pub(super) fn resend(&self) -> Result<ResendId, ApiError> {
        ResendId::parse(self.at("resend_id")).map_err(|_| ApiError::NotFound("resend"))
    }

    /// The id of a key.
    pub(super) fn key(&self) -> Result<KeyId, ApiError> {
        KeyId::parse(self.at("key_id")).map_err(|_| ApiError::NotFound("key"))
    }
}
