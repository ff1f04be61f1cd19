//! The outbox: who must still be told of a change, a webhook's object or KV. It is written in the transaction of the change.

use super::WorkspaceTables;
use crate::{
    domain::{ids::WebhookId, timestamp::Timestamp},
    machines::sql::{Result, SqlValue, text},
};

/// The outbox's entry for KV; all others are webhook ids.
pub(crate) const SNAPSHOT_TARGET: &str = "kv";

/// The key under which it is stored when KV must be told again.
const PUT_AGAIN: &str = "put_again_at";

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
        if !self.database().has_table("outbox")? {
            return Ok(Vec::new());
        }
        let rows = self
            .database()
            .run("SELECT target, revision FROM outbox", vec![])?;
        let untold = rows.into_iter().filter_map(|mut row| {
            let target = text(row.next())?;
            let Some(SqlValue::Integer(revision)) = row.next() else {
                return None;
            };
            if target == SNAPSHOT_TARGET {
                return Some(Untold::Snapshot);
            }
            let revision = revision.try_into().ok()?;
            Some(Untold::Webhook {
                id: WebhookId::parse(&target).ok()?,
                revision,
            })
        });
        Ok(untold.collect())
    }

    /// Records that a webhook's object knows everything up to a revision.
    pub(crate) fn webhook_told(&self, id: &WebhookId, revision: u64) -> Result<()> {
        self.told(id.as_ref(), revision)
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
        let untold = self.untold()?;
        let is_untold = untold
            .iter()
            .any(|untold| matches!(untold, Untold::Snapshot));
        Ok(is_untold || self.put_again_at()?.is_some_and(|time| time <= now))
    }

    /// When KV must be told again what it was told last, because an earlier put may have come after it.
    pub(crate) fn put_again_at(&self) -> Result<Option<Timestamp>> {
        if !self.database().has_table("meta")? {
            return Ok(None);
        }
        let stored = self.meta(PUT_AGAIN)?;
        Ok(stored
            .map(|stored| serde_json::from_str(&stored))
            .transpose()?)
    }

    /// Records at a time that KV has everything up to a revision, and when it must be told again.
    pub(crate) fn snapshot_put(
        &self,
        revision: u64,
        now: Timestamp,
        again_at: Option<Timestamp>,
    ) -> Result<()> {
        self.transaction(|| {
            self.told(SNAPSHOT_TARGET, revision)?;
            if let Some(again_at) = again_at {
                return self.put_meta(PUT_AGAIN, &again_at);
            }
            if self.put_again_at()?.is_some_and(|time| time <= now) {
                let statement = "DELETE FROM meta WHERE key = ?";
                self.database().run(statement, vec![PUT_AGAIN.into()])?;
            }
            Ok(())
        })
    }

    /// Stores that a target must be told everything up to a revision.
    pub(crate) fn put_untold(&self, target: &str, revision: u64) -> Result<()> {
        let statement = "INSERT OR REPLACE INTO outbox (target, revision) VALUES (?, ?)";
        self.database().run(
            statement,
            vec![
                target.into(),
                i64::try_from(revision).unwrap_or(i64::MAX).into(),
            ],
        )?;
        Ok(())
    }

    fn told(&self, target: &str, revision: u64) -> Result<()> {
        let statement = "DELETE FROM outbox WHERE target = ? AND revision <= ?";
        self.database().run(
            statement,
            vec![
                target.into(),
                i64::try_from(revision).unwrap_or(i64::MAX).into(),
            ],
        )?;
        Ok(())
    }
}
