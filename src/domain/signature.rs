//! The signatures of a payload: the documented hex header, and the trio of Standard Webhooks.
//!
//! Both sign the exact bytes that are sent. The hex header signs only the body and so cannot expose a replay; the trio
//! also signs the delivery's id and the time of this attempt. Standard Webhooks 1.0.0, "Signature scheme".

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::digest::Key;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

use super::secret::{Secret, SigningSecrets};

/// The values of the signature headers of one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignatureHeaders {
    /// `<HEADER_PREFIX>-Signature`: HMAC-SHA256 of the body in lower-case hex, made with one secret: see [`SigningSecrets`].
    pub hex: String,
    /// `webhook-id`: the delivery's id, the same over all attempts.
    pub id: String,
    /// `webhook-timestamp`: seconds since 1970 of this attempt.
    pub timestamp: String,
    /// `webhook-signature`: `v1,` and base64; during a rotation's overlap also a space and the previous secret's.
    pub standard: String,
}

/// Signs the payload of one attempt.
#[must_use]
pub fn sign(
    secrets: &SigningSecrets,
    delivery_id: &str,
    timestamp_seconds: i64,
    payload: &[u8],
) -> SignatureHeaders {
    let timestamp = timestamp_seconds.to_string();
    let standard = [Some(&secrets.current), secrets.previous.as_ref()]
        .into_iter()
        .flatten()
        .map(|secret| sign_standard(secret, delivery_id, &timestamp, payload))
        .collect::<Vec<_>>()
        .join(" ");
    SignatureHeaders {
        hex: sign_hex(secrets.of_hex_header().hex_key(), payload),
        id: delivery_id.to_owned(),
        timestamp,
        standard,
    }
}

fn sign_hex(key: &[u8], payload: &[u8]) -> String {
    hex::encode(hmac_sha256(key, &[payload]))
}

fn sign_standard(secret: &Secret, id: &str, timestamp: &str, payload: &[u8]) -> String {
    let signed = [id.as_bytes(), b".", timestamp.as_bytes(), b".", payload];
    format!(
        "v1,{}",
        STANDARD.encode(hmac_sha256(&secret.standard_key(), &signed))
    )
}

/// HMAC accepts a key of any length (RFC 2104, 2): a long one is hashed, a short one is padded with zeros to a block.
/// Done here, because the constructor for a key of any length returns an error that can never occur.
fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut block = Key::<Hmac<Sha256>>::default();
    let hashed = Sha256::digest(key);
    let key = if key.len() > block.len() {
        hashed.as_slice()
    } else {
        key
    };
    for (to, from) in block.iter_mut().zip(key) {
        *to = *from;
    }
    let mut mac = Hmac::<Sha256>::new(&block);
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::secret::SignHeaderWith;
    use proptest::prelude::*;

    fn only(secret: &str) -> SigningSecrets {
        SigningSecrets {
            current: Secret::parse(secret).unwrap(),
            previous: None,
            sign_header_with: SignHeaderWith::Previous,
        }
    }

    #[test]
    fn the_vectors_of_standard_webhooks_come_out() {
        let headers = sign(
            &only("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"),
            "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk",
            1_649_367_553,
            br#"{"email":"test@example.com","username":"test_user"}"#,
        );
        assert_eq!(
            headers.standard,
            "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw="
        );
        assert_eq!(headers.id, "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk");
        assert_eq!(headers.timestamp, "1649367553");

        let headers = sign(
            &only("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            br#"{"test": 2432232314}"#,
        );
        assert_eq!(
            headers.standard,
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
    }

    #[test]
    fn the_hex_header_is_the_one_that_github_documents_for_its_own() {
        assert_eq!(
            sign_hex(b"It's a Secret to Everybody", b"Hello, World!"),
            "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
        );
    }

    /// The HMAC comes from Python's `hmac`.
    #[test]
    fn a_key_as_long_as_a_block_is_used_as_it_is() {
        assert_eq!(
            sign_hex(&[b'k'; 64], b"Hi There"),
            "5869e1671d6aa2838f1028b78343e7ee54efe2c036d66bdb25451fcd74beca6e"
        );
    }

    /// RFC 4231, test cases 1, 2 and 6: a short key, a shorter one, and one longer than a block.
    #[test]
    fn the_vectors_of_rfc_4231_come_out() {
        assert_eq!(
            sign_hex(&[0x0b; 20], b"Hi There"),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
        );
        assert_eq!(
            sign_hex(b"Jefe", b"what do ya want for nothing?"),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        assert_eq!(
            sign_hex(
                &[0xaa; 131],
                b"Test Using Larger Than Block-Size Key - Hash Key First"
            ),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        );
    }

    #[test]
    fn the_hex_header_uses_the_whole_text_of_a_standard_secret() {
        let secret = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
        assert_eq!(
            sign(&only(secret), "evt_1", 0, b"{}").hex,
            sign_hex(secret.as_bytes(), b"{}")
        );
    }

    #[test]
    fn during_an_overlap_both_secrets_sign_and_the_one_that_is_said_signs_in_hex() {
        let (new, old) = ("the-new-secret", "the-old-secret");
        let both = |sign_header_with| SigningSecrets {
            current: Secret::parse(new).unwrap(),
            previous: Some(Secret::parse(old).unwrap()),
            sign_header_with,
        };
        let sign_both = |with| sign(&both(with), "evt_1", 1_768_473_000, b"{}");
        let headers = sign_both(SignHeaderWith::Current);
        let headers_with_old = sign_both(SignHeaderWith::Previous);
        let with_new = sign(&only(new), "evt_1", 1_768_473_000, b"{}");
        let with_old = sign(&only(old), "evt_1", 1_768_473_000, b"{}");
        assert_eq!(
            headers.standard,
            format!("{} {}", with_new.standard, with_old.standard)
        );
        assert_eq!(headers_with_old.standard, headers.standard);
        assert_eq!(headers.hex, with_new.hex);
        assert_eq!(headers_with_old.hex, with_old.hex);
        assert_ne!(with_new.standard, with_old.standard);
    }

    #[test]
    fn another_attempt_changes_the_standard_signature_and_not_the_hex_one() {
        let first = sign(&only("your-signing-secret"), "evt_1", 1_768_473_000, b"{}");
        let second = sign(&only("your-signing-secret"), "evt_1", 1_768_473_060, b"{}");
        assert_eq!(first.hex, second.hex);
        assert_ne!(first.standard, second.standard);
    }

    proptest! {
        /// Compares the key's preparation with the library's own.
        #[test]
        fn a_key_of_any_length_is_taken_as_the_library_takes_it(
            key in prop::collection::vec(any::<u8>(), 0..200), payload: Vec<u8>,
        ) {
            let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
            mac.update(&payload);
            let expected: [u8; 32] = mac.finalize().into_bytes().into();
            prop_assert_eq!(hmac_sha256(&key, &[&payload]), expected);
        }

        #[test]
        fn any_changed_byte_changes_both_signatures(payload in prop::collection::vec(any::<u8>(), 1..100), at: prop::sample::Index) {
            let mut changed = payload.clone();
            *at.get_mut(&mut changed) ^= 1;
            let secrets = only("your-signing-secret");
            let (before, after) = (sign(&secrets, "evt_1", 1, &payload), sign(&secrets, "evt_1", 1, &changed));
            prop_assert_ne!(before.hex, after.hex);
            prop_assert_ne!(before.standard, after.standard);
        }
    }
}
