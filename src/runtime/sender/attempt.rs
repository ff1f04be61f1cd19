//! One attempt: the endpoint-URL rule, the headers and signatures, one POST, and its outcome. Every POST of the relay is made here:
//! first attempts and retries, pings and tests.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc, time::Duration};

use serde::Deserialize;
use thiserror::Error;
use wasm_bindgen::{JsValue, prelude::wasm_bindgen};
use worker::{console_error, js_sys::Uint8Array};

use crate::{
    domain::{
        attempt::{Attempt, RESPONSE_BODY_LIMIT, RESPONSE_HEADERS_LIMIT},
        brand::Brand,
        delivery::Kind,
        endpoint_url::{EndpointUrl, EndpointUrlError, UrlRules},
        ids::WebhookId,
        outcome::{Outcome, explain_status},
        policy::Policy,
        record::SentRequest,
        request_headers::{admits, own_headers},
        retry::parse_retry_after,
        sealed::{EncryptionKeys, Field, Sealed, SealedError},
        secret::{Secret, SigningSecrets},
        signature::sign,
        timestamp::Timestamp,
        webhook::StoredHeader,
    },
    runtime::platform::{
        config::Config,
        entropy::now,
        object_calls::{AttemptReport, Grant},
        observer::Observer,
        sealing::seal_again,
    },
};

#[wasm_bindgen(module = "/src/runtime/sender/post.js")]
extern "C" {
    /// Posts a body with headers (a JSON object) and returns the JSON of a `Posted`.
    #[wasm_bindgen(catch)]
    async fn post(
        url: &str,
        headers: &str,
        body: Uint8Array,
        timeout_ms: f64,
        limit: usize,
    ) -> Result<JsValue, JsValue>;
}

/// What the platform's error says if an invocation has made too many requests.
const TOO_MANY: &str = "Too many subrequests";

/// How many admitted endpoints an isolate keeps.
const ADMITTED_LIMIT: usize = 1000;

/// The result of a POST: a status if a head arrived in time, otherwise an error.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Posted {
    status: Option<u16>,
    /// Milliseconds until the head arrived.
    duration: u64,
    headers: Vec<(String, String)>,
    body: String,
    /// Whether the body was read to its end.
    complete: bool,
    error: String,
    timed_out: bool,
    /// Whether the request could not be made.
    invalid: bool,
}

/// The outcome of a request.
struct Answer {
    outcome: Outcome,
    status: Option<u16>,
    head: Head,
    body: Option<String>,
    truncated: bool,
    error: Option<String>,
    duration: Duration,
}

#[derive(Default)]
struct Head {
    headers: BTreeMap<String, String>,
    truncated: bool,
    retry_after: Option<Duration>,
}

/// The relay could not make an attempt, for a reason that says nothing about the endpoint. The lease is lost: nothing is
/// reported, and the attempt is made again when the lease has ended.
#[derive(Debug, Error)]
pub(in crate::runtime) enum OwnFault {
    #[error("not sent: {0}")]
    Sealed(#[from] SealedError),
    #[error("not sent: {0}")]
    Headers(#[from] serde_json::Error),
    /// The platform refused the request.
    #[error("not sent: {0}")]
    Refused(String),
}

/// Makes the attempt of a lease. It ends within the attempt timeout, which begins when the request is sent.
///
/// # Errors
/// A fault of the relay's own.
pub(in crate::runtime) async fn attempt(
    mut grant: Grant,
    webhook: &WebhookId,
    Config { policy, keys, .. }: &Config,
    observer: &Observer<'_>,
) -> Result<AttemptReport, OwnFault> {
    let started_at = now();
    let payload = grant.payload.take();
    let payload = payload.as_ref().map_or("", |payload| payload.get());
    #[cfg(feature = "test-hooks")]
    panic_where_a_test_asks(payload);
    let (headers, custom) = headers(&grant, webhook, keys, &policy.brand, payload, started_at)?;
    let all: BTreeMap<_, _> = headers.iter().chain(&custom).collect();
    let answer = send(&grant, payload, &all, policy).await?;
    let retry_after = answer.head.retry_after;
    let attempt = answer.into_attempt(grant.lease.attempt, started_at);
    observer.attempt_ended((&grant.id, &grant.event_type, grant.kind), &attempt);
    let request = (grant.kind != Kind::Event).then(|| {
        let mut custom_headers = grant.headers;
        custom_headers.retain(|header| custom.contains_key(&header.name));
        let values = custom_headers.iter_mut().map(StoredHeader::sealed_mut);
        // The settings may still be under an older key; a value that cannot be sealed again is kept as it is.
        if let Err(error) = seal_again(keys, webhook, values) {
            console_error!("{error}");
        }
        SentRequest {
            url: grant.url,
            headers,
            custom_headers,
        }
    });
    Ok(AttemptReport {
        id: grant.id,
        lease: grant.lease,
        revision: grant.revision,
        retry_after_ms: retry_after.map(|delay| delay.as_millis().try_into().unwrap_or(u64::MAX)),
        attempt,
        request,
    })
}

type HeaderMap = BTreeMap<String, String>;

/// Builds the relay's headers and the owner's.
fn headers(
    grant: &Grant,
    webhook: &WebhookId,
    keys: &EncryptionKeys,
    brand: &Brand,
    payload: &str,
    now: Timestamp,
) -> Result<(HeaderMap, HeaderMap), SealedError> {
    let open = |sealed: &Sealed, field| keys.open(sealed, webhook, field);
    let secret =
        |sealed| Secret::stored(&open(sealed, Field::Secret)?).map_err(|_| SealedError::Damaged);
    let secrets = SigningSecrets {
        current: secret(&grant.secret)?,
        previous: grant.previous_secret.as_ref().map(secret).transpose()?,
        sign_header_with: grant.sign_header_with,
    };
    let signature = sign(
        &secrets,
        grant.id.as_ref(),
        now.as_seconds(),
        payload.as_bytes(),
    );
    let mut own = own_headers(brand, &grant.event_type, grant.lease.attempt, &signature);
    let mut custom = HeaderMap::new();
    for StoredHeader { name, value } in &grant.headers {
        if admits(&mut own, name) {
            custom.insert(name.clone(), open(value, Field::Header(name))?);
        }
    }
    Ok((own, custom))
}

thread_local! {
    /// Endpoints that the rule takes: the settings of a deployment do not change while an isolate lives.
    static ADMITTED: RefCell<BTreeMap<String, Rc<EndpointUrl>>> = const { RefCell::new(BTreeMap::new()) };
}

/// Checks an endpoint's URL, before each attempt.
fn checked(url: &str, policy: &Policy) -> Result<Rc<EndpointUrl>, EndpointUrlError> {
    if let Some(admitted) = ADMITTED.with_borrow(|all| all.get(url).cloned()) {
        return Ok(admitted);
    }
    let rules = UrlRules {
        allow_private: policy.allow_private_endpoints,
        own_host: None,
        own_hosts: policy.own_hosts.clone(),
    };
    let admitted = Rc::new(EndpointUrl::parse(url, &rules)?);
    ADMITTED.with_borrow_mut(|all| {
        if all.len() >= ADMITTED_LIMIT {
            all.clear();
        }
        all.insert(url.to_string(), Rc::clone(&admitted));
    });
    Ok(admitted)
}

async fn send(
    grant: &Grant,
    payload: &str,
    headers: &BTreeMap<&String, &String>,
    policy: &Policy,
) -> Result<Answer, OwnFault> {
    let started_at = now();
    let url = match checked(&grant.url, policy) {
        Ok(url) => url,
        Err(refusal) => {
            let refusal = refusal.to_string();
            return Ok(Answer::without_status(
                Outcome::Blocked,
                refusal,
                started_at,
            ));
        }
    };
    let headers = serde_json::to_string(headers)?;
    let body = Uint8Array::from(payload.as_bytes());
    let timeout = policy.attempt_timeout.as_secs_f64() * 1000.0;
    let posted = post(url.as_str(), &headers, body, timeout, RESPONSE_BODY_LIMIT).await;
    let posted = posted.map_err(|error| OwnFault::Refused(format!("{error:?}")))?;
    let posted: Posted = serde_json::from_str(&posted.as_string().unwrap_or_default())?;
    if posted.status.is_none() && posted.error.contains(TOO_MANY) {
        return Err(OwnFault::Refused(posted.error));
    }
    Ok(Answer::of(posted, policy.attempt_timeout, started_at))
}

fn read_head(headers: Vec<(String, String)>, now: Timestamp) -> Head {
    let mut head = Head::default();
    let mut left = RESPONSE_HEADERS_LIMIT;
    for (name, value) in headers {
        if name == "retry-after" {
            head.retry_after = parse_retry_after(&value, now);
        }
        match left.checked_sub(name.len().saturating_add(value.len())) {
            None => head.truncated = true,
            Some(rest) => {
                left = rest;
                // Only `set-cookie` can repeat; the runtime joins the others.
                head.headers
                    .entry(name)
                    .and_modify(|joined| {
                        joined.push_str(", ");
                        joined.push_str(&value);
                    })
                    .or_insert(value);
            }
        }
    }
    head
}

/// Words the runtime's error of a request without an answer.
fn explain(cause: &str) -> String {
    if cause.contains("internal error") {
        return "the endpoint's host name could not be resolved, or its TLS certificate is not valid".into();
    }
    let cause: String = cause.chars().take(200).collect();
    format!("no answer came from the endpoint: {cause}")
}

impl Answer {
    fn of(posted: Posted, timeout: Duration, started_at: Timestamp) -> Self {
        let Some(status) = posted.status else {
            let (outcome, error) = if posted.timed_out {
                let limit = timeout.as_millis();
                let error = format!("the endpoint did not answer within {limit} ms");
                (Outcome::Timeout, error)
            } else if posted.invalid {
                (Outcome::Blocked, explain(&posted.error))
            } else {
                (Outcome::Unreachable, explain(&posted.error))
            };
            return Self::without_status(outcome, error, started_at);
        };
        let head = read_head(posted.headers, now());
        Self {
            outcome: Outcome::of_status(status),
            status: Some(status),
            truncated: !posted.complete || head.truncated,
            head,
            body: Some(posted.body),
            error: explain_status(status).map(ToString::to_string),
            duration: Duration::from_millis(posted.duration),
        }
    }

    fn without_status(outcome: Outcome, error: String, started_at: Timestamp) -> Self {
        let duration = now().saturating_duration_since(started_at);
        Self {
            outcome,
            status: None,
            head: Head::default(),
            body: None,
            truncated: false,
            error: Some(error),
            duration,
        }
    }

    fn into_attempt(self, attempt: u32, started_at: Timestamp) -> Attempt {
        Attempt {
            response_status: self.status,
            response_headers: self.head.headers,
            response_body: self.body,
            response_truncated: self.truncated,
            error: self.error,
            ..Attempt::new(
                attempt,
                started_at,
                self.duration.as_millis().try_into().unwrap_or(u64::MAX),
                self.outcome,
            )
        }
        .bounded()
    }
}

/// Panics on a payload with `x-test-hook`, for the tests of the panic guard.
#[cfg(feature = "test-hooks")]
fn panic_where_a_test_asks(payload: &str) {
    assert!(
        !payload.contains(r#""x-test-hook":"panic""#)
            && !payload.contains(r#""x-test-hook": "panic""#),
        "as asked"
    );
}
