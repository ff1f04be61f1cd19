//! The ids of things: a prefix that says what it is, and a part that sorts by the time it was made.
//!
//! The second part has the layout of UUID version 7 (RFC 9562, 5.7) in hex without hyphens, so that the order of a key is the order
//! of time and newest-first paging needs no index. Ids are strings in JSON; reading one checks its form.

use serde::{Deserialize, Serialize};

use super::timestamp::Timestamp;

/// The greatest time that UUID version 7 can hold: 48 bits of milliseconds.
const LATEST_MILLIS: i64 = 0xFFFF_FFFF_FFFF;
/// Hex digits of the time, and of the rest.
const TIME_DIGITS: usize = 12;
const REST_DIGITS: usize = 20;

/// Why a text is no id of the kind that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Not a workspace's id.
    #[error("a workspace id must be ws_ and 1 to 40 of a-z and 0-9")]
    Workspace,
    /// Not an id of a kind that the relay makes by itself.
    #[error("a {kind} id must be {prefix} and 32 of 0-9 and a-f")]
    TimeOrdered {
        /// What the id should name.
        kind: &'static str,
        /// How ids of that kind begin.
        prefix: &'static str,
    },
    /// Not a producer's event id.
    #[error("an event_id must be 1 to 128 of A-Z, a-z, 0-9, '.', '_', ':' and '-'")]
    Event,
}

/// A string type whose values have passed `parse`.
macro_rules! id_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl std::fmt::Display for $name {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;

            fn try_from(text: String) -> Result<Self, IdError> {
                Self::parse(&text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }
    };
}

/// An id type that the relay alone makes: a prefix and 32 hex digits that begin with the time.
macro_rules! time_ordered_id_type {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $prefix:literal) => {
        id_type!($(#[$doc])* $name);

        impl $name {
            /// Reads an id.
            ///
            /// # Errors
            ///
            /// [`IdError::TimeOrdered`] where it is not the prefix and 32 lower-case hex digits.
            pub fn parse(text: &str) -> Result<Self, IdError> {
                match text.strip_prefix($prefix) {
                    Some(digits) if is_hex_of_uuid(digits) => Ok(Self(text.to_owned())),
                    _ => Err(IdError::TimeOrdered { kind: $kind, prefix: $prefix }),
                }
            }

            /// Makes the id of a thing that comes to be now. A time before 1970 counts as 1970.
            #[must_use]
            pub fn mint(now: Timestamp, random: [u8; 10]) -> Self {
                Self(mint_after($prefix, now, random))
            }
        }
    };
}

id_type! {
    /// A tenant: `ws_` and 1 to 40 of `[a-z0-9]`; the operator may choose it.
    WorkspaceId
}
time_ordered_id_type! {
    /// A customer's registration: `wh_…`.
    WebhookId, "webhook", "wh_"
}
time_ordered_id_type! {
    /// One event to one webhook: `evt_…`, the `id` of the payload, the same over all retries and resends.
    DeliveryId, "delivery", "evt_"
}
time_ordered_id_type! {
    /// An API key's public name: `key_…`.
    KeyId, "key", "key_"
}
time_ordered_id_type! {
    /// A job that delivers many deliveries again: `rs_…`.
    ResendId, "resend", "rs_"
}
id_type! {
    /// The producer's idempotency key of an event: 1 to 128 of `[A-Za-z0-9._:-]`.
    EventId
}

impl WorkspaceId {
    /// Reads an id.
    ///
    /// # Errors
    ///
    /// [`IdError::Workspace`] where it is not `ws_` and 1 to 40 of `[a-z0-9]`.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        let is_allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        match text.strip_prefix("ws_") {
            Some(rest) if (1..=40).contains(&rest.len()) && rest.bytes().all(is_allowed) => {
                Ok(Self(text.to_owned()))
            }
            _ => Err(IdError::Workspace),
        }
    }

    /// Makes an id for a workspace whose operator chose none. A time before 1970 counts as 1970.
    #[must_use]
    pub fn mint(now: Timestamp, random: [u8; 10]) -> Self {
        Self(mint_after("ws_", now, random))
    }
}

impl DeliveryId {
    /// When the delivery was made.
    #[must_use]
    pub fn minted_at(&self) -> Timestamp {
        Timestamp::from_millis(self.0.strip_prefix("evt_").and_then(millis_of).unwrap_or(0))
    }

    /// The least id of that millisecond: where a scan from that time on begins.
    #[must_use]
    pub fn first_of(time: Timestamp) -> Self {
        Self(format!(
            "evt_{:0TIME_DIGITS$x}{}",
            clamp_millis(time),
            "0".repeat(REST_DIGITS)
        ))
    }

    /// The greatest id of that millisecond: where a scan up to that time ends.
    #[must_use]
    pub fn last_of(time: Timestamp) -> Self {
        Self(format!(
            "evt_{:0TIME_DIGITS$x}{}",
            clamp_millis(time),
            "f".repeat(REST_DIGITS)
        ))
    }
}

impl EventId {
    /// Reads a producer's key.
    ///
    /// # Errors
    ///
    /// [`IdError::Event`] where it is not 1 to 128 of `[A-Za-z0-9._:-]`.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte);
        if (1..=128).contains(&text.len()) && text.bytes().all(is_allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err(IdError::Event)
        }
    }

    /// Makes a key for an event whose producer gave none. A time before 1970 counts as 1970.
    #[must_use]
    pub fn mint(now: Timestamp, random: [u8; 10]) -> Self {
        Self(mint_after("ev_", now, random))
    }

    /// When it was generated; `None` where it has not the form of a generated one.
    #[must_use]
    pub fn minted_at(&self) -> Option<Timestamp> {
        let digits = self
            .0
            .strip_prefix("ev_")
            .filter(|digits| is_hex_of_uuid(digits))?;
        let uuid = uuid::Uuid::try_parse(digits).ok()?;
        if uuid.get_version_num() != 7 || uuid.get_variant() != uuid::Variant::RFC4122 {
            return None;
        }
        millis_of(digits).map(Timestamp::from_millis)
    }
}

fn mint_after(prefix: &str, now: Timestamp, random: [u8; 10]) -> String {
    let uuid = uuid::Builder::from_unix_timestamp_millis(clamp_millis(now), &random).into_uuid();
    format!("{prefix}{}", uuid.simple())
}

fn clamp_millis(time: Timestamp) -> u64 {
    u64::try_from(time.as_millis().clamp(0, LATEST_MILLIS)).unwrap_or(0)
}

fn is_hex_of_uuid(digits: &str) -> bool {
    digits.len() == TIME_DIGITS.saturating_add(REST_DIGITS)
        && digits
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn millis_of(digits: &str) -> Option<i64> {
    i64::from_str_radix(digits.get(..TIME_DIGITS)?, 16).ok()
}

#[cfg(test)]
mod tests {
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
            "", "ws", "ws_", "WS_a", "ws_A", "ws_a-b", "ws_a_b", "ws_é", "ws_a ", " ws_a", "wh_a",
            "a", "ws_a/b",
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
}
