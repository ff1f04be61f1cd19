//! An event as it was posted, how long its `event_id` is kept, and the payload that an endpoint receives for it.

use std::time::Duration;

use serde::Serialize;
use serde_json::value::RawValue;

use super::{
    event_type::EventType,
    ids::{DeliveryId, EventId},
};

/// Bytes of one event's JSON text as posted.
pub const EVENT_LIMIT: usize = 256 * 1024;

/// Bytes of one request's body.
pub const REQUEST_LIMIT: usize = 4 * 1024 * 1024;

/// Events of one request.
pub const EVENTS_LIMIT: usize = 100;

/// How long a repeated `event_id` finds the deliveries of the first post.
pub const EVENT_ID_KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// An accepted event.
#[derive(Debug)]
#[cfg_attr(feature = "test-hooks", derive(serde::Serialize, serde::Deserialize))]
pub struct Event {
    /// The producer's key, or a generated one.
    pub id: EventId,
    /// Whether the producer gave the id; only then is it kept to find duplicates.
    pub id_given: bool,
    /// What happened.
    pub event_type: EventType,
    /// When it occurred, as posted.
    pub timestamp: String,
    /// The event's own data, as posted.
    pub data: Box<RawValue>,
}

impl Event {
    /// About how many bytes a command has for it: its data, and less than a kilobyte of ids and names.
    #[must_use]
    pub fn length_in_command(&self) -> usize {
        self.data.get().len().saturating_add(1024)
    }
}

/// The payload of a delivery: its JSON is what is signed, stored and sent.
///
/// It borrows the event, whose data a Worker therefore holds once, however many webhooks it goes to. `data` is written as
/// posted, so that numbers, escapes and the order of members reach the endpoint unchanged.
#[derive(Debug, Serialize)]
pub struct Payload<'a> {
    /// The delivery's id.
    pub id: &'a DeliveryId,
    /// The name of the event's type.
    #[serde(rename = "type")]
    pub event_type: &'a str,
    /// When the event occurred, as posted.
    pub timestamp: &'a str,
    /// The event's own data, as posted.
    pub data: &'a RawValue,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::timestamp::Timestamp;

    #[test]
    fn the_limits_are_those_of_the_contract() {
        assert_eq!((EVENT_LIMIT, REQUEST_LIMIT), (262_144, 4_194_304));
    }

    #[test]
    fn data_is_copied_as_it_was_posted() {
        let posted = "{ \"z\": 9007199254740993, \"a\":1.0,\"a\":1e400,\n\"s\":\"\\u00e9\\/\" }";
        let data: Box<RawValue> = serde_json::from_str(posted).unwrap();
        let id = DeliveryId::mint(Timestamp::from_millis(0), [0; 10]);
        let payload = Payload {
            id: &id,
            event_type: "alert.triggered",
            timestamp: "2024-01-15T10:30:00Z",
            data: &data,
        };
        let payload = serde_json::to_string(&payload).unwrap();
        assert_eq!(
            payload,
            format!(
                r#"{{"id":"{id}","type":"alert.triggered","timestamp":"2024-01-15T10:30:00Z","data":{posted}}}"#
            )
        );
    }
}
