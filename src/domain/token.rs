//! Bearer tokens and what they allow: stored as hashes, compared in constant time.
//!
//! A dot precedes a token's random part, so that the platform, which replaces long hex texts in the URLs that it logs,
//! replaces that part. Tokens that were made with `_` in its place stay valid.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::ids::WorkspaceId;

/// The least length of the operator's token, in characters.
pub const OPERATOR_TOKEN_LENGTH: usize = 32;

/// What an API key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Scope {
    /// Post events.
    #[serde(rename = "events:write")]
    EventsWrite,
    /// Read webhooks and deliveries.
    #[serde(rename = "webhooks:read")]
    WebhooksRead,
    /// Change webhooks, see and rotate their secrets, test and resend.
    #[serde(rename = "webhooks:write")]
    WebhooksWrite,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 3] = [Self::EventsWrite, Self::WebhooksRead, Self::WebhooksWrite];

    /// Reads the word of the API.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == word)
    }

    /// The word of the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EventsWrite => "events:write",
            Self::WebhooksRead => "webhooks:read",
            Self::WebhooksWrite => "webhooks:write",
        }
    }
}

/// The SHA-256 of a token, in hex: the form in which it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TokenHash(String);

impl TokenHash {
    /// Hashes a token.
    #[must_use]
    pub fn of(token: &str) -> Self {
        Self(hex::encode(Sha256::digest(token.as_bytes())))
    }

    /// Compares in constant time.
    #[must_use]
    pub fn matches(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl AsRef<str> for TokenHash {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// The token in an `Authorization: Bearer` header (RFC 6750, 2.1); the scheme's case is ignored.
#[must_use]
pub fn bearer_token(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// Makes an API key of a workspace: `sk_<workspace id without its prefix>.<random>`.
#[must_use]
pub fn mint_api_key(workspace: &WorkspaceId, random: [u8; 32]) -> String {
    mint_token("sk_", workspace, random)
}

/// Makes the token of a dashboard link of a workspace: `dl_<workspace id without its prefix>.<random>`.
#[must_use]
pub fn mint_link_token(workspace: &WorkspaceId, random: [u8; 32]) -> String {
    mint_token("dl_", workspace, random)
}

/// Makes the token of a dashboard session of a workspace: `se_<workspace id without its prefix>.<random>`.
#[must_use]
pub fn mint_session_token(workspace: &WorkspaceId, random: [u8; 32]) -> String {
    mint_token("se_", workspace, random)
}

fn mint_token(prefix: &str, workspace: &WorkspaceId, random: [u8; 32]) -> String {
    let owner = workspace.as_ref().trim_start_matches("ws_");
    format!("{prefix}{owner}.{}", hex::encode(random))
}

/// The workspace of a token that has the form of an API key.
#[must_use]
pub fn workspace_of_key(token: &str) -> Option<WorkspaceId> {
    workspace_of("sk_", token)
}

/// The workspace of a token that has the form of a dashboard link's.
#[must_use]
pub fn workspace_of_link(token: &str) -> Option<WorkspaceId> {
    workspace_of("dl_", token)
}

/// The workspace of a token that has the form of a dashboard session's.
#[must_use]
pub fn workspace_of_session(token: &str) -> Option<WorkspaceId> {
    workspace_of("se_", token)
}

fn workspace_of(prefix: &str, token: &str) -> Option<WorkspaceId> {
    let (owner, random) = token.strip_prefix(prefix)?.split_once(['.', '_'])?;
    let is_random = random.len() == 64
        && random
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    is_random.then(|| WorkspaceId::parse(&format!("ws_{owner}")).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_belongs_to_its_workspace_alone() {
        let own = WorkspaceId::parse("ws_a").unwrap();
        let key = mint_api_key(&own, [7; 32]);
        assert_eq!(key, format!("sk_a.{}", "07".repeat(32)));
        assert_eq!(workspace_of_key(&key), Some(own));
        for other in [
            &key.to_uppercase(),
            "sk_a.",
            "sk_a_",
            "sk_.",
            "sk__",
            &key.replace('.', ".."),
            &key.replace('.', "._"),
            key.trim_start_matches("sk_"),
            &format!("{key}0"),
        ] {
            assert_eq!(workspace_of_key(other), None, "{other}");
        }
    }

    #[test]
    fn a_token_of_the_older_form_is_read_too_and_is_another_one() {
        let own = WorkspaceId::parse("ws_a").unwrap();
        let random = "07".repeat(32);
        assert_eq!(
            workspace_of_key(&format!("sk_a_{random}")),
            Some(own.clone())
        );
        assert_eq!(
            workspace_of_link(&format!("dl_a_{random}")),
            Some(own.clone())
        );
        assert_eq!(workspace_of_session(&format!("se_a_{random}")), Some(own));
        let [old, new] = ['_', '.'].map(|mark| TokenHash::of(&format!("sk_a{mark}{random}")));
        assert!(!old.matches(&new));
    }

    #[test]
    fn a_token_is_read_as_what_it_was_made_for_alone() {
        let own = WorkspaceId::parse("ws_a").unwrap();
        let tokens = [
            mint_api_key(&own, [7; 32]),
            mint_link_token(&own, [7; 32]),
            mint_session_token(&own, [7; 32]),
        ];
        let readers = [workspace_of_key, workspace_of_link, workspace_of_session];
        for (made, token) in tokens.iter().enumerate() {
            for (read, workspace_of) in readers.iter().enumerate() {
                let expected = (made == read).then(|| own.clone());
                assert_eq!(workspace_of(token), expected, "{token}");
                assert_eq!(workspace_of(&format!(" {token}")), None);
                assert_eq!(workspace_of(&format!("\"{token}\"")), None);
            }
        }
    }

    #[test]
    fn a_hash_matches_its_own_token_alone() {
        let hash = TokenHash::of("token");
        assert!(hash.matches(&TokenHash::of("token")));
        assert!(!hash.matches(&TokenHash::of("Token")));
        assert_eq!(
            serde_json::to_string(&TokenHash::of("")).unwrap(),
            "\"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\""
        );
    }

    #[test]
    fn a_bearer_token_is_read_whatever_the_case_of_its_scheme() {
        assert_eq!(bearer_token("Bearer abc"), Some("abc"));
        assert_eq!(bearer_token("bearer  abc "), Some("abc"));
        for other in ["", "Bearer", "Bearer ", "Basic abc", "abc"] {
            assert_eq!(bearer_token(other), None, "{other}");
        }
    }
}
