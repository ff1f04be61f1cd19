//! Compares the OpenAPI document with the program: its form, the words of the enums, the parsers, and every refusal.
//!
//! The end-to-end tests check each answer against it. This checks the other direction, which no answer shows: that
//! the document says nothing that the program does not know.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "what is not as expected has to end the test"
)]

mod document;
mod refusals;
mod requests;

use std::collections::BTreeSet;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use webhook_relay::{
    api::{
        events::AcceptedStatus,
        routes::{Access, ROUTES},
    },
    domain::{
        delivery::{FailedReason, Kind, Status},
        history::Absence,
        outcome::Outcome,
        resend::BulkResendStatus,
        token::Scope,
        webhook::{self, DisabledReason},
    },
};

use document::{KNOWN_VALUES, entries, operations, read, resolve, schema, strings, text};

/// The operations that need no token.
const PUBLIC: [&str; 4] = [
    "getHealth",
    "getOpenApiDocument",
    "listEventTypes",
    "getEventType",
];

#[test]
fn every_reference_leads_somewhere() {
    let document = read();
    let references = find_references(&document);
    assert!(references.len() > 50);
    for reference in references {
        let pointer = reference.strip_prefix('#').unwrap_or_default();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}

#[test]
fn every_operation_has_a_name_and_says_how_it_can_fail() {
    let document = read();
    let mut names = BTreeSet::new();
    for (place, operation) in operations(&document) {
        let name = text(&operation["operationId"]);
        assert!(names.insert(name), "{name} names two operations");
        let public = operation["security"] == json!([]);
        assert_eq!(public, PUBLIC.contains(&name), "{place}");
        let protected: &[&str] = if public { &[] } else { &["401", "403", "503"] };
        let body: &[&str] = if operation["requestBody"].is_null() {
            &[]
        } else {
            &["400", "413"]
        };
        let entrance: &[&str] = if place.starts_with("get ") {
            &["308", "508"]
        } else {
            &["403", "415", "508"]
        };
        for status in [&["429", "500"], protected, body, entrance].concat() {
            assert!(
                operation["responses"][status].is_object(),
                "{place} has no {status}"
            );
        }
    }
    assert_eq!(names.len(), operations(&document).len());
}

#[test]
fn every_operation_of_the_program_is_described_with_its_path_and_who_may_call_it() {
    let document = read();
    let described = operations(&document).into_iter().map(|(place, operation)| {
        let tokens = &operation["security"][0]["bearer"][0];
        let name = text(&operation["operationId"]).to_lowercase();
        (place, name, tokens.as_str().map(str::to_string))
    });
    let described: BTreeSet<_> = described.collect();
    let known = ROUTES.iter().map(|route| {
        let (operation, access) = route.name;
        let token = match access {
            Access::Anybody => None,
            Access::Operator => Some("operator".to_string()),
            Access::Scoped(scope) => Some(text(&json!(scope)).to_string()),
        };
        let place = format!("{} {}", route.method.to_lowercase(), route.path);
        (place, format!("{operation:?}").to_lowercase(), token)
    });
    assert_eq!(described, known.collect());
}

#[test]
fn every_answer_carries_the_headers_of_its_status() {
    let document = read();
    let refusal = &document["x-method-not-allowed"];
    let refusals = [("405".to_string(), refusal)];
    for (place, operation) in operations(&document) {
        let answers = entries(&operation["responses"]);
        for (status, answer) in answers.chain(refusals.clone()) {
            let headers = &resolve(&document, answer)["headers"];
            let has = |name: &str| {
                let header = resolve(&document, &headers[name]);
                assert_eq!(header["required"], true, "{place} {status} {name}");
            };
            has("X-Request-Id");
            match status.as_str() {
                "308" => has("Location"),
                "401" => has("WWW-Authenticate"),
                "405" => has("Allow"),
                "429" | "503" => has("Retry-After"),
                _ => {}
            }
        }
    }
}

#[test]
fn every_list_of_words_is_that_of_the_program() {
    let document = read();
    let closed = |name: &str| strings(&schema(&document, name)["enum"]);
    let parameter =
        |name: &str| strings(&document["components"]["parameters"][name]["schema"]["enum"]);
    let of = |name: &str, member: &str| {
        strings(&schema(&document, name)["properties"][member][KNOWN_VALUES])
    };
    let change = &schema(&document, "WebhookChange")["properties"]["status"];
    assert_eq!(strings(&change["enum"]), words_of::<webhook::Status>());
    let mut statuses = words_of::<Status>();
    statuses.insert(1, "retrying".into());
    assert_eq!(parameter("Status"), statuses);
    let named = |name: &str| strings(&schema(&document, name)[KNOWN_VALUES]);
    for (words, known) in [
        (closed("Scope"), words_of::<Scope>()),
        (named("GrantedScope"), words_of::<Scope>()),
        (parameter("Outcome"), words_of::<Outcome>()),
        (parameter("Kind"), words_of::<Kind>()),
        (named("DeliveryStatus"), words_of::<Status>()),
        (named("DeliveryKind"), words_of::<Kind>()),
        (named("FailedReason"), words_of::<FailedReason>()),
        (named("DisabledReason"), words_of::<DisabledReason>()),
        (of("Attempt", "outcome"), words_of::<Outcome>()),
        (of("AttemptSummary", "outcome"), words_of::<Outcome>()),
        (of("LastAttempt", "outcome"), words_of::<Outcome>()),
        (of("Resend", "status"), words_of::<BulkResendStatus>()),
        (of("Webhook", "status"), words_of::<webhook::Status>()),
        (
            of("CreatedWebhook", "status"),
            words_of::<webhook::Status>(),
        ),
    ] {
        assert_eq!(words, known);
    }
    let absences = [
        json!(Absence::WebhookDidNotExist),
        json!(Absence::WebhookDeleted),
        json!(Absence::TypeNotSelected),
        json!(Absence::NotStored),
        json!(Absence::NotRecorded),
        Value::Null,
    ];
    let entry = &schema(&document, "EventTrace")["properties"]["webhooks"]["items"];
    assert_eq!(entry["properties"]["reason"][KNOWN_VALUES], json!(absences));
    let refused = serde_json::to_value(AcceptedStatus::Refused).unwrap();
    let accepted = [named("DeliveryStatus"), vec![text(&refused).into()]].concat();
    assert_eq!(of("AcceptedDelivery", "status"), accepted);
}

#[test]
fn no_answer_has_a_closed_list_of_words() {
    let document = read();
    for (place, operation) in operations(&document) {
        for (status, answer) in entries(&operation["responses"]) {
            let answer = resolve(&document, answer);
            let closed = find_closed(&document, &answer["content"]);
            assert!(closed.is_empty(), "{place} {status}: {closed:?}");
        }
    }
}

/// Lists of words that a client may take for whole. A condition, or what a value is not, is none.
fn find_closed<'a>(document: &'a Value, node: &'a Value) -> Vec<&'a Value> {
    match node {
        Value::Object(members) => {
            let own = [&node["enum"], &node["const"]];
            let inner = members
                .iter()
                .filter(|(name, _)| !["not", "if", "examples", "example"].contains(&name.as_str()))
                .flat_map(|(_, value)| find_closed(document, value));
            let target = node["$ref"].is_string().then(|| resolve(document, node));
            let target = target.into_iter().flat_map(|it| find_closed(document, it));
            own.into_iter()
                .filter(|it| !it.is_null())
                .chain(inner)
                .chain(target)
                .collect()
        }
        Value::Array(items) => items
            .iter()
            .flat_map(|item| find_closed(document, item))
            .collect(),
        _ => vec![],
    }
}

fn find_references(node: &Value) -> Vec<&str> {
    match node {
        Value::Object(members) => {
            let inner = members.values().flat_map(find_references);
            inner.chain(node["$ref"].as_str()).collect()
        }
        Value::Array(items) => items.iter().flat_map(find_references).collect(),
        _ => vec![],
    }
}

/// The words of an enum, as serde lists them when it reads one that does not exist.
fn words_of<T: DeserializeOwned>() -> Vec<String> {
    let Err(error) = serde_json::from_str::<T>(r#""?""#) else {
        panic!("? is a word");
    };
    let error = error.to_string();
    error
        .split('`')
        .skip(1)
        .step_by(2)
        .skip(1)
        .map(ToString::to_string)
        .collect()
}
