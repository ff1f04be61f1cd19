//! Rotations, overlaps, and values that are sealed again.

use std::time::Duration;

use webhook_relay::{
    domain::{
        sealed::EncryptionKeys,
        secret::SignHeaderWith,
        timestamp::Timestamp,
        webhook::{ReportedStanding, Settings},
    },
    machines::{
        messages::{Refusal, WebhookChange, WorkspaceCommand, WorkspaceReply},
        workspace::{Tell, wake::Reason},
    },
};

use crate::world::{World, is_done, is_refused, no_change, sealed, settings, shown, webhook};

const OVERLAP: u64 = 3600;

fn rotate(secret: &str, is_generated: bool) -> WorkspaceCommand {
    WorkspaceCommand::RotateSecret {
        id: webhook(1),
        secret: sealed(1, secret),
        is_generated,
        overlap_seconds: OVERLAP,
        sign_header_with: SignHeaderWith::Previous,
    }
}

fn sign_header_with(with: SignHeaderWith) -> WorkspaceCommand {
    WorkspaceCommand::ChangeWebhook {
        id: webhook(1),
        change: WebhookChange {
            sign_header_with: Some(with),
            ..no_change()
        },
    }
}

fn end_overlap() -> WorkspaceCommand {
    WorkspaceCommand::EndOverlap { id: webhook(1) }
}

/// Whose signature the hex header carries, as a webhook's object was told.
fn told_signer(told: &[Tell]) -> Option<SignHeaderWith> {
    let previous = settings(told.last()?)?.previous_secret.as_ref()?;
    Some(previous.sign_header_with)
}

/// The secrets of a webhook: the one before, and the current one.
fn is_secrets(settings: &Settings, previous: &str, current: &str) -> bool {
    let before = settings.previous_secret.as_ref();
    let before = before.map(|previous| &previous.secret);
    before == Some(&sealed(1, previous)) && settings.secret == sealed(1, current)
}

#[test]
fn the_overlap_of_a_rotation_ends_by_the_alarm() {
    let mut world = World::start();
    world.with_webhook(1);
    let ends = world.after(OVERLAP);
    let (rotated, _) = shown(world.ask(rotate("the second", false)));
    assert!(is_secrets(
        &rotated.settings,
        "the first secret",
        "the second"
    ));
    world.be_quiet();
    assert_eq!(world.next_wake(), Some((ends, Reason::Overlap)));
    assert_eq!(world.alarm, Some(ends));
    assert!(is_done(&world.fire(), true));
    let told = settings(&world.told[0]).unwrap();
    assert!(told.previous_secret.is_none());
    assert_eq!(told.revision, rotated.settings.revision + 1);
    assert_eq!((world.next_wake(), world.alarm), (None, None));
    assert!(world.puts.is_empty(), "KV holds no secret");
}

#[test]
fn which_secret_signs_the_hex_header_is_told_and_can_be_changed_during_an_overlap_alone() {
    let mut world = World::start();
    world.with_webhook(1);
    shown(world.ask(rotate("the second", false)));
    assert_eq!(told_signer(&world.told), Some(SignHeaderWith::Previous));
    let (changed, _) = shown(world.ask(sign_header_with(SignHeaderWith::Current)));
    assert_eq!(told_signer(&world.told), Some(SignHeaderWith::Current));
    assert_eq!(changed.updated_at, world.now);
    // The alarm that deletes the secret has not come yet.
    world.pass(OVERLAP);
    let refused = world.ask(sign_header_with(SignHeaderWith::Previous));
    assert!(is_refused(&refused, Refusal::NoOverlap));
    let stored = &world.webhooks()[0];
    assert_eq!(stored.settings, changed.settings);
}

#[test]
fn a_rotation_without_an_overlap_leaves_nothing_to_sign_the_hex_header_with() {
    let mut world = World::start();
    world.with_webhook(1);
    let before = world.webhooks();
    let mut command = rotate("the second", false);
    if let WorkspaceCommand::RotateSecret {
        overlap_seconds, ..
    } = &mut command
    {
        *overlap_seconds = 0;
    }
    assert!(is_refused(&world.ask(command), Refusal::NoOverlap));
    assert_eq!(world.webhooks(), before);
}

#[test]
fn an_overlap_is_ended_once_and_its_end_that_was_not_applied_is_told_again() {
    let mut world = World::start();
    world.with_webhook(1);
    let (rotated, _) = shown(world.ask(rotate("the second", false)));
    world.answers = false;
    assert!(is_done(&world.ask(end_overlap()), false));
    let ended = world.webhooks();
    assert_eq!(ended[0].settings.revision, rotated.settings.revision + 1);
    world.answers = true;
    world.told.clear();
    assert!(is_done(&world.ask(end_overlap()), true));
    assert_eq!(world.webhooks(), ended, "there was none to end");
    let told = settings(&world.told[0]).unwrap();
    assert!(told.previous_secret.is_none() && told.secret == sealed(1, "the second"));
}

#[test]
fn a_generated_secret_that_nobody_saw_is_shown_by_the_repeated_rotation() {
    let mut world = World::start();
    world.with_webhook(1);
    world.answers = false;
    let (unshown, is_applied) = shown(world.ask(rotate("generated", true)));
    assert!(!is_applied && unshown.has_unshown_secret);
    world.answers = true;
    let (shown_now, is_applied) = shown(world.ask(rotate("another", true)));
    assert!(is_applied && !shown_now.has_unshown_secret);
    assert!(is_secrets(
        &shown_now.settings,
        "the first secret",
        "generated"
    ));
    let (next, _) = shown(world.ask(rotate("another", true)));
    assert!(is_secrets(&next.settings, "generated", "another"));
}

#[test]
fn a_given_secret_after_an_unshown_one_keeps_the_one_that_receivers_have() {
    let mut world = World::start();
    world.with_webhook(1);
    world.answers = false;
    shown(world.ask(rotate("generated", true)));
    world.answers = true;
    let (given, _) = shown(world.ask(rotate("given", false)));
    assert!(is_secrets(&given.settings, "the first secret", "given"));
    let (again, _) = shown(world.ask(rotate("given", false)));
    assert_eq!(again.settings, given.settings, "it is the current one");
}

#[test]
fn a_standing_is_kept_and_told_to_nobody() {
    let mut world = World::start();
    world.with_webhook(1);
    let standing = ReportedStanding {
        failing_since: Some(world.now),
        ..ReportedStanding::default()
    };
    let (_, outputs) = world.begin(report(standing.clone()));
    assert!(is_done(&outputs.answers[0].1, true));
    assert!(outputs.tells.is_empty() && outputs.arm.is_none());
    assert_eq!(world.webhooks()[0].standing, standing);
}

#[test]
fn what_is_sealed_again_with_a_standing_is_told_by_the_alarm() {
    let mut world = World::start();
    world.with_webhook(1);
    world.keys = EncryptionKeys::parse("k1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=").unwrap();
    let (_, outputs) = world.begin(report(ReportedStanding::default()));
    assert!(is_done(&outputs.answers[0].1, true));
    assert!(outputs.tells.is_empty(), "the webhook's object waits");
    assert_eq!(outputs.arm, Some(world.after(5)));
    assert!(is_done(&world.fire(), true));
    let told = settings(&world.told[0]).unwrap();
    assert_eq!(told.secret.key_id.as_deref(), Some("k1"));
    assert_eq!(told.revision, 2);
}

#[test]
fn the_record_of_selections_says_what_was_selected_and_when() {
    let mut world = World::start();
    world.with_webhook(1);
    shown(world.ask(crate::world::describe(1)));
    shown(world.ask(crate::world::select(1, "alert.triggered")));
    let selected = world.now;
    let deleted = world.ask(WorkspaceCommand::DeleteWebhook { id: webhook(1) });
    assert!(is_done(&deleted, true));
    match world.ask(WorkspaceCommand::History).unwrap() {
        WorkspaceReply::History { changes, urls, .. } => {
            assert!(urls.is_empty());
            let events: Vec<_> = changes.iter().map(|change| change.events.clone()).collect();
            let [first, second, third] = &events[..] else {
                panic!("{events:?}");
            };
            assert_eq!(first.as_deref(), Some(&["agent.error".to_string()][..]));
            assert_eq!(
                second.as_deref(),
                Some(&["alert.triggered".to_string()][..])
            );
            assert_eq!(third, &None, "it is deleted");
            assert_eq!(changes[1].at, selected);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_record_of_selections_forgets_what_explains_no_kept_delivery_and_says_since_when_it_is_whole()
{
    const MONTH: u64 = 30 * 24 * 3600;
    let mut world = World::start();
    world.with_webhook(1);
    for event in ["alert.triggered", "agent.started"] {
        shown(world.ask(crate::world::select(1, event)));
        let (before, _) = history(&mut world);
        assert_eq!(before.len(), 2, "it was changed within the month");
        world.pass(MONTH + 1);
        let (changes, since) = history(&mut world);
        assert_eq!(changes, [Some(vec![event.to_string()])]);
        let begin = world.now.saturating_sub(Duration::from_secs(MONTH));
        assert_eq!(since, Some(begin));
    }
}

fn history(world: &mut World) -> (Vec<Option<Vec<String>>>, Option<Timestamp>) {
    match world.ask(WorkspaceCommand::History).unwrap() {
        WorkspaceReply::History {
            changes,
            recorded_since,
            ..
        } => {
            let events = changes.into_iter().map(|change| change.events);
            (events.collect(), recorded_since)
        }
        other => panic!("{other:?}"),
    }
}

fn report(standing: ReportedStanding) -> WorkspaceCommand {
    WorkspaceCommand::ReportStanding {
        id: webhook(1),
        standing,
    }
}
