//! What a sealed value keeps to itself, and what opens it.

use super::*;
use crate::domain::timestamp::Timestamp;

const TEXT: &str = "your-signing-secret";

#[test]
fn without_a_key_nothing_is_encrypted() {
    assert!(!EncryptionKeys::default().encrypt());
    assert!(keys("k1").encrypt());
}

#[test]
fn the_plain_stored_form_is_pinned() {
    let stored = r#"{"key_id":null,"bytes":"eW91ci1zaWduaW5nLXNlY3JldA=="}"#;
    let plain = EncryptionKeys::default();
    let sealed = plain
        .seal(TEXT, &webhook(1), Field::Secret, [0; 12])
        .unwrap();
    assert_eq!(serde_json::to_string(&sealed).unwrap(), stored);
    let sealed: Sealed = serde_json::from_str(stored).unwrap();
    assert_eq!(
        plain.open(&sealed, &webhook(1), Field::Secret).unwrap(),
        TEXT
    );
    assert_eq!(
        keys("k1")
            .open(&sealed, &webhook(1), Field::Secret)
            .unwrap(),
        TEXT
    );
}

/// The bytes come from Python's `cryptography`: `AESGCM(bytes(range(32))).encrypt(bytes(12), text, place)`, where
/// the place is `secret wh_…`.
#[test]
fn the_encrypted_stored_form_is_pinned() {
    let stored = r#"{"key_id":"k1","bytes":"AAAAAAAAAAAAAAAAd9PArJhf6tpmwcdSNV/0+qAmItg9mAvpUNVjM2o4lnoblc0="}"#;
    let sealed = keys("k1")
        .seal(TEXT, &webhook(1), Field::Secret, [0; 12])
        .unwrap();
    assert_eq!(serde_json::to_string(&sealed).unwrap(), stored);
    let sealed: Sealed = serde_json::from_str(stored).unwrap();
    assert_eq!(
        keys("k2,k1")
            .open(&sealed, &webhook(1), Field::Secret)
            .unwrap(),
        TEXT
    );
}

/// From the release before fields were named, with the webhook's id alone as associated data.
#[test]
fn a_value_without_a_field_is_read_and_gets_its_field_when_it_is_sealed_again() {
    let stored = r#"{"key_id":"k1","bytes":"AAAAAAAAAAAAAAAAd9PArJhf6tpmwcdSNV/0+qAmIlVBYWozs12U4qOL2hn/TEo="}"#;
    let sealed: Sealed = serde_json::from_str(stored).unwrap();
    let keys = keys("k2,k1");
    for field in [Field::Secret, Field::Header("X-Key")] {
        assert_eq!(keys.open(&sealed, &webhook(1), field).unwrap(), TEXT);
    }
    assert!(keys.open(&sealed, &webhook(2), Field::Secret).is_err());
    let renewed = keys.renew(&sealed, &webhook(1), Field::Header("X-Key"), [1; 12]);
    let renewed = renewed.unwrap();
    let opened = |field| keys.open(&renewed, &webhook(1), field);
    assert_eq!(opened(Field::Header("X-Key")).unwrap(), TEXT);
    assert!(opened(Field::Secret).is_err());
}

#[test]
fn a_value_opens_only_in_its_own_field() {
    let fields = [
        Field::Secret,
        Field::Header("secret"),
        Field::Header("X-Key"),
        Field::Header("X-Team"),
    ];
    for own in fields {
        let sealed = keys("k1").seal(TEXT, &webhook(1), own, [7; 12]).unwrap();
        for field in fields {
            let opened = keys("k1").open(&sealed, &webhook(1), field);
            assert_eq!(opened.is_ok(), field == own, "{own} in {field}");
        }
    }
}

#[test]
fn a_plain_value_is_refused_where_encryption_is_required() {
    let plain = EncryptionKeys::default()
        .seal(TEXT, &webhook(1), Field::Secret, [0; 12])
        .unwrap();
    let strict = keys("k1").refusing_plain(true);
    let open = |sealed: &Sealed| strict.open(sealed, &webhook(1), Field::Secret);
    assert_eq!(open(&plain), Err(SealedError::Plain));
    assert_eq!(
        strict.renew(&plain, &webhook(1), Field::Secret, [1; 12]),
        Err(SealedError::Plain)
    );
    let sealed = strict.seal(TEXT, &webhook(1), Field::Secret, [0; 12]);
    assert_eq!(open(&sealed.unwrap()).unwrap(), TEXT);
}

#[test]
fn a_value_opens_only_with_its_key_and_for_its_webhook() {
    let sealed = keys("k1")
        .seal(TEXT, &webhook(1), Field::Secret, [7; 12])
        .unwrap();
    let unknown = SealedError::UnknownKey {
        key_id: "k1".into(),
    };
    let wrong = SealedError::WrongKey {
        key_id: "k1".into(),
    };
    let open = |keys: &EncryptionKeys, id| keys.open(&sealed, &webhook(id), Field::Secret);
    assert_eq!(
        open(&EncryptionKeys::default(), 1),
        Err(unknown.clone()),
        "no key at all is no leave to read it plain"
    );
    assert_eq!(open(&keys("k2"), 1), Err(unknown));
    let another = EncryptionKeys::parse(&format!("k1:{}", STANDARD.encode([9; 32])));
    assert_eq!(open(&another.unwrap(), 1), Err(wrong.clone()));
    assert_eq!(open(&keys("k1"), 2), Err(wrong));
}

#[test]
fn a_value_that_was_changed_or_cut_does_not_open() {
    let sealed = keys("k1")
        .seal(TEXT, &webhook(1), Field::Secret, [7; 12])
        .unwrap();
    let bytes = STANDARD.decode(&sealed.bytes).unwrap();
    let open = |bytes: &[u8]| {
        let sealed = Sealed {
            bytes: STANDARD.encode(bytes),
            ..sealed.clone()
        };
        keys("k1").open(&sealed, &webhook(1), Field::Secret)
    };
    assert_eq!(open(&bytes).unwrap(), TEXT);
    for place in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[place] ^= 1;
        assert!(
            matches!(open(&changed), Err(SealedError::WrongKey { .. })),
            "{place}"
        );
        assert!(
            matches!(open(&bytes[..place]), Err(SealedError::WrongKey { .. })),
            "{place}"
        );
    }
}

#[test]
fn a_damaged_value_is_an_error() {
    for stored in [
        r#"{"key_id":null,"bytes":"%%"}"#,
        r#"{"key_id":null,"bytes":"/w=="}"#,
        r#"{"key_id":"k1","bytes":"%%"}"#,
    ] {
        let sealed: Sealed = serde_json::from_str(stored).unwrap();
        assert_eq!(
            keys("k1").open(&sealed, &webhook(1), Field::Secret),
            Err(SealedError::Damaged),
            "{stored}"
        );
    }
}

#[test]
fn a_plain_value_and_one_of_an_older_key_are_renewed_under_the_first() {
    let old = keys("k1");
    let new = keys("k2,k1");
    for sealed in [
        EncryptionKeys::default()
            .seal(TEXT, &webhook(1), Field::Secret, [0; 12])
            .unwrap(),
        old.seal(TEXT, &webhook(1), Field::Secret, [0; 12]).unwrap(),
    ] {
        assert!(!new.is_current(&sealed));
        let renewed = new
            .renew(&sealed, &webhook(1), Field::Secret, [1; 12])
            .unwrap();
        assert!(new.is_current(&renewed));
        assert_eq!(
            keys("k2")
                .open(&renewed, &webhook(1), Field::Secret)
                .unwrap(),
            TEXT
        );
    }
}

#[test]
fn keys_are_id_and_base64_of_32_bytes() {
    let key = STANDARD.encode([1; 32]);
    let spaced = format!(" k2:{key} ,\n2026-11_a:{key}\n");
    let ids: Vec<_> = EncryptionKeys::parse(&spaced)
        .unwrap()
        .ids()
        .map(str::to_owned)
        .collect();
    assert_eq!(ids, ["k2", "2026-11_a"]);
    for text in [
        String::new(),
        ",".into(),
        key.clone(),
        format!(":{key}"),
        format!("k 1:{key}"),
        format!("k1:{key},"),
        format!("k1:{key},k1:{key}"),
        format!("k1:{key}:"),
        format!("{}:{key}", "k".repeat(33)),
        format!("k1:{}", STANDARD.encode([1; 31])),
        format!("k1:{}", STANDARD.encode([1; 33])),
        format!("k1:{}", key.trim_end_matches('=')),
        format!("k1:{}", hex::encode([1; 32])),
    ] {
        let error = EncryptionKeys::parse(&text).unwrap_err().to_string();
        assert!(!error.contains(&key), "{error}");
    }
}

#[test]
fn no_debug_output_shows_a_value_or_a_key() {
    let sealed = EncryptionKeys::default()
        .seal(TEXT, &webhook(1), Field::Secret, [0; 12])
        .unwrap();
    assert_eq!(
        format!("{sealed:?}"),
        "Sealed { key_id: None, bytes: [redacted] }"
    );
    assert_eq!(format!("{:?}", keys("k2,k1")), r#"["k2", "k1"]"#);
}

/// Keys with these ids, all different.
fn keys(ids: &str) -> EncryptionKeys {
    let entry = |id: &str| {
        let first = id.strip_prefix('k').unwrap().parse::<u8>().unwrap() - 1;
        let key: Vec<u8> = (first * 32..(first + 1) * 32).collect();
        format!("{id}:{}", STANDARD.encode(key))
    };
    let entries: Vec<_> = ids.split(',').map(entry).collect();
    EncryptionKeys::parse(&entries.join(",")).unwrap()
}

fn webhook(number: u8) -> WebhookId {
    WebhookId::mint(Timestamp::from_millis(0), [number; 10])
}
