//! The record of what webhooks had selected when. It explains later why an event reached no endpoint, without a row
//! for each event.

use serde::{Deserialize, Serialize};

use super::{ids::WebhookId, timestamp::Timestamp};

/// What a webhook selected since a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SelectionChange {
    /// The webhook.
    pub webhook: WebhookId,
    /// Since when.
    pub at: Timestamp,
    /// The selected types; none from its deletion on.
    pub events: Option<Vec<String>>,
}

/// Why a webhook has no delivery of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Absence {
    /// It was created later.
    WebhookDidNotExist,
    /// It was deleted before.
    WebhookDeleted,
    /// It had not selected the type.
    TypeNotSelected,
    /// It had selected the type, but no delivery is kept: it was refused for a full backlog, missed within KV's
    /// delay, or purged since.
    NotStored,
}

/// Explains why a webhook has no delivery of an event of a type at a time. `changes` are the webhook's, oldest first.
#[must_use]
pub fn explain(changes: &[&SelectionChange], event_type: &str, at: Timestamp) -> Absence {
    let before = changes.iter().rev().find(|change| change.at <= at);
    match before.map(|change| &change.events) {
        None => Absence::WebhookDidNotExist,
        Some(None) => Absence::WebhookDeleted,
        Some(Some(events)) if events.iter().any(|selected| selected == event_type) => {
            Absence::NotStored
        }
        Some(Some(_)) => Absence::TypeNotSelected,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absence_is_explained_by_what_was_selected_at_that_time() {
        let changes = [
            change(10, Some(&["a"])),
            change(20, Some(&["b"])),
            change(30, None),
        ];
        let changes: Vec<_> = changes.iter().collect();
        let why = |event_type, at| explain(&changes, event_type, Timestamp::from_millis(at));
        assert_eq!(why("a", 9), Absence::WebhookDidNotExist);
        assert_eq!(why("a", 10), Absence::NotStored);
        assert_eq!(why("b", 10), Absence::TypeNotSelected);
        assert_eq!(why("b", 29), Absence::NotStored);
        assert_eq!(why("b", 30), Absence::WebhookDeleted);
    }

    #[test]
    fn the_stored_form_is_pinned() {
        let stored = r#"{"webhook":"wh_00000000000070008000000000000000","at":10,"events":["a"]}"#;
        assert_eq!(
            serde_json::to_string(&change(10, Some(&["a"]))).unwrap(),
            stored
        );
        assert_eq!(
            serde_json::from_str::<SelectionChange>(stored).unwrap(),
            change(10, Some(&["a"]))
        );
    }

    fn change(at: i64, events: Option<&[&str]>) -> SelectionChange {
        SelectionChange {
            webhook: WebhookId::mint(Timestamp::from_millis(0), [0; 10]),
            at: Timestamp::from_millis(at),
            events: events.map(|events| events.iter().map(ToString::to_string).collect()),
        }
    }
}
