//! The rows of a workspace's object: a few, since a workspace has at most 50 webhooks.

mod access_rows;

mod creation_rows;

mod outbox;

use std::rc::Rc;

use serde::{Serialize, de::DeserializeOwned};

pub(crate) use self::outbox::Untold;

use crate::domain::{
    history::{CHANGES_LIMIT, SelectionChange},
    ids::{KeyId, WebhookId},
    subscriptions::{KeyGrant, Snapshot, Subscription},
    timestamp::Timestamp,
    webhook::Webhook,
    workspace::{ApiKey, Workspace},
};
use crate::machines::{
    outbox::{self as shared, COPY, Outbox},
    sql::{Database, Result, Sql, SqlError, integer, json, text},
};

/// The version of the tables.
const SCHEMA: u32 = 1;

/// The key under which it is stored since when the record of selections is whole.
const RECORDED_SINCE: &str = "recorded_since";

/// Those besides the outbox's.
const TABLES: [&str; 4] = [
    "CREATE TABLE IF NOT EXISTS webhooks (id TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS api_keys (id TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS dashboard_links (hash TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS selection_changes (webhook_id TEXT NOT NULL, revision INTEGER NOT NULL, at INTEGER NOT NULL,
        value TEXT NOT NULL, PRIMARY KEY (webhook_id, revision)) WITHOUT ROWID",
];

/// The tables of one workspace.
pub(crate) struct WorkspaceTables {
    database: Database,
}

impl WorkspaceTables {
    /// The tables in an engine; none is read or made.
    #[must_use]
    pub(crate) fn new(sql: Rc<dyn Sql>) -> Self {
        Self {
            database: Database::new(sql),
        }
    }

    /// The database.
    #[must_use]
    pub(crate) const fn database(&self) -> &Database {
        &self.database
    }

    /// Who must still be told of a change.
    const fn outbox(&self) -> Outbox<'_> {
        Outbox::new(&self.database)
    }

    /// Does all that `work` writes, or nothing of it: a change is stored together with who has to be told of it.
    ///
    /// # Errors
    /// Those of `work`.
    pub(crate) fn transaction<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        self.database.transaction(work)
    }

    /// Reads the workspace, even if it is deleted; none if it was never created.
    pub(crate) fn workspace(&self) -> Result<Option<Workspace>> {
        if !self.database.has_table("meta")? {
            return Ok(None);
        }
        let value = self.meta("workspace")?;
        if value.is_some() {
            self.check_schema()?;
        }
        Ok(value
            .map(|value| serde_json::from_str(&value))
            .transpose()?)
    }

    /// Refuses tables that a later version wrote.
    fn check_schema(&self) -> Result<()> {
        let found = self.meta("schema")?;
        if found == Some(SCHEMA.to_string()) {
            return Ok(());
        }
        let found = found.unwrap_or_else(|| "none".to_string());
        Err(SqlError::UnknownSchema {
            found,
            known: SCHEMA,
        })
    }

    /// Reads a value.
    pub(crate) fn meta(&self, key: &str) -> Result<Option<String>> {
        self.outbox().meta(key)
    }

    /// Stores a value.
    pub(crate) fn put_meta<T: Serialize>(&self, key: &str, value: &T) -> Result<()> {
        self.outbox().put_meta(key, value)
    }

    /// Creates the tables and stores the workspace.
    pub(crate) fn create(&self, workspace: &Workspace) -> Result<()> {
        self.transaction(|| {
            for table in shared::TABLES.into_iter().chain(TABLES) {
                self.database.run(table, vec![])?;
            }
            let schema = "INSERT OR REPLACE INTO meta (key, value) VALUES ('schema', ?)";
            self.database.run(schema, vec![SCHEMA.to_string().into()])?;
            self.put_meta("workspace", workspace)?;
            self.put_untold(COPY, workspace.revision)
        })
    }

    /// Stores a change and the workspace in its new revision, and, if that changes what KV holds, that KV must be told;
    /// all of it or nothing.
    ///
    /// # Errors
    /// Those of `work`.
    pub(crate) fn change<T>(
        &self,
        workspace: &Workspace,
        work: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        self.transaction(|| {
            let before = self.published()?;
            let done = work()?;
            self.put_meta("workspace", workspace)?;
            if self.published()? != before {
                self.put_untold(COPY, workspace.revision)?;
            }
            Ok(done)
        })
    }

    /// What KV has to hold: the name, and what the workspace has unless it is deleted. The revision does not matter.
    fn published(&self) -> Result<Option<(String, Option<Snapshot>)>> {
        let Some(workspace) = self.workspace()? else {
            return Ok(None);
        };
        let unnumbered = Workspace {
            revision: 0,
            ..workspace
        };
        let snapshot = match unnumbered.deleted_at {
            None => Some(self.snapshot(&unnumbered)?),
            Some(_) => None,
        };
        Ok(Some((unnumbered.name, snapshot)))
    }

    /// Reads a webhook.
    pub(crate) fn webhook(&self, id: &WebhookId) -> Result<Option<Webhook>> {
        self.read("SELECT value FROM webhooks WHERE id = ?", id.as_ref())
    }

    /// Reads all webhooks, ordered by id.
    pub(crate) fn webhooks(&self) -> Result<Vec<Webhook>> {
        self.list("SELECT value FROM webhooks ORDER BY id")
    }

    /// Stores a webhook, and that its object must be told; `revision` is that of the workspace.
    pub(crate) fn put_webhook(&self, webhook: &Webhook, revision: u64) -> Result<()> {
        self.put_standing(webhook)?;
        self.put_untold(webhook.id.as_ref(), revision)
    }

    /// Stores a webhook whose object already knows its settings.
    pub(crate) fn put_standing(&self, webhook: &Webhook) -> Result<()> {
        self.database.run(
            "INSERT OR REPLACE INTO webhooks (id, value) VALUES (?, ?)",
            vec![
                webhook.id.as_ref().into(),
                serde_json::to_string(webhook)?.into(),
            ],
        )?;
        Ok(())
    }

    /// Deletes a webhook, and stores that its object must be told.
    pub(crate) fn delete_webhook(
        &self,
        id: &WebhookId,
        revision: u64,
        now: Timestamp,
    ) -> Result<()> {
        self.put_selection(
            &SelectionChange {
                webhook: id.clone(),
                at: now,
                events: None,
            },
            revision,
        )?;
        self.database.run(
            "DELETE FROM webhooks WHERE id = ?",
            vec![id.as_ref().into()],
        )?;
        self.put_untold(id.as_ref(), revision)
    }

    /// Stores what a webhook selects from a revision on.
    pub(crate) fn put_selection(&self, change: &SelectionChange, revision: u64) -> Result<()> {
        self.database.run(
            "INSERT OR REPLACE INTO selection_changes (webhook_id, revision, at, value) VALUES (?, ?, ?, ?)",
            vec![
                change.webhook.as_ref().into(),
                i64::try_from(revision).unwrap_or(i64::MAX).into(),
                change.at.as_millis().into(),
                serde_json::to_string(change)?.into(),
            ],
        )?;
        Ok(())
    }

    /// Lets the record of selections begin at a time, or later if there are too many changes since: keeps what was in
    /// force then and what came after.
    pub(crate) fn trim_selections(&self, begin: Timestamp) -> Result<()> {
        let skipped = CHANGES_LIMIT.saturating_sub(1);
        let statement =
            format!("SELECT at FROM selection_changes ORDER BY at DESC LIMIT 1 OFFSET {skipped}");
        let full = integer(self.database.value(&statement, vec![])?.as_ref());
        let begin = begin.max(full.map(Timestamp::from_millis).unwrap_or_default());
        let dropped = self.database.run(
            "DELETE FROM selection_changes WHERE at < ?1 AND (json_extract(value, '$.events') IS NULL OR EXISTS
             (SELECT 1 FROM selection_changes AS later WHERE later.webhook_id = selection_changes.webhook_id
              AND later.revision > selection_changes.revision AND later.at <= ?1)) RETURNING 1",
            vec![begin.as_millis().into()],
        )?;
        let known = self.recorded_since()?;
        if !dropped.is_empty() && known.is_none_or(|known| known < begin) {
            self.put_meta(RECORDED_SINCE, &begin)?;
        }
        Ok(())
    }

    /// Since when the record of selections is whole; none if nothing was dropped.
    pub(crate) fn recorded_since(&self) -> Result<Option<Timestamp>> {
        let since = self.meta(RECORDED_SINCE)?;
        Ok(since
            .map(|since| serde_json::from_str(&since))
            .transpose()?)
    }

    /// Returns what each webhook selected and when, webhook by webhook, oldest first.
    pub(crate) fn history(&self) -> Result<Vec<SelectionChange>> {
        self.list("SELECT value FROM selection_changes ORDER BY webhook_id, revision")
    }

    /// Reads all keys, ordered by id.
    pub(crate) fn keys(&self) -> Result<Vec<ApiKey>> {
        self.list("SELECT value FROM api_keys ORDER BY id")
    }

    /// Stores a key.
    pub(crate) fn put_key(&self, key: &ApiKey) -> Result<()> {
        let statement = "INSERT OR REPLACE INTO api_keys (id, value) VALUES (?, ?)";
        self.database.run(
            statement,
            vec![key.id.as_ref().into(), serde_json::to_string(key)?.into()],
        )?;
        Ok(())
    }

    /// Deletes a key.
    pub(crate) fn delete_key(&self, id: &KeyId) -> Result<()> {
        let statement = "DELETE FROM api_keys WHERE id = ?";
        self.database.run(statement, vec![id.as_ref().into()])?;
        Ok(())
    }

    /// Deletes all keys, links and sessions.
    pub(crate) fn delete_tokens(&self) -> Result<()> {
        self.database.run("DELETE FROM api_keys", vec![])?;
        self.end_access(None).map(drop)
    }

    /// Builds what KV should hold.
    pub(crate) fn snapshot(&self, workspace: &Workspace) -> Result<Snapshot> {
        let webhooks = self.webhooks()?.into_iter();
        let webhooks = webhooks.map(|webhook| Subscription {
            since: webhook.selected_since(),
            id: webhook.id,
            events: webhook.settings.events,
        });
        let keys = self.keys()?.into_iter();
        let keys = keys.map(|key| KeyGrant {
            hash: key.hash,
            scopes: key.scopes,
        });
        Ok(Snapshot::new(workspace, webhooks.collect(), keys.collect()))
    }

    /// Reads the value of the row with an id or a hash.
    pub(crate) fn read<T: DeserializeOwned>(&self, statement: &str, id: &str) -> Result<Option<T>> {
        let value = text(self.database.value(statement, vec![id.into()])?);
        Ok(value
            .map(|value| serde_json::from_str(&value))
            .transpose()?)
    }

    fn list<T: DeserializeOwned>(&self, statement: &str) -> Result<Vec<T>> {
        self.database
            .run(statement, vec![])?
            .into_iter()
            .map(|mut row| json(row.next()))
            .collect()
    }
}
