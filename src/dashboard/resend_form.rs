//! A bulk resend as it is chosen: by what deliveries have in common, or by name from the rows of the log.

use super::{
    forms::{FieldError, listed, parse_fields},
    time_field::TimeField,
};
use crate::domain::{
    delivery::Status,
    ids::{DeliveryId, WebhookId},
    last_attempt::{LastAttemptFilter, ResponseStatuses},
    outcome::Outcome,
    resend::Selection,
    timestamp::Timestamp,
};

/// Deliveries that can be named at once.
const IDS: usize = 100;

/// A bulk resend as chosen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResendForm {
    /// `failed`, `held` or `pending`.
    pub status: String,
    /// Of one event type; empty for all.
    pub event_type: String,
    /// From when.
    pub since: TimeField,
    /// Until when.
    pub until: TimeField,
    /// By the status of the last response, or its class; empty for all.
    pub response_status: String,
    /// By the outcome of the last attempt; empty for all.
    pub outcome: String,
    /// The ids of rows that were selected.
    pub ids: Vec<String>,
    /// Whether rows were to be selected, even if none is.
    pub selects_rows: bool,
}

/// What is wrong with a bulk resend, field by field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResendErrors {
    /// With the status.
    pub status: Option<String>,
    /// With the beginning.
    pub since: Option<String>,
    /// With the end.
    pub until: Option<String>,
    /// With the status of the response.
    pub response_status: Option<String>,
    /// With the outcome.
    pub outcome: Option<String>,
    /// With the selected rows.
    pub ids: Option<String>,
}

impl ResendErrors {
    /// Each of them with the id of its field, in the order of the form.
    #[must_use]
    pub fn list(&self) -> Vec<FieldError<'_>> {
        listed([
            ("selected", &self.ids),
            ("status", &self.status),
            ("response_status", &self.response_status),
            ("outcome", &self.outcome),
            ("since", &self.since),
            ("until", &self.until),
        ])
    }

    /// Whether anything is wrong.
    #[must_use]
    pub fn any(&self) -> bool {
        *self != Self::default()
    }
}

impl ResendForm {
    /// The choices of the status: its word, and what has it.
    pub const STATUSES: [(&'static str, &'static str); 3] = [
        ("failed", "Failed events"),
        ("held", "Held events"),
        ("pending", "Pending events"),
    ];

    /// The outcomes that the last attempt of what is resent may have.
    pub const OUTCOMES: [Outcome; 5] = [
        Outcome::HttpError,
        Outcome::Timeout,
        Outcome::Unreachable,
        Outcome::Blocked,
        Outcome::Lost,
    ];

    /// Reads the form that starts it.
    #[must_use]
    pub fn parse(body: &[u8]) -> Self {
        let fields = parse_fields(body);
        Self::read(
            fields
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str())),
        )
    }

    /// Reads the query of its page, which is of failed events where it does not say of which.
    #[must_use]
    pub fn parse_query<'a>(query: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        let mut form = Self::read(query);
        if form.status.is_empty() && !form.is_named() {
            form.status = Status::Failed.as_str().into();
        }
        form
    }

    fn read<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        let mut form = Self::default();
        for (name, value) in pairs {
            match name {
                "status" => form.status = value.into(),
                "type" => form.event_type = value.into(),
                "since" => form.since = TimeField::parse(value),
                "until" => form.until = TimeField::parse(value),
                "response_status" => form.response_status = value.trim().to_ascii_lowercase(),
                "outcome" => form.outcome = value.into(),
                // One more is enough to see that they are too many.
                "ids" if form.ids.len() <= IDS => form.ids.push(value.into()),
                "selected" => form.selects_rows = true,
                _ => {}
            }
        }
        form
    }

    /// Whether its deliveries are named.
    #[must_use]
    pub const fn is_named(&self) -> bool {
        self.selects_rows || !self.ids.is_empty()
    }

    /// Its fields as a form or an address holds them; times in UTC.
    #[must_use]
    pub fn fields(&self) -> Vec<(&'static str, String)> {
        if self.is_named() {
            return self.ids.iter().map(|id| ("ids", id.clone())).collect();
        }
        let fields = [
            ("status", self.status.clone()),
            ("type", self.event_type.clone()),
            ("since", self.since.instant().unwrap_or_default()),
            ("until", self.until.instant().unwrap_or_default()),
            ("response_status", self.response_status.clone()),
            ("outcome", self.outcome.clone()),
        ];
        let fields = fields.into_iter();
        fields.filter(|(_, value)| !value.is_empty()).collect()
    }

    /// The same, of what was made before a time if it says no end: what its author has not seen counted is not resent.
    #[must_use]
    pub fn fields_until(&self, now: Timestamp) -> Vec<(&'static str, String)> {
        let mut fields = self.fields();
        if !self.is_named() && self.until.is_empty() {
            fields.push(("until", now.to_string()));
        }
        fields
    }

    /// The address of its page.
    #[must_use]
    pub fn address(&self, webhook: &WebhookId) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(self.fields());
        format!("/settings/webhooks/{webhook}/resend?{}", query.finish())
    }

    /// Checks what was chosen.
    ///
    /// # Errors
    /// All that is wrong, by field.
    pub fn check(&self) -> Result<Selection, Box<ResendErrors>> {
        if self.is_named() {
            return self.check_ids().map_err(|error| {
                Box::new(ResendErrors {
                    ids: Some(error.into()),
                    ..ResendErrors::default()
                })
            });
        }
        let status = [Status::Failed, Status::Held, Status::Pending]
            .into_iter()
            .find(|status| status.as_str() == self.status);
        let statuses = ResponseStatuses::parse(&self.response_status);
        let mut outcomes = Self::OUTCOMES.into_iter();
        let outcome = outcomes.find(|outcome| outcome.as_str() == self.outcome);
        let is_wrong = |is_read: bool, typed: &str, error: &str| {
            (!is_read && !typed.is_empty()).then(|| error.to_string())
        };
        let errors = ResendErrors {
            status: status
                .is_none()
                .then(|| "Choose failed, held or pending events.".into()),
            since: self.since.error(),
            until: self.until.error_after(&self.since),
            response_status: is_wrong(
                statuses.is_ok(),
                &self.response_status,
                "Enter a code from 100 to 599, or a class from 1xx to 5xx.",
            ),
            outcome: is_wrong(
                outcome.is_some(),
                &self.outcome,
                "Choose one of the outcomes.",
            ),
            ids: None,
        };
        match status {
            Some(status) if !errors.any() => Ok(Selection {
                since: self.since.time(),
                until: self.until.time(),
                event_type: Some(self.event_type.clone()).filter(|name| !name.is_empty()),
                last_attempt: LastAttemptFilter {
                    outcome,
                    response_status: statuses.ok(),
                },
                ..Selection::of(status)
            }),
            _ => Err(Box::new(errors)),
        }
    }

    fn check_ids(&self) -> Result<Selection, &'static str> {
        if self.ids.is_empty() {
            return Err("Select the events to resend: each row of the log has a box.");
        }
        if self.ids.len() > IDS {
            return Err("Select at most 100 events.");
        }
        let ids = self.ids.iter().map(|id| DeliveryId::parse(id));
        let ids = ids.collect::<Result<_, _>>();
        let ids = ids.map_err(|_| "Select the events in the log: one of these ids is none.")?;
        Ok(Selection::named(ids))
    }
}
