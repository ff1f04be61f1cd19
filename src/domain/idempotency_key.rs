//! `Idempotency-Key`: a creation that is repeated makes nothing new and gets the first answer again.
//!
//! That answer may show a secret of which the relay keeps only a hash. So it is kept encrypted under the caller's own
//! key, and of that key, too, only a hash is kept: what is stored opens only for a request that brings the key.

use std::time::Duration;

use aes_gcm::{Aes256Gcm, KeyInit as _, aead::Aead as _};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use super::sealed::Nonce;

/// How long a repeated creation gets the first answer.
pub const ANSWER_KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// Characters of a key.
const KEY_LIMIT: usize = 255;

/// What a creation makes; the same key may stand for one of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Creation {
    /// A webhook.
    Webhook,
    /// An API key.
    ApiKey,
    /// A dashboard link.
    DashboardLink,
}

impl Creation {
    /// The stored word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::ApiKey => "api_key",
            Self::DashboardLink => "dashboard_link",
        }
    }
}

/// A creation as it is recognized when it is repeated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Idempotent {
    /// What it makes.
    pub creation: Creation,
    /// A hash of its key.
    pub key: String,
    /// A hash of its body.
    pub body: String,
    /// Its answer, encrypted, once there is one.
    pub answer: Option<String>,
}

/// A caller's key, 1 to 255 visible ASCII characters.
pub struct IdempotencyKey(String);

/// Not an `Idempotency-Key`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("an Idempotency-Key must have 1 to 255 visible ASCII characters")]
pub struct IdempotencyKeyError;

/// A kept answer does not open: it is damaged, or the stored hash is another key's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the kept answer does not open with this Idempotency-Key")]
pub struct KeptAnswerError;

impl IdempotencyKey {
    /// Reads the value of the header.
    ///
    /// # Errors
    /// If it is too long, empty, or has another character.
    pub fn parse(text: &str) -> Result<Self, IdempotencyKeyError> {
        let is_visible = text.bytes().all(|byte| byte.is_ascii_graphic());
        if is_visible && (1..=KEY_LIMIT).contains(&text.len()) {
            Ok(Self(text.to_string()))
        } else {
            Err(IdempotencyKeyError)
        }
    }

    /// Describes a creation with this key and a body.
    #[must_use]
    pub fn of(&self, creation: Creation, body: &[u8]) -> Idempotent {
        Idempotent {
            creation,
            key: hex::encode(self.derive("stored key")),
            body: hex::encode(Sha256::digest(body)),
            answer: None,
        }
    }

    /// Encrypts an answer.
    ///
    /// # Errors
    /// If it is longer than the cipher allows.
    pub fn seal(&self, answer: &str, nonce: Nonce) -> Result<String, KeptAnswerError> {
        let sealed = self.cipher().encrypt(&nonce.into(), answer.as_bytes());
        let mut bytes = nonce.to_vec();
        bytes.append(&mut sealed.map_err(|_| KeptAnswerError)?);
        Ok(STANDARD.encode(bytes))
    }

    /// Decrypts an answer.
    ///
    /// # Errors
    /// If it was encrypted under another key, or is damaged.
    pub fn open(&self, sealed: &str) -> Result<String, KeptAnswerError> {
        let bytes = STANDARD.decode(sealed).map_err(|_| KeptAnswerError)?;
        let (nonce, sealed) = bytes.split_first_chunk().ok_or(KeptAnswerError)?;
        let nonce: &Nonce = nonce;
        let answer = self.cipher().decrypt(&(*nonce).into(), sealed);
        String::from_utf8(answer.map_err(|_| KeptAnswerError)?).map_err(|_| KeptAnswerError)
    }

    fn cipher(&self) -> Aes256Gcm {
        Aes256Gcm::new(&self.derive("answer").into())
    }

    /// A value for one purpose, from which neither the key nor the value for another purpose can be found.
    fn derive(&self, purpose: &str) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(purpose);
        hash.update([0]);
        hash.update(&self.0);
        hash.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_1_to_255_visible_ascii_characters() {
        for text in ["a", "!~", &"k".repeat(255)] {
            assert!(IdempotencyKey::parse(text).is_ok(), "{text}");
        }
        for text in ["", "a b", "a\n", "é", &"k".repeat(256)] {
            assert!(IdempotencyKey::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_answer_opens_only_with_the_key_that_it_was_kept_under() {
        let (key, other) = (key("one"), key("two"));
        let sealed = key.seal("secret", [7; 12]).unwrap();
        assert_eq!(key.open(&sealed), Ok("secret".to_string()));
        assert_eq!(other.open(&sealed), Err(KeptAnswerError));
        assert_eq!(key.open("?"), Err(KeptAnswerError));
        assert!(!STANDARD.decode(sealed).unwrap().ends_with(b"secret"));
    }

    #[test]
    fn a_creation_is_recognized_by_its_key_and_its_body() {
        let of = |name, body: &[u8]| key(name).of(Creation::Webhook, body);
        assert_eq!(of("one", b"{}"), of("one", b"{}"));
        assert_ne!(of("one", b"{}").body, of("one", b"[]").body);
        assert_ne!(of("one", b"{}").key, of("two", b"{}").key);
        assert!(!of("one", b"{}").key.contains("one"));
    }

    #[test]
    fn the_sent_form_is_pinned() {
        let sent = r#"{"creation":"api_key","key":"k","body":"b","answer":null}"#;
        let creation: Idempotent = serde_json::from_str(sent).unwrap();
        assert_eq!(serde_json::to_string(&creation).unwrap(), sent);
        assert_eq!(creation.creation.as_str(), "api_key");
    }

    fn key(text: &str) -> IdempotencyKey {
        IdempotencyKey::parse(text).unwrap()
    }
}
