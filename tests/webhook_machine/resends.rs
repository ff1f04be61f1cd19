//! Resending many deliveries: how many at a time, and when it ends.

use std::rc::Rc;

use webhook_relay::{
    domain::{
        delivery::Status,
        ids::ResendId,
        last_attempt::{LastAttemptFilter, ResponseStatuses},
        outcome::Outcome,
        resend::{BulkResend, BulkResendStatus, Preview, Selection},
    },
    machines::{
        messages::{Grant, WebhookCommand, WebhookReply},
        sql::Database,
        webhook::Input,
    },
};

use crate::world::{World, accept, accepted, began, event, id, report};

#[test]
fn a_bulk_resend_has_twelve_under_way_and_goes_on_when_half_of_them_are_over() {
    let mut world = with_failed(20);
    assert_eq!(start(&mut world).total, 20);
    let first = hired(&mut world);
    assert_eq!(first.len(), 12);
    tell(&mut world, &first[..5], 200);
    assert!(hired(&mut world).is_empty(), "seven are under way");
    tell(&mut world, &first[5..6], 200);
    let second = hired(&mut world);
    assert_eq!(second.len(), 6);
    tell(&mut world, &first[6..], 500);
    let third = hired(&mut world);
    assert_eq!(third.len(), 2);
    tell(&mut world, &second, 200);
    let running = read(&mut world);
    assert_eq!((running.delivered, running.failed), (12, 6));
    assert_eq!(running.status, BulkResendStatus::Running);
    tell(&mut world, &third, 200);
    let finished = read(&mut world);
    assert_eq!((finished.delivered, finished.failed), (14, 6));
    assert_eq!(finished.status, BulkResendStatus::Finished);
}

#[test]
fn a_bulk_resend_goes_on_after_a_restart_and_repeats_nothing() {
    let mut world = with_failed(14);
    start(&mut world);
    let first = hired(&mut world);
    world.restart();
    tell(&mut world, &first, 200);
    let second = hired(&mut world);
    assert_eq!(second.len(), 2);
    let repeated = second
        .iter()
        .any(|grant| first.iter().any(|before| before.id == grant.id));
    assert!(!repeated);
    tell(&mut world, &second, 200);
    world.restart();
    assert_eq!(read(&mut world).status, BulkResendStatus::Finished);
}

#[test]
fn a_stopped_bulk_resend_stays_stopped_and_takes_nothing_more() {
    let mut world = with_failed(20);
    start(&mut world);
    let first = hired(&mut world);
    world
        .ask(WebhookCommand::StopResend { id: resend_id() })
        .unwrap();
    world.restart();
    assert_eq!(read(&mut world).status, BulkResendStatus::Stopped);
    tell(&mut world, &first, 200);
    assert!(hired(&mut world).is_empty());
}

#[test]
fn a_bulk_resend_takes_what_its_last_attempt_chooses_also_after_a_restart() {
    let mut world = with_answers();
    let chosen = |outcome, statuses: &str| Selection {
        last_attempt: LastAttemptFilter {
            outcome,
            response_status: ResponseStatuses::parse(statuses).ok(),
        },
        ..Selection::of(Status::Failed)
    };
    for _ in 0..2 {
        for (selection, total) in [
            (Selection::of(Status::Failed), 4),
            (chosen(None, "5xx"), 2),
            (chosen(None, "503"), 1),
            (chosen(Some(Outcome::HttpError), ""), 3),
            (chosen(Some(Outcome::Timeout), ""), 0),
            (chosen(Some(Outcome::HttpError), "4xx"), 1),
        ] {
            let preview = preview(&mut world, selection.clone());
            assert_eq!((preview.total, preview.is_exact), (total, true));
            let none = total == 0;
            assert_eq!(
                (preview.oldest_at.is_none(), preview.newest_at.is_none()),
                (none, none)
            );
        }
        world.restart();
    }
    let of_type = Selection {
        event_type: Some("alert.triggered".into()),
        ..Selection::of(Status::Failed)
    };
    assert_eq!(preview(&mut world, of_type).total, 0);
    let started = start_with(&mut world, chosen(None, "5xx"));
    assert_eq!(started.total, 2);
    let grants = hired(&mut world);
    let ids: Vec<_> = grants.iter().map(|grant| grant.id.clone()).collect();
    assert_eq!(ids, [id(1), id(2)]);
    tell(&mut world, &grants, 200);
    let finished = read(&mut world);
    assert_eq!(
        (finished.delivered, finished.status),
        (2, BulkResendStatus::Finished)
    );
}

#[test]
fn a_bulk_resend_takes_those_that_are_named_once_each_and_passes_over_others() {
    let mut world = with_answers();
    world.accept_unleased(6);
    let named = || Selection::named([9, 6, 5, 4, 4].map(id).to_vec());
    let shown = preview(&mut world, named());
    assert_eq!((shown.total, shown.is_exact), (2, true));
    assert_eq!(shown.oldest_at, Some(id(4).minted_at()));
    assert_eq!(shown.newest_at, Some(id(5).minted_at()));
    let ends = [shown.oldest, shown.newest].map(|end| end.map(|end| (end.id, end.attempts.len())));
    assert_eq!(ends, [Some((id(4), 0)), Some((id(5), 1))]);
    let one = preview(&mut world, Selection::named(vec![id(5)]));
    assert!(one.oldest.is_some_and(|one| one.id == id(5)) && one.newest.is_none());
    assert_eq!(start_with(&mut world, named()).total, 2);
    world.restart();
    let mut grants = hired(&mut world);
    grants.retain(|grant| grant.id != id(6));
    let ids: Vec<_> = grants.iter().map(|grant| grant.id.clone()).collect();
    assert_eq!(ids, [id(4), id(5)]);
    tell(&mut world, &grants, 200);
    let finished = read(&mut world);
    assert_eq!((finished.delivered, finished.failed), (2, 0));
    assert_eq!(finished.status, BulkResendStatus::Finished);
}

#[test]
fn a_bulk_resend_of_named_ones_that_cannot_be_resent_finishes_at_once() {
    let mut world = with_answers();
    let named = Selection::named(vec![id(8), id(9)]);
    let started = start_with(&mut world, named);
    assert_eq!(
        (started.total, started.status),
        (0, BulkResendStatus::Finished)
    );
    assert!(hired(&mut world).is_empty());
}

#[test]
fn a_preview_of_a_long_log_counts_at_its_ends_and_says_so() {
    let mut world = World::start();
    let database = Database::new(Rc::clone(&world.engine) as _);
    world.accept_unleased(1);
    world.ask(WebhookCommand::Cancel { id: id(1) }).unwrap();
    let copies = |from: u64, to: u64| {
        let copy = "INSERT INTO deliveries SELECT settled, ?, status, kind, type, event_id, bytes, delivery, attempts,
            request, payload FROM deliveries WHERE settled = 1 AND id = ?";
        for number in from..=to {
            let parameters = vec![id(number).as_ref().into(), id(1).as_ref().into()];
            database.run(copy, parameters).unwrap();
        }
    };
    copies(2, 10_000);
    let rows = world.engine.rows();
    let shown = preview(&mut world, Selection::of(Status::Failed));
    assert_eq!((shown.total, shown.is_exact), (10_000, false));
    copies(10_001, 12_000);
    let shown = preview(&mut world, Selection::of(Status::Failed));
    assert_eq!((shown.total, shown.is_exact), (10_000, false));
    assert_eq!(shown.oldest_at, Some(id(1).minted_at()));
    assert_eq!(shown.newest_at, Some(id(12_000).minted_at()));
    let read = world.engine.rows() - rows;
    assert!(read < 2 * 10_000 + 2_100, "{read} rows for two previews");
}

/// A webhook with four deliveries that have failed: answered with 500, 503 and 404, and never attempted; and the fifth,
/// which is delivered.
fn with_answers() -> World {
    let mut world = World::start();
    for (number, status) in [
        (1, Some(500)),
        (2, Some(503)),
        (3, Some(404)),
        (4, None),
        (5, Some(200)),
    ] {
        let leases = usize::from(status.is_some());
        let reply = world.ask(accept(vec![event(number, 100)], leases)).unwrap();
        let grants = accepted(&reply).1;
        if let Some(status) = status {
            tell(&mut world, grants, status);
        }
        if number < 5 {
            let cancel = WebhookCommand::Cancel { id: id(number) };
            world.ask(cancel).unwrap();
        }
    }
    world
}

/// A webhook with deliveries that have failed.
fn with_failed(count: u64) -> World {
    let mut world = World::start();
    for number in 1..=count {
        world.accept_unleased(number);
        world
            .ask(WebhookCommand::Cancel { id: id(number) })
            .unwrap();
    }
    world
}

fn resend_id() -> ResendId {
    ResendId::mint(began(), [1; 10])
}

fn start(world: &mut World) -> BulkResend {
    start_with(world, Selection::of(Status::Failed))
}

fn start_with(world: &mut World, selection: Selection) -> BulkResend {
    bulk_resend(world.ask(WebhookCommand::StartNarrowedResend {
        id: resend_id(),
        selection,
    }))
}

fn preview(world: &mut World, selection: Selection) -> Preview {
    match world
        .ask(WebhookCommand::PreviewResend { selection })
        .unwrap()
    {
        WebhookReply::Previewed(preview) => preview,
        other => panic!("{other:?}"),
    }
}

fn read(world: &mut World) -> BulkResend {
    bulk_resend(world.ask(WebhookCommand::ReadResend { id: resend_id() }))
}

fn bulk_resend<E: std::fmt::Debug>(reply: Result<WebhookReply, E>) -> BulkResend {
    match reply.unwrap() {
        WebhookReply::BulkResend(bulk_resend) => *bulk_resend,
        other => panic!("{other:?}"),
    }
}

fn hired(world: &mut World) -> Vec<Grant> {
    let alarm = world.happens(Input::AlarmFired);
    let groups = alarm.hires.into_iter();
    groups.flat_map(|group| group.grants).collect()
}

fn tell(world: &mut World, grants: &[Grant], status: u16) {
    for grant in grants {
        let reports = vec![report(grant, status, world.now)];
        world
            .ask(WebhookCommand::Report {
                unused: Vec::new(),
                reports,
                leases: 0,
                ahead_ms: 0,
            })
            .unwrap();
    }
}
