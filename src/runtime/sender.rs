//! One attempt: the endpoint-URL rule, the signatures, one POST, and what came of it. Every POST of the relay is made
//! here: first attempts and retries, pings and tests.

use std::{collections::BTreeMap, time::Duration};

use futures_util::{
    StreamExt,
    future::{Either, select},
};
use worker::{
    AbortController, Delay, Fetch, Headers, Method, Request, RequestInit, RequestRedirect,
    Response, console_error, js_sys::Uint8Array,
};

use super::{
    commands::{AttemptReport, Grant},
    config::Config,
    entropy::now,
    observer::Observer,
    sealing::seal_anew,
};
use crate::domain::{
    attempt::{Attempt, RESPONSE_BODY_LIMIT, RESPONSE_HEADERS_LIMIT},
    delivery::Kind,
    endpoint_url::{EndpointUrl, UrlRules},
    ids::WebhookId,
    outcome::{Outcome, explain_status},
    policy::Policy,
    record::SentRequest,
    retry::parse_retry_after,
    sealed::{EncryptionKeys, Sealed, SealedError},
    secret::{Secret, SigningSecrets},
    signature::sign,
    timestamp::Timestamp,
};

const USER_AGENT: &str = concat!("Secureagentics-Webhooks/", env!("CARGO_PKG_VERSION"));

/// What came of a request.
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

/// Makes the attempt of a lease. It ends within the attempt timeout, which begins when the request is sent.
pub(super) async fn attempt(
    mut grant: Grant,
    webhook: &WebhookId,
    Config { policy, keys, .. }: &Config,
    observer: &Observer<'_>,
) -> AttemptReport {
    let started_at = now();
    let payload = grant.payload.take();
    let payload = payload.as_ref().map_or("", |payload| payload.get());
    #[cfg(feature = "test-hooks")]
    panic_where_a_test_asks(payload);
    let (headers, answer) = match headers(&grant, webhook, keys, payload, started_at) {
        Err(error) => {
            console_error!("{webhook}, {}: not sent: {error}", grant.id);
            let error = error.to_string();
            let answer = Answer::without_status(Outcome::Blocked, error, started_at);
            (BTreeMap::new(), answer)
        }
        Ok((own, custom)) => {
            let all: Vec<_> = own.iter().chain(&custom).collect();
            let answer = post(&grant, payload, &all, policy).await;
            (own, answer)
        }
    };
    let retry_after = answer.head.retry_after;
    let attempt = answer.into_attempt(grant.lease.attempt, started_at);
    observer.attempt_ended((&grant.id, &grant.event_type, grant.kind), &attempt);
    let request = (grant.kind != Kind::Event).then(|| {
        let mut custom_headers = grant.headers;
        let values = custom_headers.iter_mut().map(|header| &mut header.value);
        // The settings may still be under an older key; what cannot be sealed anew is kept as it is.
        if let Err(error) = seal_anew(keys, webhook, values) {
            console_error!("{error}");
        }
        SentRequest {
            url: grant.url,
            headers,
            custom_headers,
        }
    });
    AttemptReport {
        id: grant.id,
        lease: grant.lease,
        revision: grant.revision,
        retry_after_ms: retry_after.map(|delay| delay.as_millis().try_into().unwrap_or(u64::MAX)),
        attempt,
        request,
        wants_lease: false,
    }
}

type HeaderMap = BTreeMap<String, String>;

/// The relay's headers and the owner's.
fn headers(
    grant: &Grant,
    webhook: &WebhookId,
    keys: &EncryptionKeys,
    payload: &str,
    now: Timestamp,
) -> Result<(HeaderMap, HeaderMap), SealedError> {
    let open = |sealed: &Sealed| keys.open(sealed, webhook);
    let secret = |sealed| Secret::parse(&open(sealed)?).map_err(|_| SealedError::Damaged);
    let secrets = SigningSecrets {
        current: secret(&grant.secret)?,
        previous: grant.previous_secret.as_ref().map(secret).transpose()?,
    };
    let signature = sign(
        &secrets,
        grant.id.as_ref(),
        now.as_seconds(),
        payload.as_bytes(),
    );
    let own = [
        ("content-type", "application/json".to_string()),
        ("user-agent", USER_AGENT.to_string()),
        ("x-secureagentics-event", grant.event_type.clone()),
        ("x-secureagentics-attempt", grant.lease.attempt.to_string()),
        ("x-secureagentics-signature", signature.hex),
        ("webhook-id", signature.id),
        ("webhook-timestamp", signature.timestamp),
        ("webhook-signature", signature.standard),
    ];
    let custom = grant
        .headers
        .iter()
        .map(|header| Ok((header.name.clone(), open(&header.value)?)));
    Ok((
        own.map(|(name, value)| (name.to_string(), value)).into(),
        custom.collect::<Result<_, _>>()?,
    ))
}

async fn post(
    grant: &Grant,
    payload: &str,
    headers: &[(&String, &String)],
    policy: &Policy,
) -> Answer {
    let rules = UrlRules {
        allow_private: policy.allow_private_endpoints,
        own_host: None,
    };
    let started_at = now();
    let url = match EndpointUrl::parse(&grant.url, &rules) {
        Ok(url) => url,
        Err(refusal) => {
            return Answer::without_status(Outcome::Blocked, refusal.to_string(), started_at);
        }
    };
    match request(&url, payload, headers) {
        Ok(request) => send(request, policy.attempt_timeout, started_at).await,
        Err(error) => Answer::without_status(Outcome::Blocked, explain(&error), started_at),
    }
}

fn request(
    url: &EndpointUrl,
    payload: &str,
    headers: &[(&String, &String)],
) -> worker::Result<Request> {
    let list = Headers::new();
    for (name, value) in headers {
        list.set(name, value)?;
    }
    let mut init = RequestInit::new();
    init.with_method(Method::Post)
        .with_headers(list)
        .with_redirect(RequestRedirect::Manual)
        .with_body(Some(Uint8Array::from(payload.as_bytes()).into()));
    Request::new_with_init(url.as_str(), &init)
}

/// Sends a request and reads its answer, head and body, until one deadline.
async fn send(request: Request, timeout: Duration, started_at: Timestamp) -> Answer {
    let abort = AbortController::default();
    let signal = abort.signal();
    let fetch = Fetch::Request(request);
    // Dropping the timer ends it: a pending one would keep an object awake, and billed.
    let mut deadline = Delay::from(timeout);
    let sent = select(Box::pin(fetch.send_with_signal(&signal)), &mut deadline).await;
    let mut response = match sent {
        Either::Left((Ok(response), _)) => response,
        Either::Left((Err(error), _)) => {
            return Answer::without_status(Outcome::Unreachable, explain(&error), started_at);
        }
        Either::Right(_) => {
            abort.abort();
            let error = format!(
                "the endpoint did not answer within {} ms",
                timeout.as_millis()
            );
            return Answer::without_status(Outcome::Timeout, error, started_at);
        }
    };
    let status = response.status_code();
    let duration = now().saturating_duration_since(started_at);
    let head = read_head(&response, now());
    let mut body = Vec::new();
    let complete = match select(Box::pin(read_body(&mut response, &mut body)), &mut deadline).await
    {
        Either::Left((complete, _)) => complete,
        Either::Right(_) => false,
    };
    if !complete {
        abort.abort();
    }
    body.truncate(RESPONSE_BODY_LIMIT);
    Answer {
        outcome: Outcome::of_status(status),
        status: Some(status),
        truncated: !complete || head.truncated,
        head,
        body: Some(String::from_utf8_lossy(&body).into_owned()),
        error: explain_status(status).map(ToString::to_string),
        duration,
    }
}

/// Reads until the body's end or until enough is kept; tells whether it was the end.
async fn read_body(response: &mut Response, kept: &mut Vec<u8>) -> bool {
    // A status that has no body, such as 204, has no stream either.
    let Ok(mut stream) = response.stream() else {
        return true;
    };
    while let Some(chunk) = stream.next().await {
        let Ok(chunk) = chunk else { return false };
        kept.extend_from_slice(&chunk);
        if kept.len() > RESPONSE_BODY_LIMIT {
            return false;
        }
    }
    true
}

fn read_head(response: &Response, now: Timestamp) -> Head {
    let mut head = Head::default();
    let mut left = RESPONSE_HEADERS_LIMIT;
    for (name, value) in response.headers().entries() {
        if name == "retry-after" {
            head.retry_after = parse_retry_after(&value, now);
        }
        match left.checked_sub(name.len().saturating_add(value.len())) {
            None => head.truncated = true,
            Some(rest) => {
                left = rest;
                // Only `set-cookie` comes more than once; the runtime joins the others.
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

/// What the runtime says of a request that has no answer.
fn explain(error: &worker::Error) -> String {
    let cause = error.to_string();
    if cause.contains("internal error") {
        return "the endpoint's host name could not be resolved, or its TLS certificate is not valid".into();
    }
    let cause: String = cause.chars().take(200).collect();
    format!("no answer came from the endpoint: {cause}")
}

impl Answer {
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
            attempt,
            started_at,
            duration_ms: self.duration.as_millis().try_into().unwrap_or(u64::MAX),
            outcome: self.outcome,
            response_status: self.status,
            response_headers: self.head.headers,
            response_body: self.body,
            response_truncated: self.truncated,
            error: self.error,
        }
    }
}

/// `x-test-hook`: a delivery that takes the instance with it, for the tests of the panic guard.
#[cfg(feature = "test-hooks")]
fn panic_where_a_test_asks(payload: &str) {
    assert!(
        !payload.contains(r#""x-test-hook":"panic""#)
            && !payload.contains(r#""x-test-hook": "panic""#),
        "as asked"
    );
}
