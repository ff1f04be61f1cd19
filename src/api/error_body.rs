//! The body of every refusal.

use serde::Serialize;

use super::{error::ApiError, resend_views::BulkResendView};
use crate::domain::ids::{EventId, WebhookId};

impl ApiError {
    /// The answer's body: `{"error": {"code", "message", "field"?}}`, and beside it what helps to go on.
    #[must_use]
    pub fn body(&self) -> ErrorBody<'_> {
        let (event_id, event_ids) = match self {
            Self::NotStored {
                event_ids,
                array: true,
            }
            | Self::Overloaded {
                event_ids,
                array: true,
            } => (None, Some(event_ids.as_slice())),
            Self::NotStored {
                event_ids,
                array: false,
            }
            | Self::Overloaded {
                event_ids,
                array: false,
            } => (event_ids.first(), None),
            _ => (None, None),
        };
        let detail = ErrorDetail {
            code: self.code(),
            message: self.to_string(),
            field: self.field(),
        };
        let webhook_id = match self {
            Self::NotApplied { webhook_id } => webhook_id.as_ref(),
            _ => None,
        };
        let resend = match self {
            Self::ResendRunning { resend } => resend.as_deref().map(BulkResendView::from),
            _ => None,
        };
        ErrorBody {
            error: detail,
            event_id,
            event_ids,
            webhook_id,
            resend,
        }
    }
}

/// The one shape of all errors.
#[derive(Debug, Serialize)]
pub struct ErrorBody<'a> {
    error: ErrorDetail<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_id: Option<&'a EventId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_ids: Option<&'a [EventId]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    webhook_id: Option<&'a WebhookId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resend: Option<BulkResendView>,
}

#[derive(Debug, Serialize)]
struct ErrorDetail<'a> {
    code: &'static str,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_its_field_where_one_is_to_blame() {
        let error = ApiError::MissingField {
            field: "url".into(),
        };
        assert_eq!(
            serde_json::to_string(&error.body()).unwrap(),
            r#"{"error":{"code":"missing_field","message":"url is missing","field":"url"}}"#
        );
        let error = ApiError::NotFound("workspace");
        assert_eq!(
            serde_json::to_string(&error.body()).unwrap(),
            r#"{"error":{"code":"not_found","message":"there is no such workspace"}}"#
        );
    }

    #[test]
    fn what_was_not_stored_can_be_posted_again_with_its_ids() {
        let ids = vec![EventId::parse("a").unwrap(), EventId::parse("b").unwrap()];
        let many = ApiError::NotStored {
            event_ids: ids.clone(),
            array: true,
        };
        assert!(
            serde_json::to_string(&many.body())
                .unwrap()
                .ends_with(r#""event_ids":["a","b"]}"#)
        );
        let one = ApiError::NotStored {
            event_ids: ids,
            array: false,
        };
        assert!(
            serde_json::to_string(&one.body())
                .unwrap()
                .ends_with(r#""event_id":"a"}"#)
        );
        assert_eq!(
            (one.status(), one.headers()),
            (503, vec![("Retry-After", "1".to_string())])
        );
    }
}
