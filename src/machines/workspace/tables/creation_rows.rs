//! The rows by which creations are recognized when they are repeated.

use super::WorkspaceTables;
use crate::{
    domain::{idempotency_key::Idempotent, timestamp::Timestamp},
    machines::sql::{Result, text},
};

const TABLE: &str = "CREATE TABLE IF NOT EXISTS creations (creation TEXT NOT NULL, key TEXT NOT NULL, at INTEGER NOT NULL,
    body TEXT NOT NULL, made TEXT NOT NULL, answer TEXT, PRIMARY KEY (creation, key)) WITHOUT ROWID";

/// The first creation with a key.
pub(crate) struct FirstCreation {
    /// A hash of its body.
    pub(crate) body: String,
    /// The id of what it made.
    pub(crate) made: String,
    /// Its answer, encrypted, if there was one.
    pub(crate) answer: Option<String>,
}

impl WorkspaceTables {
    /// Finds the creation of the same kind and key, unless it is older than a time.
    pub(crate) fn find_creation(
        &self,
        idempotent: &Idempotent,
        since: Timestamp,
    ) -> Result<Option<FirstCreation>> {
        if !self.database().has_table("creations")? {
            return Ok(None);
        }
        let statement =
            "SELECT body, made, answer FROM creations WHERE creation = ? AND key = ? AND at > ?";
        let rows = self.database().run(
            statement,
            vec![
                idempotent.creation.as_str().into(),
                idempotent.key.as_str().into(),
                since.as_millis().into(),
            ],
        )?;
        Ok(rows.into_iter().next().and_then(|mut row| {
            Some(FirstCreation {
                body: text(row.next())?,
                made: text(row.next())?,
                answer: text(row.next()),
            })
        }))
    }

    /// Stores a creation, and deletes those that are older than a time; the first one makes the table.
    pub(crate) fn put_creation(
        &self,
        idempotent: &Idempotent,
        made: &str,
        now: Timestamp,
        forgotten: Timestamp,
    ) -> Result<()> {
        self.database().run(TABLE, vec![])?;
        let old = "DELETE FROM creations WHERE at <= ?";
        self.database()
            .run(old, vec![forgotten.as_millis().into()])?;
        self.database().run(
            "INSERT OR REPLACE INTO creations (creation, key, at, body, made, answer) VALUES (?, ?, ?, ?, ?, ?)",
            vec![
                idempotent.creation.as_str().into(),
                idempotent.key.as_str().into(),
                now.as_millis().into(),
                idempotent.body.as_str().into(),
                made.into(),
                idempotent.answer.clone().into(),
            ],
        )?;
        Ok(())
    }

    /// Keeps the answer to a creation, if it has none.
    pub(crate) fn keep_answer(&self, idempotent: &Idempotent) -> Result<()> {
        let statement =
            "UPDATE creations SET answer = ? WHERE creation = ? AND key = ? AND answer IS NULL";
        self.database().run(
            statement,
            vec![
                idempotent.answer.clone().into(),
                idempotent.creation.as_str().into(),
                idempotent.key.as_str().into(),
            ],
        )?;
        Ok(())
    }
}
