//! The ids in a path, for the routes of the API and the dashboard.

use crate::{
    api::error::ApiError,
    domain::ids::{AccessId, DeliveryId, ResendId, WebhookId},
};

/// Parses the id of a webhook in a path; an invalid one is not found.
pub(super) fn webhook_id(segment: &str) -> Result<WebhookId, ApiError> {
    WebhookId::parse(segment).map_err(|_| ApiError::NotFound("webhook"))
}

/// Parses the id of a delivery in a path; an invalid one is not found.
pub(super) fn delivery_id(segment: &str) -> Result<DeliveryId, ApiError> {
    DeliveryId::parse(segment).map_err(|_| ApiError::NotFound("delivery"))
}

/// Parses the id of a dashboard link or session in a path; an invalid one is not found.
pub(super) fn access_id(segment: &str) -> Result<AccessId, ApiError> {
    AccessId::parse(segment).map_err(|_| ApiError::NotFound("dashboard link or session"))
}

/// Parses the id of a resend in a path; an invalid one is not found.
pub(super) fn resend_id(segment: &str) -> Result<ResendId, ApiError> {
    ResendId::parse(segment).map_err(|_| ApiError::NotFound("resend"))
}
