//! Sealing with fresh nonces, which the domain cannot draw itself.

use worker::{Error, Result, console_error};

use crate::{
    domain::{
        ids::WebhookId,
        sealed::{EncryptionKeys, Field, Sealed},
        webhook::StoredHeader,
    },
    runtime::platform::entropy::random,
};

/// Seals a value of a webhook.
pub(in crate::runtime) fn seal(
    keys: &EncryptionKeys,
    webhook: &WebhookId,
    field: Field<'_>,
    text: &str,
) -> Result<Sealed> {
    keys.seal(text, webhook, field, random()?)
        .map_err(|error| Error::RustError(error.to_string()))
}

/// Seals the values of custom headers.
pub(in crate::runtime) fn seal_headers(
    keys: &EncryptionKeys,
    webhook: &WebhookId,
    headers: &[(String, String)],
) -> Result<Vec<StoredHeader>> {
    let seal = |(name, value): &(String, String)| {
        Ok(StoredHeader {
            name: name.clone(),
            value: seal(keys, webhook, Field::Header(name), value)?,
        })
    };
    headers.iter().map(seal).collect()
}

/// Seals again the values that are not under the first key; returns whether any was changed. A value that cannot be
/// opened stays as it is, so that its owner can still replace it.
pub(in crate::runtime) fn seal_again<'a>(
    keys: &EncryptionKeys,
    webhook: &WebhookId,
    values: impl Iterator<Item = (Field<'a>, &'a mut Sealed)>,
) -> Result<bool> {
    let mut renewed = false;
    for (field, value) in values.filter(|(_, value)| !keys.is_current(value)) {
        match keys.renew(value, webhook, field, random()?) {
            Ok(sealed) => {
                *value = sealed;
                renewed = true;
            }
            Err(error) => console_error!("sealing {webhook} again: {error}"),
        }
    }
    Ok(renewed)
}
