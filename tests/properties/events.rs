//! Events, from the posted bytes to the payload that an endpoint receives.

use proptest::prelude::*;
use serde_json::value::RawValue;
use webhook_relay::{
    api::events::{PostedEvents, parse_events},
    domain::{
        catalogue::{Catalogue, first_types},
        event::{EVENT_LIMIT, EVENTS_LIMIT, Payload},
        ids::{DeliveryId, EventId},
        timestamp::Timestamp,
    },
};

use super::{config, damaged};

const NOW: Timestamp = Timestamp::from_millis(1_768_473_000_000);

fn read(body: &[u8]) -> Result<PostedEvents, webhook_relay::api::error::ApiError> {
    parse_events(body, &Catalogue::default(), NOW, || {
        Ok(EventId::mint(NOW, [0; 10]))
    })
}

fn space() -> impl Strategy<Value = String> {
    prop_oneof![4 => Just(String::new()), 1 => "[ \\t\\r\\n]{1,3}"]
}

/// A JSON string as some producer may write it: needless escapes, surrogate pairs, names that occur elsewhere.
fn string() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap()),
        prop::sample::select(vec![
            r#""""#,
            r#""id""#,
            r#""data""#,
            r#""\u0064ata""#,
            r#""\/""#,
            r#""\ud83d\ude00""#,
            r#""\u0000""#,
            r#""}{\"data\":1""#,
            "\"\u{feff}\u{2028}\u{7f}\"",
        ])
        .prop_map(str::to_owned),
    ]
}

/// Any JSON value as text, including spaces, repeated members and numbers beyond 64 bits.
fn value() -> impl Strategy<Value = String> {
    let number = "-?(0|[1-9][0-9]{0,25})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,4})?";
    let leaf = prop_oneof![
        number,
        string(),
        prop::sample::select(vec!["true", "false", "null"]).prop_map(str::to_owned),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        let array = (prop::collection::vec(inner.clone(), 0..5), space());
        prop_oneof![
            array.prop_map(|(values, space)| format!("[{space}{}{space}]", values.join(","))),
            object(inner),
        ]
    })
}

fn object(inner: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    let member = (string(), space(), inner)
        .prop_map(|(name, space, value)| format!("{space}{name}{space}:{space}{value}"));
    (prop::collection::vec(member, 0..5), space())
        .prop_map(|(members, space)| format!("{{{}{space}}}", members.join(",")))
}

#[derive(Clone, Debug)]
struct Posted {
    text: String,
    data: String,
    event_type: String,
    event_id: Option<String>,
    timestamp: Option<String>,
}

/// An event that must be accepted.
fn event() -> impl Strategy<Value = Posted> {
    let types = first_types().into_iter();
    let types: Vec<_> = types.map(|entry| entry.name.to_string()).collect();
    // `.` and `..` cannot stand in a path.
    let id = "[A-Za-z0-9._:-]{1,128}";
    let id = prop::option::of(id.prop_filter("dots", |id| !matches!(id.as_str(), "." | "..")));
    let time = prop::option::of((0..253_402_300_799_999_i64).prop_map(|millis| {
        let time = Timestamp::from_millis(millis).to_string();
        time.replace('Z', "+00:00")
    }));
    let parts = (
        prop::sample::select(types),
        id,
        time,
        object(value()),
        space(),
        any::<bool>(),
    );
    parts.prop_map(|(event_type, event_id, timestamp, data, space, reversed)| {
        let mut members = vec![
            format!(r#""type"{space}:{space}"{event_type}""#),
            format!(r#"{space}"data":{space}{data}"#),
        ];
        members.extend(event_id.as_ref().map(|id| format!(r#""event_id":"{id}""#)));
        members.extend(
            timestamp
                .as_ref()
                .map(|time| format!(r#""timestamp":"{time}""#)),
        );
        if reversed {
            members.reverse();
        }
        Posted {
            text: format!("{{{space}{}{space}}}", members.join(",")),
            data,
            event_type,
            event_id,
            timestamp,
        }
    })
}

fn array(events: &[Posted]) -> String {
    let texts: Vec<_> = events.iter().map(|event| event.text.as_str()).collect();
    format!("[{}]", texts.join(" , "))
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn what_is_posted_reaches_the_payload_byte_for_byte(events in prop::collection::vec(event(), 1..4), random: [u8; 10]) {
        let posted = read(array(&events).as_bytes()).unwrap();
        prop_assert_eq!(posted.events.len(), events.len());
        for (read, event) in posted.events.iter().zip(&events) {
            prop_assert_eq!(read.data.get(), &event.data);
            prop_assert_eq!(read.event_type.as_str(), &event.event_type);
            prop_assert_eq!(read.id_given, event.event_id.is_some());
            prop_assert_eq!(Some(read.id.as_ref()).filter(|_| read.id_given), event.event_id.as_deref());
            let id = DeliveryId::mint(NOW, random);
            let payload = Payload {
                id: &id,
                event_type: read.event_type.as_str(),
                timestamp: &read.timestamp,
                data: &read.data,
            };
            let payload = serde_json::to_string(&payload).unwrap();
            let timestamp = event.timestamp.clone().unwrap_or_else(|| NOW.to_string());
            let head = format!(r#"{{"id":"{id}","type":"{}","timestamp":"{timestamp}","data":"#, event.event_type);
            prop_assert_eq!(&payload, &format!("{head}{}}}", event.data));
            prop_assert!(RawValue::from_string(payload).is_ok(), "the payload is one JSON value");
        }
        let one = read(events[0].text.as_bytes()).unwrap();
        prop_assert!(posted.array && !one.array);
        prop_assert_eq!(one.events[0].data.get(), &events[0].data);
    }

    #[test]
    fn a_damaged_body_is_taken_as_it_is_or_refused_with_a_short_reason(
        body in prop_oneof![
            damaged(prop::collection::vec(event(), 1..3).prop_map(|events| array(&events))),
            damaged(event().prop_map(|event| event.text)),
            value(),
            any::<String>(),
        ]
    ) {
        match read(body.as_bytes()) {
            Ok(posted) => {
                prop_assert!((1..=EVENTS_LIMIT).contains(&posted.events.len()));
                for event in &posted.events {
                    let data = event.data.get();
                    let is_object = data.starts_with('{') && data.ends_with('}');
                    prop_assert!(data.len() <= EVENT_LIMIT && is_object);
                    prop_assert!(body.contains(data));
                    prop_assert!(Timestamp::parse_rfc3339(&event.timestamp).is_ok());
                }
            }
            Err(error) => {
                prop_assert!(matches!(error.status(), 400 | 413 | 422), "{error:?}");
                prop_assert!(error.to_string().len() <= 2_000, "{error}");
            }
        }
    }

    #[test]
    fn bytes_that_are_no_utf_8_are_refused(before in any::<Vec<u8>>(), event in event(), place in any::<prop::sample::Index>(), wrong in 0x80..=0xBF_u8) {
        let mut body = event.text.into_bytes();
        // A continuation byte after ASCII.
        let ascii: Vec<usize> = (0..body.len()).filter(|index| body[*index].is_ascii()).collect();
        let at = ascii[place.index(ascii.len())] + 1;
        if body.get(at).is_none_or(u8::is_ascii) {
            body.insert(at, wrong);
            prop_assert_eq!(read(&body).unwrap_err().status(), 400);
        }
        if std::str::from_utf8(&before).is_err() {
            prop_assert_eq!(read(&before).unwrap_err().status(), 400);
        }
    }
}
