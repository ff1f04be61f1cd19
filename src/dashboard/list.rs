//! The list of a workspace's webhooks.

use super::{
    Page, assets,
    chart::Chart,
    frame::{Frame, Notice},
    when, words,
};
use crate::domain::{stats::HourCounts, webhook::Webhook};

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
}
