//! Commands: what each one does, and how it goes on.

use std::time::Duration;

use super::{
    CallId, Context, Result, TELL_AGAIN, WorkspaceMachine,
    secrets::Overlap,
    telling::{Step, Then, Whom},
};
use crate::{
    domain::{ids::WorkspaceId, timestamp::Timestamp, workspace::Workspace},
    machines::messages::{Refusal, WorkspaceCommand, WorkspaceReply},
};

impl WorkspaceMachine {
    /// Carries out a command; it is answered at once, or when those have been told whom it concerns.
    pub(super) fn obey(&mut self, call: CallId, command: WorkspaceCommand, context: &Context<'_>) {
        let begun = self
            .look_once()
            .and_then(|()| self.carry_out(command, context))
            .and_then(|step| self.go_on(call, step, context.now));
        if let Err(fault) = begun {
            self.answer(call, Err(fault));
        }
    }

    pub(super) fn carry_out(
        &mut self,
        command: WorkspaceCommand,
        context: &Context<'_>,
    ) -> Result<Step> {
        let now = context.now;
        let workspace = self.tables.workspace()?;
        if let WorkspaceCommand::Create { id, name } = command {
            return self.create(workspace, id, name, now);
        }
        let Some(workspace) = workspace.filter(|workspace| workspace.deleted_at.is_none()) else {
            return Ok(Step::Answer(WorkspaceReply::Refused(Refusal::NoWorkspace)));
        };
        let reply = match command {
            WorkspaceCommand::Create { .. } | WorkspaceCommand::Read => WorkspaceReply::Workspace {
                workspace,
                created: false,
            },
            WorkspaceCommand::Rename { name } => return self.rename(workspace, name, now),
            WorkspaceCommand::Delete => return self.delete(workspace, context),
            WorkspaceCommand::Snapshot => {
                WorkspaceReply::Snapshot(self.tables.snapshot(&workspace)?)
            }
            WorkspaceCommand::LookAtAlarms => return self.look_at_alarms(&workspace),
            WorkspaceCommand::Authenticate { hash } => self.authenticate(&hash)?,
            WorkspaceCommand::CreateKey { key, idempotent } => {
                return self.create_key(workspace, key, idempotent.as_ref(), now);
            }
            WorkspaceCommand::ListKeys => WorkspaceReply::Keys(self.tables.keys()?),
            WorkspaceCommand::RevokeKey { id } => return self.revoke_key(workspace, &id, now),
            WorkspaceCommand::CreateLink {
                hash,
                link,
                idempotent,
            } => self.create_link(&hash, &link, idempotent.as_ref(), now)?,
            WorkspaceCommand::KeepAnswer(idempotent) => self.keep_answer(&idempotent)?,
            WorkspaceCommand::ReadLink { hash } => self.read_link(workspace, &hash, now)?,
            WorkspaceCommand::ListAccess { after, limit } => {
                WorkspaceReply::Access(self.tables.access(now, after.as_ref(), limit)?)
            }
            WorkspaceCommand::EndAccess { id } => self.end_access(id.as_ref())?,
            WorkspaceCommand::SignIn { with, session, id } => {
                self.sign_in(workspace, &with, &session, id, now)?
            }
            WorkspaceCommand::SignOut { session } => self.sign_out(&session)?,
            WorkspaceCommand::AsSession {
                session,
                needs,
                command,
            } => return self.as_session(workspace, &session, needs, *command, context),
            WorkspaceCommand::CreateWebhook {
                id,
                webhook,
                idempotent,
            } => return self.create_webhook(workspace, id, webhook, idempotent.as_ref(), context),
            WorkspaceCommand::ReadWebhook { id } => match self.tables.webhook(&id)? {
                Some(webhook) => WorkspaceReply::Webhook {
                    webhook: Box::new(webhook),
                    applied: true,
                },
                None => WorkspaceReply::Refused(Refusal::NoWebhook),
            },
            WorkspaceCommand::ListWebhooks => WorkspaceReply::Webhooks(self.tables.webhooks()?),
            WorkspaceCommand::History => self.history(context)?,
            WorkspaceCommand::ChangeWebhook { id, change } => {
                return self.change_webhook(workspace, &id, change, context);
            }
            WorkspaceCommand::RotateSecret {
                id,
                secret,
                is_generated,
                overlap_seconds,
                sign_header_with,
            } => {
                let overlap = Overlap {
                    length: Duration::from_secs(overlap_seconds),
                    sign_header_with,
                };
                let secret = (secret, is_generated);
                return self.rotate_secret(workspace, &id, secret, overlap, context);
            }
            WorkspaceCommand::EndOverlap { id } => {
                return self.end_overlap(workspace, &id, context);
            }
            WorkspaceCommand::DeleteWebhook { id } => {
                return self.delete_webhook(workspace, &id, context);
            }
            WorkspaceCommand::ReportStanding { id, standing } => {
                self.take_standing(workspace, &id, standing, context)?
            }
        };
        Ok(Step::Answer(reply))
    }

    fn create(
        &mut self,
        existing: Option<Workspace>,
        id: WorkspaceId,
        name: String,
        now: Timestamp,
    ) -> Result<Step> {
        let reply = match existing {
            Some(workspace) if workspace.deleted_at.is_some() => {
                WorkspaceReply::Refused(Refusal::WorkspaceDeleted)
            }
            Some(workspace) if workspace.name != name => {
                WorkspaceReply::Refused(Refusal::WorkspaceExists)
            }
            Some(workspace) => WorkspaceReply::Workspace {
                workspace,
                created: false,
            },
            None => {
                let workspace = Workspace {
                    id,
                    name,
                    created_at: now,
                    deleted_at: None,
                    revision: 1,
                    keys_revision: 0,
                };
                self.tables.create(&workspace)?;
                self.tell_after(TELL_AGAIN, now);
                return Ok(Self::tell_kv(&workspace, true));
            }
        };
        Ok(Step::Answer(reply))
    }

    fn rename(&mut self, workspace: Workspace, name: String, now: Timestamp) -> Result<Step> {
        let workspace = Workspace { name, ..workspace }.next_revision();
        self.change(&workspace, now, |_| Ok(()))?;
        Ok(Self::tell_kv(&workspace, false))
    }

    fn tell_kv(workspace: &Workspace, created: bool) -> Step {
        let then = Then::Reply(WorkspaceReply::Workspace {
            workspace: workspace.clone(),
            created,
        });
        Step::tell(workspace, Whom::OnlyKv, then)
    }

    /// Deletes the workspace, its webhooks and its keys. Its row stays, so that its id is not used again.
    fn delete(&mut self, workspace: Workspace, context: &Context<'_>) -> Result<Step> {
        let now = context.now;
        let workspace = Workspace {
            deleted_at: Some(now),
            ..workspace.next_revision()
        };
        self.change(&workspace, now, |machine| {
            for webhook in machine.tables.webhooks()? {
                machine
                    .tables
                    .delete_webhook(&webhook.id, workspace.revision, now)?;
            }
            machine.trim_selections(context)?;
            machine.tables.delete_tokens()
        })?;
        Ok(Step::tell(&workspace, Whom::AllUntold, Then::SayIfAllTold))
    }

    /// Asks the webhooks to look at their alarms, and looks at its own.
    fn look_at_alarms(&self, workspace: &Workspace) -> Result<Step> {
        let webhooks = self.tables.webhooks()?.into_iter();
        let whom = Whom::Alarms(webhooks.map(|webhook| webhook.id).collect());
        let done = Then::Reply(WorkspaceReply::Done { applied: true });
        Ok(Step::tell(workspace, whom, done))
    }
}
