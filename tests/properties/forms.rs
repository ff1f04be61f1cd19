//! The dashboard's forms, custom headers, and queries.

use proptest::prelude::*;
use webhook_relay::{
    api::{deliveries::parse_filter, webhooks::parse_new_webhook},
    dashboard::forms::{WebhookForm, parse_fields},
    domain::{
        brand::HeaderPrefix,
        catalogue::Catalogue,
        custom_headers::check_headers,
        endpoint_url::UrlRules,
        pace::{RateLimit, parse_schedule},
        policy::Policy,
    },
};

use super::{config, damaged};

fn fields() -> impl Strategy<Value = Vec<(String, String)>> {
    let name = prop_oneof![
        "(url|events|description|headers|secret|ordered|rate_limit|retry_schedule)",
        any::<String>()
    ];
    prop::collection::vec((name, any::<String>()), 0..6)
}

fn policy() -> Policy {
    Policy::parse(|_| None).unwrap()
}

fn encode(fields: &[(String, String)]) -> String {
    url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(fields)
        .finish()
}

/// Headers that are allowed, nearly so, and not at all.
fn headers() -> impl Strategy<Value = Vec<(String, String)>> {
    let name = prop_oneof![4 => "[Xx]-[A-Za-z0-9]{1,12}", 1 => "[!-~]{1,12}", 1 => any::<String>()];
    let value = prop_oneof![4 => "[!-~]([ -~]{0,20}[!-~])?", 1 => "[ -~\\r\\n\\t\\x00]{0,12}", 1 => any::<String>()];
    prop::collection::vec((name, value), 0..12)
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_form_is_read_as_a_browser_wrote_it(fields in fields()) {
        prop_assert_eq!(parse_fields(encode(&fields).as_bytes()), fields);
    }

    #[test]
    fn any_body_is_some_form_and_a_form_is_taken_or_told_what_is_wrong(body in prop_oneof![
        any::<Vec<u8>>(),
        damaged(fields().prop_map(|fields| encode(&fields))).prop_map(String::into_bytes),
    ]) {
        let form = WebhookForm::parse(&body);
        match form.check(&UrlRules::default(), &policy(), Catalogue::default().selectable(&[])) {
            Ok(checked) => prop_assert!(!checked.events.is_empty() && check_headers(&checked.headers, &HeaderPrefix::default()).is_ok()),
            Err(errors) => prop_assert!(errors.any()),
        }
    }

    #[test]
    fn a_pace_is_taken_or_refused_alike_in_a_form_and_in_json(
        rate in "([0-9]{1,4}(\\.[0-9]{1,4})?)|\\PC{1,6}",
        schedule in prop::collection::vec("([0-9]{1,5}(ms|s|m|h|d))|[a-z0-9]{1,4}", 1..23),
    ) {
        let fields = [("url", "https://hooks.example.com/"), ("events", "agent.error"), ("rate_limit", &rate), ("retry_schedule", &schedule.join(","))];
        let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let typed = WebhookForm::parse(encode(&fields).as_bytes()).check(&UrlRules::default(), &policy(), Catalogue::default().selectable(&[]));
        // What is no number in JSON is refused there as no number.
        let number: serde_json::Value = serde_json::from_str(&rate).unwrap_or_default();
        let written = number.to_string();
        prop_assume!(number.is_number() && written == rate);
        let body = serde_json::json!({"url": "https://hooks.example.com/", "events": ["agent.error"], "rate_limit": {"per_second": number}, "retry_schedule": schedule});
        let posted = parse_new_webhook(body.to_string().as_bytes(), &UrlRules::default(), &policy(), &Catalogue::default());
        prop_assert_eq!(typed.as_ref().ok().map(|draft| &draft.pace), posted.as_ref().ok().map(|draft| &draft.pace));
        let is_allowed = RateLimit::parse(&rate).is_some() && parse_schedule(schedule.iter().map(String::as_str), &policy()).is_ok();
        prop_assert_eq!(typed.is_ok(), is_allowed);
    }

    #[test]
    fn headers_that_are_allowed_stand_in_one_line_each_and_pass_the_form_unchanged(headers in headers()) {
        if check_headers(&headers, &HeaderPrefix::default()).is_ok() {
            for (name, value) in &headers {
                let line = format!("{name}: {value}\r\n");
                prop_assert_eq!(line.matches(['\r', '\n', '\0']).count(), 2);
                prop_assert!(line.is_ascii() && !name.contains([':', ' ']) && value.trim() == value);
            }
            let lines: Vec<_> = headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
            let sent = [("url", "https://hooks.example.com/"), ("events", "agent.error"), ("headers", &lines.join("\r\n"))];
            let sent = sent.map(|(name, value)| (name.to_owned(), value.to_owned()));
            let checked = WebhookForm::parse(encode(&sent).as_bytes()).check(&UrlRules::default(), &policy(), Catalogue::default().selectable(&[]));
            prop_assert_eq!(checked.ok().map(|checked| checked.headers), Some(headers));
        }
    }

    #[test]
    fn headers_are_taken_or_refused_alike_in_json(headers in headers()) {
        // A map would lose a repeated name before the rule sees it.
        let members: Vec<_> = headers.iter().map(|(name, value)| format!("{}:{}", serde_json::json!(name), serde_json::json!(value))).collect();
        let body = format!(r#"{{"url":"https://hooks.example.com/","events":["agent.error"],"headers":{{{}}}}}"#, members.join(","));
        match parse_new_webhook(body.as_bytes(), &UrlRules::default(), &policy(), &Catalogue::default()) {
            Ok(webhook) => prop_assert_eq!(webhook.headers, headers),
            Err(error) => {
                prop_assert!(check_headers(&headers, &HeaderPrefix::default()).is_err());
                prop_assert!(matches!(error.status(), 400 | 422), "{error:?}");
                let shown = error.to_string();
                let repeats = |(name, value): &(String, String)| value.len() >= 12 && shown.contains(value.as_str()) && !name.contains(value.as_str());
                prop_assert!(!headers.iter().any(repeats), "{shown}");
            }
        }
    }

    #[test]
    fn a_query_is_read_or_refused_with_400(pairs in prop::collection::vec(("(status|type|kind|since|until|limit|cursor|x)|\\PC{0,8}", "(held|event|[0-9]{1,4}|2026-01-15T10:30:00Z)|\\PC{0,12}"), 0..5)) {
        let read = parse_filter(pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        match read {
            Ok(filter) => prop_assert!((1..=100).contains(&filter.limit)),
            Err(error) => prop_assert_eq!(error.status(), 400),
        }
    }
}
