//! The object of one workspace: the truth about its webhooks and keys; it tells the webhooks' objects, and KV.
//!
//! Why an object: a change must have one order, and a read after a write must show it. A change is stored together with
//! whom it still has to be told (the outbox), so that a restart between storing and telling loses nothing: the alarm
//! goes on telling until told. Who is told gets the present state, not the change, so telling twice does no harm.

use std::{cell::Cell, time::Duration};

use worker::{
    Delay, DurableObject, Env, Request, Response, Result, State, console_error, durable_object,
    wasm_bindgen,
};

use super::{
    alarm_clock::AlarmClock,
    commands::{
        NewWebhook, Refusal, WebhookChange, WebhookCommand, WorkspaceCommand, WorkspaceReply,
        ask_webhook, read_command, reply_with,
    },
    entropy::now,
    subscriptions,
    workspace_store::{Untold, WorkspaceStore},
};
use crate::domain::{
    ids::{WebhookId, WorkspaceId},
    webhook::{ReportedStanding, Settings, WEBHOOKS_LIMIT, Webhook},
    workspace::Workspace,
};

/// KV takes one write a second for a key.
const BETWEEN_PUTS: Duration = Duration::from_secs(1);

/// When the alarm looks whether all was told; a change that is told at once leaves it nothing to do.
const TELL_AGAIN: Duration = Duration::from_secs(5);

/// The object of one workspace.
#[durable_object(alarm)]
pub struct WorkspaceObject {
    env: Env,
    store: WorkspaceStore,
    clock: AlarmClock,
    /// The first moment at which KV takes another put.
    next_put: Cell<crate::domain::timestamp::Timestamp>,
    /// The revision that KV holds, as far as this instance knows.
    published: Cell<u64>,
}

impl DurableObject for WorkspaceObject {
    fn new(state: State, env: Env) -> Self {
        let storage = state.storage();
        Self {
            store: WorkspaceStore::new(&storage),
            clock: AlarmClock::new(storage),
            env,
            next_put: Cell::default(),
            published: Cell::default(),
        }
    }

    async fn fetch(&self, mut request: Request) -> Result<Response> {
        let command = read_command(&mut request).await?;
        reply_with(&self.obey(command).await?)
    }

    async fn alarm(&self) -> Result<Response> {
        self.clock.fired();
        let told = self.tell_all().await;
        if let Err(error) = &told {
            console_error!("alarm of a workspace: {error}");
        }
        if !matches!(told, Ok(true)) {
            self.clock.arm(now().saturating_add(TELL_AGAIN)).await?;
        }
        Response::empty()
    }
}

impl WorkspaceObject {
    async fn obey(&self, command: WorkspaceCommand) -> Result<WorkspaceReply> {
        let workspace = self.store.workspace()?;
        if let WorkspaceCommand::Create { id, name } = command {
            return self.create(workspace, id, name).await;
        }
        let Some(workspace) = workspace.filter(|workspace| workspace.deleted_at.is_none()) else {
            return Ok(WorkspaceReply::Refused(Refusal::NoWorkspace));
        };
        match command {
            WorkspaceCommand::Create { .. } | WorkspaceCommand::Read => {
                Ok(WorkspaceReply::Workspace {
                    workspace,
                    created: false,
                })
            }
            WorkspaceCommand::Snapshot => {
                Ok(WorkspaceReply::Snapshot(self.store.snapshot(&workspace)?))
            }
            WorkspaceCommand::CreateWebhook { id, webhook } => {
                self.create_webhook(workspace, id, webhook).await
            }
            WorkspaceCommand::ReadWebhook { id } => Ok(match self.store.webhook(&id)? {
                Some(webhook) => WorkspaceReply::Webhook {
                    webhook: Box::new(webhook),
                    applied: true,
                },
                None => WorkspaceReply::Refused(Refusal::NoWebhook),
            }),
            WorkspaceCommand::ListWebhooks => Ok(WorkspaceReply::Webhooks(self.store.webhooks()?)),
            WorkspaceCommand::ChangeWebhook { id, change } => {
                self.change_webhook(workspace, &id, change).await
            }
            WorkspaceCommand::DeleteWebhook { id } => self.delete_webhook(workspace, &id).await,
            WorkspaceCommand::ReportStanding { id, standing } => self.take_standing(&id, standing),
        }
    }

    async fn create(
        &self,
        existing: Option<Workspace>,
        id: WorkspaceId,
        name: String,
    ) -> Result<WorkspaceReply> {
        match existing {
            Some(workspace) if workspace.deleted_at.is_some() => {
                Ok(WorkspaceReply::Refused(Refusal::WorkspaceDeleted))
            }
            Some(workspace) if workspace.name != name => {
                Ok(WorkspaceReply::Refused(Refusal::WorkspaceExists))
            }
            Some(workspace) => Ok(WorkspaceReply::Workspace {
                workspace,
                created: false,
            }),
            None => {
                let workspace = Workspace {
                    id,
                    name,
                    created_at: now(),
                    deleted_at: None,
                    revision: 1,
                };
                self.store.create(&workspace)?;
                self.tell(&workspace, None).await?;
                Ok(WorkspaceReply::Workspace {
                    workspace,
                    created: true,
                })
            }
        }
    }

    async fn create_webhook(
        &self,
        workspace: Workspace,
        id: WebhookId,
        webhook: NewWebhook,
    ) -> Result<WorkspaceReply> {
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
            },
            description: webhook.description,
            created_at: now,
            updated_at: now,
            standing: ReportedStanding::default(),
        };
        self.save_webhook(workspace, webhook).await
    }

    async fn change_webhook(
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
        settings.events = change
            .events
            .unwrap_or_else(|| std::mem::take(&mut settings.events));
        settings.headers = change
            .headers
            .unwrap_or_else(|| std::mem::take(&mut settings.headers));
        webhook.description = change.description.unwrap_or(webhook.description);
        webhook.updated_at = now();
        if let Some(enabled) = change.enabled {
            webhook.set_enabled(enabled);
        }
        self.save_webhook(workspace, webhook).await
    }

    async fn save_webhook(&self, workspace: Workspace, webhook: Webhook) -> Result<WorkspaceReply> {
        let workspace = next_revision(workspace);
        self.store.put_workspace(&workspace)?;
        self.store.put_webhook(&webhook, workspace.revision)?;
        let applied = self.tell(&workspace, Some(&webhook.id)).await?;
        Ok(WorkspaceReply::Webhook {
            webhook: Box::new(webhook),
            applied,
        })
    }

    async fn delete_webhook(&self, workspace: Workspace, id: &WebhookId) -> Result<WorkspaceReply> {
        if self.store.webhook(id)?.is_none() {
            return Ok(WorkspaceReply::Refused(Refusal::NoWebhook));
        }
        let workspace = next_revision(workspace);
        self.store.put_workspace(&workspace)?;
        self.store.delete_webhook(id, workspace.revision)?;
        let applied = self.tell(&workspace, Some(id)).await?;
        Ok(WorkspaceReply::Done { applied })
    }

    fn take_standing(&self, id: &WebhookId, standing: ReportedStanding) -> Result<WorkspaceReply> {
        let Some(mut webhook) = self.store.webhook(id)? else {
            return Ok(WorkspaceReply::Refused(Refusal::NoWebhook));
        };
        webhook.standing = standing;
        self.store.put_standing(&webhook)?;
        Ok(WorkspaceReply::Done { applied: true })
    }

    /// Tells a change at once, the webhook's object first, and arms the alarm in case that fails. Tells whether the
    /// webhook's object has it; KV is only a copy.
    async fn tell(&self, workspace: &Workspace, webhook: Option<&WebhookId>) -> Result<bool> {
        self.clock.arm(now().saturating_add(TELL_AGAIN)).await?;
        let applied = match webhook {
            Some(id) => {
                self.tell_webhook(&workspace.id, id, workspace.revision)
                    .await?
            }
            None => true,
        };
        self.publish(workspace.revision).await?;
        Ok(applied)
    }

    /// Tells whoever has not been told. Tells whether nobody is left.
    async fn tell_all(&self) -> Result<bool> {
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

    /// Tells a webhook's object the webhook's present settings, or its end.
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
        match ask_webhook(&self.env, workspace, id, &command).await {
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

    /// Puts the present snapshot to KV, unless it has the revision by then: puts wait for their second, and one put
    /// serves all changes that were made while it waited. Tells whether KV took it.
    async fn publish(&self, revision: u64) -> Result<bool> {
        while self.published.get() < revision {
            let now = now();
            if now < self.next_put.get() {
                Delay::from(self.next_put.get().saturating_duration_since(now)).await;
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
            self.published
                .set(self.published.get().max(workspace.revision));
            self.store.snapshot_told(workspace.revision)?;
        }
        Ok(true)
    }
}

fn next_revision(workspace: Workspace) -> Workspace {
    Workspace {
        revision: workspace.revision.saturating_add(1),
        ..workspace
    }
}
