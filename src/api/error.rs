//! Every refusal of the API: its status, its stable code, and a message that says what is allowed.

use thiserror::Error;

use crate::domain::{
    catalogue::{TYPES_LIMIT, UnknownEventType},
    custom_headers::HeaderError,
    delivery::Refusal,
    endpoint_url::EndpointUrlError,
    ids::{EventId, WebhookId},
    policy::PolicyError,
    resend::BulkResend,
    secret::SecretError,
    token::Scope,
    webhook::WEBHOOKS_LIMIT,
};

/// A refusal, as reported to the caller.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ApiError {
    /// The body is not JSON.
    #[error("the body is not valid JSON: {reason}")]
    InvalidJson {
        /// The parser's message, with line and column.
        reason: String,
    },
    /// A member has the wrong JSON type.
    #[error("{} must be {expected}", .field.as_deref().unwrap_or("the body"))]
    InvalidType {
        /// The member; none for the body itself.
        field: Option<String>,
        /// The expected type, with its article.
        expected: &'static str,
    },
    /// A member that the contract does not know.
    #[error("{field} is not known here; allowed: {allowed}")]
    UnknownField {
        /// The member.
        field: String,
        /// The known ones.
        allowed: String,
    },
    /// A member is given twice.
    #[error("{field} is given more than once")]
    RepeatedField {
        /// The member.
        field: String,
    },
    /// A required member is missing.
    #[error("{field} is missing")]
    MissingField {
        /// The member.
        field: String,
    },
    /// A query parameter or a member of the path does not parse.
    #[error("{field} must be {allowed}")]
    InvalidParameter {
        /// The parameter.
        field: String,
        /// What it must be.
        allowed: &'static str,
    },
    /// No valid token.
    #[error(
        "a valid token is needed: Authorization: Bearer <operator token or API key>, or a dashboard session"
    )]
    Unauthorized,
    /// The token does not allow the call.
    #[error("this token does not have the scope {}", .0.as_str())]
    MissingScope(Scope),
    /// Only the operator may make the call.
    #[error("only the operator token may do this")]
    OperatorOnly,
    /// A browser sent its session's cookie from a page that is not the relay's.
    #[error(
        "a request with a dashboard session must come from the relay's own pages; its Origin header is not the relay's"
    )]
    ForeignOrigin,
    /// The request came over plain http.
    #[error(
        "this needs https; whoever could read the request has its token, so replace it if it had one"
    )]
    HttpsRequired,
    /// The request is an attempt of a webhook.
    #[error(
        "a webhook of this relay cannot call the relay itself: the request has the header {header}"
    )]
    LoopDetected {
        /// The header of every attempt.
        header: String,
    },
    /// The thing does not exist, or belongs to another workspace.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// No delivery of the event is kept, and the call did not give the type and time needed to explain that.
    #[error(
        "no delivery of this event is kept; give its type and the time at which it was posted: ?type=&at="
    )]
    EventNotFound,
    /// The path exists, the method does not.
    #[error("this path allows {allow} only")]
    MethodNotAllowed {
        /// The methods, separated by `, `.
        allow: String,
    },
    /// The body is not declared as JSON.
    #[error("the body must be JSON, with Content-Type: application/json")]
    UnsupportedMediaType,
    /// The body is compressed or encoded in another way.
    #[error("the body must be sent as it is, without Content-Encoding")]
    EncodedBody,
    /// The body, or one event of it, is too large.
    #[error("{what} may have at most {limit} bytes")]
    PayloadTooLarge {
        /// The member; none for the body itself.
        field: Option<String>,
        /// What is too large.
        what: &'static str,
        /// Bytes.
        limit: usize,
    },
    /// A value of the right type is refused.
    #[error("{field} must be {allowed}")]
    InvalidValue {
        /// The stable code.
        code: &'static str,
        /// The member.
        field: String,
        /// What it must be.
        allowed: String,
    },
    /// The type is not in the catalogue.
    #[error("{error}")]
    UnknownEventType {
        /// The member.
        field: String,
        /// Names the known ones.
        error: UnknownEventType,
    },
    /// The name of a type is one of those that the relay uses itself.
    #[error("name must not be one of the relay's own: ping, and all that begin with webhook.")]
    ReservedEventType,
    /// The endpoint URL is refused.
    #[error(transparent)]
    InvalidUrl(#[from] EndpointUrlError),
    /// The secret is refused.
    #[error(transparent)]
    InvalidSecret(#[from] SecretError),
    /// A custom header is refused.
    #[error(transparent)]
    InvalidHeader(#[from] HeaderError),
    /// The workspace exists with another name.
    #[error("this workspace exists with another name; change it with PATCH")]
    WorkspaceExists,
    /// The workspace's id was deleted.
    #[error("this workspace was deleted; a deleted id is not given again")]
    WorkspaceDeleted,
    /// The workspace has as many webhooks as it may.
    #[error("a workspace has at most {WEBHOOKS_LIMIT} webhooks; delete one first")]
    TooManyWebhooks,
    /// The catalogue has as many types as it may.
    #[error("there are at most {TYPES_LIMIT} event types; delete one first")]
    TooManyEventTypes,
    /// The delivery's state does not allow what was asked.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// There is one secret alone, so nothing to choose from for the hex header.
    #[error(
        "the previous secret does not sign, so sign_header_with has nothing to choose from; rotate with an overlap_seconds above 0"
    )]
    NoOverlap,
    /// A bulk resend of that webhook is still running.
    #[error("a resend of this webhook is running; stop it or wait until it has finished")]
    ResendRunning {
        /// The one that runs.
        resend: Option<Box<BulkResend>>,
    },
    /// Too many calls.
    #[error("too many {what}; try again after {seconds} s")]
    RateLimited {
        /// What there were too many of.
        what: &'static str,
        /// Seconds after which the next one is answered.
        seconds: u32,
    },
    /// The webhook is disabled.
    #[error("the webhook is disabled; enable it first")]
    WebhookDisabled,
    /// Not every matching webhook could store its delivery.
    #[error("the event was not stored; post it again with the same event_id")]
    NotStored {
        /// The ids to post it again with.
        event_ids: Vec<EventId>,
        /// Whether an array was posted.
        array: bool,
    },
    /// So many events wait to be sent to a webhook that no more is taken.
    #[error(
        "so many events wait to be sent to a webhook that none is taken; post it again with the same event_id after {RETRY_AFTER_SECONDS} s"
    )]
    Overloaded {
        /// The ids to post it again with.
        event_ids: Vec<EventId>,
        /// Whether an array was posted.
        array: bool,
    },
    /// The webhook's object could not be notified of a change.
    #[error("the change is saved but not yet in force; the relay keeps applying it")]
    NotApplied {
        /// The webhook that a creation made.
        webhook_id: Option<WebhookId>,
    },
    /// The key stands for another creation.
    #[error(
        "this Idempotency-Key was used within 24 hours for the same call with another body; use a new key for another body"
    )]
    IdempotencyMismatch,
    /// An object did not answer.
    #[error("the relay could not read its storage just now; try again")]
    Unavailable,
    /// A setting of the deployment does not parse.
    #[error(transparent)]
    Misconfigured(#[from] PolicyError),
    /// A secret of the deployment is missing or too weak; its value is never shown.
    #[error("the secret {variable} must be {allowed}")]
    MisconfiguredSecret {
        /// The variable.
        variable: &'static str,
        /// What it must be.
        allowed: &'static str,
    },
    /// Anything else; the cause is in the log, under the request id.
    #[error(
        "something went wrong in the relay; the log has the cause under this answer's X-Request-Id"
    )]
    Internal,
}

/// Seconds after which a refused call may be tried again.
const RETRY_AFTER_SECONDS: u32 = 1;

impl ApiError {
    /// The HTTP status.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            Self::InvalidJson { .. }
            | Self::InvalidType { .. }
            | Self::UnknownField { .. }
            | Self::RepeatedField { .. }
            | Self::MissingField { .. }
            | Self::InvalidParameter { .. } => 400,
            Self::Unauthorized => 401,
            Self::MissingScope(_)
            | Self::OperatorOnly
            | Self::ForeignOrigin
            | Self::HttpsRequired => 403,
            Self::NotFound(_) | Self::EventNotFound => 404,
            Self::MethodNotAllowed { .. } => 405,
            Self::WorkspaceExists
            | Self::WorkspaceDeleted
            | Self::TooManyWebhooks
            | Self::TooManyEventTypes
            | Self::Refused(_)
            | Self::NoOverlap
            | Self::ResendRunning { .. }
            | Self::WebhookDisabled => 409,
            Self::RateLimited { .. } | Self::Overloaded { .. } => 429,
            Self::PayloadTooLarge { .. } => 413,
            Self::UnsupportedMediaType | Self::EncodedBody => 415,
            Self::InvalidValue { .. }
            | Self::UnknownEventType { .. }
            | Self::ReservedEventType
            | Self::InvalidUrl(_)
            | Self::InvalidSecret(_)
            | Self::InvalidHeader(_)
            | Self::IdempotencyMismatch => 422,
            Self::Misconfigured(_) | Self::MisconfiguredSecret { .. } | Self::Internal => 500,
            Self::NotStored { .. } | Self::NotApplied { .. } | Self::Unavailable => 503,
            Self::LoopDetected { .. } => 508,
        }
    }

    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::InvalidJson { .. } => "invalid_json",
            Self::InvalidType { .. } => "invalid_type",
            Self::UnknownField { .. } => "unknown_field",
            Self::RepeatedField { .. } => "repeated_field",
            Self::MissingField { .. } => "missing_field",
            Self::InvalidParameter { .. } => "invalid_parameter",
            Self::Unauthorized => "unauthorized",
            Self::MissingScope(_) | Self::OperatorOnly | Self::ForeignOrigin => "forbidden",
            Self::NotFound(_) => "not_found",
            Self::EventNotFound => "event_not_found",
            Self::MethodNotAllowed { .. } => "method_not_allowed",
            Self::HttpsRequired => "https_required",
            Self::LoopDetected { .. } => "loop_detected",
            Self::UnsupportedMediaType | Self::EncodedBody => "unsupported_media_type",
            Self::PayloadTooLarge { .. } => "payload_too_large",
            Self::InvalidValue { code, .. } => code,
            Self::UnknownEventType { .. } => "unknown_event_type",
            Self::ReservedEventType => "reserved_event_type",
            Self::InvalidUrl(_) => "invalid_url",
            Self::InvalidSecret(_) => "invalid_secret",
            Self::InvalidHeader(_) => "invalid_header",
            Self::WorkspaceExists => "workspace_exists",
            Self::WorkspaceDeleted => "workspace_deleted",
            Self::TooManyWebhooks => "too_many_webhooks",
            Self::TooManyEventTypes => "too_many_event_types",
            Self::Refused(Refusal::AlreadyPending) => "already_pending",
            Self::Refused(Refusal::NotResendable) => "not_resendable",
            Self::Refused(Refusal::AlreadySettled) => "already_settled",
            Self::Refused(Refusal::AttemptUnderWay) => "attempt_under_way",
            Self::NoOverlap => "no_overlap",
            Self::ResendRunning { .. } => "resend_running",
            Self::RateLimited { .. } => "rate_limited",
            Self::WebhookDisabled => "webhook_disabled",
            Self::NotStored { .. } => "not_stored",
            Self::Overloaded { .. } => "overloaded",
            Self::NotApplied { .. } => "not_applied",
            Self::IdempotencyMismatch => "idempotency_mismatch",
            Self::Unavailable => "unavailable",
            Self::Misconfigured(_) | Self::MisconfiguredSecret { .. } => "misconfigured",
            Self::Internal => "internal",
        }
    }

    /// The member that caused the refusal.
    #[must_use]
    pub fn field(&self) -> Option<&str> {
        match self {
            Self::InvalidType { field, .. } | Self::PayloadTooLarge { field, .. } => {
                field.as_deref()
            }
            Self::UnknownField { field, .. }
            | Self::RepeatedField { field }
            | Self::MissingField { field }
            | Self::InvalidParameter { field, .. }
            | Self::InvalidValue { field, .. }
            | Self::UnknownEventType { field, .. } => Some(field),
            Self::ReservedEventType => Some("name"),
            Self::InvalidUrl(_) => Some("url"),
            Self::InvalidSecret(_) => Some("secret"),
            Self::NoOverlap => Some("sign_header_with"),
            Self::InvalidHeader(_) => Some("headers"),
            Self::IdempotencyMismatch => Some("Idempotency-Key"),
            Self::InvalidJson { .. }
            | Self::Unauthorized
            | Self::MissingScope(_)
            | Self::OperatorOnly
            | Self::ForeignOrigin
            | Self::HttpsRequired
            | Self::LoopDetected { .. }
            | Self::NotFound(_)
            | Self::EventNotFound
            | Self::MethodNotAllowed { .. }
            | Self::UnsupportedMediaType
            | Self::EncodedBody
            | Self::WorkspaceExists
            | Self::WorkspaceDeleted
            | Self::TooManyWebhooks
            | Self::TooManyEventTypes
            | Self::Refused(_)
            | Self::ResendRunning { .. }
            | Self::RateLimited { .. }
            | Self::WebhookDisabled
            | Self::NotStored { .. }
            | Self::Overloaded { .. }
            | Self::NotApplied { .. }
            | Self::Unavailable
            | Self::Misconfigured(_)
            | Self::MisconfiguredSecret { .. }
            | Self::Internal => None,
        }
    }

    /// The headers of the answer: `Allow` for 405, `WWW-Authenticate` for 401, `Retry-After` for 429 and 503.
    #[must_use]
    pub fn headers(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::MethodNotAllowed { allow } => vec![("Allow", allow.clone())],
            Self::Unauthorized => vec![("WWW-Authenticate", "Bearer".to_string())],
            Self::RateLimited { seconds, .. } => vec![("Retry-After", seconds.to_string())],
            error if error.status() == 503 || matches!(error, Self::Overloaded { .. }) => {
                vec![("Retry-After", RETRY_AFTER_SECONDS.to_string())]
            }
            _ => vec![],
        }
    }
}
