//! What the Worker and the objects say to each other: one command, one reply, as JSON in a call of the object.

mod workspace;

mod webhook;

mod refusal;

use serde::{Serialize, de::DeserializeOwned};
use thiserror::Error;
use wasm_bindgen::{JsCast, JsValue, prelude::wasm_bindgen};
use worker::{Env, Response};

pub(super) use self::{
    refusal::Refusal,
    webhook::{AttemptReport, Grant, NewDelivery, Recalled, Taken, WebhookCommand, WebhookReply},
    workspace::{NewWebhook, WebhookChange, WorkspaceCommand, WorkspaceReply},
};

#[cfg(feature = "test-hooks")]
pub(super) use self::webhook::Counted;

use crate::domain::ids::{WebhookId, WorkspaceId};

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

#[wasm_bindgen]
extern "C" {
    /// A namespace of objects, as it is bound.
    type Namespace;

    #[wasm_bindgen(method, catch, js_name = getByName)]
    fn get_by_name(this: &Namespace, name: &str) -> Result<ObjectStub, JsValue>;

    /// An object of this Worker, called by JavaScript RPC: such a call makes no request, no headers and no streams, which
    /// cost more than all that is said in them.
    type ObjectStub;

    #[wasm_bindgen(method, catch)]
    async fn obey(this: &ObjectStub, command: &str) -> Result<JsValue, JsValue>;
}

async fn exchange<C: Serialize, R: DeserializeOwned>(
    env: &Env,
    namespace: &str,
    name: &str,
    command: &C,
) -> worker::Result<R> {
    let command = serde_json::to_string(command)?;
    let namespace: Namespace = js_sys::Reflect::get(env, &namespace.into())?.unchecked_into();
    let reply = namespace.get_by_name(name)?.obey(&command).await?;
    Ok(serde_json::from_str(
        &reply.as_string().unwrap_or_default(),
    )?)
}

/// Reads the command that an object was called with. As text, like stored JSON: serde makes code of its own for each form
/// of input, and commands carry what is stored.
pub(super) fn read_command<C: DeserializeOwned>(command: &str) -> worker::Result<C> {
    Ok(serde_json::from_str(command)?)
}

/// Answers a command.
pub(super) fn reply_with<R: Serialize>(reply: &R) -> worker::Result<String> {
    Ok(serde_json::to_string(reply)?)
}

/// What an object answers to a request: it takes commands alone.
pub(super) fn no_requests() -> worker::Result<Response> {
    Response::error("an object takes commands, not requests", 405)
}
