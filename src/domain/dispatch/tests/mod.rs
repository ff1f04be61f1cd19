//! Tests of a webhook's dispatch.

mod pace;

use std::time::Duration;

use super::{
    leasing::{LARGEST_PAYLOAD, LEASED_BYTES},
    *,
};
use crate::domain::{
    event::EVENT_LIMIT,
    ids::{DeliveryId, WebhookId},
    pace::Pace,
    sealed::{EncryptionKeys, Field},
};

#[test]
fn a_backlog_is_full_at_its_number_of_deliveries_and_above_its_bytes() {
    let mut dispatch = dispatch();
    let waiting = Delivery::due(Kind::Event, at(0));
    let bytes = BACKLOG_BYTES_LIMIT - 10;
    dispatch.queue.place(&id(1), &waiting, bytes);
    let policy = Policy {
        max_backlog: 2,
        ..policy()
    };
    let accept = |dispatch: &Dispatch, kind, bytes| {
        let accepted = dispatch.accept(kind, bytes, at(0), &policy);
        accepted.is_ok()
    };
    assert!(accept(&dispatch, Kind::Event, 10));
    assert!(!accept(&dispatch, Kind::Event, 11));
    assert!(accept(&dispatch, Kind::Ping, 11));
    dispatch.queue.place(&id(2), &waiting, 0);
    assert!(!accept(&dispatch, Kind::Event, 0));
    assert!(accept(&dispatch, Kind::Test, 0));
}

#[test]
fn no_event_is_leased_while_another_payload_might_not_fit_into_memory() {
    for (bytes, has_room) in [
        (LEASED_BYTES - LARGEST_PAYLOAD, true),
        (LEASED_BYTES - LARGEST_PAYLOAD + 1, false),
    ] {
        let mut dispatch = dispatch();
        dispatch.queue.place(&id(1), &leased(0), bytes);
        assert_eq!(
            dispatch.has_free_lease(at(0), AT_ONCE, &policy()),
            has_room,
            "{bytes}"
        );
        let mut event = Delivery::due(Kind::Event, at(0));
        let lease = dispatch.lease(&mut event, at(0), AT_ONCE, &policy());
        assert_eq!(lease.is_some(), has_room);
    }
}

#[test]
fn a_ping_is_leased_even_if_no_lease_is_free() {
    let mut dispatch = dispatch();
    let policy = narrow();
    dispatch.queue.place(&id(1), &leased(0), 1);
    assert!(!dispatch.has_free_lease(at(0), AT_ONCE, &policy));
    for (kind, is_leased) in [(Kind::Event, false), (Kind::Ping, true), (Kind::Test, true)] {
        let mut delivery = Delivery::due(kind, at(0));
        let first = dispatch.lease_first(&mut delivery, at(0), AT_ONCE, &policy);
        assert_eq!(first.is_some(), is_leased, "{kind:?}");
        let mut delivery = Delivery::due(kind, at(0));
        let lease = dispatch.lease(&mut delivery, at(0), AT_ONCE, &policy);
        assert_eq!(lease.is_some(), is_leased, "{kind:?}");
    }
}

#[test]
fn with_every_lease_out_only_the_end_of_one_is_waited_for_unless_the_webhook_is_disabled() {
    let mut dispatch = dispatch();
    let policy = narrow();
    let waiting = Delivery::due(Kind::Event, at(1));
    dispatch.queue.place(&id(1), &waiting, 1);
    assert_eq!(dispatch.next_wake(&policy), Some(at(1)));
    dispatch.queue.place(&id(2), &leased(0), 1);
    assert_eq!(dispatch.next_wake(&policy), Some(at(15)));
    dispatch.settings.enabled = false;
    assert_eq!(dispatch.next_wake(&policy), Some(at(1)), "to be held");
}

#[test]
fn a_webhook_is_quiet_with_two_attempts_under_way_and_busy_with_sixteen() {
    let mut dispatch = dispatch();
    for (leases, is_quiet, is_busy) in [
        (2, true, false),
        (3, false, false),
        (15, false, false),
        (16, false, true),
    ] {
        for number in 1..=leases {
            dispatch.queue.place(&id(number), &leased(0), 1);
        }
        assert_eq!(dispatch.is_quiet(), is_quiet, "{leases}");
        assert_eq!(dispatch.is_busy(), is_busy, "{leases}");
    }
}

#[test]
fn the_largest_payload_is_that_of_the_largest_event() {
    let limit = u64::try_from(EVENT_LIMIT).unwrap();
    assert!((limit..limit + 2048).contains(&LARGEST_PAYLOAD));
}

const AT_ONCE: Duration = Duration::ZERO;

fn dispatch() -> Dispatch {
    let webhook = WebhookId::mint(at(0), [1; 10]);
    let keys = EncryptionKeys::default();
    let secret = keys.seal("whsec_AA==", &webhook, Field::Secret, [0; 12]);
    Dispatch {
        settings: Settings {
            revision: 1,
            status_revision: 1,
            status_changed_at: at(0),
            enabled: true,
            url: "https://hooks.example.com/".into(),
            events: Vec::new(),
            headers: Vec::new(),
            secret: secret.unwrap(),
            previous_secret: None,
            keys_revision: 0,
            paused: false,
            pace: Pace::default(),
        },
        standing: Standing::default(),
        queue: Queue::default(),
        width: Width::begin(false),
        bucket: None,
        stray: Vec::new(),
    }
}

fn leased(seconds: i64) -> Delivery {
    let mut delivery = Delivery::due(Kind::Event, at(seconds));
    delivery.lease(at(seconds), &policy()).unwrap();
    delivery
}

fn policy() -> Policy {
    Policy::parse(|_| None).unwrap()
}

fn narrow() -> Policy {
    Policy {
        max_leases: 1,
        ..policy()
    }
}

fn id(number: u8) -> DeliveryId {
    DeliveryId::mint(at(0), [number; 10])
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(seconds * 1000)
}
