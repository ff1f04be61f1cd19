//! Dashboard links, and the sessions that they and keys have opened.

use std::time::Duration;

use serde::Serialize;

use super::{
    error::ApiError,
    keys::parse_scopes,
    members::{Members, parse_json},
    query::Query,
};
use crate::domain::{
    access::{ACTOR_LIMIT, Access, AccessKind, is_actor, is_page, may_sign_in},
    ids::AccessId,
    timestamp::{Timestamp, as_iso, as_iso_option},
    token::Scope,
};

/// How long a dashboard link may be valid, in seconds.
const LINK_SECONDS_LIMIT: u64 = 604_800;

/// How long it is valid by default, in seconds.
const LINK_SECONDS: u64 = 3600;

/// The most links and sessions of one page.
const PAGE_LIMIT: u32 = 100;

/// How many a page has if no limit is given.
const PAGE_DEFAULT: u32 = 50;

/// A dashboard link to make.
#[derive(Debug, PartialEq, Eq)]
pub struct NewLink {
    /// How long it is valid.
    pub expires_in: Duration,
    /// What the session that it opens may do.
    pub scopes: Vec<Scope>,
    /// Whom it is for.
    pub actor: Option<String>,
    /// The page to which it leads.
    pub page: Option<String>,
}

/// Reads `{"expires_in"?, "scopes"?, "actor"?, "page"?}`.
///
/// # Errors
/// The first refusal.
pub fn parse_new_link(body: &[u8]) -> Result<NewLink, ApiError> {
    let known = ["expires_in", "scopes", "actor", "page"];
    let members = Members::parse(parse_json(body)?, "", &known)?;
    let seconds =
        members.whole_number("expires_in", "invalid_expires_in", 1..=LINK_SECONDS_LIMIT)?;
    let scopes =
        parse_scopes(&members)?.unwrap_or_else(|| vec![Scope::WebhooksRead, Scope::WebhooksWrite]);
    let refused = |code, field: &str, allowed: String| ApiError::InvalidValue {
        code,
        field: field.into(),
        allowed,
    };
    if !may_sign_in(&scopes) {
        let allowed = "an array with webhooks:read or webhooks:write, which signing in needs";
        return Err(refused("invalid_scopes", "scopes", allowed.into()));
    }
    let actor: Option<String> = members.optional("actor", "a string")?;
    if !actor.as_deref().is_none_or(is_actor) {
        let allowed = format!("1 to {ACTOR_LIMIT} visible characters");
        return Err(refused("invalid_actor", "actor", allowed));
    }
    let page: Option<String> = members.optional("page", "a string")?;
    if !page.as_deref().is_none_or(is_page) {
        let allowed = "the path of a page, with a query or without: /settings/webhooks, /settings/webhooks/new, \
            /settings/webhooks/{wh}, /settings/webhooks/{wh}/deliveries/{evt}, /settings/events or /settings/find";
        return Err(refused("invalid_page", "page", allowed.into()));
    }
    Ok(NewLink {
        expires_in: Duration::from_secs(seconds.unwrap_or(LINK_SECONDS)),
        scopes,
        actor,
        page,
    })
}

/// Which page of the list is wanted.
#[derive(Debug)]
pub struct AccessQuery {
    /// The most that it may have.
    pub limit: u32,
    /// Where the page before ended.
    pub cursor: Option<AccessId>,
}

/// Reads the query of the list: `limit`, 1 to 100, and `cursor`.
///
/// # Errors
/// `UnknownField`, `RepeatedField`, `InvalidParameter`.
pub fn parse_access_query<'a>(
    query: impl Iterator<Item = (&'a str, &'a str)>,
) -> Result<AccessQuery, ApiError> {
    let query = Query::parse(query, &["limit", "cursor"])?;
    let limit = query.number("limit", "a number from 1 to 100", &(1..=PAGE_LIMIT))?;
    let cursor = query.read("cursor", "the next_cursor of the page before", |cursor| {
        AccessId::parse(cursor).ok()
    })?;
    Ok(AccessQuery {
        limit: limit.unwrap_or(PAGE_DEFAULT),
        cursor,
    })
}

/// The answer to the creation of a dashboard link.
#[derive(Debug, Serialize)]
pub struct LinkView {
    /// The link's id, which its session keeps.
    pub id: AccessId,
    /// The link's URL.
    pub url: String,
    /// When it expires.
    #[serde(serialize_with = "as_iso")]
    pub expires_at: Timestamp,
}

/// An open link or session as an answer shows it.
#[derive(Debug, Serialize)]
pub struct AccessView {
    id: AccessId,
    kind: AccessKind,
    actor: Option<String>,
    scopes: Vec<Scope>,
    #[serde(serialize_with = "as_iso_option")]
    created_at: Option<Timestamp>,
    #[serde(serialize_with = "as_iso")]
    expires_at: Timestamp,
}

impl AccessView {
    /// The id, which is the cursor of the page after it.
    #[must_use]
    pub const fn id(&self) -> &AccessId {
        &self.id
    }
}

impl From<Access> for AccessView {
    fn from(access: Access) -> Self {
        Self {
            id: access.id,
            kind: access.kind,
            actor: access.actor,
            scopes: access.scopes,
            created_at: access.created_at,
            expires_at: access.expires_at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_says_for_whom_it_is_and_leads_to_a_page() {
        let link = parse_new_link(br#"{"actor":"Ada","page":"/settings/webhooks/new"}"#).unwrap();
        assert_eq!(
            (link.actor.as_deref(), link.page.as_deref()),
            (Some("Ada"), Some("/settings/webhooks/new"))
        );
        for (body, code, field) in [
            (r#"{"page":"/v1/workspaces"}"#, "invalid_page", "page"),
            (r#"{"actor":""}"#, "invalid_actor", "actor"),
            (r#"{"actor":1}"#, "invalid_type", "actor"),
            (r#"{"scopes":["events:write"]}"#, "invalid_scopes", "scopes"),
        ] {
            let error = parse_new_link(body.as_bytes()).unwrap_err();
            assert_eq!((error.code(), error.field()), (code, Some(field)), "{body}");
        }
    }

    #[test]
    fn a_link_is_good_for_an_hour_where_nothing_is_said_and_for_a_week_at_most() {
        let link = parse_new_link(b"{}").unwrap();
        assert_eq!(link.expires_in, Duration::from_secs(3600));
        assert_eq!(link.scopes, [Scope::WebhooksRead, Scope::WebhooksWrite]);
        for seconds in ["0", "604801", "-1"] {
            let error =
                parse_new_link(format!(r#"{{"expires_in":{seconds}}}"#).as_bytes()).unwrap_err();
            assert_eq!(
                (error.code(), error.status()),
                ("invalid_expires_in", 422),
                "{seconds}"
            );
        }
        assert_eq!(
            parse_new_link(br#"{"expires_in":"1"}"#).unwrap_err().code(),
            "invalid_type"
        );
        assert_eq!(
            parse_new_link(br#"{"expires_in":1.5}"#).unwrap_err().code(),
            "invalid_type"
        );
    }
}
