//! Slows down guessing: counts failed authentications of a client, and keeps a client that has too many from the objects.
//!
//! A token names its workspace, so whoever guesses names the object that is asked. What an object is asked for is
//! therefore judged before, by what the isolate and KV know (docs/decisions/023-guesses-wake-few-objects.md):
//! - A token that the isolate has seen to be valid, or that the snapshot in KV has, is never limited.
//! - Any other from a client that is over the limit is refused.
//! - If KV has no such workspace, the guess is counted before its object is asked, else when it has failed.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use worker::{Env, console_error};

use crate::{
    api::error::ApiError,
    domain::{
        client_address::client_network, ids::WorkspaceId, session::SESSION_LENGTH,
        subscriptions::Snapshot, token::TokenHash, until::Until,
    },
    runtime::{
        platform::{entropy::now, http::Request},
        worker::{rate_limits::FAILED_AUTHENTICATIONS, subscriptions},
    },
};

/// How many valid tokens an isolate remembers.
const KNOWN_LIMIT: usize = 4096;

thread_local! {
    /// The hashes of tokens that objects have found valid. They are still asked each time.
    static KNOWN: RefCell<Until<String>> = const { RefCell::new(Until::new(KNOWN_LIMIT)) };
}

/// The tokens of one request, any of which may be a guess.
pub(super) struct Guess {
    /// Whether it is counted as failed.
    counted: Cell<bool>,
}

impl Guess {
    pub(super) const fn new() -> Self {
        Self {
            counted: Cell::new(false),
        }
    }

    /// Lets a token go to the object that judges it; returns the workspace's snapshot if KV was read.
    ///
    /// # Errors
    /// `RateLimited` if the client has guessed too often.
    pub(super) async fn allow(
        &self,
        request: &Request,
        env: &Env,
        workspace: &WorkspaceId,
        hash: &TokenHash,
    ) -> Result<Option<Rc<Snapshot>>, ApiError> {
        if is_known(hash) {
            return Ok(None);
        }
        let (copy, exists) = match subscriptions::copy(env, workspace).await {
            Ok(copy) => (copy.clone(), copy.is_some()),
            Err(error) => {
                console_error!("reading the snapshot of {workspace}: {error}");
                (None, true)
            }
        };
        if copy
            .as_ref()
            .is_some_and(|copy| copy.scopes_of(hash).is_some())
        {
            return Ok(copy);
        }
        let client = client(request);
        FAILED_AUTHENTICATIONS.check(&client)?;
        if !exists && !self.counted.replace(true) {
            FAILED_AUTHENTICATIONS.count(env, &client, || 1).await?;
        }
        Ok(copy)
    }

    /// Counts the failure, unless it is counted; returns the error to answer.
    pub(super) async fn failed(&self, request: &Request, env: &Env) -> ApiError {
        let client = client(request);
        if self.counted.replace(true) {
            return ApiError::Unauthorized;
        }
        let counted = FAILED_AUTHENTICATIONS.count(env, &client, || 1).await;
        counted.err().unwrap_or(ApiError::Unauthorized)
    }
}

/// Remembers whether an object has found a token valid.
pub(super) fn judged(hash: &TokenHash, is_valid: bool) {
    let now = now();
    KNOWN.with_borrow_mut(|known| {
        if is_valid {
            let until = now.saturating_add(SESSION_LENGTH);
            known.put(hash.as_ref().to_string(), until, now);
        } else {
            known.remove(hash.as_ref());
        }
    });
}

/// Whether an object has found the token valid.
pub(super) fn is_known(hash: &TokenHash) -> bool {
    KNOWN.with_borrow(|known| known.end(hash.as_ref(), now()).is_some())
}

fn client(request: &Request) -> String {
    client_network(&request.header("cf-connecting-ip").unwrap_or_default())
}
