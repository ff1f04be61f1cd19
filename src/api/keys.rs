//! API keys.

use serde::Serialize;

use super::{
    error::ApiError,
    members::{Members, parse_json},
    workspaces::parse_name,
};
use crate::domain::{
    ids::KeyId,
    timestamp::{Timestamp, as_iso},
    token::Scope,
    workspace::ApiKey,
};

/// An API key to make.
#[derive(Debug)]
pub struct NewKey {
    /// A name for people.
    pub name: String,
    /// At least one.
    pub scopes: Vec<Scope>,
}

/// Reads `{"name", "scopes"}`.
///
/// # Errors
/// The first refusal.
pub fn parse_new_key(body: &[u8]) -> Result<NewKey, ApiError> {
    let members = Members::parse(parse_json(body)?, "", &["name", "scopes"])?;
    let missing = || ApiError::MissingField {
        field: "scopes".into(),
    };
    Ok(NewKey {
        name: parse_name(&members)?,
        scopes: parse_scopes(&members)?.ok_or_else(missing)?,
    })
}

/// Reads the member `scopes`.
///
/// # Errors
/// `InvalidType`, `InvalidValue` if none is named, or one that does not exist.
pub(super) fn parse_scopes(members: &Members) -> Result<Option<Vec<Scope>>, ApiError> {
    let Some(names) = members.optional::<Vec<String>>("scopes", "an array of strings")? else {
        return Ok(None);
    };
    let invalid = || ApiError::InvalidValue {
        code: "invalid_scopes",
        field: "scopes".into(),
        allowed: "an array of at least one of events:write, webhooks:read, webhooks:write".into(),
    };
    let mut scopes = Vec::new();
    for name in names {
        let scope = Scope::parse(&name).ok_or_else(invalid)?;
        if !scopes.contains(&scope) {
            scopes.push(scope);
        }
    }
    if scopes.is_empty() {
        Err(invalid())
    } else {
        Ok(Some(scopes))
    }
}

/// An API key as an answer shows it, without the key itself.
#[derive(Debug, Serialize)]
pub struct KeyView {
    id: KeyId,
    name: String,
    scopes: Vec<Scope>,
    #[serde(serialize_with = "as_iso")]
    created_at: Timestamp,
}

impl From<ApiKey> for KeyView {
    fn from(key: ApiKey) -> Self {
        Self {
            id: key.id,
            name: key.name,
            scopes: key.scopes,
            created_at: key.created_at,
        }
    }
}

/// The answer to the creation of a key.
#[derive(Debug, Serialize)]
pub struct CreatedKey {
    /// The key's record.
    #[serde(flatten)]
    pub record: KeyView,
    /// The key; shown this once.
    pub key: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_a_name_and_scopes() {
        let key =
            parse_new_key(br#"{"name":"ci","scopes":["events:write","events:write"]}"#).unwrap();
        assert_eq!(
            (key.name.as_str(), key.scopes),
            ("ci", vec![Scope::EventsWrite])
        );
        for (body, code) in [
            (r#"{"name":"ci"}"#, "missing_field"),
            (r#"{"name":"ci","scopes":[]}"#, "invalid_scopes"),
            (r#"{"name":"ci","scopes":["admin"]}"#, "invalid_scopes"),
            (r#"{"name":"ci","scopes":"events:write"}"#, "invalid_type"),
        ] {
            assert_eq!(
                parse_new_key(body.as_bytes()).unwrap_err().code(),
                code,
                "{body}"
            );
        }
    }
}
