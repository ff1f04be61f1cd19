//! The log line of an attempt: one JSON object, whose members Workers Logs makes searchable.

use serde::Serialize;

use crate::domain::{attempt::Attempt, delivery::Kind, ids::DeliveryId, outcome::Outcome};

/// One attempt. Only ids, words of the API and numbers: no URL, no header, no payload, no text of the endpoint, so
/// nothing that could be secret.
#[derive(Debug, Serialize)]
pub struct AttemptLine<'a> {
    /// Always `attempt`: distinguishes these lines from others, and is the text that a log viewer shows.
    message: &'static str,
    workspace_id: &'a str,
    webhook_id: &'a str,
    delivery_id: &'a DeliveryId,
    #[serde(rename = "type")]
    event_type: &'a str,
    kind: Kind,
    attempt: u32,
    outcome: Outcome,
    response_status: Option<u16>,
    duration_ms: u64,
}

impl<'a> AttemptLine<'a> {
    /// The line for an attempt of a delivery.
    #[must_use]
    pub const fn new(
        (workspace_id, webhook_id): (&'a str, &'a str),
        (delivery_id, event_type, kind): (&'a DeliveryId, &'a str, Kind),
        attempt: &Attempt,
    ) -> Self {
        Self {
            message: "attempt",
            workspace_id,
            webhook_id,
            delivery_id,
            event_type,
            kind,
            attempt: attempt.attempt,
            outcome: attempt.outcome,
            response_status: attempt.response_status,
            duration_ms: attempt.duration_ms,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::timestamp::Timestamp;

    #[test]
    fn the_line_has_ids_and_numbers_and_nothing_that_the_endpoint_said() {
        let id = DeliveryId::mint(Timestamp::from_millis(0), [0; 10]);
        let attempt = Attempt {
            response_status: Some(503),
            outcome: Outcome::HttpError,
            response_body: Some("a secret".into()),
            response_headers: [("set-cookie".into(), "a secret".into())].into(),
            ..Attempt::lost(2, Timestamp::from_millis(0), Timestamp::from_millis(48))
        };
        let line = AttemptLine::new(
            ("ws_demo", "wh_1"),
            (&id, "alert.triggered", Kind::Event),
            &attempt,
        );
        let expected = format!(
            r#"{{"message":"attempt","workspace_id":"ws_demo","webhook_id":"wh_1","delivery_id":"{}","type":"alert.triggered","kind":"event","attempt":2,"outcome":"http_error","response_status":503,"duration_ms":48}}"#,
            id.as_ref()
        );
        assert_eq!(serde_json::to_string(&line).unwrap(), expected);
    }
}
