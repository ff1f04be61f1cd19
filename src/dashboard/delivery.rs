//! A delivery: its payload, and its attempts on a time line.

use super::{Page, assets, frame::Frame, probe::SentParts};
use crate::domain::{record::DeliveryRecord, webhook::Webhook};

/// The page of a delivery.
#[derive(Page)]
#[template(path = "delivery.html", config = "src/dashboard/askama.toml")]
pub struct DeliveryPage {
    /// What is around it.
    pub frame: Frame,
    /// Its webhook.
    pub webhook: Webhook,
    /// The delivery, whole.
    pub record: DeliveryRecord,
    /// The request's URL and headers, of a ping or a test.
    pub request: Option<SentParts>,
}
