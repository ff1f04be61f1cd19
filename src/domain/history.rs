//! The record of what webhooks had selected when. It explains later why an event reached no endpoint, without a row
//! for each event.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{ids::WebhookId, timestamp::Timestamp};

/// Changes that a workspace's record keeps, besides the ones that were in force when it begins.
pub const CHANGES_LIMIT: usize = 1000;

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

impl SelectionChange {
    /// Whether a type is selected.
    #[must_use]
    pub fn selects(&self, event_type: &str) -> bool {
        let events = self.events.as_ref();
        events.is_some_and(|events| events.iter().any(|selected| selected == event_type))
    }
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
    /// It existed, but the record of what it had selected begins later.
    NotRecorded,
}

/// Whether two lists select the same types: what does not differ need not be recorded.
#[must_use]
pub fn is_same_selection(one: &[String], other: &[String]) -> bool {
    let set = |types: &[String]| types.iter().cloned().collect::<BTreeSet<_>>();
    set(one) == set(other)
}

/// Explains why a webhook has no delivery of an event of a type at a time. `changes` are the webhook's, oldest first;
/// `recorded_since` is since when the record is whole, if it is not.
#[must_use]
pub fn explain(
    changes: &[SelectionChange],
    event_type: &str,
    at: Timestamp,
    recorded_since: Option<Timestamp>,
) -> Absence {
    let before = changes.iter().rev().find(|change| change.at <= at);
    let existed = changes.iter().any(|known| known.webhook.minted_at() <= at);
    match before {
        None if existed && recorded_since.is_some_and(|since| at < since) => Absence::NotRecorded,
        None => Absence::WebhookDidNotExist,
        Some(change) if change.events.is_none() => Absence::WebhookDeleted,
        Some(change) if change.selects(event_type) => Absence::NotStored,
        Some(_) => Absence::TypeNotSelected,
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
        let why = |event_type, at| explain(&changes, event_type, Timestamp::from_millis(at), None);
        assert_eq!(why("a", 9), Absence::WebhookDidNotExist);
        assert_eq!(why("a", 10), Absence::NotStored);
        assert_eq!(why("b", 10), Absence::TypeNotSelected);
        assert_eq!(why("b", 29), Absence::NotStored);
        assert_eq!(why("b", 30), Absence::WebhookDeleted);
    }

    #[test]
    fn what_was_before_the_record_begins_is_not_guessed() {
        let at = Timestamp::from_millis;
        let made_at = |millis| SelectionChange {
            webhook: WebhookId::mint(at(millis), [0; 10]),
            ..change(20, Some(&["a"]))
        };
        let why = |made, time| explain(&[made_at(made)], "a", at(time), Some(at(15)));
        assert_eq!(why(5, 4), Absence::WebhookDidNotExist);
        assert_eq!(why(5, 5), Absence::NotRecorded);
        assert_eq!(why(5, 14), Absence::NotRecorded);
        assert_eq!(why(16, 15), Absence::WebhookDidNotExist);
        assert_eq!(why(5, 20), Absence::NotStored);
    }

    #[test]
    fn the_order_of_the_types_does_not_matter() {
        let types = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert!(is_same_selection(&types(&["a", "b"]), &types(&["b", "a"])));
        assert!(!is_same_selection(&types(&["a", "b"]), &types(&["a"])));
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
