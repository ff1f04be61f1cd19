//! What a queue has, counted: deliveries, leases and bytes.

use super::Queue;
use crate::domain::timestamp::Timestamp;

impl Queue {
    /// Leases that end at a time at the latest.
    #[must_use]
    pub fn leases_that_end_by(&self, time: Timestamp) -> usize {
        let ends = self.leased.iter().map(|(until, _)| *until);
        ends.take_while(|until| *until <= time).count()
    }

    /// Leases of events that are out.
    #[must_use]
    pub const fn leased_events(&self) -> usize {
        self.leased_events
    }

    /// Leases that are out.
    #[must_use]
    pub fn leases(&self) -> usize {
        self.leased.len()
    }

    /// Bytes of payload of the deliveries under way.
    #[must_use]
    pub const fn leased_bytes(&self) -> u64 {
        self.leased_bytes
    }

    /// Unsettled deliveries, held ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Held deliveries.
    #[must_use]
    pub const fn held(&self) -> usize {
        self.held
    }

    /// Whether nothing is unsettled.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes of payload of the unsettled deliveries.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }
}
