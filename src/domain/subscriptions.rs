//! The copy of a workspace's webhooks and keys in KV, from which a posted event's matching webhooks are found.
//!
//! It holds no URL, no header and no secret, and it may be a minute old: it decides whom to ask, never what is sent.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    ids::WebhookId,
    timestamp::Timestamp,
    token::{Scope, TokenHash},
    workspace::{Workspace, is_zero},
};

/// The current version of the snapshot's format.
const VERSION: u32 = 1;

/// A workspace's webhooks and keys at one revision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    version: u32,
    /// Increases by one with each change in the workspace.
    pub revision: u64,
    /// Its webhooks, disabled ones included: they hold what arrives.
    pub webhooks: Vec<Subscription>,
    /// Its API keys.
    pub keys: Vec<KeyGrant>,
    /// The revision in which a key was last revoked.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub keys_revision: u64,
}

/// A webhook and the types that it selected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscription {
    /// The webhook.
    pub id: WebhookId,
    /// The selected types.
    pub events: Vec<String>,
    /// Since when each is selected; long ago for one that is not in it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub since: BTreeMap<String, Timestamp>,
}

/// An API key and what it may do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyGrant {
    /// The key's hash.
    pub hash: TokenHash,
    /// Its scopes.
    pub scopes: Vec<Scope>,
}

impl Subscription {
    /// Whether the webhook selected a type.
    #[must_use]
    pub fn selects(&self, event_type: &str) -> bool {
        self.events.iter().any(|selected| selected == event_type)
    }

    /// Whether the webhook selected a type at a time and ever since.
    #[must_use]
    pub fn selected_at(&self, event_type: &str, time: Timestamp) -> bool {
        let since = self.since.get(event_type).copied().unwrap_or_default();
        self.selects(event_type) && since <= time
    }
}

impl Snapshot {
    /// Makes the snapshot of a workspace.
    #[must_use]
    pub const fn new(
        workspace: &Workspace,
        webhooks: Vec<Subscription>,
        keys: Vec<KeyGrant>,
    ) -> Self {
        Self {
            version: VERSION,
            revision: workspace.revision,
            webhooks,
            keys,
            keys_revision: workspace.keys_revision,
        }
    }

    /// Reads a stored snapshot; one that does not parse counts as missing.
    #[must_use]
    pub fn parse(stored: &str) -> Option<Self> {
        serde_json::from_str(stored)
            .ok()
            .filter(|snapshot: &Self| snapshot.version == VERSION)
    }

    /// The webhooks that selected a type.
    pub fn matching<'a>(&'a self, event_type: &'a str) -> impl Iterator<Item = &'a WebhookId> {
        self.webhooks
            .iter()
            .filter(move |webhook| webhook.selects(event_type))
            .map(|webhook| &webhook.id)
    }

    /// How many webhooks selected one of the types.
    #[must_use]
    pub fn count_matching(&self, event_types: &[&str]) -> usize {
        let webhooks = self.webhooks.iter();
        webhooks
            .filter(|webhook| event_types.iter().any(|name| webhook.selects(name)))
            .count()
    }

    /// Whether its webhooks selected different types.
    #[must_use]
    pub fn selections_differ(&self) -> bool {
        let lacks_one_of = |webhook: &Subscription, types: &[String]| {
            types.iter().any(|name| !webhook.selects(name))
        };
        self.webhooks.iter().any(|one| {
            self.webhooks
                .iter()
                .any(|other| lacks_one_of(other, &one.events))
        })
    }

    /// What a key may do, if it is a key of the workspace.
    #[must_use]
    pub fn scopes_of(&self, key: &TokenHash) -> Option<&[Scope]> {
        self.keys
            .iter()
            .find(|grant| grant.hash.matches(key))
            .map(|grant| grant.scopes.as_slice())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::WorkspaceId;

    #[test]
    fn the_stored_form_is_pinned() {
        let key = KeyGrant {
            hash: TokenHash::of("k"),
            scopes: vec![Scope::EventsWrite, Scope::WebhooksRead],
        };
        let snapshot = Snapshot::new(
            &revision(4),
            vec![subscription(0, &["agent.error"])],
            vec![key],
        );
        let stored = concat!(
            r#"{"version":1,"revision":4,"#,
            r#""webhooks":[{"id":"wh_00000000000070008000000000000000","events":["agent.error"]}],"#,
            r#""keys":[{"hash":"8254c329a92850f6d539dd376f4816ee2764517da5e0235514af433164480d7a","#,
            r#""scopes":["events:write","webhooks:read"]}]}"#,
        );
        assert_eq!(serde_json::to_string(&snapshot).unwrap(), stored);
        assert_eq!(Snapshot::parse(stored), Some(snapshot));
    }

    #[test]
    fn what_does_not_parse_counts_as_missing() {
        for stored in [
            "",
            "null",
            "{}",
            r#"{"version":2,"revision":1,"webhooks":[],"keys":[]}"#,
        ] {
            assert_eq!(Snapshot::parse(stored), None);
        }
    }

    #[test]
    fn webhooks_are_found_by_their_selected_types() {
        let snapshot = Snapshot::new(
            &revision(1),
            vec![subscription(0, &["a", "b"]), subscription(1, &["b"])],
            vec![],
        );
        let matching = |event_type| snapshot.matching(event_type).count();
        assert_eq!((matching("a"), matching("b"), matching("c")), (1, 2, 0));
        let counted = [&["a"][..], &["b", "b"], &["a", "b"], &["c"], &[]];
        let counted = counted.map(|names| snapshot.count_matching(names));
        assert_eq!(counted, [1, 2, 2, 0, 0]);
        assert!(snapshot.selections_differ());
        let alike = Snapshot::new(
            &revision(1),
            vec![subscription(0, &["a", "b"]), subscription(1, &["b", "a"])],
            vec![],
        );
        assert!(!alike.selections_differ());
    }

    #[test]
    fn a_type_is_selected_at_a_time_if_it_was_selected_before() {
        let mut webhook = subscription(0, &["a", "b"]);
        webhook.since.insert("b".into(), Timestamp::from_millis(5));
        let at =
            |event_type, millis| webhook.selected_at(event_type, Timestamp::from_millis(millis));
        assert_eq!(
            (at("a", 0), at("b", 4), at("b", 5), at("c", 9)),
            (true, false, true, false)
        );
    }

    fn revision(revision: u64) -> Workspace {
        Workspace {
            id: WorkspaceId::parse("ws_a").unwrap(),
            name: String::new(),
            created_at: Timestamp::from_millis(0),
            deleted_at: None,
            revision,
            keys_revision: 0,
        }
    }

    fn subscription(number: u8, events: &[&str]) -> Subscription {
        let id = WebhookId::mint(Timestamp::from_millis(0), [number; 10]);
        Subscription {
            id,
            events: events.iter().map(ToString::to_string).collect(),
            since: BTreeMap::new(),
        }
    }
}
