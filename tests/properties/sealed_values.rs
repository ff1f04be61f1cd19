//! Signing secrets, `ENCRYPTION_KEYS`, and what is stored under them.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use proptest::prelude::*;
use webhook_relay::domain::{
    ids::WebhookId,
    sealed::{EncryptionKeys, Field, Sealed},
    secret::Secret,
    timestamp::Timestamp,
};

use super::{config, damaged};

fn webhook(random: [u8; 10]) -> WebhookId {
    WebhookId::mint(Timestamp::from_millis(0), random)
}

/// Keys with different ids, as `ENCRYPTION_KEYS` has them.
fn keys() -> impl Strategy<Value = Vec<(String, [u8; 32])>> {
    prop::collection::btree_map("[A-Za-z0-9_-]{1,32}", any::<[u8; 32]>(), 1..4)
        .prop_map(|keys| keys.into_iter().collect())
}

fn write(keys: &[(String, [u8; 32])]) -> String {
    let entry = |(id, key): &(String, [u8; 32])| format!("{id}:{}", STANDARD.encode(key));
    keys.iter().map(entry).collect::<Vec<_>>().join(",")
}

fn secret() -> impl Strategy<Value = String> {
    prop_oneof![
        "[!-~]{1,260}",
        prop::collection::vec(any::<u8>(), 0..70)
            .prop_map(|key| format!("whsec_{}", STANDARD.encode(key))),
    ]
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_secret_is_kept_exactly_or_refused_and_never_repeated(text in prop_oneof![secret(), damaged(secret()), any::<String>()]) {
        let standard = text.strip_prefix("whsec_").map(|key| STANDARD.decode(key));
        let allowed = (8..=256).contains(&text.len())
            && text.bytes().all(|byte| (0x21..=0x7E).contains(&byte))
            && !text.starts_with("v1,whsec_")
            && standard.is_none_or(|key| key.is_ok_and(|key| (16..=64).contains(&key.len())));
        match Secret::parse(&text) {
            Ok(secret) => {
                prop_assert!(allowed);
                prop_assert_eq!(secret.expose(), &text);
                prop_assert_eq!(secret.hex_key(), text.as_bytes());
                prop_assert_eq!(format!("{secret:?}"), "[redacted]");
            }
            Err(error) => {
                prop_assert!(!allowed, "{error}");
                prop_assert!(text.len() < 6 || !error.to_string().contains(&text) || "whsec_".contains(&text));
            }
        }
    }

    #[test]
    fn keys_are_read_as_they_were_written_and_a_damaged_list_is_never_another_key(keys in keys(), place in any::<prop::sample::Index>()) {
        let text = write(&keys);
        let read = EncryptionKeys::parse(&text).unwrap();
        prop_assert!(read.ids().eq(keys.iter().map(|(id, _)| id.as_str())));
        // Cut anywhere, it is an error, or it gives the whole entries before the cut.
        let cut = place.index(text.len());
        if let Ok(shorter) = EncryptionKeys::parse(&text[..cut]) {
            prop_assert!(text[cut..].starts_with(','), "{}", &text[..cut]);
            prop_assert!(shorter.ids().eq(keys.iter().take(shorter.ids().count()).map(|(id, _)| id.as_str())));
        }
    }

    #[test]
    fn a_text_that_is_taken_as_keys_names_each_key_once_and_no_error_repeats_it(text in prop_oneof![damaged(keys().prop_map(|keys| write(&keys))), any::<String>()]) {
        match EncryptionKeys::parse(&text) {
            Ok(keys) => {
                let ids: Vec<_> = keys.ids().map(str::to_owned).collect();
                let different: std::collections::BTreeSet<_> = ids.iter().collect();
                prop_assert!(!ids.is_empty() && different.len() == ids.len());
                prop_assert_eq!(ids.len(), text.split(',').count());
            }
            Err(error) => prop_assert!(text.len() < 20 || !error.to_string().contains(&text)),
        }
    }

    #[test]
    fn what_is_sealed_opens_with_its_key_for_its_webhook_and_in_no_other_way(
        keys in keys(),
        text in prop_oneof!["[!-~]{8,64}", any::<String>()],
        nonce: [u8; 12],
        (own, other) in any::<([u8; 10], [u8; 10])>(),
        flipped in any::<prop::sample::Index>(),
    ) {
        let all = EncryptionKeys::parse(&write(&keys)).unwrap();
        let sealed = all.seal(&text, &webhook(own), Field::Secret, nonce).unwrap();
        prop_assert_eq!(all.open(&sealed, &webhook(own), Field::Secret), Ok(text.clone()));
        prop_assert!(all.is_current(&sealed));
        prop_assert_eq!(all.open(&sealed, &webhook(other), Field::Secret).is_ok(), webhook(own) == webhook(other));
        prop_assert!(all.open(&sealed, &webhook(own), Field::Header("secret")).is_err());
        prop_assert!(EncryptionKeys::default().open(&sealed, &webhook(own), Field::Secret).is_err());

        let stored = serde_json::to_value(&sealed).unwrap();
        prop_assert_eq!(&serde_json::from_value::<Sealed>(stored.clone()).unwrap(), &sealed);
        let mut bytes = STANDARD.decode(stored["bytes"].as_str().unwrap()).unwrap();
        let place = flipped.index(bytes.len() * 8);
        bytes[place / 8] ^= 1 << (place % 8);
        let changed = serde_json::json!({"key_id": stored["key_id"], "bytes": STANDARD.encode(bytes)});
        prop_assert!(all.open(&serde_json::from_value(changed).unwrap(), &webhook(own), Field::Secret).is_err());

        // After a new first key the old one still opens it, and what is sealed again does not need the old one.
        if keys.len() > 1 {
            let mut rotated = keys;
            rotated.rotate_left(1);
            let newer = EncryptionKeys::parse(&write(&rotated)).unwrap();
            let renewed = newer.renew(&sealed, &webhook(own), Field::Secret, nonce).unwrap();
            let alone = EncryptionKeys::parse(&write(&rotated[..1])).unwrap();
            prop_assert_eq!(alone.open(&renewed, &webhook(own), Field::Secret), Ok(text));
        }
    }
}
