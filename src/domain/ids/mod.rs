//! The ids of things: a prefix that says what it is, and a part that sorts by the time it was made.
//!
//! The second part has the layout of UUID version 7 (RFC 9562, 5.7) in hex without hyphens, so that keys sort by time
//! and newest-first paging needs no index. Ids are strings in JSON; reading one checks its form.

#[cfg(test)]
mod tests;

use std::{
    hash::{BuildHasherDefault, Hash, Hasher},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::timestamp::Timestamp;

/// The greatest time that UUID version 7 can hold: 48 bits of milliseconds.
const LATEST_MILLIS: i64 = 0xFFFF_FFFF_FFFF;
/// Hex digits of the time, and of the rest.
const TIME_DIGITS: usize = 12;
const REST_DIGITS: usize = 20;
/// Hex digits of a half.
const HALF_DIGITS: usize = 16;

/// Why a text is not an id of the expected kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Not a workspace's id.
    #[error("a workspace id must be ws_ and 1 to 40 of a-z and 0-9")]
    Workspace,
    /// Not an id of a kind that only the relay makes.
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

/// An id type that only the relay makes: a prefix and 32 hex digits that begin with the time.
macro_rules! time_ordered_id_type {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $prefix:literal) => {
        id_type!($(#[$doc])* $name);

        impl $name {
            /// Reads an id.
            ///
            /// # Errors
            ///
            /// [`IdError::TimeOrdered`] if it is not the prefix and 32 lower-case hex digits.
            pub fn parse(text: &str) -> Result<Self, IdError> {
                match text.strip_prefix($prefix) {
                    Some(digits) if is_hex_of_uuid(digits) => Ok(Self(text.to_owned())),
                    _ => Err(IdError::TimeOrdered { kind: $kind, prefix: $prefix }),
                }
            }

            /// Makes the id of a thing created now. A time before 1970 counts as 1970.
            #[must_use]
            pub fn mint(now: Timestamp, random: [u8; 10]) -> Self {
                Self(mint_after($prefix, now, random))
            }

            /// When it was made.
            #[must_use]
            pub fn minted_at(&self) -> Timestamp {
                Timestamp::from_millis(self.0.strip_prefix($prefix).and_then(millis_of).unwrap_or(0))
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
    /// Access to the dashboard: `acc_…`, of a link and then of the session that it opened, or of a key's session.
    AccessId, "dashboard link", "acc_"
}
time_ordered_id_type! {
    /// A bulk resend: `rs_…`.
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
    /// [`IdError::Workspace`] if it is not `ws_` and 1 to 40 of `[a-z0-9]`.
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
    /// The least id of that millisecond, at which a scan from that time on begins.
    #[must_use]
    pub fn first_of(time: Timestamp) -> Self {
        Self(format!(
            "evt_{:0TIME_DIGITS$x}{}",
            clamp_millis(time),
            "0".repeat(REST_DIGITS)
        ))
    }

    /// The least id of the millisecond after that one.
    #[must_use]
    pub fn after(time: Timestamp) -> Self {
        Self::first_of(time.saturating_add(Duration::from_millis(1)))
    }

    /// The greatest id of that millisecond, at which a scan up to that time ends.
    #[must_use]
    pub fn last_of(time: Timestamp) -> Self {
        Self(format!(
            "evt_{:0TIME_DIGITS$x}{}",
            clamp_millis(time),
            "f".repeat(REST_DIGITS)
        ))
    }
}

/// A delivery's id in 16 bytes, in the same order: for what is kept in memory of many deliveries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CompactId {
    first: u64,
    rest: u64,
}

impl CompactId {
    /// Reads a delivery's id.
    ///
    /// # Errors
    ///
    /// [`IdError::TimeOrdered`] if it is not one.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        let digits = text.strip_prefix("evt_").filter(|id| is_hex_of_uuid(id));
        let halves = digits.and_then(|digits| digits.split_at_checked(HALF_DIGITS));
        let (first, rest) = halves.ok_or(IdError::TimeOrdered {
            kind: "delivery",
            prefix: "evt_",
        })?;
        // Sixteen hex digits are always a number.
        let number = |digits| u64::from_str_radix(digits, 16).unwrap_or_default();
        Ok(Self {
            first: number(first),
            rest: number(rest),
        })
    }
}

impl From<&DeliveryId> for CompactId {
    fn from(id: &DeliveryId) -> Self {
        // What is an id for one is an id for the other.
        Self::parse(&id.0).unwrap_or(Self { first: 0, rest: 0 })
    }
}

impl From<CompactId> for DeliveryId {
    fn from(id: CompactId) -> Self {
        Self(format!("evt_{:016x}{:016x}", id.first, id.rest))
    }
}

impl Hash for CompactId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.first ^ self.rest);
    }
}

/// A map from deliveries, whose order nobody asks for. Their ids are random already, so they are not hashed.
#[expect(clippy::disallowed_types, reason = "its hash is the same in every run")]
pub type DeliveryMap<T> = std::collections::HashMap<CompactId, T, BuildHasherDefault<IdHasher>>;

/// The hash of a [`CompactId`].
#[derive(Debug, Default)]
pub struct IdHasher(u64);

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        // The map uses the highest and the lowest bits, so all of them have to be mixed.
        self.0 = (self.0 ^ number).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.0 ^= self.0 >> 32;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl EventId {
    /// Reads a producer's key.
    ///
    /// # Errors
    ///
    /// [`IdError::Event`] if it is not 1 to 128 of `[A-Za-z0-9._:-]`.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte);
        if (1..=128).contains(&text.len()) && text.bytes().all(is_allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err(IdError::Event)
        }
    }

    /// Whether it can stand in a path of the API; `.` and `..` cannot, as URLs leave them out. Releases before accepted
    /// them, so they are still read.
    #[must_use]
    pub fn can_stand_in_a_path(&self) -> bool {
        !matches!(self.0.as_str(), "." | "..")
    }

    /// Makes a key for an event whose producer gave none. A time before 1970 counts as 1970.
    #[must_use]
    pub fn mint(now: Timestamp, random: [u8; 10]) -> Self {
        Self(mint_after("ev_", now, random))
    }

    /// When it was generated; `None` if it does not have the form of a generated one.
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
