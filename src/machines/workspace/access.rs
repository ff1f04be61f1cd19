//! Dashboard links and the sessions that a key opens, or once a link; stored as hashes.
//!
//! A session is looked up by its hash, without a comparison in constant time: an attacker cannot choose the hash of a
//! guess.

use super::{Context, Result, WorkspaceMachine, telling::Step};
use crate::{
    domain::{
        access::may_sign_in,
        idempotency_key::Idempotent,
        ids::AccessId,
        session::{Credential, Session},
        timestamp::Timestamp,
        token::{Scope, TokenHash},
        workspace::{DashboardLink, Workspace},
    },
    machines::messages::{Refusal, WorkspaceCommand, WorkspaceReply},
};

impl WorkspaceMachine {
    pub(super) fn create_link(
        &self,
        hash: &TokenHash,
        link: &DashboardLink,
        idempotent: Option<&Idempotent>,
        now: Timestamp,
    ) -> Result<WorkspaceReply> {
        if let Some(reply) = self.answer_again(idempotent, now)? {
            return Ok(reply);
        }
        self.tables.transaction(|| {
            self.tables.delete_ended(now)?;
            self.tables.put_link(hash, link)?;
            self.recognize(idempotent, hash.as_ref(), now)
        })?;
        Ok(WorkspaceReply::Done { applied: true })
    }

    /// Opens a session. A link is used up together with the session that it opens, and only then.
    pub(super) fn sign_in(
        &self,
        workspace: Workspace,
        with: &Credential,
        hash: &TokenHash,
        id: Option<AccessId>,
        now: Timestamp,
    ) -> Result<WorkspaceReply> {
        let opened = match with {
            Credential::Key(key) => {
                let key = self.find_key(key)?;
                key.map(|key| Session::of_key(&key, id, now))
            }
            Credential::Link(link) => {
                let link = self.tables.link(link)?;
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
        self.tables.transaction(|| {
            if let Credential::Link(link) = with {
                self.tables.delete_link(link)?;
            }
            self.tables.delete_ended(now)?;
            self.tables.put_session(hash, &session)
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
        now: Timestamp,
    ) -> Result<WorkspaceReply> {
        let link = self.tables.link(hash)?;
        Ok(match link.and_then(|link| Session::of_link(link, now)) {
            Some(_) => WorkspaceReply::Workspace {
                workspace,
                created: false,
            },
            None => WorkspaceReply::Refused(Refusal::NotSignedIn),
        })
    }

    /// Ends a link and its session, or all links and sessions.
    pub(super) fn end_access(&self, id: Option<&AccessId>) -> Result<WorkspaceReply> {
        let found = self.tables.transaction(|| self.tables.end_access(id))?;
        Ok(if found || id.is_none() {
            WorkspaceReply::Done { applied: true }
        } else {
            WorkspaceReply::Refused(Refusal::NoAccess)
        })
    }

    /// Ends a session; not an error if it has ended already.
    pub(super) fn sign_out(&self, hash: &TokenHash) -> Result<WorkspaceReply> {
        self.tables.delete_session(hash)?;
        Ok(WorkspaceReply::Done { applied: true })
    }

    /// Runs a command with the rights of a session.
    pub(super) fn as_session(
        &mut self,
        workspace: Workspace,
        hash: &TokenHash,
        needs: Option<Scope>,
        command: WorkspaceCommand,
        context: &Context<'_>,
    ) -> Result<Step> {
        let session = self.tables.session(hash)?;
        let Some(session) = session.filter(|session| session.is_good(context.now)) else {
            return Ok(Step::Answer(WorkspaceReply::Refused(Refusal::NotSignedIn)));
        };
        let missing = needs.filter(|scope| !session.scopes.contains(scope));
        let step = match missing {
            Some(scope) => Step::Answer(WorkspaceReply::Refused(Refusal::MissingScope(scope))),
            None => self.carry_out(command, context)?,
        };
        Ok(step.in_session(session, workspace.name))
    }
}
