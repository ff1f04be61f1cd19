//! A delivery: its payload, and its attempts on a time line.

use serde_json::value::RawValue;

use super::{
    Page, assets,
    frame::{Frame, Notice},
    json,
    probe::SentParts,
    response::ShownResponse,
    verify::SAMPLES,
    when, words,
};
use crate::domain::{
    attempt::Attempt,
    delivery::{FailedReason, Kind, State},
    record::DeliveryRecord,
    webhook::{Status, Webhook},
};

/// Attempts on the time line; only after several resends are there more.
const ATTEMPTS_SHOWN: usize = 24;

/// Bytes of HTML for the responses of all attempts together, the latest first, so that the page stays light.
const RESPONSES_ROOM: usize = 16 * 1024;

/// Bytes of HTML for the payload.
const PAYLOAD_ROOM: usize = 10 * 1024;

/// The page of a delivery.
#[derive(Page)]
#[template(path = "delivery.html", config = "src/dashboard/askama.toml")]
pub struct DeliveryPage {
    /// What is around it.
    pub frame: Frame,
    /// Its webhook.
    pub webhook: Webhook,
    /// The whole delivery.
    pub record: DeliveryRecord,
    /// The request's URL and headers, of a ping or a test.
    pub request: Option<SentParts>,
}

impl DeliveryPage {
    /// The address of the webhook's page.
    fn base(&self) -> String {
        format!("/settings/webhooks/{}", self.webhook.id)
    }

    /// The address of the page.
    fn here(&self) -> String {
        format!("{}/deliveries/{}", self.base(), self.record.id)
    }

    fn is_probe(&self) -> bool {
        self.record.delivery.kind() != Kind::Event
    }

    fn is_leased(&self) -> bool {
        matches!(self.record.delivery.state(), State::Leased { .. })
    }

    fn may_resend(&self) -> bool {
        let is_over = match self.record.delivery.state() {
            State::Delivered { .. } | State::Failed { .. } => true,
            State::Held | State::Scheduled { .. } | State::Leased { .. } => false,
        };
        is_over && !self.is_probe() && self.webhook.disabled().is_none()
    }

    /// Whether its next attempt would be made at once: not while the webhook is off, or another delivery comes first.
    fn may_send_now(&self) -> bool {
        let waits = match self.record.delivery.state() {
            State::Held | State::Scheduled { .. } => self.record.waiting_for.is_none(),
            State::Leased { .. } | State::Delivered { .. } | State::Failed { .. } => false,
        };
        waits && !self.is_probe() && self.webhook.status() == Status::Enabled
    }

    /// Whether it waits for the paused webhook.
    fn waits_for_resume(&self) -> bool {
        let is_scheduled = matches!(self.record.delivery.state(), State::Scheduled { .. });
        is_scheduled && !self.is_probe() && self.webhook.status() == Status::Paused
    }

    /// Whether only the disabled webhook keeps it from being sent.
    fn waits_for_enable(&self) -> bool {
        let wants = match self.record.delivery.state() {
            State::Held | State::Scheduled { .. } => true,
            State::Failed { reason, .. } => reason != FailedReason::SingleAttempt,
            State::Leased { .. } | State::Delivered { .. } => false,
        };
        wants && !self.is_probe() && self.webhook.disabled().is_some()
    }

    fn may_cancel(&self) -> bool {
        !self.record.delivery.is_settled() && !self.is_probe()
    }

    fn left_out(&self) -> u64 {
        let surplus = self.record.attempts.len().saturating_sub(ATTEMPTS_SHOWN);
        surplus.try_into().unwrap_or(u64::MAX)
    }

    /// The attempts on the time line, oldest first, each with its response.
    fn shown_attempts(&self) -> Vec<(&Attempt, ShownResponse)> {
        let mut room = RESPONSES_ROOM;
        let latest = self.record.attempts.iter().rev().take(ATTEMPTS_SHOWN);
        let mut shown: Vec<_> = latest
            .map(|attempt| (attempt, ShownResponse::new(attempt, &mut room)))
            .collect();
        shown.reverse();
        shown
    }

    fn payload_shown(payload: &RawValue) -> (String, bool) {
        let indented = json::indented(payload.get());
        let (beginning, is_all) = words::beginning(&indented, PAYLOAD_ROOM);
        (beginning.into(), is_all)
    }

    /// The delivery as the API answers it; the session's cookie opens it.
    fn json_address(&self) -> Option<String> {
        let session = self.frame.session.as_ref()?;
        Some(format!(
            "/v1/workspaces/{}/webhooks/{}/deliveries/{}",
            session.workspace, self.webhook.id, self.record.id
        ))
    }
}
