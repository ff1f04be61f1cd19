//! What the owner of a webhook set.

use serde::{Deserialize, Serialize};

use crate::domain::{
    pace::Pace,
    sealed::{Field, Sealed},
    secret::SignHeaderWith,
    timestamp::Timestamp,
    workspace::is_zero,
};

/// What the owner of a webhook set; the WebhookObject keeps a copy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Increases by one with each change.
    pub revision: u64,
    /// The revision in which a person last set the status.
    pub status_revision: u64,
    /// When a person last set the status.
    pub status_changed_at: Timestamp,
    /// Whether a person enabled or disabled it.
    pub enabled: bool,
    /// The endpoint URL.
    pub url: String,
    /// The selected event types.
    pub events: Vec<String>,
    /// Custom headers of each request.
    pub headers: Vec<StoredHeader>,
    /// Signs each payload.
    pub secret: Sealed,
    /// Also signs, until a rotation's overlap ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_secret: Option<PreviousSecret>,
    /// The revision of the workspace in which a key was last revoked: an event that was posted with an older copy of the
    /// keys is not accepted.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub keys_revision: u64,
    /// Whether nothing is sent for the present, though the webhook is enabled.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub paused: bool,
    /// Its pace.
    #[serde(default, skip_serializing_if = "Pace::is_default")]
    pub pace: Pace,
}

/// A custom header as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredHeader {
    /// As its owner wrote it.
    pub name: String,
    /// Stored like a secret, because it often is one.
    pub value: Sealed,
}

impl StoredHeader {
    /// Its value with its field, to be sealed again.
    pub fn sealed_mut(&mut self) -> (Field<'_>, &mut Sealed) {
        (Field::Header(&self.name), &mut self.value)
    }
}

/// The secret before the last rotation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreviousSecret {
    /// The secret.
    pub secret: Sealed,
    /// When it stops signing.
    pub expires_at: Timestamp,
    /// Which of the two secrets makes the hex signature until then.
    #[serde(default, skip_serializing_if = "SignHeaderWith::is_current")]
    pub sign_header_with: SignHeaderWith,
}

impl Settings {
    /// Whether the owner selected an event type.
    #[must_use]
    pub fn selects(&self, event_type: &str) -> bool {
        self.events.iter().any(|selected| selected == event_type)
    }

    /// The secret before the last rotation, while it signs.
    #[must_use]
    pub fn overlap(&self, now: Timestamp) -> Option<&PreviousSecret> {
        let previous = self.previous_secret.as_ref();
        previous.filter(|previous| now < previous.expires_at)
    }

    /// All sealed values in it.
    pub fn sealed(&self) -> impl Iterator<Item = &Sealed> {
        let previous = self.previous_secret.iter();
        let headers = self.headers.iter().map(|header| &header.value);
        std::iter::once(&self.secret)
            .chain(previous.map(|previous| &previous.secret))
            .chain(headers)
    }

    /// The same with their fields, to be sealed again.
    pub fn sealed_mut(&mut self) -> impl Iterator<Item = (Field<'_>, &mut Sealed)> {
        let previous = self.previous_secret.iter_mut();
        std::iter::once(&mut self.secret)
            .chain(previous.map(|previous| &mut previous.secret))
            .map(|secret| (Field::Secret, secret))
            .chain(self.headers.iter_mut().map(StoredHeader::sealed_mut))
    }
}
