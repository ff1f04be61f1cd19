//! Changes of webhooks: each is stored under a new revision, and told before the answer.

use std::{collections::BTreeMap, time::Duration};

use worker::{Error, Result};

use super::{WorkspaceObject, next_revision, telling::TELL_AGAIN};
use crate::{
    domain::{
        history::{SelectionChange, is_same_selection},
        idempotency::Idempotent,
        ids::WebhookId,
        sealed::{Field, Sealed},
        webhook::{PreviousSecret, ReportedStanding, Settings, WEBHOOKS_LIMIT, Webhook},
        workspace::Workspace,
    },
    machines::sql,
    runtime::{
        commands::{NewWebhook, Refusal, WebhookChange, WorkspaceReply},
        config::config,
        entropy::now,
        sealing::seal_anew,
    },
};

impl WorkspaceObject {
    pub(super) async fn create_webhook(
        &self,
        workspace: Workspace,
        id: WebhookId,
        webhook: NewWebhook,
        idempotent: Option<Idempotent>,
    ) -> Result<WorkspaceReply> {
        if let Some(reply) = self.answer_again(idempotent.as_ref())? {
            return Ok(reply);
        }
        if let Some(webhook) = self.find_created(idempotent.as_ref())? {
            let applied = self.tell(&workspace, Some(&webhook.id)).await?;
            let webhook = Box::new(webhook);
            return Ok(WorkspaceReply::Webhook { webhook, applied });
        }
        if self.store.webhooks()?.len() >= WEBHOOKS_LIMIT {
            return Ok(WorkspaceReply::Refused(Refusal::TooManyWebhooks));
        }
        let now = now();
        let webhook = Webhook {
            id,
            settings: Settings {
                revision: 1,
                status_revision: 1,
                status_changed_at: now,
                enabled: true,
                url: webhook.url,
                events: webhook.events,
                headers: webhook.headers,
                secret: webhook.secret,
                previous_secret: None,
                keys_revision: workspace.keys_revision,
            },
            description: webhook.description,
            created_at: now,
            updated_at: now,
            standing: ReportedStanding::default(),
            has_unshown_secret: false,
            added_at: BTreeMap::new(),
        };
        self.save(workspace, webhook, idempotent.as_ref()).await
    }

    /// The endpoint URL of each webhook.
    pub(super) fn urls(&self) -> Result<Vec<(WebhookId, String)>> {
        let webhooks = self.store.webhooks()?.into_iter();
        Ok(webhooks
            .map(|webhook| (webhook.id, webhook.settings.url))
            .collect())
    }

    pub(super) async fn change_webhook(
        &self,
        workspace: Workspace,
        id: &WebhookId,
        change: WebhookChange,
    ) -> Result<WorkspaceReply> {
        let Some(mut webhook) = self.store.webhook(id)? else {
            return Ok(WorkspaceReply::Refused(Refusal::NoWebhook));
        };
        let settings = &mut webhook.settings;
        settings.revision = settings.revision.saturating_add(1);
        settings.url = change
            .url
            .unwrap_or_else(|| std::mem::take(&mut settings.url));
        settings.headers = change
            .headers
            .unwrap_or_else(|| std::mem::take(&mut settings.headers));
        webhook.description = change.description.unwrap_or(webhook.description);
        webhook.updated_at = now();
        if let Some(events) = change.events {
            webhook.select(events, webhook.updated_at);
        }
        if let Some(enabled) = change.enabled {
            webhook.set_enabled(enabled);
        }
        self.save_webhook(workspace, webhook).await
    }

    /// Replaces the signing secret; the previous one signs too until the overlap ends.
    pub(super) async fn rotate_secret(
        &self,
        workspace: Workspace,
        id: &WebhookId,
        secret: Sealed,
        is_generated: bool,
        overlap: Duration,
    ) -> Result<WorkspaceReply> {
        let Some(mut webhook) = self.store.webhook(id)? else {
            return Ok(WorkspaceReply::Refused(Refusal::NoWebhook));
        };
        // A rotation that is repeated after its answer was lost, or was 503, must not push out the secret that
        // receivers hold.
        let is_repeated = if is_generated {
            webhook.has_unshown_secret
        } else {
            self.is_current_secret(&webhook, &secret)?
        };
        if is_repeated {
            let applied = self.tell(&workspace, Some(id)).await?;
            return self.rotated(webhook, applied);
        }
        let now = now();
        let settings = &mut webhook.settings;
        settings.revision = settings.revision.saturating_add(1);
        let replaced = std::mem::replace(&mut settings.secret, secret);
        let known = if webhook.has_unshown_secret {
            settings.previous_secret.take().map(|known| known.secret)
        } else {
            Some(replaced)
        };
        let expires_at = now.saturating_add(overlap);
        settings.previous_secret = known
            .filter(|_| !overlap.is_zero())
            .map(|secret| PreviousSecret { secret, expires_at });
        webhook.updated_at = now;
        webhook.has_unshown_secret = is_generated;
        match self.save_webhook(workspace, webhook).await? {
            WorkspaceReply::Webhook { webhook, applied } => self.rotated(*webhook, applied),
            refused => Ok(refused),
        }
    }

    /// Returns false also if the stored secret cannot be opened: its key is gone, and a rotation is the way out.
    fn is_current_secret(&self, webhook: &Webhook, secret: &Sealed) -> Result<bool> {
        let config = config(&self.env).map_err(|error| Error::RustError(error.to_string()))?;
        let given = config.keys.open(secret, &webhook.id, Field::Secret);
        let given = given.map_err(|error| Error::RustError(error.to_string()))?;
        let current = config
            .keys
            .open(&webhook.settings.secret, &webhook.id, Field::Secret);
        Ok(current.is_ok_and(|current| current == given))
    }

    /// The answer to a rotation. Only an applied one shows the secret.
    fn rotated(&self, mut webhook: Webhook, applied: bool) -> Result<WorkspaceReply> {
        if applied && webhook.has_unshown_secret {
            // What was stored while the object was told stays.
            if let Some(mut stored) = self.store.webhook(&webhook.id)? {
                stored.has_unshown_secret = false;
                self.store.put_standing(&stored)?;
            }
            webhook.has_unshown_secret = false;
        }
        Ok(WorkspaceReply::Webhook {
            webhook: Box::new(webhook),
            applied,
        })
    }

    /// Deletes the secrets whose overlap has ended, and stores that the webhooks' objects must be told.
    pub(super) fn forget_old_secrets(&self) -> Result<()> {
        let now = now();
        let Some(mut workspace) = self.store.workspace()? else {
            return Ok(());
        };
        for mut webhook in self.store.webhooks()? {
            let settings = &mut webhook.settings;
            if settings
                .previous_secret
                .as_ref()
                .is_some_and(|previous| previous.expires_at <= now)
            {
                settings.previous_secret = None;
                settings.revision = settings.revision.saturating_add(1);
                self.seal_anew(&mut webhook)?;
                workspace = next_revision(workspace);
                self.store.change(&workspace, || {
                    self.store.put_webhook(&webhook, workspace.revision)
                })?;
            }
        }
        Ok(())
    }

    async fn save_webhook(&self, workspace: Workspace, webhook: Webhook) -> Result<WorkspaceReply> {
        self.save(workspace, webhook, None).await
    }

    async fn save(
        &self,
        workspace: Workspace,
        mut webhook: Webhook,
        created_by: Option<&Idempotent>,
    ) -> Result<WorkspaceReply> {
        self.seal_anew(&mut webhook)?;
        let workspace = next_revision(workspace);
        self.store.change(&workspace, || {
            let before = self.store.webhook(&webhook.id)?;
            let selected = &webhook.settings.events;
            if before.is_none_or(|before| !is_same_selection(&before.settings.events, selected)) {
                let change = SelectionChange {
                    webhook: webhook.id.clone(),
                    at: webhook.updated_at,
                    events: Some(selected.clone()),
                };
                self.store.put_selection(&change, workspace.revision)?;
                self.trim_selections()?;
            }
            self.recognize(created_by, webhook.id.as_ref())?;
            self.store.put_webhook(&webhook, workspace.revision)
        })?;
        let applied = self.tell(&workspace, Some(&webhook.id)).await?;
        Ok(WorkspaceReply::Webhook {
            webhook: Box::new(webhook),
            applied,
        })
    }

    /// Drops of the record of selections what explains no delivery that may be kept.
    pub(super) fn trim_selections(&self) -> sql::Result<()> {
        // Without settings nothing is known to be too old; the next change trims.
        let Ok(config) = config(&self.env) else {
            return Ok(());
        };
        let begin = now().saturating_sub(config.policy.retention);
        self.store.trim_selections(begin)
    }

    pub(super) async fn delete_webhook(
        &self,
        workspace: Workspace,
        id: &WebhookId,
    ) -> Result<WorkspaceReply> {
        if self.store.webhook(id)?.is_none() {
            return Ok(WorkspaceReply::Refused(Refusal::NoWebhook));
        }
        let workspace = next_revision(workspace);
        self.store.change(&workspace, || {
            self.store.delete_webhook(id, workspace.revision, now())?;
            self.trim_selections()
        })?;
        let applied = self.tell(&workspace, Some(id)).await?;
        Ok(WorkspaceReply::Done { applied })
    }

    pub(super) async fn take_standing(
        &self,
        workspace: Workspace,
        id: &WebhookId,
        standing: ReportedStanding,
    ) -> Result<WorkspaceReply> {
        let Some(mut webhook) = self.store.webhook(id)? else {
            return Ok(WorkspaceReply::Refused(Refusal::NoWebhook));
        };
        webhook.standing = standing;
        if self.seal_anew(&mut webhook)? {
            // The webhook's object has the settings under the old key. It waits for this reply, so the alarm tells it.
            let workspace = next_revision(workspace);
            webhook.settings.revision = webhook.settings.revision.saturating_add(1);
            self.store.change(&workspace, || {
                self.store.put_webhook(&webhook, workspace.revision)
            })?;
            self.arm(Some(TELL_AGAIN)).await?;
        } else {
            self.store.put_standing(&webhook)?;
        }
        Ok(WorkspaceReply::Done { applied: true })
    }

    /// Seals values that are stored in plain or under another key with the first key, as each write of a webhook does.
    /// Returns whether it changed anything.
    fn seal_anew(&self, webhook: &mut Webhook) -> Result<bool> {
        let config = config(&self.env).map_err(|error| Error::RustError(error.to_string()))?;
        seal_anew(&config.keys, &webhook.id, webhook.settings.sealed_mut())
    }
}
