//! The two rate limits, kept by Cloudflare's binding: counted at each location, and cheap.

use worker::{Env, Request, console_error};

use super::request::header;
use crate::{api::error::ApiError, domain::ids::WorkspaceId};

/// The binding that counts failed authentications, and its period; wrangler.toml has its limit.
const FAILED_AUTHENTICATIONS: (&str, u32) = ("FAILED_AUTHENTICATIONS", 60);

/// The binding that counts ingest.
const INGEST: (&str, u32) = ("INGEST", 10);

/// Counts a failed authentication of a client; what to answer.
pub(super) async fn count_failed_authentication(request: &Request, env: &Env) -> ApiError {
    let client = header(request, "cf-connecting-ip").unwrap_or_else(|| "unknown".into());
    match count(
        env,
        FAILED_AUTHENTICATIONS,
        client,
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
    count(env, INGEST, workspace.to_string(), "posts of events").await
}

/// A limiter that does not answer refuses nobody.
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
