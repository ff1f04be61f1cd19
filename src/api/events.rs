//! Posting events: what is accepted, and the 202.

use serde::Serialize;
use serde_json::value::RawValue;

use super::{
    error::ApiError,
    members::{Members, first_items, parse_json},
};
use crate::domain::{
    catalogue::Catalogue,
    delivery::Status,
    event::{EVENT_LIMIT, EVENTS_LIMIT, Event},
    ids::{DeliveryId, EventId, WebhookId},
    timestamp::Timestamp,
};

const MEMBERS: [&str; 4] = ["type", "data", "event_id", "timestamp"];

/// The events of one request, in order.
#[derive(Debug)]
pub struct PostedEvents {
    /// Whether they came as an array; the answer has the same form.
    pub array: bool,
    /// At least one.
    pub events: Vec<Event>,
}

/// Reads a request's body: one event, or an array of 1 to 100. The whole body is checked before any of it is used.
///
/// `catalogue` has the types; `mint_event_id` makes the id of an event that has none; `now` is the time of one that has
/// none.
///
/// # Errors
/// The first refusal; its field begins with the event's place in an array (`[3].type`).
pub fn parse_events(
    body: &[u8],
    catalogue: &Catalogue,
    now: Timestamp,
    mut mint_event_id: impl FnMut() -> Result<EventId, ApiError>,
) -> Result<PostedEvents, ApiError> {
    let value = parse_json(body)?;
    let mut parse =
        |value, path: &str| parse_event(value, path, catalogue, now, &mut mint_event_id);
    if !value.get().starts_with('[') {
        let events = vec![parse(value, "")?];
        return Ok(PostedEvents {
            array: false,
            events,
        });
    }
    let (values, more) = first_items(value, EVENTS_LIMIT)?;
    if values.is_empty() || more > 0 {
        return Err(ApiError::InvalidValue {
            code: "invalid_event_count",
            field: "body".into(),
            allowed: format!("one event or an array of 1 to {EVENTS_LIMIT}"),
        });
    }
    let numbered = values.into_iter().enumerate();
    let events = numbered.map(|(index, value)| parse(value, &format!("[{index}].")));
    let events = events.collect::<Result<_, _>>()?;
    Ok(PostedEvents {
        array: true,
        events,
    })
}

fn parse_event(
    value: &RawValue,
    path: &str,
    catalogue: &Catalogue,
    now: Timestamp,
    mint_event_id: &mut impl FnMut() -> Result<EventId, ApiError>,
) -> Result<Event, ApiError> {
    check_length(value, path)?;
    let members = Members::parse(value, path, &MEMBERS)?;
    let name: String = members.required("type", "a string")?;
    let event_type = catalogue
        .find(&name)
        .map_err(|error| ApiError::UnknownEventType {
            field: members.field("type"),
            error,
        })?;
    let data = data_of(&members)?.ok_or_else(|| ApiError::MissingField {
        field: members.field("data"),
    })?;
    let given = members.optional::<String>("event_id", "a string")?;
    let id_given = given.is_some();
    let id = match given {
        None => mint_event_id()?,
        Some(id) => EventId::parse(&id)
            .ok()
            .filter(EventId::can_stand_in_a_path)
            .ok_or_else(|| ApiError::InvalidValue {
                code: "invalid_event_id",
                field: members.field("event_id"),
                allowed: "1 to 128 of letters, digits and . _ : -, and neither . nor .. alone"
                    .into(),
            })?,
    };
    let timestamp = members.time_as_posted("timestamp")?;
    let timestamp = timestamp.map_or_else(|| now.to_string(), |(_, posted)| posted);
    Ok(Event {
        id,
        id_given,
        event_type,
        timestamp,
        data: data.to_owned(),
    })
}

/// Refuses an event, or a test of one, that is too long as posted.
///
/// # Errors
/// `PayloadTooLarge`.
pub(super) fn check_length(value: &RawValue, path: &str) -> Result<(), ApiError> {
    if value.get().len() <= EVENT_LIMIT {
        return Ok(());
    }
    let field = Some(path.trim_end_matches('.').to_string()).filter(|field| !field.is_empty());
    Err(ApiError::PayloadTooLarge {
        field,
        what: "an event",
        limit: EVENT_LIMIT,
    })
}

/// The data of an event as posted, if it has any.
///
/// # Errors
/// `InvalidType` if it is not an object.
pub(super) fn data_of<'a>(members: &Members<'a>) -> Result<Option<&'a RawValue>, ApiError> {
    let data = members.raw("data");
    if data.is_none_or(|data| data.get().starts_with('{')) {
        return Ok(data);
    }
    Err(ApiError::InvalidType {
        field: Some(members.field("data")),
        expected: "a JSON object",
    })
}

/// The status of an accepted delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AcceptedStatus {
    /// It will be attempted.
    Pending,
    /// It was accepted and delivered before.
    Delivered,
    /// It was accepted before and failed.
    Failed,
    /// Its webhook is disabled.
    Held,
    /// Its webhook's backlog is full.
    Refused,
}

impl From<Status> for AcceptedStatus {
    fn from(status: Status) -> Self {
        match status {
            Status::Pending => Self::Pending,
            Status::Delivered => Self::Delivered,
            Status::Failed => Self::Failed,
            Status::Held => Self::Held,
        }
    }
}

/// One delivery of the 202.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AcceptedDelivery {
    /// None when it was refused.
    pub id: Option<DeliveryId>,
    /// The webhook.
    pub webhook_id: WebhookId,
    /// Its status.
    pub status: AcceptedStatus,
    /// Whether an earlier post created it.
    pub duplicate: bool,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
}

/// One event of the 202.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AcceptedEvent {
    /// The producer's id, or the generated one.
    pub event_id: EventId,
    /// One for each matching webhook.
    pub deliveries: Vec<AcceptedDelivery>,
}

/// The body of the 202, in the form of the request.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Accepted {
    /// For one event.
    One(AcceptedEvent),
    /// For an array.
    Many {
        /// In the order of the request.
        events: Vec<AcceptedEvent>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_event_and_an_array_are_read() {
        let one = parse(r#"{"type":"alert.triggered","data":{"a":1}}"#).unwrap();
        assert!(!one.array && !one.events[0].id_given);
        assert_eq!(one.events[0].timestamp, "1970-01-01T00:00:00.000Z");
        let body = r#" [{"timestamp":"2024-01-15T10:30:00+02:00","event_id":"e:1","data":{},"type":"agent.error"}] "#;
        let array = parse(body).unwrap();
        assert!(array.array && array.events[0].id_given);
        assert_eq!(array.events[0].timestamp, "2024-01-15T10:30:00+02:00");
    }

    #[test]
    fn a_refusal_names_the_event_and_its_member() {
        let good = r#"{"type":"agent.error","data":{}}"#;
        for (bad, field, code, status) in [
            (r#"{"data":{}}"#, "[1].type", "missing_field", 400),
            (
                r#"{"type":"agent.error"}"#,
                "[1].data",
                "missing_field",
                400,
            ),
            (
                r#"{"type":"x","data":{}}"#,
                "[1].type",
                "unknown_event_type",
                422,
            ),
            (
                r#"{"type":"ping","data":{}}"#,
                "[1].type",
                "unknown_event_type",
                422,
            ),
            (r#"{"type":1,"data":{}}"#, "[1].type", "invalid_type", 400),
            (
                r#"{"type":"agent.error","data":[]}"#,
                "[1].data",
                "invalid_type",
                400,
            ),
            (
                r#"{"type":"agent.error","data":null}"#,
                "[1].data",
                "invalid_type",
                400,
            ),
            (
                r#"{"type":"agent.error","data":{},"event_id":""}"#,
                "[1].event_id",
                "invalid_event_id",
                422,
            ),
            (
                r#"{"type":"agent.error","data":{},"event_id":".."}"#,
                "[1].event_id",
                "invalid_event_id",
                422,
            ),
            (
                r#"{"type":"agent.error","data":{},"timestamp":"2026-01-15T10:30:60Z"}"#,
                "[1].timestamp",
                "invalid_timestamp",
                422,
            ),
            (
                r#"{"type":"agent.error","data":{},"event_id":null}"#,
                "[1].event_id",
                "invalid_type",
                400,
            ),
            (
                r#"{"type":"agent.error","data":{},"timestamp":"now"}"#,
                "[1].timestamp",
                "invalid_timestamp",
                422,
            ),
            (
                r#"{"type":"agent.error","data":{},"tpye":1}"#,
                "[1].tpye",
                "unknown_field",
                400,
            ),
            ("1", "[1]", "invalid_type", 400),
        ] {
            let error = parse(&format!("[{good},{bad}]")).unwrap_err();
            assert_eq!(
                (error.field(), error.code(), error.status()),
                (Some(field), code, status),
                "{bad}"
            );
        }
    }

    #[test]
    fn an_event_has_256_kib_at_most_as_posted() {
        let of_length = |length: usize| {
            let empty = r#"{"type":"agent.error","data":{"a":""}}"#;
            let filling = "x".repeat(length - empty.len());
            format!(r#"  {{"type":"agent.error","data":{{"a":"{filling}"}}}}  "#)
        };
        assert!(parse(&of_length(EVENT_LIMIT)).is_ok());
        let error = parse(&of_length(EVENT_LIMIT + 1)).unwrap_err();
        assert_eq!((error.code(), error.status()), ("payload_too_large", 413));
    }

    #[test]
    fn an_array_has_1_to_100_events() {
        let good = r#"{"type":"agent.error","data":{}}"#;
        let array = |count| format!("[{}]", vec![good; count].join(","));
        assert!(parse(&array(100)).is_ok());
        for count in [0, 101] {
            assert_eq!(
                parse(&array(count)).unwrap_err().code(),
                "invalid_event_count"
            );
        }
    }

    fn parse(body: &str) -> Result<PostedEvents, ApiError> {
        let now = Timestamp::from_millis(0);
        let catalogue = Catalogue::default();
        parse_events(body.as_bytes(), &catalogue, now, || {
            Ok(EventId::mint(now, [0; 10]))
        })
    }
}
