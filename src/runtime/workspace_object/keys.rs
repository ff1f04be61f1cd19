//! API keys and dashboard links; both are stored as hashes.

use worker::Result;

use super::{WorkspaceObject, next_revision, telling::TELL_AGAIN};
use crate::{
    domain::{
        idempotency::Idempotent,
        ids::KeyId,
        token::TokenHash,
        workspace::{ApiKey, DashboardLink, Workspace},
    },
    runtime::commands::{Refusal, WorkspaceReply},
};

impl WorkspaceObject {
    pub(super) async fn create_key(
        &self,
        workspace: Workspace,
        key: ApiKey,
        idempotent: Option<Idempotent>,
    ) -> Result<WorkspaceReply> {
        if let Some(reply) = self.answer_again(idempotent.as_ref())? {
            return Ok(reply);
        }
        let workspace = next_revision(workspace);
        self.store.change(&workspace, || {
            self.store.put_key(&key)?;
            self.recognize(idempotent.as_ref(), key.id.as_ref())
        })?;
        self.tell(&workspace, None).await?;
        Ok(WorkspaceReply::Keys(vec![key]))
    }

    pub(super) async fn revoke_key(
        &self,
        workspace: Workspace,
        id: &KeyId,
    ) -> Result<WorkspaceReply> {
        if !self.store.keys()?.iter().any(|key| key.id == *id) {
            return Ok(WorkspaceReply::Refused(Refusal::NoKey));
        }
        let mut workspace = next_revision(workspace);
        workspace.keys_revision = workspace.revision;
        self.store.change(&workspace, || {
            self.store.delete_key(id)?;
            self.store.delete_sessions_of(id)?;
            // Until KV has the change, the webhooks' objects refuse what is posted with an older copy of the keys.
            self.store.put_all_untold(workspace.revision)
        })?;
        self.arm(Some(TELL_AGAIN)).await?;
        self.tell_all().await?;
        Ok(WorkspaceReply::Done { applied: true })
    }

    /// Returns the scopes of a key; none if there is no such key.
    pub(super) fn authenticate(&self, hash: &TokenHash) -> Result<WorkspaceReply> {
        Ok(WorkspaceReply::Scopes(
            self.find_key(hash)?.map(|key| key.scopes),
        ))
    }

    pub(super) fn find_key(&self, hash: &TokenHash) -> Result<Option<ApiKey>> {
        let keys = self.store.keys()?;
        Ok(keys.into_iter().find(|key| key.hash.matches(hash)))
    }

    pub(super) fn create_link(
        &self,
        hash: &TokenHash,
        link: &DashboardLink,
        idempotent: Option<&Idempotent>,
    ) -> Result<WorkspaceReply> {
        if let Some(reply) = self.answer_again(idempotent)? {
            return Ok(reply);
        }
        self.store.transaction(|| {
            self.forget_ended()?;
            self.store.put_link(hash, link)?;
            self.recognize(idempotent, hash.as_ref())
        })?;
        Ok(WorkspaceReply::Done { applied: true })
    }
}
