//! The headers that the relay itself sets on an attempt.

use std::collections::BTreeMap;

use super::{brand::Brand, signature::SignatureHeaders};

/// Builds the relay's own headers of an attempt, by their names in lower case; the owner's come beside them, and one
/// named `accept` in place of the relay's.
#[must_use]
pub fn own_headers(
    brand: &Brand,
    event_type: &str,
    attempt: u32,
    signature: &SignatureHeaders,
) -> BTreeMap<String, String> {
    let mut own = BTreeMap::from([
        ("accept".to_string(), "*/*".to_string()),
        ("content-type".to_string(), "application/json".to_string()),
        (
            "user-agent".to_string(),
            format!("{}/{}", brand.user_agent(), env!("CARGO_PKG_VERSION")),
        ),
    ]);
    let named = [
        (brand.event_header(), event_type.to_string()),
        (brand.attempt_header(), attempt.to_string()),
        (brand.signature_header(), signature.hex.clone()),
    ];
    own.extend(named.map(|(name, value)| (name.to_ascii_lowercase(), value)));
    for family in brand.standard_headers.families() {
        let standard = [
            ("id", &signature.id),
            ("timestamp", &signature.timestamp),
            ("signature", &signature.standard),
        ];
        own.extend(standard.map(|(ending, value)| (format!("{family}-{ending}"), value.clone())));
    }
    own
}

/// Whether an owner's header of that name is sent. One named `accept` takes the place of the relay's; any other name that
/// the relay uses is its own, which a header that was saved under another `HEADER_PREFIX` may have.
pub fn admits(own: &mut BTreeMap<String, String>, name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    if lower == "accept" {
        own.remove("accept");
    }
    !own.contains_key(&lower)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_may_replace_accept_and_nothing_else_of_the_relay() {
        let signature = SignatureHeaders {
            hex: "0f".into(),
            id: "evt_1".into(),
            timestamp: "7".into(),
            standard: "v1,a".into(),
        };
        let mut own = own_headers(&Brand::default(), "agent.error", 3, &signature);
        for (name, value) in [
            ("content-type", "application/json"),
            ("x-secureagentics-event", "agent.error"),
            ("x-secureagentics-attempt", "3"),
            ("x-secureagentics-signature", "0f"),
            ("webhook-id", "evt_1"),
            ("webhook-timestamp", "7"),
            ("webhook-signature", "v1,a"),
        ] {
            assert_eq!(own.get(name).map(String::as_str), Some(value), "{name}");
        }
        assert!(!admits(&mut own, "Webhook-Id") && admits(&mut own, "X-Team"));
        assert!(own.contains_key("accept"));
        assert!(admits(&mut own, "Accept") && !own.contains_key("accept"));
    }
}
