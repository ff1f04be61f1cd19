//! Flushing: when the changes that a command made in memory are written to the rows, together with those of others.

use std::time::Duration;

use futures_channel::oneshot;
use wasm_bindgen_futures::JsFuture;
use worker::Result;

use super::WebhookObject;
use crate::{
    domain::timestamp::Timestamp,
    runtime::{
        commands::Grant,
        entropy::{now, wait},
    },
};

/// How long the report of an attempt waits to be flushed with others. If the object stops meanwhile, the Worker reports
/// again.
const SETTLED_WITHIN: Duration = Duration::from_millis(20);

/// How long a report that is answered with a lease waits for others.
const LEASED_WITHIN: Duration = Duration::from_millis(3);

/// How late a command that waits to flush may be before another one waits in its place.
const PATIENCE: Duration = Duration::from_secs(1);

impl WebhookObject {
    /// Flushes what a report changed, after waiting for others as long as its reply allows.
    pub(super) async fn write_report(&self, grants: &[Grant]) -> Result<()> {
        // A lease is used only after the flush.
        let moment = if grants.is_empty() {
            SETTLED_WITHIN
        } else {
            LEASED_WITHIN
        };
        self.write_within(moment).await
    }

    /// Waits until everything stored so far is flushed, `moment` at most.
    ///
    /// One command waits and flushes, the others wait for it: the platform fires an object's timers one after the
    /// other, a millisecond apart. It waits until its time even if everything is flushed before, and flushes what has
    /// come since.
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
            self.wait_until_safe().await?;
        } else {
            wait(moment).await;
        }
        self.writers.borrow_mut().retain(|writer| *writer != by);
        if self.store.generation() != generation {
            return Err(lost());
        }
        self.flush()
    }

    /// Whether a command that already waits will flush by then. Those that are too late count as lost.
    fn will_be_written(&self, by: Timestamp, now: Timestamp) -> bool {
        let mut writers = self.writers.borrow_mut();
        writers.retain(|writer| now.saturating_duration_since(*writer) < PATIENCE);
        writers.iter().any(|writer| *writer <= by)
    }

    /// Waits until earlier writes are safe, so that commands that have already arrived run first. Not a timer, which
    /// takes a millisecond.
    async fn wait_until_safe(&self) -> Result<()> {
        let safe = self.state.as_raw().storage()?.sync()?;
        JsFuture::from(safe).await?;
        Ok(())
    }

    /// Flushes the changes in memory, and releases the commands that wait for it.
    pub(super) fn flush(&self) -> Result<()> {
        self.store.flush()?;
        for waiting in self.waiting.take() {
            // A receiver that is gone need not know.
            let _ = waiting.send(());
        }
        Ok(())
    }
}

/// The error of a command whose changes were forgotten before they were flushed.
fn lost() -> worker::Error {
    worker::Error::RustError("what was stored is lost by the fault of another command".into())
}
