//! The catalogue: the types of events that producers may post and customers may select, as the operator set them.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::event_type::EventType;

/// Types that a catalogue may have.
pub const TYPES_LIMIT: usize = 200;

/// Characters of a description.
pub const DESCRIPTION_LIMIT: usize = 1000;

/// Bytes of a schema's JSON text.
pub const SCHEMA_LIMIT: usize = 16 * 1024;

/// Bytes of a sample's JSON text.
pub const SAMPLE_LIMIT: usize = 16 * 1024;

/// The current version of the catalogue's format.
const VERSION: u32 = 1;

/// The types that a relay has from its first start.
const FIRST: &str = include_str!("event_types.json");

/// Characters of a refused name that an error repeats.
const QUOTED_CHARACTERS: usize = 100;

/// Characters of known names that an error lists.
const LISTED_CHARACTERS: usize = 1000;

/// One type.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CatalogueEntry {
    /// Such as `alert.triggered`.
    pub name: EventType,
    /// When it fires.
    pub description: String,
    /// An example of the payload's `data`, sent by a test.
    pub sample: Box<RawValue>,
    /// The JSON Schema of `data`, for people; nothing is held to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<Box<RawValue>>,
    /// Whether forms leave it out. It is posted and selected as before.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deprecated: bool,
}

impl PartialEq for CatalogueEntry {
    fn eq(&self, other: &Self) -> bool {
        let schema = |entry: &Self| entry.schema.as_ref().map(|schema| schema.get().to_string());
        self.name == other.name
            && self.description == other.description
            && self.sample.get() == other.sample.get()
            && schema(self) == schema(other)
            && self.deprecated == other.deprecated
    }
}

/// All types at one revision, in the order in which they were added.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Catalogue {
    version: u32,
    /// Increases by one with each change.
    pub revision: u64,
    /// The types.
    pub types: Vec<CatalogueEntry>,
}

/// The types that a relay has from its first start: those of the customer docs.
#[must_use]
pub fn first_types() -> Vec<CatalogueEntry> {
    // The file is part of the program and a test reads it, so an error cannot occur at run time.
    serde_json::from_str(FIRST).unwrap_or_default()
}

impl Default for Catalogue {
    /// That of a relay which was just started.
    fn default() -> Self {
        Self::new(1, first_types())
    }
}

impl Catalogue {
    /// Makes a catalogue.
    #[must_use]
    pub const fn new(revision: u64, types: Vec<CatalogueEntry>) -> Self {
        Self {
            version: VERSION,
            revision,
            types,
        }
    }

    /// Reads a stored catalogue; one that does not parse counts as missing.
    #[must_use]
    pub fn parse(stored: &str) -> Option<Self> {
        serde_json::from_str(stored)
            .ok()
            .filter(|catalogue: &Self| catalogue.version == VERSION)
    }

    /// Finds an entry by its exact name.
    #[must_use]
    pub fn entry(&self, name: &str) -> Option<&CatalogueEntry> {
        self.types.iter().find(|entry| entry.name.as_str() == name)
    }

    /// Finds a type by its exact name.
    ///
    /// # Errors
    /// [`UnknownEventType`], which lists the known ones.
    pub fn find(&self, name: &str) -> Result<EventType, UnknownEventType> {
        self.find_entry(name).map(|entry| entry.name.clone())
    }

    /// Finds a type, with all that is known of it.
    ///
    /// # Errors
    /// [`UnknownEventType`].
    pub fn find_entry(&self, name: &str) -> Result<&CatalogueEntry, UnknownEventType> {
        self.entry(name).ok_or_else(|| UnknownEventType {
            name: name.chars().take(QUOTED_CHARACTERS).collect(),
            known: self.known(),
        })
    }

    /// The types that a webhook may select which has some already.
    #[must_use]
    pub const fn selectable<'a>(&'a self, selected: &'a [String]) -> Selectable<'a> {
        Selectable {
            catalogue: self,
            selected,
        }
    }

    /// The known names in words, as many as an error has room for.
    fn known(&self) -> String {
        let mut listed = String::new();
        for (index, entry) in self.types.iter().enumerate() {
            let name = entry.name.as_str();
            if listed.len().saturating_add(name.len()) > LISTED_CHARACTERS {
                let left = self.types.len().saturating_sub(index);
                return format!("{listed} and {left} more");
            }
            if index > 0 {
                listed.push_str(", ");
            }
            listed.push_str(name);
        }
        if listed.is_empty() {
            listed.push_str("none");
        }
        listed
    }
}

/// The types that a webhook may select: those of the catalogue, and those that it has selected.
#[derive(Clone, Copy, Debug)]
pub struct Selectable<'a> {
    catalogue: &'a Catalogue,
    selected: &'a [String],
}

impl Selectable<'_> {
    /// Finds a type by its exact name.
    ///
    /// # Errors
    /// [`UnknownEventType`].
    pub fn find(self, name: &str) -> Result<EventType, UnknownEventType> {
        if self.selected.iter().any(|selected| selected == name) {
            return Ok(EventType::known(name));
        }
        self.catalogue.find(name)
    }
}

/// A name that is in no entry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown event type '{name}'; known are {known}")]
pub struct UnknownEventType {
    /// The name, at most its first 100 characters.
    name: String,
    /// The known names.
    known: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_types_are_those_of_the_customer_page() {
        let catalogue = Catalogue::default();
        let entries: Vec<_> = catalogue
            .types
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
        assert_eq!(
            catalogue.entry("alert.triggered").unwrap().sample.get(),
            r#"{"alert_id":"alrt_xyz","agent_id":"agt_abc123","details":"Rate limit exceeded: 150 prompts/min"}"#
        );
    }

    #[test]
    fn each_of_the_first_types_could_have_been_put() {
        let types: Vec<CatalogueEntry> = serde_json::from_str(FIRST).unwrap();
        for entry in &types {
            let name = entry.name.as_str();
            assert_eq!(EventType::parse(name).as_ref(), Ok(&entry.name));
            let sample: serde_json::Value = serde_json::from_str(entry.sample.get()).unwrap();
            assert!(
                sample
                    .as_object()
                    .is_some_and(|members| !members.is_empty())
            );
            // Sent exactly as in the file.
            assert!(!entry.sample.get().contains('\n'), "{name}");
            assert!(entry.schema.is_none() && !entry.deprecated, "{name}");
        }
    }

    #[test]
    fn an_unknown_name_is_refused_with_the_known_ones() {
        let catalogue = Catalogue::default();
        for name in ["", "alert", "Alert.Triggered", "agent.error ", "*", "ping"] {
            assert!(catalogue.find(name).is_err(), "{name:?}");
        }
        assert_eq!(
            catalogue.find("alert.fired").unwrap_err().to_string(),
            "unknown event type 'alert.fired'; known are alert.triggered, policy.violated, agent.registered, agent.error"
        );
        let empty = Catalogue::new(7, Vec::new());
        assert!(
            empty
                .find("a")
                .unwrap_err()
                .to_string()
                .ends_with("known are none")
        );
    }

    #[test]
    fn an_error_is_short_however_long_the_names_are() {
        let entries = (0..TYPES_LIMIT).map(|number| CatalogueEntry {
            name: EventType::known(&format!("{number:0>128}")),
            ..first_types().remove(0)
        });
        let catalogue = Catalogue::new(1, entries.collect());
        let error = catalogue.find(&"é".repeat(5_000)).unwrap_err().to_string();
        assert!(error.chars().count() < 1_200, "{error}");
        assert!(error.ends_with(" and 193 more"), "{error}");
    }

    #[test]
    fn a_webhook_keeps_a_type_that_is_gone_and_cannot_select_another_such() {
        let catalogue = Catalogue::default();
        let selected = ["agent.retired".to_string()];
        let selectable = catalogue.selectable(&selected);
        for name in ["agent.retired", "agent.error"] {
            assert_eq!(selectable.find(name).unwrap().as_str(), name);
        }
        assert!(selectable.find("agent.gone").is_err());
    }

    #[test]
    fn the_stored_form_is_pinned() {
        let entry = |name: &str, sample: &str| CatalogueEntry {
            name: EventType::parse(name).unwrap(),
            description: "d".into(),
            sample: RawValue::from_string(sample.into()).unwrap(),
            schema: None,
            deprecated: false,
        };
        let schema = RawValue::from_string(r#"{"type": "object"}"#.into()).unwrap();
        let types = vec![
            entry("a.b", r#"{"n": 1.0}"#),
            CatalogueEntry {
                schema: Some(schema),
                deprecated: true,
                ..entry("c", "{}")
            },
        ];
        let catalogue = Catalogue::new(3, types);
        let stored = concat!(
            r#"{"version":1,"revision":3,"types":[{"name":"a.b","description":"d","sample":{"n": 1.0}},"#,
            r#"{"name":"c","description":"d","sample":{},"schema":{"type": "object"},"deprecated":true}]}"#,
        );
        assert_eq!(serde_json::to_string(&catalogue).unwrap(), stored);
        assert_eq!(Catalogue::parse(stored), Some(catalogue));
        for damaged in ["", "null", "{}", r#"{"version":2,"revision":1,"types":[]}"#] {
            assert_eq!(Catalogue::parse(damaged), None);
        }
    }
}
