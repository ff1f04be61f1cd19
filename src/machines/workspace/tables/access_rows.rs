//! The rows of dashboard links and sessions, each under the hash of its token.

use super::WorkspaceTables;
use crate::{
    domain::{
        access::Access,
        ids::{AccessId, KeyId},
        session::{SESSIONS_LIMIT, SESSIONS_OF_KEY, Session},
        timestamp::Timestamp,
        token::TokenHash,
        workspace::DashboardLink,
    },
    machines::sql::{Result, SqlError, SqlValue, text},
};

/// How many expired links, and sessions, are deleted at a time.
const ENDED_SLICE: u32 = 100;

const LINKS: &str = "dashboard_links";
const SESSIONS: &str = "sessions";

/// The id of a row. One without an id gets it from its hash, in the same form.
const ID: &str = "COALESCE(json_extract(value, '$.id'),
    'acc_' || substr(hash, 1, 12) || '7' || substr(hash, 14, 3) || '8' || substr(hash, 18, 15))";

impl WorkspaceTables {
    /// Stores a dashboard link.
    pub(crate) fn put_link(&self, hash: &TokenHash, link: &DashboardLink) -> Result<()> {
        let statement = "INSERT OR REPLACE INTO dashboard_links (hash, value) VALUES (?, ?)";
        let value = serde_json::to_string(link)?;
        self.database()
            .run(statement, vec![hash.as_ref().into(), value.into()])?;
        Ok(())
    }

    /// Reads a dashboard link.
    pub(crate) fn link(&self, hash: &TokenHash) -> Result<Option<DashboardLink>> {
        let statement = "SELECT value FROM dashboard_links WHERE hash = ?";
        self.read(statement, hash.as_ref())
    }

    /// Deletes a dashboard link.
    pub(crate) fn delete_link(&self, hash: &TokenHash) -> Result<()> {
        let statement = "DELETE FROM dashboard_links WHERE hash = ?";
        self.database().run(statement, vec![hash.as_ref().into()])?;
        Ok(())
    }

    /// Stores a session; the first one creates the table. If there are too many, of its key or in all, those that would
    /// expire first are deleted.
    pub(crate) fn put_session(&self, hash: &TokenHash, session: &Session) -> Result<()> {
        let table = "CREATE TABLE IF NOT EXISTS sessions (hash TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID";
        self.database().run(table, vec![])?;
        let statement = "INSERT OR REPLACE INTO sessions (hash, value) VALUES (?, ?)";
        let value = serde_json::to_string(session)?;
        self.database()
            .run(statement, vec![hash.as_ref().into(), value.into()])?;
        if let Some(key) = &session.key {
            let of_key = "json_extract(value, '$.key') = ?";
            self.keep_newest_sessions(hash, SESSIONS_OF_KEY, of_key, Some(key.as_ref()))?;
        }
        self.keep_newest_sessions(hash, SESSIONS_LIMIT, "TRUE", None)
    }

    /// Deletes all but the newest of some sessions, of which `hash` is one.
    fn keep_newest_sessions(
        &self,
        hash: &TokenHash,
        limit: u32,
        which: &str,
        parameter: Option<&str>,
    ) -> Result<()> {
        let too_many = format!(
            "DELETE FROM sessions WHERE hash IN (SELECT hash FROM sessions WHERE {which}
                ORDER BY hash = ? DESC, json_extract(value, '$.expires_at') DESC LIMIT -1 OFFSET ?)"
        );
        let mut parameters: Vec<SqlValue> = parameter.map(Into::into).into_iter().collect();
        parameters.extend([hash.as_ref().into(), i64::from(limit).into()]);
        self.database().run(&too_many, parameters)?;
        Ok(())
    }

    /// Reads a session, valid or not.
    pub(crate) fn session(&self, hash: &TokenHash) -> Result<Option<Session>> {
        if !self.has_sessions()? {
            return Ok(None);
        }
        self.read("SELECT value FROM sessions WHERE hash = ?", hash.as_ref())
    }

    /// Deletes a session.
    pub(crate) fn delete_session(&self, hash: &TokenHash) -> Result<()> {
        self.delete_sessions("hash = ?", hash.as_ref())
    }

    /// Deletes the sessions that a key opened.
    pub(crate) fn delete_sessions_of(&self, key: &KeyId) -> Result<()> {
        self.delete_sessions("json_extract(value, '$.key') = ?", key.as_ref())
    }

    fn delete_sessions(&self, which: &str, parameter: &str) -> Result<()> {
        if self.has_sessions()? {
            let statement = format!("DELETE FROM sessions WHERE {which}");
            self.database().run(&statement, vec![parameter.into()])?;
        }
        Ok(())
    }

    /// Deletes a slice of the links and sessions that have expired.
    pub(crate) fn delete_ended(&self, now: Timestamp) -> Result<()> {
        for table in self.access_tables()? {
            let statement = format!(
                "DELETE FROM {table} WHERE hash IN
                (SELECT hash FROM {table} WHERE json_extract(value, '$.expires_at') <= ? LIMIT {ENDED_SLICE})"
            );
            self.database()
                .run(&statement, vec![now.as_millis().into()])?;
        }
        Ok(())
    }

    /// Lists at most `limit` links and sessions that are open, ordered by id, after an id.
    pub(crate) fn access(
        &self,
        now: Timestamp,
        after: Option<&AccessId>,
        limit: u32,
    ) -> Result<Vec<Access>> {
        let tables = self.access_tables()?;
        let mut parameters: Vec<SqlValue> = Vec::new();
        let open = tables.iter().map(|table| {
            parameters.push(now.as_millis().into());
            format!(
                "SELECT '{table}' AS origin, {ID} AS id, value FROM {table} WHERE json_extract(value, '$.expires_at') > ?"
            )
        });
        let open = open.collect::<Vec<_>>().join(" UNION ALL ");
        let statement = format!(
            "SELECT origin, id, value FROM ({open}) WHERE id > ? ORDER BY id, origin LIMIT ?"
        );
        parameters.push(after.map_or("", AsRef::as_ref).into());
        parameters.push(i64::from(limit).into());
        let rows = self.database().run(&statement, parameters)?;
        rows.into_iter()
            .map(|mut row| {
                let mut next = || text(row.next()).unwrap_or_default();
                let (origin, id, value) = (next(), next(), next());
                let id = AccessId::parse(&id).map_err(|_| SqlError::Damaged("id"))?;
                Ok(if origin == LINKS {
                    Access::of_link(id, serde_json::from_str(&value)?)
                } else {
                    Access::of_session(id, serde_json::from_str(&value)?)
                })
            })
            .collect()
    }

    /// Deletes the link and the sessions of an id, or all; returns whether there were any.
    pub(crate) fn end_access(&self, id: Option<&AccessId>) -> Result<bool> {
        let mut found = false;
        for table in self.access_tables()? {
            let rows = if let Some(id) = id {
                let statement = format!("DELETE FROM {table} WHERE {ID} = ? RETURNING hash");
                self.database().run(&statement, vec![id.as_ref().into()])?
            } else {
                let statement = format!("DELETE FROM {table}");
                self.database().run(&statement, vec![])?
            };
            found |= !rows.is_empty();
        }
        Ok(found)
    }

    fn access_tables(&self) -> Result<Vec<&'static str>> {
        let mut tables = vec![LINKS];
        if self.has_sessions()? {
            tables.push(SESSIONS);
        }
        Ok(tables)
    }

    fn has_sessions(&self) -> Result<bool> {
        self.database().has_table(SESSIONS)
    }
}
