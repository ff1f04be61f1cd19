//! Finding anything of a workspace by one text: a delivery's id, the id of an event, a webhook's id or a part of its URL.

use super::{
    Page, assets,
    frame::{Frame, Notice},
    health::Standing,
    when, words,
};
use crate::domain::{
    ids::{DeliveryId, EventId, WebhookId},
    record::DeliveryRecord,
    webhook::{LastAttempts, Webhook},
};

/// The most characters of a text to look for: those of a URL.
pub const SOUGHT_LIMIT: usize = 2_048;

/// What is looked for, as typed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sought(String);

impl Sought {
    /// Reads the query.
    #[must_use]
    pub fn parse<'a>(mut query: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        let typed = query.find(|(name, _)| *name == "q");
        Self(typed.map_or_else(String::new, |(_, text)| text.trim().into()))
    }

    /// The text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }

    /// Whether nothing was typed.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it is longer than anything that can be found.
    #[must_use]
    pub fn is_too_long(&self) -> bool {
        self.0.chars().count() > SOUGHT_LIMIT
    }

    /// What the webhooks' objects are asked for, if it may be the id of an event or of a delivery.
    #[must_use]
    pub fn event(&self) -> Option<EventId> {
        let id = EventId::parse(&self.0).ok();
        id.filter(|_| WebhookId::parse(&self.0).is_err())
    }

    /// Whether a webhook has this id, or this text in its URL.
    #[must_use]
    pub fn matches(&self, webhook: &Webhook) -> bool {
        if self.is_empty() || self.is_too_long() {
            return false;
        }
        let contains = |text: &str| text.to_lowercase().contains(&self.0.to_lowercase());
        webhook.id.as_ref() == self.0 || contains(&webhook.settings.url)
    }

    /// What it looks like, for those who find nothing.
    fn kind(&self) -> &'static str {
        if DeliveryId::parse(&self.0).is_ok() {
            "the id of a delivery"
        } else if WebhookId::parse(&self.0).is_ok() {
            "the id of a webhook"
        } else if self.event().is_some() {
            "an event_id or a part of a URL"
        } else {
            "a part of a URL"
        }
    }
}

/// A delivery that was found, and whose it is.
pub struct FoundDelivery {
    /// Its webhook.
    pub webhook: WebhookId,
    /// The webhook's URL.
    pub url: String,
    /// The delivery, in brief.
    pub record: DeliveryRecord,
}

/// What was found.
#[derive(Default)]
pub struct Found {
    /// Webhooks of this id, or with the text in their URL.
    pub webhooks: Vec<Webhook>,
    /// Deliveries of this id, or of the event of this id.
    pub deliveries: Vec<FoundDelivery>,
    /// How many webhooks the workspace has.
    pub among: usize,
    /// How many of them did not answer.
    pub silent: usize,
}

impl Found {
    /// The page of the only match, if every webhook has answered.
    #[must_use]
    pub fn only(&self) -> Option<String> {
        match (self.webhooks.as_slice(), self.deliveries.as_slice()) {
            _ if self.silent > 0 => None,
            ([webhook], []) => Some(format!("/settings/webhooks/{}", webhook.id)),
            ([], [delivery]) => Some(delivery.address()),
            _ => None,
        }
    }

    fn count(&self) -> usize {
        self.webhooks.len().saturating_add(self.deliveries.len())
    }
}

impl FoundDelivery {
    fn address(&self) -> String {
        format!(
            "/settings/webhooks/{}/deliveries/{}",
            self.webhook, self.record.id
        )
    }
}

/// The page of what was found, or of nothing.
#[derive(Page)]
#[template(path = "find.html", config = "src/dashboard/askama.toml")]
pub struct FindPage {
    /// What is around it.
    pub frame: Frame,
    /// What was looked for.
    pub sought: Sought,
    /// What was found.
    pub found: Found,
}

impl FindPage {
    /// How a webhook does, as the workspace was last told.
    fn standing(webhook: &Webhook) -> Standing {
        Standing::new(webhook, webhook.standing.health, LastAttempts::default())
    }

    fn headline(&self) -> String {
        match self.found.count() {
            _ if self.sought.is_empty() => "Search".into(),
            0 => "Nothing was found".into(),
            1 => "1 match".into(),
            number => format!("{number} matches"),
        }
    }

    /// Where the event is traced, if the text may be its id.
    fn trace(&self) -> Option<String> {
        let id = self.sought.event()?;
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.append_pair("id", id.as_ref());
        Some(format!("/settings/events?{}", query.finish()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGITS: &str = "00000000000070008000000000000000";

    fn sought(text: &str) -> Sought {
        Sought::parse([("x", "y"), ("q", text)].into_iter())
    }

    #[test]
    fn only_what_may_be_an_id_of_an_event_is_asked_of_every_webhook() {
        for (text, is_event, kind) in [
            (format!("evt_{DIGITS}"), true, "the id of a delivery"),
            (format!("wh_{DIGITS}"), false, "the id of a webhook"),
            ("order:4711".into(), true, "an event_id or a part of a URL"),
            ("example.com".into(), true, "an event_id or a part of a URL"),
            ("https://example.com/".into(), false, "a part of a URL"),
            ("two words".into(), false, "a part of a URL"),
            ("é".into(), false, "a part of a URL"),
        ] {
            let sought = sought(&text);
            assert_eq!(
                (sought.event().is_some(), sought.kind()),
                (is_event, kind),
                "{text}"
            );
        }
    }

    #[test]
    fn nothing_is_nothing_and_too_much_is_said() {
        assert!(Sought::parse([].into_iter()).is_empty());
        assert!(sought(" \t").is_empty() && sought("").event().is_none());
        assert!(!sought(&"é".repeat(SOUGHT_LIMIT)).is_too_long());
        assert!(sought(&"é".repeat(SOUGHT_LIMIT + 1)).is_too_long());
    }
}
