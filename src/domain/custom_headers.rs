//! Which headers a customer may add to each request.

use thiserror::Error;

use super::brand::HeaderPrefix;

/// Headers of one webhook.
pub const HEADERS_LIMIT: usize = 10;

/// Characters of one header's value.
pub const VALUE_LIMIT: usize = 1024;

/// Characters of one header's name.
const NAME_LIMIT: usize = 128;

/// Headers that the relay, the transport or a proxy on the way sets: what is accepted arrives as it was written.
const REFUSED: [&str; 17] = [
    "host",
    "connection",
    "keep-alive",
    "via",
    "forwarded",
    "cdn-loop",
    "x-real-ip",
    "true-client-ip",
    "x-http-method-override",
    "set-cookie",
    "transfer-encoding",
    "te",
    "trailer",
    "upgrade",
    "expect",
    "accept-encoding",
    "user-agent",
];

/// Prefixes of header names that the relay, the transport or a proxy on the way sets.
const REFUSED_PREFIXES: [&str; 6] = [
    "proxy-",
    "x-forwarded-",
    "content-",
    "cf-",
    "webhook-",
    "svix-",
];

/// A custom header is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum HeaderError {
    /// Too many of them.
    #[error("at most {HEADERS_LIMIT} headers are allowed")]
    TooMany,
    /// The name is not a token (RFC 9110, 5.6.2).
    #[error("a header name is 1 to {NAME_LIMIT} of letters, digits and !#$%&'*+-.^_`|~")]
    Name,
    /// The name equals another one, ignoring case.
    #[error("the header {name} is given more than once")]
    Repeated {
        /// The name.
        name: String,
    },
    /// The relay or the transport sets it.
    #[error("the header {name} cannot be set; choose a name of your own, such as x-team")]
    Refused {
        /// The name.
        name: String,
    },
    /// The value is empty, too long, or has characters that are not allowed.
    #[error(
        "the value of {name} must be 1 to {VALUE_LIMIT} visible ASCII characters or inner spaces"
    )]
    Value {
        /// The name.
        name: String,
    },
}

/// Checks custom headers; `own` begins the names that the relay sets.
///
/// # Errors
/// The first rule that is broken; no error repeats a value.
pub fn check_headers(headers: &[(String, String)], own: &HeaderPrefix) -> Result<(), HeaderError> {
    if headers.len() > HEADERS_LIMIT {
        return Err(HeaderError::TooMany);
    }
    let mut seen = Vec::new();
    for (name, value) in headers {
        let lower = name.to_ascii_lowercase();
        if !(1..=NAME_LIMIT).contains(&name.len()) || !name.bytes().all(is_token_byte) {
            return Err(HeaderError::Name);
        }
        let name = || name.clone();
        if REFUSED.contains(&lower.as_str())
            || REFUSED_PREFIXES
                .iter()
                .any(|prefix| lower.starts_with(prefix))
            || own.begins(&lower)
        {
            return Err(HeaderError::Refused { name: name() });
        }
        let visible = value.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        let inner_spaces = value.trim_matches(' ').len() == value.len();
        if !(1..=VALUE_LIMIT).contains(&value.len()) || !visible || !inner_spaces {
            return Err(HeaderError::Value { name: name() });
        }
        if seen.contains(&lower) {
            return Err(HeaderError::Repeated { name: name() });
        }
        seen.push(lower);
    }
    Ok(())
}

const fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_headers_are_allowed() {
        check(&[
            ("X-Team", "a"),
            ("Authorization", "Basic dXNlcg=="),
            ("x-note", "two words"),
        ])
        .unwrap();
    }

    #[test]
    fn headers_of_the_relay_and_of_the_transport_are_refused_in_any_case() {
        for name in [
            "Host",
            "TE",
            "Keep-Alive",
            "Proxy-Authorization",
            "Via",
            "Forwarded",
            "CDN-Loop",
            "X-Real-IP",
            "True-Client-IP",
            "X-HTTP-Method-Override",
            "Set-Cookie",
            "X-Forwarded-For",
            "content-type",
            "CF-Ray",
            "Webhook-Id",
            "Svix-Signature",
            "x-secureagentics-event",
        ] {
            assert_eq!(
                check(&[(name, "a")]),
                Err(HeaderError::Refused { name: name.into() })
            );
        }
    }

    #[test]
    fn another_prefix_takes_the_place_of_the_default() {
        let acme = HeaderPrefix::parse("X-Acme").unwrap();
        let check = |name: &str| check_headers(&[(name.into(), "a".into())], &acme);
        let refused = HeaderError::Refused {
            name: "X-ACME-Team".into(),
        };
        assert_eq!(check("X-ACME-Team"), Err(refused));
        assert_eq!(check("x-secureagentics-team"), Ok(()));
    }

    #[test]
    fn nothing_can_be_injected_by_a_name_or_a_value() {
        for name in ["", "a b", "a:b", "a\r\nb", "é", "a\0"] {
            assert_eq!(check(&[(name, "a")]), Err(HeaderError::Name), "{name:?}");
        }
        let long = "a".repeat(VALUE_LIMIT + 1);
        for value in [
            "",
            " a",
            "a ",
            "a\r\nX-Evil: 1",
            "a\tb",
            "é",
            "a\0",
            "\u{7f}",
            long.as_str(),
        ] {
            assert_eq!(
                check(&[("a", value)]),
                Err(HeaderError::Value { name: "a".into() }),
                "{value:?}"
            );
        }
    }

    #[test]
    fn each_header_is_given_once_and_ten_at_most() {
        assert_eq!(
            check(&[("a", "1"), ("A", "2")]),
            Err(HeaderError::Repeated { name: "A".into() })
        );
        let names: Vec<String> = (0..11).map(|number| format!("x-{number}")).collect();
        let headers: Vec<_> = names.iter().map(|name| (name.as_str(), "a")).collect();
        assert_eq!(check(&headers), Err(HeaderError::TooMany));
        check(&headers[..10]).unwrap();
    }

    fn check(headers: &[(&str, &str)]) -> Result<(), HeaderError> {
        let headers: Vec<_> = headers
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()))
            .collect();
        check_headers(&headers, &HeaderPrefix::default())
    }
}
