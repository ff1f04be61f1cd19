//! Creations that are repeated with their `Idempotency-Key`: they are recognized in the same transaction that makes
//! something, so that two at the same moment make one thing.

use super::{Result, WorkspaceMachine};
use crate::{
    domain::{
        idempotency_key::{ANSWER_KEPT, Idempotent},
        ids::WebhookId,
        timestamp::Timestamp,
        webhook::Webhook,
    },
    machines::{
        messages::{Refusal, WorkspaceReply},
        sql,
    },
};

impl WorkspaceMachine {
    /// Answers a creation that is repeated: with its first answer, or a refusal if the body is another one. None if it is
    /// not, or if its answer is not known.
    pub(super) fn answer_again(
        &self,
        idempotent: Option<&Idempotent>,
        now: Timestamp,
    ) -> Result<Option<WorkspaceReply>> {
        let Some(idempotent) = idempotent else {
            return Ok(None);
        };
        let since = now.saturating_sub(ANSWER_KEPT);
        let Some(first) = self.tables.find_creation(idempotent, since)? else {
            return Ok(None);
        };
        if first.body != idempotent.body {
            return Ok(Some(WorkspaceReply::Refused(Refusal::IdempotencyMismatch)));
        }
        Ok(first
            .answer
            .map(|answer| WorkspaceReply::Answered { answer }))
    }

    /// Finds the webhook that an earlier creation with the same key made, whose answer is not known.
    pub(super) fn find_created(
        &self,
        idempotent: Option<&Idempotent>,
        now: Timestamp,
    ) -> Result<Option<Webhook>> {
        let Some(idempotent) = idempotent else {
            return Ok(None);
        };
        let since = now.saturating_sub(ANSWER_KEPT);
        let first = self.tables.find_creation(idempotent, since)?;
        match first.and_then(|first| WebhookId::parse(&first.made).ok()) {
            Some(id) => Ok(self.tables.webhook(&id)?),
            None => Ok(None),
        }
    }

    /// Stores by what a creation is recognized, and what it made.
    pub(super) fn recognize(
        &self,
        idempotent: Option<&Idempotent>,
        made: &str,
        now: Timestamp,
    ) -> sql::Result<()> {
        let Some(idempotent) = idempotent else {
            return Ok(());
        };
        let forgotten = now.saturating_sub(ANSWER_KEPT);
        self.tables.put_creation(idempotent, made, now, forgotten)
    }

    /// Keeps the answer to a creation.
    pub(super) fn keep_answer(&self, idempotent: &Idempotent) -> Result<WorkspaceReply> {
        self.tables.keep_answer(idempotent)?;
        Ok(WorkspaceReply::Done { applied: true })
    }
}
