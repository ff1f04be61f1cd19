//! Signing secrets: what a customer may give, and what is generated. See `sealed` for how they are stored.
//!
//! A [`Secret`] is kept exactly as the customer sees it, because the documented verification code uses its text as the
//! key. It has no `Display` and no `Serialize`, so a page or an answer must call [`Secret::expose`] explicitly.

use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

/// The prefix of a secret of the Standard Webhooks form.
const STANDARD_PREFIX: &str = "whsec_";

/// How some senders show such a secret, with the version of the signature before it.
const VERSIONED_PREFIX: &str = "v1,whsec_";

/// A signing secret, the whole text as the customer sees it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Checks a secret that a customer gives, and keeps it unchanged.
    ///
    /// # Errors
    ///
    /// Those of [`Secret::stored`], and [`SecretError::Versioned`].
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        if text.trim_start().starts_with(VERSIONED_PREFIX) {
            return Err(SecretError::Versioned);
        }
        Self::stored(text)
    }

    /// Checks a secret that was accepted, by an earlier release too, and keeps it unchanged.
    ///
    /// # Errors
    ///
    /// [`SecretError`] if it is not 8 to 256 ASCII characters of 0x21 to 0x7E, or begins with `whsec_` and does not
    /// continue with standard base64 (padded, canonical) of 16 to 64 bytes.
    pub fn stored(text: &str) -> Result<Self, SecretError> {
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(SecretError::Characters);
        }
        if !(8..=256).contains(&text.len()) {
            return Err(SecretError::Length);
        }
        // No library could verify with a text that only looks like a Standard Webhooks secret.
        if text.starts_with(STANDARD_PREFIX)
            && !decode_standard(text).is_some_and(|key| (16..=64).contains(&key.len()))
        {
            return Err(SecretError::Standard);
        }
        Ok(Self(text.to_owned()))
    }

    /// Makes a secret: `whsec_` and the base64 of 32 random bytes.
    #[must_use]
    pub fn generate(random: [u8; 32]) -> Self {
        Self(format!("{STANDARD_PREFIX}{}", STANDARD.encode(random)))
    }

    /// The text, to show it to its owner on request or to store it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The key of the hex signature: the bytes of the whole text.
    #[must_use]
    pub fn hex_key(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// The key of the Standard Webhooks signature: the decoded part after `whsec_`, or else the bytes of the text.
    #[must_use]
    pub fn standard_key(&self) -> Cow<'_, [u8]> {
        decode_standard(&self.0).map_or(Cow::Borrowed(self.0.as_bytes()), Cow::Owned)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[redacted]")
    }
}

/// Why a text is refused as a secret. The text itself is never part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// Too short or too long.
    #[error("secret must have 8 to 256 characters")]
    Length,
    /// A space, a control character or a character beyond ASCII.
    #[error("secret must be of visible ASCII characters without spaces")]
    Characters,
    /// `whsec_` followed by something that is not the base64 of a key.
    #[error("secret that begins with whsec_ must go on with standard base64 of 16 to 64 bytes")]
    Standard,
    /// A secret of the Standard Webhooks form with the version before it, which is no part of the key.
    #[error(
        "secret must be given without the \"v1,\" before it: paste only what begins with whsec_"
    )]
    Versioned,
}

/// The secrets that sign at one time: two during a rotation's overlap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningSecrets {
    /// The one that the customer sees.
    pub current: Secret,
    /// The previous one, which receivers may still use.
    pub previous: Option<Secret>,
    /// Which of the two makes the hex signature.
    pub sign_header_with: SignHeaderWith,
}

impl SigningSecrets {
    /// The secret that makes the hex signature.
    #[must_use]
    pub fn of_hex_header(&self) -> &Secret {
        match (self.sign_header_with, &self.previous) {
            (SignHeaderWith::Previous, Some(previous)) => previous,
            _ => &self.current,
        }
    }
}

/// Which secret makes the hex signature, which has room for one alone, while two secrets sign.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SignHeaderWith {
    /// The one that the customer sees.
    #[default]
    Current,
    /// The one before, so that a receiver that knows the hex header alone has until the end of the overlap.
    Previous,
}

impl SignHeaderWith {
    /// Whether it is the one that also holds where there is one secret alone.
    #[must_use]
    pub fn is_current(&self) -> bool {
        *self == Self::Current
    }
}

fn decode_standard(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text.strip_prefix(STANDARD_PREFIX)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn standard(bytes: usize) -> String {
        format!("whsec_{}", STANDARD.encode(vec![7; bytes]))
    }

    #[test]
    fn a_secret_of_8_to_256_visible_characters_is_kept_exactly() {
        let longest = "~".repeat(256);
        for text in [
            "12345678",
            "your-signing-secret",
            "!\"#$%&'()*+,-./",
            "WHSEC_nothing",
            "whsec-nothing",
            longest.as_str(),
        ] {
            assert_eq!(Secret::parse(text).unwrap().expose(), text);
        }
    }

    #[test]
    fn a_secret_too_short_or_too_long_is_refused() {
        for text in ["", "1234567", &"x".repeat(257)] {
            assert_eq!(
                Secret::parse(text),
                Err(SecretError::Length),
                "{}",
                text.len()
            );
        }
    }

    #[test]
    fn a_secret_with_a_space_or_a_character_beyond_ascii_is_refused() {
        for text in [
            "has a space",
            "12345678 ",
            "1234567\t8",
            "1234567\n",
            "1234567\u{7f}",
            "1234567\0",
            "geheimnüß",
            "１２３４５６７８",
        ] {
            assert_eq!(
                Secret::parse(text),
                Err(SecretError::Characters),
                "{text:?}"
            );
        }
    }

    #[test]
    fn whsec_goes_on_with_the_base64_of_16_to_64_bytes() {
        for bytes in [16, 17, 18, 24, 32, 64] {
            assert!(Secret::parse(&standard(bytes)).is_ok(), "{bytes}");
        }
        for text in [
            "whsec_".to_owned() + "xx",
            standard(15),
            standard(65),
            // No padding, too much padding, trailing bits, the URL-safe alphabet, a stray character.
            standard(16).trim_end_matches('=').to_owned(),
            standard(18) + "====",
            "whsec_AAAAAAAAAAAAAAAAAAAAAB==".to_owned(),
            "whsec_--__--__--__--__--__--__--__--__".to_owned(),
            "whsec_this-is-my-own-secret".to_owned(),
        ] {
            assert_eq!(Secret::parse(&text), Err(SecretError::Standard), "{text}");
        }
    }

    #[test]
    fn a_version_before_whsec_is_refused_and_one_that_is_stored_stays_readable() {
        let versioned = format!("v1,{}", standard(24));
        assert_eq!(Secret::parse(&versioned), Err(SecretError::Versioned));
        assert_eq!(Secret::stored(&versioned).unwrap().expose(), versioned);
        assert!(Secret::parse("v1,mine-own").is_ok());
    }

    #[test]
    fn the_two_signatures_use_different_keys_for_a_standard_secret() {
        let secret = Secret::parse(&standard(24)).unwrap();
        assert_eq!(secret.hex_key(), standard(24).as_bytes());
        assert_eq!(secret.standard_key().as_ref(), [7; 24]);
        let own = Secret::parse("your-signing-secret").unwrap();
        assert_eq!(own.hex_key(), b"your-signing-secret");
        assert_eq!(own.standard_key().as_ref(), b"your-signing-secret");
    }

    #[test]
    fn no_debug_output_shows_a_secret() {
        let secret = Secret::parse("your-signing-secret").unwrap();
        let secrets = SigningSecrets {
            current: secret.clone(),
            previous: Some(secret),
            sign_header_with: SignHeaderWith::Current,
        };
        assert_eq!(
            format!("{secrets:?}"),
            "SigningSecrets { current: [redacted], previous: Some([redacted]), sign_header_with: Current }"
        );
    }

    proptest! {
        #[test]
        fn a_generated_secret_is_one_that_a_customer_could_give(random: [u8; 32]) {
            let secret = Secret::generate(random);
            prop_assert_eq!(Secret::parse(secret.expose()), Ok(secret.clone()));
            prop_assert_eq!(secret.standard_key().into_owned(), random);
        }

        #[test]
        fn an_accepted_secret_can_be_a_header_value(text in "\\PC{0,300}|[!-~]{0,300}|whsec_[A-Za-z0-9+/=]{0,100}") {
            if let Ok(secret) = Secret::parse(&text) {
                prop_assert!(secret.expose().bytes().all(|byte| (0x21..=0x7E).contains(&byte)));
                prop_assert_eq!(secret.expose(), text);
                prop_assert!(secret.standard_key().len() >= 8);
            }
        }
    }
}
