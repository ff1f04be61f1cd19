//! What the document says of requests is what the parsers take.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use webhook_relay::{
    api::{
        deliveries::parse_filter,
        error::ApiError,
        events::parse_events,
        keys::{parse_new_key, parse_new_link},
        resends::{parse_hours, parse_selection},
        webhooks::{parse_new_webhook, parse_rotation, parse_test, parse_webhook_change},
        workspaces::{parse_new_name, parse_new_workspace, parse_page_query},
    },
    domain::{endpoint_url::UrlRules, ids::EventId, timestamp::Timestamp},
};

use crate::document::{bytes, entries, operation, query_parameters, read, schema, strings};

type Parse = fn(&[u8]) -> Result<(), ApiError>;

/// Each request schema and the parser that reads what it describes.
pub(crate) const REQUESTS: [(&str, Parse); 10] = [
    ("NewEvent", parse_event),
    ("NewWorkspace", |body| parse_new_workspace(body).map(drop)),
    ("WorkspaceChange", |body| parse_new_name(body).map(drop)),
    ("NewKey", |body| parse_new_key(body).map(drop)),
    ("NewDashboardLink", |body| parse_new_link(body).map(drop)),
    ("NewWebhook", |body| {
        parse_new_webhook(body, &UrlRules::default()).map(drop)
    }),
    ("WebhookChange", |body| {
        parse_webhook_change(body, &UrlRules::default()).map(drop)
    }),
    ("SecretRotation", |body| parse_rotation(body).map(drop)),
    ("NewTest", |body| parse_test(body).map(drop)),
    ("NewResend", |body| parse_selection(body).map(drop)),
];

type ParseQuery = fn(&[(&str, &str)]) -> Result<(), ApiError>;

/// Each operation with a query and the parser of that query.
const QUERIES: [(&str, ParseQuery); 3] = [
    ("listDeliveries", |query| {
        parse_filter(query.iter().copied()).map(drop)
    }),
    ("listWorkspaces", |query| {
        parse_page_query(query.iter().copied()).map(drop)
    }),
    ("getStats", |query| {
        parse_hours(query.iter().copied()).map(drop)
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
    for (name, parse) in REQUESTS {
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
fn the_bounds_of_the_document_are_those_of_the_parsers() {
    let document = read();
    let check = |request: &str, member: &str, least: Option<Value>, most: Value, above: Value| {
        let (_, parse) = REQUESTS.iter().find(|(name, _)| *name == request).unwrap();
        let with = |value: &Value| {
            let mut body = schema(&document, request)["examples"][0].clone();
            body[member] = value.clone();
            parse(&bytes(&body)).map_err(|error| error.status())
        };
        for value in least.iter().chain([&most]) {
            assert_eq!(with(value), Ok(()), "{request}.{member}");
        }
        assert_eq!(with(&above), Err(422), "{request}.{member}");
    };
    let length = |name: &str, bound: &str| {
        usize::try_from(schema(&document, name)[bound].as_u64().unwrap()).unwrap()
    };
    let letters = |count: usize| json!("é".repeat(count));
    for request in ["NewWorkspace", "WorkspaceChange", "NewKey"] {
        let most = length("Name", "maxLength");
        check(
            request,
            "name",
            Some(letters(1)),
            letters(most),
            letters(most + 1),
        );
    }
    for request in ["NewWebhook", "WebhookChange"] {
        let most = length("Description", "maxLength");
        check(
            request,
            "description",
            Some(letters(0)),
            letters(most),
            letters(most + 1),
        );
        let url =
            |count: usize| json!(format!("https://hooks.example.com/{:a<1$}", "", count - 26));
        let most = length("EndpointUrl", "maxLength");
        check(request, "url", None, url(most), url(most + 1));
        let headers = |count: usize| {
            json!(
                (0..count)
                    .map(|number| (format!("x-{number}"), "a"))
                    .collect::<BTreeMap<_, _>>()
            )
        };
        let most = length("CustomHeaders", "maxProperties");
        check(
            request,
            "headers",
            Some(headers(0)),
            headers(most),
            headers(most + 1),
        );
        let value = |count: usize| json!({"x-team": "a".repeat(count)});
        let most = schema(&document, "CustomHeaders")["additionalProperties"]["maxLength"].as_u64();
        let most = usize::try_from(most.unwrap()).unwrap();
        check(
            request,
            "headers",
            Some(value(1)),
            value(most),
            value(most + 1),
        );
    }
    let secret = |count: usize| json!("!".repeat(count));
    let (least, most) = (length("Secret", "minLength"), length("Secret", "maxLength"));
    for request in ["NewWebhook", "SecretRotation"] {
        check(
            request,
            "secret",
            Some(secret(least)),
            secret(most),
            secret(most + 1),
        );
        check(request, "secret", None, secret(least), secret(least - 1));
    }
    for (request, member) in [
        ("NewDashboardLink", "expires_in"),
        ("SecretRotation", "overlap_seconds"),
    ] {
        let bounds = &schema(&document, request)["properties"][member];
        let (least, most) = (
            bounds["minimum"].as_i64().unwrap(),
            bounds["maximum"].as_i64().unwrap(),
        );
        check(
            request,
            member,
            Some(json!(least)),
            json!(most),
            json!(most + 1),
        );
        check(request, member, None, json!(least), json!(least - 1));
    }
    let events = &operation(&document, "postEvents")["requestBody"]["content"]["application/json"];
    let most = events["schema"]["oneOf"][1]["maxItems"].as_u64().unwrap();
    let events = |count: u64| {
        bytes(&json!(
            (0..count)
                .map(|_| json!({"type": "agent.error", "data": {}}))
                .collect::<Vec<_>>()
        ))
    };
    assert_eq!(parse_event(&events(most)), Ok(()));
    assert_eq!(parse_event(&events(most + 1)).unwrap_err().status(), 422);
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
            parse_page_query(none.into_iter()).unwrap().limit(),
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
fn a_number_of_a_query_has_the_bounds_of_the_document_and_is_of_digits_alone() {
    let document = read();
    for (name, parse) in QUERIES {
        for (parameter, description) in query_parameters(&document, name) {
            let bounds = &description["schema"];
            let (Some(least), Some(most)) =
                (bounds["minimum"].as_i64(), bounds["maximum"].as_i64())
            else {
                continue;
            };
            let taken = |value: String| parse(&[(parameter.as_str(), value.as_str())]).is_ok();
            for value in [least, most] {
                assert!(taken(value.to_string()), "{name}: {parameter}={value}");
            }
            for value in [
                (least - 1).to_string(),
                (most + 1).to_string(),
                format!("+{least}"),
                String::new(),
            ] {
                assert!(!taken(value.clone()), "{name}: {parameter}={value}");
            }
        }
    }
}

fn parse_event(body: &[u8]) -> Result<(), ApiError> {
    let now = Timestamp::from_millis(0);
    parse_events(body, now, || Ok(EventId::mint(now, [0; 10]))).map(drop)
}

/// What an `unknown_field` names as known.
fn allowed_by(error: &ApiError) -> BTreeSet<String> {
    let ApiError::UnknownField { allowed, .. } = error else {
        panic!("{error:?}");
    };
    allowed.split(", ").map(ToString::to_string).collect()
}
