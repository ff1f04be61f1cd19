//! The API's words for an object's refusals.

use crate::{api::error::ApiError, domain::delivery, machines::messages::Refusal};

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NoWorkspace => Self::NotFound("workspace"),
            Refusal::NoWebhook => Self::NotFound("webhook"),
            Refusal::NoDelivery => Self::NotFound("delivery"),
            Refusal::NoKey => Self::NotFound("key"),
            Refusal::NoResend => Self::NotFound("resend"),
            Refusal::NoAccess => Self::NotFound("dashboard link or session"),
            Refusal::NotSignedIn | Refusal::StaleKey => Self::Unauthorized,
            Refusal::MissingScope(scope) => Self::MissingScope(scope),
            Refusal::WorkspaceExists => Self::WorkspaceExists,
            Refusal::WorkspaceDeleted => Self::WorkspaceDeleted,
            Refusal::TooManyWebhooks => Self::TooManyWebhooks,
            Refusal::NoEventType => Self::NotFound("event type"),
            Refusal::TooManyEventTypes => Self::TooManyEventTypes,
            Refusal::AlreadyPending => Self::Refused(delivery::Refusal::AlreadyPending),
            Refusal::NotResendable => Self::Refused(delivery::Refusal::NotResendable),
            Refusal::AlreadySettled => Self::Refused(delivery::Refusal::AlreadySettled),
            Refusal::AttemptUnderWay => Self::Refused(delivery::Refusal::AttemptUnderWay),
            Refusal::Overloaded => Self::Overloaded {
                event_ids: Vec::new(),
                array: false,
            },
            Refusal::WebhookDisabled => Self::WebhookDisabled,
            Refusal::NoOverlap => Self::NoOverlap,
            Refusal::ResendRunning => Self::ResendRunning { resend: None },
            Refusal::IdempotencyMismatch => Self::IdempotencyMismatch,
        }
    }
}
