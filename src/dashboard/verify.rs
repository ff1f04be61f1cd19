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
    use proptest::prelude::*;

    use super::*;
    use crate::domain::{
        brand::{Brand, HeaderPrefix, ProductName},
        secret::{Secret, SignHeaderWith, SigningSecrets},
        signature::sign,
    };

    #[test]
    fn the_rust_code_takes_our_signature_and_no_other() {
        let secret = Secret::parse("your-signing-secret").unwrap();
        let secrets = SigningSecrets {
            current: secret.clone(),
            previous: None,
            sign_header_with: SignHeaderWith::Current,
        };
        let signature = sign(&secrets, "evt_1", 0, b"{}").hex;
        assert!(sample::is_signed_by(secret.expose(), b"{}", &signature));
        assert!(!sample::is_signed_by(secret.expose(), b"{ }", &signature));
        assert!(!sample::is_signed_by("another-secret", b"{}", &signature));
        assert!(!sample::is_signed_by(secret.expose(), b"{}", "not hex"));
    }

    proptest! {
        /// Whatever a brand is called, no string, comment or line of the code ends elsewhere.
        #[test]
        fn no_brand_changes_how_the_code_is_read(
            name in "[^\\p{C}\"'`\\\\<>\\s]([^\\p{C}\"'`\\\\<>]{0,38}[^\\p{C}\"'`\\\\<>\\s])?",
            prefix in "X-[A-Z][A-Za-z0-9-]{0,28}[A-Za-z0-9]",
        ) {
            let name = ProductName::parse(&name);
            let prefix = HeaderPrefix::parse(&prefix);
            prop_assume!(name.is_some() && prefix.is_some());
            let brand = Brand {
                name: name.unwrap(),
                header_prefix: prefix.unwrap(),
                ..Brand::default()
            };
            for (_, language, code) in SAMPLES {
                let shown = brand.rewrite(code);
                let shape = |code: &str| -> String {
                    code.chars().filter(|one| "\"'`\\\n#/*(){}".contains(*one)).collect()
                };
                prop_assert_eq!(shape(&shown), shape(code), "{}", language);
                prop_assert!(!shown.to_lowercase().contains("secureagentics"));
            }
        }
    }
}
