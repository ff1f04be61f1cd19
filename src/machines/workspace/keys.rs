//! API keys, stored as hashes.

use super::{
    Result, WorkspaceMachine,
    telling::{Step, Then, Whom},
};
use crate::{
    domain::{
        idempotency_key::Idempotent,
        ids::KeyId,
        timestamp::Timestamp,
        token::TokenHash,
        workspace::{ApiKey, Workspace},
    },
    machines::messages::{Refusal, WorkspaceReply},
};

impl WorkspaceMachine {
    pub(super) fn create_key(
        &mut self,
        workspace: Workspace,
        key: ApiKey,
        idempotent: Option<&Idempotent>,
        now: Timestamp,
    ) -> Result<Step> {
        if let Some(reply) = self.answer_again(idempotent, now)? {
            return Ok(Step::Answer(reply));
        }
        let workspace = workspace.next_revision();
        self.change(&workspace, now, |machine| {
            machine.tables.put_key(&key)?;
            machine.recognize(idempotent, key.id.as_ref(), now)
        })?;
        let made = Then::Reply(WorkspaceReply::Keys(vec![key]));
        Ok(Step::tell(&workspace, Whom::OnlyKv, made))
    }

    /// Revokes a key; its sessions end with it.
    pub(super) fn revoke_key(
        &mut self,
        workspace: Workspace,
        id: &KeyId,
        now: Timestamp,
    ) -> Result<Step> {
        if !self.tables.keys()?.iter().any(|key| key.id == *id) {
            return Ok(Step::Answer(WorkspaceReply::Refused(Refusal::NoKey)));
        }
        let mut workspace = workspace.next_revision();
        workspace.keys_revision = workspace.revision;
        self.change(&workspace, now, |machine| {
            machine.tables.delete_key(id)?;
            machine.tables.delete_sessions_of(id)?;
            // Until KV has the change, the webhooks' objects refuse what is posted with an older copy of the keys.
            machine.tables.put_all_untold(workspace.revision)
        })?;
        let done = Then::Reply(WorkspaceReply::Done { applied: true });
        Ok(Step::tell(&workspace, Whom::AllUntold, done))
    }

    /// The scopes of a key; none if there is no such key.
    pub(super) fn authenticate(&self, hash: &TokenHash) -> Result<WorkspaceReply> {
        let key = self.find_key(hash)?;
        Ok(WorkspaceReply::Scopes(key.map(|key| key.scopes)))
    }

    pub(super) fn find_key(&self, hash: &TokenHash) -> Result<Option<ApiKey>> {
        let mut keys = self.tables.keys()?.into_iter();
        Ok(keys.find(|key| key.hash.matches(hash)))
    }
}
