//! The rule that keeps endpoint URLs on the public internet.
//!
//! The rule judges the name, not the address behind it: a Worker cannot see the address that a fetch connects to, and
//! Cloudflare's network does not reach private ones. So IP literals are refused, and so are names that stand for a
//! machine or a local network (RFC 6761, 6762, 7686, 8375, 9476). The `url` crate silently strips tabs and newlines,
//! drops an empty user info and turns backslashes into slashes; what it would hide is looked for in the text as given.
//!
//! Any port from 1 to 65535 is allowed: receivers do listen on 8443 and the like, and the rule judges the name.
//! Port 0 is refused, since nothing can listen there.

use std::{fmt, ops::RangeInclusive};

use url::{Host, ParseError, Url};

use super::own_hosts::OwnHosts;

/// Characters of a URL at most, as given and as normalized.
const LONGEST_URL: usize = 2_048;
/// RFC 1035, 2.3.4.
const LONGEST_LABEL: usize = 63;
/// RFC 1035, 2.3.4, without the length octets.
const LONGEST_NAME: usize = 253;

/// Names that are not public hosts, and neither is anything below them: reserved ones, and those that local networks
/// use (RFC 6762, appendix G).
const SPECIAL_NAMES: [&str; 15] = [
    "localhost",
    "localdomain",
    "local",
    "internal",
    "intranet",
    "private",
    "corp",
    "home",
    "lan",
    "arpa",
    "test",
    "invalid",
    "onion",
    "alt",
    "example",
];

/// Characters that show nothing (`Default_Ignorable_Code_Point` of Unicode, and what else has no ink): a URL with one
/// is not the URL that its owner sees.
const INVISIBLE: [RangeInclusive<char>; 21] = [
    '\u{ad}'..='\u{ad}',
    '\u{34f}'..='\u{34f}',
    '\u{600}'..='\u{605}',
    '\u{61c}'..='\u{61c}',
    '\u{6dd}'..='\u{6dd}',
    '\u{70f}'..='\u{70f}',
    '\u{115f}'..='\u{1160}',
    '\u{17b4}'..='\u{17b5}',
    '\u{180b}'..='\u{180f}',
    '\u{200b}'..='\u{200f}',
    '\u{202a}'..='\u{202e}',
    '\u{2060}'..='\u{206f}',
    '\u{2800}'..='\u{2800}',
    '\u{3164}'..='\u{3164}',
    '\u{fe00}'..='\u{fe0f}',
    '\u{feff}'..='\u{feff}',
    '\u{ffa0}'..='\u{ffa0}',
    '\u{fff0}'..='\u{fffb}',
    '\u{1bca0}'..='\u{1bca3}',
    '\u{1d173}'..='\u{1d17a}',
    '\u{e0000}'..='\u{e0fff}',
];

/// What a URL is checked against.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UrlRules {
    /// For development: also allow http, and loopback hosts (localhost names, 127.0.0.0/8, `::1`).
    pub allow_private: bool,
    /// The relay's own host, without a port, if it is known. A loopback host that `allow_private` allows is not
    /// compared with it: in development both ends are `localhost`.
    pub own_host: Option<String>,
    /// The operator's hosts; a loopback host is not compared with them either.
    pub own_hosts: OwnHosts,
}

/// A URL that may be posted to, in the normal form of the `url` crate, without the trailing dot of the host.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EndpointUrl(Url);

impl EndpointUrl {
    /// Checks a URL as a customer wrote it.
    ///
    /// # Errors
    ///
    /// [`EndpointUrlError`], the first reason found.
    pub fn parse(text: &str, rules: &UrlRules) -> Result<Self, EndpointUrlError> {
        check_text(text)?;
        let mut url = Url::parse(text).map_err(explain)?;
        match url.scheme() {
            "https" => {}
            "http" if rules.allow_private => {}
            _ if rules.allow_private => return Err(EndpointUrlError::NotHttpOrHttps),
            _ => return Err(EndpointUrlError::NotHttps),
        }
        check_authority(text, url.scheme())?;
        if url.fragment().is_some() {
            return Err(EndpointUrlError::Fragment);
        }
        if url.port() == Some(0) {
            return Err(EndpointUrlError::Port);
        }
        let name = match url.host() {
            Some(Host::Domain(name)) => name.strip_suffix('.').unwrap_or(name).to_owned(),
            Some(Host::Ipv4(address)) if rules.allow_private && address.is_loopback() => {
                return fit(url);
            }
            Some(Host::Ipv6(address)) if rules.allow_private && address.is_loopback() => {
                return fit(url);
            }
            Some(Host::Ipv4(_) | Host::Ipv6(_)) => return Err(EndpointUrlError::IpAddress),
            None => return Err(EndpointUrlError::HostName),
        };
        check_name(&name, rules)?;
        url.set_host(Some(&name)).map_err(explain)?;
        fit(url)
    }

    /// The URL to fetch.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Its host: lower case, IDN as punycode, without port and trailing dot.
    #[must_use]
    pub fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }
}

impl fmt::Display for EndpointUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// Why a URL is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointUrlError {
    /// More than 2,048 characters, as given or as normalized.
    #[error("url must have at most 2048 characters, counted after percent-encoding")]
    TooLong,
    /// A space, tab, newline or control character.
    #[error("url must not contain spaces, tabs, newlines or control characters")]
    Whitespace,
    /// A character that shows nothing.
    #[error(
        "url has the invisible character U+{code:04X}; delete it, or type the address instead of pasting it"
    )]
    Invisible {
        /// The character's code point.
        code: u32,
    },
    /// A backslash.
    #[error("url must not contain a backslash; '/' separates its parts")]
    Backslash,
    /// No scheme and host, or not separated by `://`.
    #[error("url must be complete, such as https://hooks.example.com/path")]
    Incomplete,
    /// A scheme other than https.
    #[error("url must use https")]
    NotHttps,
    /// A scheme other than https and http, if http is allowed too.
    #[error("url must use https or http")]
    NotHttpOrHttps,
    /// User name or password, even an empty one.
    #[error(
        "url must not contain a user name or password ('@' before the path); send a credential in a custom header"
    )]
    UserInfo,
    /// A fragment, even an empty one.
    #[error("url must not contain a fragment; delete '#' and what follows")]
    Fragment,
    /// Port 0, above 65535, or not a number.
    #[error("url must have a port of 1 to 65535, or none")]
    Port,
    /// An IP address in any notation.
    #[error("url must name its host; an IP address in any notation is not allowed")]
    IpAddress,
    /// Not a host name, before or after IDN processing.
    #[error("url must have a valid host name, such as hooks.example.com")]
    HostName,
    /// Two dots in a row, or one at the beginning.
    #[error("url must have a host name without empty labels; labels are separated by single dots")]
    EmptyLabel,
    /// A label of more than 63 characters.
    #[error(
        "url must have a host name whose labels have at most 63 characters each, IDN as punycode"
    )]
    LabelTooLong,
    /// A name of more than 253 characters.
    #[error("url must have a host name of at most 253 characters, IDN as punycode")]
    NameTooLong,
    /// A name without a dot.
    #[error("url must have a public host name of at least two labels, such as hooks.example.com")]
    SingleLabel,
    /// A name that is reserved or local.
    #[error("url must have a public host name; '{name}' and names below it are not")]
    SpecialName {
        /// The reserved or local name.
        name: &'static str,
    },
    /// The relay's own host, or one of the operator's.
    #[error("url must name another host than those of the service that sends the webhooks")]
    OwnHost,
}

/// Checks for what parsing would hide.
fn check_text(text: &str) -> Result<(), EndpointUrlError> {
    if text.chars().count() > LONGEST_URL {
        Err(EndpointUrlError::TooLong)
    } else if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        Err(EndpointUrlError::Whitespace)
    } else if let Some(invisible) = text.chars().find(|one| is_invisible(*one)) {
        Err(EndpointUrlError::Invisible {
            code: u32::from(invisible),
        })
    } else if text.contains('\\') {
        Err(EndpointUrlError::Backslash)
    } else {
        Ok(())
    }
}

fn is_invisible(character: char) -> bool {
    INVISIBLE.iter().any(|range| range.contains(&character))
}

/// Checks the user info (parsing drops an empty one) and the slashes (parsing accepts any number of them).
fn check_authority(text: &str, scheme: &str) -> Result<(), EndpointUrlError> {
    let rest = text
        .get(scheme.len()..)
        .and_then(|rest| rest.strip_prefix("://"))
        .ok_or(EndpointUrlError::Incomplete)?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.is_empty() {
        Err(EndpointUrlError::Incomplete)
    } else if authority.contains('@') {
        Err(EndpointUrlError::UserInfo)
    } else {
        Ok(())
    }
}

fn check_name(name: &str, rules: &UrlRules) -> Result<(), EndpointUrlError> {
    if name.split('.').any(str::is_empty) {
        return Err(EndpointUrlError::EmptyLabel);
    }
    if name.split('.').any(|label| label.len() > LONGEST_LABEL) {
        return Err(EndpointUrlError::LabelTooLong);
    }
    if name.len() > LONGEST_NAME {
        return Err(EndpointUrlError::NameTooLong);
    }
    if rules.allow_private && is_at_or_below(name, "localhost") {
        return Ok(());
    }
    if let Some(name) = SPECIAL_NAMES
        .into_iter()
        .find(|special| is_at_or_below(name, special))
    {
        return Err(EndpointUrlError::SpecialName { name });
    }
    if !name.contains('.') {
        return Err(EndpointUrlError::SingleLabel);
    }
    let own_host = rules
        .own_host
        .as_deref()
        .map(|own| own.strip_suffix('.').unwrap_or(own));
    let is_own = own_host.is_some_and(|own| own.eq_ignore_ascii_case(name));
    if is_own || rules.own_hosts.contain(name) {
        return Err(EndpointUrlError::OwnHost);
    }
    Ok(())
}

fn is_at_or_below(name: &str, special: &str) -> bool {
    name.strip_suffix(special)
        .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// Parsing percent-encodes, which can triple the length.
fn fit(url: Url) -> Result<EndpointUrl, EndpointUrlError> {
    if url.as_str().len() > LONGEST_URL {
        Err(EndpointUrlError::TooLong)
    } else {
        Ok(EndpointUrl(url))
    }
}

fn explain(error: ParseError) -> EndpointUrlError {
    match error {
        ParseError::InvalidPort => EndpointUrlError::Port,
        ParseError::InvalidIpv4Address | ParseError::InvalidIpv6Address => {
            EndpointUrlError::IpAddress
        }
        ParseError::RelativeUrlWithoutBase
        | ParseError::RelativeUrlWithCannotBeABaseBase
        | ParseError::EmptyHost => EndpointUrlError::Incomplete,
        ParseError::Overflow => EndpointUrlError::TooLong,
        ParseError::IdnaError
        | ParseError::InvalidDomainCharacter
        | ParseError::SetHostOnCannotBeABaseUrl
        | _ => EndpointUrlError::HostName,
    }
}
