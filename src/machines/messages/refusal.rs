//! Why an object refuses a command.

use serde::{Deserialize, Serialize};

use crate::domain::{delivery, token::Scope};

/// Why an object refuses a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// There is no such workspace.
    NoWorkspace,
    /// There is no such webhook.
    NoWebhook,
    /// There is no such delivery.
    NoDelivery,
    /// There is no such key.
    NoKey,
    /// There is no such bulk resend.
    #[serde(rename = "no_job")]
    NoResend,
    /// There is no such dashboard link or session.
    NoAccess,
    /// The credential or session is invalid or expired.
    NotSignedIn,
    /// The session has not this scope.
    MissingScope(Scope),
    /// The workspace exists under another name.
    WorkspaceExists,
    /// The workspace was deleted, and its id is not given again.
    WorkspaceDeleted,
    /// The workspace has as many webhooks as it may.
    TooManyWebhooks,
    /// There is no such event type.
    NoEventType,
    /// The catalogue has as many types as it may.
    TooManyEventTypes,
    /// The delivery is pending already.
    AlreadyPending,
    /// The delivery cannot be resent.
    NotResendable,
    /// The delivery is settled already.
    AlreadySettled,
    /// An attempt of the delivery is under way.
    AttemptUnderWay,
    /// So many events wait to be sent to the webhook that none is taken.
    Overloaded,
    /// The webhook is disabled.
    WebhookDisabled,
    /// No overlap of a rotation lasts.
    NoOverlap,
    /// A bulk resend is running.
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
            delivery::Refusal::AttemptUnderWay => Self::AttemptUnderWay,
        }
    }
}
