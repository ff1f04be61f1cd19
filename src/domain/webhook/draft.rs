//! What an owner asks for, checked, whether over the API or in a form.

use crate::domain::{
    endpoint_url::EndpointUrl,
    event_type::EventType,
    pace::Pace,
    secret::{Secret, SignHeaderWith},
};

/// A webhook to create, or all that a form says of one.
#[derive(Debug)]
pub struct WebhookDraft {
    /// The endpoint URL.
    pub url: EndpointUrl,
    /// At least one type.
    pub events: Vec<EventType>,
    /// The customer's own secret, if one was given.
    pub secret: Option<Secret>,
    /// A note for people.
    pub description: String,
    /// Custom headers, names and values.
    pub headers: Vec<(String, String)>,
    /// The pace.
    pub pace: Pace,
}

/// A rotation of a secret.
#[derive(Debug)]
pub struct Rotation {
    /// The customer's own new secret, if one was given.
    pub secret: Option<Secret>,
    /// How long the old secret continues to sign, in seconds.
    pub overlap_seconds: u64,
    /// Which secret makes the hex signature meanwhile.
    pub sign_header_with: SignHeaderWith,
}
