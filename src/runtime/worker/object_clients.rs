//! Calls of objects with the part of the reply that belongs to the command; refusals in the API's words.

use worker::Env;

use super::subscriptions;
use crate::{
    api::{error::ApiError, metrics::WebhookGauges},
    domain::{
        delivery::Kind,
        ids::{DeliveryId, EventId, ResendId, WebhookId, WorkspaceId},
        record::{DeliveryFilter, DeliveryRecord},
        resend::{BulkResend, Preview, Selection},
        stats::HourCounts,
        webhook::Webhook,
        workspace::Workspace,
    },
    machines::messages::next_page,
    runtime::platform::{
        faults::{unavailable, unexpected_reply},
        object_calls::{
            AttemptReport, Grant, NewDelivery, Refusal, Shown, Wanted, WebhookCommand,
            WebhookReply, WorkspaceCommand, WorkspaceReply, ask_webhook, ask_workspace,
        },
    },
};

/// The object of a workspace.
#[derive(Clone, Copy)]
pub(super) struct WorkspaceClient<'a> {
    pub(super) env: &'a Env,
    pub(super) workspace: &'a WorkspaceId,
}

impl WorkspaceClient<'_> {
    /// Asks; `read` reads the reply.
    pub(super) async fn ask<T>(
        self,
        command: &WorkspaceCommand,
        read: impl FnOnce(WorkspaceReply) -> Option<T>,
    ) -> Result<T, ApiError> {
        let reply = ask_workspace(self.env, self.workspace, command).await;
        read_reply(reply.map_err(|error| unavailable(&error))?, read)
    }

    /// Asks for a change; this isolate forgets what it knew of the workspace, whatever the reply.
    pub(super) async fn change<T>(
        self,
        command: &WorkspaceCommand,
        read: impl FnOnce(WorkspaceReply) -> Option<T>,
    ) -> Result<T, ApiError> {
        let changed = self.ask(command, read).await;
        subscriptions::forget(self.workspace);
        changed
    }

    /// Asks for a change that a webhook's object has to have.
    pub(super) async fn change_and_apply(self, command: &WorkspaceCommand) -> Result<(), ApiError> {
        applied(self.change(command, done).await?)
    }
}

/// Reads a reply of a workspace that is no refusal.
pub(super) fn read_reply<T>(
    reply: WorkspaceReply,
    read: impl FnOnce(WorkspaceReply) -> Option<T>,
) -> Result<T, ApiError> {
    match reply {
        WorkspaceReply::Refused(refusal) => Err(refusal.into()),
        reply => read(reply).ok_or_else(unexpected_reply),
    }
}

/// Refuses what the webhook's object does not have; repeating the call is safe.
pub(super) fn applied(applied: bool) -> Result<(), ApiError> {
    let not_applied = ApiError::NotApplied { webhook_id: None };
    applied.then_some(()).ok_or(not_applied)
}

/// A creation: made, or the encrypted first answer to one that is repeated.
pub(super) enum Made<T> {
    First(T),
    Before(String),
}

/// Reads the reply to a creation.
pub(super) fn made<T>(
    read: impl FnOnce(WorkspaceReply) -> Option<T>,
) -> impl FnOnce(WorkspaceReply) -> Option<Made<T>> {
    |reply| match reply {
        WorkspaceReply::Answered { answer } => Some(Made::Before(answer)),
        reply => read(reply).map(Made::First),
    }
}

/// Reads a workspace.
pub(super) fn workspace(reply: WorkspaceReply) -> Option<Workspace> {
    match reply {
        WorkspaceReply::Workspace { workspace, .. } => Some(workspace),
        _ => None,
    }
}

/// Reads a webhook.
pub(super) fn webhook(reply: WorkspaceReply) -> Option<Webhook> {
    changed_webhook(reply).map(|(webhook, _)| webhook)
}

/// Reads a webhook and whether its object has the change.
pub(super) fn changed_webhook(reply: WorkspaceReply) -> Option<(Webhook, bool)> {
    match reply {
        WorkspaceReply::Webhook { webhook, applied } => Some((*webhook, applied)),
        _ => None,
    }
}

/// Reads webhooks.
pub(super) fn webhooks(reply: WorkspaceReply) -> Option<Vec<Webhook>> {
    match reply {
        WorkspaceReply::Webhooks(webhooks) => Some(webhooks),
        _ => None,
    }
}

/// Reads whether the webhooks' objects have a change.
#[expect(clippy::needless_pass_by_value, reason = "as each reader")]
pub(super) fn done(reply: WorkspaceReply) -> Option<bool> {
    match reply {
        WorkspaceReply::Done { applied } => Some(applied),
        _ => None,
    }
}

/// The object of a webhook.
pub(super) struct WebhookClient<'a> {
    pub(super) env: &'a Env,
    pub(super) workspace: &'a WorkspaceId,
    pub(super) webhook: &'a WebhookId,
}

impl WebhookClient<'_> {
    async fn ask<T>(
        &self,
        command: WebhookCommand,
        read: impl FnOnce(WebhookReply) -> Option<T>,
    ) -> Result<T, ApiError> {
        let reply = ask_webhook(self.env, self.workspace, self.webhook, &command).await;
        match reply.map_err(|error| unavailable(&error))? {
            WebhookReply::Refused(refusal) => Err(refusal.into()),
            reply => read(reply).ok_or_else(unexpected_reply),
        }
    }

    /// Reads a delivery with all that is kept of it.
    pub(super) async fn read(&self, id: DeliveryId) -> Result<DeliveryRecord, ApiError> {
        self.ask(WebhookCommand::Read { id }, delivery).await
    }

    /// Makes a delivery due at once.
    pub(super) async fn resend(&self, id: DeliveryId) -> Result<DeliveryRecord, ApiError> {
        self.ask(WebhookCommand::Resend { id }, delivery).await
    }

    /// Makes the next attempt of a pending delivery due at once.
    pub(super) async fn send_now(&self, id: DeliveryId) -> Result<DeliveryRecord, ApiError> {
        self.ask(WebhookCommand::SendNow { id }, delivery).await
    }

    /// Stops further attempts of a delivery.
    pub(super) async fn cancel(&self, id: DeliveryId) -> Result<DeliveryRecord, ApiError> {
        self.ask(WebhookCommand::Cancel { id }, delivery).await
    }

    /// Reads a page of the log, newest first, and where the next one begins.
    pub(super) async fn list(
        &self,
        filter: DeliveryFilter,
    ) -> Result<(Vec<DeliveryRecord>, Option<DeliveryId>), ApiError> {
        let asked = WebhookCommand::List(filter.clone());
        let page = |reply| match reply {
            WebhookReply::Deliveries {
                mut records,
                more,
                next,
            } => {
                let next = next_page(&records, more, next);
                // Objects of an earlier release do not know all parts of a filter.
                records.retain(|record| filter.selects(record));
                Some((records, next))
            }
            _ => None,
        };
        self.ask(asked, page).await
    }

    /// Finds the delivery of an event, by the event's id or its own; none if the webhook is deleted.
    pub(super) async fn trace(
        &self,
        event_id: EventId,
    ) -> Result<Option<DeliveryRecord>, ApiError> {
        let command = WebhookCommand::Trace {
            event_id,
            is_brief: true,
        };
        found(self.ask(command, delivery).await)
    }

    /// Starts a bulk resend. A refusal because one is running tells which.
    pub(super) async fn start_resend(
        &self,
        id: ResendId,
        selection: Selection,
    ) -> Result<BulkResend, ApiError> {
        let command = if selection.is_narrowed() {
            WebhookCommand::StartNarrowedResend { id, selection }
        } else {
            WebhookCommand::StartResend { id, selection }
        };
        match self.ask(command, bulk_resend).await {
            Err(ApiError::ResendRunning { .. }) => {
                let wanted = Wanted {
                    bulk_resend: true,
                    ..Wanted::default()
                };
                let resend = self.show(wanted).await?.bulk_resend.map(Box::new);
                Err(ApiError::ResendRunning { resend })
            }
            started => started,
        }
    }

    /// Asks what a bulk resend would cover.
    pub(super) async fn preview_resend(&self, selection: Selection) -> Result<Preview, ApiError> {
        let previewed = |reply| match reply {
            WebhookReply::Previewed(preview) => Some(preview),
            _ => None,
        };
        let command = WebhookCommand::PreviewResend { selection };
        self.ask(command, previewed).await
    }

    /// Reads how far a bulk resend is.
    pub(super) async fn read_resend(&self, id: ResendId) -> Result<BulkResend, ApiError> {
        self.ask(WebhookCommand::ReadResend { id }, bulk_resend)
            .await
    }

    /// Stops a bulk resend.
    pub(super) async fn stop_resend(&self, id: ResendId) -> Result<BulkResend, ApiError> {
        self.ask(WebhookCommand::StopResend { id }, bulk_resend)
            .await
    }

    /// Reads the counts of the last hours, oldest first.
    pub(super) async fn stats(&self, hours: u32) -> Result<Vec<(i64, HourCounts)>, ApiError> {
        let counts = |reply| match reply {
            WebhookReply::Stats(hours) => Some(hours),
            _ => None,
        };
        self.ask(WebhookCommand::Stats { hours }, counts).await
    }

    /// Reads the gauges; none if the webhook is deleted.
    pub(super) async fn gauges(&self) -> Result<Option<WebhookGauges>, ApiError> {
        let gauges = |reply| match reply {
            WebhookReply::Gauges {
                enabled,
                pending,
                held,
                lateness,
                health,
                last,
                last_hour,
            } => Some(WebhookGauges {
                webhook: self.webhook.clone(),
                enabled,
                pending,
                held,
                lateness,
                health,
                last,
                last_hour,
            }),
            _ => None,
        };
        found(self.ask(WebhookCommand::Gauges, gauges).await)
    }

    /// Reads all that a page shows.
    pub(super) async fn show(&self, wanted: Wanted) -> Result<Shown, ApiError> {
        let shown = |reply| match reply {
            WebhookReply::Shown(shown) => Some(*shown),
            _ => None,
        };
        self.ask(WebhookCommand::Show(wanted), shown).await
    }

    /// Makes a ping or a test and leases it; returns the id of an earlier one instead, if there is one and the kind is
    /// made once.
    pub(super) async fn probe(
        &self,
        kind: Kind,
        delivery: NewDelivery,
    ) -> Result<Result<Grant, DeliveryId>, ApiError> {
        let command = WebhookCommand::Probe {
            kind,
            delivery,
            once: kind == Kind::Ping,
        };
        let probed = |reply| match reply {
            WebhookReply::Probed(id) => Some(Err(id)),
            WebhookReply::Granted(mut grants) => grants.pop().map(Ok),
            _ => None,
        };
        self.ask(command, probed).await
    }

    /// Reports an attempt, and asks for no further lease.
    pub(super) async fn report(&self, report: AttemptReport) -> Result<(), ApiError> {
        let command = WebhookCommand::Report {
            unused: Vec::new(),
            reports: vec![report],
            leases: 0,
            ahead_ms: 0,
        };
        self.ask(command, |_| Some(())).await
    }

    /// Runs a part of the script of both SQL engines; returns what it told, as JSON.
    #[cfg(feature = "test-hooks")]
    pub(super) async fn run_sql(&self, part: String) -> Result<String, ApiError> {
        let told = |reply| match reply {
            WebhookReply::Measured(told) => Some(told),
            _ => None,
        };
        self.ask(WebhookCommand::RunSql(part), told).await
    }

    /// Reads what the object has used.
    #[cfg(feature = "test-hooks")]
    pub(super) async fn counted(&self) -> Result<crate::machines::messages::Counted, ApiError> {
        let counted = |reply| match reply {
            WebhookReply::Counted(counted) => Some(counted),
            _ => None,
        };
        self.ask(WebhookCommand::Counted, counted).await
    }
}

fn delivery(reply: WebhookReply) -> Option<DeliveryRecord> {
    match reply {
        WebhookReply::Delivery(record) => Some(*record),
        _ => None,
    }
}

fn bulk_resend(reply: WebhookReply) -> Option<BulkResend> {
    match reply {
        WebhookReply::BulkResend(bulk_resend) => Some(*bulk_resend),
        _ => None,
    }
}

/// Nothing, where the webhook or the delivery does not exist.
fn found<T>(read: Result<T, ApiError>) -> Result<Option<T>, ApiError> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(error) if is_not_found(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_not_found(error: &ApiError) -> bool {
    [Refusal::NoWebhook, Refusal::NoDelivery]
        .into_iter()
        .any(|refusal| *error == refusal.into())
}
