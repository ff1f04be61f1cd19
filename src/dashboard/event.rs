//! Finding an event: for each webhook its delivery, or why it has none.

use std::rc::Rc;

use super::{
    Page, assets,
    frame::{Frame, Notice},
    time_field::TimeField,
    type_choices::known,
    when, words,
};
use crate::domain::{
    catalogue::Catalogue,
    history::Absence,
    ids::{EventId, WebhookId},
    record::DeliveryRecord,
    timestamp::Timestamp,
};

/// The page on which an event is looked up.
#[derive(Page)]
#[template(path = "event.html", config = "src/dashboard/askama.toml")]
pub struct EventPage {
    /// What is around it.
    pub frame: Frame,
    /// The types.
    pub catalogue: Rc<Catalogue>,
    /// The question.
    pub query: EventQuery,
    /// What is wrong with the id, or why nothing is shown for it, as a sentence.
    pub error: Option<String>,
    /// What is wrong with the type.
    pub type_error: Option<String>,
    /// What was found.
    pub trace: Option<Trace>,
}

impl EventPage {
    fn errors(&self) -> Vec<(&'static str, String)> {
        let errors = [
            ("id", self.error.clone()),
            ("type", self.type_error.clone()),
            ("at", self.query.at.error()),
        ];
        let errors = errors.into_iter();
        let found = errors.filter_map(|(field, error)| Some((field, error?)));
        found.collect()
    }

    fn types(&self) -> Vec<&str> {
        known(
            &self.catalogue,
            std::iter::once(self.query.event_type.as_str()),
        )
    }
}

/// The question as typed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventQuery {
    /// `id`: an event's, or one of its deliveries'. Empty at first.
    pub id: String,
    /// `type`: for an event of which no delivery is kept. Empty for none.
    pub event_type: String,
    /// `at`: when it was posted.
    pub at: TimeField,
}

impl EventQuery {
    /// Reads the query.
    #[must_use]
    pub fn parse<'a>(query: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        let mut read = Self::default();
        for (name, value) in query {
            match name {
                "id" => read.id = value.trim().into(),
                "type" => read.event_type = value.into(),
                "at" => read.at = TimeField::parse(value),
                _ => {}
            }
        }
        read
    }
}

/// Where an event went.
pub struct Trace {
    /// The event.
    pub event_id: EventId,
    /// Its type.
    pub event_type: String,
    /// The time by which absences are explained.
    pub at: Timestamp,
    /// Since when the record that explains absences is whole; none if it always was.
    pub recorded_since: Option<Timestamp>,
    /// Each webhook of the workspace, including deleted ones.
    pub webhooks: Vec<TracedWebhook>,
}

impl Trace {
    /// Since when absences can be explained, if the event is older.
    fn begins_later(&self) -> Option<Timestamp> {
        self.recorded_since.filter(|since| self.at < *since)
    }
}

/// What happened at one webhook.
pub struct TracedWebhook {
    /// The webhook.
    pub id: WebhookId,
    /// Its endpoint URL; none if it is deleted or was not asked.
    pub url: Option<String>,
    /// Its delivery, or why there is none.
    pub found: Result<Box<DeliveryRecord>, Absence>,
}
