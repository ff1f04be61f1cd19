//! What the Worker, the objects and Senders say to each other: one command, one reply, as JSON in a call of the object;
//! and a hire, as JSON in a request.

use std::time::Duration;

use js_sys::Promise;
use serde::{Serialize, de::DeserializeOwned};
use thiserror::Error;
use wasm_bindgen::{JsCast, JsValue, prelude::wasm_bindgen};
use wasm_bindgen_futures::JsFuture;
use worker::{Env, Response};

pub(in crate::runtime) use crate::machines::messages::{
    AttemptReport, CatalogueCommand, CatalogueReply, Grant, NewDelivery, NewWebhook, Refusal,
    Shown, Wanted, WebhookChange, WebhookCommand, WebhookReply, WorkspaceCommand, WorkspaceReply,
    next_page,
};

#[cfg(feature = "test-hooks")]
pub(in crate::runtime) use crate::machines::messages::Counted;

use super::config::config;
use crate::domain::{
    event::Payload,
    ids::{DeliveryId, WebhookId, WorkspaceId},
};

/// A call of an object that failed.
#[derive(Debug, Error)]
#[error("{object} did not answer: {cause}")]
pub(in crate::runtime) struct CallError {
    object: String,
    cause: worker::Error,
}

/// Asks the object of a workspace.
pub(in crate::runtime) async fn ask_workspace(
    env: &Env,
    workspace: &WorkspaceId,
    command: &WorkspaceCommand,
) -> Result<WorkspaceReply, CallError> {
    call(env, "WORKSPACES", workspace.as_ref(), command).await
}

/// The name of the one object of the catalogue.
const CATALOGUE_OBJECT: &str = "catalogue";

/// Asks the object of the catalogue.
pub(in crate::runtime) async fn ask_catalogue(
    env: &Env,
    command: &CatalogueCommand,
) -> Result<CatalogueReply, CallError> {
    call(env, "CATALOGUE", CATALOGUE_OBJECT, command).await
}

/// Asks the object of a webhook. It is named by both ids, so that another workspace's path reaches another object.
pub(in crate::runtime) async fn ask_webhook(
    env: &Env,
    workspace: &WorkspaceId,
    webhook: &WebhookId,
    command: &WebhookCommand,
) -> Result<WebhookReply, CallError> {
    let name = webhook_object_name(workspace, webhook);
    call(env, "WEBHOOKS", &name, command).await
}

/// Asks the object of a webhook to accept events. What waits for the reply holds no copy of the events.
pub(in crate::runtime) fn ask_to_accept(
    env: &Env,
    workspace: &WorkspaceId,
    webhook: &WebhookId,
    command: &WebhookCommand<Payload<'_>>,
) -> impl Future<Output = Result<WebhookReply, CallError>> + use<> {
    let name = webhook_object_name(workspace, webhook);
    let sent = send_shared(env, &name, &name, command, true, ACCEPTED_WITHIN);
    async move { receive(sent, name).await }
}

/// Waits until a delivery has been attempted that an object named when it accepted it.
pub(in crate::runtime) async fn wait_for_attempt(
    env: &Env,
    workspace: &WorkspaceId,
    webhook: &WebhookId,
    id: DeliveryId,
) -> Result<WebhookReply, CallError> {
    let name = webhook_object_name(workspace, webhook);
    let command: WebhookCommand = WebhookCommand::WaitForAttempt { id };
    // No call of those that accept: it would return only when the attempt has ended.
    let key = format!("{name} waits");
    let sent = send_shared(env, &name, &key, &command, true, ATTEMPTED_WITHIN);
    receive(sent, name).await
}

/// Reports attempts to the object of a webhook.
pub(in crate::runtime) async fn report_attempts(
    env: &Env,
    workspace: &WorkspaceId,
    webhook: &WebhookId,
    report: &WebhookCommand,
) -> Result<WebhookReply, CallError> {
    let name = webhook_object_name(workspace, webhook);
    // Goes with what is accepted at the same time, which does not wait for it: a report alone takes a moment.
    let sent = send_shared(env, &name, &name, report, false, REPORTED_WITHIN);
    receive(sent, name).await
}

/// The object that measures the platform; it is no webhook's, and stores nothing.
pub(in crate::runtime) const PROBE_OBJECT: &str = "probe";

/// Asks the object that measures the platform.
pub(in crate::runtime) async fn ask_probe_object(
    env: &Env,
    order: String,
) -> Result<WebhookReply, CallError> {
    let command: WebhookCommand = WebhookCommand::ProbePlatform(order);
    call(env, "WEBHOOKS", PROBE_OBJECT, &command).await
}

fn webhook_object_name(workspace: &WorkspaceId, webhook: &WebhookId) -> String {
    format!("{workspace}/{webhook}")
}

/// Parses the ids in a webhook object's name.
pub(in crate::runtime) fn parse_webhook_object_name(
    name: &str,
) -> Option<(WorkspaceId, WebhookId)> {
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
    receive(send(env, namespace, name, command), name.to_string()).await
}

#[wasm_bindgen]
extern "C" {
    /// A Durable Object namespace binding.
    type Namespace;

    #[wasm_bindgen(method, catch)]
    fn jurisdiction(this: &Namespace, name: &str) -> Result<Namespace, JsValue>;

    #[wasm_bindgen(method, catch, js_name = getByName)]
    fn get_by_name(this: &Namespace, name: &str) -> Result<ObjectStub, JsValue>;

    /// A stub of an object, called by JavaScript RPC: that makes no request, headers and streams, which cost more than
    /// the message in them.
    type ObjectStub;

    #[wasm_bindgen(method, catch)]
    fn obey(this: &ObjectStub, command: &str) -> Result<Promise, JsValue>;
}

#[wasm_bindgen(module = "/src/runtime/platform/shared_calls.js")]
extern "C" {
    /// Obeys a command, in a call that others with the same key may share.
    fn share(
        stub: &ObjectStub,
        key: &str,
        command: &str,
        hurries: bool,
        timeout_ms: f64,
    ) -> Promise;
}

/// Sends a command; its text is gone when this returns.
fn send<C: Serialize>(
    env: &Env,
    namespace: &str,
    name: &str,
    command: &C,
) -> worker::Result<Promise> {
    let command = serde_json::to_string(command)?;
    Ok(stub(env, namespace, name)?.obey(&command)?)
}

/// How long a command that accepts events waits for the answer to a call that another invocation makes.
const ACCEPTED_WITHIN: Duration = Duration::from_secs(5);

/// How long one that waits for an attempt does: a little longer than the object lets it wait.
const ATTEMPTED_WITHIN: Duration = Duration::from_millis(1200);

/// How long one that reports does: after an attempt that timed out, there is time for another try before the lease
/// ends.
const REPORTED_WITHIN: Duration = Duration::from_secs(2);

/// Sends a command to the object of a webhook, in a call that it may share with others of the same key; one that hurries
/// waits only for a call with others that do. If another invocation makes the call, it fails after `timeout`.
fn send_shared<C: Serialize>(
    env: &Env,
    name: &str,
    key: &str,
    command: &C,
    hurries: bool,
    timeout: Duration,
) -> worker::Result<Promise> {
    let command = serde_json::to_string(command)?;
    let stub = stub(env, "WEBHOOKS", name)?;
    Ok(share(
        &stub,
        key,
        &command,
        hurries,
        timeout.as_secs_f64() * 1000.0,
    ))
}

fn stub(env: &Env, namespace: &str, name: &str) -> worker::Result<ObjectStub> {
    #[cfg(feature = "test-hooks")]
    crate::runtime::platform::counted_calls::count(name);
    let mut namespace: Namespace = js_sys::Reflect::get(env, &namespace.into())?.unchecked_into();
    let config = config(env).map_err(|error| worker::Error::RustError(error.to_string()))?;
    if let Some(jurisdiction) = config.policy.jurisdiction {
        namespace = namespace.jurisdiction(jurisdiction.as_str())?;
    }
    Ok(namespace.get_by_name(name)?)
}

async fn receive<R: DeserializeOwned>(
    sent: worker::Result<Promise>,
    object: String,
) -> Result<R, CallError> {
    let read = async {
        let reply = JsFuture::from(sent?).await?;
        let reply = reply.as_string().unwrap_or_default();
        Ok(serde_json::from_str(&reply)?)
    };
    read.await.map_err(|cause| CallError { object, cause })
}

/// Reads the command that an object was called with. It is read from text, like stored JSON: serde generates separate
/// code for each form of input, and commands contain types that are stored too.
pub(in crate::runtime) fn read_command<C: DeserializeOwned>(command: &str) -> worker::Result<C> {
    Ok(serde_json::from_str(command)?)
}

/// Writes the reply to a command.
pub(in crate::runtime) fn reply_with<R: Serialize>(reply: &R) -> worker::Result<String> {
    Ok(serde_json::to_string(reply)?)
}

/// Answers a request to an object, which accepts only commands.
pub(in crate::runtime) fn no_requests() -> worker::Result<Response> {
    Response::error("an object takes commands, not requests", 405)
}
