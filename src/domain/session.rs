//! Dashboard sessions: what a session may do, how long it lasts, and the cookie that carries its token.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    ids::{AccessId, KeyId, WorkspaceId},
    timestamp::Timestamp,
    token::{Scope, TokenHash, workspace_of_key, workspace_of_link},
    workspace::{ApiKey, DashboardLink},
};

/// How long a session lasts: twelve hours.
pub const SESSION_LENGTH: Duration = Duration::from_secs(12 * 60 * 60);

/// How long a notice waits for the next page.
const NOTICE_LENGTH: Duration = Duration::from_secs(60);

/// Sessions of one workspace at a time; one more ends those that would expire first.
pub const SESSIONS_LIMIT: u32 = 1000;

/// Sessions of one key at a time; one more ends the oldest of them. More than a team has browsers, and far fewer than the
/// workspace may have, so that whoever has a key cannot put out all who signed in otherwise.
pub const SESSIONS_OF_KEY: u32 = 50;

/// What opens a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Credential {
    /// An API key.
    Key(TokenHash),
    /// A dashboard link, which works once.
    Link(TokenHash),
}

impl Credential {
    /// The hash of its token.
    #[must_use]
    pub const fn hash(&self) -> &TokenHash {
        match self {
            Self::Key(hash) | Self::Link(hash) => hash,
        }
    }

    /// Reads a token and its workspace; `None` if it is neither an API key nor a dashboard link's token.
    #[must_use]
    pub fn parse(token: &str) -> Option<(Self, WorkspaceId)> {
        let hash = || TokenHash::of(token);
        let key = workspace_of_key(token).map(|workspace| (Self::Key(hash()), workspace));
        key.or_else(|| workspace_of_link(token).map(|workspace| (Self::Link(hash()), workspace)))
    }
}

/// A stored session; its token is not kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// The API key that opened it, and with which it ends; none if a link did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<KeyId>,
    /// When it expires.
    pub expires_at: Timestamp,
    /// Its id, which is its link's; one that has none gets it from the hash of its token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<AccessId>,
    /// Whom it is for: its link's actor, or the name of its key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
}

impl Session {
    /// Opens the session of an API key.
    #[must_use]
    pub fn of_key(key: &ApiKey, id: Option<AccessId>, now: Timestamp) -> Self {
        Self {
            scopes: key.scopes.clone(),
            key: Some(key.id.clone()),
            expires_at: now.saturating_add(SESSION_LENGTH),
            id,
            actor: Some(key.name.clone()),
        }
    }

    /// Opens the session of a dashboard link; `None` if the link has expired.
    #[must_use]
    pub fn of_link(link: DashboardLink, now: Timestamp) -> Option<Self> {
        (now < link.expires_at).then(|| Self {
            scopes: link.scopes,
            key: None,
            expires_at: now.saturating_add(SESSION_LENGTH),
            id: link.id,
            actor: link.actor,
        })
    }

    /// When it was opened.
    #[must_use]
    pub fn created_at(&self) -> Timestamp {
        self.expires_at.saturating_sub(SESSION_LENGTH)
    }

    /// Whether it has not expired.
    #[must_use]
    pub fn is_good(&self, now: Timestamp) -> bool {
        now < self.expires_at
    }
}

/// Whether a request that a browser sent with its cookie may act: it only reads, or its `Origin` says that a page of
/// the relay itself made it. Other sites can make a browser send the cookie, but cannot change the `Origin`.
#[must_use]
pub fn may_act(method: &str, origin: Option<&str>, own_origin: &str) -> bool {
    matches!(method, "GET" | "HEAD") || origin == Some(own_origin)
}

/// How the browser reaches the relay; it determines the cookie's name and attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// `https`.
    Secure,
    /// `http`, as on a developer's machine.
    Plain,
}

impl Transport {
    /// The transport of a URL's scheme.
    #[must_use]
    pub fn of_scheme(scheme: &str) -> Self {
        if scheme == "https" {
            Self::Secure
        } else {
            Self::Plain
        }
    }

    /// The name of the session's cookie. Over https a browser accepts one with this prefix only from the host itself
    /// (RFC 6265bis, 4.1.3.2), so that no neighbouring host can plant a session.
    #[must_use]
    pub const fn cookie_name(self) -> &'static str {
        match self {
            Self::Secure => "__Host-session",
            Self::Plain => "session",
        }
    }

    /// The name of the cookie that carries a notice to the next page.
    #[must_use]
    pub const fn notice_cookie_name(self) -> &'static str {
        match self {
            Self::Secure => "__Host-notice",
            Self::Plain => "notice",
        }
    }

    /// The `Set-Cookie` that gives a browser a session's token.
    #[must_use]
    pub fn set_cookie(self, token: &str) -> String {
        self.cookie(self.cookie_name(), token, SESSION_LENGTH)
    }

    /// The `Set-Cookie` that removes it.
    #[must_use]
    pub fn clear_cookie(self) -> String {
        self.cookie(self.cookie_name(), "", Duration::ZERO)
    }

    /// The `Set-Cookie` that carries a notice, a word of a fixed list, to the next page.
    #[must_use]
    pub fn set_notice(self, word: &str) -> String {
        self.cookie(self.notice_cookie_name(), word, NOTICE_LENGTH)
    }

    /// The `Set-Cookie` that removes it.
    #[must_use]
    pub fn clear_notice(self) -> String {
        self.cookie(self.notice_cookie_name(), "", Duration::ZERO)
    }

    fn cookie(self, name: &str, value: &str, length: Duration) -> String {
        let seconds = length.as_secs();
        let secure = match self {
            Self::Secure => "; Secure",
            Self::Plain => "",
        };
        format!("{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}")
    }
}

/// The address of the sign-in page, for a link's token if there is one, and with the page to open afterwards.
#[must_use]
pub fn sign_in_address(link: Option<&str>, next: Option<&str>) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in [("link", link), ("next", next)] {
        if let Some(value) = value {
            query.append_pair(name, value);
        }
    }
    let query = query.finish();
    let mark = if query.is_empty() { "" } else { "?" };
    format!("/sign-in{mark}{query}")
}

/// The path to open after signing in: always one of the relay's own, never another site's address.
#[must_use]
pub fn local_path(next: &str) -> Option<&str> {
    let rest = next.strip_prefix('/')?;
    // Browsers strip tabs and line breaks, then read `//host` and `/\host` as another host.
    let leads_away = rest.starts_with(['/', '\\']);
    let plain = next
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    (plain && !leads_away).then_some(next)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::token::{mint_api_key, mint_link_token, mint_session_token};

    #[test]
    fn the_stored_form_is_pinned() {
        let by_link = Session {
            scopes: vec![Scope::WebhooksRead],
            key: None,
            expires_at: at(9),
            id: None,
            actor: None,
        };
        let stored = r#"{"scopes":["webhooks:read"],"expires_at":9000}"#;
        assert_eq!(serde_json::to_string(&by_link).unwrap(), stored);
        assert_eq!(serde_json::from_str::<Session>(stored).unwrap(), by_link);

        let by_key = Session {
            key: Some(KeyId::mint(at(0), [0; 10])),
            ..by_link.clone()
        };
        let stored = r#"{"scopes":["webhooks:read"],"key":"key_00000000000070008000000000000000","expires_at":9000}"#;
        assert_eq!(serde_json::to_string(&by_key).unwrap(), stored);
        assert_eq!(serde_json::from_str::<Session>(stored).unwrap(), by_key);

        let named = Session {
            id: Some(AccessId::mint(at(0), [0; 10])),
            actor: Some("Ada".into()),
            ..by_link
        };
        let stored = r#"{"scopes":["webhooks:read"],"expires_at":9000,"id":"acc_00000000000070008000000000000000","actor":"Ada"}"#;
        assert_eq!(serde_json::to_string(&named).unwrap(), stored);
        assert_eq!(serde_json::from_str::<Session>(stored).unwrap(), named);
    }

    #[test]
    fn a_session_has_the_scopes_of_what_opened_it_and_lasts_twelve_hours() {
        let key = ApiKey {
            id: KeyId::mint(at(0), [0; 10]),
            name: "ci".into(),
            scopes: vec![Scope::EventsWrite],
            created_at: at(0),
            hash: TokenHash::of(""),
        };
        let session = Session::of_key(&key, None, at(5));
        assert_eq!(session.scopes, key.scopes);
        assert_eq!(session.key, Some(key.id));
        assert_eq!(session.actor.as_deref(), Some("ci"));
        assert_eq!(session.created_at(), at(5));
        assert!(session.is_good(at(5 + 43_199)));
        assert!(!session.is_good(at(5 + 43_200)));
    }

    #[test]
    fn an_expired_link_opens_nothing() {
        let link = DashboardLink {
            scopes: vec![Scope::WebhooksRead],
            expires_at: at(9),
            id: Some(AccessId::mint(at(0), [0; 10])),
            actor: Some("Ada".into()),
            created_at: Some(at(0)),
        };
        let session = Session::of_link(link.clone(), at(8)).unwrap();
        assert_eq!((session.scopes, session.key), (link.scopes.clone(), None));
        assert_eq!(
            (session.id, session.actor),
            (link.id.clone(), link.actor.clone())
        );
        assert_eq!(Session::of_link(link, at(9)), None);
    }

    #[test]
    fn a_key_and_a_link_open_a_session_and_nothing_else_does() {
        let own = WorkspaceId::parse("ws_a").unwrap();
        let key = mint_api_key(&own, [7; 32]);
        let link = mint_link_token(&own, [7; 32]);
        let by_key = Credential::Key(TokenHash::of(&key));
        assert_eq!(Credential::parse(&key), Some((by_key, own.clone())));
        let by_link = Credential::Link(TokenHash::of(&link));
        assert_eq!(Credential::parse(&link), Some((by_link, own.clone())));
        for other in [mint_session_token(&own, [7; 32]), String::new(), key + "0"] {
            assert_eq!(Credential::parse(&other), None, "{other}");
        }
    }

    #[test]
    fn only_the_relay_s_own_pages_make_a_session_act() {
        let own = "https://relay.example.com";
        assert!(may_act("POST", Some(own), own));
        for method in ["GET", "HEAD"] {
            assert!(may_act(method, None, own));
            assert!(may_act(method, Some("https://evil.example.com"), own));
        }
        for origin in [
            None,
            Some("null"),
            Some(""),
            Some("http://relay.example.com"),
            Some("https://relay.example.com:8443"),
            Some("https://relay.example.com.evil.example.com"),
            Some("https://relay.example.com/"),
        ] {
            for method in ["POST", "PATCH", "DELETE", "PUT", "OPTIONS", "get"] {
                assert!(!may_act(method, origin, own), "{method} {origin:?}");
            }
        }
    }

    #[test]
    fn the_cookie_is_out_of_reach_of_scripts_other_sites_and_plain_connections() {
        assert_eq!(
            Transport::of_scheme("https").set_cookie("se_a.1"),
            "__Host-session=se_a.1; Path=/; Max-Age=43200; HttpOnly; SameSite=Lax; Secure"
        );
        assert_eq!(
            Transport::of_scheme("http").set_cookie("se_a.1"),
            "session=se_a.1; Path=/; Max-Age=43200; HttpOnly; SameSite=Lax"
        );
        assert_eq!(
            Transport::Secure.clear_cookie(),
            "__Host-session=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax; Secure"
        );
        assert_eq!(
            Transport::Secure.set_notice("saved"),
            "__Host-notice=saved; Path=/; Max-Age=60; HttpOnly; SameSite=Lax; Secure"
        );
        assert_eq!(
            Transport::Plain.clear_notice(),
            "notice=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax"
        );
    }

    #[test]
    fn the_sign_in_page_keeps_where_to_go() {
        assert_eq!(sign_in_address(None, None), "/sign-in");
        assert_eq!(
            sign_in_address(Some("dl_a.1"), None),
            "/sign-in?link=dl_a.1"
        );
        assert_eq!(
            sign_in_address(None, Some("/settings/webhooks?a=b&c=d")),
            "/sign-in?next=%2Fsettings%2Fwebhooks%3Fa%3Db%26c%3Dd"
        );
    }

    #[test]
    fn signing_in_leads_to_the_relay_s_own_pages_alone() {
        for path in [
            "/settings/webhooks",
            "/settings/webhooks?status=failed&x=%2F%2F",
            "/",
        ] {
            assert_eq!(local_path(path), Some(path));
        }
        for other in [
            "",
            "settings",
            "//evil.example.com",
            "/\\evil.example.com",
            "/\t/evil.example.com",
            "/a\\b",
            "/a\r\nSet-Cookie: a=b",
            "https://evil.example.com",
            "javascript:alert(1)",
            "/é",
        ] {
            assert_eq!(local_path(other), None, "{other:?}");
        }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }
}
