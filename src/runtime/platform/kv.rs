//! KV: the copies of the workspaces' snapshots, with what a list of workspaces shows, that of the catalogue, and where
//! the daily walk is.

use serde::{Deserialize, Serialize};
use worker::{Env, kv::KvError};

use super::faults::internal;
use crate::{
    api::{error::ApiError, workspaces::WorkspaceView},
    domain::{
        catalogue::Catalogue, ids::WorkspaceId, subscriptions::Snapshot, timestamp::Timestamp,
        workspace::Workspace,
    },
};

const BINDING: &str = "SUBSCRIPTIONS";

/// The prefix of the KV keys of workspaces.
const PREFIX: &str = "ws/";

/// The key of the catalogue of event types.
const CATALOGUE: &str = "event-types";

/// The key of where the daily walk has to go on.
const WALKED_TO: &str = "walked-to";

/// How many seconds a location may answer from its own cache; the least that KV allows.
const CACHE_SECONDS: u64 = 30;

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
pub(in crate::runtime) async fn list_workspaces(
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
pub(in crate::runtime) async fn list(
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
pub(in crate::runtime) async fn walked_to(env: &Env) -> worker::Result<Option<String>> {
    Ok(env.kv(BINDING)?.get(WALKED_TO).text().await?)
}

/// Keeps where the daily walk has to go on.
pub(in crate::runtime) async fn keep_walked_to(
    env: &Env,
    cursor: Option<String>,
) -> worker::Result<()> {
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
pub(in crate::runtime) async fn publish(
    env: &Env,
    workspace: &Workspace,
    snapshot: Option<&Snapshot>,
) -> worker::Result<()> {
    #[cfg(feature = "test-hooks")]
    {
        PUTS.set(PUTS.get().saturating_add(1));
        crate::runtime::test_hooks::before_kv_put().await?;
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

/// Reads a workspace's snapshot; none if KV has none.
pub(in crate::runtime) async fn read(
    env: &Env,
    workspace: &WorkspaceId,
) -> Result<Option<Snapshot>, KvError> {
    let kv = env
        .kv(BINDING)
        .map_err(|error| KvError::InvalidKvStore(error.to_string()))?;
    #[cfg(feature = "test-hooks")]
    READS.set(READS.get().saturating_add(1));
    let stored = kv.get(&key(workspace)).cache_ttl(CACHE_SECONDS);
    let stored = stored.text().await?;
    Ok(stored.and_then(|stored| Snapshot::parse(&stored)))
}

/// Puts the catalogue to KV.
pub(in crate::runtime) async fn publish_catalogue(
    env: &Env,
    catalogue: &Catalogue,
) -> worker::Result<()> {
    #[cfg(feature = "test-hooks")]
    crate::runtime::test_hooks::before_kv_put().await?;
    let kv = env.kv(BINDING)?;
    let text = serde_json::to_string(catalogue)?;
    Ok(kv.put(CATALOGUE, text)?.execute().await?)
}

/// Reads the catalogue; none if KV has none.
pub(in crate::runtime) async fn read_catalogue(env: &Env) -> Result<Option<Catalogue>, KvError> {
    let kv = env
        .kv(BINDING)
        .map_err(|error| KvError::InvalidKvStore(error.to_string()))?;
    let stored = kv.get(CATALOGUE).cache_ttl(CACHE_SECONDS).text().await?;
    Ok(stored.and_then(|stored| Catalogue::parse(&stored)))
}

#[cfg(feature = "test-hooks")]
thread_local! {
    static READS: std::cell::Cell<u32> = const { std::cell::Cell::new(0) };
    static PUTS: std::cell::Cell<u32> = const { std::cell::Cell::new(0) };
}

/// How often this isolate read KV and wrote to it.
#[cfg(feature = "test-hooks")]
pub(in crate::runtime) fn counted() -> (u32, u32) {
    (READS.get(), PUTS.get())
}
