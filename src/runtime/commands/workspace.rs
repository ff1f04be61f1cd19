//! The commands to a workspace's object, and its replies.

use serde::{Deserialize, Serialize};

use super::Refusal;
use crate::domain::{
    access::Access,
    history::SelectionChange,
    idempotency::Idempotent,
    ids::{AccessId, KeyId, WebhookId, WorkspaceId},
    sealed::Sealed,
    session::Credential,
    subscriptions::Snapshot,
    timestamp::Timestamp,
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
        #[serde(default)]
        idempotent: Option<Idempotent>,
    },
    ReadWebhook {
        id: WebhookId,
    },
    ListWebhooks,
    /// Asks what each webhook, even a deleted one, selected and when, and for the URLs of those that exist.
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
    /// Asks for the scopes of a key; up to date, unlike the snapshot in KV.
    Authenticate {
        hash: TokenHash,
    },
    CreateKey {
        key: ApiKey,
        /// With its answer.
        #[serde(default)]
        idempotent: Option<Idempotent>,
    },
    ListKeys,
    RevokeKey {
        id: KeyId,
    },
    CreateLink {
        hash: TokenHash,
        link: DashboardLink,
        /// With its answer.
        #[serde(default)]
        idempotent: Option<Idempotent>,
    },
    /// Keeps the answer to a creation.
    KeepAnswer(Idempotent),
    /// Asks the webhooks to delete what is too old, and to look at their alarms.
    LookAtAlarms,
    /// Opens a session; uses up a link.
    SignIn {
        with: Credential,
        session: TokenHash,
        /// The id of a key's session.
        #[serde(default)]
        id: Option<AccessId>,
    },
    /// Asks for the workspace of a link that would open a session.
    ReadLink {
        hash: TokenHash,
    },
    /// Asks for the links and sessions that are open, ordered by id.
    ListAccess {
        after: Option<AccessId>,
        limit: u32,
    },
    /// Ends a link and its session, or all links and sessions.
    EndAccess {
        id: Option<AccessId>,
    },
    SignOut {
        session: TokenHash,
    },
    /// Runs a command if the session is valid and has the scope, so that a page needs only one call.
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
    /// From the webhook's object: its standing.
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

/// A change of a webhook, checked and sealed.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct WebhookChange {
    pub(crate) url: Option<String>,
    pub(crate) events: Option<Vec<String>>,
    pub(crate) description: Option<String>,
    pub(crate) headers: Option<Vec<StoredHeader>>,
    pub(crate) enabled: Option<bool>,
}

/// A reply from the object of a workspace.
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
        /// Since when the changes are all that there were; none if always.
        #[serde(default)]
        recorded_since: Option<Timestamp>,
    },
    Keys(Vec<ApiKey>),
    /// To a creation that is repeated: its first answer, encrypted.
    Answered {
        answer: String,
    },
    Access(Vec<Access>),
    Scopes(Option<Vec<Scope>>),
    /// For a valid session: its scopes, the name of its workspace, and the reply to its command.
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
