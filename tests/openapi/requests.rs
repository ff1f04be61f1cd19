//! What the document says about requests is what the parsers accept.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use webhook_relay::{
    api::{
        dashboard_links::{parse_access_query, parse_new_link},
        deliveries::parse_filter,
        error::ApiError,
        event_types::parse_event_type,
        events::parse_events,
        keys::parse_new_key,
        resends::{parse_hours, parse_selection},
        traces::parse_trace_query,
        webhooks::{
            WebhookChange, parse_new_webhook, parse_rotation, parse_test, parse_webhook_change,
        },
        workspaces::{parse_new_name, parse_new_workspace, parse_page_query},
    },
    domain::{
        catalogue::Catalogue, endpoint_url::UrlRules, ids::EventId, policy::Policy,
        timestamp::Timestamp,
    },
};

use crate::document::{bytes, entries, operation, query_parameters, read, schema, strings};

type Parse = fn(&[u8]) -> Result<(), ApiError>;

/// Each request schema with the parser of what it describes.
pub(crate) const REQUESTS: [(&str, Parse); 11] = [
    ("NewEvent", parse_event),
    ("NewWorkspace", |body| parse_new_workspace(body).map(drop)),
    ("WorkspaceChange", |body| parse_new_name(body).map(drop)),
    ("NewKey", |body| parse_new_key(body).map(drop)),
    ("NewDashboardLink", |body| parse_new_link(body).map(drop)),
    ("NewWebhook", |body| {
        let catalogue = Catalogue::default();
        parse_new_webhook(body, &UrlRules::default(), &policy(), &catalogue).map(drop)
    }),
    ("WebhookChange", |body| parse_change(body).map(drop)),
    ("SecretRotation", |body| parse_rotation(body).map(drop)),
    ("NewTest", |body| {
        parse_test(body, &Catalogue::default()).map(drop)
    }),
    ("NewEventType", |body| {
        parse_event_type("order.paid", body).map(drop)
    }),
    ("NewResend", |body| parse_selection(body).map(drop)),
];

pub(crate) fn parse_change(body: &[u8]) -> Result<WebhookChange, ApiError> {
    let catalogue = Catalogue::default();
    let types = catalogue.selectable(&[]);
    parse_webhook_change(body, &UrlRules::default(), &policy(), types)
}

fn policy() -> Policy {
    Policy::parse(|_| None).unwrap()
}

type ParseQuery = fn(&[(&str, &str)]) -> Result<(), ApiError>;

/// Each operation with a query, and the parser of that query.
const QUERIES: [(&str, ParseQuery); 5] = [
    ("listDeliveries", |query| {
        parse_filter(query.iter().copied()).map(drop)
    }),
    ("listWorkspaces", |query| {
        parse_page_query(query.iter().copied()).map(drop)
    }),
    ("listDashboardLinks", |query| {
        parse_access_query(query.iter().copied()).map(drop)
    }),
    ("getStats", |query| {
        parse_hours(query.iter().copied()).map(drop)
    }),
    ("traceEvent", |query| {
        parse_trace_query(query.iter().copied()).map(drop)
    }),
];

#[test]
fn a_request_has_the_members_that_its_parser_knows_and_no_others() {
    let document = read();
    for (name, parse) in REQUESTS {
        let schema = schema(&document, name);
        assert_eq!(schema["additionalProperties"], false, "{name}");
        let members: BTreeSet<String> =
            entries(&schema["properties"]).map(|(key, _)| key).collect();
        let error = parse(br#"{"?":0}"#).unwrap_err();
        assert_eq!(members, allowed_by(&error), "{name}");
    }
    for (name, parse) in QUERIES {
        let parameters = query_parameters(&document, name);
        let names: BTreeSet<String> = parameters.into_keys().collect();
        assert_eq!(
            names,
            allowed_by(&parse(&[("?", "")]).unwrap_err()),
            "{name}"
        );
    }
}

#[test]
fn a_request_must_have_the_members_that_its_parser_needs() {
    let document = read();
    // What a bulk resend needs depends on what it has: see below.
    for (name, parse) in REQUESTS.iter().filter(|(name, _)| *name != "NewResend") {
        let schema = schema(&document, name);
        let example = &schema["examples"][0];
        assert_eq!(parse(&bytes(example)), Ok(()), "{name}");
        let required = strings(&schema["required"]);
        for (member, _) in entries(&schema["properties"]) {
            let mut lacking = example.as_object().unwrap().clone();
            assert!(
                lacking.remove(&member).is_some(),
                "{name}.{member} has no example"
            );
            let expected = if required.contains(&member) {
                Err(ApiError::MissingField { field: member })
            } else {
                Ok(())
            };
            assert_eq!(parse(&bytes(&Value::Object(lacking))), expected, "{name}");
        }
    }
}

#[test]
fn a_bulk_resend_has_a_status_and_what_narrows_it_or_ids_alone() {
    let document = read();
    let schema = schema(&document, "NewResend");
    let [by_status, by_ids] = [0, 1].map(|index| schema["examples"][index].clone());
    let code = |body: &Value| parse_selection(&bytes(body)).map_err(|error| error.code());
    assert!(code(&by_status).is_ok() && code(&by_ids).is_ok());
    for (member, value) in entries(&by_status) {
        let mut lacking = by_status.clone();
        lacking.as_object_mut().unwrap().remove(&member);
        let expected = (member == "status").then_some("missing_field");
        assert_eq!(code(&lacking).err(), expected, "without {member}");
        let mut mixed = by_ids.clone();
        mixed[&member] = value.clone();
        assert_eq!(code(&mixed).err(), Some("invalid_ids"), "ids and {member}");
    }
    let most = usize::try_from(schema["properties"]["ids"]["maxItems"].as_u64().unwrap()).unwrap();
    let of = |count| json!({"ids": vec![by_ids["ids"][0].clone(); count]});
    assert!(code(&of(most)).is_ok());
    assert_eq!(code(&of(most + 1)).err(), Some("invalid_ids"));
}

#[test]
fn the_lengths_of_a_text_are_those_of_its_parser() {
    let document = read();
    let letters = |count: usize| json!("é".repeat(count));
    let most = bound(&document, "Name", "maxLength");
    for request in ["NewWorkspace", "WorkspaceChange", "NewKey"] {
        takes(&document, request, "name", &[letters(1), letters(most)]);
        refuses(&document, request, "name", &[letters(0), letters(most + 1)]);
    }
    let most = bound(&document, "Description", "maxLength");
    let longest_url = bound(&document, "EndpointUrl", "maxLength");
    let url = |count: usize| json!(format!("https://hooks.example.com/{:a<1$}", "", count - 26));
    for request in ["NewWebhook", "WebhookChange"] {
        takes(
            &document,
            request,
            "description",
            &[letters(0), letters(most)],
        );
        refuses(&document, request, "description", &[letters(most + 1)]);
        takes(&document, request, "url", &[url(longest_url)]);
        refuses(&document, request, "url", &[url(longest_url + 1)]);
    }
    let (least, most) = (
        bound(&document, "Secret", "minLength"),
        bound(&document, "Secret", "maxLength"),
    );
    let secret = |count: usize| json!("!".repeat(count));
    for request in ["NewWebhook", "SecretRotation"] {
        takes(&document, request, "secret", &[secret(least), secret(most)]);
        refuses(
            &document,
            request,
            "secret",
            &[secret(least - 1), secret(most + 1)],
        );
    }
}

#[test]
fn the_number_of_headers_and_the_lengths_of_their_values_are_those_of_the_parser() {
    let document = read();
    let headers = |count: usize| {
        let names = (0..count).map(|number| format!("x-{number}"));
        json!(names.map(|name| (name, "a")).collect::<BTreeMap<_, _>>())
    };
    let value = |count: usize| json!({"x-team": "a".repeat(count)});
    let most = bound(&document, "CustomHeaders", "maxProperties");
    let values = &schema(&document, "CustomHeaders")["additionalProperties"];
    let longest = usize::try_from(values["maxLength"].as_u64().unwrap()).unwrap();
    for request in ["NewWebhook", "WebhookChange"] {
        takes(
            &document,
            request,
            "headers",
            &[headers(0), headers(most), value(1), value(longest)],
        );
        refuses(
            &document,
            request,
            "headers",
            &[headers(most + 1), value(0), value(longest + 1)],
        );
    }
}

#[test]
fn the_bounds_of_a_number_are_those_of_its_parser() {
    let document = read();
    for (request, member) in [
        ("NewDashboardLink", "expires_in"),
        ("SecretRotation", "overlap_seconds"),
    ] {
        let bounds = &schema(&document, request)["properties"][member];
        let (least, most) = (
            bounds["minimum"].as_i64().unwrap(),
            bounds["maximum"].as_i64().unwrap(),
        );
        takes(&document, request, member, &[json!(least), json!(most)]);
        refuses(
            &document,
            request,
            member,
            &[json!(least - 1), json!(most + 1)],
        );
    }
}

#[test]
fn a_pace_has_the_bounds_of_its_parser_and_null_stands_for_none() {
    let document = read();
    let bounds = &schema(&document, "NewRateLimit")["properties"]["per_second"];
    let (least, most) = (
        bounds["minimum"].as_f64().unwrap(),
        bounds["maximum"].as_f64().unwrap(),
    );
    let rate = |per_second: f64| json!({"per_second": per_second});
    let schedule = schema(&document, "NewRetrySchedule");
    let count = |keyword: &str| usize::try_from(schedule[keyword].as_u64().unwrap()).unwrap();
    let delays = |count: usize| json!(vec!["1m"; count]);
    for request in ["NewWebhook", "WebhookChange"] {
        takes(
            &document,
            request,
            "rate_limit",
            &[rate(least), rate(most), Value::Null],
        );
        refuses(
            &document,
            request,
            "rate_limit",
            &[rate(least - 0.001), rate(most + 0.001), rate(0.1234)],
        );
        let fitting = [delays(count("minItems")), delays(count("maxItems"))];
        takes(&document, request, "retry_schedule", &fitting);
        takes(
            &document,
            request,
            "retry_schedule",
            &[json!(["1s", "24h"]), json!(["1d"]), Value::Null],
        );
        let wrong = [delays(0), delays(count("maxItems") + 1)];
        refuses(&document, request, "retry_schedule", &wrong);
        refuses(
            &document,
            request,
            "retry_schedule",
            &[json!(["999ms"]), json!(["25h"]), json!(["1m 30s"])],
        );
    }
}

#[test]
fn an_array_has_as_many_events_as_the_document_allows() {
    let document = read();
    let body = &operation(&document, "postEvents")["requestBody"]["content"]["application/json"];
    let bounds = &body["schema"]["oneOf"][1];
    let (least, most) = (
        bounds["minItems"].as_u64().unwrap(),
        bounds["maxItems"].as_u64().unwrap(),
    );
    let post = |count: u64| {
        let events = (0..count).map(|_| json!({"type": "agent.error", "data": {}}));
        parse_event(&bytes(&events.collect())).map_err(|error| error.status())
    };
    assert_eq!((post(least), post(most)), (Ok(()), Ok(())));
    assert_eq!((post(least - 1), post(most + 1)), (Err(422), Err(422)));
}

#[test]
fn what_a_member_or_parameter_defaults_to_is_what_the_document_says() {
    let document = read();
    let default = |request: &str, member: &str| {
        schema(&document, request)["properties"][member]["default"].clone()
    };
    let link = parse_new_link(b"{}").unwrap();
    assert_eq!(
        default("NewDashboardLink", "expires_in"),
        link.expires_in.as_secs()
    );
    assert_eq!(default("NewDashboardLink", "scopes"), json!(link.scopes));
    let rotation = parse_rotation(b"{}").unwrap();
    assert_eq!(
        default("SecretRotation", "overlap_seconds"),
        rotation.overlap_seconds
    );
    assert_eq!(
        default("SecretRotation", "sign_header_with"),
        json!(rotation.sign_header_with)
    );
    let none = [("", ""); 0];
    for (name, parameter, default) in [
        (
            "listDeliveries",
            "limit",
            parse_filter(none.into_iter()).unwrap().limit,
        ),
        (
            "listWorkspaces",
            "limit",
            parse_page_query(none.into_iter()).unwrap().limit as usize,
        ),
        (
            "getStats",
            "hours",
            parse_hours(none.into_iter()).unwrap() as usize,
        ),
    ] {
        let parameter = query_parameters(&document, name)[parameter].clone();
        assert_eq!(parameter["schema"]["default"], default, "{name}");
    }
}

#[test]
fn a_parameter_of_a_query_has_the_bounds_of_the_document() {
    let document = read();
    for (name, parse) in QUERIES {
        for (parameter, description) in query_parameters(&document, name) {
            let bound = |bound: &str| description["schema"][bound].as_i64();
            let check = |value: String, taken: bool| {
                let answer = parse(&[(parameter.as_str(), value.as_str())]);
                assert_eq!(answer.is_ok(), taken, "{name}: {parameter}={value}");
            };
            if let (Some(least), Some(most)) = (bound("minimum"), bound("maximum")) {
                check(least.to_string(), true);
                check(most.to_string(), true);
                check((least - 1).to_string(), false);
                check((most + 1).to_string(), false);
                // No other notation of a number, since the document describes none.
                check(format!("+{least}"), false);
                check(format!("0{least}"), false);
                check(String::new(), false);
            }
            if let Some(most) = bound("maxLength") {
                let letters = |count: i64| "a".repeat(usize::try_from(count).unwrap());
                check(letters(most), true);
                check(letters(most + 1), false);
                check(String::new(), false);
            }
        }
    }
}

fn parse_event(body: &[u8]) -> Result<(), ApiError> {
    let now = Timestamp::from_millis(0);
    let catalogue = Catalogue::default();
    parse_events(body, &catalogue, now, || Ok(EventId::mint(now, [0; 10]))).map(drop)
}

/// The names that an `unknown_field` lists as known.
fn allowed_by(error: &ApiError) -> BTreeSet<String> {
    let ApiError::UnknownField { allowed, .. } = error else {
        panic!("{error:?}");
    };
    allowed.split(", ").map(ToString::to_string).collect()
}

/// A bound from a schema.
fn bound(document: &Value, name: &str, keyword: &str) -> usize {
    usize::try_from(schema(document, name)[keyword].as_u64().unwrap()).unwrap()
}

fn takes(document: &Value, request: &str, member: &str, values: &[Value]) {
    for value in values {
        assert_eq!(
            parse_with(document, request, member, value),
            Ok(()),
            "{request}.{member}: {value}"
        );
    }
}

fn refuses(document: &Value, request: &str, member: &str, values: &[Value]) {
    for value in values {
        let answer = parse_with(document, request, member, value).map_err(|error| error.status());
        assert_eq!(answer, Err(422), "{request}.{member}: {value}");
    }
}

/// Parses the example of a request with another value for one member.
fn parse_with(
    document: &Value,
    request: &str,
    member: &str,
    value: &Value,
) -> Result<(), ApiError> {
    let (_, parse) = REQUESTS.iter().find(|(name, _)| *name == request).unwrap();
    let mut body = schema(document, request)["examples"][0].clone();
    body[member] = value.clone();
    parse(&bytes(&body))
}
