//! The corpus of endpoint URLs (`endpoint_urls.txt`), and what holds for every URL that is accepted.
//!
//! The corpus is data, so that a newly found trick only needs one more line with its reason.

#![allow(
    clippy::expect_used,
    reason = "a corpus that cannot be read has to end the test"
)]

use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;
use webhook_relay::domain::{
    endpoint_url::{EndpointUrl, EndpointUrlError, UrlRules},
    own_hosts::OwnHosts,
};

const CORPUS: &str = include_str!("endpoint_urls.txt");

fn public() -> UrlRules {
    UrlRules::default()
}

fn development() -> UrlRules {
    UrlRules {
        allow_private: true,
        ..UrlRules::default()
    }
}

/// Every line of the corpus: the URL and its reason.
fn corpus() -> Vec<(String, &'static str)> {
    CORPUS
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| {
            let (url, reason) = line.split_once('\t').expect("a URL, a tab and a reason");
            (
                serde_json::from_str(url).expect("the URL is a JSON string"),
                reason,
            )
        })
        .collect()
}

/// The variant's name, without its fields; "ok" for an accepted URL.
fn reason(result: &Result<EndpointUrl, EndpointUrlError>) -> String {
    match result {
        Ok(_) => "ok".to_owned(),
        Err(error) => format!("{error:?}")
            .split(' ')
            .next()
            .unwrap_or_default()
            .to_owned(),
    }
}

/// What something on the way to the network may take for a host's dot, digit, letter or separator.
fn suspicious_url() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "https",
        "http",
        ":",
        "/",
        "//",
        "://",
        "@",
        "#",
        "?",
        "\\",
        ".",
        "..",
        "。",
        "．",
        "%2e",
        "%2f",
        "%40",
        "%00",
        "%",
        "[",
        "]",
        "::1",
        "::ffff:",
        "127.0.0.1",
        "0x7f",
        "0177",
        "2130706433",
        "1",
        "0",
        "localhost",
        "ｌocalhost",
        "local",
        "internal",
        "example",
        "com",
        "xn--",
        "xn--bcher-kva",
        "ü",
        "ß",
        "\u{ad}",
        "\u{200d}",
        "①",
        "ſ",
        "\t",
        "\n",
        " ",
        "\0",
        ":443",
        ":0",
        ":99999",
        "a",
        "-",
        "_",
    ]);
    (prop::bool::ANY, prop::collection::vec(piece, 0..12)).prop_map(|(begins_well, pieces)| {
        format!(
            "{}{}",
            if begins_well { "https://" } else { "" },
            pieces.concat()
        )
    })
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        suspicious_url(),
        any::<String>(),
        "https?://\\PC{0,60}",
        "https://([a-z0-9ü-]{1,20}\\.){1,4}[a-z]{2,10}(:[0-9]{1,5})?/\\PC{0,20}",
        prop::sample::select(corpus()).prop_map(|(url, _)| url),
    ]
}

#[test]
fn every_url_of_the_corpus_is_judged_as_it_says() {
    let wrong: Vec<_> = corpus()
        .into_iter()
        .filter_map(|(url, expected)| {
            let actual = reason(&EndpointUrl::parse(&url, &public()));
            (actual != expected).then(|| format!("{url:?}: expected {expected}, is {actual}"))
        })
        .collect();
    assert!(
        wrong.is_empty(),
        "{} of the corpus:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn the_corpus_is_not_cut_short() {
    let (good, hostile): (Vec<_>, Vec<_>) = corpus()
        .into_iter()
        .partition(|(_, reason)| *reason == "ok");
    assert!(hostile.len() >= 350, "{}", hostile.len());
    assert!(good.len() >= 120, "{}", good.len());
}

#[test]
fn development_admits_http_and_loopback_and_nothing_else() {
    for url in [
        "http://hooks.example.com/",
        "https://hooks.example.com/",
        "http://localhost/",
        "http://localhost:8787/hook",
        "https://hooks.localhost:1/",
        "http://LOCALHOST./",
        "http://127.0.0.1:65535/hook",
        "http://127.255.0.9/",
        "http://0x7f.1/",
        "http://[::1]:8080/hook",
        "https://[0:0:0:0:0:0:0:1]/",
    ] {
        assert_eq!(
            reason(&EndpointUrl::parse(url, &development())),
            "ok",
            "{url}"
        );
    }
    for (url, expected) in [
        ("ftp://localhost/", "NotHttpOrHttps"),
        ("http://10.0.0.1/", "IpAddress"),
        ("http://0.0.0.0/", "IpAddress"),
        ("http://169.254.169.254/", "IpAddress"),
        ("http://[::ffff:127.0.0.1]/", "IpAddress"),
        ("http://[::127.0.0.1]/", "IpAddress"),
        ("http://[fd00::1]/", "IpAddress"),
        ("http://1.1.1.1/", "IpAddress"),
        ("http://printer.local/", "SpecialName"),
        ("http://metadata.google.internal/", "SpecialName"),
        ("http://intranet/", "SpecialName"),
        ("http://router/", "SingleLabel"),
        ("http://localhost../", "EmptyLabel"),
        ("http://user@localhost/", "UserInfo"),
        ("http://localhost/#", "Fragment"),
        ("http://localhost:0/", "Port"),
        ("http://local\thost/", "Whitespace"),
        ("http:\\\\localhost/", "Backslash"),
        ("http:localhost", "Incomplete"),
    ] {
        assert_eq!(
            reason(&EndpointUrl::parse(url, &development())),
            expected,
            "{url}"
        );
    }
}

#[test]
fn what_development_refuses_is_refused_in_the_same_words_as_in_public_except_for_the_scheme() {
    for (url, expected) in corpus() {
        let actual = reason(&EndpointUrl::parse(&url, &development()));
        let is_same = actual == expected || expected == "NotHttps" || actual == "ok";
        assert!(
            is_same,
            "{url:?}: {expected} in public, {actual} in development"
        );
    }
}

#[test]
fn the_relays_own_host_is_refused_in_every_spelling() {
    for own_host in [
        "relay.example.com",
        "RELAY.example.com",
        "relay.example.com.",
    ] {
        let rules = UrlRules {
            allow_private: false,
            own_host: Some(own_host.to_owned()),
            ..UrlRules::default()
        };
        for url in [
            "https://relay.example.com/",
            "https://Relay.Example.Com/v1/workspaces",
            "https://relay.example.com.:8443/",
            "https://relay%2eexample.com/",
            "https://ｒelay。example.com/",
        ] {
            assert_eq!(
                EndpointUrl::parse(url, &rules),
                Err(EndpointUrlError::OwnHost),
                "{url}"
            );
        }
        for url in [
            "https://example.com/",
            "https://a.relay.example.com/",
            "https://myrelay.example.com/",
        ] {
            assert_eq!(reason(&EndpointUrl::parse(url, &rules)), "ok", "{url}");
        }
    }
}

#[test]
fn the_operators_hosts_are_refused_and_nothing_else_is() {
    let rules = UrlRules {
        own_hosts: OwnHosts::parse("api.example.com, *.acme.example.net").unwrap_or_default(),
        ..UrlRules::default()
    };
    for url in [
        "https://api.example.com/",
        "https://API.example.com.:8443/",
        "https://api%2eexample.com/",
        "https://a.b.acme.example.net/hooks",
    ] {
        assert_eq!(reason(&EndpointUrl::parse(url, &rules)), "OwnHost", "{url}");
    }
    for url in [
        "https://a.api.example.com/",
        "https://acme.example.net/",
        "https://notacme.example.net/",
    ] {
        assert_eq!(reason(&EndpointUrl::parse(url, &rules)), "ok", "{url}");
    }
}

#[test]
fn in_development_the_relay_and_the_receiver_may_both_be_localhost() {
    for own_host in ["localhost", "127.0.0.1"] {
        let rules = UrlRules {
            allow_private: true,
            own_host: Some(own_host.to_owned()),
            ..UrlRules::default()
        };
        assert_eq!(
            reason(&EndpointUrl::parse("http://localhost:9000/", &rules)),
            "ok"
        );
        assert_eq!(
            reason(&EndpointUrl::parse("http://127.0.0.1:9000/", &rules)),
            "ok"
        );
    }
    let rules = UrlRules {
        allow_private: true,
        own_host: Some("relay.example.com".to_owned()),
        ..UrlRules::default()
    };
    assert_eq!(
        EndpointUrl::parse("http://relay.example.com/", &rules),
        Err(EndpointUrlError::OwnHost)
    );
}

#[test]
fn the_normal_form_is_what_is_fetched() {
    for (url, normal, host) in [
        ("https://example.com", "https://example.com/", "example.com"),
        (
            "HTTPS://Hooks.Example.Com.:443/Hook",
            "https://hooks.example.com/Hook",
            "hooks.example.com",
        ),
        (
            "https://hooks.example.com.:8443/",
            "https://hooks.example.com:8443/",
            "hooks.example.com",
        ),
        (
            "https://bücher.example.com/ü?q=ü",
            "https://xn--bcher-kva.example.com/%C3%BC?q=%C3%BC",
            "xn--bcher-kva.example.com",
        ),
        (
            "https://example.com/a/../b?x=1&y=2",
            "https://example.com/b?x=1&y=2",
            "example.com",
        ),
        (
            "https://hooks。example。com。/",
            "https://hooks.example.com/",
            "hooks.example.com",
        ),
    ] {
        let parsed = EndpointUrl::parse(url, &public()).unwrap();
        assert_eq!((parsed.as_str(), parsed.host()), (normal, host));
        assert_eq!(parsed.to_string(), normal);
    }
}

#[test]
fn a_refusal_says_what_is_allowed() {
    for (url, message) in [
        ("http://example.com/", "url must use https"),
        (
            "https://10.0.0.1/",
            "url must name its host; an IP address in any notation is not allowed",
        ),
        (
            "https://a.localhost/",
            "url must have a public host name; 'localhost' and names below it are not",
        ),
        (
            "https://example.com:0/",
            "url must have a port of 1 to 65535, or none",
        ),
    ] {
        assert_eq!(
            EndpointUrl::parse(url, &public()).unwrap_err().to_string(),
            message
        );
    }
}

/// 2,000 cases of each property, or the number in `PROPTEST_CASES`.
fn config() -> ProptestConfig {
    let config = ProptestConfig::default();
    ProptestConfig {
        cases: std::env::var("PROPTEST_CASES").map_or(2_000, |_| config.cases),
        failure_persistence: None,
        ..config
    }
}

proptest! {
    // What a run finds belongs in the corpus, not in a seed file.
    #![proptest_config(config())]

    #[test]
    fn an_accepted_url_is_https_to_a_public_name_and_nothing_is_hidden_in_it(text in any_text()) {
        if let Ok(accepted) = EndpointUrl::parse(&text, &public()) {
            let url = url::Url::parse(accepted.as_str()).unwrap();
            let host = accepted.host();
            prop_assert!(matches!(url.host(), Some(url::Host::Domain(name)) if name == host));
            prop_assert!(host.parse::<Ipv4Addr>().is_err() && host.parse::<Ipv6Addr>().is_err());
            prop_assert!(host.contains('.') && !host.ends_with('.') && !host.contains("..") && host.is_ascii());
            prop_assert!(host.len() <= 253 && host.split('.').all(|label| label.len() <= 63));
            prop_assert!(host != "localhost" && !host.ends_with(".localhost") && !host.ends_with(".internal"));
            prop_assert_eq!(url.scheme(), "https");
            prop_assert_eq!((url.username(), url.password(), url.fragment()), ("", None, None));
            prop_assert!(accepted.as_str().len() <= 2_048);
            prop_assert!(accepted.as_str().bytes().all(|byte| byte.is_ascii_graphic()));
            prop_assert_ne!(url.port(), Some(0));
        }
    }

    #[test]
    fn an_accepted_url_is_accepted_again_and_stays_as_it_is(text in any_text(), allow_private: bool) {
        let rules = UrlRules { allow_private, ..UrlRules::default() };
        if let Ok(accepted) = EndpointUrl::parse(&text, &rules) {
            prop_assert_eq!(EndpointUrl::parse(accepted.as_str(), &rules), Ok(accepted));
        }
    }

    #[test]
    fn what_is_accepted_in_public_is_accepted_in_development(text in any_text()) {
        if let Ok(accepted) = EndpointUrl::parse(&text, &public()) {
            prop_assert_eq!(EndpointUrl::parse(&text, &development()), Ok(accepted));
        }
    }

    #[test]
    fn an_ipv4_address_is_refused_in_every_notation(address: u32, form in 0..6_usize, port in prop::option::of(1..=u16::MAX)) {
        let [a, b, c, d] = address.to_be_bytes();
        let low = address & 0x00FF_FFFF;
        let host = [
            format!("{a}.{b}.{c}.{d}"),
            address.to_string(),
            format!("{address:#x}"),
            format!("0{address:o}"),
            format!("{a}.{low}"),
            format!("0{a:o}.{b:#x}.{c}.{d}"),
        ][form].clone();
        let port = port.map(|port| format!(":{port}")).unwrap_or_default();
        prop_assert_eq!(
            EndpointUrl::parse(&format!("https://{host}{port}/"), &public()),
            Err(EndpointUrlError::IpAddress)
        );
    }

    #[test]
    fn an_ipv6_address_is_refused_in_every_notation(address: u128) {
        let address = Ipv6Addr::from(address);
        let groups = address.segments().map(|group| format!("{group:04X}")).join(":");
        for host in [address.to_string(), groups] {
            prop_assert_eq!(
                EndpointUrl::parse(&format!("https://[{host}]/"), &public()),
                Err(EndpointUrlError::IpAddress)
            );
        }
    }
}
