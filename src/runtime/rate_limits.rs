//! The two rate limits, counted by Cloudflare's binding for each location.

use std::{cell::RefCell, collections::BTreeMap, time::Duration};

use worker::{Env, console_error};

use super::{entropy::now, http::Request};
use crate::{
    api::error::ApiError,
    domain::{ids::WorkspaceId, timestamp::Timestamp},
};

/// The binding that counts failed authentications, and its period; wrangler.toml has its limit.
const FAILED_AUTHENTICATIONS: (&str, u32) = ("FAILED_AUTHENTICATIONS", 60);

/// The binding that counts ingest, and its period.
const INGEST: (&str, u32) = ("INGEST", 10);

/// How many posts are counted as one, as counting each would cost more than signing it. The limit in wrangler.toml
/// counts such groups.
const POSTS_COUNTED_AS_ONE: u32 = 50;

/// How many workspaces' posts an isolate counts.
const WORKSPACES_LIMIT: usize = 1000;

thread_local! {
    static POSTS: RefCell<BTreeMap<WorkspaceId, Posts>> = const { RefCell::new(BTreeMap::new()) };
}

/// What an isolate knows about a workspace's posts.
#[derive(Default)]
struct Posts {
    count: u32,
    /// Until then each post is refused, and not only the ones that are counted.
    refused_until: Timestamp,
}

/// Counts a failed authentication of a client; returns the error to answer.
pub(super) async fn count_failed_authentication(request: &Request, env: &Env) -> ApiError {
    let client = request
        .header("cf-connecting-ip")
        .unwrap_or("unknown".into());
    match count(
        env,
        FAILED_AUTHENTICATIONS,
        client.to_string(),
        "failed authentications",
    )
    .await
    {
        Ok(()) => ApiError::Unauthorized,
        Err(limited) => limited,
    }
}

/// Counts a post of events to a workspace.
pub(super) async fn count_ingest(env: &Env, workspace: &WorkspaceId) -> Result<(), ApiError> {
    let (_, seconds) = INGEST;
    let what = "posts of events";
    let (refused, asks) = POSTS.with_borrow_mut(|all| {
        if all.len() >= WORKSPACES_LIMIT {
            all.clear();
        }
        let posts = all.entry(workspace.clone()).or_default();
        let asks = posts.count % POSTS_COUNTED_AS_ONE == 0;
        posts.count = posts.count.wrapping_add(1);
        (now() < posts.refused_until, asks)
    });
    if refused {
        return Err(ApiError::RateLimited { what, seconds });
    }
    if !asks {
        return Ok(());
    }
    let counted = count(env, INGEST, workspace.to_string(), what).await;
    if counted.is_err() {
        let until = now().saturating_add(Duration::from_secs(seconds.into()));
        POSTS.with_borrow_mut(|all| {
            all.entry(workspace.clone()).or_default().refused_until = until;
        });
    }
    counted
}

/// Counts at a limiter; if it does not answer, nothing is refused.
async fn count(
    env: &Env,
    (binding, seconds): (&str, u32),
    key: String,
    what: &'static str,
) -> Result<(), ApiError> {
    let Ok(limiter) = env.rate_limiter(binding) else {
        return Ok(());
    };
    match limiter.limit(key).await {
        Ok(outcome) if !outcome.success => Err(ApiError::RateLimited { what, seconds }),
        Ok(_) => Ok(()),
        Err(error) => {
            console_error!("{binding}: {error}");
            Ok(())
        }
    }
}
