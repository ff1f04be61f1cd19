//! The dashboard's pages as browsers get them: whatever strangers wrote stays text, and each page keeps its rules.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "what is not as expected has to end the test"
)]

mod curl;
mod forms;
mod pace;
mod resend;
mod samples;
mod style;

use samples::{
    add, bulk_resend, delete, delivery, detail, docs, error, event, frame, list, ordered, probe,
    query, refused_resend, resend, sign_in,
};
use webhook_relay::{
    dashboard::{
        Page,
        frame::{Done, Notice},
        time_field::TimeField,
    },
    domain::{delivery::Kind, outcome::Outcome},
};

/// Bytes that a page may weigh.
const PAGE_LIMIT: usize = 40 * 1000;

/// Bytes that a page may weigh whose texts are as long as they may be.
const LONGEST_PAGE_LIMIT: usize = 50 * 1024;

/// Bytes that the charts and their table may add to one.
const FIGURES_LIMIT: usize = 10_000;

/// Every page, in each of its forms, with a stranger's text wherever one may appear.
fn pages(may_write: bool, text: &str) -> Vec<(&'static str, String)> {
    let html = |page: &dyn Fn() -> askama::Result<String>| page().unwrap();
    let mut tested = detail(may_write, text);
    tested.query = query("test=evt_00000000000070008000000000000000&chart=7d&status=failed");
    tested.probe = Some(probe(Kind::Test, Outcome::HttpError, Some(500), text));
    tested.bulk_resend = Some(bulk_resend());
    tested.rotation_error = Some(text.into());
    tested.id_error = Some(text.into());
    tested.deliveries.truncate(tested.query.page_length());
    tested.query.since = TimeField::parse(text);
    tested.query.id = text.into();
    let mut created = detail(may_write, text);
    created.query = query("created=evt_00000000000070008000000000000000");
    created.probe = Some(probe(Kind::Ping, Outcome::Timeout, None, text));
    created.secret = may_write.then(|| "whsec_c2VjcmV0c2VjcmV0c2VjcmV0".into());
    let mut paused = detail(may_write, text);
    paused.webhook.settings.paused = true;
    let mut waiting = delivery(may_write, text);
    waiting.record = ordered(may_write, text).deliveries.remove(0);
    let mut pages = vec![
        ("list", html(&|| list(may_write, text).render())),
        ("detail", html(&|| detail(may_write, text).render())),
        ("tested", html(&|| tested.render())),
        ("created", html(&|| created.render())),
        ("paused", html(&|| paused.render())),
        ("ordered", html(&|| ordered(may_write, text).render())),
        ("waiting", html(&|| waiting.render())),
        ("delivery", html(&|| delivery(may_write, text).render())),
        ("event", html(&|| event(text).render())),
        ("sign-in", html(&|| sign_in(text).render())),
        ("error", html(&|| error(text).render())),
    ];
    if may_write {
        pages.push(("add", html(&|| add(text).render())));
        pages.push(("delete", html(&|| delete(text).render())));
        pages.push(("resend", html(&|| resend(text).render())));
        pages.push(("refused resend", html(&|| refused_resend(text).render())));
    }
    pages
}

#[test]
fn what_strangers_wrote_is_never_markup() {
    let hostile = "\"'><script>alert(1)</script><img src=x onerror=alert(1)></textarea></title>";
    for (name, html) in pages(true, hostile) {
        assert!(!html.contains("<script>"), "{name}");
        assert!(!html.contains("<img"), "{name}");
        // A page has exactly one title, and text areas end only where the template ends them.
        assert_eq!(html.matches("</title>").count(), 1, "{name}");
        let opened = html.matches("<textarea").count();
        assert_eq!(html.matches("</textarea>").count(), opened, "{name}");
    }
}

#[test]
fn the_docs_show_what_the_operator_wrote_of_types_as_text() {
    let hostile = "</code><script>alert(1)</script>a\u{202e}b";
    let html = docs(hostile).render().unwrap();
    assert!(!html.contains("<script>") && !html.contains('\u{202e}'));
    // A description, a sample and a schema of each of four types.
    assert_eq!(
        html.matches("alert(1)&#60;/script&#62;a[U+202E]b").count(),
        4 + 2 * 4 * 2
    );
    assert_eq!(html.matches("Deprecated</span>").count(), 1);
}

#[test]
fn what_turns_or_hides_text_is_shown_as_what_it_is() {
    let (_, html) = pages(true, "a\u{202e}b\u{7}c\u{200b}d")
        .into_iter()
        .find(|(name, _)| *name == "delivery")
        .unwrap();
    assert!(html.contains("a[U+202E]b[U+0007]c[U+200B]d"));
}

#[test]
fn only_a_form_that_keeps_what_was_typed_has_text_that_turns_or_hides() {
    for (name, html) in pages(true, "a\u{202e}b\u{7}c") {
        let typed_again = html
            .split("<input")
            .skip(1)
            .map(|rest| rest.split('>').next());
        let in_fields: usize = typed_again
            .flatten()
            .map(|tag| tag.matches('\u{202e}').count())
            .sum();
        let in_areas: usize = html
            .split("<textarea")
            .skip(1)
            .filter_map(|rest| rest.split("</textarea>").next())
            .map(|area| area.matches('\u{202e}').count())
            .sum();
        let all = html.matches('\u{202e}').count();
        assert_eq!(in_fields + in_areas, all, "{name}");
    }
}

#[test]
fn no_page_has_an_inline_style_or_script_or_asks_another_origin() {
    for (name, html) in pages(true, "text") {
        for refused in [
            " style=",
            "<style",
            " onclick=",
            " onsubmit=",
            "javascript:",
        ] {
            assert!(!html.contains(refused), "{name}: {refused}");
        }
        for (attribute, value) in attributes(&html) {
            if matches!(attribute, "href" | "src" | "action") {
                let is_own = value.starts_with(['/', '#', '?']);
                assert!(is_own && !value.starts_with("//"), "{name}: {value}");
            }
        }
    }
}

#[test]
fn who_may_only_read_has_nothing_to_change() {
    for (name, html) in pages(false, "text") {
        let posts: Vec<_> = html
            .split("<form")
            .skip(1)
            .filter_map(|form| form.split('>').next())
            .filter(|form| form.contains("method=\"post\""))
            .filter(|form| !form.contains("/sign-out"))
            .collect();
        let allowed = usize::from(name == "sign-in");
        assert_eq!(posts.len(), allowed, "{name}: {posts:?}");
        for words in ["/delete\"", "/webhooks/new\"", "/secret\"", "whsec_"] {
            // A form that was kept may be anybody's until they have signed in.
            assert!(
                name == "sign-in" || !html.contains(words),
                "{name}: {words}"
            );
        }
    }
}

#[test]
fn every_field_has_a_label() {
    for (name, html) in pages(true, "text") {
        for tag in ["<input", "<select", "<textarea"] {
            for field in html.split(tag).skip(1) {
                let field = field.split('>').next().unwrap();
                let id = value_of(field, "id");
                let is_labelled = match id {
                    Some(id) => html.contains(&format!("<label for=\"{id}\"")),
                    // Inside its label, or hidden.
                    None => {
                        field.contains("type=\"checkbox\"") || field.contains("type=\"hidden\"")
                    }
                };
                assert!(is_labelled, "{name}: {tag}{field}");
            }
        }
    }
}

#[test]
fn every_id_stands_once_and_what_refers_to_one_finds_it() {
    for (name, html) in pages(true, "text") {
        let ids: Vec<_> = attributes(&html)
            .filter(|(attribute, _)| *attribute == "id")
            .map(|(_, id)| id)
            .collect();
        for id in &ids {
            assert_eq!(
                ids.iter().filter(|other| *other == id).count(),
                1,
                "{name}: {id}"
            );
        }
        for (attribute, value) in attributes(&html) {
            let refers = [
                "for",
                "aria-describedby",
                "aria-labelledby",
                "data-copy",
                "data-generate",
            ];
            if refers.contains(&attribute) {
                for id in value.split(' ') {
                    assert!(ids.contains(&id), "{name}: {attribute}={id}");
                }
            }
        }
    }
}

#[test]
fn pages_have_one_word_for_each_thing_and_no_words_of_the_api_s_members() {
    for (name, html) in pages(true, "text") {
        let texts = html.split('<').filter_map(|part| part.split_once('>'));
        let shown: Vec<_> = texts.map(|(_, text)| text).collect();
        for refused in [
            "Mend ",
            " mend ",
            "anew",
            "came of",
            "became of",
            "sent again",
            "Sending again",
            "Url ",
        ] {
            let found = shown.iter().find(|text| text.contains(refused));
            assert_eq!(found, None, "{name}: {refused}");
        }
    }
}

#[test]
fn the_figures_of_a_whole_week_add_little_to_a_page() {
    let mut page = detail(true, "ordinary");
    page.query = query("chart=7d");
    let whole = page.render().unwrap();
    // A row for each bar, and each leads to its deliveries.
    assert_eq!(whole.matches("href=\"?since=").count(), 28);
    page.hours = None;
    let added = whole.len() - page.render().unwrap().len();
    assert!(added < FIGURES_LIMIT, "{added}");
}

#[test]
fn the_bars_of_a_page_that_answers_a_form_lead_to_the_webhook() {
    let mut page = detail(true, "ordinary");
    page.frame.posted = true;
    let html = page.render().unwrap();
    assert!(!html.contains("href=\"?"));
    let rows = format!("<a href=\"/settings/webhooks/{}?since=", page.webhook.id);
    assert!(html.matches(&rows).count() > 12);
}

#[test]
fn each_page_is_light() {
    for (name, html) in pages(true, "ordinary") {
        assert!(html.len() < PAGE_LIMIT, "{name}: {}", html.len());
    }
}

#[test]
fn a_page_stays_light_where_strangers_wrote_as_much_as_they_may() {
    let longest = "<".repeat(1_000);
    for (name, html) in pages(false, &longest) {
        // The forms of users who may write repeat what the owner typed; these are the pages without them.
        if matches!(name, "list" | "delivery" | "event") {
            assert!(html.len() < LONGEST_PAGE_LIMIT, "{name}: {}", html.len());
        }
    }
    let mut large = delivery(true, "x");
    let body = "<".repeat(16 * 1024);
    for attempt in &mut large.record.attempts {
        attempt.response_body = Some(body.clone());
    }
    large.record.payload = Some(samples::payload(&large.record.id, &"&".repeat(200_000)));
    let html = large.render().unwrap();
    assert!(html.len() < LONGEST_PAGE_LIMIT, "{}", html.len());
    assert!(html.contains("the page shows the beginning only"));
}

#[test]
fn a_failing_webhook_names_the_day_on_which_it_will_be_disabled() {
    let mut page = detail(true, "x");
    page.webhook.standing.failing_since = Some(samples::ago(86_400));
    let html = page.render().unwrap();
    assert!(html.contains("Failing since <time datetime=2026-01-14T10:30:00.000Z"));
    assert!(html.contains("will be disabled on <time datetime=2026-01-19T10:30:00.000Z"));
}

#[test]
fn an_attempt_is_told_in_plain_words() {
    let html = delivery(true, "x").render().unwrap();
    for words in [
        "The endpoint answered 500 Internal Server Error.",
        "The endpoint did not answer within 10 seconds.",
        "No answer: x.",
        "The endpoint answered 302 Found. Redirects are not followed.",
    ] {
        assert!(html.contains(words), "{words}");
    }
    assert!(!html.contains("timeout"));
}

#[test]
fn a_refused_form_keeps_what_was_typed_and_says_what_is_wrong_beside_it() {
    let html = add("no & good").render().unwrap();
    assert!(html.contains("value=\"no &#38; good\""));
    assert_eq!(html.matches("class=\"error\"").count(), 7);
    assert!(html.contains("aria-invalid=\"true\""));
}

#[test]
fn a_refused_form_is_summed_up_above_it_with_the_focus_and_leads_to_each_field() {
    let mut page = add("no");
    page.frame.refused = true;
    let html = page.render().unwrap();
    assert!(html.contains("<title>Error: Add webhook"));
    let (_, rest) = html.split_once("role=\"alert\"").unwrap();
    assert!(rest.split('>').next().unwrap().contains("autofocus"));
    for field in [
        "url",
        "events",
        "secret",
        "description",
        "headers",
        "rate_limit",
        "retry_schedule",
    ] {
        assert!(
            html.contains(&format!("<a href=\"#{field}\">no</a>")),
            "{field}"
        );
        assert!(html.contains(&format!("id=\"{field}\"")), "{field}");
    }
}

#[test]
fn each_link_of_the_log_has_a_name_of_its_own() {
    let page = detail(true, "x");
    let html = page.render().unwrap();
    for record in &page.deliveries {
        let name = format!(
            "alert.triggered<span class=\"hidden\"> {}</span></a>",
            record.id
        );
        assert!(html.contains(&name), "{}", record.id);
    }
}

#[test]
fn what_was_done_is_told_on_the_next_page() {
    let mut page = list(true, "x");
    page.frame = frame(true);
    page.frame.notice = Some(Notice::Done(Done::Deleted));
    assert!(page.render().unwrap().contains("Webhook deleted."));
}

fn attributes(html: &str) -> impl Iterator<Item = (&str, &str)> {
    let tags = html
        .split('<')
        .skip(1)
        .filter_map(|rest| rest.split_once('>'));
    tags.flat_map(|(tag, _)| {
        let parts: Vec<_> = tag.split('"').collect();
        parts
            .chunks_exact(2)
            .filter_map(|pair| {
                let name = pair[0].trim_end_matches('=').rsplit(' ').next()?;
                Some((name, pair[1]))
            })
            .collect::<Vec<_>>()
    })
}

fn value_of<'a>(tag: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = tag.split_once(&format!(" {name}=\""))?;
    rest.split('"').next()
}
