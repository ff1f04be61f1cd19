//! The connections of one invocation: six attempts at a time, whichever webhooks they are for.
//!
//! The platform lets no more wait for an answer, and a seventh would wait inside `fetch`, where its time runs already.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    pin::pin,
};

use futures_channel::oneshot;
use futures_util::future::{Either, select};

use crate::{
    domain::dispatch::{CONNECTION_WAIT, WORKER_LEASES},
    runtime::platform::entropy::wait,
};

/// The connections that are free, and who waits for one.
pub(in crate::runtime) struct Connections {
    free: Cell<usize>,
    waiting: RefCell<VecDeque<oneshot::Sender<()>>>,
}

/// A connection that is taken; dropping it frees it for the next one.
pub(in crate::runtime) struct Connection<'a>(&'a Connections);

impl Connections {
    /// Those of an invocation that has made no attempt.
    pub(in crate::runtime) fn new() -> Self {
        Self {
            free: Cell::new(WORKER_LEASES),
            waiting: RefCell::default(),
        }
    }

    /// Takes a connection; none if none becomes free in time.
    pub(in crate::runtime) async fn take(&self) -> Option<Connection<'_>> {
        if let Some(left) = self.free.get().checked_sub(1) {
            self.free.set(left);
            return Some(Connection(self));
        }
        let (freed, mut is_freed) = oneshot::channel();
        self.waiting.borrow_mut().push_back(freed);
        let is_taken = match select(&mut is_freed, pin!(wait(CONNECTION_WAIT))).await {
            Either::Left((freed, _)) => freed.is_ok(),
            // It may have been handed over at the same moment.
            Either::Right(_) => {
                is_freed.close();
                matches!(is_freed.try_recv(), Ok(Some(())))
            }
        };
        // Made only if it is taken: dropping it would free another one.
        is_taken.then(|| Connection(self))
    }
}

impl Drop for Connection<'_> {
    fn drop(&mut self) {
        let Connections { free, waiting } = self.0;
        while let Some(next) = waiting.borrow_mut().pop_front() {
            // Some have given up.
            if next.send(()).is_ok() {
                return;
            }
        }
        free.set(free.get().saturating_add(1));
    }
}
