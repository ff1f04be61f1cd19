//! Rotations of a webhook's secret: the previous one signs too until the overlap ends.

use std::time::Duration;

use super::{
    Context, Result, WorkspaceMachine,
    telling::{Step, Then, Whom},
    webhooks::{refused, seal_again},
};
use crate::{
    domain::{
        ids::WebhookId,
        sealed::{Field, Sealed},
        secret::SignHeaderWith,
        webhook::{PreviousSecret, Webhook},
        workspace::Workspace,
    },
    machines::messages::{Refusal, WorkspaceReply},
};

/// The overlap that a rotation asks for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Overlap {
    /// How long both secrets sign.
    pub(super) length: Duration,
    /// Which of them makes the hex signature meanwhile.
    pub(super) sign_header_with: SignHeaderWith,
}

impl WorkspaceMachine {
    /// Replaces the signing secret by another one, which the relay may have generated.
    pub(super) fn rotate_secret(
        &mut self,
        workspace: Workspace,
        id: &WebhookId,
        (secret, is_generated): (Sealed, bool),
        overlap: Overlap,
        context: &Context<'_>,
    ) -> Result<Step> {
        let Some(mut webhook) = self.tables.webhook(id)? else {
            return Ok(refused(Refusal::NoWebhook));
        };
        // A rotation that is repeated after its answer was lost, or was 503, must not push out the secret that
        // receivers hold.
        let is_repeated = if is_generated {
            webhook.has_unshown_secret
        } else {
            is_current_secret(&webhook, &secret, context)?
        };
        if is_repeated {
            let then = Then::ShowSecret(Box::new(webhook));
            return Ok(Step::tell(&workspace, Whom::Webhook(id.clone()), then));
        }
        let settings = &mut webhook.settings;
        settings.revision = settings.revision.saturating_add(1);
        let replaced = std::mem::replace(&mut settings.secret, secret);
        let known = if webhook.has_unshown_secret {
            settings.previous_secret.take().map(|known| known.secret)
        } else {
            Some(replaced)
        };
        settings.previous_secret =
            known
                .filter(|_| !overlap.length.is_zero())
                .map(|secret| PreviousSecret {
                    secret,
                    expires_at: context.now.saturating_add(overlap.length),
                    sign_header_with: overlap.sign_header_with,
                });
        if settings.previous_secret.is_none() && !overlap.sign_header_with.is_current() {
            return Ok(refused(Refusal::NoOverlap));
        }
        webhook.updated_at = context.now;
        webhook.has_unshown_secret = is_generated;
        self.save(workspace, webhook, None, Then::ShowSecret, context)
    }

    /// The answer to a rotation. Only an applied one shows the secret.
    pub(super) fn show_secret(
        &self,
        mut webhook: Box<Webhook>,
        is_applied: bool,
    ) -> Result<WorkspaceReply> {
        if is_applied && webhook.has_unshown_secret {
            // What was stored while the object was told stays.
            if let Some(mut stored) = self.tables.webhook(&webhook.id)? {
                stored.has_unshown_secret = false;
                self.tables.put_standing(&stored)?;
            }
            webhook.has_unshown_secret = false;
        }
        Ok(WorkspaceReply::Webhook {
            webhook,
            applied: is_applied,
        })
    }

    /// Ends the overlap of a rotation. Where none lasts the object is told all the same: an end that was answered 503 is
    /// repeated so.
    pub(super) fn end_overlap(
        &mut self,
        workspace: Workspace,
        id: &WebhookId,
        context: &Context<'_>,
    ) -> Result<Step> {
        let Some(mut webhook) = self.tables.webhook(id)? else {
            return Ok(refused(Refusal::NoWebhook));
        };
        let settings = &mut webhook.settings;
        if settings.previous_secret.take().is_none() {
            let whom = Whom::Webhook(id.clone());
            return Ok(Step::tell(&workspace, whom, Then::SayIfApplied));
        }
        settings.revision = settings.revision.saturating_add(1);
        webhook.updated_at = context.now;
        self.save(workspace, webhook, None, |_| Then::SayIfApplied, context)
    }

    /// Deletes the secrets whose overlap has ended, and stores that the webhooks' objects must be told.
    pub(super) fn forget_old_secrets(
        &mut self,
        mut workspace: Workspace,
        context: &Context<'_>,
    ) -> Result<Workspace> {
        for mut webhook in self.tables.webhooks()? {
            let settings = &mut webhook.settings;
            let previous = settings.previous_secret.as_ref();
            if previous.is_some_and(|previous| previous.expires_at <= context.now) {
                settings.previous_secret = None;
                settings.revision = settings.revision.saturating_add(1);
                seal_again(&mut webhook, context);
                workspace = workspace.next_revision();
                self.change(&workspace, context.now, |machine| {
                    machine.tables.put_webhook(&webhook, workspace.revision)
                })?;
            }
        }
        Ok(workspace)
    }
}

/// Returns false also if the stored secret cannot be opened: its key is gone, and a rotation is the way out.
fn is_current_secret(webhook: &Webhook, secret: &Sealed, context: &Context<'_>) -> Result<bool> {
    let open = |secret| context.keys.open(secret, &webhook.id, Field::Secret);
    let given = open(secret)?;
    Ok(open(&webhook.settings.secret).is_ok_and(|current| current == given))
}
