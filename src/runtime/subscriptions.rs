//! The copy of a workspace's webhooks and keys in KV: writing it, reading it, and asking the workspace's object if it
//! does not suffice.

use std::{cell::RefCell, rc::Rc};

use serde::{Deserialize, Serialize};
use worker::{Env, console_error, kv::KvError};

use super::{
    commands::{Refusal, WorkspaceCommand, WorkspaceReply, ask_workspace},
    entropy::now,
    faults::{internal, unavailable},
};
use crate::{
    api::{error::ApiError, workspaces::WorkspaceView},
    domain::{
        ids::WorkspaceId, subscriptions::Snapshot, timestamp::Timestamp, workspace::Workspace,
    },
    machines::ingest::snapshots::Snapshots,
};

const BINDING: &str = "SUBSCRIPTIONS";

/// The prefix of the KV keys of workspaces.
const PREFIX: &str = "ws/";

/// The key of where the daily walk has to go on.
const WALKED_TO: &str = "walked-to";

/// How many seconds a location may answer from its own cache; the least that KV allows.
const CACHE_SECONDS: u64 = 30;

thread_local! {
    static SNAPSHOTS: RefCell<Snapshots> = const { RefCell::new(Snapshots::new()) };
}

/// What a list of workspaces shows without reading each of them.
#[derive(Serialize, Deserialize)]
struct Metadata {
    name: String,
    created_at: Timestamp,
}

/// Lists a page of the workspaces in KV, ordered by id; returns the cursor of the next page too.
///
/// # Errors
/// `InvalidParameter` for a cursor that KV does not accept.
pub(super) async fn list_workspaces(
    env: &Env,
    limit: u32,
    cursor: Option<String>,
) -> Result<(Vec<WorkspaceView>, Option<String>), ApiError> {
    let kv = env
        .kv(BINDING)
        .map_err(|error| internal("listing workspaces", &error))?;
    let list = kv.list().prefix(PREFIX.into()).limit(limit.into());
    let (list, allowed) = match cursor {
        None => (list, None),
        Some(cursor) => (
            list.cursor(cursor),
            Some("the next_cursor of the page before"),
        ),
    };
    let page = list.execute().await.map_err(|error| match allowed {
        Some(allowed) => ApiError::InvalidParameter {
            field: "cursor".into(),
            allowed,
        },
        None => internal("listing workspaces", &error),
    })?;
    let view = |key: worker::kv::Key| {
        let Metadata { name, created_at } = serde_json::from_value(key.metadata?).ok()?;
        let id = WorkspaceId::parse(key.name.strip_prefix(PREFIX)?).ok()?;
        Some(WorkspaceView {
            id,
            name,
            created_at,
        })
    };
    let next = page.cursor.filter(|_| !page.list_complete);
    Ok((page.keys.into_iter().filter_map(view).collect(), next))
}

/// Lists the ids of at most `limit` workspaces in KV from a cursor on, and the cursor of the next ones.
pub(super) async fn list(
    env: &Env,
    limit: u32,
    cursor: Option<String>,
) -> worker::Result<(Vec<WorkspaceId>, Option<String>)> {
    let list = env.kv(BINDING)?.list().prefix(PREFIX.into());
    let list = list.limit(limit.into());
    let list = match cursor {
        None => list,
        Some(cursor) => list.cursor(cursor),
    };
    let page = list.execute().await?;
    let id = |key: worker::kv::Key| WorkspaceId::parse(key.name.strip_prefix(PREFIX)?).ok();
    let next = page.cursor.filter(|_| !page.list_complete);
    Ok((page.keys.into_iter().filter_map(id).collect(), next))
}

/// Reads where the daily walk has to go on; none if it has to start.
pub(super) async fn walked_to(env: &Env) -> worker::Result<Option<String>> {
    Ok(env.kv(BINDING)?.get(WALKED_TO).text().await?)
}

/// Keeps where the daily walk has to go on.
pub(super) async fn keep_walked_to(env: &Env, cursor: Option<String>) -> worker::Result<()> {
    let kv = env.kv(BINDING)?;
    match cursor {
        Some(cursor) => kv.put(WALKED_TO, cursor)?.execute().await?,
        None => kv.delete(WALKED_TO).await?,
    }
    Ok(())
}

fn key(workspace: &WorkspaceId) -> String {
    format!("{PREFIX}{workspace}")
}

/// Puts a workspace's snapshot to KV, or deletes it.
pub(super) async fn publish(
    env: &Env,
    workspace: &Workspace,
    snapshot: Option<&Snapshot>,
) -> worker::Result<()> {
    #[cfg(feature = "test-hooks")]
    {
        PUTS.set(PUTS.get().saturating_add(1));
        super::test_hooks::before_kv_put().await?;
    }
    let kv = env.kv(BINDING)?;
    let key = key(&workspace.id);
    let Some(snapshot) = snapshot else {
        return Ok(kv.delete(&key).await?);
    };
    let metadata = Metadata {
        name: workspace.name.clone(),
        created_at: workspace.created_at,
    };
    // As text: KV's own serialization would lose maps.
    kv.put(&key, serde_json::to_string(snapshot)?)?
        .metadata(metadata)?
        .execute()
        .await?;
    Ok(())
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
    let kv = env
        .kv(BINDING)
        .map_err(|error| KvError::InvalidKvStore(error.to_string()))?;
    #[cfg(feature = "test-hooks")]
    READS.set(READS.get().saturating_add(1));
    let reading = SNAPSHOTS.with_borrow(Snapshots::begin_reading);
    let stored = kv.get(&key(workspace)).cache_ttl(CACHE_SECONDS);
    let stored = stored.text().await?;
    let copy = stored.and_then(|stored| Snapshot::parse(&stored));
    let copy = copy.map(Rc::new);
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

#[cfg(feature = "test-hooks")]
thread_local! {
    static READS: std::cell::Cell<u32> = const { std::cell::Cell::new(0) };
    static PUTS: std::cell::Cell<u32> = const { std::cell::Cell::new(0) };
}

/// How often this isolate read KV and wrote to it.
#[cfg(feature = "test-hooks")]
pub(super) fn counted() -> (u32, u32) {
    (READS.get(), PUTS.get())
}
