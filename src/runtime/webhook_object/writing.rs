//! Writing: when what a command stored in memory reaches the rows, with what others stored meanwhile.

use std::time::Duration;

use futures_channel::oneshot;
use wasm_bindgen_futures::JsFuture;
use worker::Result;

use super::{WebhookObject, alarm};
use crate::{
    domain::timestamp::Timestamp,
    runtime::{
        commands::Grant,
        entropy::{now, wait},
    },
};

/// How long what came of an attempt waits to be written with more. Where the object ends meanwhile, the Worker reports it
/// again.
const SETTLED_WITHIN: Duration = Duration::from_millis(20);

/// How long a lease that a report is answered with waits for others: as long as a free slot of the alarm.
const LEASED_WITHIN: Duration = alarm::FILLED_WITHIN;

/// How late a command that waits may be before another one waits in its place.
const PATIENCE: Duration = Duration::from_secs(1);

impl WebhookObject {
    /// Waits until what a report stored is written, as long as its reply allows.
    pub(super) async fn write_report(&self, grants: &[Grant]) -> Result<()> {
        // A lease is used when it is written.
        let moment = if grants.is_empty() {
            SETTLED_WITHIN
        } else {
            LEASED_WITHIN
        };
        self.write_within(moment).await
    }

    /// Waits until all that is stored by now is written, within a moment.
    ///
    /// One command waits for the moment and writes, the others wait for it: the platform ends an object's timers one
    /// after the other, a millisecond each. It waits its moment out also where all is written before, and writes what
    /// has come since.
    pub(super) async fn write_within(&self, moment: Duration) -> Result<()> {
        if !self.store.has_unwritten() {
            return Ok(());
        }
        let began = now();
        let by = began.saturating_add(moment);
        if self.will_be_written(by, began) {
            let (written, is_written) = oneshot::channel();
            self.waiting.borrow_mut().push(written);
            return is_written.await.map_err(|_| lost());
        }
        self.writers.borrow_mut().push(by);
        let generation = self.store.generation();
        if moment.is_zero() {
            self.give_way().await?;
        } else {
            wait(moment).await;
        }
        self.writers.borrow_mut().retain(|writer| *writer != by);
        if self.store.generation() != generation {
            return Err(lost());
        }
        self.flush()
    }

    /// Whether a command that waits already will write by then. Those that are late have been lost.
    fn will_be_written(&self, by: Timestamp, now: Timestamp) -> bool {
        let mut writers = self.writers.borrow_mut();
        writers.retain(|writer| now.saturating_duration_since(*writer) < PATIENCE);
        writers.iter().any(|writer| *writer <= by)
    }

    /// Lets commands that are here already come first; ends when what was written before is safe. Not a timer, which takes
    /// a millisecond.
    async fn give_way(&self) -> Result<()> {
        let safe = self.state.as_raw().storage()?.sync()?;
        JsFuture::from(safe).await?;
        Ok(())
    }

    /// Writes what is stored, and tells those who wait for it.
    pub(super) fn flush(&self) -> Result<()> {
        self.store.flush()?;
        for waiting in self.waiting.take() {
            // Whoever is gone needs not know.
            let _ = waiting.send(());
        }
        Ok(())
    }
}

/// What a command is told that waited for what was not written.
fn lost() -> worker::Error {
    worker::Error::RustError("what was stored is lost by the fault of another command".into())
}
