//! A delivery: its attempts, the newest open, each with the request and the answer as far as they are known.

use std::borrow::Borrow;

use super::{
    Page, advice, assets, curl,
    delivery_query::DeliveryQuery,
    detail_query::DetailQuery,
    frame::{Frame, Notice},
    markup::{self, Markup, Room},
    probe::SentParts,
    response::{ShownBody, ShownResponse},
    verify::SAMPLES,
    when, words,
};
use crate::domain::{
    attempt::Attempt,
    delivery::{self, FailedReason, Kind, State},
    record::DeliveryRecord,
    webhook::{Status, Webhook},
};

/// Attempts that the page lists; only after several resends are there more.
const ATTEMPTS_SHOWN: usize = 24;

/// The room for a command, whose body has a limit of its own.
const COMMAND_ROOM: Room = Room {
    text: 64 * 1024,
    html: 64 * 1024,
};

/// The page of a delivery.
#[derive(Page)]
#[template(path = "delivery.html", config = "src/dashboard/askama.toml")]
pub struct DeliveryPage {
    /// What is around it.
    pub frame: Frame,
    /// What the address asks for.
    pub query: DeliveryQuery,
    /// The part of the log from which it was opened.
    pub log: DetailQuery,
    /// Its webhook.
    pub webhook: Webhook,
    /// The whole delivery.
    pub record: DeliveryRecord,
    /// The request of the attempt that is open; none before the first.
    pub request: Option<AttemptRequest>,
}

/// The request of an attempt, besides its body.
pub struct AttemptRequest {
    /// Its URL and headers.
    pub parts: SentParts,
    /// How it is known.
    pub source: Source,
}

/// How a request is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// It is kept as it was sent.
    Kept,
    /// It is made again from the webhook's settings, which have not changed since.
    Recomputed,
    /// The webhook's settings have changed since: its URL, its own headers and its signatures are not known.
    Changed,
}

/// An attempt in the list.
struct Line<'a> {
    attempt: &'a Attempt,
    /// The newest attempt with the same answer.
    same_as: Option<u32>,
    is_open: bool,
}

impl DeliveryPage {
    /// The address of the page.
    fn here(&self) -> String {
        format!(
            "/settings/webhooks/{}/deliveries/{}",
            self.webhook.id, self.record.id
        )
    }

    /// Whether something on the page is about to change by itself.
    fn is_live(&self) -> bool {
        self.record.delivery.status() == delivery::Status::Pending
    }

    /// The address of what the page shows. It names no place on it: a browser would only go there, and load nothing.
    fn same_page(&self) -> String {
        let log = self.log.suffix('?');
        format!("{}{log}", self.here())
    }

    /// The address to which one of its forms posts.
    fn change(&self, what: &str) -> String {
        format!("{}/{what}{}", self.here(), self.log.suffix('?'))
    }

    /// The address of the page with that attempt open, its texts as they are or indented.
    fn view(&self, attempt: impl Borrow<u32>, raw: impl Borrow<bool>) -> String {
        let attempt = attempt.borrow();
        let raw = if *raw.borrow() { "&view=raw" } else { "" };
        let log = self.log.suffix('&');
        format!("{}?attempt={attempt}{raw}{log}#attempt", self.here())
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

    /// The attempts of the list, the newest first.
    fn lines(&self) -> Vec<Line<'_>> {
        let opened = self.query.opened(&self.record);
        let opened = opened.map(|attempt| attempt.attempt);
        let newest: Vec<_> = self
            .record
            .attempts
            .iter()
            .rev()
            .take(ATTEMPTS_SHOWN)
            .collect();
        let line = |(index, attempt): (usize, &&'_ Attempt)| {
            let mut newer = newest.get(..index).unwrap_or_default().iter().copied();
            let same = newer.find(|newer| has_same_answer(newer, attempt));
            (
                same.map(|same| same.attempt),
                opened == Some(attempt.attempt),
            )
        };
        let shown: Vec<_> = newest.iter().enumerate().map(line).collect();
        let lines = newest.iter().zip(shown);
        lines
            .map(|(attempt, (same_as, is_open))| Line {
                attempt,
                same_as,
                is_open,
            })
            .collect()
    }

    fn response(&self, attempt: &Attempt) -> ShownResponse {
        ShownResponse::new(attempt, self.query.raw)
    }

    fn payload(&self) -> Option<ShownBody> {
        let payload = self.record.payload.as_ref()?;
        Some(ShownBody::new(payload.get(), self.query.raw))
    }

    /// The name of the payload's file.
    fn file(&self) -> String {
        format!("{}.json", self.record.id)
    }

    /// The open attempt's request as a command, and whether that reads the payload's file.
    fn command(&self) -> Option<(Markup, bool)> {
        let AttemptRequest { parts, .. } = self.request.as_ref()?;
        let body = self.record.payload.as_ref()?.get();
        let command = curl::command(&parts.url, &parts.headers, body, &self.file());
        let (shown, _) = markup::plain(&command, COMMAND_ROOM);
        Some((shown, curl::needs_file(body)))
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

/// Whether two attempts ended in the same way, with the same answer; its headers may differ, as its date does.
fn has_same_answer(one: &Attempt, other: &Attempt) -> bool {
    one.outcome == other.outcome
        && one.response_status == other.response_status
        && one.error == other.error
        && one.response_truncated == other.response_truncated
        && one.response_body == other.response_body
}
