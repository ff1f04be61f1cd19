//! Where a sender reports: to the object of its webhook.

use std::{cell::RefCell, time::Duration};

use worker::{Delay, Env, console_error};

use crate::{
    domain::{
        budget::Budget,
        ids::{WebhookId, WorkspaceId},
    },
    runtime::commands::{AttemptReport, Grant, WebhookCommand, WebhookReply, ask_webhook},
};

/// How often a report is tried; if all tries fail, the lease is lost and the attempt is made again.
const TRIES: u32 = 3;

/// Takes reports of attempts.
pub(in crate::runtime) trait Reports {
    /// Takes reports; returns at most `leases` further leases.
    async fn report(&self, reports: Vec<AttemptReport>, leases: usize) -> Vec<Grant>;
}

/// Reports by a call of the webhook's object.
pub(in crate::runtime) struct ToObject<'a> {
    pub(in crate::runtime) env: &'a Env,
    pub(in crate::runtime) workspace: &'a WorkspaceId,
    pub(in crate::runtime) webhook: &'a WebhookId,
    pub(in crate::runtime) budget: &'a RefCell<Budget>,
}

impl Reports for ToObject<'_> {
    async fn report(&self, reports: Vec<AttemptReport>, leases: usize) -> Vec<Grant> {
        let command = WebhookCommand::Report { reports, leases };
        for attempt in 1..=TRIES {
            self.budget.borrow_mut().count_call();
            match ask_webhook(self.env, self.workspace, self.webhook, &command).await {
                Ok(WebhookReply::Granted(grants)) => return grants,
                Ok(_) => return Vec::new(),
                Err(error) => console_error!("report {attempt}: {error}"),
            }
            if attempt < TRIES {
                Delay::from(Duration::from_millis(200).saturating_mul(attempt)).await;
            }
        }
        Vec::new()
    }
}
