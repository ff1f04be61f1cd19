//! The clock and the random bytes that the domain takes as arguments.

use crate::domain::timestamp::Timestamp;

/// The present time; in production it stands still between two waits.
pub(super) fn now() -> Timestamp {
    let millis = worker::Date::now().as_millis();
    Timestamp::from_millis(
        i64::try_from(millis)
            .unwrap_or(i64::MAX)
            .saturating_add(skew_ms()),
    )
}

/// What `now` is ahead of the platform's clock, by which alarms are set: nothing, unless a test asks for it.
#[cfg(not(feature = "test-hooks"))]
pub(super) const fn skew_ms() -> i64 {
    0
}

#[cfg(feature = "test-hooks")]
pub(super) use super::test_hooks::skew_ms;

/// Random bytes from the runtime's generator.
pub(super) fn random<const LENGTH: usize>() -> worker::Result<[u8; LENGTH]> {
    let mut bytes = [0; LENGTH];
    getrandom::fill(&mut bytes)
        .map_err(|error| worker::Error::RustError(format!("no random bytes: {error}")))?;
    Ok(bytes)
}
