//! Why an object refuses a command, and the API's words for it.

use serde::{Deserialize, Serialize};

use crate::{
    api::error::ApiError,
    domain::{delivery, token::Scope},
};

/// Why an object refuses a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Refusal {
    NoWorkspace,
    NoWebhook,
    NoDelivery,
    NoKey,
    NoJob,
    NoAccess,
    /// The credential or session is invalid or expired.
    NotSignedIn,
    MissingScope(Scope),
    WorkspaceExists,
    WorkspaceDeleted,
    TooManyWebhooks,
    AlreadyPending,
    NotResendable,
    AlreadySettled,
    WebhookDisabled,
    ResendRunning,
    /// The creation is repeated with another body.
    IdempotencyMismatch,
    /// A key has been revoked since the copy of the keys was made.
    StaleKey,
}

impl From<delivery::Refusal> for Refusal {
    fn from(refusal: delivery::Refusal) -> Self {
        match refusal {
            delivery::Refusal::AlreadyPending => Self::AlreadyPending,
            delivery::Refusal::NotResendable => Self::NotResendable,
            delivery::Refusal::AlreadySettled => Self::AlreadySettled,
        }
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NoWorkspace => Self::NotFound("workspace"),
            Refusal::NoWebhook => Self::NotFound("webhook"),
            Refusal::NoDelivery => Self::NotFound("delivery"),
            Refusal::NoKey => Self::NotFound("key"),
            Refusal::NoJob => Self::NotFound("resend"),
            Refusal::NoAccess => Self::NotFound("dashboard link or session"),
            Refusal::NotSignedIn | Refusal::StaleKey => Self::Unauthorized,
            Refusal::MissingScope(scope) => Self::MissingScope(scope),
            Refusal::WorkspaceExists => Self::WorkspaceExists,
            Refusal::WorkspaceDeleted => Self::WorkspaceDeleted,
            Refusal::TooManyWebhooks => Self::TooManyWebhooks,
            Refusal::AlreadyPending => Self::Refused(delivery::Refusal::AlreadyPending),
            Refusal::NotResendable => Self::Refused(delivery::Refusal::NotResendable),
            Refusal::AlreadySettled => Self::Refused(delivery::Refusal::AlreadySettled),
            Refusal::WebhookDisabled => Self::WebhookDisabled,
            Refusal::ResendRunning => Self::ResendRunning,
            Refusal::IdempotencyMismatch => Self::IdempotencyMismatch,
        }
    }
}
