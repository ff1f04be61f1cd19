//! Who waits, in an object, for the first attempt of what it has stored: answers to producers where much is under way.
//!
//! One task keeps the time for all of them: the platform ends an object's timers one after the other, a millisecond each.

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

/// The waiting ones.
#[derive(Default)]
pub(super) struct FirstAttempts {
    shared: Rc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// The first that came first.
    waiting: RefCell<VecDeque<Waiting>>,
    time_is_kept: Cell<bool>,
}

impl FirstAttempts {
    /// Waits until an attempt of a delivery has ended, or for a moment.
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
        // An error says that the sender was dropped: the moment is over.
        let _ = has_ended.await;
    }

    /// An attempt has ended.
    pub(super) fn ended(&self, delivery: &DeliveryId) {
        let mut waiting = self.shared.waiting.borrow_mut();
        let position = waiting.iter().position(|one| one.delivery == *delivery);
        if let Some(one) = position.and_then(|position| waiting.remove(position)) {
            // Whoever is gone needs not know.
            let _ = one.ended.send(());
        }
    }
}

/// Lets go who has waited long enough, until nobody waits.
async fn keep_time(shared: Rc<Shared>) {
    loop {
        let first = shared.waiting.borrow().front().map(|first| first.until);
        let Some(until) = first else { break };
        let left = until.saturating_duration_since(now());
        // More is left where the clock was put back.
        if left.is_zero() || left > ANSWER_DELAY {
            shared.waiting.borrow_mut().pop_front();
        } else {
            wait(left).await;
        }
    }
    shared.time_is_kept.set(false);
}
