//! The page before a bulk resend, its form, and how a webhook's page shows the resend and its end.

use webhook_relay::{
    dashboard::{Page, resend_form::ResendForm},
    domain::{
        delivery::Status,
        last_attempt::ResponseStatuses,
        outcome::Outcome,
        resend::{
            BulkResend,
            BulkResendStatus::{self, Finished, Stopped},
            Preview,
        },
        webhook::Health,
    },
};

use crate::samples::{NOW, ago, bulk_resend, detail, query, resend, resend_form};

const ID: &str = "evt_00000000000070008000000000000000";

#[test]
fn a_bulk_resend_is_of_failed_held_or_pending_events_of_a_time_in_utc() {
    let form = ResendForm::parse(b"status=held&since=2026-01-15T10%3A30&until=");
    let selection = form.check().unwrap();
    assert_eq!(
        (selection.status, selection.since, selection.until),
        (Some(Status::Held), Some(NOW), None)
    );
    for (word, status) in [("failed", Status::Failed), ("pending", Status::Pending)] {
        let form = ResendForm::parse(format!("status={word}").as_bytes());
        assert_eq!(form.check().unwrap().status, Some(status));
    }
    let errors = |form: &[u8]| ResendForm::parse(form).check().unwrap_err();
    assert!(errors(b"").status.is_some());
    assert!(errors(b"status=delivered").status.is_some());
    assert!(errors(b"status=held&since=x").since.is_some());
    assert!(
        errors(b"status=held&response_status=600")
            .response_status
            .is_some()
    );
    assert!(errors(b"status=held&outcome=succeeded").outcome.is_some());
    let order = errors(b"status=held&since=2026-01-15T10%3A30&until=2026-01-15T10%3A30");
    assert!(order.until.is_some() && order.since.is_none());
}

#[test]
fn it_is_narrowed_by_type_and_last_attempt() {
    let form = ResendForm::parse(b"status=failed&type=a.b&response_status=+5XX&outcome=http_error");
    let selection = form.check().unwrap();
    assert_eq!(selection.event_type.as_deref(), Some("a.b"));
    let last = selection.last_attempt;
    assert_eq!(last.outcome, Some(Outcome::HttpError));
    assert_eq!(last.response_status, Some(ResponseStatuses::Class(5)));
}

#[test]
fn selected_rows_are_1_to_100_ids_and_none_is_no_wider_choice() {
    let ids = |count: usize| vec![format!("ids={ID}"); count].join("&");
    let form = resend_form(&ids(100));
    assert_eq!(form.check().unwrap().ids.len(), 1);
    for query in [ids(101), "ids=evt_1".into(), "selected=true".into()] {
        let errors = resend_form(&query).check().unwrap_err();
        assert!(errors.ids.is_some() && errors.status.is_none(), "{query}");
    }
}

#[test]
fn the_address_of_a_choice_is_read_back_and_its_form_says_an_end() {
    let webhook = resend("x").webhook.id;
    for asked in [
        "",
        "status=held&type=a.b&since=2026-01-15T10%3A30&response_status=5xx",
        "ids=evt_1&ids=evt_2",
    ] {
        let form = resend_form(asked);
        let address = form.address(&webhook);
        let (_, again) = address.split_once('?').unwrap();
        let again = resend_form(again);
        assert_eq!(again.fields(), form.fields());
        let posted = form.fields_until(NOW);
        let until = posted.iter().find(|(name, _)| *name == "until");
        assert_eq!(until.is_some(), !form.is_named(), "{asked}");
    }
    let with_end = resend_form("until=2026-01-15T10%3A30");
    assert_eq!(with_end.fields_until(ago(0)), with_end.fields());
}

#[test]
fn the_page_says_how_many_and_its_button_too() {
    let mut page = resend("x");
    let html = page.render().unwrap();
    assert!(html.contains("110 failed events will be resent"));
    assert!(html.contains(">Resend 110 events</button>"));
    if let Some(preview) = &mut page.preview {
        preview.is_exact = false;
    }
    let html = page.render().unwrap();
    assert!(html.contains("At least 110 failed events") && html.contains(">Resend at least 110"));
    page.form.status = "pending".into();
    assert!(
        page.render()
            .unwrap()
            .contains(">Send at least 110 events now</button>")
    );
}

#[test]
fn where_nothing_can_be_resent_there_is_no_button_but_a_way_on() {
    let starts = "<form method=\"post\" action=\"/settings/webhooks/wh_";
    let start = |html: &str| html.contains(starts) && html.contains("/resend\" class=\"actions\"");
    let mut page = resend("x");
    assert!(start(&page.render().unwrap()));
    page.webhook.settings.enabled = false;
    let html = page.render().unwrap();
    assert!(!start(&html) && html.contains("Enable the webhook first"));
    let mut page = resend("x");
    page.preview = Some(Preview::default());
    for (choice, words) in [
        ("status=failed", "Look for pending events to send now"),
        ("status=held", "No held event matches."),
        ("status=pending", "What is due already"),
        ("ids=evt_1", "None of the selected events"),
    ] {
        page.form = resend_form(choice);
        let html = page.render().unwrap();
        assert!(!start(&html) && html.contains(words), "{choice}");
    }
}

#[test]
fn the_end_says_what_arrived_and_what_did_not_and_is_as_green() {
    let shown = |status, delivered, failed| {
        let mut page = detail(true, "x");
        page.bulk_resend = Some(BulkResend {
            status,
            delivered,
            failed,
            ..bulk_resend()
        });
        page.render().unwrap()
    };
    let running = shown(BulkResendStatus::Running, 40, 5);
    assert!(running.contains("<progress max=\"120\" value=\"45\""));
    assert!(running.contains("45 of 120 done: 40 arrived, 5 failed again"));
    assert!(running.contains("data-said=\"Resending 120 events. 25% done.\""));
    for (status, delivered, failed, colour, words) in [
        (
            Finished,
            120,
            0,
            "good",
            "has ended: 120 arrived, 0 failed again.",
        ),
        (
            Finished,
            70,
            50,
            "warn",
            "has ended: 70 arrived, 50 failed again.",
        ),
        (
            Finished,
            0,
            120,
            "bad",
            "has ended: 0 arrived, 120 failed again.",
        ),
        (
            Stopped,
            70,
            0,
            "warn",
            "was stopped: 70 arrived, 0 failed again, 50 not resent.",
        ),
    ] {
        let html = shown(status, delivered, failed);
        assert!(html.contains(words), "{words}");
        assert!(
            html.contains(&format!("class=\"bulk-resend {colour}\"")),
            "{words}"
        );
    }
}

#[test]
fn a_log_leads_to_the_resend_of_what_it_shows() {
    let mut page = detail(true, "x");
    for (asked, link) in [
        ("", "resend?status=failed\">Resend failed events<"),
        (
            "status=held&type=a.b",
            "resend?status=held&#38;type=a.b\">Resend held events<",
        ),
        (
            "status=pending",
            "resend?status=pending\">Send pending events now<",
        ),
        (
            "range=24h",
            "resend?status=failed&#38;since=2026-01-14T10%3A30Z\">",
        ),
        (
            "response_status=5xx",
            "resend?status=failed&#38;response_status=5xx\">Resend the failed ones of these<",
        ),
    ] {
        page.query = query(asked);
        assert!(page.render().unwrap().contains(link), "{asked}");
    }
    let since = "Resend what failed since it began to fail";
    page.health = None;
    assert!(!page.render().unwrap().contains(since));
    page.health = Some(Health {
        since: NOW,
        consecutive_failures: 1,
    });
    let html = page.render().unwrap();
    assert!(html.contains("since=2026-01-15T10%3A29Z\">Resend what failed since"));
}

#[test]
fn a_reader_who_may_not_write_is_offered_no_resend() {
    let html = detail(false, "x").render().unwrap();
    assert!(!html.contains("/resend") && !html.contains("name=\"ids\""));
}
