//! What the handlers share: bodies with a limit, JSON answers, and refusals as answers.

use std::{pin::pin, rc::Rc, time::Duration};

use futures_util::{StreamExt, future::select};
use serde::Serialize;
use worker::{ByteStream, Env};

use crate::{
    api::error::ApiError,
    domain::{
        endpoint_url::UrlRules,
        event::REQUEST_LIMIT,
        idempotency_key::{IdempotencyKey, Idempotent},
        ids::{WebhookId, WorkspaceId},
        policy::Policy,
        subscriptions::Snapshot,
        token::TokenHash,
    },
    runtime::{
        platform::{
            config::Config,
            entropy::{random, wait},
            faults::internal,
            http::{Request, Response},
        },
        worker::{
            authentication::Caller,
            object_clients::{WebhookClient, WorkspaceClient},
        },
    },
};

/// The size limit of a JSON body in bytes, events aside: several times what its members may have.
const CALL_LIMIT: usize = 512 * 1024;

/// The size limit of a form in bytes: several times what its fields may have.
const FORM_LIMIT: usize = 64 * 1024;

/// How many bytes of a refused body are read.
const DISCARDED: usize = 2 * REQUEST_LIMIT;

/// How long a refused body is read: a client that announces one may never send it.
const DISCARDED_WITHIN: Duration = Duration::from_millis(250);

/// The content type of the API's answers.
pub(super) const JSON: &str = "application/json";

/// The result of a handler.
pub(super) type Answer = Result<Response, ApiError>;

/// Reads a JSON body of at most `CALL_LIMIT` bytes.
pub(super) async fn read_json_body(request: &Request) -> Result<Vec<u8>, ApiError> {
    read_json(request, CALL_LIMIT).await
}

/// Reads a JSON body of events, of at most `REQUEST_LIMIT` bytes.
pub(super) async fn read_events_body(request: &Request) -> Result<Vec<u8>, ApiError> {
    read_json(request, REQUEST_LIMIT).await
}

async fn read_json(request: &Request, limit: usize) -> Result<Vec<u8>, ApiError> {
    if !is_declared_as(request, "application/json") {
        return Err(ApiError::UnsupportedMediaType);
    }
    read_body(request, limit).await
}

/// Reads the body of a form, of at most `FORM_LIMIT` bytes.
pub(super) async fn read_form_body(request: &Request) -> Result<Vec<u8>, ApiError> {
    if !is_declared_as(request, "application/x-www-form-urlencoded") {
        return Err(ApiError::UnsupportedMediaType);
    }
    read_body(request, FORM_LIMIT).await
}

fn is_declared_as(request: &Request, wanted: &str) -> bool {
    let content_type = request.header("content-type").unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case(wanted)
}

async fn read_body(request: &Request, limit: usize) -> Result<Vec<u8>, ApiError> {
    let too_large = || ApiError::PayloadTooLarge {
        field: None,
        what: "a request",
        limit,
    };
    let length = request.header("content-length");
    let length: Option<usize> = length.and_then(|length| length.parse().ok());
    if length.is_some_and(|length| length <= limit) {
        return request
            .bytes()
            .await
            .map_err(|error| internal("reading a body", &error));
    }
    let Ok(mut stream) = request.stream() else {
        return Ok(Vec::new());
    };
    let mut body = Vec::new();
    while length.is_none() {
        let Some(chunk) = stream.next().await else {
            return Ok(body);
        };
        body.extend_from_slice(&chunk.map_err(|error| internal("reading a body", &error))?);
        if body.len() > limit {
            break;
        }
    }
    select(pin!(discard(stream)), pin!(wait(DISCARDED_WITHIN))).await;
    Err(too_large())
}

/// Reads a refused body: a client that gets the answer while it still writes may see only a broken connection.
async fn discard(mut stream: ByteStream) {
    let mut read: usize = 0;
    while let Some(Ok(chunk)) = stream.next().await {
        read = read.saturating_add(chunk.len());
        if read > DISCARDED {
            return;
        }
    }
}

/// Returns the rules for endpoint URLs that this request saves.
pub(super) fn url_rules(request: &Request, policy: &Policy) -> UrlRules {
    let own_host = request
        .url()
        .ok()
        .and_then(|url| url.host_str().map(ToString::to_string));
    UrlRules {
        allow_private: policy.allow_private_endpoints,
        own_host,
        own_hosts: policy.own_hosts.clone(),
    }
}

/// Makes an answer with a JSON body.
pub(super) fn json<T: Serialize>(status: u16, body: &T) -> Answer {
    let body =
        serde_json::to_string(body).map_err(|error| internal("writing an answer", &error))?;
    Ok(Response::new(status)
        .with_body(JSON, body)
        .with("Cache-Control", "no-store"))
}

/// Reads the `Idempotency-Key` of a request, if it has one.
pub(super) fn idempotency_key(request: &Request) -> Result<Option<IdempotencyKey>, ApiError> {
    let Some(key) = request.header("idempotency-key") else {
        return Ok(None);
    };
    let key = IdempotencyKey::parse(&key).map_err(|_| ApiError::InvalidParameter {
        field: "Idempotency-Key".into(),
        allowed: "1 to 255 visible ASCII characters",
    })?;
    Ok(Some(key))
}

/// Makes the answer to a creation, and describes the creation with its answer for the case that it is repeated.
pub(super) fn creation_answer<T: Serialize>(
    body: &T,
    key: Option<&IdempotencyKey>,
    creation: Option<Idempotent>,
) -> Result<(Response, Option<Idempotent>), ApiError> {
    let text =
        serde_json::to_string(body).map_err(|error| internal("writing an answer", &error))?;
    let kept = match (key, creation) {
        (Some(key), Some(creation)) => {
            let sealed = key.seal(&text, random_bytes()?);
            let answer = sealed.map_err(|error| internal("keeping an answer", &error))?;
            Some(Idempotent {
                answer: Some(answer),
                ..creation
            })
        }
        _ => None,
    };
    Ok((created(text), kept))
}

/// Makes the first answer to a creation again.
pub(super) fn answer_again(key: Option<&IdempotencyKey>, answer: &str) -> Answer {
    let answer = key.map(|key| key.open(answer));
    match answer {
        Some(Ok(answer)) => Ok(created(answer)),
        Some(Err(error)) => Err(internal("answering a creation again", &error)),
        None => Err(internal("answering a creation again", &"it has no key")),
    }
}

fn created(body: String) -> Response {
    Response::new(201)
        .with_body(JSON, body)
        .with("Cache-Control", "no-store")
}

/// Makes an answer without a body.
pub(super) const fn no_content() -> Response {
    Response::new(204)
}

/// Makes the answer of a refusal.
pub(super) fn refusal(error: &ApiError) -> Response {
    let mut response = Response::new(error.status());
    for (name, value) in error.headers() {
        response = response.with(name, value);
    }
    // The body consists of texts and numbers, which always serialize.
    let body = serde_json::to_string(&error.body()).unwrap_or_default();
    response.with_body(JSON, body)
}

/// Draws random bytes for an id or a secret.
pub(super) fn random_bytes<const LENGTH: usize>() -> Result<[u8; LENGTH], ApiError> {
    random().map_err(|error| internal("making an id", &error))
}

/// A request to a path of a workspace, as its handlers get it.
pub(super) struct Call<'a> {
    pub(super) request: Request,
    pub(super) env: &'a Env,
    pub(super) config: &'a Config,
    pub(super) workspace: WorkspaceId,
    pub(super) caller: Caller,
    /// The snapshot that identified the caller, if one did, and the hash of the caller's key.
    pub(super) by: Option<(Rc<Snapshot>, TokenHash)>,
}

impl<'a> Call<'a> {
    /// The workspace's object.
    pub(super) const fn workspace(&self) -> WorkspaceClient<'_> {
        WorkspaceClient {
            env: self.env,
            workspace: &self.workspace,
        }
    }

    /// The object of one of its webhooks.
    pub(super) const fn webhook<'b>(&'b self, webhook: &'b WebhookId) -> WebhookClient<'b>
    where
        'a: 'b,
    {
        WebhookClient {
            env: self.env,
            workspace: &self.workspace,
            webhook,
        }
    }
}
