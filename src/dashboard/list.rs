//! The list of a workspace's webhooks.

use std::borrow::Borrow;

use super::{
    Page, assets,
    chart::Chart,
    frame::{Frame, Notice},
    health::{Day, Standing},
    when, words,
};
use crate::domain::{
    stats::HourCounts,
    timestamp::Timestamp,
    webhook::{Health, LastAttempts, Webhook},
};

/// The list of webhooks.
#[derive(Page)]
#[template(path = "list.html", config = "src/dashboard/askama.toml")]
pub struct ListPage {
    /// What is around it.
    pub frame: Frame,
    /// The webhooks, in the order in which they are listed.
    pub webhooks: Vec<ListedWebhook>,
}

/// A webhook with its last 24 hours.
pub struct ListedWebhook {
    /// The webhook.
    pub webhook: Webhook,
    /// The last 24 hours that have counts; none if its object did not answer.
    pub hours: Option<Vec<(i64, HourCounts)>>,
    /// How its attempts have been ending.
    pub health: Option<Health>,
    /// Its last attempts.
    pub last: LastAttempts,
}

impl ListedWebhook {
    fn standing(&self) -> Standing {
        Standing::new(&self.webhook, self.health, self.last)
    }

    fn day(&self, now: impl Borrow<Timestamp>) -> Option<Day> {
        Day::new(self.hours.as_deref()?, self.last, *now.borrow())
    }
}
