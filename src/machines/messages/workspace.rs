//! The commands to a workspace's object, and its replies.

use serde::{Deserialize, Serialize};

use super::Refusal;
use crate::domain::{
    access::Access,
    history::SelectionChange,
    idempotency_key::Idempotent,
    ids::{AccessId, KeyId, WebhookId, WorkspaceId},
    pace::{Pace, PaceChange},
    sealed::Sealed,
    secret::SignHeaderWith,
    session::Credential,
    subscriptions::Snapshot,
    timestamp::Timestamp,
    token::{Scope, TokenHash},
    webhook::{ReportedStanding, Status, StoredHeader, Webhook},
    workspace::{ApiKey, DashboardLink, Workspace},
};

/// A command to the object of a workspace.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkspaceCommand {
    /// Makes the workspace, unless it exists.
    Create {
        /// Its id.
        id: WorkspaceId,
        /// The name.
        name: String,
    },
    /// Asks for one, with all that is kept of it.
    Read,
    /// Asks for what KV should hold.
    Snapshot,
    /// Makes a webhook.
    CreateWebhook {
        /// Its id.
        id: WebhookId,
        /// The webhook.
        webhook: NewWebhook,
        /// By what a repeated creation is recognized.
        #[serde(default)]
        idempotent: Option<Idempotent>,
    },
    /// Asks for a webhook.
    ReadWebhook {
        /// Its id.
        id: WebhookId,
    },
    /// Asks for all webhooks.
    ListWebhooks,
    /// Asks what each webhook, even a deleted one, selected and when, and for the URLs of those that exist.
    History,
    /// Changes a webhook.
    ChangeWebhook {
        /// Its id.
        id: WebhookId,
        /// The change.
        change: WebhookChange,
    },
    /// Deletes a webhook.
    DeleteWebhook {
        /// Its id.
        id: WebhookId,
    },
    /// Changes the name.
    Rename {
        /// The name.
        name: String,
    },
    /// Deletes the workspace, its webhooks and keys.
    Delete,
    /// Asks for the scopes of a key; up to date, unlike the snapshot in KV.
    Authenticate {
        /// The hash of the token.
        hash: TokenHash,
    },
    /// Makes a key.
    CreateKey {
        /// The key.
        key: ApiKey,
        /// With its answer.
        #[serde(default)]
        idempotent: Option<Idempotent>,
    },
    /// Asks for all keys.
    ListKeys,
    /// Revokes a key.
    RevokeKey {
        /// Its id.
        id: KeyId,
    },
    /// Makes a dashboard link.
    CreateLink {
        /// The hash of the token.
        hash: TokenHash,
        /// The link.
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
        /// What is shown to sign in.
        with: Credential,
        /// The hash of the session's token.
        session: TokenHash,
        /// The id of a key's session.
        #[serde(default)]
        id: Option<AccessId>,
    },
    /// Asks for the workspace of a link that would open a session.
    ReadLink {
        /// The hash of the token.
        hash: TokenHash,
    },
    /// Asks for the links and sessions that are open, ordered by id.
    ListAccess {
        /// The last id of the page before.
        after: Option<AccessId>,
        /// How many at most.
        limit: u32,
    },
    /// Ends a link and its session, or all links and sessions.
    EndAccess {
        /// Its id.
        id: Option<AccessId>,
    },
    /// Ends a session.
    SignOut {
        /// The hash of the session's token.
        session: TokenHash,
    },
    /// Runs a command if the session is valid and has the scope, so that a page needs only one call.
    AsSession {
        /// The hash of the session's token.
        session: TokenHash,
        /// The scope that the command needs.
        needs: Option<Scope>,
        /// The command.
        command: Box<WorkspaceCommand>,
    },
    /// Gives a webhook another secret.
    RotateSecret {
        /// Its id.
        id: WebhookId,
        /// The secret.
        secret: Sealed,
        /// Whether the relay made the secret: nobody knows it before it is answered.
        #[serde(default)]
        is_generated: bool,
        /// How long both secrets sign.
        overlap_seconds: u64,
        /// Which of them makes the hex signature meanwhile; objects of an earlier release ignore that.
        #[serde(default)]
        sign_header_with: SignHeaderWith,
    },
    /// Ends the overlap of a webhook's rotation, if one lasts.
    EndOverlap {
        /// The webhook's id.
        id: WebhookId,
    },
    /// From the webhook's object: its standing.
    ReportStanding {
        /// Its id.
        id: WebhookId,
        /// The standing.
        standing: ReportedStanding,
    },
}

/// A webhook to create, checked and sealed.
#[derive(Debug, Serialize, Deserialize)]
pub struct NewWebhook {
    /// The endpoint URL.
    pub url: String,
    /// The events.
    pub events: Vec<String>,
    /// The description.
    pub description: String,
    /// Custom headers.
    pub headers: Vec<StoredHeader>,
    /// The secret.
    pub secret: Sealed,
    /// The pace.
    #[serde(default)]
    pub pace: Pace,
}

/// A change of a webhook, checked and sealed.
#[derive(Debug, Serialize, Deserialize)]
pub struct WebhookChange {
    /// The endpoint URL.
    pub url: Option<String>,
    /// The events.
    pub events: Option<Vec<String>>,
    /// The description.
    pub description: Option<String>,
    /// Custom headers.
    pub headers: Option<Vec<StoredHeader>>,
    /// Enable or disable it.
    pub enabled: Option<bool>,
    /// Pause it; objects of an earlier release ignore that.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub paused: bool,
    /// What to change of the pace.
    #[serde(default)]
    pub pace: PaceChange,
    /// Which secret makes the hex signature during an overlap; objects of an earlier release ignore that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sign_header_with: Option<SignHeaderWith>,
}

impl WebhookChange {
    /// The status that is asked for.
    #[must_use]
    pub const fn status(&self) -> Option<Status> {
        match (self.paused, self.enabled) {
            (true, _) => Some(Status::Paused),
            (false, Some(true)) => Some(Status::Enabled),
            (false, Some(false)) => Some(Status::Disabled),
            (false, None) => None,
        }
    }
}

/// A reply from the object of a workspace.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkspaceReply {
    /// The workspace, and whether the command made it.
    Workspace {
        /// The workspace.
        workspace: Workspace,
        /// Whether the command made it.
        created: bool,
    },
    /// Asks for what KV should hold.
    Snapshot(Snapshot),
    /// `applied`: whether the webhook's object has stored it.
    Webhook {
        /// The webhook.
        webhook: Box<Webhook>,
        /// Whether the webhook's object has stored it.
        applied: bool,
    },
    /// All webhooks, ordered by id.
    Webhooks(Vec<Webhook>),
    /// To `History`.
    History {
        /// Webhook by webhook, oldest first.
        changes: Vec<SelectionChange>,
        /// The URLs of the webhooks that exist.
        urls: Vec<(WebhookId, String)>,
        /// Since when the changes are all that there were; none if always.
        #[serde(default)]
        recorded_since: Option<Timestamp>,
    },
    /// All keys, ordered by id.
    Keys(Vec<ApiKey>),
    /// To a creation that is repeated: its first answer, encrypted.
    Answered {
        /// The answer.
        answer: String,
    },
    /// To `ListAccess`.
    Access(Vec<Access>),
    /// To `Authenticate`: the scopes of the key; none if it is not valid.
    Scopes(Option<Vec<Scope>>),
    /// For a valid session: its scopes, the name of its workspace, and the reply to its command.
    Session {
        /// The scopes.
        scopes: Vec<Scope>,
        /// The name of the workspace.
        workspace_name: String,
        /// The reply to the command.
        reply: Box<WorkspaceReply>,
    },
    /// It is done.
    Done {
        /// Whether the webhook's object has stored it.
        applied: bool,
    },
    /// The command is refused.
    Refused(Refusal),
}
