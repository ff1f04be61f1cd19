//! Event types: adding and showing them.

use serde::Serialize;
use serde_json::value::RawValue;

use super::{
    error::ApiError,
    members::{Members, parse_json},
};
use crate::domain::{
    catalogue::{CatalogueEntry, DESCRIPTION_LIMIT, SAMPLE_LIMIT, SCHEMA_LIMIT},
    event_type::{EventType, NameError},
};

/// Reads a type that is put under a name of the path: `{"description", "sample", "schema"?, "deprecated"?}`.
///
/// # Errors
/// The first refusal.
pub fn parse_event_type(name: &str, body: &[u8]) -> Result<CatalogueEntry, ApiError> {
    let name = EventType::parse(name).map_err(|error| match error {
        NameError::Malformed => ApiError::InvalidParameter {
            field: "name".into(),
            allowed: "1 to 128 of letters, digits, _ and -, in parts separated by full stops",
        },
        NameError::Reserved => ApiError::ReservedEventType,
    })?;
    let known = ["description", "sample", "schema", "deprecated"];
    let members = Members::parse(parse_json(body)?, "", &known)?;
    let description: String = members.required("description", "a string")?;
    let length = description.chars().count();
    if length == 0 || length > DESCRIPTION_LIMIT {
        return Err(ApiError::InvalidValue {
            code: "invalid_description",
            field: "description".into(),
            allowed: format!("1 to {DESCRIPTION_LIMIT} characters"),
        });
    }
    let missing = || ApiError::MissingField {
        field: "sample".into(),
    };
    let sample = parse_object(&members, "sample", "a sample", SAMPLE_LIMIT)?;
    Ok(CatalogueEntry {
        name,
        description,
        sample: sample.ok_or_else(missing)?,
        schema: parse_object(&members, "schema", "a schema", SCHEMA_LIMIT)?,
        deprecated: members
            .optional("deprecated", "true or false")?
            .unwrap_or_default(),
    })
}

/// Reads an object of at most so many bytes, as it was posted.
fn parse_object(
    members: &Members,
    name: &str,
    what: &'static str,
    limit: usize,
) -> Result<Option<Box<RawValue>>, ApiError> {
    let Some(value) = members.raw(name) else {
        return Ok(None);
    };
    if !value.get().starts_with('{') {
        return Err(ApiError::InvalidType {
            field: Some(members.field(name)),
            expected: "a JSON object",
        });
    }
    if value.get().len() > limit {
        return Err(ApiError::PayloadTooLarge {
            field: Some(members.field(name)),
            what,
            limit,
        });
    }
    Ok(Some(value.to_owned()))
}

/// A type as the list shows it.
#[derive(Debug, Serialize)]
pub struct EventTypeSummary<'a> {
    name: &'a EventType,
    description: &'a str,
    sample: &'a RawValue,
    deprecated: bool,
}

impl<'a> From<&'a CatalogueEntry> for EventTypeSummary<'a> {
    fn from(entry: &'a CatalogueEntry) -> Self {
        Self {
            name: &entry.name,
            description: &entry.description,
            sample: &entry.sample,
            deprecated: entry.deprecated,
        }
    }
}

/// A type with its schema.
#[derive(Debug, Serialize)]
pub struct EventTypeView<'a> {
    name: &'a EventType,
    description: &'a str,
    sample: &'a RawValue,
    schema: Option<&'a RawValue>,
    deprecated: bool,
}

impl<'a> From<&'a CatalogueEntry> for EventTypeView<'a> {
    fn from(entry: &'a CatalogueEntry) -> Self {
        Self {
            name: &entry.name,
            description: &entry.description,
            sample: &entry.sample,
            schema: entry.schema.as_deref(),
            deprecated: entry.deprecated,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_read_and_shown_as_it_was_posted() {
        let body = r#"{"sample": {"n": 1.0, "n": 2}, "description":"Fires.","schema":{"type":"object"},"deprecated":true}"#;
        let entry = parse_event_type("order.paid", body.as_bytes()).unwrap();
        let shown = serde_json::to_string(&EventTypeView::from(&entry)).unwrap();
        assert_eq!(
            shown,
            r#"{"name":"order.paid","description":"Fires.","sample":{"n": 1.0, "n": 2},"schema":{"type":"object"},"deprecated":true}"#
        );
        let least = br#"{"sample":{},"description":"d"}"#;
        let entry = parse_event_type("a", least).unwrap();
        let shown = serde_json::to_string(&EventTypeView::from(&entry)).unwrap();
        assert_eq!(
            shown,
            r#"{"name":"a","description":"d","sample":{},"schema":null,"deprecated":false}"#
        );
    }

    #[test]
    fn a_refusal_names_what_is_wrong() {
        let body =
            |sample: &str, rest: &str| format!(r#"{{"description":"d","sample":{sample}{rest}}}"#);
        let filled = |bytes: usize| format!(r#"{{"a":"{}"}}"#, "x".repeat(bytes - 8));
        let schema = |schema: &str| body("{}", &format!(r#","schema":{schema}"#));
        let description = |text: &str| format!(r#"{{"description":"{text}","sample":{{}}}}"#);
        for (name, body, status, code, field) in [
            ("a b", body("{}", ""), 400, "invalid_parameter", "name"),
            ("ping", body("{}", ""), 422, "reserved_event_type", "name"),
            (
                "webhook.a",
                body("{}", ""),
                422,
                "reserved_event_type",
                "name",
            ),
            (
                "a",
                r#"{"description":"d"}"#.into(),
                400,
                "missing_field",
                "sample",
            ),
            (
                "a",
                r#"{"sample":{}}"#.into(),
                400,
                "missing_field",
                "description",
            ),
            ("a", body("[]", ""), 400, "invalid_type", "sample"),
            ("a", body("null", ""), 400, "invalid_type", "sample"),
            ("a", schema("true"), 400, "invalid_type", "schema"),
            ("a", schema("null"), 400, "invalid_type", "schema"),
            (
                "a",
                body("{}", r#","deprecated":1"#),
                400,
                "invalid_type",
                "deprecated",
            ),
            (
                "a",
                body("{}", r#","name":"a""#),
                400,
                "unknown_field",
                "name",
            ),
            (
                "a",
                description(""),
                422,
                "invalid_description",
                "description",
            ),
            (
                "a",
                description(&"é".repeat(1001)),
                422,
                "invalid_description",
                "description",
            ),
            (
                "a",
                body(&filled(SAMPLE_LIMIT + 1), ""),
                413,
                "payload_too_large",
                "sample",
            ),
            (
                "a",
                schema(&filled(SCHEMA_LIMIT + 1)),
                413,
                "payload_too_large",
                "schema",
            ),
        ] {
            let error = parse_event_type(name, body.as_bytes()).unwrap_err();
            assert_eq!(
                (error.status(), error.code(), error.field()),
                (status, code, Some(field)),
                "{name}: {error}"
            );
        }
        for body in [
            description(&"é".repeat(1000)),
            body(&filled(SAMPLE_LIMIT), ""),
            schema(&filled(SCHEMA_LIMIT)),
        ] {
            assert!(parse_event_type("a", body.as_bytes()).is_ok());
        }
    }
}
