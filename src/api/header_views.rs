//! Headers as answers show them: a webhook's own, and those that an endpoint answered with.

use serde::Serializer;

use crate::domain::{
    ids::WebhookId,
    sealed::{EncryptionKeys, Field, SealedError},
    webhook::StoredHeader,
};

/// Shown in place of a header's value that a token may not see.
pub const HIDDEN: &str = "…";

/// Shows custom headers; their values only to those who may change them.
///
/// # Errors
/// If a stored value cannot be read.
pub fn show_headers(
    headers: &[StoredHeader],
    webhook: &WebhookId,
    keys: &EncryptionKeys,
    may_write: bool,
) -> Result<Vec<(String, String)>, SealedError> {
    let show = |header: &StoredHeader| {
        let value = if may_write {
            keys.open(&header.value, webhook, Field::Header(&header.name))?
        } else {
            HIDDEN.to_string()
        };
        Ok((header.name.clone(), value))
    };
    headers.iter().map(show).collect()
}

/// Writes pairs as a JSON object, in their order.
///
/// # Errors
/// Those of the serializer.
pub fn as_object<S: Serializer>(
    pairs: &[(String, String)],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(pairs.iter().map(|(name, value)| (name, value)))
}
