//! Writing: when what a command stored in memory reaches the rows, with what others stored meanwhile.

use std::time::Duration;

use futures_channel::oneshot;
use wasm_bindgen_futures::JsFuture;
use worker::Result;

use super::{WebhookObject, alarm};
use crate::runtime::{
    commands::WebhookReply,
    entropy::{now, wait},
};

/// How long what came of an attempt waits to be written with more. Where the object ends meanwhile, the Worker reports it
/// again.
const SETTLED_WITHIN: Duration = Duration::from_millis(20);

/// How long a lease that a report is answered with waits for others: as long as a free slot of the alarm.
const LEASED_WITHIN: Duration = alarm::FILLED_WITHIN;

/// Deliveries that are worth a commit of their own.
const ENOUGH: usize = 8;

/// How late a command that waits may be before another one waits in its place.
const PATIENCE: Duration = Duration::from_secs(1);

impl WebhookObject {
    /// Waits until what an acceptance or a report stored is written, as long as its reply allows.
    pub(super) async fn write(&self, reply: &WebhookReply) -> Result<()> {
        match reply {
            WebhookReply::Taken { deliveries, .. }
                if deliveries.len() >= ENOUGH || self.is_quiet()? =>
            {
                self.flush()
            }
            WebhookReply::Taken { .. } => self.write_within(Duration::ZERO).await,
            // A lease is used when it is written.
            WebhookReply::Granted(Some(_)) => self.write_within(LEASED_WITHIN).await,
            _ => self.write_within(SETTLED_WITHIN).await,
        }
    }

    /// Whether nothing else is likely to arrive at the same moment.
    fn is_quiet(&self) -> Result<bool> {
        let quiet = self.with_desk(|open| Ok(open.dispatch.is_quiet()))?;
        Ok(quiet.unwrap_or(true))
    }

    /// Waits until all that is stored by now is written, within a moment.
    ///
    /// One command waits for the moment and writes, the others wait for it: the platform ends an object's timers one
    /// after the other, a millisecond each.
    async fn write_within(&self, moment: Duration) -> Result<()> {
        let Some(change) = self.store.unwritten() else {
            return Ok(());
        };
        let began = now();
        let by = began.saturating_add(moment);
        let is_waited_for = self.written_by.get().is_some_and(|written_by| {
            written_by <= by && began.saturating_duration_since(written_by) < PATIENCE
        });
        if is_waited_for {
            let (written, is_written) = oneshot::channel();
            self.waiting.borrow_mut().push(written);
            return is_written.await.map_err(|_| lost());
        }
        self.written_by.set(Some(by));
        let generation = self.store.generation();
        if moment.is_zero() {
            self.give_way().await?;
        } else {
            wait(moment).await;
        }
        if self.store.generation() != generation {
            return Err(lost());
        }
        if self.store.is_written(change) {
            Ok(())
        } else {
            self.flush()
        }
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
        self.written_by.take();
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
