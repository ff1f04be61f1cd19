//! Telling changes to the webhooks' objects and KV, as the outbox lists them.

use std::time::Duration;

use worker::{Delay, Result, console_error};

use super::{WorkspaceObject, store::Untold};
#[cfg(feature = "test-hooks")]
use crate::runtime::test_hooks;
use crate::{
    domain::{
        ids::{WebhookId, WorkspaceId},
        timestamp::Timestamp,
        workspace::Workspace,
    },
    runtime::{
        commands::{WebhookCommand, ask_webhook},
        entropy::now,
        subscriptions,
    },
};

/// KV accepts one write a second for a key.
const BETWEEN_PUTS: Duration = Duration::from_secs(1);

/// How long after a change the alarm tells what has not been told; usually nothing is left.
const TELL_AGAIN: Duration = Duration::from_secs(5);

impl WorkspaceObject {
    /// Tells a change at once, the webhook's object first, and arms the alarm in case that fails. Returns whether the
    /// webhook's object has it; KV is only a copy.
    pub(super) async fn tell(
        &self,
        workspace: &Workspace,
        webhook: Option<&WebhookId>,
    ) -> Result<bool> {
        self.clock.arm(now().saturating_add(TELL_AGAIN)).await?;
        #[cfg(feature = "test-hooks")]
        test_hooks::pass("stored").await;
        let applied = match webhook {
            Some(id) => {
                self.tell_webhook(&workspace.id, id, workspace.revision)
                    .await?
            }
            None => true,
        };
        #[cfg(feature = "test-hooks")]
        test_hooks::pass("told").await;
        self.publish(workspace.revision).await?;
        #[cfg(feature = "test-hooks")]
        test_hooks::pass("published").await;
        Ok(applied)
    }

    /// Tells all targets that must still be told. Returns whether none is left.
    pub(super) async fn tell_all(&self) -> Result<bool> {
        let Some(workspace) = self.store.workspace()? else {
            return Ok(true);
        };
        let mut all = true;
        for untold in self.store.untold()? {
            all &= match untold {
                Untold::Snapshot { revision } => self.publish(revision).await?,
                Untold::Webhook { id, revision } => {
                    self.tell_webhook(&workspace.id, &id, revision).await?
                }
            };
        }
        Ok(all)
    }

    /// Arms the alarm for what is still to tell, and for the end of a rotation's overlap.
    pub(super) async fn arm(&self, all_told: bool) -> Result<()> {
        let again = (!all_told).then(|| now().saturating_add(TELL_AGAIN));
        let webhooks = if self.store.workspace()?.is_some() {
            self.store.webhooks()?
        } else {
            Vec::new()
        };
        let overlaps = webhooks
            .into_iter()
            .filter_map(|webhook| webhook.settings.previous_secret);
        let overlap_ends = overlaps.map(|previous| previous.expires_at).min();
        let next: Option<Timestamp> = [again, overlap_ends].into_iter().flatten().min();
        match next {
            Some(time) => self.clock.arm(time).await,
            None => Ok(()),
        }
    }

    /// Tells a webhook's object its present settings, or that the webhook is deleted.
    async fn tell_webhook(
        &self,
        workspace: &WorkspaceId,
        id: &WebhookId,
        revision: u64,
    ) -> Result<bool> {
        let command = match self.store.webhook(id)? {
            Some(webhook) => WebhookCommand::Apply(webhook.settings),
            None => WebhookCommand::Delete { revision },
        };
        let reply = ask_webhook(&self.env, workspace, id, &command).await;
        #[cfg(feature = "test-hooks")]
        test_hooks::pass("applied").await;
        match reply {
            Ok(_) => {
                self.store.webhook_told(id, revision)?;
                Ok(true)
            }
            Err(error) => {
                console_error!("{error}");
                Ok(false)
            }
        }
    }

    /// Puts the present snapshot to KV, unless KV has the revision by then: puts are a second apart, and one put serves
    /// all changes made while it waited. Returns whether KV has it.
    async fn publish(&self, revision: u64) -> Result<bool> {
        while self.published.get() < revision {
            let now = now();
            let wait = self.next_put.get().saturating_duration_since(now);
            // A longer wait means that the clock was put back.
            if !wait.is_zero() && wait <= BETWEEN_PUTS {
                Delay::from(wait).await;
                continue;
            }
            self.next_put.set(now.saturating_add(BETWEEN_PUTS));
            let Some(workspace) = self.store.workspace()? else {
                return Ok(true);
            };
            let snapshot = self.store.snapshot(&workspace)?;
            if let Err(error) = subscriptions::publish(&self.env, &workspace, &snapshot).await {
                console_error!("{error}");
                return Ok(false);
            }
            #[cfg(feature = "test-hooks")]
            test_hooks::pass("put").await;
            self.published
                .set(self.published.get().max(workspace.revision));
            self.store.snapshot_told(workspace.revision)?;
        }
        Ok(true)
    }
}
