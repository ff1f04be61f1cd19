//! Whose product sends the webhooks: its name, its header names, its colour, its logo. A deployment's settings say it.
//!
//! Texts that are compiled in (samples, the OpenAPI document) are written for the default brand; [`Brand::rewrite`] puts
//! another one in its place.

use std::borrow::Cow;

pub use self::{
    accent::{Accent, Colour, Shades, Theme},
    logo::{Logo, LogoFormat},
    values::{HeaderPrefix, ProductName, StandardHeaders, SupportUrl},
};

mod accent;

mod logo;

mod values;

/// The product of the customer docs.
const DEFAULT_NAME: &str = "Secureagentics";

/// The prefix of header names in the customer docs.
const DEFAULT_PREFIX: &str = "X-Secureagentics";

/// The default brand's words in texts that are compiled in, the longer ones before those that they begin with.
const DEFAULT_WORDS: [&str; 5] = [
    "Secureagentics-Webhooks",
    DEFAULT_PREFIX,
    "x-secureagentics",
    DEFAULT_NAME,
    "secureagentics",
];

/// The brand of a deployment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Brand {
    /// `PRODUCT_NAME`.
    pub name: ProductName,
    /// `HEADER_PREFIX`: what the relay's own header names begin with.
    pub header_prefix: HeaderPrefix,
    /// `STANDARD_HEADERS`: under which names the headers of Standard Webhooks are sent.
    pub standard_headers: StandardHeaders,
    /// `ACCENT_COLOR`: the colour from which those of links and buttons are derived.
    pub accent: Accent,
    /// `LOGO`: shown in place of the dashboard's own sign.
    pub logo: Option<Logo>,
    /// `SUPPORT_URL`: where customers get help.
    pub support: Option<SupportUrl>,
}

impl Brand {
    /// The brand of pages that must say that the settings cannot be read: it is nobody's.
    #[must_use]
    pub fn nobodys() -> Self {
        Self {
            name: ProductName::nobodys(),
            ..Self::default()
        }
    }

    /// The header with the event's type.
    #[must_use]
    pub fn event_header(&self) -> String {
        self.header_prefix.name("Event")
    }

    /// The header with the attempt's number: a request that has it comes from a webhook.
    #[must_use]
    pub fn attempt_header(&self) -> String {
        self.header_prefix.name("Attempt")
    }

    /// The header with the hex signature of the body.
    #[must_use]
    pub fn signature_header(&self) -> String {
        self.header_prefix.name("Signature")
    }

    /// The `User-Agent` without its version: the letters and digits of the name, then `Webhooks`.
    #[must_use]
    pub fn user_agent(&self) -> String {
        let letters = self.name.letters();
        let hyphen = if letters.is_empty() { "" } else { "-" };
        format!("{letters}{hyphen}Webhooks")
    }

    /// The last part of the path that samples use.
    fn path_word(&self) -> String {
        let letters = self.name.letters().to_ascii_lowercase();
        if letters.is_empty() {
            "events".into()
        } else {
            letters
        }
    }

    /// Replaces the default brand's words. What stands in their place has no quote, no backslash, no `<` or `>` and no
    /// control character, so it is as it should be in JSON and in a comment; where samples have one in their code, it
    /// is a header's name or a path's part, of letters, digits and hyphens.
    #[must_use]
    pub fn rewrite(&self, text: &'static str) -> Cow<'static, str> {
        if (self.name.as_str(), self.header_prefix.as_str()) == (DEFAULT_NAME, DEFAULT_PREFIX) {
            return text.into();
        }
        let own = [
            self.user_agent(),
            self.header_prefix.as_str().to_owned(),
            self.header_prefix.as_str().to_ascii_lowercase(),
            self.name.as_str().to_owned(),
            self.path_word(),
        ];
        let mut rewritten = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((at, default, own)) = first_word(rest, &own) {
            let (before, after) = rest.split_at_checked(at).unwrap_or((rest, ""));
            rewritten.push_str(before);
            rewritten.push_str(own);
            rest = after.strip_prefix(default).unwrap_or_default();
        }
        rewritten.push_str(rest);
        rewritten.into()
    }
}

/// Finds the first of the default brand's words, the longest where several begin, and what stands in its place.
fn first_word<'a>(text: &str, own: &'a [String; 5]) -> Option<(usize, &'static str, &'a str)> {
    let found = DEFAULT_WORDS.into_iter().zip(own);
    let found = found.filter_map(|(word, own)| Some((text.find(word)?, word, own.as_str())));
    // `min_by_key` returns the first of several.
    found.min_by_key(|(at, ..)| *at)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "User-Agent: Secureagentics-Webhooks/1, X-Secureagentics-Event, x-secureagentics-attempt, \
                        /webhooks/secureagentics: of Secureagentics";

    #[test]
    fn the_default_brand_is_that_of_the_customer_docs() {
        let brand = Brand::default();
        assert_eq!(brand.name.as_str(), "Secureagentics");
        assert_eq!(brand.event_header(), "X-Secureagentics-Event");
        assert_eq!(brand.attempt_header(), "X-Secureagentics-Attempt");
        assert_eq!(brand.signature_header(), "X-Secureagentics-Signature");
        assert_eq!(brand.user_agent(), "Secureagentics-Webhooks");
        assert_eq!(brand.standard_headers.families(), ["webhook"]);
        assert_eq!((brand.logo, brand.support), (None, None));
        assert!(matches!(
            Brand::default().rewrite(TEXT),
            Cow::Borrowed(TEXT)
        ));
    }

    #[test]
    fn another_brand_takes_the_place_of_the_default_in_every_form() {
        assert_eq!(
            brand("Acme & Söhne 2", "X-Acme").rewrite(TEXT),
            "User-Agent: AcmeShne2-Webhooks/1, X-Acme-Event, x-acme-attempt, \
             /webhooks/acmeshne2: of Acme & Söhne 2"
        );
    }

    #[test]
    fn a_name_without_latin_letters_still_has_a_user_agent_and_a_path() {
        assert_eq!(
            brand("日本", "X-Relay").rewrite(TEXT),
            "User-Agent: Webhooks/1, X-Relay-Event, x-relay-attempt, /webhooks/events: of 日本"
        );
    }

    #[test]
    fn a_name_that_has_the_default_in_it_is_not_rewritten_again() {
        assert_eq!(
            brand(
                "Secureagentics secureagentics",
                "X-Secureagentics-Secureagentics"
            )
            .rewrite("Secureagentics, x-secureagentics-event"),
            "Secureagentics secureagentics, x-secureagentics-secureagentics-event"
        );
    }

    #[test]
    fn who_cannot_be_known_has_nobodys_name() {
        assert!(!Brand::nobodys().name.as_str().contains(DEFAULT_NAME));
    }

    fn brand(name: &str, prefix: &str) -> Brand {
        Brand {
            name: ProductName::parse(name).unwrap(),
            header_prefix: HeaderPrefix::parse(prefix).unwrap(),
            ..Brand::default()
        }
    }
}
