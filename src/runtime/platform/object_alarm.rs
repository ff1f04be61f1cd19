//! An object's alarm on the platform; what is known of it, and whether it must be set, is in `machines::alarm_clock`.

use std::cell::{Cell, RefCell};

use worker::{Result, ScheduledTime, Storage};

use crate::{
    domain::timestamp::Timestamp,
    machines::alarm_clock::{AlarmClock, ArmStep},
    runtime::platform::entropy::{now, skew_ms},
};

/// The alarm of an object.
pub(in crate::runtime) struct ObjectAlarm {
    storage: Storage,
    clock: RefCell<AlarmClock>,
    /// How often it was set, and how often it fired, since the object started.
    counted: Cell<(u32, u32)>,
}

impl ObjectAlarm {
    pub(in crate::runtime) fn new(storage: Storage) -> Self {
        Self {
            storage,
            clock: RefCell::default(),
            counted: Cell::default(),
        }
    }

    /// Records that the alarm has fired, so that none is set.
    pub(in crate::runtime) fn fired(&self) {
        let (sets, fires) = self.counted.get();
        self.counted.set((sets, fires.saturating_add(1)));
        self.clock.borrow_mut().fired();
    }

    /// Makes sure that the alarm fires at `time` or earlier.
    pub(in crate::runtime) async fn arm(&self, time: Timestamp) -> Result<()> {
        loop {
            let step = self.clock.borrow_mut().arm(time, now());
            match step {
                ArmStep::Done => return Ok(()),
                ArmStep::Read => {
                    let found = self.storage.get_alarm().await?;
                    let found =
                        found.map(|time| Timestamp::from_millis(time.saturating_add(skew_ms())));
                    self.clock.borrow_mut().found(found);
                }
                ArmStep::Set(time) => {
                    let set = self.set(time).await;
                    if set.is_err() {
                        self.clock.borrow_mut().failed();
                    }
                    return set;
                }
            }
        }
    }

    async fn set(&self, time: Timestamp) -> Result<()> {
        let (sets, fires) = self.counted.get();
        self.counted.set((sets.saturating_add(1), fires));
        #[expect(
            clippy::cast_precision_loss,
            reason = "milliseconds since 1970 are far below 2^53"
        )]
        let date = js_sys::Date::new(&(time.as_millis().saturating_sub(skew_ms()) as f64).into());
        self.storage.set_alarm(ScheduledTime::new(date)).await
    }

    /// How often the alarm was set, and how often it fired, since the object started.
    #[cfg(feature = "test-hooks")]
    pub(in crate::runtime) const fn counted(&self) -> (u32, u32) {
        self.counted.get()
    }
}
