//! Whom a workspace's object must still tell of a change: a webhook's object, or KV.

use super::WorkspaceTables;
use crate::{
    domain::{ids::WebhookId, timestamp::Timestamp},
    machines::{outbox::COPY, sql::Result},
};

/// A target that must still be told of changes, up to a revision of the workspace.
pub(crate) enum Untold {
    /// KV must hold the present snapshot.
    Snapshot,
    /// The object of a webhook must have its present settings.
    Webhook {
        /// The webhook.
        id: WebhookId,
        /// The revision of the workspace.
        revision: u64,
    },
}

impl WorkspaceTables {
    /// Returns the targets that must still be told.
    pub(crate) fn untold(&self) -> Result<Vec<Untold>> {
        let untold = self.outbox().untold()?.into_iter();
        let untold = untold.filter_map(|(target, revision)| {
            if target == COPY {
                return Some(Untold::Snapshot);
            }
            let id = WebhookId::parse(&target).ok()?;
            Some(Untold::Webhook { id, revision })
        });
        Ok(untold.collect())
    }

    /// Records that a webhook's object knows everything up to a revision.
    pub(crate) fn webhook_told(&self, id: &WebhookId, revision: u64) -> Result<()> {
        self.outbox().told(id.as_ref(), revision)
    }

    /// Stores that the object of each webhook must be told; `revision` is that of the workspace.
    pub(crate) fn put_all_untold(&self, revision: u64) -> Result<()> {
        for webhook in self.webhooks()? {
            self.put_untold(webhook.id.as_ref(), revision)?;
        }
        Ok(())
    }

    /// Whether KV must be told at a time, or told again.
    pub(crate) fn has_to_put(&self, now: Timestamp) -> Result<bool> {
        self.outbox().has_to_put(now)
    }

    /// When KV must be told again what it was told last, because an earlier put may have come after it.
    pub(crate) fn put_again_at(&self) -> Result<Option<Timestamp>> {
        self.outbox().put_again_at()
    }

    /// Records at a time that KV has everything up to a revision, and when it must be told again.
    pub(crate) fn snapshot_put(
        &self,
        revision: u64,
        now: Timestamp,
        again_at: Option<Timestamp>,
    ) -> Result<()> {
        self.outbox().copy_put(revision, now, again_at)
    }

    /// Stores that a target must be told everything up to a revision.
    pub(crate) fn put_untold(&self, target: &str, revision: u64) -> Result<()> {
        self.outbox().put_untold(target, revision)
    }
}
