//! What the Worker and the objects say to each other: one command, one reply, as JSON over the object's fetch.

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;
use thiserror::Error;
use worker::{Env, Headers, Method, Request, RequestInit, Response};

use super::page_reads::{Shown, Wanted};
use crate::{
    api::error::ApiError,
    domain::{
        attempt::Attempt,
        delivery::{self, Kind, Lease, Status},
        history::SelectionChange,
        ids::{DeliveryId, EventId, KeyId, ResendId, WebhookId, WorkspaceId},
        record::{DeliveryFilter, DeliveryRecord, SentRequest},
        resend::{ResendJob, Selection},
        sealed::Sealed,
        session::Credential,
        stats::HourTally,
        subscriptions::Snapshot,
        timestamp::Timestamp,
        token::{Scope, TokenHash},
        webhook::{ReportedStanding, Settings, StoredHeader, Webhook},
        workspace::{ApiKey, DashboardLink, Workspace},
    },
};

/// A command to the object of a workspace.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum WorkspaceCommand {
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
pub(super) struct NewWebhook {
    pub(super) url: String,
    pub(super) events: Vec<String>,
    pub(super) description: String,
    pub(super) headers: Vec<StoredHeader>,
    pub(super) secret: Sealed,
}

/// What to change of a webhook, checked and sealed.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct WebhookChange {
    pub(super) url: Option<String>,
    pub(super) events: Option<Vec<String>>,
    pub(super) description: Option<String>,
    pub(super) headers: Option<Vec<StoredHeader>>,
    pub(super) enabled: Option<bool>,
}

/// A workspace's answer.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum WorkspaceReply {
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

/// A command to the object of a webhook.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum WebhookCommand {
    /// From the workspace's object: new settings.
    Apply(Settings),
    /// From the workspace's object: the webhook is deleted.
    Delete {
        revision: u64,
    },
    /// Takes events in; asks for so many leases.
    Accept {
        events: Vec<NewDelivery>,
        leases: usize,
    },
    /// Asks for the deliveries that it has for events; takes nothing in.
    Recall {
        event_ids: Vec<EventId>,
    },
    /// Makes a ping or a test and leases it.
    Probe {
        kind: Kind,
        delivery: NewDelivery,
    },
    /// Says what came of an attempt; asks for another lease.
    Report(Box<AttemptReport>),
    Read {
        id: DeliveryId,
    },
    /// Asks for the delivery of an event, by its id or the delivery's own.
    Trace {
        event_id: EventId,
    },
    List(DeliveryFilter),
    Resend {
        id: DeliveryId,
    },
    Cancel {
        id: DeliveryId,
    },
    StartJob {
        id: ResendId,
        selection: Selection,
    },
    ReadJob {
        id: ResendId,
    },
    StopJob {
        id: ResendId,
    },
    Stats {
        hours: u32,
    },
    Gauges,
    /// Asks for all that a page shows.
    Show(Wanted),
    #[cfg(feature = "test-hooks")]
    Counted,
}

/// An event for one webhook.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct NewDelivery {
    pub(super) id: DeliveryId,
    pub(super) event_id: EventId,
    pub(super) event_id_given: bool,
    pub(super) event_type: String,
    pub(super) payload: Box<RawValue>,
}

/// What came of an attempt.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct AttemptReport {
    pub(super) id: DeliveryId,
    pub(super) lease: Lease,
    /// Of the settings under which it was made.
    pub(super) revision: u64,
    pub(super) attempt: Attempt,
    pub(super) retry_after_ms: Option<u64>,
    /// Kept for pings and tests.
    pub(super) request: Option<SentRequest>,
    /// Whether another lease may be granted with the answer.
    pub(super) wants_lease: bool,
}

/// A webhook's answer.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum WebhookReply {
    Done,
    Taken {
        deliveries: Vec<Taken>,
        grants: Vec<Grant>,
    },
    Recalled(Vec<Option<Recalled>>),
    Granted(Option<Grant>),
    Delivery(Box<DeliveryRecord>),
    Deliveries {
        records: Vec<DeliveryRecord>,
        more: bool,
    },
    Job(Box<ResendJob>),
    /// Hour by hour, the oldest first.
    Stats(Vec<(i64, HourTally)>),
    Gauges {
        enabled: bool,
        pending: usize,
        held: usize,
        last_hour: HourTally,
    },
    Shown(Box<Shown>),
    Refused(Refusal),
    #[cfg(feature = "test-hooks")]
    Counted(Counted),
}

/// What an object has used since it started.
#[cfg(feature = "test-hooks")]
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Counted {
    pub(super) rows_read: usize,
    pub(super) rows_written: usize,
    pub(super) alarms_set: u32,
    pub(super) alarms_run: u32,
    pub(super) object_requests: u32,
}

/// What became of one event at a webhook, in the order in which they were sent.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Taken {
    /// Stored.
    New { status: Status },
    /// An earlier post had made it.
    Duplicate(Recalled),
    /// The webhook did not select the type.
    NotSelected,
    /// The webhook already holds all that it may.
    BacklogFull,
}

/// A delivery that an earlier post had made.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Recalled {
    pub(super) id: DeliveryId,
    pub(super) status: Status,
    pub(super) event_type: String,
}

/// A lease with all that its attempt needs. It has the secrets, so it is never printed.
#[derive(Serialize, Deserialize)]
pub(super) struct Grant {
    pub(super) id: DeliveryId,
    pub(super) kind: Kind,
    pub(super) event_type: String,
    pub(super) lease: Lease,
    pub(super) revision: u64,
    pub(super) url: String,
    pub(super) headers: Vec<StoredHeader>,
    pub(super) secret: Sealed,
    pub(super) previous_secret: Option<Sealed>,
    /// None where the one who asked for the lease has it.
    pub(super) payload: Option<Box<RawValue>>,
}

impl Grant {
    /// The grant of a lease, without its payload.
    pub(super) fn new(
        settings: &Settings,
        record: &DeliveryRecord,
        lease: Lease,
        now: Timestamp,
    ) -> Self {
        let previous = settings
            .previous_secret
            .as_ref()
            .filter(|previous| now < previous.expires_at);
        Self {
            id: record.id.clone(),
            kind: record.delivery.kind(),
            event_type: record.event_type.clone(),
            lease,
            revision: settings.revision,
            url: settings.url.clone(),
            headers: settings.headers.clone(),
            secret: settings.secret.clone(),
            previous_secret: previous.map(|previous| previous.secret.clone()),
            payload: None,
        }
    }
}

impl std::fmt::Debug for Grant {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Grant")
            .field("id", &self.id)
            .field("lease", &self.lease)
            .finish_non_exhaustive()
    }
}

/// Why an object refuses a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Refusal {
    NoWorkspace,
    NoWebhook,
    NoDelivery,
    NoKey,
    NoJob,
    /// The credential or the session is not good, or has ended.
    NotSignedIn,
    MissingScope(Scope),
    WorkspaceExists,
    WorkspaceDeleted,
    TooManyWebhooks,
    AlreadyPending,
    NotResendable,
    AlreadySettled,
    WebhookDisabled,
    ResendRunning,
}

impl From<delivery::Refusal> for Refusal {
    fn from(refusal: delivery::Refusal) -> Self {
        match refusal {
            delivery::Refusal::AlreadyPending => Self::AlreadyPending,
            delivery::Refusal::NotResendable => Self::NotResendable,
            delivery::Refusal::AlreadySettled => Self::AlreadySettled,
        }
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NoWorkspace => Self::NotFound("workspace"),
            Refusal::NoWebhook => Self::NotFound("webhook"),
            Refusal::NoDelivery => Self::NotFound("delivery"),
            Refusal::NoKey => Self::NotFound("key"),
            Refusal::NoJob => Self::NotFound("resend"),
            Refusal::NotSignedIn => Self::Unauthorized,
            Refusal::MissingScope(scope) => Self::MissingScope(scope),
            Refusal::WorkspaceExists => Self::WorkspaceExists,
            Refusal::WorkspaceDeleted => Self::WorkspaceDeleted,
            Refusal::TooManyWebhooks => Self::TooManyWebhooks,
            Refusal::AlreadyPending => Self::Refused(delivery::Refusal::AlreadyPending),
            Refusal::NotResendable => Self::Refused(delivery::Refusal::NotResendable),
            Refusal::AlreadySettled => Self::Refused(delivery::Refusal::AlreadySettled),
            Refusal::WebhookDisabled => Self::WebhookDisabled,
            Refusal::ResendRunning => Self::ResendRunning,
        }
    }
}

/// An object could not be asked.
#[derive(Debug, Error)]
#[error("{object} did not answer: {cause}")]
pub(super) struct CallError {
    object: String,
    cause: worker::Error,
}

/// Asks the object of a workspace.
pub(super) async fn ask_workspace(
    env: &Env,
    workspace: &WorkspaceId,
    command: &WorkspaceCommand,
) -> Result<WorkspaceReply, CallError> {
    call(env, "WORKSPACES", workspace.as_ref(), command).await
}

/// Asks the object of a webhook. It is named by both ids, so that another workspace's path reaches another object.
pub(super) async fn ask_webhook(
    env: &Env,
    workspace: &WorkspaceId,
    webhook: &WebhookId,
    command: &WebhookCommand,
) -> Result<WebhookReply, CallError> {
    call(
        env,
        "WEBHOOKS",
        &webhook_object_name(workspace, webhook),
        command,
    )
    .await
}

fn webhook_object_name(workspace: &WorkspaceId, webhook: &WebhookId) -> String {
    format!("{workspace}/{webhook}")
}

/// The ids in a webhook object's name.
pub(super) fn parse_webhook_object_name(name: &str) -> Option<(WorkspaceId, WebhookId)> {
    let (workspace, webhook) = name.split_once('/')?;
    Some((
        WorkspaceId::parse(workspace).ok()?,
        WebhookId::parse(webhook).ok()?,
    ))
}

async fn call<C: Serialize, R: DeserializeOwned>(
    env: &Env,
    namespace: &str,
    name: &str,
    command: &C,
) -> Result<R, CallError> {
    #[cfg(feature = "test-hooks")]
    super::object_calls::count(name);
    exchange(env, namespace, name, command)
        .await
        .map_err(|cause| CallError {
            object: name.to_string(),
            cause,
        })
}

async fn exchange<C: Serialize, R: DeserializeOwned>(
    env: &Env,
    namespace: &str,
    name: &str,
    command: &C,
) -> worker::Result<R> {
    let body = js_sys::Uint8Array::from(serde_json::to_vec(command)?.as_slice());
    let mut init = RequestInit::new();
    init.with_method(Method::Post)
        .with_headers(Headers::new())
        .with_body(Some(body.into()));
    let request = Request::new_with_init("https://object/", &init)?;
    let stub = env.durable_object(namespace)?.get_by_name(name)?;
    let mut response = stub.fetch_with_request(request).await?;
    Ok(serde_json::from_slice(&response.bytes().await?)?)
}

/// Reads the command in an object's request.
pub(super) async fn read_command<C: DeserializeOwned>(request: &mut Request) -> worker::Result<C> {
    Ok(serde_json::from_slice(&request.bytes().await?)?)
}

/// Answers a command.
pub(super) fn reply_with<R: Serialize>(reply: &R) -> worker::Result<Response> {
    Response::from_bytes(serde_json::to_vec(reply)?)
}
