//! The commands to a workspace's object, and its replies.

use serde::{Deserialize, Serialize};

use super::Refusal;
use crate::domain::{
    history::SelectionChange,
    ids::{KeyId, WebhookId, WorkspaceId},
    sealed::Sealed,
    session::Credential,
    subscriptions::Snapshot,
    token::{Scope, TokenHash},
    webhook::{ReportedStanding, StoredHeader, Webhook},
    workspace::{ApiKey, DashboardLink, Workspace},
};

/// A command to the object of a workspace.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum WorkspaceCommand {
    Create {
        id: WorkspaceId,
        name: String,
    },
    Read,
    Snapshot,
    CreateWebhook {
        id: WebhookId,
        webhook: NewWebhook,
    },
    ReadWebhook {
        id: WebhookId,
    },
    ListWebhooks,
    /// What each webhook selected when, deleted ones too; and the endpoint URLs of those that exist.
    History,
    ChangeWebhook {
        id: WebhookId,
        change: WebhookChange,
    },
    DeleteWebhook {
        id: WebhookId,
    },
    Rename {
        name: String,
    },
    Delete,
    /// What a key may do; the truth, where the snapshot may be old.
    Authenticate {
        hash: TokenHash,
    },
    CreateKey {
        key: ApiKey,
    },
    ListKeys,
    RevokeKey {
        id: KeyId,
    },
    CreateLink {
        hash: TokenHash,
        link: DashboardLink,
    },
    /// Opens a session; a link is used up by it.
    SignIn {
        with: Credential,
        session: TokenHash,
    },
    SignOut {
        session: TokenHash,
    },
    /// Does what a session asks for, where it is good and has the scope: one call for a page that has to know both.
    AsSession {
        session: TokenHash,
        needs: Option<Scope>,
        command: Box<WorkspaceCommand>,
    },
    RotateSecret {
        id: WebhookId,
        secret: Sealed,
        /// Whether the relay made the secret: nobody knows it before it is answered.
        #[serde(default)]
        is_generated: bool,
        overlap_seconds: u64,
    },
    /// From the webhook's object: how it stands.
    ReportStanding {
        id: WebhookId,
        standing: ReportedStanding,
    },
}

/// A webhook to create, checked and sealed.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct NewWebhook {
    pub(crate) url: String,
    pub(crate) events: Vec<String>,
    pub(crate) description: String,
    pub(crate) headers: Vec<StoredHeader>,
    pub(crate) secret: Sealed,
}

/// What to change of a webhook, checked and sealed.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct WebhookChange {
    pub(crate) url: Option<String>,
    pub(crate) events: Option<Vec<String>>,
    pub(crate) description: Option<String>,
    pub(crate) headers: Option<Vec<StoredHeader>>,
    pub(crate) enabled: Option<bool>,
}

/// A workspace's answer.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum WorkspaceReply {
    Workspace {
        workspace: Workspace,
        created: bool,
    },
    Snapshot(Snapshot),
    /// `applied`: whether the webhook's object has stored it.
    Webhook {
        webhook: Box<Webhook>,
        applied: bool,
    },
    Webhooks(Vec<Webhook>),
    History {
        changes: Vec<SelectionChange>,
        urls: Vec<(WebhookId, String)>,
    },
    Keys(Vec<ApiKey>),
    Scopes(Option<Vec<Scope>>),
    /// Of a session that is good: what it may do, the name of its workspace, and the answer to what it asked for.
    Session {
        scopes: Vec<Scope>,
        workspace_name: String,
        reply: Box<WorkspaceReply>,
    },
    Done {
        applied: bool,
    },
    Refused(Refusal),
}
