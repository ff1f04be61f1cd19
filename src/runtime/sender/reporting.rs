//! Where a sender reports: to the object of its webhook.

use std::rc::Rc;

use worker::{Env, console_error};

use crate::{
    domain::ids::{WebhookId, WorkspaceId},
    runtime::platform::object_calls::{Grant, WebhookCommand, WebhookReply, report_attempts},
};

/// Takes reports of attempts.
pub(in crate::runtime) trait Reports {
    /// Takes a report; returns the leases that it is answered with, or none if it is not answered.
    async fn report(&self, report: Rc<WebhookCommand>) -> Option<Vec<Grant>>;
}

/// Reports by a call of the webhook's object.
pub(in crate::runtime) struct ToObject<'a> {
    pub(in crate::runtime) env: &'a Env,
    pub(in crate::runtime) workspace: &'a WorkspaceId,
    pub(in crate::runtime) webhook: &'a WebhookId,
}

impl Reports for ToObject<'_> {
    async fn report(&self, report: Rc<WebhookCommand>) -> Option<Vec<Grant>> {
        match report_attempts(self.env, self.workspace, self.webhook, &report).await {
            Ok(reply) => Some(granted(reply)),
            Err(error) => {
                console_error!("report: {error}");
                None
            }
        }
    }
}

/// The leases in the reply to a report; a webhook that is deleted grants none.
pub(in crate::runtime) fn granted(reply: WebhookReply) -> Vec<Grant> {
    match reply {
        WebhookReply::Granted(grants) => grants,
        _ => Vec::new(),
    }
}
