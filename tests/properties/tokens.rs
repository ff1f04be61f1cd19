//! Tokens, cookies, ids and cursors.

use proptest::prelude::*;
use webhook_relay::{
    api::deliveries::parse_filter,
    domain::{
        cookie::read_cookie,
        ids::{DeliveryId, EventId, KeyId, ResendId, WebhookId, WorkspaceId},
        session::{Credential, Transport, local_path},
        timestamp::Timestamp,
        token::{
            TokenHash, bearer_token, mint_api_key, mint_link_token, mint_session_token,
            workspace_of_key, workspace_of_link, workspace_of_session,
        },
    },
};

use super::{config, damaged};

fn token() -> impl Strategy<Value = String> {
    ("ws_[a-z0-9]{1,40}", any::<[u8; 32]>(), 0..3_usize).prop_map(|(workspace, random, kind)| {
        let workspace = WorkspaceId::parse(&workspace).unwrap();
        [mint_api_key, mint_link_token, mint_session_token][kind](&workspace, random)
    })
}

fn time_ordered_id() -> impl Strategy<Value = String> {
    (any::<i64>(), any::<[u8; 10]>(), 0..5_usize).prop_map(|(millis, random, kind)| {
        let now = Timestamp::from_millis(millis);
        match kind {
            0 => DeliveryId::mint(now, random).to_string(),
            1 => WebhookId::mint(now, random).to_string(),
            2 => KeyId::mint(now, random).to_string(),
            3 => ResendId::mint(now, random).to_string(),
            _ => EventId::mint(now, random).to_string(),
        }
    })
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_token_belongs_to_the_workspace_it_was_made_for_and_to_its_kind_alone(owner in "ws_[a-z0-9]{1,40}", random: [u8; 32]) {
        let workspace = WorkspaceId::parse(&owner).unwrap();
        let (key, link, session) = (mint_api_key(&workspace, random), mint_link_token(&workspace, random), mint_session_token(&workspace, random));
        let of = [workspace_of_key, workspace_of_link, workspace_of_session];
        for (index, token) in [&key, &link, &session].into_iter().enumerate() {
            for (kind, read) in of.iter().enumerate() {
                prop_assert_eq!(read(token), (kind == index).then(|| workspace.clone()));
            }
        }
        prop_assert_eq!(Credential::parse(&key), Some((Credential::Key(TokenHash::of(&key)), workspace.clone())));
        prop_assert_eq!(Credential::parse(&link), Some((Credential::Link(TokenHash::of(&link)), workspace)));
        prop_assert_eq!(Credential::parse(&session), None);
    }

    #[test]
    fn whatever_is_read_as_a_token_is_one_that_could_have_been_made(text in prop_oneof![damaged(token()), token(), any::<String>()]) {
        for (prefix, read) in [("sk_", workspace_of_key as fn(&str) -> Option<WorkspaceId>), ("dl_", workspace_of_link), ("se_", workspace_of_session)] {
            if let Some(workspace) = read(&text) {
                let owner = workspace.as_ref().strip_prefix("ws_").unwrap();
                let random = text.strip_prefix(prefix).and_then(|rest| rest.strip_prefix(owner)).and_then(|rest| rest.strip_prefix(['.', '_'])).unwrap();
                let random: [u8; 32] = hex::decode(random).unwrap().try_into().unwrap();
                let made = [mint_api_key, mint_link_token, mint_session_token].map(|mint| mint(&workspace, random));
                prop_assert!(made.iter().any(|made| *made == text || made.replace('.', "_") == text));
            }
        }
    }

    #[test]
    fn hashes_match_where_the_tokens_are_the_same_and_only_there(one in token(), other in prop_oneof![token(), damaged(token())]) {
        prop_assert!(TokenHash::of(&one).matches(&TokenHash::of(&one)));
        prop_assert_eq!(TokenHash::of(&one).matches(&TokenHash::of(&other)), one == other);
        prop_assert!(!TokenHash::of(&one).as_ref().contains(&one));
    }

    #[test]
    fn a_bearer_token_is_what_stands_after_the_scheme(header in prop_oneof!["(?i:bearer) {1,2}[!-~]{1,40} ?", "[A-Za-z]{0,8} ?[ -~]{0,40}", any::<String>()]) {
        if let Some(token) = bearer_token(&header) {
            prop_assert!(!token.is_empty() && token == token.trim());
            prop_assert!(header.as_bytes()[..7].eq_ignore_ascii_case(b"bearer "));
            prop_assert!(header.trim_end().ends_with(token));
        } else {
            let (scheme, rest) = header.split_once(' ').unwrap_or_default();
            prop_assert!(!scheme.eq_ignore_ascii_case("bearer") || rest.trim().is_empty());
        }
    }

    #[test]
    fn a_cookie_that_was_set_is_read_back_among_any_others(token in token(), others in prop::collection::vec("[a-zA-Z_-]{1,8}=[!-:<-~]{0,20}", 0..4), place in any::<prop::sample::Index>()) {
        for transport in [Transport::Secure, Transport::Plain] {
            let set = transport.set_cookie(&token);
            prop_assert!(set.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
            let pair = set.split(';').next().unwrap();
            let name = transport.cookie_name();
            let mut pairs: Vec<&str> = others.iter().map(String::as_str).filter(|other| !other.starts_with(&format!("{name}="))).collect();
            pairs.insert(place.index(pairs.len() + 1), pair);
            let header = pairs.join("; ");
            prop_assert_eq!(read_cookie(&header, name), Some(token.as_str()));
            // A second cookie of the same name, wherever it comes from, counts as none.
            pairs.push(pair);
            let header = pairs.join("; ");
            prop_assert_eq!(read_cookie(&header, name), None);
        }
    }

    #[test]
    fn a_cookie_is_a_part_of_its_header_and_holds_no_separator(header in prop_oneof!["([a-z_-]{0,9}[ \\t]{0,1}=?[ -~]{0,9};?){0,5}", "(session|__Host-session|x)=[ -~]{0,9}(; (session|x)=[ -~]{0,9}){0,3}", any::<String>()]) {
        for name in ["session", "__Host-session"] {
            if let Some(value) = read_cookie(&header, name) {
                prop_assert!(header.contains(value) && !value.contains(';'));
                let named = header.split(';').filter_map(|pair| pair.split_once('=')).filter(|(found, _)| found.trim() == name);
                prop_assert_eq!(named.count(), 1);
            }
        }
    }

    #[test]
    fn where_to_go_after_signing_in_never_leaves_the_relay(next in prop_oneof!["/[/\\\\@:.%a-z?#\\t\\n ]{0,12}", "\\PC{0,20}", any::<String>()]) {
        if let Some(path) = local_path(&next) {
            let own = url::Url::parse("https://relay.example.com/sign-in").unwrap();
            let target = own.join(path).unwrap();
            prop_assert_eq!(target.origin(), own.origin());
            prop_assert!(path.bytes().all(|byte| byte.is_ascii_graphic()), "it can stand in a header");
        }
    }

    #[test]
    fn an_id_that_is_read_is_written_as_it_was(text in prop_oneof![time_ordered_id(), damaged(time_ordered_id()), "(evt|wh|key|rs|ws|ev)_[0-9a-fA-F]{30,34}", any::<String>()]) {
        let read = [
            DeliveryId::parse(&text).map(|id| id.to_string()),
            WebhookId::parse(&text).map(|id| id.to_string()),
            KeyId::parse(&text).map(|id| id.to_string()),
            ResendId::parse(&text).map(|id| id.to_string()),
            WorkspaceId::parse(&text).map(|id| id.to_string()),
            EventId::parse(&text).map(|id| id.to_string()),
        ];
        // An event id is the producer's own text, which may look like any other id.
        prop_assert!(read[..5].iter().filter(|read| read.is_ok()).count() <= 1);
        for id in read.into_iter().flatten() {
            prop_assert_eq!(&id, &text);
            prop_assert!(id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte)), "it can stand in a path and in SQL");
        }
    }

    #[test]
    fn ids_are_ordered_as_their_times_are(one: i64, other: i64, random: [u8; 10], another: [u8; 10]) {
        let clamped = |millis: i64| millis.clamp(0, 0xFFFF_FFFF_FFFF);
        let (first, second) = (DeliveryId::mint(Timestamp::from_millis(one), random), DeliveryId::mint(Timestamp::from_millis(other), another));
        prop_assert_eq!(first.minted_at().as_millis(), clamped(one));
        if clamped(one) != clamped(other) {
            prop_assert_eq!(first < second, clamped(one) < clamped(other));
        }
        let time = Timestamp::from_millis(one);
        prop_assert!(DeliveryId::first_of(time) <= first && first <= DeliveryId::last_of(time));
    }

    #[test]
    fn a_cursor_is_a_delivery_id_and_nothing_else(cursor in prop_oneof![time_ordered_id(), damaged(time_ordered_id()), any::<String>()]) {
        let filter = parse_filter([("cursor", cursor.as_str())].into_iter());
        if let Ok(id) = DeliveryId::parse(&cursor) {
            prop_assert_eq!(filter.unwrap().before, Some(id));
        } else {
            prop_assert_eq!(filter.unwrap_err().status(), 400);
        }
    }
}
