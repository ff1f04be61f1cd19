//! A visit: a request for a page and its session, which the workspace's object checks in the call that serves the page.

use std::cell::{Cell, OnceCell};

use worker::Env;

use crate::{
    api::error::ApiError,
    dashboard::{
        docs::DocsPage,
        frame::{Done, Frame, Notice, Session},
    },
    domain::{
        cookie::read_cookie,
        ids::{WebhookId, WorkspaceId},
        token::Scope,
    },
    runtime::{
        platform::{
            config::Config,
            entropy::now,
            faults::{unavailable, unexpected_reply},
            http::Request,
            object_calls::{Refusal, WorkspaceCommand, WorkspaceReply, ask_workspace},
        },
        worker::{
            authentication::{SessionToken, own_origin, session_token},
            event_types,
            guesses::{self, Guess},
            object_clients::{WebhookClient, read_reply},
            rate_limits,
            request::read_form_body,
            subscriptions,
        },
    },
};

/// Why a request does not get the page that it asked for.
pub(super) enum Detour {
    /// Nobody is signed in.
    SignIn,
    Refused(ApiError),
}

impl From<ApiError> for Detour {
    fn from(error: ApiError) -> Self {
        Self::Refused(error)
    }
}

/// A request for a page.
pub(super) struct Visit<'a> {
    pub(super) request: Request,
    pub(super) env: &'a Env,
    pub(super) config: &'a Config,
    pub(super) guess: Guess,
    /// Known after the first `ask`.
    session: OnceCell<Session>,
    /// The session that this request has opened.
    opened: OnceCell<SessionToken>,
    /// The body, once it was read.
    form: OnceCell<Vec<u8>>,
    /// Whether the page shows the notice of the browser's cookie, which has to be cleared then.
    shows_notice: Cell<bool>,
}

impl<'a> Visit<'a> {
    pub(super) const fn new(request: Request, env: &'a Env, config: &'a Config) -> Self {
        Self {
            request,
            env,
            config,
            guess: Guess::new(),
            session: OnceCell::new(),
            opened: OnceCell::new(),
            form: OnceCell::new(),
            shows_notice: Cell::new(false),
        }
    }

    /// Reads the body of a form; it can be read again.
    pub(super) async fn form(&self) -> Result<&[u8], ApiError> {
        if let Some(form) = self.form.get() {
            return Ok(form);
        }
        let form = read_form_body(&self.request).await?;
        Ok(self.form.get_or_init(|| form))
    }

    /// Goes on as the session that this request has opened.
    pub(super) fn open(&self, session: SessionToken) {
        self.opened.get_or_init(|| session);
    }

    /// Refuses a request without a session cookie, before anything else of it is read.
    pub(super) fn require_cookie(&self) -> Result<(), Detour> {
        self.token().map(drop)
    }

    fn token(&self) -> Result<SessionToken, Detour> {
        match self.opened.get() {
            Some(opened) => Ok(opened.clone()),
            None => session_token(&self.request)?.ok_or(Detour::SignIn),
        }
    }

    /// Asks the workspace's object to run a command if the session is valid and has the scope; returns the workspace
    /// and what `read` reads in the reply.
    pub(super) async fn ask<T>(
        &self,
        needs: Scope,
        command: WorkspaceCommand,
        read: impl FnOnce(WorkspaceReply) -> Option<T>,
    ) -> Result<(WorkspaceId, T), Detour> {
        let (workspace, reply) = self.ask_as(Some(needs), command).await?;
        Ok((workspace, read_reply(reply, read)?))
    }

    /// Asks for a change, for which a session needs the scope `webhooks:write`.
    pub(super) async fn change<T>(
        &self,
        command: WorkspaceCommand,
        read: impl FnOnce(WorkspaceReply) -> Option<T>,
    ) -> Result<(WorkspaceId, T), Detour> {
        let changed = self.ask(Scope::WebhooksWrite, command, read).await;
        let SessionToken { workspace, .. } = self.token()?;
        subscriptions::forget(&workspace);
        changed
    }

    /// Finds the session's workspace if the session may change webhooks.
    pub(super) async fn may_change(&self) -> Result<WorkspaceId, Detour> {
        let command = WorkspaceCommand::Read;
        let (workspace, ()) = self
            .ask(Scope::WebhooksWrite, command, |_| Some(()))
            .await?;
        Ok(workspace)
    }

    /// Counts a change, on behalf of the session's workspace. The session is judged before, if this isolate does not know
    /// that it is valid: otherwise anybody could use up what the workspace may do.
    pub(super) async fn count_change(&self) -> Result<(), Detour> {
        let SessionToken { workspace, hash } = self.token()?;
        if !guesses::is_known(&hash) {
            self.ask_as(None, WorkspaceCommand::Read).await?;
        }
        Ok(rate_limits::count_change(self.env, &workspace).await?)
    }

    async fn ask_as(
        &self,
        needs: Option<Scope>,
        command: WorkspaceCommand,
    ) -> Result<(WorkspaceId, WorkspaceReply), Detour> {
        let SessionToken { workspace, hash } = self.token()?;
        self.guess
            .allow(&self.request, self.env, &workspace, &hash)
            .await?;
        let command = WorkspaceCommand::AsSession {
            session: hash.clone(),
            needs,
            command: Box::new(command),
        };
        let reply = ask_workspace(self.env, &workspace, &command).await;
        let reply = reply.map_err(|error| unavailable(&error))?;
        guesses::judged(&hash, matches!(reply, WorkspaceReply::Session { .. }));
        match reply {
            WorkspaceReply::Session {
                scopes,
                workspace_name,
                reply,
            } => {
                self.session.get_or_init(|| Session {
                    workspace: workspace.clone(),
                    workspace_name,
                    may_write: scopes.contains(&Scope::WebhooksWrite),
                });
                Ok((workspace, *reply))
            }
            WorkspaceReply::Refused(Refusal::NoWorkspace | Refusal::NotSignedIn) => {
                Err(ApiError::Unauthorized.into())
            }
            _ => Err(unexpected_reply().into()),
        }
    }

    /// The object of a webhook; for a session that `ask` has found valid.
    pub(super) const fn webhook<'b>(
        &'b self,
        workspace: &'b WorkspaceId,
        webhook: &'b WebhookId,
    ) -> WebhookClient<'b>
    where
        'a: 'b,
    {
        WebhookClient {
            env: self.env,
            workspace,
            webhook,
        }
    }

    /// Whether the session may change webhooks.
    pub(super) fn may_write(&self) -> bool {
        self.session.get().is_some_and(|session| session.may_write)
    }

    /// The frame of a page, which shows what just happened.
    pub(super) fn frame(&self) -> Frame {
        self.frame_with(self.done().map(Notice::Done))
    }

    /// What just happened, of which the browser's cookie has the word: the page has to show it. What a script fetches is
    /// not shown as a page, and leaves the notice to the one that is.
    pub(super) fn done(&self) -> Option<Done> {
        if self.request.header("sec-fetch-dest").as_deref() == Some("empty") {
            return None;
        }
        let (_, transport) = own_origin(&self.request).ok()?;
        let cookies = self.request.header("cookie")?;
        let word = read_cookie(&cookies, transport.notice_cookie_name())?;
        self.shows_notice.set(true);
        Done::of_word(word)
    }

    /// The cookie that clears the notice, if the page shows it.
    pub(super) fn shown_notice(&self) -> Option<String> {
        let (_, transport) = own_origin(&self.request).ok()?;
        let clear = || transport.clear_notice();
        self.shows_notice.get().then(clear)
    }

    /// The page for customers' developers, which needs no session.
    pub(super) async fn docs_page(&self) -> Result<DocsPage, Detour> {
        Ok(DocsPage {
            frame: self.frame_with(None),
            policy: self.config.policy.clone(),
            catalogue: event_types::catalogue(self.env).await?,
        })
    }

    /// The frame of a page, with a notice if there is one.
    pub(super) fn frame_with(&self, notice: Option<Notice>) -> Frame {
        let policy = &self.config.policy;
        Frame {
            brand: policy.brand.clone(),
            session: self.session.get().cloned(),
            allow_private_endpoints: policy.allow_private_endpoints,
            notice,
            refused: false,
            posted: self.request.method() == "POST",
            now: now(),
            attempt_timeout: policy.attempt_timeout,
            disable_after: policy.disable_after,
        }
    }
}
