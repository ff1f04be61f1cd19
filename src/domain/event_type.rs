//! The names of event types.
//!
//! Which types there are is in [`super::catalogue`]. What is stored keeps its type's name, also when the type is gone.

use serde::{Deserialize, Serialize};

/// The type of the POST that is made when a webhook is created. Nobody selects or posts it.
const PING: &str = "ping";
/// The beginning of the names of what the relay itself tells about webhooks.
const OPERATIONAL: &str = "webhook.";
/// Characters of a name.
pub const NAME_LIMIT: usize = 128;

/// The name of a type: one of the catalogue when it was found there, or [`EventType::ping`].
///
/// Reading stored JSON accepts any name: a type may have left the catalogue since. What a person or a producer names is
/// found in [`super::catalogue::Catalogue`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventType(String);

impl EventType {
    /// Reads the name of a type that the operator adds to the catalogue.
    ///
    /// # Errors
    /// If it is malformed, or reserved.
    pub fn parse(name: &str) -> Result<Self, NameError> {
        let is_part = |part: &str| {
            let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
            !part.is_empty() && part.bytes().all(is_allowed)
        };
        if name.len() > NAME_LIMIT || !name.split('.').all(is_part) {
            return Err(NameError::Malformed);
        }
        if name == PING || name.starts_with(OPERATIONAL) {
            return Err(NameError::Reserved);
        }
        Ok(Self(name.to_string()))
    }

    /// A name that is known already: of a catalogue's entry, or of something stored.
    #[must_use]
    pub(super) fn known(name: &str) -> Self {
        Self(name.to_string())
    }

    /// The type of the POST that checks a webhook when it is created.
    #[must_use]
    pub fn ping() -> Self {
        Self(PING.to_string())
    }

    /// The name.
    #[must_use]
    pub const fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl std::fmt::Display for EventType {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Why no type may have a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// It is no name.
    #[error(
        "a name has 1 to {NAME_LIMIT} of letters, digits, _ and -, in parts separated by full stops"
    )]
    Malformed,
    /// The relay uses it itself.
    #[error("{PING} and all names that begin with {OPERATIONAL} are the relay's own")]
    Reserved,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_parts_of_letters_digits_low_lines_and_hyphens() {
        let longest = "a".repeat(NAME_LIMIT);
        for name in [
            "a",
            "alert.triggered",
            "Order_2.line-item.ADDED",
            "-",
            "_._",
            "pings",
            "ping.sent",
            "webhook",
            "webhooks.made",
            &longest,
        ] {
            assert_eq!(EventType::parse(name).unwrap().as_str(), name);
        }
        let too_long = "a".repeat(NAME_LIMIT + 1);
        for name in [
            "", ".", "a.", ".a", "a..b", "a b", "a/b", "é", "a*", "a\n", "a\0", &too_long,
        ] {
            assert_eq!(
                EventType::parse(name),
                Err(NameError::Malformed),
                "{name:?}"
            );
        }
    }

    #[test]
    fn the_names_that_the_relay_uses_itself_are_reserved() {
        for name in ["ping", "webhook.disabled", "webhook.a.b"] {
            assert_eq!(EventType::parse(name), Err(NameError::Reserved), "{name}");
        }
    }

    #[test]
    fn the_stored_form_is_the_name() {
        let known = EventType::parse("agent.error").unwrap();
        assert_eq!(serde_json::to_string(&known).unwrap(), "\"agent.error\"");
        assert_eq!(
            serde_json::from_str::<EventType>("\"agent.error\"").unwrap(),
            known
        );
    }

    #[test]
    fn a_stored_name_is_read_whether_or_not_there_is_such_a_type() {
        for name in ["agent.retired", "ping", "webhook.a"] {
            let stored = serde_json::to_string(name).unwrap();
            let read: EventType = serde_json::from_str(&stored).unwrap();
            assert_eq!(read.as_str(), name);
        }
    }
}
