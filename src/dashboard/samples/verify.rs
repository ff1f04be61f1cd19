// Cargo.toml: hmac = "0.13", sha2 = "0.11", hex = "0.4"
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// `payload` is the body as it came: verify before you parse.
/// `signature` is the header X-Secureagentics-Signature.
pub fn is_signed_by(secret: &str, payload: &[u8], signature: &str) -> bool {
    let Ok(signature) = hex::decode(signature) else {
        return false;
    };
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else {
        return false;
    };
    mac.update(payload);
    // Compares in constant time.
    mac.verify_slice(&signature).is_ok()
}
