//! Reads a request's query parameter by parameter, so that a refusal can name the one that caused it.

use std::ops::RangeInclusive;

use serde::de::DeserializeOwned;

use super::error::ApiError;
use crate::domain::timestamp::Timestamp;

/// The longest name of a parameter that a refusal repeats.
const NAME_SHOWN: usize = 100;

/// The parameters of one query, each at most once.
#[derive(Debug)]
pub struct Query<'a> {
    entries: Vec<(&'a str, &'a str)>,
}

impl<'a> Query<'a> {
    /// Reads the pairs of a query.
    ///
    /// # Errors
    /// `UnknownField` for a parameter outside `known`, `RepeatedField` for a second one of the same name.
    pub fn parse(
        pairs: impl Iterator<Item = (&'a str, &'a str)>,
        known: &[&str],
    ) -> Result<Self, ApiError> {
        let mut entries: Vec<(&str, &str)> = Vec::new();
        for (name, value) in pairs {
            let field = || name.chars().take(NAME_SHOWN).collect();
            if !known.contains(&name) {
                let allowed = if known.is_empty() {
                    "no parameter".into()
                } else {
                    known.join(", ")
                };
                return Err(ApiError::UnknownField {
                    field: field(),
                    allowed,
                });
            }
            if entries.iter().any(|(seen, _)| *seen == name) {
                return Err(ApiError::RepeatedField { field: field() });
            }
            entries.push((name, value));
        }
        Ok(Self { entries })
    }

    /// A parameter as it was sent.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&'a str> {
        let found = self.entries.iter().find(|(entry, _)| *entry == name);
        found.map(|(_, value)| *value)
    }

    /// A parameter read by `read`; `allowed` says what `read` accepts.
    ///
    /// # Errors
    /// `InvalidParameter` if `read` does not accept it.
    pub fn read<T>(
        &self,
        name: &str,
        allowed: &'static str,
        read: impl FnOnce(&'a str) -> Option<T>,
    ) -> Result<Option<T>, ApiError> {
        let Some(value) = self.text(name) else {
            return Ok(None);
        };
        let refused = || ApiError::InvalidParameter {
            field: name.to_string(),
            allowed,
        };
        read(value).map(Some).ok_or_else(refused)
    }

    /// A whole number in a range, written as in JSON: only digits, no sign, no leading zero.
    ///
    /// # Errors
    /// `InvalidParameter`.
    pub fn number(
        &self,
        name: &str,
        allowed: &'static str,
        range: &RangeInclusive<u32>,
    ) -> Result<Option<u32>, ApiError> {
        self.read(name, allowed, |value| {
            let number = value.parse().ok()?;
            (range.contains(&number) && number.to_string() == value).then_some(number)
        })
    }

    /// An RFC 3339 time.
    ///
    /// # Errors
    /// `InvalidParameter`.
    pub fn time(&self, name: &str) -> Result<Option<Timestamp>, ApiError> {
        self.read(name, "an RFC 3339 time", |value| {
            Timestamp::parse_rfc3339(value).ok()
        })
    }

    /// One of an enum's words.
    ///
    /// # Errors
    /// `InvalidParameter`.
    pub fn word<T: DeserializeOwned>(
        &self,
        name: &str,
        allowed: &'static str,
    ) -> Result<Option<T>, ApiError> {
        self.read(name, allowed, |value| {
            serde_json::from_value(serde_json::Value::String(value.to_string())).ok()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_and_a_repetition_are_refused_by_name() {
        let refusal = |pairs: &[(&'static str, &'static str)]| {
            Query::parse(pairs.iter().copied(), &["a", "b"]).unwrap_err()
        };
        let unknown = ApiError::UnknownField {
            field: "c".into(),
            allowed: "a, b".into(),
        };
        assert_eq!(refusal(&[("a", ""), ("c", "")]), unknown);
        let none = Query::parse([("a", "")].into_iter(), &[]).unwrap_err();
        assert_eq!(
            none.to_string(),
            "a is not known here; allowed: no parameter"
        );
        let repeated = ApiError::RepeatedField { field: "a".into() };
        assert_eq!(refusal(&[("a", "1"), ("a", "1")]), repeated);
    }

    #[test]
    fn a_number_is_in_its_range_and_written_with_digits_alone() {
        let read = |value| {
            let query = Query::parse([("n", value)].into_iter(), &["n"]).unwrap();
            query.number("n", "a number from 1 to 10", &(1..=10))
        };
        assert_eq!(read("10"), Ok(Some(10)));
        for value in ["0", "11", "+1", "01", "1.0", "", "x", "99999999999"] {
            let refused = Err(ApiError::InvalidParameter {
                field: "n".into(),
                allowed: "a number from 1 to 10",
            });
            assert_eq!(read(value), refused, "{value}");
        }
    }
}
