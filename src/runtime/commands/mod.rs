//! What the Worker and the objects say to each other: one command, one reply, as JSON over the object's fetch.

mod workspace;

mod webhook;

mod refusal;

use serde::{Serialize, de::DeserializeOwned};
use thiserror::Error;
use worker::{Env, Headers, Method, Request, RequestInit, Response};

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
    read_json(&response.bytes().await?)
}

/// Reads the command in an object's request.
pub(super) async fn read_command<C: DeserializeOwned>(request: &mut Request) -> worker::Result<C> {
    read_json(&request.bytes().await?)
}

/// As text, like stored JSON: serde makes code of its own for each form of input, and commands carry what is stored.
fn read_json<T: DeserializeOwned>(bytes: &[u8]) -> worker::Result<T> {
    let text =
        std::str::from_utf8(bytes).map_err(|error| worker::Error::RustError(error.to_string()))?;
    Ok(serde_json::from_str(text)?)
}

/// Answers a command.
pub(super) fn reply_with<R: Serialize>(reply: &R) -> worker::Result<Response> {
    Response::from_bytes(serde_json::to_vec(reply)?)
}
