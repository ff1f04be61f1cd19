//! What the dashboard's forms and queries accept, and how they explain what they refuse.

use webhook_relay::{
    dashboard::{
        detail_query::{DetailQuery, Range},
        forms::{
            ResendForm, RotateForm, SignInForm, WebhookForm, check_test, parse_test, parse_time,
        },
    },
    domain::{
        brand::HeaderPrefix, catalogue::Catalogue, delivery::Status, endpoint_url::UrlRules,
        timestamp::Timestamp,
    },
};

use crate::samples::{NOW, ago, query};

const GOOD: &str = "url=https%3A%2F%2Fhooks.example.com%2F&events=alert.triggered&events=agent.error\
                    &description=a%0D%0Ab&headers=X-Team%3A+platform%0D%0A%0D%0AX-Key%3A+a%3Ab&secret=";

fn rules() -> UrlRules {
    UrlRules {
        allow_private: false,
        own_host: Some("relay.example.com".into()),
        ..UrlRules::default()
    }
}

#[test]
fn a_webhook_is_read_from_its_form() {
    let checked = WebhookForm::parse(GOOD.as_bytes())
        .check(
            &rules(),
            &HeaderPrefix::default(),
            Catalogue::default().selectable(&[]),
        )
        .ok()
        .unwrap();
    assert_eq!(checked.url.as_str(), "https://hooks.example.com/");
    assert_eq!(checked.events.len(), 2);
    assert_eq!(checked.description, "a\nb");
    let header = |name: &str, value: &str| (name.to_string(), value.to_string());
    assert_eq!(
        checked.headers,
        [header("X-Team", "platform"), header("X-Key", "a:b")]
    );
    assert!(checked.secret.is_none(), "an empty secret is generated");
}

#[test]
fn each_mistake_is_told_beside_its_field() {
    let form = "url=http%3A%2F%2Fhooks.example.com&events=nothing&headers=no+colon&secret=short";
    let errors = WebhookForm::parse(form.as_bytes())
        .check(
            &rules(),
            &HeaderPrefix::default(),
            Catalogue::default().selectable(&[]),
        )
        .err()
        .unwrap();
    assert_eq!(errors.url.as_deref(), Some("Url must use https."));
    assert!(
        errors
            .events
            .unwrap()
            .starts_with("Unknown event type 'nothing'")
    );
    assert!(errors.headers.unwrap().starts_with("Line 1 has no colon"));
    assert_eq!(
        errors.secret.as_deref(),
        Some("Secret must have 8 to 256 characters.")
    );
    assert_eq!(errors.description, None);
    let errors = WebhookForm::parse(b"")
        .check(
            &rules(),
            &HeaderPrefix::default(),
            Catalogue::default().selectable(&[]),
        )
        .err()
        .unwrap();
    assert_eq!(
        errors.url.as_deref(),
        Some("Enter the URL of your endpoint.")
    );
    assert_eq!(
        errors.events.as_deref(),
        Some("Choose at least one event type.")
    );
}

#[test]
fn a_webhook_keeps_a_type_that_is_gone_and_selects_no_other_such() {
    let form = GOOD.replace("agent.error", "agent.retired");
    let form = WebhookForm::parse(form.as_bytes());
    let catalogue = Catalogue::default();
    let own = HeaderPrefix::default();
    let check = |selected: &[String]| form.check(&rules(), &own, catalogue.selectable(selected));
    assert!(check(&[]).is_err_and(|errors| errors.events.is_some()));
    assert!(check(&["agent.gone".into()]).is_err());
    let kept = check(&["agent.retired".into()]).ok().unwrap();
    assert_eq!(kept.events.len(), 2);
}

#[test]
fn a_description_has_at_most_1000_characters() {
    for (length, is_refused) in [(1000, false), (1001, true)] {
        let form = WebhookForm {
            description: "é".repeat(length),
            ..WebhookForm::parse(GOOD.as_bytes())
        };
        let errors = form
            .check(
                &rules(),
                &HeaderPrefix::default(),
                Catalogue::default().selectable(&[]),
            )
            .err();
        assert_eq!(
            errors.is_some_and(|errors| errors.description.is_some()),
            is_refused
        );
    }
}

#[test]
fn a_rotation_has_an_overlap_of_at_most_a_week() {
    let overlap = |form: &str| {
        let checked = RotateForm::parse(form.as_bytes()).check();
        checked.map(|checked| checked.overlap_seconds).ok()
    };
    for (seconds, _) in RotateForm::OVERLAPS {
        assert_eq!(
            overlap(&format!("overlap_seconds={seconds}")),
            seconds.parse().ok()
        );
    }
    for refused in ["overlap_seconds=604801", "overlap_seconds=-1", ""] {
        assert_eq!(overlap(refused), None, "{refused}");
    }
    assert_eq!(
        RotateForm::default()
            .check()
            .ok()
            .map(|checked| checked.overlap_seconds),
        Some(86_400)
    );
}

#[test]
fn a_bulk_resend_is_of_failed_or_held_events_of_a_time_in_utc() {
    let form = ResendForm::parse(b"status=held&since=2026-01-15T10%3A30&until=");
    let selection = form.check().unwrap();
    assert_eq!(
        (selection.status, selection.since, selection.until),
        (Status::Held, Some(NOW), None)
    );
    assert!(ResendForm::parse(b"status=delivered").check().is_err());
    assert!(ResendForm::parse(b"status=held&since=x").check().is_err());
}

#[test]
fn a_time_is_read_as_a_date_field_writes_it() {
    for text in [
        "2026-01-15T10:30",
        "2026-01-15T10:30:00",
        "2026-01-15T10:30:00Z",
        "2026-01-15T11:30:00+01:00",
    ] {
        assert_eq!(parse_time(text), Ok(Some(NOW)), "{text}");
    }
    assert_eq!(parse_time(" "), Ok(None));
    assert!(parse_time("yesterday").is_err());
    assert!(parse_time("é26-01-15T10:3").is_err());
}

#[test]
fn a_test_is_of_a_known_type_and_a_sign_in_forgives_spaces() {
    let catalogue = Catalogue::default();
    assert_eq!(parse_test(b"type=agent.error"), "agent.error");
    assert!(check_test("agent.error", &catalogue).is_ok());
    assert!(check_test("ping", &catalogue).is_err());
    let form = SignInForm::parse(b"key=+sk_a_b%0A");
    assert_eq!((form.key.as_str(), form.link.as_str()), ("sk_a_b", ""));
}

#[test]
fn the_address_filters_the_deliveries_and_leads_to_the_next_page_of_the_same() {
    let asked = query("status=failed&type=agent.error&range=24h");
    let filter = asked.filter(NOW);
    assert_eq!(
        (filter.status, filter.event_type.as_deref(), filter.since),
        (Some(Status::Failed), Some("agent.error"), Some(ago(86_400)))
    );
    let webhook = crate::samples::webhook(1, "x").id;
    let record = crate::samples::deliveries(1, "x").remove(0);
    let address = asked.address(&webhook, Some(&record.id));
    let (_, again) = address.split_once('?').unwrap();
    let again = query(again.strip_suffix("#deliveries").unwrap());
    assert_eq!(again.cursor, Some(record.id));
    assert_eq!(
        DetailQuery {
            cursor: None,
            ..again
        },
        asked
    );
}

#[test]
fn a_typed_time_goes_before_the_range_and_what_cannot_be_read_is_left_out() {
    let asked = query("range=7d&since=2026-01-15T10%3A30&status=odd&cursor=odd&until=odd");
    let filter = asked.filter(Timestamp::default());
    assert_eq!(
        (filter.since, filter.until, filter.status),
        (Some(NOW), None, None)
    );
    assert!(asked.time_error.is_some());
    assert_eq!(asked.range, Range::Week);
    assert_eq!(query("").filter(NOW).since, None);
}
