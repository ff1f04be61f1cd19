//! What the dashboard's forms and queries accept, and how they explain what they refuse.

use webhook_relay::{
    dashboard::{
        detail_query::DetailQuery,
        forms::{RotateForm, SignInForm, WebhookErrors, WebhookForm, check_test, parse_test},
        spans::{ChartSpan, Range},
        words,
    },
    domain::{
        catalogue::Catalogue,
        delivery::Status,
        endpoint_url::UrlRules,
        pace::{Pace, RateLimit},
        policy::Policy,
        secret::SignHeaderWith,
        timestamp::Timestamp,
        webhook::WebhookDraft,
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

fn policy() -> Policy {
    Policy::parse(|_| None).unwrap()
}

fn check(form: &str) -> Result<WebhookDraft, Box<WebhookErrors>> {
    let form = WebhookForm::parse(form.as_bytes());
    form.check(&rules(), &policy(), Catalogue::default().selectable(&[]))
}

#[test]
fn a_webhook_is_read_from_its_form() {
    let checked = WebhookForm::parse(GOOD.as_bytes())
        .check(&rules(), &policy(), Catalogue::default().selectable(&[]))
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
        .check(&rules(), &policy(), Catalogue::default().selectable(&[]))
        .err()
        .unwrap();
    assert_eq!(errors.url.as_deref(), Some("The URL must use https."));
    assert!(
        errors
            .events
            .unwrap()
            .starts_with("Unknown event type 'nothing'")
    );
    assert!(errors.headers.unwrap().starts_with("Line 1 has no colon"));
    assert_eq!(
        errors.secret.as_deref(),
        Some("The secret must have 8 to 256 characters.")
    );
    assert_eq!(errors.description, None);
    let errors = WebhookForm::parse(b"")
        .check(&rules(), &policy(), Catalogue::default().selectable(&[]))
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
fn a_pace_is_read_and_shown_again_as_it_was_typed() {
    let none = check(GOOD).unwrap();
    assert_eq!(none.pace, Pace::default());
    let typed = "&ordered=true&rate_limit=+0.5+&retry_schedule=1m%2C+10m%2C2h";
    let pace = check(&format!("{GOOD}{typed}")).unwrap().pace;
    assert!(pace.ordered);
    assert_eq!(pace.rate_limit, RateLimit::parse("0.5"));
    let schedule = pace.retry_schedule.as_ref().unwrap();
    assert_eq!(schedule.texts().collect::<Vec<_>>(), ["1m", "10m", "2h"]);
    assert_eq!(words::schedule(schedule), "1m, 10m, 2h");
    let told = |rate| words::rate(RateLimit::parse(rate).unwrap());
    assert_eq!(told("1"), "1 attempt a second");
    assert_eq!(told("0.50"), "0.5 attempts a second");
    let mut webhook = crate::samples::webhook(1, "x");
    webhook.settings.pace = pace;
    let form = WebhookForm::of(&webhook, &[]);
    assert!(form.pace.ordered && form.pace.any());
    assert_eq!(
        (
            form.pace.rate_limit.as_str(),
            form.pace.retry_schedule.as_str(),
        ),
        ("0.5", "1m, 10m, 2h")
    );
}

#[test]
fn a_wrong_pace_is_told_beside_its_field_with_what_is_allowed() {
    let typed = "&rate_limit=fast&retry_schedule=1m%2C%2C2h";
    let errors = check(&format!("{GOOD}{typed}")).unwrap_err();
    assert!(errors.pace.any() && errors.url.is_none());
    assert_eq!(
        errors.pace.rate_limit.as_deref(),
        Some("Use a number from 0.1 to 1000, with at most three decimals.")
    );
    let words = errors.pace.retry_schedule.unwrap();
    assert!(
        words.starts_with(
            "Use 1 to 20 delays, each 1s to 24h, together less than 30d: '' is not a duration"
        ),
        "{words}"
    );
    let long = check(&format!("{GOOD}&retry_schedule=2d")).unwrap_err();
    assert!(
        long.pace
            .retry_schedule
            .unwrap()
            .ends_with("'2d' is too long.")
    );
    // What is wrong elsewhere does not hide it.
    let errors = check("rate_limit=0").unwrap_err();
    assert!(errors.url.is_some() && errors.pace.rate_limit.is_some());
}

#[test]
fn a_webhook_keeps_a_type_that_is_gone_and_selects_no_other_such() {
    let form = GOOD.replace("agent.error", "agent.retired");
    let form = WebhookForm::parse(form.as_bytes());
    let catalogue = Catalogue::default();
    let policy = policy();
    let check = |selected: &[String]| form.check(&rules(), &policy, catalogue.selectable(selected));
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
            .check(&rules(), &policy(), Catalogue::default().selectable(&[]))
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
fn the_old_secret_makes_the_header_of_one_signature_during_an_overlap_unless_the_new_one_is_chosen()
{
    let signer = |form: &str| {
        let checked = RotateForm::parse(form.as_bytes()).check();
        checked.map(|checked| checked.sign_header_with).ok()
    };
    let expected = [
        (
            "overlap_seconds=60&sign_header_with=previous",
            Some(SignHeaderWith::Previous),
        ),
        (
            "overlap_seconds=60&sign_header_with=current",
            Some(SignHeaderWith::Current),
        ),
        (
            "overlap_seconds=0&sign_header_with=previous",
            Some(SignHeaderWith::Current),
        ),
        ("overlap_seconds=60&sign_header_with=both", None),
    ];
    for (form, expected) in expected {
        assert_eq!(signer(form), expected, "{form}");
    }
    let default = RotateForm::default().check().ok();
    assert!(default.is_some_and(|default| !default.sign_header_with.is_current()));
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
    let address = asked.older(&record.id).address(&webhook);
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
fn the_filter_survives_another_chart_and_a_bar_of_it() {
    let webhook = crate::samples::webhook(1, "x").id;
    let again = |asked: DetailQuery| {
        let address = asked.address(&webhook);
        let (_, again) = address.split_once('?').unwrap();
        query(again.strip_suffix("#deliveries").unwrap())
    };
    let asked = query("status=failed&type=agent.error&range=24h&since=2026-01-15T09:30:01.500Z");
    let week = again(asked.with_chart(ChartSpan::Week));
    assert_eq!(week, asked.with_chart(ChartSpan::Week));
    let bar = again(week.within(ago(3_600), NOW));
    let filter = bar.filter(NOW);
    assert_eq!(
        (filter.status, filter.since, filter.until),
        (Some(Status::Failed), Some(ago(3_600)), Some(NOW))
    );
    assert_eq!((bar.chart, bar.range), (ChartSpan::Week, Range::All));
}

#[test]
fn a_typed_time_goes_before_the_range_and_what_cannot_be_read_is_left_out() {
    let asked = query("range=7d&since=2026-01-15T10%3A30&status=odd&cursor=odd&until=odd");
    let filter = asked.filter(Timestamp::default());
    assert_eq!(
        (filter.since, filter.until, filter.status),
        (Some(NOW), None, None)
    );
    assert!(asked.until.error().is_some());
    assert_eq!(asked.range, Range::Week);
    assert_eq!(query("").filter(NOW).since, None);
}

#[test]
fn a_form_without_the_fields_of_the_pace_leaves_it() {
    let form = |body: &str| WebhookForm::parse(body.as_bytes());
    assert!(!form("url=x&events=alert.triggered").pace.is_there);
    assert!(form("url=x&rate_limit=&retry_schedule=").pace.is_there);
}
