//! What the world knows of one delivery: its leases, what its endpoint saw, and what people did to it.

use std::collections::BTreeMap;

use webhook_relay::domain::{
    delivery::Status, ids::EventId, outcome::Outcome, retry::RetrySchedule, timestamp::Timestamp,
};

/// A delivery.
pub(crate) struct Known {
    pub(crate) object: usize,
    pub(crate) event_id: EventId,
    pub(crate) bytes: usize,
    /// When its event arrived at the object.
    pub(crate) accepted_at: Timestamp,
    /// What the object said when it accepted it.
    pub(crate) said: Option<Status>,
    pub(crate) leases: BTreeMap<u32, Lease>,
    /// When somebody asked to cancel it.
    pub(crate) cancels: Vec<Timestamp>,
    /// When the object was asked for what it then said to have cancelled.
    pub(crate) cancelled_at: Option<Timestamp>,
    /// When it may have been resent.
    pub(crate) resends: Vec<Timestamp>,
    /// When somebody may have had it sent at once, and whether that may happen at any time.
    pub(crate) hurried: Vec<Timestamp>,
    pub(crate) may_be_hurried: bool,
    /// The schedule that it was accepted with.
    pub(crate) schedule: RetrySchedule,
    /// If its webhook was ordered then, its place in the order.
    pub(crate) place: Option<u64>,
}

/// A lease that left its object.
pub(crate) struct Lease {
    pub(crate) attempt: u32,
    /// When it was granted, at the latest and at the earliest: a lease that lies ahead does not tell.
    pub(crate) granted_at: Timestamp,
    pub(crate) granted_since: Timestamp,
    /// When its attempt may begin.
    pub(crate) begins: Timestamp,
    pub(crate) until: Timestamp,
    /// The same by the clock of its object.
    pub(crate) until_there: Timestamp,
    /// It reached nobody, and the object was told so.
    pub(crate) is_refused: bool,
    pub(crate) begun: bool,
    pub(crate) reached: Option<Reached>,
    /// When its report arrived at the object; more than once if it was not answered.
    pub(crate) arrivals: Vec<Timestamp>,
    /// When the report arrived that the object said to have stored.
    pub(crate) stored_at: Option<Timestamp>,
    /// Why it may be lost.
    pub(crate) excuse: Option<&'static str>,
}

/// What an endpoint saw, and what the sender knows of its answer.
#[derive(Clone, Copy)]
pub(crate) struct Reached {
    pub(crate) at: Timestamp,
    pub(crate) answered_at: Timestamp,
    pub(crate) outcome: Outcome,
    pub(crate) status: Option<u16>,
    pub(crate) retry_after_ms: Option<u64>,
}

impl Lease {
    pub(crate) fn has_succeeded(&self) -> bool {
        self.reached
            .is_some_and(|reached| reached.outcome.is_success())
    }

    /// Whether it was over for its object at a time.
    fn is_over(&self, at: Timestamp) -> bool {
        self.is_refused || self.until <= at || self.arrivals.iter().any(|arrival| *arrival <= at)
    }
}

impl Known {
    pub(crate) fn accepted(
        object: usize,
        event_id: EventId,
        bytes: usize,
        at: Timestamp,
        schedule: RetrySchedule,
        place: Option<u64>,
    ) -> Self {
        Self {
            object,
            event_id,
            bytes,
            accepted_at: at,
            said: None,
            leases: BTreeMap::new(),
            cancels: Vec::new(),
            cancelled_at: None,
            resends: Vec::new(),
            hurried: Vec::new(),
            may_be_hurried: false,
            schedule,
            place,
        }
    }

    /// The least number that its last attempt can have. A resend takes the schedule that is in force then.
    pub(crate) fn last_attempt(&self) -> u32 {
        if !self.resends.is_empty() {
            return 2;
        }
        u32::try_from(self.schedule.delays().len()).expect("it is small") + 1
    }

    /// Whether nobody changed its schedule.
    pub(crate) fn is_left_alone(&self) -> bool {
        self.cancels.is_empty()
            && self.resends.is_empty()
            && self.hurried.is_empty()
            && !self.may_be_hurried
    }

    /// Whether somebody may have changed its schedule after a time.
    pub(crate) fn is_touched_since(&self, since: Timestamp) -> bool {
        let mut touches = self
            .cancels
            .iter()
            .chain(&self.resends)
            .chain(&self.hurried);
        self.may_be_hurried || touches.any(|at| *at >= since)
    }

    /// Whether it may have been resent after a time.
    pub(crate) fn is_resent_since(&self, since: Timestamp) -> bool {
        self.resends.iter().any(|at| *at >= since)
    }

    /// The known leases of an attempt.
    pub(crate) fn leases_of(&self, attempt: u32) -> impl Iterator<Item = (u32, &Lease)> {
        let leases = self.leases.iter().map(|(number, lease)| (*number, lease));
        leases.filter(move |(_, lease)| lease.attempt == attempt)
    }

    /// The leases before a lease that were not over when it was granted.
    pub(crate) fn overlap(&self, number: u32, granted_at: Timestamp) -> Option<u32> {
        let mut before = self.leases.range(..number);
        before
            .find(|(_, lease)| {
                !lease.is_over(granted_at) && !self.is_touched_since(lease.granted_since)
            })
            .map(|(number, _)| *number)
    }

    /// Whether an attempt succeeded, and its report is stored.
    pub(crate) fn is_surely_delivered(&self) -> bool {
        let mut leases = self.leases.values();
        leases.any(|lease| lease.has_succeeded() && lease.stored_at.is_some())
    }

    /// Whether it may have ended before a time, as far as its attempts tell.
    pub(crate) fn may_have_ended(&self) -> bool {
        !self.cancels.is_empty()
            || self
                .leases
                .values()
                .any(|lease| lease.attempt >= self.last_attempt())
            || {
                let statuses = self.leases.values().filter_map(|lease| lease.reached);
                statuses
                    .into_iter()
                    .any(|reached| reached.status == Some(410))
            }
    }

    /// Whether it is pending beyond doubt: no attempt has succeeded or was the last, and nobody has ended it.
    pub(crate) fn is_surely_pending(&self) -> bool {
        let has_succeeded = self.leases.values().any(Lease::has_succeeded);
        self.said.is_some() && !has_succeeded && !self.may_have_ended()
    }
}
