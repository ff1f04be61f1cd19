//! Changes of webhooks: each is stored under a new revision, and told before the answer.

use std::collections::BTreeMap;

use super::{
    Context, Result, WorkspaceMachine,
    telling::{Step, Then, Whom},
};
use crate::{
    domain::{
        history::{SelectionChange, is_same_selection},
        idempotency_key::Idempotent,
        ids::WebhookId,
        webhook::{ReportedStanding, Settings, WEBHOOKS_LIMIT, Webhook},
        workspace::Workspace,
    },
    machines::{
        messages::{NewWebhook, Refusal, WebhookChange, WorkspaceReply},
        sql,
    },
};

impl WorkspaceMachine {
    pub(super) fn create_webhook(
        &mut self,
        workspace: Workspace,
        id: WebhookId,
        webhook: NewWebhook,
        idempotent: Option<&Idempotent>,
        context: &Context<'_>,
    ) -> Result<Step> {
        let now = context.now;
        if let Some(reply) = self.answer_again(idempotent, now)? {
            return Ok(Step::Answer(reply));
        }
        if let Some(webhook) = self.find_created(idempotent, now)? {
            let whom = Whom::Webhook(webhook.id.clone());
            let then = Then::ShowWebhook(Box::new(webhook));
            return Ok(Step::tell(&workspace, whom, then));
        }
        let others = self.tables.webhooks()?;
        if others.len() >= WEBHOOKS_LIMIT {
            return Ok(refused(Refusal::TooManyWebhooks));
        }
        let is_selected = |event: &String| {
            let mut others = others.iter();
            others.any(|other| other.settings.events.contains(event))
        };
        let shares_a_type = webhook.events.iter().any(is_selected);
        let kv_is_behind = self.tables.has_to_put(now)?;
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
                paused: false,
                pace: webhook.pace,
            },
            description: webhook.description,
            created_at: now,
            updated_at: now,
            standing: ReportedStanding::default(),
            has_unshown_secret: false,
            added_at: BTreeMap::new(),
        };
        let saved = self.save(workspace, webhook, idempotent, Then::ShowWebhook, context)?;
        // A Worker whose copy knows no webhook for an event's type asks for the present ones. A copy that is behind may
        // know one that is deleted.
        Ok(if shares_a_type || kv_is_behind {
            saved
        } else {
            saved.without_awaiting_kv()
        })
    }

    pub(super) fn change_webhook(
        &mut self,
        workspace: Workspace,
        id: &WebhookId,
        change: WebhookChange,
        context: &Context<'_>,
    ) -> Result<Step> {
        let Some(mut webhook) = self.tables.webhook(id)? else {
            return Ok(refused(Refusal::NoWebhook));
        };
        let status = change.status();
        let settings = &mut webhook.settings;
        settings.revision = settings.revision.saturating_add(1);
        settings.url = change
            .url
            .unwrap_or_else(|| std::mem::take(&mut settings.url));
        settings.headers = change
            .headers
            .unwrap_or_else(|| std::mem::take(&mut settings.headers));
        webhook.description = change.description.unwrap_or(webhook.description);
        webhook.updated_at = context.now;
        if let Some(events) = change.events {
            webhook.select(events, webhook.updated_at);
        }
        change.pace.apply(&mut webhook.settings.pace);
        if let Some(with) = change.sign_header_with {
            let previous = webhook.settings.previous_secret.as_mut();
            match previous.filter(|previous| context.now < previous.expires_at) {
                Some(previous) => previous.sign_header_with = with,
                None => return Ok(refused(Refusal::NoOverlap)),
            }
        }
        if let Some(status) = status {
            webhook.set_status(status);
        }
        self.save(workspace, webhook, None, Then::ShowWebhook, context)
    }

    /// Stores a webhook and, if its selection has changed, that; tells its object.
    pub(super) fn save(
        &mut self,
        workspace: Workspace,
        mut webhook: Webhook,
        created_by: Option<&Idempotent>,
        then: fn(Box<Webhook>) -> Then,
        context: &Context<'_>,
    ) -> Result<Step> {
        seal_again(&mut webhook, context);
        let workspace = workspace.next_revision();
        self.change(&workspace, context.now, |machine| {
            let before = machine.tables.webhook(&webhook.id)?;
            let selected = &webhook.settings.events;
            if before.is_none_or(|before| !is_same_selection(&before.settings.events, selected)) {
                let change = SelectionChange {
                    webhook: webhook.id.clone(),
                    at: webhook.updated_at,
                    events: Some(selected.clone()),
                };
                machine.tables.put_selection(&change, workspace.revision)?;
                machine.trim_selections(context)?;
            }
            machine.recognize(created_by, webhook.id.as_ref(), context.now)?;
            machine.tables.put_webhook(&webhook, workspace.revision)
        })?;
        let whom = Whom::Webhook(webhook.id.clone());
        Ok(Step::tell(&workspace, whom, then(Box::new(webhook))))
    }

    pub(super) fn delete_webhook(
        &mut self,
        workspace: Workspace,
        id: &WebhookId,
        context: &Context<'_>,
    ) -> Result<Step> {
        if self.tables.webhook(id)?.is_none() {
            return Ok(refused(Refusal::NoWebhook));
        }
        let workspace = workspace.next_revision();
        self.change(&workspace, context.now, |machine| {
            machine
                .tables
                .delete_webhook(id, workspace.revision, context.now)?;
            machine.trim_selections(context)
        })?;
        let whom = Whom::Webhook(id.clone());
        Ok(Step::tell(&workspace, whom, Then::SayIfApplied))
    }

    pub(super) fn take_standing(
        &mut self,
        workspace: Workspace,
        id: &WebhookId,
        standing: ReportedStanding,
        context: &Context<'_>,
    ) -> Result<WorkspaceReply> {
        let Some(mut webhook) = self.tables.webhook(id)? else {
            return Ok(WorkspaceReply::Refused(Refusal::NoWebhook));
        };
        webhook.standing = standing;
        if seal_again(&mut webhook, context) {
            // The webhook's object has the settings under the old key. It waits for this reply, so the alarm tells it.
            let workspace = workspace.next_revision();
            webhook.settings.revision = webhook.settings.revision.saturating_add(1);
            self.change(&workspace, context.now, |machine| {
                machine.tables.put_webhook(&webhook, workspace.revision)
            })?;
        } else {
            self.tables.put_standing(&webhook)?;
        }
        Ok(WorkspaceReply::Done { applied: true })
    }

    /// What each webhook selected and when, and where the present ones send.
    pub(super) fn history(&self, context: &Context<'_>) -> Result<WorkspaceReply> {
        // An earlier release kept more than is read at once.
        self.trim_selections(context)?;
        let webhooks = self.tables.webhooks()?.into_iter();
        Ok(WorkspaceReply::History {
            changes: self.tables.history()?,
            urls: webhooks
                .map(|webhook| (webhook.id, webhook.settings.url))
                .collect(),
            recorded_since: self.tables.recorded_since()?,
        })
    }

    /// Drops of the record of selections what explains no delivery that may be kept.
    pub(super) fn trim_selections(&self, context: &Context<'_>) -> sql::Result<()> {
        let begin = context.now.saturating_sub(context.policy.retention);
        self.tables.trim_selections(begin)
    }
}

pub(super) const fn refused(refusal: Refusal) -> Step {
    Step::Answer(WorkspaceReply::Refused(refusal))
}

/// Seals values that are stored in plain or under another key with the first key, as each write of a webhook does.
/// Returns whether it changed anything.
pub(super) fn seal_again(webhook: &mut Webhook, context: &Context<'_>) -> bool {
    let values = webhook.settings.sealed_mut();
    context.keys.renew_all(&webhook.id, values, context.nonces)
}
