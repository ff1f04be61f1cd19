//! Dashboard sessions: opened by a key or, once, by a link; stored as hashes.
//!
//! A session is looked up by its hash, without a comparison in constant time: an attacker cannot choose the hash of a
//! guess.

use worker::Result;

use super::WorkspaceObject;
use crate::{
    domain::{
        session::{Credential, Session},
        token::{Scope, TokenHash},
        workspace::Workspace,
    },
    runtime::{
        commands::{Refusal, WorkspaceCommand, WorkspaceReply},
        entropy::now,
    },
};

impl WorkspaceObject {
    /// Opens a session. A link is found and deleted in one step, so that it opens only one.
    pub(super) fn sign_in(
        &self,
        workspace: Workspace,
        with: Credential,
        hash: &TokenHash,
    ) -> Result<WorkspaceReply> {
        let now = now();
        // A link is used up only together with the session that it opens.
        let opened = self.store.transaction(|| {
            let opened = match with {
                Credential::Key(key) => self.find_key(&key)?.map(|key| Session::of_key(&key, now)),
                Credential::Link(link) => self
                    .store
                    .take_link(&link)?
                    .and_then(|link| Session::of_link(link, now)),
            };
            if let Some(session) = &opened {
                self.forget_ended()?;
                self.store.put_session(hash, session)?;
            }
            Ok(opened)
        })?;
        let Some(session) = opened else {
            return Ok(WorkspaceReply::Refused(Refusal::NotSignedIn));
        };
        Ok(WorkspaceReply::Session {
            scopes: session.scopes,
            workspace_name: workspace.name,
            reply: Box::new(WorkspaceReply::Done { applied: true }),
        })
    }

    /// Ends a session; not an error if it has ended already.
    pub(super) fn sign_out(&self, hash: &TokenHash) -> Result<WorkspaceReply> {
        self.store.delete_session(hash)?;
        Ok(WorkspaceReply::Done { applied: true })
    }

    pub(super) async fn as_session(
        &self,
        workspace: Workspace,
        hash: &TokenHash,
        needs: Option<Scope>,
        command: WorkspaceCommand,
    ) -> Result<WorkspaceReply> {
        let session = self.store.session(hash)?;
        let Some(session) = session.filter(|session| session.is_good(now())) else {
            return Ok(WorkspaceReply::Refused(Refusal::NotSignedIn));
        };
        let missing = needs.filter(|scope| !session.scopes.contains(scope));
        let reply = match missing {
            Some(scope) => WorkspaceReply::Refused(Refusal::MissingScope(scope)),
            None => Box::pin(self.carry_out(command)).await?,
        };
        Ok(WorkspaceReply::Session {
            scopes: session.scopes,
            workspace_name: workspace.name,
            reply: Box::new(reply),
        })
    }

    /// Deletes a slice of the links and sessions that have expired.
    pub(super) fn forget_ended(&self) -> Result<()> {
        self.store.delete_ended(now())
    }
}
