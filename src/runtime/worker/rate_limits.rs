//! The rate limits, counted by Cloudflare's bindings for each location. wrangler.toml has their numbers; one that is not
//! bound limits nothing.

use std::{cell::RefCell, time::Duration};

use futures_util::future::join_all;
use worker::{Env, console_error};

use crate::{
    api::error::ApiError,
    domain::{ids::WorkspaceId, timestamp::Timestamp, until::Until},
    runtime::platform::entropy::now,
};

/// A binding, and what it counts.
pub(super) struct RateLimit {
    binding: &'static str,
    /// Its period in seconds, as in wrangler.toml.
    seconds: u32,
    what: &'static str,
}

/// Counts failed authentications of a client.
pub(super) const FAILED_AUTHENTICATIONS: RateLimit = RateLimit {
    binding: "FAILED_AUTHENTICATIONS",
    seconds: 60,
    what: "failed authentications",
};

/// Counts what is posted to a workspace, once for each matching webhook.
const INGEST: RateLimit = RateLimit {
    binding: "INGEST",
    seconds: 10,
    what: "posts of events",
};

/// Counts a workspace's other calls that write or send.
const MANAGEMENT: RateLimit = RateLimit {
    binding: "MANAGEMENT",
    seconds: 60,
    what: "changes of this workspace",
};

/// How many refusals an isolate remembers.
const REFUSED_LIMIT: usize = 4096;

thread_local! {
    /// What was refused, by binding and key, until a period after that.
    static REFUSED: RefCell<Until<(&'static str, String)>> = const { RefCell::new(Until::new(REFUSED_LIMIT)) };
}

impl RateLimit {
    /// Refuses a key that this isolate has seen refused within the period; asks nobody.
    pub(super) fn check(&self, key: &str) -> Result<(), ApiError> {
        let now = now();
        let end = REFUSED.with_borrow(|refused| refused.end(&(self.binding, key.to_string()), now));
        end.map_or(Ok(()), |end| Err(self.refusal(end, now)))
    }

    /// Counts units of a key; if the binding does not answer, nothing is refused.
    pub(super) async fn count(
        &self,
        env: &Env,
        key: &str,
        units: impl FnOnce() -> usize,
    ) -> Result<(), ApiError> {
        let Ok(limiter) = env.rate_limiter(self.binding) else {
            return Ok(());
        };
        self.check(key)?;
        // The binding takes no number of units.
        let asked = (0..units()).map(|_| limiter.limit(key.to_string()));
        let is_refused = join_all(asked).await.into_iter().any(|outcome| {
            outcome.map_or_else(
                |error| {
                    console_error!("{}: {error}", self.binding);
                    false
                },
                |outcome| !outcome.success,
            )
        });
        if !is_refused {
            return Ok(());
        }
        let now = now();
        let end = now.saturating_add(Duration::from_secs(self.seconds.into()));
        REFUSED.with_borrow_mut(|refused| refused.put((self.binding, key.to_string()), end, now));
        Err(self.refusal(end, now))
    }

    fn refusal(&self, end: Timestamp, now: Timestamp) -> ApiError {
        let left = end
            .saturating_duration_since(now)
            .as_millis()
            .div_ceil(1000);
        ApiError::RateLimited {
            what: self.what,
            seconds: left.try_into().unwrap_or(self.seconds),
        }
    }
}

/// Counts a post of events to a workspace, once for each webhook that it matches.
pub(super) async fn count_ingest(
    env: &Env,
    workspace: &WorkspaceId,
    webhooks: impl FnOnce() -> usize,
) -> Result<(), ApiError> {
    INGEST.count(env, workspace.as_ref(), webhooks).await
}

/// Counts a call that changes a workspace or sends for it, other than a post of events.
pub(super) async fn count_change(env: &Env, workspace: &WorkspaceId) -> Result<(), ApiError> {
    MANAGEMENT.count(env, workspace.as_ref(), || 1).await
}
