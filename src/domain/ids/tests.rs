//! The forms of ids: fixed examples, and properties over generated ones.

use super::*;
use proptest::prelude::*;

const NOW: Timestamp = Timestamp::from_millis(1_768_473_000_000);
const RANDOM: [u8; 10] = [0x0f, 0xed, 0xcb, 0xa9, 0x87, 0x65, 0x43, 0x21, 0x00, 0xff];

#[test]
fn a_minted_id_has_the_layout_of_uuid_version_7() {
    assert_eq!(
        DeliveryId::mint(NOW, RANDOM).as_ref(),
        "evt_019bc13478407fed8ba98765432100ff"
    );
    assert_eq!(
        WebhookId::mint(NOW, RANDOM).as_ref(),
        "wh_019bc13478407fed8ba98765432100ff"
    );
    assert_eq!(
        KeyId::mint(NOW, RANDOM).as_ref(),
        "key_019bc13478407fed8ba98765432100ff"
    );
    assert_eq!(
        AccessId::mint(NOW, RANDOM).as_ref(),
        "acc_019bc13478407fed8ba98765432100ff"
    );
    assert_eq!(
        ResendId::mint(NOW, RANDOM).as_ref(),
        "rs_019bc13478407fed8ba98765432100ff"
    );
    assert_eq!(
        WorkspaceId::mint(NOW, RANDOM).as_ref(),
        "ws_019bc13478407fed8ba98765432100ff"
    );
    assert_eq!(
        EventId::mint(NOW, RANDOM).as_ref(),
        "ev_019bc13478407fed8ba98765432100ff"
    );
}

#[test]
fn a_workspace_id_is_its_prefix_and_up_to_40_small_letters_and_digits() {
    for text in [
        "ws_a",
        "ws_0",
        "ws_acme2026",
        &format!("ws_{}", "z".repeat(40)),
    ] {
        assert_eq!(WorkspaceId::parse(text).unwrap().as_ref(), text);
    }
    for text in [
        "", "ws", "ws_", "WS_a", "ws_A", "ws_a-b", "ws_a_b", "ws_é", "ws_a ", " ws_a", "wh_a", "a",
        "ws_a/b",
    ] {
        assert_eq!(
            WorkspaceId::parse(text),
            Err(IdError::Workspace),
            "{text:?}"
        );
    }
    assert_eq!(
        WorkspaceId::parse(&format!("ws_{}", "z".repeat(41))),
        Err(IdError::Workspace)
    );
}

#[test]
fn a_delivery_id_is_its_prefix_and_32_small_hex_digits() {
    let refused = IdError::TimeOrdered {
        kind: "delivery",
        prefix: "evt_",
    };
    for text in [
        "",
        "evt_",
        "evt_abc123",
        "evt_019bc13478407fed8ba98765432100f",
        "evt_019bc13478407fed8ba98765432100fff",
        "evt_019BC13478407FED8BA98765432100FF",
        "evt_019bc134-7840-7fed-8ba9-8765432100ff",
        "evt_+19bc1377e407fed8ba98765432100ff",
        "wh_019bc13478407fed8ba98765432100ff",
        "019bc13478407fed8ba98765432100ff",
        "evt_019bc13478407fed8ba98765432100fg",
    ] {
        assert_eq!(DeliveryId::parse(text), Err(refused), "{text:?}");
    }
    assert_eq!(
        refused.to_string(),
        "a delivery id must be evt_ and 32 of 0-9 and a-f"
    );
}

#[test]
fn an_event_id_is_what_a_producer_is_likely_to_have() {
    let longest = "x".repeat(128);
    for text in [
        "1",
        "order:2026-01-15.7_b",
        "0f0e0d0c-0b0a-4908-8706-050403020100",
        longest.as_str(),
    ] {
        assert_eq!(EventId::parse(text).unwrap().as_ref(), text);
    }
    let too_long = "x".repeat(129);
    for text in [
        "",
        " ",
        "a b",
        "a/b",
        "a\n",
        "é",
        "a%20",
        "a,b",
        too_long.as_str(),
    ] {
        assert_eq!(EventId::parse(text), Err(IdError::Event), "{text:?}");
    }
}

#[test]
fn only_a_generated_event_id_tells_its_time() {
    assert_eq!(EventId::mint(NOW, RANDOM).minted_at(), Some(NOW));
    for text in [
        "order-7",
        "ev_019bc1347840",
        // Version 4, and a variant that is not RFC 9562's.
        "ev_019bc13478404fed8ba98765432100ff",
        "ev_019bc13478407fed0ba98765432100ff",
        "ev_019BC13478407FED8BA98765432100FF",
        "evt_019bc13478407fed8ba98765432100ff",
    ] {
        assert_eq!(EventId::parse(text).unwrap().minted_at(), None, "{text}");
    }
}

#[test]
fn a_time_that_the_layout_cannot_hold_is_the_nearest_that_it_can() {
    assert_eq!(
        DeliveryId::mint(Timestamp::from_millis(-1), RANDOM).minted_at(),
        Timestamp::from_millis(0)
    );
    assert_eq!(
        DeliveryId::mint(Timestamp::from_millis(i64::MAX), RANDOM).minted_at(),
        Timestamp::from_millis(LATEST_MILLIS)
    );
}

#[test]
fn the_stored_form_is_the_text_and_reading_it_checks_it() {
    let id = WebhookId::mint(NOW, RANDOM);
    assert_eq!(
        serde_json::to_string(&id).unwrap(),
        "\"wh_019bc13478407fed8ba98765432100ff\""
    );
    assert_eq!(
        serde_json::from_str::<WebhookId>("\"wh_019bc13478407fed8ba98765432100ff\"").unwrap(),
        id
    );
    let error = serde_json::from_str::<WebhookId>("\"wh_1\"").unwrap_err();
    assert_eq!(
        error.to_string(),
        "a webhook id must be wh_ and 32 of 0-9 and a-f"
    );
}

proptest! {
    #[test]
    fn every_minted_id_parses_and_tells_its_time(millis in 0..=LATEST_MILLIS, random: [u8; 10]) {
        let now = Timestamp::from_millis(millis);
        let id = DeliveryId::mint(now, random);
        prop_assert_eq!(DeliveryId::parse(id.as_ref()), Ok(id.clone()));
        prop_assert_eq!(id.minted_at(), now);
        let event = EventId::mint(now, random);
        prop_assert_eq!(EventId::parse(event.as_ref()), Ok(event.clone()));
        prop_assert_eq!(event.minted_at(), Some(now));
        let workspace = WorkspaceId::mint(now, random);
        prop_assert_eq!(WorkspaceId::parse(workspace.as_ref()), Ok(workspace));
    }

    #[test]
    fn ids_sort_by_the_time_they_were_made(
        earlier in 0..LATEST_MILLIS, later in 0..=LATEST_MILLIS, one: [u8; 10], other: [u8; 10],
    ) {
        prop_assume!(earlier < later);
        let earlier = DeliveryId::mint(Timestamp::from_millis(earlier), one);
        let later = DeliveryId::mint(Timestamp::from_millis(later), other);
        prop_assert!(earlier < later);
    }

    #[test]
    fn the_ids_of_a_millisecond_lie_between_its_first_and_its_last(millis in 0..LATEST_MILLIS, random: [u8; 10]) {
        let time = Timestamp::from_millis(millis);
        let id = DeliveryId::mint(time, random);
        prop_assert!(DeliveryId::first_of(time) <= id && id <= DeliveryId::last_of(time));
        prop_assert!(DeliveryId::last_of(time) < DeliveryId::first_of(Timestamp::from_millis(millis.saturating_add(1))));
        prop_assert_eq!(DeliveryId::parse(DeliveryId::first_of(time).as_ref()), Ok(DeliveryId::first_of(time)));
        prop_assert_eq!(DeliveryId::last_of(time).minted_at(), time);
    }

    #[test]
    fn no_text_makes_a_reader_panic(text in "\\PC*|(ws|wh|evt|ev)_\\PC{0,40}") {
        let _ = (WorkspaceId::parse(&text), DeliveryId::parse(&text));
        if let Ok(id) = EventId::parse(&text) {
            let _ = id.minted_at();
        }
    }
}

#[test]
fn a_compact_id_is_the_same_id_in_the_same_order() {
    let ids = [
        "evt_00000000000070008000000000000000",
        "evt_019bc0e5c04070008000000000000001",
        "evt_019bc0e5c0407fffbfffffffffffffff",
    ]
    .map(|id| DeliveryId::parse(id).unwrap());
    let compact = ids.each_ref().map(CompactId::from);
    assert!(compact.is_sorted());
    assert_eq!(compact.map(DeliveryId::from), ids);
}

#[test]
fn the_hash_of_ids_uses_its_highest_and_its_lowest_bits() {
    let hashes: Vec<u64> = (0..=u8::MAX)
        .map(|number| {
            let id = DeliveryId::mint(NOW, [number; 10]);
            let mut hasher = IdHasher::default();
            CompactId::from(&id).hash(&mut hasher);
            hasher.finish()
        })
        .collect();
    let distinct = |bits: fn(&u64) -> u64| {
        let seen: std::collections::BTreeSet<_> = hashes.iter().map(bits).collect();
        seen.len()
    };
    // A map tells entries apart by seven bits from above, and finds their places by those from below.
    assert!(distinct(|hash| hash >> 57) > 64);
    assert!(distinct(|hash| hash & 0xff) > 64);
}
