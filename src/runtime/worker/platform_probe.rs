//! `/probe/…`: what the platform allows on this account, for `npm run probe`. For the operator only.
//!
//! Its POSTs go to the address of the request and nowhere else, so it is no way to post to others.

use std::time::Duration;

use serde::Serialize;
use worker::Env;

use crate::{
    api::{error::ApiError, query::Query},
    domain::{jurisdiction::Jurisdiction, policy::Policy},
    machines::hiring::HIRES_LIMIT,
    runtime::{
        platform::{
            entropy::wait,
            faults::{internal, unavailable, unexpected_reply},
            http::{Request, Response, pairs},
            object_calls::{PROBE_OBJECT, WebhookReply, ask_probe_object},
        },
        worker::request::{Answer, JSON, json},
    },
};

/// The most that a request to `/probe/wait` waits.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// How long a Sender is watched at most.
const WATCHED_SECONDS: u64 = 120;

/// What is to be measured.
#[derive(Serialize)]
struct Order<'a> {
    step: &'a str,
    /// The object in which all of this runs.
    object: &'a str,
    jurisdiction: Option<&'a str>,
    /// Where POSTs go.
    origin: String,
    /// The operator's token, which they need there.
    authorization: &'a str,
    hires: usize,
    posts: usize,
    seconds: u64,
}

/// Does one step of the probe.
pub(super) async fn run(request: &Request, env: &Env, policy: &Policy, step: &str) -> Answer {
    let query = request.query()?;
    let query = Query::parse(pairs(&query), &["ms", "seconds"])?;
    let number = |name, most: u64| {
        let given = query.text(name).and_then(|text| text.parse().ok());
        given.unwrap_or(0).min(most)
    };
    match step {
        "wait" => {
            let most = LONGEST_WAIT.as_millis().try_into().unwrap_or(u64::MAX);
            wait(Duration::from_millis(number("ms", most))).await;
            json(200, &serde_json::json!({}))
        }
        "hires" | "lasts" | "connections" | "posts" | "read" => {
            let authorization = request.header("authorization").unwrap_or_default();
            let order = Order {
                step,
                object: PROBE_OBJECT,
                jurisdiction: policy.jurisdiction.map(Jurisdiction::as_str),
                origin: request.url()?.origin().ascii_serialization(),
                authorization: &authorization,
                hires: HIRES_LIMIT,
                posts: policy.subrequests,
                seconds: number("seconds", WATCHED_SECONDS),
            };
            let order = serde_json::to_string(&order)
                .map_err(|error| internal("writing an order", &error))?;
            match ask_probe_object(env, order).await {
                Ok(WebhookReply::Measured(measured)) => {
                    Ok(Response::new(200).with_body(JSON, measured))
                }
                Ok(_) => Err(unexpected_reply()),
                Err(error) => Err(unavailable(&error)),
            }
        }
        _ => Err(ApiError::NotFound("page")),
    }
}
