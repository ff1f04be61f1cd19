//! API keys and dashboard links; both are stored as hashes.

use worker::Result;

use super::{WorkspaceObject, next_revision};
use crate::{
    domain::{
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
    ) -> Result<WorkspaceReply> {
        let workspace = next_revision(workspace);
        self.store.transaction(|| {
            self.store.put_workspace(&workspace)?;
            self.store.put_key(&key)
        })?;
        self.tell(&workspace, None).await?;
        Ok(WorkspaceReply::Keys(vec![key]))
    }

    pub(super) async fn revoke_key(
        &self,
        workspace: Workspace,
        id: &KeyId,
    ) -> Result<WorkspaceReply> {
        let workspace = next_revision(workspace);
        let is_deleted = self.store.transaction(|| {
            let is_deleted = self.store.delete_key(id)?;
            if is_deleted {
                self.store.delete_sessions_of(id)?;
                self.store.put_workspace(&workspace)?;
            }
            Ok(is_deleted)
        })?;
        if !is_deleted {
            return Ok(WorkspaceReply::Refused(Refusal::NoKey));
        }
        self.tell(&workspace, None).await?;
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
    ) -> Result<WorkspaceReply> {
        self.forget_ended()?;
        self.store.put_link(hash, link)?;
        Ok(WorkspaceReply::Done { applied: true })
    }
}
