//! What the pages show of a webhook's pace and offer to change it: pausing, order, sending now.

use webhook_relay::{
    dashboard::{Page, add::AddPage, forms::WebhookErrors, pace_form::PaceErrors},
    domain::{
        delivery::{Delivery, Kind},
        webhook::Webhook,
    },
};

use crate::samples::{self, add, delivery, detail, list, ordered};

#[test]
fn a_webhook_offers_what_changes_its_status() {
    let offered = |change: &dyn Fn(&mut Webhook)| {
        let mut page = detail(true, "x");
        change(&mut page.webhook);
        let html = page.render().unwrap();
        ["enable", "pause", "disable"].map(|action| html.contains(&format!("/{action}\"")))
    };
    assert_eq!(offered(&|_| {}), [false, true, true]);
    assert_eq!(
        offered(&|webhook| webhook.settings.paused = true),
        [true, false, true]
    );
    assert_eq!(
        offered(&|webhook| webhook.settings.enabled = false),
        [true, false, false]
    );
}

#[test]
fn a_paused_webhook_says_since_when_and_not_that_it_will_be_disabled() {
    let pause = |webhook: &mut Webhook| {
        webhook.settings.paused = true;
        webhook.standing.failing_since = Some(samples::ago(86_400));
    };
    let mut page = detail(true, "x");
    pause(&mut page.webhook);
    let mut listed = list(true, "x");
    pause(&mut listed.webhooks[0].webhook);
    for html in [page.render().unwrap(), listed.render().unwrap()] {
        assert!(html.contains("<span class=\"status paused\">Paused</span>"));
        assert!(html.contains("Paused since <time datetime=2026-01-15T08:33:20.000Z"));
        assert!(!html.contains("will be disabled"));
    }
    let mut delivery = delivery(true, "x");
    delivery.record.delivery = Delivery::due(Kind::Event, samples::NOW);
    pause(&mut delivery.webhook);
    let html = delivery.render().unwrap();
    assert!(html.contains("The webhook is paused: this event waits until it is enabled again."));
    assert!(!html.contains("/send-now\""));
}

#[test]
fn an_ordered_webhook_shows_what_the_others_wait_for_and_how_to_end_that() {
    let page = ordered(true, "x");
    let head = page.head.clone().unwrap();
    let base = format!("/settings/webhooks/{}/deliveries/{head}", page.webhook.id);
    let html = page.render().unwrap();
    assert!(html.contains("Due since <time datetime=2026-01-15T10:29:00.000Z"));
    assert!(html.contains("0 of 1 attempt under way."));
    assert!(html.contains(&format!("href=\"{base}\"")));
    for action in ["cancel", "send-now"] {
        assert_eq!(html.matches(&format!("{base}/{action}\"")).count(), 1);
    }
    let said = format!("waits for <span class=\"mono\">{head}</span>");
    assert_eq!(html.matches(&said).count(), 2);
    for fact in [
        "2.5 attempts a second",
        "1m, 10m",
        "in the order of acceptance",
    ] {
        assert!(html.contains(fact), "{fact}");
    }
    // In a paused webhook nothing is sent now.
    let mut paused = ordered(true, "x");
    paused.webhook.settings.paused = true;
    let html = paused.render().unwrap();
    assert!(html.contains(&format!("{base}/cancel\"")) && !html.contains("/send-now\""));
    let mut alone = ordered(true, "x");
    alone.deliveries.drain(..2);
    assert!(!alone.render().unwrap().contains("Waits for"));

    let mut waiting = delivery(true, "x");
    waiting.record = ordered(true, "x").deliveries.remove(0);
    let html = waiting.render().unwrap();
    assert!(html.contains("Waits for <a") && !html.contains("Next attempt due"));
    // Whatever is sent now is what comes first.
    assert_eq!(html.matches("/send-now\"").count(), 1);
    assert!(html.contains(&format!("{head}/send-now\"")));
}

#[test]
fn what_an_earlier_object_does_not_tell_is_not_shown() {
    let html = detail(true, "x").render().unwrap();
    assert!(!html.contains("under way") && !html.contains("Due since"));
}

#[test]
fn what_waits_for_an_attempt_can_be_sent_now_and_what_has_ended_resent() {
    let offered = |delivery_state: Delivery, enabled: bool| {
        let mut page = delivery(true, "x");
        page.record.delivery = delivery_state;
        page.webhook.settings.enabled = enabled;
        let html = page.render().unwrap();
        ["send-now", "resend", "cancel"].map(|action| html.contains(&format!("/{action}\"")))
    };
    let due = || Delivery::due(Kind::Event, samples::NOW);
    let mut cancelled = due();
    cancelled.cancel(samples::NOW).unwrap();
    assert_eq!(offered(due(), true), [true, false, true]);
    assert_eq!(offered(Delivery::held(), true), [true, false, true]);
    assert_eq!(offered(Delivery::held(), false), [false, false, true]);
    assert_eq!(offered(cancelled, true), [false, true, false]);
    let test = Delivery::due(Kind::Test, samples::NOW);
    assert_eq!(offered(test, true), [false; 3]);
}

#[test]
fn the_pace_is_folded_away_unless_it_is_set_or_wrong() {
    let is_open = |page: &AddPage| {
        let html = page.render().unwrap();
        html.contains("<details class=\"more pace\" open>")
    };
    let mut empty = add("");
    empty.errors = WebhookErrors::default();
    assert!(!is_open(&empty));
    assert!(empty.render().unwrap().contains("placeholder=\"1m, 5m\""));
    let mut wrong = add("");
    wrong.errors = WebhookErrors {
        pace: PaceErrors {
            rate_limit: Some("Use less.".into()),
            ..PaceErrors::default()
        },
        ..WebhookErrors::default()
    };
    assert!(is_open(&wrong));
    let mut chosen = add("");
    chosen.errors = WebhookErrors::default();
    chosen.form.pace.ordered = true;
    assert!(is_open(&chosen));
}
