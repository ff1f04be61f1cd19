//! The words of a brand, each with its form: the product's name, the header names, the address of its support.

use url::Url;

use super::{DEFAULT_NAME, DEFAULT_PREFIX};
use crate::domain::access::is_visible;

/// Characters of a product's name.
const NAME_LIMIT: usize = 40;

/// Characters of a header prefix after `X-`.
const PREFIX_LIMIT: usize = 30;

/// Characters of the address of the support.
const URL_LIMIT: usize = 2048;

/// First words of header names that proxies, platforms and browsers give a meaning: a receiver could take the relay's
/// headers for theirs, or a proxy on the way drop them.
const TAKEN: [&str; 22] = [
    "forwarded",
    "real",
    "original",
    "client",
    "cluster",
    "host",
    "proxy",
    "http",
    "method",
    "request",
    "requested",
    "correlation",
    "rewrite",
    "envoy",
    "amz",
    "amzn",
    "azure",
    "cf",
    "cloud",
    "google",
    "content",
    "frame",
];

/// The name of the product that sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProductName(String);

impl ProductName {
    /// The required form.
    pub const ALLOWED: &'static str = "1 to 40 characters without quotes, backslashes, <, > and invisible characters, \
         none of the two ends a space";

    /// Reads a name; none if it has not the form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_plain =
            |one: char| is_visible(one) && !matches!(one, '"' | '\'' | '`' | '\\' | '<' | '>');
        let fits = (1..=NAME_LIMIT).contains(&text.chars().count());
        (fits && text.chars().all(is_plain) && text.trim() == text).then(|| Self(text.into()))
    }

    /// A name that is nobody's.
    pub(super) fn nobodys() -> Self {
        Self("Webhooks".into())
    }

    /// The name as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its ASCII letters and digits.
    pub(super) fn letters(&self) -> String {
        let letters = self.0.chars().filter(char::is_ascii_alphanumeric);
        letters.collect()
    }
}

impl Default for ProductName {
    fn default() -> Self {
        Self(DEFAULT_NAME.into())
    }
}

/// What the relay's own header names begin with, such as `X-Acme`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderPrefix(String);

impl HeaderPrefix {
    /// The required form.
    pub const ALLOWED: &'static str = "X- and 1 to 30 letters, digits and hyphens, the last one no hyphen, such as \
         X-Acme; not a prefix that proxies, platforms or browsers use, such as X-Forwarded or X-Real";

    /// Reads a prefix; none if it has not the form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("X-")?;
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        let fits = (1..=PREFIX_LIMIT).contains(&rest.len()) && rest.bytes().all(is_plain);
        let first = rest.split('-').next().unwrap_or_default();
        let is_taken = TAKEN.iter().any(|taken| first.eq_ignore_ascii_case(taken));
        (fits && !is_taken && !rest.ends_with('-')).then(|| Self(text.into()))
    }

    /// The prefix as it was written, without a hyphen behind it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A header's whole name.
    pub(super) fn name(&self, ending: &str) -> String {
        format!("{}-{ending}", self.0)
    }

    /// Whether a header's name in lower case begins with it.
    #[must_use]
    pub fn begins(&self, lower: &str) -> bool {
        let own = self.0.bytes().map(|byte| byte.to_ascii_lowercase());
        let mut given = lower.bytes();
        own.chain([b'-']).all(|byte| given.next() == Some(byte))
    }
}

impl Default for HeaderPrefix {
    fn default() -> Self {
        Self(DEFAULT_PREFIX.into())
    }
}

/// Under which names the headers of Standard Webhooks are sent. Svix, which the standard comes from, has others; its
/// packages take either.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StandardHeaders {
    /// `webhook-id` and so on, as the standard has them.
    #[default]
    Webhook,
    /// `svix-id` and so on, for receivers of a sender that used Svix.
    Svix,
    /// Both.
    Both,
}

impl StandardHeaders {
    /// The required form.
    pub const ALLOWED: &'static str = "webhook, svix, or webhook,svix";

    /// Reads the setting; none if it has not the form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let all = [Self::Webhook, Self::Svix, Self::Both];
        all.into_iter().find(|one| one.as_str() == text)
    }

    /// The setting's text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Svix => "svix",
            Self::Both => "webhook,svix",
        }
    }

    /// What the names begin with, in the order in which pages list them.
    #[must_use]
    pub const fn families(self) -> &'static [&'static str] {
        match self {
            Self::Webhook => &["webhook"],
            Self::Svix => &["svix"],
            Self::Both => &["webhook", "svix"],
        }
    }

    /// A header's name in the first family: `webhook-id` for `id`.
    #[must_use]
    pub fn name(self, ending: &str) -> String {
        let family = self.families().first().copied().unwrap_or_default();
        format!("{family}-{ending}")
    }

    /// Whether the standard's own names are sent.
    #[must_use]
    pub const fn has_standard_names(self) -> bool {
        matches!(self, Self::Webhook | Self::Both)
    }
}

/// Where customers get help.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SupportUrl(String);

impl SupportUrl {
    /// The required form.
    pub const ALLOWED: &'static str =
        "empty, or an address such as https://example.com/support or mailto:support@example.com";

    /// Reads an address; none if it has not the form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_plain = |one: char| is_visible(one) && !one.is_whitespace();
        if text.chars().count() > URL_LIMIT || !text.chars().all(is_plain) {
            return None;
        }
        let url = Url::parse(text).ok()?;
        let is_web = url.scheme() == "https" && url.has_host() && url.username().is_empty();
        let is_mail = url.scheme() == "mailto" && url.path().contains('@');
        (is_web || is_mail).then(|| Self(url.into()))
    }

    /// The address, in the normal form of the `url` crate.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_name_is_what_people_call_the_product() {
        for name in ["A", "Acme & Co. (2)", "Öl-Werk 日本", &"é".repeat(40)] {
            assert_eq!(ProductName::parse(name).unwrap().as_str(), name);
        }
        for name in [
            "",
            " ",
            "Acme ",
            "a\"b",
            "a'b",
            "a`b",
            "a\\b",
            "a<b",
            "a>b",
            "a\nb",
            "a\u{202e}b",
            "a\u{0}b",
            "a\u{200b}b",
        ] {
            assert_eq!(ProductName::parse(name), None, "{name:?}");
        }
        assert_eq!(ProductName::parse(&"é".repeat(41)), None);
    }

    #[test]
    fn a_prefix_is_the_beginning_of_a_header_name_that_nobody_else_uses() {
        for prefix in ["X-A", "X-Acme", "X-acme-2", "X-Realty", "X-Secureagentics"] {
            assert_eq!(HeaderPrefix::parse(prefix).unwrap().as_str(), prefix);
        }
        let longest = format!("X-{}", "a".repeat(30));
        assert!(HeaderPrefix::parse(&longest).is_some());
        assert_eq!(HeaderPrefix::parse(&format!("{longest}a")), None);
        for prefix in [
            "",
            "X-",
            "Acme",
            "x-acme",
            "X-Acme-",
            "X--",
            "X-Ac me",
            "X-Acme:",
            "X-Ä",
            "X-A\r\n",
            "X-Forwarded",
            "X-FORWARDED-By",
            "X-Real",
            "X-Original",
            "X-Amz",
            "X-Cf",
            "X-HTTP-Method",
        ] {
            assert_eq!(HeaderPrefix::parse(prefix), None, "{prefix}");
        }
    }

    #[test]
    fn a_prefix_takes_all_names_that_begin_with_it_and_a_hyphen() {
        let prefix = HeaderPrefix::parse("X-Acme").unwrap();
        assert!(prefix.begins("x-acme-event") && prefix.begins("x-acme-"));
        for name in ["x-acme", "x-acmeevent", "x-acm-event", "x-team", ""] {
            assert!(!prefix.begins(name), "{name}");
        }
    }

    #[test]
    fn the_standard_headers_have_one_family_of_names_or_two() {
        assert_eq!(
            StandardHeaders::parse("webhook"),
            Some(StandardHeaders::Webhook)
        );
        assert_eq!(
            StandardHeaders::parse("svix").unwrap().name("id"),
            "svix-id"
        );
        let both = StandardHeaders::parse("webhook,svix").unwrap();
        assert_eq!(both.families(), ["webhook", "svix"]);
        assert_eq!(both.name("signature"), "webhook-signature");
        for text in ["", "Svix", "svix,webhook", "webhook, svix", "webhook,"] {
            assert_eq!(StandardHeaders::parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_support_is_a_page_or_a_mailbox() {
        for address in [
            "https://example.com/support?from=webhooks",
            "mailto:help@example.com",
        ] {
            assert_eq!(SupportUrl::parse(address).unwrap().as_str(), address);
        }
        for address in [
            "",
            "example.com",
            "http://example.com/",
            "javascript:alert(1)",
            "data:text/html,a",
            "https://",
            "https://user@example.com/",
            "mailto:",
            "https://example.com/a b",
        ] {
            assert_eq!(SupportUrl::parse(address), None, "{address}");
        }
    }

    proptest! {
        #[test]
        fn no_name_ends_a_string_a_comment_or_a_tag(text in "\\PC{0,45}|.{0,45}") {
            if let Some(name) = ProductName::parse(&text) {
                let breaks = |one: char| one.is_control() || "\"'`\\<>\u{2028}\u{2029}".contains(one);
                prop_assert!(!name.as_str().contains(breaks));
                prop_assert!(name.letters().bytes().all(|byte| byte.is_ascii_alphanumeric()));
            }
        }

        #[test]
        fn a_prefix_is_always_a_token(text in "X-[A-Za-z0-9-]{0,32}|.{0,33}") {
            if let Some(prefix) = HeaderPrefix::parse(&text) {
                let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
                prop_assert!(prefix.name("Event").bytes().all(is_plain));
                prop_assert!(prefix.begins(&prefix.name("event").to_ascii_lowercase()));
            }
        }
    }
}
