//! The copy of a workspace's webhooks and keys in KV: writing it, reading it, and asking the workspace's object if it
//! does not suffice.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
    time::Duration,
};

use serde::{Deserialize, Serialize};
use worker::{Env, console_error, kv::KvError};

use super::{
    commands::{Refusal, WorkspaceCommand, WorkspaceReply, ask_workspace},
    entropy::now,
    faults::internal,
};
use crate::{
    api::{error::ApiError, workspaces::WorkspaceView},
    domain::{
        ids::WorkspaceId, subscriptions::Snapshot, timestamp::Timestamp, workspace::Workspace,
    },
};

const BINDING: &str = "SUBSCRIPTIONS";

/// The prefix of the KV keys of workspaces.
const PREFIX: &str = "ws/";

/// The key of where the daily walk has to go on.
const WALKED_TO: &str = "walked-to";

/// How many seconds a location may answer from its own cache; the least that KV allows.
const CACHE_SECONDS: u64 = 30;

/// How long the answer of a workspace's object counts as present.
const ANSWER_FRESH: Duration = Duration::from_secs(5);

/// How long an answer is kept in place of an older copy: longer than KV takes to show a change.
const ANSWER_KEPT: Duration = Duration::from_secs(300);

/// How long an isolate keeps what it read from KV: far shorter than KV's own delay, but a busy workspace is read once a
/// second and not once per event.
const COPY_KEPT: Duration = Duration::from_secs(1);

/// How many snapshots an isolate keeps, of either origin.
const KEPT_LIMIT: usize = 1000;

thread_local! {
    static ANSWERS: RefCell<Kept> = const { RefCell::new(Kept(BTreeMap::new())) };
    static COPIES: RefCell<Kept> = const { RefCell::new(Kept(BTreeMap::new())) };
    /// How many changes this isolate has made: a copy is not kept if this changes while it is read.
    static CHANGES: Cell<u64> = const { Cell::new(0) };
}

/// Snapshots that an isolate keeps for a while, each with the time since when.
struct Kept(BTreeMap<WorkspaceId, (Timestamp, Rc<Snapshot>)>);

impl Kept {
    /// Finds a snapshot that is at most so old.
    fn find(&self, workspace: &WorkspaceId, age: Duration) -> Option<Rc<Snapshot>> {
        let (kept_at, snapshot) = self.0.get(workspace)?;
        let now = now();
        // A time in the future means that the clock was put back.
        let fresh = *kept_at <= now && now.saturating_duration_since(*kept_at) < age;
        fresh.then(|| Rc::clone(snapshot))
    }

    fn keep(&mut self, workspace: &WorkspaceId, snapshot: &Rc<Snapshot>) {
        if self.0.len() >= KEPT_LIMIT {
            self.0.clear();
        }
        self.0
            .insert(workspace.clone(), (now(), Rc::clone(snapshot)));
    }
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

/// Reads a workspace's snapshot from KV, unless the caller or the isolate has it, and asks the workspace's object if it
/// is missing or does not suffice. An answer of the object is preferred to an older copy.
///
/// # Errors
/// `NotFound` if there is no such workspace, `Unavailable` if its object did not answer.
pub(super) async fn read(
    env: &Env,
    workspace: &WorkspaceId,
    known: Option<Rc<Snapshot>>,
    suffices: impl Fn(&Snapshot) -> bool,
) -> Result<Rc<Snapshot>, ApiError> {
    let answered = |age| ANSWERS.with_borrow(|answers| answers.find(workspace, age));
    let copy = match known {
        Some(snapshot) => Some(snapshot),
        None => copy(env, workspace).await.unwrap_or_else(|error| {
            console_error!("reading the snapshot of {workspace}: {error}");
            None
        }),
    };
    let is_newer = |answer: &Rc<Snapshot>| {
        copy.as_ref()
            .is_some_and(|copy| answer.revision >= copy.revision)
    };
    let newest = answered(ANSWER_KEPT).filter(is_newer);
    if let Some(snapshot) = newest.or_else(|| copy.clone())
        && suffices(&snapshot)
    {
        return Ok(snapshot);
    }
    let is_old = |answer: &Rc<Snapshot>| copy.is_some() && !is_newer(answer);
    match answered(ANSWER_FRESH).filter(|answer| !is_old(answer)) {
        Some(answer) => Ok(answer),
        None => ask(env, workspace).await,
    }
}

/// Reads a workspace's snapshot from KV, unless the isolate has it; none if KV has none.
pub(super) async fn copy(
    env: &Env,
    workspace: &WorkspaceId,
) -> Result<Option<Rc<Snapshot>>, KvError> {
    match COPIES.with_borrow(|copies| copies.find(workspace, COPY_KEPT)) {
        Some(kept) => Ok(Some(kept)),
        None => read_copy(env, workspace).await,
    }
}

async fn read_copy(env: &Env, workspace: &WorkspaceId) -> Result<Option<Rc<Snapshot>>, KvError> {
    let kv = env
        .kv(BINDING)
        .map_err(|error| KvError::InvalidKvStore(error.to_string()))?;
    #[cfg(feature = "test-hooks")]
    READS.set(READS.get().saturating_add(1));
    let changes = CHANGES.get();
    let stored = kv
        .get(&key(workspace))
        .cache_ttl(CACHE_SECONDS)
        .text()
        .await?;
    let copy = stored
        .and_then(|stored| Snapshot::parse(&stored))
        .map(Rc::new);
    if let Some(copy) = &copy
        && CHANGES.get() == changes
    {
        COPIES.with_borrow_mut(|copies| copies.keep(workspace, copy));
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
            ANSWERS.with_borrow_mut(|answers| answers.keep(workspace, &snapshot));
            Ok(snapshot)
        }
        Ok(_) => Err(Refusal::NoWorkspace.into()),
        Err(error) => {
            console_error!("{error}");
            Err(ApiError::Unavailable)
        }
    }
}

/// Drops what the isolate keeps of a workspace, because this isolate has changed it.
pub(super) fn forget(workspace: &WorkspaceId) {
    CHANGES.set(CHANGES.get().wrapping_add(1));
    for kept in [&ANSWERS, &COPIES] {
        kept.with_borrow_mut(|kept| kept.0.remove(workspace));
    }
}

#[cfg(feature = "test-hooks")]
thread_local! {
    static READS: Cell<u32> = const { Cell::new(0) };
    static PUTS: Cell<u32> = const { Cell::new(0) };
}

/// How often this isolate read KV and wrote to it.
#[cfg(feature = "test-hooks")]
pub(super) fn counted() -> (u32, u32) {
    (READS.get(), PUTS.get())
}
