//! On a webhook's page: how far its bulk resend is, what leads to the page that starts one, and whether the page
//! refreshes itself.

use std::time::Duration;

use super::{
    detail::DetailPage, resend_form::ResendForm, spans::Range, time_field::TimeField, words,
};
use crate::domain::{
    delivery::Status, last_attempt::LastAttemptFilter, outcome::Outcome, resend::BulkResendStatus,
    timestamp::Timestamp,
};

/// How long before the end of its first failed attempt an event was made at most: an attempt takes seconds.
const MADE_BEFORE: Duration = Duration::from_secs(60);

impl DetailPage {
    /// Whether something on the page is about to change by itself.
    pub(super) fn is_live(&self) -> bool {
        let mut records = self.deliveries.iter();
        self.bulk_resend_runs() || records.any(|record| record.delivery.status() == Status::Pending)
    }

    /// The address of what the page shows. It names no place on it: a browser would only go there, and load nothing.
    pub(super) fn same_page(&self) -> String {
        let Self { query, webhook, .. } = self;
        let page = format!("/settings/webhooks/{}{}", webhook.id, query.suffix('?'));
        match &self.bulk_resend {
            None => page,
            Some(shown) => {
                let joint = if page.contains('?') { '&' } else { '?' };
                format!("{page}{joint}resend={}", shown.id)
            }
        }
    }

    pub(super) fn bulk_resend_runs(&self) -> bool {
        let status = self.bulk_resend.as_ref().map(|shown| shown.status);
        status == Some(BulkResendStatus::Running)
    }

    pub(super) fn bulk_resend_headline(&self) -> String {
        let shown = self.bulk_resend.as_ref();
        shown.map(words::resend_headline).unwrap_or_default()
    }

    /// What is said aloud of it: each quarter of the way, and the end.
    pub(super) fn bulk_resend_said(&self) -> String {
        let Some(shown) = self.bulk_resend.as_ref() else {
            return String::new();
        };
        if !self.bulk_resend_runs() {
            return words::resend_headline(shown);
        }
        let quarters = shown.done().saturating_mul(4).checked_div(shown.total);
        let percent = quarters.unwrap_or_default().saturating_mul(25);
        format!("{} {percent}% done.", words::resend_headline(shown))
    }

    /// The class of its colour: as green as its result.
    pub(super) fn bulk_resend_colour(&self) -> &'static str {
        let Some(shown) = self.bulk_resend.as_ref() else {
            return "";
        };
        match (shown.status, shown.delivered, shown.failed) {
            (BulkResendStatus::Running, ..) => "",
            (_, 0, 1..) => "bad",
            (BulkResendStatus::Stopped, ..) | (_, _, 1..) => "warn",
            (_, 0, 0) => "",
            (_, 1.., 0) => "good",
        }
    }

    /// Where the events that the log shows are resent, and the words of the link.
    pub(super) fn resend_offer(&self) -> (String, &'static str) {
        let status = match self.query.status {
            Some(Status::Held) => Status::Held,
            Some(Status::Pending) => Status::Pending,
            Some(Status::Failed | Status::Delivered) | None => Status::Failed,
        };
        let words = match (status, self.is_filtered()) {
            (Status::Pending, _) => "Send pending events now",
            (Status::Held, _) => "Resend held events",
            (_, false) => "Resend failed events",
            (_, true) => "Resend the failed ones of these",
        };
        let Self { query, frame, .. } = self;
        let since = match (query.since.is_empty(), query.range) {
            (true, range) if range != Range::All => query.filter(frame.now).since.map(at),
            _ => None,
        };
        let LastAttemptFilter {
            outcome,
            response_status,
        } = query.last_attempt;
        let form = ResendForm {
            status: status.as_str().into(),
            event_type: query.event_type.clone(),
            response_status: response_status
                .map_or_else(String::new, |statuses| statuses.to_string()),
            outcome: outcome.map_or("", Outcome::as_str).into(),
            since: since.unwrap_or_else(|| query.since.clone()),
            until: query.until.clone(),
            ..ResendForm::default()
        };
        (form.address(&self.webhook.id), words)
    }

    /// Where what has failed since the webhook began to fail is resent; none if it does not fail.
    pub(super) fn resend_since_failing(&self) -> Option<String> {
        let health = self.health.filter(|health| health.consecutive_failures > 0);
        let failing_since = self.webhook.standing.failing_since;
        let since = failing_since.or(health.map(|health| health.since));
        let form = ResendForm {
            status: Status::Failed.as_str().into(),
            since: at(since?.saturating_sub(MADE_BEFORE)),
            ..ResendForm::default()
        };
        Some(form.address(&self.webhook.id))
    }
}

fn at(time: Timestamp) -> TimeField {
    TimeField::parse(&time.to_string())
}
