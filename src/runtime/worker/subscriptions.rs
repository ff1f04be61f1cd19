//! The webhooks and keys of a workspace as this isolate knows them: the copy in KV, or an answer of the workspace's object
//! if that does not suffice.

use std::{cell::RefCell, rc::Rc};

use worker::{Env, console_error, kv::KvError};

use crate::{
    api::error::ApiError,
    domain::{ids::WorkspaceId, subscriptions::Snapshot},
    machines::ingest::snapshots::Snapshots,
    runtime::platform::{
        entropy::now,
        faults::unavailable,
        kv,
        object_calls::{Refusal, WorkspaceCommand, WorkspaceReply, ask_workspace},
    },
};

thread_local! {
    static SNAPSHOTS: RefCell<Snapshots> = const { RefCell::new(Snapshots::new()) };
}

/// Reads a workspace's snapshot from KV, unless the caller or the isolate has it, and asks the workspace's object if
/// what is kept does not suffice.
///
/// # Errors
/// `NotFound` if there is no such workspace, `Unavailable` if its object did not answer.
pub(super) async fn read(
    env: &Env,
    workspace: &WorkspaceId,
    known: Option<Rc<Snapshot>>,
    suffices: impl Fn(&Snapshot) -> bool,
) -> Result<Rc<Snapshot>, ApiError> {
    let copy = match known {
        Some(snapshot) => Some(snapshot),
        None => copy(env, workspace).await.unwrap_or_else(|error| {
            console_error!("reading the snapshot of {workspace}: {error}");
            None
        }),
    };
    let chosen =
        SNAPSHOTS.with_borrow(|kept| kept.choose(workspace, copy.as_ref(), suffices, now()));
    match chosen {
        Some(snapshot) => Ok(snapshot),
        None => ask(env, workspace).await,
    }
}

/// Reads a workspace's snapshot from KV, unless the isolate has it; none if KV has none.
pub(super) async fn copy(
    env: &Env,
    workspace: &WorkspaceId,
) -> Result<Option<Rc<Snapshot>>, KvError> {
    if let Some(kept) = SNAPSHOTS.with_borrow(|kept| kept.copy(workspace, now())) {
        return Ok(Some(kept));
    }
    let reading = SNAPSHOTS.with_borrow(Snapshots::begin_reading);
    let copy = kv::read(env, workspace).await?.map(Rc::new);
    if let Some(copy) = &copy {
        SNAPSHOTS.with_borrow_mut(|kept| kept.keep_copy(workspace, copy, reading, now()));
    }
    Ok(copy)
}

/// Asks the workspace's object for its snapshot.
///
/// # Errors
/// `NotFound` if there is no such workspace, `Unavailable` if its object did not answer.
pub(super) async fn ask(env: &Env, workspace: &WorkspaceId) -> Result<Rc<Snapshot>, ApiError> {
    match ask_workspace(env, workspace, &WorkspaceCommand::Snapshot).await {
        Ok(WorkspaceReply::Snapshot(snapshot)) => {
            let snapshot = Rc::new(snapshot);
            SNAPSHOTS.with_borrow_mut(|kept| kept.keep_answer(workspace, &snapshot, now()));
            Ok(snapshot)
        }
        Ok(_) => Err(Refusal::NoWorkspace.into()),
        Err(error) => Err(unavailable(&error)),
    }
}

/// Drops what the isolate keeps of a workspace, because this isolate has changed it.
pub(super) fn forget(workspace: &WorkspaceId) {
    SNAPSHOTS.with_borrow_mut(|kept| kept.forget(workspace));
}
