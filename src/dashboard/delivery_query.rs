//! The query of a delivery's page: which attempt is open, and how texts are shown.

use crate::domain::{attempt::Attempt, record::DeliveryRecord};

/// What the query asks for; what cannot be read is ignored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeliveryQuery {
    /// The number of the attempt that is open; the newest if there is none of that number.
    pub attempt: Option<u32>,
    /// Whether JSON is shown as it is, not indented.
    pub raw: bool,
}

impl DeliveryQuery {
    /// Reads the query.
    #[must_use]
    pub fn parse<'a>(query: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        let mut read = Self::default();
        for (name, value) in query {
            match name {
                "attempt" => read.attempt = value.parse().ok(),
                "view" => read.raw = value == "raw",
                _ => {}
            }
        }
        read
    }

    /// The attempt that is open; none before the first.
    #[must_use]
    pub fn opened<'r>(&self, record: &'r DeliveryRecord) -> Option<&'r Attempt> {
        let attempts = &record.attempts;
        let wanted = attempts
            .iter()
            .find(|attempt| Some(attempt.attempt) == self.attempt);
        wanted.or_else(|| attempts.last())
    }
}
