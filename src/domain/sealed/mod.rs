//! How secrets and the values of custom headers are stored: encrypted with the operator's keys, or plain if there
//! are none.
//!
//! AES-256-GCM with the field and the webhook's id as associated data, so that a value moved to another field or another
//! webhook does not open there. Releases before named only the webhook; what they sealed opens until it is sealed again.
//! Values travel sealed between the objects and are opened only where they are needed.

use std::fmt;

use aes_gcm::{
    Aes256Gcm, KeyInit as _,
    aead::{Aead as _, Payload},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::ids::WebhookId;

/// Random bytes that no two values of one key may share (NIST SP 800-38D, 8.2.2); they are stored before the value.
pub type Nonce = [u8; NONCE_LENGTH];

const NONCE_LENGTH: usize = 12;

/// Which value of a webhook is sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field<'a> {
    /// The signing secret: the current one, or the one before the last rotation, which was current.
    Secret,
    /// The value of the custom header of that name, as its owner wrote it.
    Header(&'a str),
}

impl fmt::Display for Field<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Secret => formatter.write_str("secret"),
            Self::Header(name) => write!(formatter, "headers.{name}"),
        }
    }
}

/// Characters of a key's id.
const KEY_ID_LIMIT: usize = 32;

/// The stored form of a secret and of a custom header's value: the id of the key that encrypts it, and the bytes.
///
/// Every stored value has had both members from the first release on, so that encryption changes no format.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    /// Which of the operator's keys encrypts it; none if it is stored plain.
    pub key_id: Option<String>,
    /// Standard base64 of the text, or of the nonce, the encrypted text and its tag.
    bytes: String,
}

impl fmt::Debug for Sealed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Sealed")
            .field("key_id", &self.key_id)
            .field("bytes", &format_args!("[redacted]"))
            .finish()
    }
}

/// Why a stored value cannot be read, or a value cannot be stored.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SealedError {
    /// Encrypted under a key that the relay does not have.
    #[error(
        "a stored value is encrypted with the key '{key_id}', which ENCRYPTION_KEYS does not name"
    )]
    UnknownKey {
        /// The id of the key.
        key_id: String,
    },
    /// The key of that id has changed, or the value belongs elsewhere or was tampered with.
    #[error(
        "a stored value does not open with the key '{key_id}' of ENCRYPTION_KEYS: it was encrypted with another \
         key of that id, for another webhook or another field of it, or it is damaged"
    )]
    WrongKey {
        /// The id of the key.
        key_id: String,
    },
    /// Stored plain where that is not allowed.
    #[error("a stored value is not encrypted, and REQUIRE_ENCRYPTION is true: enter it again")]
    Plain,
    /// Not the base64 of a text.
    #[error("a stored value is damaged: it must be the base64 of UTF-8 text")]
    Damaged,
    /// Longer than the cipher allows, which no accepted value is.
    #[error("a value is too long to be encrypted")]
    TooLong,
}

/// The operator's keys, `ENCRYPTION_KEYS`: the first one encrypts, all decrypt. Without keys, values are stored plain.
#[derive(Default)]
pub struct EncryptionKeys {
    keys: Vec<Key>,
    /// Whether plain values are refused (`REQUIRE_ENCRYPTION`).
    refuse_plain: bool,
}

struct Key {
    id: String,
    cipher: Aes256Gcm,
}

/// The required form of `ENCRYPTION_KEYS`. The text itself is a secret, so it is never part of an error.
pub const KEYS_ALLOWED: &str = "a comma-separated list of id:base64, each an id of 1 to 32 letters, digits, _ or -, and \
     the standard base64 of 32 bytes, no id twice; or not set, and stored secrets are not encrypted";

/// `ENCRYPTION_KEYS` does not parse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("ENCRYPTION_KEYS must be {KEYS_ALLOWED}")]
pub struct EncryptionKeysError;

impl EncryptionKeys {
    /// Reads `id:base64,id:base64`; spaces around an entry are ignored.
    ///
    /// # Errors
    /// If the text has another form, a key does not have 32 bytes, or an id occurs twice.
    pub fn parse(text: &str) -> Result<Self, EncryptionKeysError> {
        let mut keys: Vec<Key> = Vec::new();
        for entry in text.split(',') {
            let key = Key::parse(entry.trim()).ok_or(EncryptionKeysError)?;
            if keys.iter().any(|known| known.id == key.id) {
                return Err(EncryptionKeysError);
            }
            keys.push(key);
        }
        Ok(Self {
            keys,
            refuse_plain: false,
        })
    }

    /// The same keys; values that are stored plain are refused if `refuse_plain`.
    #[must_use]
    pub fn refusing_plain(self, refuse_plain: bool) -> Self {
        Self {
            refuse_plain,
            ..self
        }
    }

    /// Whether values are encrypted.
    #[must_use]
    pub fn encrypt(&self) -> bool {
        !self.keys.is_empty()
    }

    /// The ids of the keys; the first one encrypts.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(|key| key.id.as_str())
    }

    /// Seals a value of a webhook with the first key, or stores it plain if there is none.
    ///
    /// # Errors
    /// `TooLong`.
    pub fn seal(
        &self,
        text: &str,
        webhook: &WebhookId,
        field: Field<'_>,
        nonce: Nonce,
    ) -> Result<Sealed, SealedError> {
        let Some(key) = self.keys.first() else {
            return Ok(Sealed {
                key_id: None,
                bytes: STANDARD.encode(text),
            });
        };
        let payload = Payload {
            msg: text.as_bytes(),
            aad: &place(webhook, field),
        };
        let encrypted = key.cipher.encrypt(&nonce.into(), payload);
        let mut bytes = nonce.to_vec();
        bytes.append(&mut encrypted.map_err(|_| SealedError::TooLong)?);
        Ok(Sealed {
            key_id: Some(key.id.clone()),
            bytes: STANDARD.encode(bytes),
        })
    }

    /// Opens a webhook's stored value.
    ///
    /// # Errors
    /// `UnknownKey`, `WrongKey`, `Plain` or `Damaged`; never a text that was not sealed for this field of this webhook,
    /// or by a release that named no field.
    pub fn open(
        &self,
        sealed: &Sealed,
        webhook: &WebhookId,
        field: Field<'_>,
    ) -> Result<String, SealedError> {
        let bytes = STANDARD.decode(&sealed.bytes);
        let bytes = bytes.map_err(|_| SealedError::Damaged)?;
        let text = match &sealed.key_id {
            None if self.refuse_plain => return Err(SealedError::Plain),
            None => bytes,
            Some(id) => {
                let key = self.keys.iter().find(|key| key.id == *id);
                let key = key.ok_or_else(|| SealedError::UnknownKey { key_id: id.clone() })?;
                key.decrypt(&bytes, &place(webhook, field))
                    .or_else(|| key.decrypt(&bytes, webhook.as_ref().as_bytes()))
                    .ok_or_else(|| SealedError::WrongKey { key_id: id.clone() })?
            }
        };
        String::from_utf8(text).map_err(|_| SealedError::Damaged)
    }

    /// Whether a value is sealed with the first key, as a new one would be.
    #[must_use]
    pub fn is_current(&self, sealed: &Sealed) -> bool {
        sealed.key_id.as_deref() == self.ids().next()
    }

    /// Seals a stored value again, with the first key.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn renew(
        &self,
        sealed: &Sealed,
        webhook: &WebhookId,
        field: Field<'_>,
        nonce: Nonce,
    ) -> Result<Sealed, SealedError> {
        self.seal(&self.open(sealed, webhook, field)?, webhook, field, nonce)
    }

    /// Seals again the values that are not under the first key; returns whether any was changed. A value that cannot be
    /// opened, or for which there is no nonce, stays as it is, so that its owner can still replace it.
    pub fn renew_all<'a>(
        &self,
        webhook: &WebhookId,
        values: impl Iterator<Item = (Field<'a>, &'a mut Sealed)>,
        nonces: &dyn Fn() -> Option<Nonce>,
    ) -> bool {
        let mut is_renewed = false;
        for (field, value) in values.filter(|(_, value)| !self.is_current(value)) {
            let renewed = nonces().map(|nonce| self.renew(value, webhook, field, nonce));
            if let Some(Ok(sealed)) = renewed {
                *value = sealed;
                is_renewed = true;
            }
        }
        is_renewed
    }
}

impl Key {
    fn parse(entry: &str) -> Option<Self> {
        let (id, key) = entry.split_once(':')?;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        if !(1..=KEY_ID_LIMIT).contains(&id.len()) || !id.bytes().all(plain) {
            return None;
        }
        let key: [u8; 32] = STANDARD.decode(key).ok()?.try_into().ok()?;
        Some(Self {
            id: id.to_owned(),
            cipher: Aes256Gcm::new(&key.into()),
        })
    }

    fn decrypt(&self, bytes: &[u8], aad: &[u8]) -> Option<Vec<u8>> {
        let (nonce, msg) = bytes.split_first_chunk::<NONCE_LENGTH>()?;
        let payload = Payload { msg, aad };
        self.cipher.decrypt(&(*nonce).into(), payload).ok()
    }
}

/// Where a value belongs; neither part can have a space.
fn place(webhook: &WebhookId, field: Field<'_>) -> Vec<u8> {
    format!("{field} {webhook}").into_bytes()
}

impl fmt::Debug for EncryptionKeys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.ids()).finish()
    }
}

#[cfg(test)]
mod tests;
