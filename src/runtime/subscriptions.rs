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

/// How many seconds a location may answer from its own cache; the least that KV allows.
const CACHE_SECONDS: u64 = 30;

/// How long an isolate keeps the answer of a workspace's object.
const ANSWER_KEPT: Duration = Duration::from_secs(5);

/// How long an isolate keeps what it read from KV: far shorter than KV's own delay, but a busy workspace is read once a
/// second and not once per event.
const COPY_KEPT: Duration = Duration::from_secs(1);

/// How many snapshots an isolate keeps, of either origin.
const KEPT_LIMIT: usize = 1000;

thread_local! {
    static ANSWERS: RefCell<Kept> = const { RefCell::new(Kept::new(ANSWER_KEPT)) };
    static COPIES: RefCell<Kept> = const { RefCell::new(Kept::new(COPY_KEPT)) };
    /// How many changes this isolate has made: a copy is not kept if this changes while it is read.
    static CHANGES: Cell<u64> = const { Cell::new(0) };
}

/// Snapshots that an isolate keeps for a while.
struct Kept {
    kept_for: Duration,
    snapshots: BTreeMap<WorkspaceId, (Timestamp, Rc<Snapshot>)>,
}

impl Kept {
    const fn new(kept_for: Duration) -> Self {
        Self {
            kept_for,
            snapshots: BTreeMap::new(),
        }
    }

    fn find(&self, workspace: &WorkspaceId) -> Option<Rc<Snapshot>> {
        let (kept_at, snapshot) = self.snapshots.get(workspace)?;
        let now = now();
        // A time in the future means that the clock was put back.
        let fresh = *kept_at <= now && now.saturating_duration_since(*kept_at) < self.kept_for;
        fresh.then(|| Rc::clone(snapshot))
    }

    fn keep(&mut self, workspace: &WorkspaceId, snapshot: &Rc<Snapshot>) {
        if self.snapshots.len() >= KEPT_LIMIT {
            self.snapshots.clear();
        }
        self.snapshots
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

fn key(workspace: &WorkspaceId) -> String {
    format!("{PREFIX}{workspace}")
}

/// Puts a workspace's snapshot to KV, or deletes that of a deleted workspace.
pub(super) async fn publish(
    env: &Env,
    workspace: &Workspace,
    snapshot: &Snapshot,
) -> worker::Result<()> {
    #[cfg(feature = "test-hooks")]
    super::test_hooks::before_kv_put()?;
    let kv = env.kv(BINDING)?;
    let key = key(&workspace.id);
    if workspace.deleted_at.is_some() {
        return Ok(kv.delete(&key).await?);
    }
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
/// is missing or does not suffice.
///
/// # Errors
/// `NotFound` if there is no such workspace, `Unavailable` if its object did not answer.
pub(super) async fn read(
    env: &Env,
    workspace: &WorkspaceId,
    known: Option<Rc<Snapshot>>,
    suffices: impl Fn(&Snapshot) -> bool,
) -> Result<Rc<Snapshot>, ApiError> {
    let kept = || COPIES.with_borrow(|copies| copies.find(workspace));
    let copy = match known.or_else(kept) {
        Some(snapshot) => Ok(Some(snapshot)),
        None => read_copy(env, workspace).await,
    };
    match copy {
        Ok(Some(snapshot)) if suffices(&snapshot) => return Ok(snapshot),
        Ok(_) => {}
        Err(error) => console_error!("reading the snapshot of {workspace}: {error}"),
    }
    match ANSWERS.with_borrow(|answers| answers.find(workspace)) {
        Some(answer) => Ok(answer),
        None => ask(env, workspace).await,
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

async fn ask(env: &Env, workspace: &WorkspaceId) -> Result<Rc<Snapshot>, ApiError> {
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
        kept.with_borrow_mut(|kept| kept.snapshots.remove(workspace));
    }
}

#[cfg(feature = "test-hooks")]
thread_local! {
    static READS: std::cell::Cell<u32> = const { std::cell::Cell::new(0) };
}

/// How often this isolate read KV.
#[cfg(feature = "test-hooks")]
pub(super) fn counted() -> u32 {
    READS.get()
}
