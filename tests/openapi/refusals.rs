//! Every refusal has its code in the document, and every code in the document belongs to a refusal.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use webhook_relay::{
    api::{error::ApiError, event_types::parse_event_type},
    domain::{delivery::Refusal, ids::EventId, policy::Policy, token::Scope},
};

use crate::{
    document::{KNOWN_VALUES, bytes, entries, operations, read, resolve, schema, strings},
    requests::{REQUESTS, parse_change},
};

/// Does not compile if a variant is missing, which leads whoever adds one to the list below and to the document.
macro_rules! name_variants {
    ($($variant:ident)*) => {
        const VARIANTS: &[&str] = &[$(stringify!($variant)),*];

        const fn name_of(error: &ApiError) -> &'static str {
            match error {
                $(ApiError::$variant { .. } => stringify!($variant),)*
            }
        }
    };
}

name_variants! {
    InvalidJson InvalidType UnknownField RepeatedField MissingField InvalidParameter Unauthorized MissingScope
    OperatorOnly ForeignOrigin HttpsRequired LoopDetected NotFound EventNotFound MethodNotAllowed
    UnsupportedMediaType EncodedBody PayloadTooLarge InvalidValue UnknownEventType ReservedEventType
    InvalidUrl
    InvalidSecret InvalidHeader WorkspaceExists WorkspaceDeleted TooManyWebhooks TooManyEventTypes Refused
    NoOverlap ResendRunning RateLimited
    WebhookDisabled NotStored Overloaded NotApplied IdempotencyMismatch Unavailable Misconfigured MisconfiguredSecret Internal
}

#[test]
fn the_list_of_refusals_has_one_of_each() {
    let refusals = every_refusal();
    let listed: BTreeSet<&str> = refusals.iter().map(name_of).collect();
    assert_eq!(listed, VARIANTS.iter().copied().collect());
}

#[test]
fn every_code_is_given_by_a_refusal_and_every_refusal_has_its_code_under_its_status() {
    let document = read();
    let given: BTreeSet<(String, String)> = every_refusal()
        .iter()
        .map(|error| (error.status().to_string(), error.code().to_string()))
        .collect();
    let mut documented = codes_of(&document, "405", &document["x-method-not-allowed"]);
    for (_, operation) in operations(&document) {
        for (status, answer) in
            entries(&operation["responses"]).filter(|(status, _)| status.as_str() >= "400")
        {
            documented.extend(codes_of(&document, &status, resolve(&document, answer)));
        }
    }
    let only_documented: Vec<_> = documented.difference(&given).collect();
    let only_given: Vec<_> = given.difference(&documented).collect();
    assert!(
        only_documented.is_empty() && only_given.is_empty(),
        "only in the document: {only_documented:?}; only in the program: {only_given:?}"
    );
    let codes: BTreeSet<String> = documented.into_iter().map(|(_, code)| code).collect();
    let named = strings(&schema(&document, "ErrorCode")[KNOWN_VALUES]);
    assert_eq!(BTreeSet::from_iter(named), codes);
}

/// One of each refusal; refusals of a value come from the parsers.
fn every_refusal() -> Vec<ApiError> {
    let id = EventId::parse("a").unwrap();
    let event_ids = vec![id];
    let overloaded = ApiError::Overloaded {
        event_ids: event_ids.clone(),
        array: false,
    };
    let not_stored = ApiError::NotStored {
        event_ids,
        array: false,
    };
    let secret = ApiError::MisconfiguredSecret {
        variable: "OPERATOR_TOKEN",
        allowed: "set",
    };
    let refusals = vec![
        ApiError::InvalidParameter {
            field: "limit".into(),
            allowed: "a number",
        },
        ApiError::Unauthorized,
        ApiError::MissingScope(Scope::EventsWrite),
        ApiError::OperatorOnly,
        ApiError::ForeignOrigin,
        ApiError::HttpsRequired,
        ApiError::LoopDetected {
            header: String::new(),
        },
        ApiError::NotFound("webhook"),
        ApiError::EventNotFound,
        ApiError::MethodNotAllowed {
            allow: "GET".into(),
        },
        ApiError::UnsupportedMediaType,
        ApiError::EncodedBody,
        ApiError::PayloadTooLarge {
            field: None,
            what: "a request",
            limit: 1,
        },
        ApiError::WorkspaceExists,
        ApiError::WorkspaceDeleted,
        ApiError::TooManyWebhooks,
        ApiError::TooManyEventTypes,
        ApiError::Refused(Refusal::AlreadyPending),
        ApiError::Refused(Refusal::NotResendable),
        ApiError::Refused(Refusal::AlreadySettled),
        ApiError::Refused(Refusal::AttemptUnderWay),
        ApiError::NoOverlap,
        ApiError::ResendRunning { resend: None },
        ApiError::RateLimited {
            what: "requests",
            seconds: 1,
        },
        ApiError::WebhookDisabled,
        not_stored,
        overloaded,
        ApiError::NotApplied { webhook_id: None },
        ApiError::IdempotencyMismatch,
        ApiError::Unavailable,
        ApiError::Misconfigured(Policy::parse(|_| Some("?".into())).unwrap_err()),
        secret,
        ApiError::Internal,
    ];
    refusals.into_iter().chain(refusals_of_values()).collect()
}

/// What the parsers refuse.
fn refusals_of_values() -> Vec<ApiError> {
    let mut refusals = Vec::new();
    for (request, body) in [
        ("NewEvent", "{"),
        ("NewEvent", "1"),
        ("NewEvent", r#"{"?":0}"#),
        ("NewEvent", "{}"),
        ("NewEvent", r#"{"type":"agent.error","type":"agent.error"}"#),
        ("NewEvent", "[]"),
        ("NewEvent", r#"{"type":"?","data":{}}"#),
        (
            "NewEvent",
            r#"{"type":"agent.error","data":{},"event_id":"?"}"#,
        ),
        (
            "NewEvent",
            r#"{"type":"agent.error","data":{},"timestamp":"?"}"#,
        ),
        ("NewWorkspace", r#"{"id":"?","name":"a"}"#),
        ("NewWorkspace", r#"{"name":""}"#),
        ("NewKey", r#"{"name":"a","scopes":[]}"#),
        ("NewDashboardLink", r#"{"expires_in":0}"#),
        ("NewDashboardLink", r#"{"actor":""}"#),
        ("NewDashboardLink", r#"{"page":"/"}"#),
        ("WebhookChange", r#"{"url":"?"}"#),
        ("WebhookChange", r#"{"events":[]}"#),
        ("WebhookChange", r#"{"headers":{"host":"a"}}"#),
        ("WebhookChange", r#"{"status":"?"}"#),
        ("WebhookChange", r#"{"rate_limit":{"per_second":0}}"#),
        ("WebhookChange", r#"{"retry_schedule":[]}"#),
        ("SecretRotation", r#"{"secret":"?"}"#),
        ("NewResend", r#"{"status":"failed","outcome":"?"}"#),
        ("NewResend", r#"{"status":"failed","response_status":"?"}"#),
        ("NewResend", r#"{"ids":[]}"#),
        ("SecretRotation", r#"{"overlap_seconds":-1}"#),
        ("SecretRotation", r#"{"sign_header_with":"?"}"#),
    ] {
        let (_, parse) = REQUESTS.iter().find(|(name, _)| *name == request).unwrap();
        refusals.push(parse(body.as_bytes()).unwrap_err());
    }
    let description = json!({"description": "a".repeat(100_000)});
    refusals.push(parse_change(&bytes(&description)).unwrap_err());
    refusals.push(parse_event_type("ping", b"{}").unwrap_err());
    refusals
}

/// The codes that an answer may have, each with the answer's status.
fn codes_of(document: &Value, status: &str, answer: &Value) -> BTreeSet<(String, String)> {
    let parts = &answer["content"]["application/json"]["schema"]["allOf"];
    assert_eq!(
        resolve(document, &parts[0])["required"],
        json!(["error"]),
        "{status}: {answer}"
    );
    let codes = strings(&parts[1]["properties"]["error"]["properties"]["code"][KNOWN_VALUES]);
    codes
        .into_iter()
        .map(|code| (status.to_string(), code))
        .collect()
}
