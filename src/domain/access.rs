//! Access to the dashboard as the operator sees it, and where a link may lead.

use serde::{Deserialize, Serialize};

use super::{
    ids::{AccessId, DeliveryId, WebhookId},
    session::{Session, local_path},
    timestamp::Timestamp,
    token::Scope,
    workspace::DashboardLink,
};

/// Characters of the name of whom a link is for.
pub const ACTOR_LIMIT: usize = 100;

/// What kind of access is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccessKind {
    /// A link that nobody has used.
    Link,
    /// A session.
    Session,
}

/// An open link or session, without its token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    /// Its id, which a session has from its link.
    pub id: AccessId,
    /// What it is.
    pub kind: AccessKind,
    /// Whom it is for: what the operator said of a link, the name of a key.
    pub actor: Option<String>,
    /// What it may do, or what its session may.
    pub scopes: Vec<Scope>,
    /// When it was made; unknown of links that were made before that was kept.
    pub created_at: Option<Timestamp>,
    /// When it ends by itself.
    pub expires_at: Timestamp,
}

impl Access {
    /// Describes a link.
    #[must_use]
    pub fn of_link(id: AccessId, link: DashboardLink) -> Self {
        Self {
            id,
            kind: AccessKind::Link,
            actor: link.actor,
            scopes: link.scopes,
            created_at: link.created_at,
            expires_at: link.expires_at,
        }
    }

    /// Describes a session.
    #[must_use]
    pub fn of_session(id: AccessId, session: Session) -> Self {
        Self {
            id,
            kind: AccessKind::Session,
            created_at: Some(session.created_at()),
            actor: session.actor,
            scopes: session.scopes,
            expires_at: session.expires_at,
        }
    }
}

/// Whether the scopes let somebody sign in: pages show webhooks, so one of theirs is needed.
#[must_use]
pub fn may_sign_in(scopes: &[Scope]) -> bool {
    scopes.contains(&Scope::WebhooksRead) || scopes.contains(&Scope::WebhooksWrite)
}

/// Whether a text names somebody: 1 to `ACTOR_LIMIT` characters, none of them invisible, not spaces alone.
#[must_use]
pub fn is_actor(text: &str) -> bool {
    (1..=ACTOR_LIMIT).contains(&text.chars().count())
        && text.chars().all(is_visible)
        && !text.trim().is_empty()
}

/// Whether a character neither controls nor turns nor hides what is around it.
pub(super) fn is_visible(character: char) -> bool {
    let is_format = matches!(
        character,
        '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
    );
    !character.is_control() && !is_format
}

/// Whether an address, with a query or without, is one of the pages that people sign in for.
#[must_use]
pub fn is_page(address: &str) -> bool {
    let path = address.split(['?', '#']).next().unwrap_or_default();
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    let is_route = match segments.as_slice() {
        ["settings", "webhooks", "new"] | ["settings", "webhooks" | "events" | "find"] => true,
        ["settings", "webhooks", webhook] => WebhookId::parse(webhook).is_ok(),
        ["settings", "webhooks", webhook, "deliveries", delivery] => {
            WebhookId::parse(webhook).is_ok() && DeliveryId::parse(delivery).is_ok()
        }
        _ => false,
    };
    is_route && local_path(address).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGITS: &str = "00000000000070008000000000000000";

    #[test]
    fn the_sent_form_is_pinned() {
        let sent = format!(
            r#"{{"id":"acc_{DIGITS}","kind":"link","actor":"Ada","scopes":["webhooks:read"],"created_at":5,"expires_at":9}}"#
        );
        let access: Access = serde_json::from_str(&sent).unwrap();
        assert_eq!(serde_json::to_string(&access).unwrap(), sent);
    }

    #[test]
    fn a_link_leads_to_pages_alone() {
        let webhook = format!("/settings/webhooks/wh_{DIGITS}");
        for page in [
            "/settings/webhooks",
            "/settings/webhooks/new",
            "/settings/events?id=order-4711",
            "/settings/find?q=order-4711",
            &webhook,
            &format!("{webhook}?status=failed#deliveries"),
            &format!("{webhook}/deliveries/evt_{DIGITS}"),
        ] {
            assert!(is_page(page), "{page}");
        }
        for other in [
            "",
            "/",
            "/docs",
            "/sign-in",
            "/sign-out",
            "/v1/workspaces",
            "settings/webhooks",
            "/settings/webhooks/",
            "/settings/webhooks/wh_1",
            "//settings/webhooks",
            "/\\settings/webhooks",
            "https://evil.example.com/settings/webhooks",
            "/settings/webhooks?a=\u{e9}",
            "/settings/webhooks?a\r\nb",
            &format!("{webhook}/delete"),
            &format!("{webhook}/deliveries/wh_{DIGITS}"),
        ] {
            assert!(!is_page(other), "{other:?}");
        }
    }

    #[test]
    fn an_actor_can_be_read() {
        for text in [
            "a",
            "Ada Lovelace <ada@example.com>",
            "\u{e9}",
            &"x".repeat(100),
        ] {
            assert!(is_actor(text), "{text}");
        }
        for text in ["", " ", "a\nb", "a\u{202e}b", "\u{200b}", &"x".repeat(101)] {
            assert!(!is_actor(text), "{text:?}");
        }
    }

    #[test]
    fn only_scopes_of_webhooks_open_the_dashboard() {
        assert!(may_sign_in(&[Scope::EventsWrite, Scope::WebhooksRead]));
        assert!(may_sign_in(&[Scope::WebhooksWrite]));
        assert!(!may_sign_in(&[Scope::EventsWrite]));
    }
}
