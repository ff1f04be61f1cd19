//! The fields of a webhook's form that say of its pace: as typed, and what is wrong with them.

use crate::domain::{
    pace::{Pace, RateLimit, allowed_schedule, parse_schedule},
    policy::Policy,
};

/// A webhook's pace as typed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct PaceForm {
    /// Whether the form has the fields: a page from before a deployment may not have them.
    pub is_there: bool,
    /// Whether attempts are made in order.
    pub ordered: bool,
    /// How many attempts a second; empty for any number.
    pub rate_limit: String,
    /// Delays separated by commas; empty for the usual ones.
    pub retry_schedule: String,
}

/// What is wrong with a webhook's pace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PaceErrors {
    /// With the rate limit.
    pub rate_limit: Option<String>,
    /// With the retry schedule.
    pub retry_schedule: Option<String>,
}

impl PaceErrors {
    /// Whether anything is wrong.
    #[must_use]
    pub const fn any(&self) -> bool {
        self.rate_limit.is_some() || self.retry_schedule.is_some()
    }
}

impl PaceForm {
    /// Reads the fields of a form's body; of some name the first counts.
    #[must_use]
    pub fn parse(fields: &[(String, String)]) -> Self {
        let value = |name: &str| {
            let found = fields.iter().find(|(field, _)| field == name);
            found.map(|(_, value)| value.trim().to_string())
        };
        Self {
            // Sent even if it is empty, unlike the box that is not ticked.
            is_there: value("rate_limit").is_some(),
            ordered: value("ordered").is_some_and(|value| !value.is_empty()),
            rate_limit: value("rate_limit").unwrap_or_default(),
            retry_schedule: value("retry_schedule").unwrap_or_default(),
        }
    }

    /// The fields with a webhook's present pace.
    #[must_use]
    pub fn of(pace: &Pace) -> Self {
        let rate_limit = pace.rate_limit.map(|rate| rate.to_string());
        let schedule = pace.retry_schedule.as_ref();
        let schedule = schedule.map(|schedule| schedule.texts().collect::<Vec<_>>().join(", "));
        Self {
            is_there: true,
            ordered: pace.ordered,
            rate_limit: rate_limit.unwrap_or_default(),
            retry_schedule: schedule.unwrap_or_default(),
        }
    }

    /// Whether anything is typed.
    #[must_use]
    pub const fn any(&self) -> bool {
        self.ordered || !self.rate_limit.is_empty() || !self.retry_schedule.is_empty()
    }

    /// Checks what was typed.
    ///
    /// # Errors
    /// All that is wrong, by field.
    pub fn check(&self, policy: &Policy) -> Result<Pace, PaceErrors> {
        let rate_limit = match self.rate_limit.as_str() {
            "" => Ok(None),
            typed => match RateLimit::parse(typed) {
                Some(rate) => Ok(Some(rate)),
                None => Err(format!("Use {}.", RateLimit::ALLOWED)),
            },
        };
        let retry_schedule = match self.retry_schedule.as_str() {
            "" => Ok(None),
            typed => parse_schedule(typed.split(',').map(str::trim), policy)
                .map(Some)
                .map_err(|error| format!("Use {}: {error}.", allowed_schedule(policy))),
        };
        match (rate_limit, retry_schedule) {
            (Ok(rate_limit), Ok(retry_schedule)) => Ok(Pace {
                ordered: self.ordered,
                rate_limit,
                retry_schedule,
            }),
            (rate_limit, retry_schedule) => Err(PaceErrors {
                rate_limit: rate_limit.err(),
                retry_schedule: retry_schedule.err(),
            }),
        }
    }
}
