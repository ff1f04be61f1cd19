//! The result of a ping or a test, shown in place: the request as it was sent, and what came back.

use super::response::ShownResponse;
use crate::domain::{attempt::Attempt, record::DeliveryRecord};

/// A ping or a test with its one attempt.
pub struct Probe {
    /// The delivery, with its payload, which is the request's body.
    pub record: DeliveryRecord,
    /// What is kept of the request besides its body; none before the attempt has ended.
    pub request: Option<SentParts>,
}

/// What is kept of a ping's or a test's request besides its body.
pub struct SentParts {
    /// The URL.
    pub url: String,
    /// The headers; values of custom ones only for users who may write.
    pub headers: Vec<(String, String)>,
}

impl Probe {
    pub(super) fn response(attempt: &Attempt) -> ShownResponse {
        ShownResponse::new(attempt, false)
    }
}
