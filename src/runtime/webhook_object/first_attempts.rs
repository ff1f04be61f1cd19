//! Answers to producers that wait, while the webhook is busy, for the first attempt of their delivery.
//!
//! One task keeps the time for all of them: the platform fires an object's timers one after the other, a millisecond
//! apart.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    rc::Rc,
};

use futures_channel::oneshot;
use wasm_bindgen_futures::spawn_local;

use crate::{
    domain::{dispatch::ANSWER_DELAY, ids::DeliveryId, timestamp::Timestamp},
    runtime::entropy::{now, wait},
};

struct Waiting {
    delivery: DeliveryId,
    until: Timestamp,
    ended: oneshot::Sender<()>,
}

/// The answers that wait.
#[derive(Default)]
pub(super) struct FirstAttempts {
    shared: Rc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// In order of arrival.
    waiting: RefCell<VecDeque<Waiting>>,
    time_is_kept: Cell<bool>,
}

impl FirstAttempts {
    /// Waits until an attempt of a delivery has ended, `ANSWER_DELAY` at most.
    pub(super) async fn wait_for(&self, delivery: DeliveryId) {
        let (ended, has_ended) = oneshot::channel();
        self.shared.waiting.borrow_mut().push_back(Waiting {
            delivery,
            until: now().saturating_add(ANSWER_DELAY),
            ended,
        });
        if !self.shared.time_is_kept.replace(true) {
            spawn_local(keep_time(Rc::clone(&self.shared)));
        }
        // An error means that the sender was dropped: the time is up.
        let _ = has_ended.await;
    }

    /// Releases the answer that waits for this delivery, whose attempt has ended.
    pub(super) fn ended(&self, delivery: &DeliveryId) {
        let mut waiting = self.shared.waiting.borrow_mut();
        let position = waiting.iter().position(|one| one.delivery == *delivery);
        if let Some(one) = position.and_then(|position| waiting.remove(position)) {
            // A receiver that is gone need not know.
            let _ = one.ended.send(());
        }
    }
}

/// Releases each answer that has waited long enough, until none waits.
async fn keep_time(shared: Rc<Shared>) {
    loop {
        let first = shared.waiting.borrow().front().map(|first| first.until);
        let Some(until) = first else { break };
        let left = until.saturating_duration_since(now());
        // More is left only if the clock was put back.
        if left.is_zero() || left > ANSWER_DELAY {
            shared.waiting.borrow_mut().pop_front();
        } else {
            wait(left).await;
        }
    }
    shared.time_is_kept.set(false);
}
