//! The promises of a post, held natively: whom it asks, what it stores, and what the producer is answered when.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "what is not as expected has to end the test"
)]

mod post;

mod snapshots;

use std::time::Duration;

use serde_json::value::RawValue;
use webhook_relay::{
    domain::{
        delivery::Status,
        event::Event,
        ids::{DeliveryId, EventId},
        token::Scope,
    },
    machines::{
        ingest::{NoRoom, PostInput, PostRefusal, PostStep, batch::Batch},
        messages::{Acceptance, Recalled, Refusal, WebhookCommand, WebhookReply},
    },
};

use post::{
    ALERT, ERROR, NOW, Post, accepted, batches, event, selecting, snapshot, taken, webhook,
};

const STALE: WebhookReply = WebhookReply::Refused(Refusal::StaleKey);

#[test]
fn each_webhook_gets_the_events_of_the_types_that_it_selected() {
    let events = vec![event("a", false, ALERT), event("b", false, ERROR)];
    let mut post = Post::of(events, None);
    let step = post.begin(snapshot(
        1,
        vec![
            selecting(1, &[ALERT, ERROR]),
            selecting(2, &[ERROR]),
            selecting(3, &["integration.test"]),
        ],
        &[],
    ));
    let (stored, _) = batches(step);
    let places = stored.iter().map(|batch| {
        let places = batch.deliveries.iter().map(|(place, _)| *place);
        (
            batch.webhook.clone(),
            places.collect::<Vec<_>>(),
            batch.leases,
        )
    });
    let places: Vec<_> = places.collect();
    assert_eq!(
        places,
        [(webhook(1), vec![0, 1], 4), (webhook(2), vec![1], 2)]
    );
    assert_eq!(post.machine.count_matching(), 2);
    let events = accepted(post.reply(stored, |batch| Some(taken(batch, false))));
    let counts: Vec<_> = events.iter().map(|event| event.deliveries.len()).collect();
    assert_eq!(counts, [1, 2]);
}

#[test]
fn a_copy_suffices_that_knows_a_webhook_for_each_event() {
    let events = vec![event("a", false, ALERT), event("b", false, ERROR)];
    let post = Post::of(events, None);
    let copy = |events: &[&str]| snapshot(1, vec![selecting(1, events)], &[]);
    assert!(post.machine.suffices(&copy(&[ERROR, ALERT])));
    assert!(!post.machine.suffices(&copy(&[ERROR])));
}

#[test]
fn a_post_that_matches_no_webhook_is_accepted_and_stores_nothing() {
    let mut post = Post::of(vec![event("a", true, ALERT)], None);
    let snapshot = snapshot(1, vec![], &[]);
    assert!(!post.machine.suffices(&snapshot));
    let events = accepted(post.begin(snapshot));
    assert!(events[0].deliveries.is_empty());
}

#[test]
fn nothing_is_accepted_if_one_webhook_does_not_answer() {
    let mut post = Post::of(vec![event("a", false, ALERT)], None);
    let both = vec![selecting(1, &[ALERT]), selecting(2, &[ALERT])];
    let (stored, _) = batches(post.begin(snapshot(1, both, &[])));
    let step = post.reply(stored, |batch| {
        (batch.webhook == webhook(1)).then(|| taken(batch, false))
    });
    assert!(matches!(step, PostStep::Refuse(PostRefusal::NotStored)));
}

#[test]
fn a_webhook_without_room_is_refused_alone_and_in_words() {
    let mut post = Post::of(vec![event("a", false, ALERT)], None);
    let both = vec![selecting(1, &[ALERT]), selecting(2, &[ALERT])];
    let (stored, _) = batches(post.begin(snapshot(1, both, &[])));
    let events = accepted(post.reply(stored, |batch| {
        if batch.webhook == webhook(1) {
            return Some(taken(batch, false));
        }
        Some(WebhookReply::Accepted {
            waits_for: None,
            deliveries: vec![Acceptance::BacklogFull],
            grants: Vec::new(),
            busy: false,
        })
    }));
    let deliveries = events[0].deliveries.iter();
    let rooms: Vec<_> = deliveries.map(|one| one.delivery.clone().err()).collect();
    assert_eq!(rooms, [None, Some(NoRoom::Backlog)]);
}

#[test]
fn a_deleted_webhook_that_the_copy_still_has_refuses_nothing() {
    let mut post = Post::of(vec![event("a", false, ALERT)], None);
    let step = post.begin(snapshot(1, vec![selecting(1, &[ALERT])], &[]));
    let (stored, _) = batches(step);
    let gone = |_: &Batch| Some(WebhookReply::Refused(Refusal::NoWebhook));
    assert!(accepted(post.reply(stored, gone))[0].deliveries.is_empty());
}

#[test]
fn a_stale_key_is_judged_again_and_only_what_was_refused_is_sent_again() {
    let mut post = Post::of(vec![event("a", false, ALERT)], Some("key"));
    let both = || vec![selecting(1, &[ALERT]), selecting(2, &[ALERT])];
    let keys: &[(&str, &[Scope])] = &[("key", &[Scope::EventsWrite])];
    let (stored, revision) = batches(post.begin(snapshot(1, both(), keys)));
    assert_eq!(revision, Some(1));
    let ids: Vec<_> = stored
        .iter()
        .map(|batch| batch.deliveries.clone())
        .collect();
    let step = post.reply(stored, |batch| {
        if batch.webhook == webhook(1) {
            Some(taken(batch, false))
        } else {
            Some(STALE)
        }
    });
    assert!(matches!(step, PostStep::AskWorkspace));
    let step = post.next(PostInput::Read(snapshot(2, both(), keys)));
    let (stored, revision) = batches(step);
    assert_eq!((stored.len(), revision), (1, Some(2)));
    assert_eq!(stored[0].deliveries, ids[1]);
    let events = accepted(post.reply(stored, |batch| Some(taken(batch, false))));
    assert_eq!(events[0].deliveries.len(), 2);
}

#[test]
fn a_batch_without_leases_gives_back_what_it_asked_for_also_if_it_is_sent_again() {
    let keys: &[(&str, &[Scope])] = &[("key", &[Scope::EventsWrite])];
    let unused = |reply: Option<WebhookReply>| {
        let mut post = Post::of(vec![event("a", false, ALERT)], Some("key"));
        let step = post.begin(snapshot(1, vec![selecting(1, &[ALERT])], keys));
        let (mut stored, _) = batches(step);
        stored.remove(0).read(reply).unused
    };
    // What it asks for is taken again when it is sent again.
    assert_eq!(unused(Some(STALE)), 6);
    assert_eq!(unused(None), 6);
    let gone = WebhookReply::Refused(Refusal::NoWebhook);
    assert_eq!(unused(Some(gone)), 6);
}

#[test]
fn a_key_that_is_stale_twice_is_a_fault_and_not_a_loop() {
    let mut post = Post::of(vec![event("a", false, ALERT)], Some("key"));
    let keys: &[(&str, &[Scope])] = &[("key", &[Scope::EventsWrite])];
    let one = || vec![selecting(1, &[ALERT])];
    let (stored, _) = batches(post.begin(snapshot(1, one(), keys)));
    assert!(matches!(
        post.reply(stored, |_| Some(STALE)),
        PostStep::AskWorkspace
    ));
    let (stored, _) = batches(post.next(PostInput::Read(snapshot(2, one(), keys))));
    let step = post.reply(stored, |_| Some(STALE));
    assert!(matches!(step, PostStep::Refuse(PostRefusal::NotStored)));
}

#[test]
fn a_key_that_is_revoked_or_may_not_post_is_refused_before_anything_is_counted() {
    let keys: [&[(&str, &[Scope])]; 2] = [&[], &[("key", &[Scope::WebhooksRead])]];
    for keys in keys {
        let mut post = Post::of(vec![event("a", false, ALERT)], Some("key"));
        let step = post.next(PostInput::Read(snapshot(1, vec![], keys)));
        assert!(matches!(step, PostStep::Refuse(PostRefusal::Unauthorized)));
    }
}

#[test]
fn a_revoked_key_is_refused_even_if_others_have_stored() {
    let mut post = Post::of(vec![event("a", false, ALERT)], Some("key"));
    let both = vec![selecting(1, &[ALERT]), selecting(2, &[ALERT])];
    let step = post.begin(snapshot(1, both, &[("key", &[Scope::EventsWrite])]));
    let (stored, _) = batches(step);
    let step = post.reply(stored, |batch| {
        if batch.webhook == webhook(1) {
            Some(taken(batch, false))
        } else {
            Some(STALE)
        }
    });
    assert!(matches!(step, PostStep::AskWorkspace));
    let step = post.next(PostInput::Read(snapshot(2, vec![], &[])));
    assert!(matches!(step, PostStep::Refuse(PostRefusal::Unauthorized)));
}

#[test]
fn an_event_twice_in_a_post_is_stored_once_and_answered_twice() {
    let events = vec![event("a", true, ALERT), event("a", true, ALERT)];
    let mut post = Post::of(events, None);
    let (stored, _) = batches(post.begin(snapshot(1, vec![selecting(1, &[ALERT])], &[])));
    assert_eq!(stored[0].deliveries.len(), 1);
    let events = accepted(post.reply(stored, |batch| Some(taken(batch, false))));
    assert_eq!(
        events[0].deliveries[0].delivery,
        events[1].deliveries[0].delivery
    );
    let is_duplicate = events.iter().map(|event| event.deliveries[0].is_duplicate);
    assert_eq!(is_duplicate.collect::<Vec<_>>(), [false, true]);
}

#[test]
fn nobody_is_asked_for_earlier_posts_if_all_webhooks_selected_the_same() {
    let alike = vec![selecting(1, &[ALERT]), selecting(2, &[ALERT])];
    let step = Post::of(vec![event("a", true, ALERT)], None).begin(snapshot(1, alike, &[]));
    assert_eq!(batches(step).0.len(), 2);
    let differing = || vec![selecting(1, &[ALERT]), selecting(2, &[ERROR])];
    let minted = Post::of(vec![event("a", false, ALERT)], None);
    let step = { minted }.begin(snapshot(1, differing(), &[]));
    assert_eq!(batches(step).0.len(), 1);
    let step = Post::of(vec![event("a", true, ALERT)], None).begin(snapshot(1, differing(), &[]));
    let PostStep::Recall { webhooks, command } = step else {
        panic!("{step:?}")
    };
    assert_eq!(webhooks, [webhook(1), webhook(2)]);
    let WebhookCommand::Recall { event_ids } = *command else {
        panic!("{command:?}")
    };
    assert_eq!(event_ids, [EventId::parse("a").unwrap()]);
}

#[test]
fn a_repeated_event_reaches_only_webhooks_that_had_selected_its_type_at_first() {
    let first_posted = NOW.saturating_sub(Duration::from_secs(3600));
    let mut late = selecting(2, &[ALERT]);
    let selected = NOW.saturating_sub(Duration::from_secs(60));
    late.since.insert(ALERT.into(), selected);
    let mut post = Post::of(vec![event("a", true, ALERT)], None);
    let all = vec![selecting(1, &[ALERT]), late, selecting(3, &[ALERT])];
    let step = post.begin(snapshot(1, all, &[]));
    assert!(matches!(step, PostStep::Recall { .. }));
    let replies = vec![
        (
            webhook(1),
            recalled(DeliveryId::mint(first_posted, [9; 10]), ALERT),
        ),
        (webhook(2), WebhookReply::Recalled(vec![None])),
        (webhook(3), WebhookReply::Recalled(vec![None])),
    ];
    let (stored, _) = batches(post.next(PostInput::Recalled(Some(replies))));
    let asked: Vec<_> = stored.iter().map(|batch| batch.webhook.clone()).collect();
    assert_eq!(asked, [webhook(1), webhook(3)]);
}

#[test]
fn an_event_that_was_posted_under_another_type_is_that_one() {
    let mut post = Post::of(vec![event("a", true, ALERT)], None);
    let differing = vec![selecting(1, &[ALERT]), selecting(2, &[ERROR])];
    post.begin(snapshot(1, differing, &[]));
    let id = DeliveryId::mint(NOW, [9; 10]);
    let replies = vec![
        (webhook(1), WebhookReply::Recalled(vec![None])),
        (webhook(2), recalled(id.clone(), ERROR)),
    ];
    let events = accepted(post.next(PostInput::Recalled(Some(replies))));
    let one = &events[0].deliveries[0];
    assert_eq!(
        (one.delivery.clone(), one.is_duplicate),
        (Ok((id, Status::Delivered)), true)
    );
}

#[test]
fn nothing_is_stored_if_a_webhook_cannot_be_asked_for_earlier_posts() {
    let mut post = Post::of(vec![event("a", true, ALERT)], None);
    let differing = vec![selecting(1, &[ALERT]), selecting(2, &[ERROR])];
    post.begin(snapshot(1, differing, &[]));
    let step = post.next(PostInput::Recalled(None));
    assert!(matches!(step, PostStep::Refuse(PostRefusal::NotStored)));
}

#[test]
fn a_producer_of_a_busy_webhook_is_answered_a_little_later() {
    let mut post = Post::of(vec![event("a", false, ALERT)], None);
    let (stored, _) = batches(post.begin(snapshot(1, vec![selecting(1, &[ALERT])], &[])));
    let step = post.reply(stored, |batch| Some(taken(batch, true)));
    assert!(matches!(step, PostStep::WaitForAttempt(longest) if longest < Duration::from_secs(1)));
    assert_eq!(accepted(post.next(PostInput::Waited)).len(), 1);
}

#[test]
fn a_post_is_refused_if_a_webhook_has_too_much_to_do_unless_another_did_not_answer() {
    for (other, expected) in [
        (true, PostRefusal::Overloaded),
        (false, PostRefusal::NotStored),
    ] {
        let mut post = Post::of(vec![event("a", false, ALERT)], None);
        let two = vec![selecting(1, &[ALERT]), selecting(2, &[ALERT])];
        let (stored, _) = batches(post.begin(snapshot(1, two, &[])));
        let step = post.reply(stored, |batch| {
            let refused = WebhookReply::Refused(Refusal::Overloaded);
            let is_overloaded = batch.webhook == webhook(1);
            let answered = if is_overloaded {
                refused
            } else {
                taken(batch, false)
            };
            (is_overloaded || other).then_some(answered)
        });
        assert!(matches!(step, PostStep::Refuse(refusal) if refusal == expected));
    }
}

#[test]
fn large_batches_are_stored_one_after_the_other() {
    let large = RawValue::from_string(format!("\"{}\"", "x".repeat(250_000))).unwrap();
    let events = (0..15).map(|number| Event {
        data: large.clone(),
        ..event(&format!("e{number}"), false, ALERT)
    });
    let mut post = Post::of(events.collect(), None);
    let three = (1..=3).map(|number| selecting(number, &[ALERT])).collect();
    let mut step = post.begin(snapshot(1, three, &[]));
    for _ in 0..3 {
        let (stored, _) = batches(step);
        assert_eq!(stored.len(), 1);
        step = post.reply(stored, |batch| Some(taken(batch, false)));
    }
    assert_eq!(accepted(step)[0].deliveries.len(), 3);
}

#[test]
fn without_random_bytes_nothing_is_stored() {
    let mut post = Post::of(vec![event("a", false, ALERT)], None);
    let snapshot = snapshot(1, vec![selecting(1, &[ALERT])], &[]);
    post.next(PostInput::Read(snapshot));
    let step = post.machine.handle(PostInput::Counted, &|| None);
    assert!(matches!(step, PostStep::Refuse(PostRefusal::NoRandomBytes)));
}

fn recalled(id: DeliveryId, event_type: &str) -> WebhookReply {
    WebhookReply::Recalled(vec![Some(Recalled {
        id,
        status: Status::Delivered,
        event_type: event_type.into(),
    })])
}
