//! The ids in a path, for the API's routes and the pages'.

use crate::{
    api::error::ApiError,
    domain::ids::{DeliveryId, ResendId, WebhookId},
};

/// The id of a webhook in a path; what is none names nothing.
pub(super) fn webhook_id(segment: &str) -> Result<WebhookId, ApiError> {
    WebhookId::parse(segment).map_err(|_| ApiError::NotFound("webhook"))
}

/// The id of a delivery in a path; what is none names nothing.
pub(super) fn delivery_id(segment: &str) -> Result<DeliveryId, ApiError> {
    DeliveryId::parse(segment).map_err(|_| ApiError::NotFound("delivery"))
}

/// The id of a resend in a path; what is none names nothing.
pub(super) fn resend_id(segment: &str) -> Result<ResendId, ApiError> {
    ResendId::parse(segment).map_err(|_| ApiError::NotFound("resend"))
}
