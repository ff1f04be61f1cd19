//! The daily walk over all workspaces: each asks its webhooks to delete what is too old, and to look at their alarms.
//!
//! The platform gives up on an alarm after six errors, and on a day whose quota of rows is spent nothing can set another
//! one. An object without an alarm sleeps until somebody calls it, whatever it still has to send.
//! And a webhook that has nothing to send sets none to delete what will be too old in a month: that would be a second
//! alarm for each event of a webhook that gets few.
//!
//! It begins with the catalogue, whose copy in KV it puts again: if KV lost it, no change might put it for years.

use futures_util::future::join_all;
use worker::{Env, Result, console_error};

use crate::runtime::platform::{
    kv,
    object_calls::{CatalogueCommand, WorkspaceCommand, ask_catalogue, ask_workspace},
};

/// How many workspaces one run asks; the platform lets an invocation make 1,000 calls.
const SLICE: u32 = 500;

/// How many are asked at a time.
const AT_ONCE: usize = 50;

/// Asks a slice of the workspaces, and keeps where the next run goes on.
pub(super) async fn walk(env: &Env) -> Result<()> {
    let cursor = kv::walked_to(env).await?;
    if cursor.is_none()
        && let Err(error) = ask_catalogue(env, &CatalogueCommand::Republish).await
    {
        console_error!("the daily walk: {error}");
    }
    let (workspaces, next) = match kv::list(env, SLICE, cursor.clone()).await {
        Ok(page) => page,
        Err(error) if cursor.is_some() => {
            // The next run starts again.
            console_error!("the daily walk: {error}");
            (Vec::new(), None)
        }
        Err(error) => return Err(error),
    };
    for workspaces in workspaces.chunks(AT_ONCE) {
        let asked = workspaces
            .iter()
            .map(|workspace| ask_workspace(env, workspace, &WorkspaceCommand::LookAtAlarms));
        for asked in join_all(asked).await {
            if let Err(error) = asked {
                console_error!("the daily walk: {error}");
            }
        }
    }
    if next == cursor {
        return Ok(());
    }
    kv::keep_walked_to(env, next).await
}
