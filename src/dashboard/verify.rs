//! The code with which an endpoint verifies a signature, in three languages. Each is a complete file that tests run.

/// The Flask program of the customer page.
pub const PYTHON: &str = include_str!("../../examples/flask_receiver.py");
/// A program for Node.js, with nothing to install.
pub const JAVASCRIPT: &str = include_str!("samples/verify.js");
/// A function for any Rust web framework.
pub const RUST: &str = include_str!("samples/verify.rs");

/// Each language: its id in the page, its name, its code.
pub const SAMPLES: [(&str, &str, &str); 3] = [
    ("python", "Python", PYTHON),
    ("javascript", "JavaScript", JAVASCRIPT),
    ("rust", "Rust", RUST),
];

#[cfg(test)]
#[expect(unreachable_pub, reason = "customers copy it as it is")]
#[path = "samples/verify.rs"]
mod sample;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        secret::{Secret, SigningSecrets},
        signature::sign,
    };

    #[test]
    fn the_rust_code_takes_our_signature_and_no_other() {
        let secret = Secret::parse("your-signing-secret").unwrap();
        let secrets = SigningSecrets {
            current: secret.clone(),
            previous: None,
        };
        let signature = sign(&secrets, "evt_1", 0, b"{}").hex;
        assert!(sample::is_signed_by(secret.expose(), b"{}", &signature));
        assert!(!sample::is_signed_by(secret.expose(), b"{ }", &signature));
        assert!(!sample::is_signed_by("another-secret", b"{}", &signature));
        assert!(!sample::is_signed_by(secret.expose(), b"{}", "not hex"));
    }
}
