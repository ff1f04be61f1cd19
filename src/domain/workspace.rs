//! A workspace and its API keys.

use serde::{Deserialize, Serialize};

use super::{
    ids::{AccessId, KeyId, WorkspaceId},
    timestamp::Timestamp,
    token::{Scope, TokenHash},
};

/// A tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workspace {
    /// Its id, never reused.
    pub id: WorkspaceId,
    /// A name for people.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted_at: Option<Timestamp>,
    /// Increases by one with each change of it, its webhooks or its keys.
    pub revision: u64,
    /// The revision in which a key was last revoked; zero if none ever was.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub keys_revision: u64,
}

impl Workspace {
    /// The same in the next revision, with which a change is stored.
    #[must_use]
    pub fn next_revision(self) -> Self {
        Self {
            revision: self.revision.saturating_add(1),
            ..self
        }
    }
}

/// Whether a number is left out where it is stored.
#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature that serde calls; on wasm32 the lint does not apply"
)]
pub(super) const fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// A stored API key; the key itself is not stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKey {
    /// Its id.
    pub id: KeyId,
    /// A name for people.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// When it was made.
    pub created_at: Timestamp,
    /// The key's SHA-256.
    pub hash: TokenHash,
}

/// A link that signs in to the dashboard once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DashboardLink {
    /// What the session that it opens may do.
    pub scopes: Vec<Scope>,
    /// When it expires.
    pub expires_at: Timestamp,
    /// Its id, which its session keeps; one that has none gets it from the hash of its token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<AccessId>,
    /// Whom it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// When it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stored_forms_are_pinned() {
        let workspace = Workspace {
            id: WorkspaceId::parse("ws_a").unwrap(),
            name: "Acme".into(),
            created_at: Timestamp::from_millis(5),
            deleted_at: None,
            revision: 2,
            keys_revision: 0,
        };
        let stored = r#"{"id":"ws_a","name":"Acme","created_at":5,"revision":2}"#;
        assert_eq!(serde_json::to_string(&workspace).unwrap(), stored);
        assert_eq!(
            serde_json::from_str::<Workspace>(stored).unwrap(),
            workspace
        );

        let key = ApiKey {
            id: KeyId::mint(Timestamp::from_millis(0), [0; 10]),
            name: "ci".into(),
            scopes: vec![Scope::EventsWrite],
            created_at: Timestamp::from_millis(5),
            hash: TokenHash::of(""),
        };
        let stored = concat!(
            r#"{"id":"key_00000000000070008000000000000000","name":"ci","scopes":["events:write"],"created_at":5,"#,
            r#""hash":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}"#,
        );
        assert_eq!(serde_json::to_string(&key).unwrap(), stored);
        assert_eq!(serde_json::from_str::<ApiKey>(stored).unwrap(), key);

        let link = DashboardLink {
            scopes: vec![Scope::WebhooksRead],
            expires_at: Timestamp::from_millis(9),
            id: None,
            actor: None,
            created_at: None,
        };
        let stored = r#"{"scopes":["webhooks:read"],"expires_at":9}"#;
        assert_eq!(serde_json::to_string(&link).unwrap(), stored);
        assert_eq!(serde_json::from_str::<DashboardLink>(stored).unwrap(), link);

        let link = DashboardLink {
            id: Some(AccessId::mint(Timestamp::from_millis(0), [0; 10])),
            actor: Some("Ada".into()),
            created_at: Some(Timestamp::from_millis(5)),
            ..link
        };
        let stored = concat!(
            r#"{"scopes":["webhooks:read"],"expires_at":9,"id":"acc_00000000000070008000000000000000","#,
            r#""actor":"Ada","created_at":5}"#,
        );
        assert_eq!(serde_json::to_string(&link).unwrap(), stored);
        assert_eq!(serde_json::from_str::<DashboardLink>(stored).unwrap(), link);
    }
}
