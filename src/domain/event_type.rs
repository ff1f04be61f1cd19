//! The types of events, from one catalogue file.
//!
//! To add a type, add an entry to `event_types.json`; nothing else in the program names one. Names follow Standard
//! Webhooks: identifiers of `[a-zA-Z0-9_]` separated by full stops.

use std::fmt;
use std::sync::OnceLock;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

const CATALOGUE: &str = include_str!("event_types.json");
/// The type of the POST that is made when a webhook is created. Nobody selects or posts it.
const PING: &str = "ping";
/// Characters of a refused name that an error repeats.
const QUOTED_CHARACTERS: usize = 100;

/// One type that customers may select.
#[derive(Debug, Serialize, Deserialize)]
pub struct CatalogueEntry {
    /// Such as `alert.triggered`.
    pub name: String,
    /// When it fires, in one sentence.
    pub description: String,
    /// An example of the payload's `data`, sent by a test.
    pub sample: Box<RawValue>,
}

/// All types that customers may select, in the order of the catalogue.
#[must_use]
pub fn catalogue() -> &'static [CatalogueEntry] {
    static ENTRIES: OnceLock<Vec<CatalogueEntry>> = OnceLock::new();
    // The file is part of the program and a test reads it, so an error cannot occur at run time.
    ENTRIES.get_or_init(|| serde_json::from_str(CATALOGUE).unwrap_or_default())
}

/// The name of a type that exists: one of the catalogue, or [`EventType::ping`].
///
/// Reading stored JSON accepts both. What a person or a producer names goes through [`EventType::parse`], which does
/// not know `ping`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct EventType(&'static str);

impl EventType {
    /// Finds a type of the catalogue by its exact name.
    ///
    /// # Errors
    ///
    /// [`EventTypeError::Unknown`], which lists the known ones.
    pub fn parse(name: &str) -> Result<Self, EventTypeError> {
        Self::all()
            .find(|known| known.0 == name)
            .ok_or_else(|| EventTypeError::Unknown {
                name: name.chars().take(QUOTED_CHARACTERS).collect(),
                known: Self::all().map(Self::as_str).collect::<Vec<_>>().join(", "),
            })
    }

    /// The type of the POST that checks a webhook when it is created.
    #[must_use]
    pub const fn ping() -> Self {
        Self(PING)
    }

    /// Every type of the catalogue, in its order.
    pub fn all() -> impl Iterator<Item = Self> {
        catalogue().iter().map(|entry| Self(&entry.name))
    }

    /// The name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.0
    }

    /// The example of `data` that a test of this type sends; none for a ping.
    #[must_use]
    pub fn sample(self) -> Option<&'static RawValue> {
        catalogue()
            .iter()
            .find(|entry| entry.name == self.0)
            .map(|entry| entry.sample.as_ref())
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.0)
    }
}

impl<'de> Deserialize<'de> for EventType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        if name == PING {
            Ok(Self::ping())
        } else {
            Self::parse(&name).map_err(serde::de::Error::custom)
        }
    }
}

/// Why a name is not an event type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventTypeError {
    /// Not in the catalogue.
    #[error("unknown event type '{name}'; known are {known}")]
    Unknown {
        /// The name, at most its first 100 characters.
        name: String,
        /// The known names, separated by commas.
        known: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_catalogue_is_that_of_the_customer_page() {
        let entries: Vec<_> = catalogue()
            .iter()
            .map(|entry| (entry.name.as_str(), entry.description.as_str()))
            .collect();
        assert_eq!(
            entries,
            [
                (
                    "alert.triggered",
                    "A configured alert fired based on your alert rules."
                ),
                (
                    "policy.violated",
                    "An agent action violated an active security policy."
                ),
                (
                    "agent.registered",
                    "A new agent was registered with your workspace."
                ),
                ("agent.error", "An agent reported an error event."),
            ]
        );
    }

    #[test]
    fn the_catalogue_file_parses_and_has_entries() {
        let entries: Vec<CatalogueEntry> = serde_json::from_str(CATALOGUE).unwrap();
        assert!(!entries.is_empty());
        assert_eq!(entries.len(), catalogue().len());
    }

    #[test]
    fn every_name_follows_standard_webhooks_and_stands_once() {
        let is_identifier = |part: &str| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        };
        for entry in catalogue() {
            assert!(entry.name.split('.').all(is_identifier), "{}", entry.name);
            assert_eq!(
                catalogue()
                    .iter()
                    .filter(|other| other.name == entry.name)
                    .count(),
                1,
                "{}",
                entry.name
            );
        }
    }

    #[test]
    fn every_sample_is_an_object_on_one_line() {
        for entry in catalogue() {
            let sample: serde_json::Value = serde_json::from_str(entry.sample.get()).unwrap();
            assert!(
                sample
                    .as_object()
                    .is_some_and(|members| !members.is_empty()),
                "{}",
                entry.name
            );
            // Sent exactly as in the file.
            assert!(!entry.sample.get().contains('\n'), "{}", entry.name);
            assert!(!entry.description.is_empty(), "{}", entry.name);
        }
    }

    #[test]
    fn the_sample_of_an_alert_is_that_of_the_customer_page() {
        assert_eq!(
            EventType::parse("alert.triggered")
                .unwrap()
                .sample()
                .unwrap()
                .get(),
            r#"{"alert_id":"alrt_xyz","agent_id":"agt_abc123","details":"Rate limit exceeded: 150 prompts/min"}"#
        );
        assert!(EventType::ping().sample().is_none());
    }

    #[test]
    fn every_name_of_the_catalogue_is_a_type() {
        for entry in catalogue() {
            assert_eq!(EventType::parse(&entry.name).unwrap().as_str(), entry.name);
        }
    }

    #[test]
    fn an_unknown_name_is_refused_with_the_known_ones() {
        for name in [
            "",
            "alert",
            "Alert.Triggered",
            "alert.triggered ",
            "*",
            "alert.*",
        ] {
            assert!(
                matches!(EventType::parse(name), Err(EventTypeError::Unknown { .. })),
                "{name:?}"
            );
        }
        assert_eq!(
            EventType::parse("alert.fired").unwrap_err().to_string(),
            "unknown event type 'alert.fired'; known are alert.triggered, policy.violated, agent.registered, agent.error"
        );
    }

    #[test]
    fn an_error_repeats_at_most_100_characters_of_the_name() {
        let EventTypeError::Unknown { name, .. } =
            EventType::parse(&"é".repeat(5_000)).unwrap_err();
        assert_eq!(name, "é".repeat(100));
    }

    #[test]
    fn nobody_may_name_a_ping_but_a_stored_one_is_read() {
        assert!(matches!(
            EventType::parse("ping"),
            Err(EventTypeError::Unknown { .. })
        ));
        assert_eq!(
            serde_json::from_str::<EventType>("\"ping\"").unwrap(),
            EventType::ping()
        );
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
    fn a_stored_name_that_left_the_catalogue_is_an_error_that_names_it() {
        let error = serde_json::from_str::<EventType>("\"agent.retired\"")
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("unknown event type 'agent.retired'"),
            "{error}"
        );
    }
}
