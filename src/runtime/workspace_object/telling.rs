//! Telling changes to the webhooks' objects and KV, as the outbox lists them.

use std::time::Duration;

use futures_util::future::join_all;
use worker::{Result, console_error};

use super::WorkspaceObject;
#[cfg(feature = "test-hooks")]
use crate::runtime::test_hooks;
use crate::{
    domain::{
        ids::{WebhookId, WorkspaceId},
        timestamp::Timestamp,
        workspace::Workspace,
    },
    machines::workspace::outbox::Untold,
    runtime::{
        commands::{WebhookCommand, WorkspaceReply, ask_webhook},
        entropy::now,
    },
};

/// How long after a change the alarm tells what has not been told; usually nothing is left.
pub(super) const TELL_AGAIN: Duration = Duration::from_secs(5);

/// The most that the alarm waits if it could not tell several times in a row.
pub(super) const TELL_AGAIN_LATEST: Duration = Duration::from_secs(60);

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
        self.publisher.publish(workspace.revision).await?;
        #[cfg(feature = "test-hooks")]
        test_hooks::pass("published").await;
        Ok(applied)
    }

    /// Tells all targets that must still be told. Returns whether none is left.
    pub(super) async fn tell_all(&self) -> Result<bool> {
        let Some(workspace) = self.store.workspace()? else {
            return Ok(true);
        };
        let untold = self.store.untold()?;
        let webhooks = untold.iter().filter_map(|untold| match untold {
            Untold::Webhook { id, revision } => Some((id, *revision)),
            Untold::Snapshot => None,
        });
        let told = webhooks.map(|(id, revision)| self.tell_webhook(&workspace.id, id, revision));
        let mut all = true;
        for told in join_all(told).await {
            all &= told?;
        }
        all &= self.publisher.publish(workspace.revision).await?;
        Ok(all)
    }

    /// Arms the alarm for what is still to tell, after a wait, and for the end of a rotation's overlap.
    pub(super) async fn arm(&self, wait: Option<Duration>) -> Result<()> {
        let again = wait.map(|wait| now().saturating_add(wait));
        let webhooks = if self.store.workspace()?.is_some() {
            self.store.webhooks()?
        } else {
            Vec::new()
        };
        let overlaps = webhooks
            .into_iter()
            .filter_map(|webhook| webhook.settings.previous_secret);
        let overlap_ends = overlaps.map(|previous| previous.expires_at).min();
        let put_again = self.store.put_again_at()?;
        let next: Option<Timestamp> = [again, overlap_ends, put_again].into_iter().flatten().min();
        match next {
            Some(time) => self.clock.arm(time).await,
            None => Ok(()),
        }
    }

    /// Asks the webhooks to look at their alarms, and looks at its own. Disabled ones too have something to delete.
    pub(super) async fn look_at_alarms(&self, workspace: &Workspace) -> Result<WorkspaceReply> {
        let is_told = self.store.untold()?.is_empty();
        self.arm((!is_told).then_some(TELL_AGAIN)).await?;
        let webhooks = self.store.webhooks()?;
        let asked = webhooks.iter().map(|webhook| {
            ask_webhook(
                &self.env,
                &workspace.id,
                &webhook.id,
                &WebhookCommand::LookAtAlarm,
            )
        });
        for asked in join_all(asked).await {
            if let Err(error) = asked {
                console_error!("{error}");
            }
        }
        Ok(WorkspaceReply::Done { applied: true })
    }

    /// Tells a webhook's object its present settings, or that the webhook is deleted.
    async fn tell_webhook(
        &self,
        workspace: &WorkspaceId,
        id: &WebhookId,
        revision: u64,
    ) -> Result<bool> {
        let command = match self.store.webhook(id)? {
            Some(mut webhook) => {
                let workspace = self.store.workspace()?;
                webhook.settings.keys_revision =
                    workspace.map_or(0, |workspace| workspace.keys_revision);
                WebhookCommand::Apply(webhook.settings)
            }
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
}
