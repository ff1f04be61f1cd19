//! Holding what falls due while the webhook is disabled.

use super::turn::Turn;
use crate::machines::sql::Result;

/// How many due deliveries of a disabled webhook are held at a time.
const HOLD_SLICE: usize = 500;

impl Turn<'_> {
    /// Holds a slice of what is due, if the webhook is disabled; returns whether nothing is left to hold.
    pub(super) fn hold(&mut self) -> Result<bool> {
        for _ in 0..HOLD_SLICE {
            let dispatch = &mut self.open.dispatch;
            let due = dispatch.queue.any_due(self.now);
            let Some(id) = due.filter(|_| !dispatch.is_enabled()) else {
                return Ok(true);
            };
            let Some(mut record) = self.tables.read(&id)? else {
                dispatch.queue.remove(&id);
                continue;
            };
            record.delivery.hold();
            self.put(&record, false)?;
        }
        Ok(false)
    }
}
