//! An object's one alarm: set only when the new time is earlier than the armed one, because each set is a row written.

use std::cell::Cell;

use worker::{Result, ScheduledTime, Storage};

use super::entropy::{now, skew_ms};
use crate::domain::timestamp::Timestamp;

/// An alarm that is this late has been lost by the platform.
const OVERDUE: std::time::Duration = std::time::Duration::from_secs(60);

/// The alarm of an object, and what is known of it in memory.
pub(super) struct AlarmClock {
    storage: Storage,
    armed: Cell<Armed>,
    sets: Cell<u32>,
    fires: Cell<u32>,
}

#[derive(Clone, Copy)]
enum Armed {
    /// Not read since the object started, or since a failed set.
    Unknown,
    No,
    At(Timestamp),
}

impl AlarmClock {
    pub(super) const fn new(storage: Storage) -> Self {
        Self {
            storage,
            armed: Cell::new(Armed::Unknown),
            sets: Cell::new(0),
            fires: Cell::new(0),
        }
    }

    /// Records that the alarm has fired, so that none is set.
    pub(super) fn fired(&self) {
        self.fires.set(self.fires.get().saturating_add(1));
        self.armed.set(Armed::No);
    }

    /// Makes sure that the alarm fires at `time` or earlier. Sets an overdue alarm again.
    pub(super) async fn arm(&self, time: Timestamp) -> Result<()> {
        let now = now();
        if matches!(self.armed.get(), Armed::Unknown) {
            let armed = self.storage.get_alarm().await?;
            self.armed.set(armed.map_or(Armed::No, |time| {
                Armed::At(Timestamp::from_millis(time.saturating_add(skew_ms())))
            }));
        }
        if let Armed::At(armed) = self.armed.get()
            && armed <= time
            && now.saturating_duration_since(armed) < OVERDUE
        {
            return Ok(());
        }
        // The present or a past time would be lost if set from within the alarm (workerd #6866).
        let time = time.max(now.saturating_add(std::time::Duration::from_millis(1)));
        self.armed.set(Armed::At(time));
        self.sets.set(self.sets.get().saturating_add(1));
        #[expect(
            clippy::cast_precision_loss,
            reason = "milliseconds since 1970 are far below 2^53"
        )]
        let date = js_sys::Date::new(&(time.as_millis().saturating_sub(skew_ms()) as f64).into());
        let set = self.storage.set_alarm(ScheduledTime::new(date)).await;
        if set.is_err() {
            self.armed.set(Armed::Unknown);
        }
        set
    }

    /// How often the alarm was set, and how often it fired, since the object started.
    #[cfg(feature = "test-hooks")]
    pub(super) const fn counted(&self) -> (u32, u32) {
        (self.sets.get(), self.fires.get())
    }
}
