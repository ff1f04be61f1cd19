//! Workspaces: creating and showing them.

use serde::Serialize;

use super::{
    error::ApiError,
    members::{Members, parse_json},
    query::Query,
};
use crate::domain::{
    ids::WorkspaceId,
    timestamp::{Timestamp, as_iso},
};

/// Workspaces of one page.
const PAGE_LIMIT: u32 = 100;

/// Characters of a cursor.
const CURSOR_LIMIT: usize = 1000;

/// Characters of a name.
const NAME_LIMIT: usize = 200;

/// A workspace to create.
#[derive(Debug)]
pub struct NewWorkspace {
    /// The operator's own id, if one was given.
    pub id: Option<WorkspaceId>,
    /// A name for people.
    pub name: String,
}

/// Reads `{"id"?, "name"}`.
///
/// # Errors
/// The first refusal.
pub fn parse_new_workspace(body: &[u8]) -> Result<NewWorkspace, ApiError> {
    let members = Members::parse(parse_json(body)?, "", &["id", "name"])?;
    let id = members.optional::<String>("id", "a string")?;
    let id = id
        .map(|id| WorkspaceId::parse(&id))
        .transpose()
        .map_err(|_| ApiError::InvalidValue {
            code: "invalid_workspace_id",
            field: "id".into(),
            allowed: "ws_ and 1 to 40 lower-case letters and digits".into(),
        })?;
    Ok(NewWorkspace {
        id,
        name: parse_name(&members)?,
    })
}

/// Reads `{"name"}`.
///
/// # Errors
/// The first refusal.
pub fn parse_new_name(body: &[u8]) -> Result<String, ApiError> {
    parse_name(&Members::parse(parse_json(body)?, "", &["name"])?)
}

/// Reads the query of the list: `limit`, 1 to 100, and `cursor`.
///
/// # Errors
/// `UnknownField`, `RepeatedField`, `InvalidParameter`.
pub fn parse_page_query<'a>(
    query: impl Iterator<Item = (&'a str, &'a str)>,
) -> Result<PageQuery, ApiError> {
    let query = Query::parse(query, &["limit", "cursor"])?;
    let limit = query.number("limit", "a number from 1 to 100", &(1..=PAGE_LIMIT))?;
    Ok(PageQuery {
        limit: limit.unwrap_or(PAGE_LIMIT),
        cursor: query.read("cursor", "the next_cursor of the page before", |cursor| {
            (1..=CURSOR_LIMIT)
                .contains(&cursor.len())
                .then(|| cursor.to_string())
        })?,
    })
}

/// Which page of the list of workspaces is wanted.
#[derive(Debug)]
pub struct PageQuery {
    /// The most workspaces that it may have.
    pub limit: u32,
    /// Where the previous page ended.
    pub cursor: Option<String>,
}

/// Reads the member `name`.
///
/// # Errors
/// If it is missing, not a string, empty, too long, or has control characters.
pub fn parse_name(members: &Members) -> Result<String, ApiError> {
    let name: String = members.required("name", "a string")?;
    let good =
        (1..=NAME_LIMIT).contains(&name.chars().count()) && !name.chars().any(char::is_control);
    if good && !name.trim().is_empty() {
        return Ok(name);
    }
    let allowed = format!("1 to {NAME_LIMIT} characters, not all spaces and no control characters");
    Err(ApiError::InvalidValue {
        code: "invalid_name",
        field: members.field("name"),
        allowed,
    })
}

/// A workspace as an answer shows it.
#[derive(Debug, Serialize)]
pub struct WorkspaceView {
    /// Its id.
    pub id: WorkspaceId,
    /// Its name.
    pub name: String,
    /// When it was made.
    #[serde(serialize_with = "as_iso")]
    pub created_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workspace_has_a_name_and_may_have_an_id() {
        let workspace = parse_new_workspace(br#"{"id":"ws_a1","name":"Acme"}"#).unwrap();
        assert_eq!(
            (workspace.id.unwrap().as_ref(), workspace.name.as_str()),
            ("ws_a1", "Acme")
        );
        assert!(
            parse_new_workspace(br#"{"name":"Acme"}"#)
                .unwrap()
                .id
                .is_none()
        );
        for (body, code) in [
            (r#"{"id":"ws_A","name":"a"}"#, "invalid_workspace_id"),
            (r#"{"id":"a","name":"a"}"#, "invalid_workspace_id"),
            (r#"{"name":""}"#, "invalid_name"),
            (r#"{"name":" "}"#, "invalid_name"),
            (r#"{"name":"a\nb"}"#, "invalid_name"),
            ("{}", "missing_field"),
            (r#"{"name":"a","nmae":"b"}"#, "unknown_field"),
        ] {
            assert_eq!(
                parse_new_workspace(body.as_bytes()).unwrap_err().code(),
                code,
                "{body}"
            );
        }
    }
}
