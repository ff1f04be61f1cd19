//! Reads a request's JSON member by member, so that a refusal can name the member that caused it.
//!
//! serde's derived errors name a line and a column; `[3].type` and what is allowed there help a caller more.

use std::{borrow::Cow, fmt, ops::RangeInclusive};

use serde::de::{DeserializeOwned, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::error::ApiError;
use crate::domain::timestamp::{Timestamp, TimestampError};

/// The members of one JSON object.
#[derive(Debug)]
pub struct Members<'a> {
    path: String,
    entries: Vec<(Cow<'a, str>, &'a RawValue)>,
}

/// Reads a body as one JSON value.
///
/// # Errors
/// `InvalidJson` with the place.
pub fn parse_json(body: &[u8]) -> Result<&RawValue, ApiError> {
    serde_json::from_slice(body).map_err(|error| ApiError::InvalidJson {
        reason: error.to_string(),
    })
}

impl<'a> Members<'a> {
    /// Reads an object; `path` precedes its members' names in errors (`[3].`).
    ///
    /// # Errors
    /// `InvalidType` for another JSON type, `UnknownField` for a member outside `known`, `RepeatedField` for a second
    /// member of the same name.
    pub fn parse(value: &'a RawValue, path: &str, known: &[&str]) -> Result<Self, ApiError> {
        let not_an_object = || ApiError::InvalidType {
            field: field_of(path),
            expected: "a JSON object",
        };
        // One more than there are names: either it is unknown, or a name is repeated.
        let entries = first_entries(value, known.len().saturating_add(1));
        let entries = entries.ok_or_else(not_an_object)?;
        let mut seen: Vec<&str> = Vec::new();
        for (name, _) in &entries {
            let field = || format!("{path}{}", shorten(name));
            if !known.contains(&name.as_ref()) {
                return Err(ApiError::UnknownField {
                    field: field(),
                    allowed: known.join(", "),
                });
            }
            if seen.contains(&name.as_ref()) {
                return Err(ApiError::RepeatedField { field: field() });
            }
            seen.push(name);
        }
        Ok(Self {
            path: path.to_string(),
            entries,
        })
    }

    /// The full name of a member, as errors show it.
    #[must_use]
    pub fn field(&self, name: &str) -> String {
        format!("{}{name}", self.path)
    }

    /// A member's value as posted.
    #[must_use]
    pub fn raw(&self, name: &str) -> Option<&'a RawValue> {
        self.entries
            .iter()
            .find(|(entry, _)| entry == name)
            .map(|(_, value)| *value)
    }

    /// Reads a member of the type that `expected` names.
    ///
    /// # Errors
    /// `InvalidType`.
    pub fn optional<T: DeserializeOwned>(
        &self,
        name: &str,
        expected: &'static str,
    ) -> Result<Option<T>, ApiError> {
        let wrong = |_| ApiError::InvalidType {
            field: Some(self.field(name)),
            expected,
        };
        self.raw(name)
            .map(|value| serde_json::from_str(value.get()).map_err(wrong))
            .transpose()
    }

    /// A whole number in a range; `code` is the error code for one outside it.
    ///
    /// # Errors
    /// `InvalidType`, `InvalidValue`.
    pub fn whole_number(
        &self,
        name: &str,
        code: &'static str,
        range: RangeInclusive<u64>,
    ) -> Result<Option<u64>, ApiError> {
        let expected = "a whole number";
        let Some(number) = self.optional::<serde_json::Number>(name, expected)? else {
            return Ok(None);
        };
        if number.is_f64() {
            return Err(ApiError::InvalidType {
                field: Some(self.field(name)),
                expected,
            });
        }
        let allowed = || format!("from {} to {}", range.start(), range.end());
        let refused = || ApiError::InvalidValue {
            code,
            field: self.field(name),
            allowed: allowed(),
        };
        number
            .as_u64()
            .filter(|number| range.contains(number))
            .map(Some)
            .ok_or_else(refused)
    }

    /// An RFC 3339 time.
    ///
    /// # Errors
    /// `InvalidType`, `InvalidValue` with the code `invalid_timestamp`.
    pub fn time(&self, name: &str) -> Result<Option<Timestamp>, ApiError> {
        Ok(self.time_as_posted(name)?.map(|(time, _)| time))
    }

    /// An RFC 3339 time, and its text as posted.
    ///
    /// # Errors
    /// As those of `time`.
    pub fn time_as_posted(&self, name: &str) -> Result<Option<(Timestamp, String)>, ApiError> {
        let Some(text) = self.optional::<String>(name, "a string")? else {
            return Ok(None);
        };
        let refused = |error| ApiError::InvalidValue {
            code: "invalid_timestamp",
            field: self.field(name),
            allowed: match error {
                TimestampError::NotRfc3339 => "an RFC 3339 time such as 2026-01-15T10:30:00Z",
                TimestampError::NoLeapSecond => {
                    "a time that exists: second 60 only where a leap second was inserted"
                }
            }
            .into(),
        };
        let time = Timestamp::parse_rfc3339(&text).map_err(refused)?;
        Ok(Some((time, text)))
    }

    /// Reads a required member.
    ///
    /// # Errors
    /// `MissingField`, `InvalidType`.
    pub fn required<T: DeserializeOwned>(
        &self,
        name: &str,
        expected: &'static str,
    ) -> Result<T, ApiError> {
        self.optional(name, expected)?
            .ok_or_else(|| ApiError::MissingField {
                field: self.field(name),
            })
    }
}

/// The members of an object in their order, including repeated ones; none for another JSON type.
#[must_use]
pub fn entries(value: &RawValue) -> Option<Vec<(Cow<'_, str>, &RawValue)>> {
    first_entries(value, usize::MAX)
}

/// Reads at most so many entries of an object: a body may have a million.
fn first_entries(value: &RawValue, most: usize) -> Option<Vec<(Cow<'_, str>, &RawValue)>> {
    serde_json::Deserializer::from_str(value.get())
        .deserialize_map(Entries { most })
        .ok()
}

/// Reads at most so many items of an array, and counts the rest.
///
/// # Errors
/// `InvalidType` for another JSON type.
pub fn first_items(value: &RawValue, most: usize) -> Result<(Vec<&RawValue>, usize), ApiError> {
    serde_json::Deserializer::from_str(value.get())
        .deserialize_seq(Items { most })
        .map_err(|_| ApiError::InvalidType {
            field: None,
            expected: "a JSON array",
        })
}

fn field_of(path: &str) -> Option<String> {
    let field = path.trim_end_matches('.');
    (!field.is_empty()).then(|| field.to_string())
}

fn shorten(name: &str) -> String {
    name.chars().take(100).collect()
}

struct Items {
    most: usize,
}

impl<'de> Visitor<'de> for Items {
    type Value = (Vec<&'de RawValue>, usize);

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("an array")
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut items: S) -> Result<Self::Value, S::Error> {
        let mut first = Vec::new();
        while first.len() < self.most {
            match items.next_element()? {
                Some(item) => first.push(item),
                None => return Ok((first, 0)),
            }
        }
        let mut rest: usize = 0;
        while items.next_element::<IgnoredAny>()?.is_some() {
            rest = rest.saturating_add(1);
        }
        Ok((first, rest))
    }
}

struct Entries {
    most: usize,
}

impl<'de> Visitor<'de> for Entries {
    type Value = Vec<(Cow<'de, str>, &'de RawValue)>;

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
        let mut entries = Vec::new();
        while entries.len() < self.most {
            match map.next_key::<Name<'de>>()? {
                Some(name) => entries.push((name.0, map.next_value()?)),
                None => return Ok(entries),
            }
        }
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(entries)
    }
}

/// A member's name, borrowed if it has no escape.
#[derive(serde::Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_read_by_name() {
        let value = parse_json(br#" {"a": 1, "\u0062": "x"} "#).unwrap();
        let members = Members::parse(value, "", &["a", "b", "c"]).unwrap();
        assert_eq!(members.required::<u8>("a", "a number"), Ok(1));
        assert_eq!(members.required::<String>("b", "a string"), Ok("x".into()));
        assert_eq!(members.optional::<String>("c", "a string"), Ok(None));
        let missing = Err(ApiError::MissingField { field: "c".into() });
        assert_eq!(members.required::<String>("c", "a string"), missing);
        let wrong = ApiError::InvalidType {
            field: Some("a".into()),
            expected: "a string",
        };
        assert_eq!(members.optional::<String>("a", "a string"), Err(wrong));
    }

    #[test]
    fn a_typo_a_repetition_and_another_type_are_refused_by_name() {
        let refusal = |json: &str| {
            Members::parse(parse_json(json.as_bytes()).unwrap(), "[3].", &["a"]).unwrap_err()
        };
        let unknown = ApiError::UnknownField {
            field: "[3].b".into(),
            allowed: "a".into(),
        };
        assert_eq!(refusal(r#"{"b":1}"#), unknown);
        assert_eq!(
            refusal(r#"{"a":1,"a":2}"#),
            ApiError::RepeatedField {
                field: "[3].a".into()
            }
        );
        let expected = "a JSON object";
        assert_eq!(
            refusal("[]"),
            ApiError::InvalidType {
                field: Some("[3]".into()),
                expected
            }
        );
        assert_eq!(
            refusal("null"),
            ApiError::InvalidType {
                field: Some("[3]".into()),
                expected
            }
        );
    }

    #[test]
    fn what_is_no_json_is_refused_with_its_place() {
        for body in ["", "{", "{} {}", "{\"a\":}", "{'a':1}"] {
            let Err(ApiError::InvalidJson { reason }) = parse_json(body.as_bytes()) else {
                panic!("{body}")
            };
            assert!(reason.contains("line 1 column"), "{reason}");
        }
        assert!(parse_json(b"\xff").is_err());
    }
}
