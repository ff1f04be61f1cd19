//! Webhooks: what is posted to create, change, rotate and test one.

use serde_json::value::RawValue;

use super::{
    error::ApiError,
    events::{check_length, data_of},
    members::{Members, parse_json},
    pace::{self, parse_pace},
};
use crate::domain::{
    brand::HeaderPrefix,
    catalogue::{Catalogue, Selectable},
    custom_headers::check_headers,
    endpoint_url::{EndpointUrl, UrlRules},
    event_type::EventType,
    pace::{Pace, PaceChange},
    policy::Policy,
    secret::{Secret, SignHeaderWith},
    webhook::{DESCRIPTION_LIMIT, OVERLAP_LIMIT, Rotation, Status, WebhookDraft},
};

/// How long it does by default, in seconds: a day.
const OVERLAP: u64 = 86_400;

/// What to change of a webhook.
#[derive(Debug, Default)]
pub struct WebhookChange {
    /// A new endpoint URL, checked.
    pub url: Option<EndpointUrl>,
    /// New event types.
    pub events: Option<Vec<EventType>>,
    /// A new note.
    pub description: Option<String>,
    /// New custom headers, which replace all of the present ones.
    pub headers: Option<Vec<(String, String)>>,
    /// Enable, disable or pause.
    pub status: Option<Status>,
    /// A new pace.
    pub pace: PaceChange,
    /// Which secret makes the hex signature during an overlap.
    pub sign_header_with: Option<SignHeaderWith>,
}

/// Reads `{"url", "events", "secret"?, "description"?, "headers"?}` and the members of its pace; `catalogue` has the
/// types.
///
/// # Errors
/// The first refusal.
pub fn parse_new_webhook(
    body: &[u8],
    rules: &UrlRules,
    policy: &Policy,
    catalogue: &Catalogue,
) -> Result<WebhookDraft, ApiError> {
    let known = ["url", "events", "secret", "description", "headers"];
    let known = [&known[..], &pace::MEMBERS].concat();
    let members = Members::parse(parse_json(body)?, "", &known)?;
    let mut pace = Pace::default();
    parse_pace(&members, policy)?.apply(&mut pace);
    let missing = |field: &str| ApiError::MissingField {
        field: field.into(),
    };
    Ok(WebhookDraft {
        url: parse_url(&members, rules)?.ok_or_else(|| missing("url"))?,
        events: parse_event_types(&members, catalogue.selectable(&[]))?
            .ok_or_else(|| missing("events"))?,
        secret: parse_secret(&members)?,
        description: parse_description(&members)?.unwrap_or_default(),
        headers: parse_headers(&members, &policy.brand.header_prefix)?.unwrap_or_default(),
        pace,
    })
}

/// Reads any of `{"url", "events", "description", "headers", "status", "sign_header_with"}` and the members of the pace; `types` may be
/// selected.
///
/// # Errors
/// The first refusal.
pub fn parse_webhook_change(
    body: &[u8],
    rules: &UrlRules,
    policy: &Policy,
    types: Selectable<'_>,
) -> Result<WebhookChange, ApiError> {
    let known = [
        "url",
        "events",
        "description",
        "headers",
        "status",
        "sign_header_with",
    ];
    let known = [&known[..], &pace::MEMBERS].concat();
    let members = Members::parse(parse_json(body)?, "", &known)?;
    let status = match members.optional::<String>("status", "a string")?.as_deref() {
        None => None,
        Some("enabled") => Some(Status::Enabled),
        Some("disabled") => Some(Status::Disabled),
        Some("paused") => Some(Status::Paused),
        Some(_) => {
            let allowed = "enabled, disabled or paused".into();
            return Err(ApiError::InvalidValue {
                code: "invalid_status",
                field: "status".into(),
                allowed,
            });
        }
    };
    Ok(WebhookChange {
        url: parse_url(&members, rules)?,
        events: parse_event_types(&members, types)?,
        description: parse_description(&members)?,
        headers: parse_headers(&members, &policy.brand.header_prefix)?,
        status,
        pace: parse_pace(&members, policy)?,
        sign_header_with: parse_sign_header_with(&members)?,
    })
}

fn parse_url(members: &Members, rules: &UrlRules) -> Result<Option<EndpointUrl>, ApiError> {
    let Some(url) = members.optional::<String>("url", "a string")? else {
        return Ok(None);
    };
    Ok(Some(EndpointUrl::parse(&url, rules)?))
}

fn parse_event_types(
    members: &Members,
    selectable: Selectable<'_>,
) -> Result<Option<Vec<EventType>>, ApiError> {
    let Some(names) = members.optional::<Vec<String>>("events", "an array of strings")? else {
        return Ok(None);
    };
    let mut types: Vec<EventType> = Vec::new();
    for (index, name) in names.iter().enumerate() {
        let unknown = |error| ApiError::UnknownEventType {
            field: format!("events[{index}]"),
            error,
        };
        let event_type = selectable.find(name).map_err(unknown)?;
        if !types.contains(&event_type) {
            types.push(event_type);
        }
    }
    if types.is_empty() {
        let allowed = "an array of at least one event type".into();
        return Err(ApiError::InvalidValue {
            code: "invalid_events",
            field: "events".into(),
            allowed,
        });
    }
    Ok(Some(types))
}

/// Reads the member `secret`.
///
/// # Errors
/// If it is not a string or not an allowed secret.
pub fn parse_secret(members: &Members) -> Result<Option<Secret>, ApiError> {
    let Some(secret) = members.optional::<String>("secret", "a string")? else {
        return Ok(None);
    };
    Ok(Some(Secret::parse(&secret)?))
}

fn parse_description(members: &Members) -> Result<Option<String>, ApiError> {
    let description = members.optional::<String>("description", "a string")?;
    if description
        .as_ref()
        .is_some_and(|text| text.chars().count() > DESCRIPTION_LIMIT)
    {
        let allowed = format!("at most {DESCRIPTION_LIMIT} characters");
        return Err(ApiError::InvalidValue {
            code: "invalid_description",
            field: "description".into(),
            allowed,
        });
    }
    Ok(description)
}

fn parse_headers(
    members: &Members,
    own: &HeaderPrefix,
) -> Result<Option<Vec<(String, String)>>, ApiError> {
    const EXPECTED: &str = "an object of header names and string values";
    let wrong = || ApiError::InvalidType {
        field: Some(members.field("headers")),
        expected: EXPECTED,
    };
    let Some(value) = members.raw("headers") else {
        return Ok(None);
    };
    let entries = super::members::entries(value).ok_or_else(wrong)?;
    let text = |value: &RawValue| serde_json::from_str::<String>(value.get()).map_err(|_| wrong());
    let headers = entries
        .into_iter()
        .map(|(name, value)| Ok((name.into_owned(), text(value)?)));
    let headers = headers.collect::<Result<Vec<_>, ApiError>>()?;
    check_headers(&headers, own)?;
    Ok(Some(headers))
}

/// Reads `{"secret"?, "overlap_seconds"?, "sign_header_with"?}`.
///
/// # Errors
/// The first refusal.
pub fn parse_rotation(body: &[u8]) -> Result<Rotation, ApiError> {
    let known = ["secret", "overlap_seconds", "sign_header_with"];
    let members = Members::parse(parse_json(body)?, "", &known)?;
    let overlap = members.whole_number("overlap_seconds", "invalid_overlap", 0..=OVERLAP_LIMIT)?;
    Ok(Rotation {
        secret: parse_secret(&members)?,
        overlap_seconds: overlap.unwrap_or(OVERLAP),
        sign_header_with: parse_sign_header_with(&members)?.unwrap_or_default(),
    })
}

fn parse_sign_header_with(members: &Members) -> Result<Option<SignHeaderWith>, ApiError> {
    match members
        .optional::<String>("sign_header_with", "a string")?
        .as_deref()
    {
        None => Ok(None),
        Some("current") => Ok(Some(SignHeaderWith::Current)),
        Some("previous") => Ok(Some(SignHeaderWith::Previous)),
        Some(_) => Err(ApiError::InvalidValue {
            code: "invalid_sign_header_with",
            field: "sign_header_with".into(),
            allowed: "current or previous".into(),
        }),
    }
}

/// A test event.
#[derive(Debug)]
pub struct NewTest {
    /// Its type.
    pub event_type: EventType,
    /// Its data: as posted, or the sample of its type.
    pub data: Box<RawValue>,
}

/// Reads `{"type", "data"?}` of a test; `catalogue` has the types.
///
/// # Errors
/// The first refusal.
pub fn parse_test(body: &[u8], catalogue: &Catalogue) -> Result<NewTest, ApiError> {
    let value = parse_json(body)?;
    check_length(value, "")?;
    let members = Members::parse(value, "", &["type", "data"])?;
    let name: String = members.required("type", "a string")?;
    let entry = catalogue.find_entry(&name);
    let entry = entry.map_err(|error| ApiError::UnknownEventType {
        field: "type".into(),
        error,
    })?;
    let data = data_of(&members)?.unwrap_or(&entry.sample);
    Ok(NewTest {
        event_type: entry.name.clone(),
        data: data.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_webhook_is_read_with_all_its_members() {
        let body = r#"{"url":"https://hooks.example.com/a","events":["agent.error","agent.error"],
            "secret":"12345678","description":"d","headers":{"X-Team":"a"}}"#;
        let webhook = parse(body).unwrap();
        assert_eq!(webhook.url.as_str(), "https://hooks.example.com/a");
        assert_eq!(
            (webhook.events.len(), webhook.description.as_str()),
            (1, "d")
        );
        assert_eq!(webhook.headers, [("X-Team".to_string(), "a".to_string())]);
        assert_eq!(webhook.secret.unwrap().expose(), "12345678");
    }

    #[test]
    fn a_refusal_names_the_member() {
        let good = [
            ("url", r#""https://a.example.com""#),
            ("events", r#"["agent.error"]"#),
        ];
        for (name, value, code, field) in [
            ("url", r#""http://a.example.com""#, "invalid_url", "url"),
            ("url", "1", "invalid_type", "url"),
            ("events", "[]", "invalid_events", "events"),
            ("events", r#"["x"]"#, "unknown_event_type", "events[0]"),
            ("events", r#""agent.error""#, "invalid_type", "events"),
            ("secret", r#""short""#, "invalid_secret", "secret"),
            ("secret", r#""whsec_!!""#, "invalid_secret", "secret"),
            ("headers", r#"{"Host":"a"}"#, "invalid_header", "headers"),
            ("headers", r#"{"a":1}"#, "invalid_type", "headers"),
            (
                "headers",
                r#"{"a":"1","A":"2"}"#,
                "invalid_header",
                "headers",
            ),
            ("headers", "[]", "invalid_type", "headers"),
            ("description", "1", "invalid_type", "description"),
            ("enabled", "true", "unknown_field", "enabled"),
        ] {
            let members = good
                .iter()
                .filter(|(known, _)| *known != name)
                .copied()
                .chain([(name, value)]);
            let members: Vec<_> = members
                .map(|(name, value)| format!(r#""{name}":{value}"#))
                .collect();
            let error = parse(&format!("{{{}}}", members.join(","))).unwrap_err();
            assert_eq!(
                (error.code(), error.field()),
                (code, Some(field)),
                "{name}: {value}"
            );
        }
        assert_eq!(
            parse("{}").unwrap_err(),
            ApiError::MissingField {
                field: "url".into()
            }
        );
    }

    #[test]
    fn a_change_may_name_any_member() {
        let disable = change(r#"{"status":"disabled"}"#, &[]).unwrap();
        assert_eq!(
            (
                disable.status,
                disable.url.is_some(),
                disable.events.is_some()
            ),
            (Some(Status::Disabled), false, false)
        );
        let error = change(r#"{"status":"off"}"#, &[]).unwrap_err();
        assert_eq!(error.code(), "invalid_status");
    }

    #[test]
    fn a_change_may_keep_a_selected_type_that_is_gone() {
        let body = r#"{"events":["agent.error","agent.retired"]}"#;
        let error = change(body, &[]).unwrap_err();
        assert_eq!(
            (error.code(), error.field()),
            ("unknown_event_type", Some("events[1]"))
        );
        let kept = change(body, &["agent.retired".into()]).unwrap();
        assert_eq!(kept.events.unwrap().len(), 2);
    }

    fn change(body: &str, selected: &[String]) -> Result<WebhookChange, ApiError> {
        let catalogue = Catalogue::default();
        let types = catalogue.selectable(selected);
        parse_webhook_change(body.as_bytes(), &UrlRules::default(), &policy(), types)
    }

    fn parse(body: &str) -> Result<WebhookDraft, ApiError> {
        parse_new_webhook(
            body.as_bytes(),
            &UrlRules::default(),
            &policy(),
            &Catalogue::default(),
        )
    }

    fn policy() -> Policy {
        Policy::parse(|_| None).unwrap()
    }
}
