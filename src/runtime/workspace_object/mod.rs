//! The object of one workspace: it holds the webhooks and keys, and tells changes to the webhooks' objects and KV.
//!
//! Why an object: changes must have one order, and a read after a write must show it. A change is stored together with
//! the targets that it must still be told to (the outbox), so that a restart between storing and telling loses nothing:
//! the alarm tells again until it succeeds. A target gets the present state, not the change, so telling twice does no
//! harm.

mod idempotency;

mod keys;

mod publisher;

mod sessions;

mod telling;

mod webhooks;

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Duration,
};

use wasm_bindgen::JsValue;
use worker::{
    DurableObject, Env, Request, Response, Result, State, console_error, durable_object,
    wasm_bindgen,
};

use self::{
    publisher::Publisher,
    telling::{TELL_AGAIN, TELL_AGAIN_LATEST},
};
use super::{
    commands::{Refusal, WorkspaceCommand, WorkspaceReply, no_requests, read_command, reply_with},
    entropy::now,
    object_alarm::ObjectAlarm,
    object_sql::ObjectSql,
};
use crate::{
    domain::{backoff::Backoff, ids::WorkspaceId, workspace::Workspace},
    machines::workspace::workspace_tables::WorkspaceTables,
};

/// The object of one workspace.
#[durable_object(alarm)]
pub struct WorkspaceObject {
    env: Env,
    store: WorkspaceTables,
    clock: ObjectAlarm,
    publisher: Publisher,
    /// How long the alarm waits while it cannot tell.
    backoff: RefCell<Backoff>,
    /// Whether this instance has looked for changes that earlier instances did not tell.
    watched: Cell<bool>,
}

impl DurableObject for WorkspaceObject {
    fn new(state: State, env: Env) -> Self {
        #[cfg(feature = "test-hooks")]
        super::test_hooks::begin(&env);
        let storage = state.storage();
        let sql = Rc::new(ObjectSql::new(&storage));
        Self {
            store: WorkspaceTables::new(Rc::clone(&sql) as _),
            publisher: Publisher::new(&env, sql),
            clock: ObjectAlarm::new(storage),
            env,
            backoff: RefCell::new(Backoff::new(TELL_AGAIN, TELL_AGAIN_LATEST)),
            watched: Cell::default(),
        }
    }

    async fn fetch(&self, _: Request) -> Result<Response> {
        no_requests()
    }

    async fn alarm(&self) -> Result<Response> {
        self.clock.fired();
        self.watch()?;
        let forgotten = self
            .forget_old_secrets()
            .and_then(|()| Ok(self.forget_ended()?));
        let told = match forgotten {
            Ok(()) => self.tell_all().await,
            Err(error) => Err(error),
        };
        if let Err(error) = &told {
            console_error!("alarm of a workspace: {error}");
        }
        let wait = {
            let mut backoff = self.backoff.borrow_mut();
            if matches!(told, Ok(true)) {
                backoff.succeeded();
                None
            } else {
                Some(backoff.failed())
            }
        };
        self.arm(wait).await?;
        Response::empty()
    }
}

#[wasm_bindgen::prelude::wasm_bindgen]
impl WorkspaceObject {
    /// Runs a command; called by the Worker and by other objects.
    pub async fn obey(&self, command: String) -> std::result::Result<String, JsValue> {
        let command = read_command(&command)?;
        if self.watch()? {
            self.arm(Some(TELL_AGAIN)).await?;
        }
        Ok(reply_with(&self.carry_out(command).await?)?)
    }
}

impl WorkspaceObject {
    /// Looks, once in an instance, for changes that an earlier one did not tell; the platform may have lost its alarm, and
    /// a put that it began may still arrive. Returns whether there are any.
    fn watch(&self) -> Result<bool> {
        if self.watched.replace(true) || self.store.untold()?.is_empty() {
            return Ok(false);
        }
        self.publisher.doubt();
        Ok(true)
    }

    pub(super) async fn carry_out(&self, command: WorkspaceCommand) -> Result<WorkspaceReply> {
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
            WorkspaceCommand::Rename { name } => self.rename(workspace, name).await,
            WorkspaceCommand::Delete => self.delete(workspace).await,
            WorkspaceCommand::Snapshot => {
                Ok(WorkspaceReply::Snapshot(self.store.snapshot(&workspace)?))
            }
            WorkspaceCommand::Authenticate { hash } => self.authenticate(&hash),
            WorkspaceCommand::CreateKey { key, idempotent } => {
                self.create_key(workspace, key, idempotent).await
            }
            WorkspaceCommand::ListKeys => Ok(WorkspaceReply::Keys(self.store.keys()?)),
            WorkspaceCommand::RevokeKey { id } => self.revoke_key(workspace, &id).await,
            WorkspaceCommand::CreateLink {
                hash,
                link,
                idempotent,
            } => self.create_link(&hash, &link, idempotent.as_ref()),
            WorkspaceCommand::LookAtAlarms => self.look_at_alarms(&workspace).await,
            WorkspaceCommand::KeepAnswer(idempotent) => self.keep_answer(&idempotent),
            WorkspaceCommand::ReadLink { hash } => self.read_link(workspace, &hash),
            WorkspaceCommand::ListAccess { after, limit } => {
                self.list_access(after.as_ref(), limit)
            }
            WorkspaceCommand::EndAccess { id } => self.end_access(id.as_ref()),
            WorkspaceCommand::SignIn { with, session, id } => {
                self.sign_in(workspace, &with, &session, id)
            }
            WorkspaceCommand::SignOut { session } => self.sign_out(&session),
            WorkspaceCommand::AsSession {
                session,
                needs,
                command,
            } => self.as_session(workspace, &session, needs, *command).await,
            WorkspaceCommand::CreateWebhook {
                id,
                webhook,
                idempotent,
            } => {
                self.create_webhook(workspace, id, webhook, idempotent)
                    .await
            }
            WorkspaceCommand::ReadWebhook { id } => Ok(match self.store.webhook(&id)? {
                Some(webhook) => WorkspaceReply::Webhook {
                    webhook: Box::new(webhook),
                    applied: true,
                },
                None => WorkspaceReply::Refused(Refusal::NoWebhook),
            }),
            WorkspaceCommand::ListWebhooks => Ok(WorkspaceReply::Webhooks(self.store.webhooks()?)),
            WorkspaceCommand::History => {
                // An earlier release kept more than is read at once.
                self.trim_selections()?;
                Ok(WorkspaceReply::History {
                    changes: self.store.history()?,
                    urls: self.urls()?,
                    recorded_since: self.store.recorded_since()?,
                })
            }
            WorkspaceCommand::ChangeWebhook { id, change } => {
                self.change_webhook(workspace, &id, change).await
            }
            WorkspaceCommand::RotateSecret {
                id,
                secret,
                is_generated,
                overlap_seconds,
            } => {
                let overlap = Duration::from_secs(overlap_seconds);
                self.rotate_secret(workspace, &id, secret, is_generated, overlap)
                    .await
            }
            WorkspaceCommand::DeleteWebhook { id } => self.delete_webhook(workspace, &id).await,
            WorkspaceCommand::ReportStanding { id, standing } => {
                self.take_standing(workspace, &id, standing).await
            }
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
                    keys_revision: 0,
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

    async fn rename(&self, workspace: Workspace, name: String) -> Result<WorkspaceReply> {
        let workspace = next_revision(Workspace { name, ..workspace });
        self.store.change(&workspace, || Ok(()))?;
        self.tell(&workspace, None).await?;
        Ok(WorkspaceReply::Workspace {
            workspace,
            created: false,
        })
    }

    /// Deletes the workspace, its webhooks and its keys. Its row stays, so that its id is not used again.
    async fn delete(&self, workspace: Workspace) -> Result<WorkspaceReply> {
        let workspace = next_revision(Workspace {
            deleted_at: Some(now()),
            ..workspace
        });
        self.store.change(&workspace, || {
            for webhook in self.store.webhooks()? {
                self.store
                    .delete_webhook(&webhook.id, workspace.revision, now())?;
            }
            self.trim_selections()?;
            self.store.delete_tokens()
        })?;
        self.arm(Some(TELL_AGAIN)).await?;
        let applied = self.tell_all().await?;
        Ok(WorkspaceReply::Done { applied })
    }
}

fn next_revision(workspace: Workspace) -> Workspace {
    Workspace {
        revision: workspace.revision.saturating_add(1),
        ..workspace
    }
}
