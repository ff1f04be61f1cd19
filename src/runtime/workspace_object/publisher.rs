//! Putting the snapshot to KV: one put at a time, in a task of its own, so that a slow put holds up no call and does not
//! overtake a newer one.
//!
//! A put that takes too long, or that an earlier life of the object began, may still arrive after a newer one. Then the
//! present snapshot is put, and once more a minute later, when nothing old is on its way any longer.

use std::{
    cell::{Cell, RefCell},
    pin::pin,
    rc::Rc,
    time::Duration,
};

use futures_channel::oneshot;
use futures_util::future::{Either, select};
use wasm_bindgen_futures::spawn_local;
use worker::{Delay, Env, Result, console_error};

#[cfg(feature = "test-hooks")]
use crate::runtime::test_hooks;
use crate::{
    domain::timestamp::Timestamp,
    machines::{sql::Sql, workspace::workspace_tables::WorkspaceTables},
    runtime::{entropy::now, subscriptions},
};

/// KV accepts one write a second for a key.
const BETWEEN_PUTS: Duration = Duration::from_secs(1);

/// How long a put may take, before nobody knows whether it will arrive.
const PUT_TIME: Duration = Duration::from_secs(30);

/// When the snapshot is put again, because an older put may have arrived after it.
const PUT_AGAIN: Duration = Duration::from_secs(60);

/// How long a call waits for its put.
const PATIENCE: Duration = Duration::from_secs(5);

/// Puts the snapshot of one workspace.
pub(super) struct Publisher {
    shared: Rc<Shared>,
}

struct Shared {
    env: Env,
    store: WorkspaceTables,
    /// Whether the task runs.
    is_putting: Cell<bool>,
    /// The earliest time at which KV accepts another put.
    next_put: Cell<Timestamp>,
    /// Whether an older put may still arrive.
    is_in_doubt: Cell<bool>,
    /// The calls that wait, each for a revision.
    waiting: RefCell<Vec<(u64, oneshot::Sender<()>)>>,
}

impl Publisher {
    pub(super) fn new(env: &Env, sql: Rc<dyn Sql>) -> Self {
        let shared = Shared {
            env: env.clone(),
            store: WorkspaceTables::new(sql),
            is_putting: Cell::default(),
            next_put: Cell::default(),
            is_in_doubt: Cell::default(),
            waiting: RefCell::default(),
        };
        Self {
            shared: Rc::new(shared),
        }
    }

    /// Records that an earlier life of the object may have begun a put.
    pub(super) fn doubt(&self) {
        self.shared.is_in_doubt.set(true);
    }

    /// Puts the present snapshot if KV must be told, and waits until it has a revision, `PATIENCE` at most. Returns whether
    /// nothing is left to tell.
    pub(super) async fn publish(&self, revision: u64) -> Result<bool> {
        let shared = &self.shared;
        if shared.store.has_to_put(now())? {
            let (put, is_put) = oneshot::channel();
            shared.waiting.borrow_mut().push((revision, put));
            if !shared.is_putting.replace(true) {
                spawn_local(keep_putting(Rc::clone(shared)));
            }
            select(is_put, Delay::from(PATIENCE)).await;
        }
        Ok(!shared.store.has_to_put(now())?)
    }
}

/// Puts until KV has everything, or a put fails: the alarm tries again.
async fn keep_putting(shared: Rc<Shared>) {
    loop {
        match shared.put_next().await {
            Ok(Some(revision)) => shared.release(revision),
            Ok(None) => break,
            Err(error) => {
                console_error!("{error}");
                break;
            }
        }
    }
    shared.is_putting.set(false);
    shared.waiting.take();
}

impl Shared {
    /// Makes the next put, if KV must be told. Returns the revision that KV has.
    async fn put_next(&self) -> Result<Option<u64>> {
        loop {
            if !self.store.has_to_put(now())? {
                return Ok(None);
            }
            let now = now();
            let wait = self.next_put.get().saturating_duration_since(now);
            // A longer wait means that the clock was put back.
            if wait.is_zero() || wait > BETWEEN_PUTS {
                break;
            }
            Delay::from(wait).await;
        }
        self.next_put.set(now().saturating_add(BETWEEN_PUTS));
        let Some(workspace) = self.store.workspace()? else {
            return Ok(None);
        };
        let snapshot = self.store.snapshot(&workspace)?;
        let was_in_doubt = self.is_in_doubt.get();
        let put = pin!(subscriptions::publish(&self.env, &workspace, &snapshot));
        match select(put, Delay::from(PUT_TIME)).await {
            Either::Left((put, _)) => put?,
            Either::Right(_) => {
                console_error!("a put of {} takes too long", workspace.id);
                self.is_in_doubt.set(true);
                return Ok(Some(0));
            }
        }
        #[cfg(feature = "test-hooks")]
        test_hooks::pass("put").await;
        let now = now();
        let again_at = was_in_doubt.then(|| now.saturating_add(PUT_AGAIN));
        self.store.snapshot_put(workspace.revision, now, again_at)?;
        if was_in_doubt {
            self.is_in_doubt.set(false);
        }
        Ok(Some(workspace.revision))
    }

    /// Releases the calls that wait for a revision that KV has.
    fn release(&self, revision: u64) {
        let mut waiting = self.waiting.borrow_mut();
        let (released, left) = waiting
            .drain(..)
            .partition(|(wanted, _)| *wanted <= revision);
        *waiting = left;
        drop(waiting);
        let released: Vec<(u64, oneshot::Sender<()>)> = released;
        for (_, call) in released {
            // A call that has given up need not know.
            let _ = call.send(());
        }
    }
}
