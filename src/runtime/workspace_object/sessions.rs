//! Dashboard sessions: opened by a key or, once, by a link; stored as hashes.
//!
//! A session is looked up by its hash, without a comparison in constant time: an attacker cannot choose the hash of a
//! guess.

use worker::Result;

use super::WorkspaceObject;
use crate::{
    domain::{
        access::may_sign_in,
        ids::AccessId,
        session::{Credential, Session},
        token::{Scope, TokenHash},
        workspace::Workspace,
    },
    machines::sql,
    runtime::{
        commands::{Refusal, WorkspaceCommand, WorkspaceReply},
        entropy::now,
    },
};

impl WorkspaceObject {
    /// Opens a session. A link is used up together with the session that it opens, and only then.
    pub(super) fn sign_in(
        &self,
        workspace: Workspace,
        with: &Credential,
        hash: &TokenHash,
        id: Option<AccessId>,
    ) -> Result<WorkspaceReply> {
        let now = now();
        let opened = match with {
            Credential::Key(key) => {
                let key = self.find_key(key)?;
                key.map(|key| Session::of_key(&key, id, now))
            }
            Credential::Link(link) => {
                let link = self.store.link(link)?;
                link.and_then(|link| Session::of_link(link, now))
            }
        };
        let Some(session) = opened else {
            return Ok(WorkspaceReply::Refused(Refusal::NotSignedIn));
        };
        if !may_sign_in(&session.scopes) {
            let missing = Refusal::MissingScope(Scope::WebhooksRead);
            return Ok(WorkspaceReply::Refused(missing));
        }
        self.store.transaction(|| {
            if let Credential::Link(link) = with {
                self.store.delete_link(link)?;
            }
            self.forget_ended()?;
            self.store.put_session(hash, &session)
        })?;
        Ok(WorkspaceReply::Session {
            scopes: session.scopes,
            workspace_name: workspace.name,
            reply: Box::new(WorkspaceReply::Done { applied: true }),
        })
    }

    /// Names the workspace of a link that would open a session; does not use it up.
    pub(super) fn read_link(
        &self,
        workspace: Workspace,
        hash: &TokenHash,
    ) -> Result<WorkspaceReply> {
        let link = self.store.link(hash)?;
        Ok(match link.and_then(|link| Session::of_link(link, now())) {
            Some(_) => WorkspaceReply::Workspace {
                workspace,
                created: false,
            },
            None => WorkspaceReply::Refused(Refusal::NotSignedIn),
        })
    }

    pub(super) fn list_access(
        &self,
        after: Option<&AccessId>,
        limit: u32,
    ) -> Result<WorkspaceReply> {
        let open = self.store.access(now(), after, limit)?;
        Ok(WorkspaceReply::Access(open))
    }

    /// Ends a link and its session, or all links and sessions.
    pub(super) fn end_access(&self, id: Option<&AccessId>) -> Result<WorkspaceReply> {
        let found = self.store.transaction(|| self.store.end_access(id))?;
        Ok(if found || id.is_none() {
            WorkspaceReply::Done { applied: true }
        } else {
            WorkspaceReply::Refused(Refusal::NoAccess)
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
    pub(super) fn forget_ended(&self) -> sql::Result<()> {
        self.store.delete_ended(now())
    }
}
