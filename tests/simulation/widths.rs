//! What is known of a webhook's width: it may be narrow once its endpoint has shown overload, and it surely is after two
//! such reports that were stored without a success between.

use webhook_relay::domain::{outcome::Outcome, timestamp::Timestamp, width::NARROWEST};

use crate::deliveries::Reached;

/// A webhook's width, as far as it is known.
pub(crate) struct KnownWidth {
    /// No more than so many leases are granted after `since`.
    pub(crate) most: usize,
    pub(crate) since: Timestamp,
    /// Whether it may be as narrow as can be.
    pub(crate) may_be_narrow: bool,
    is_strained: bool,
    last_success: Timestamp,
}

impl Default for KnownWidth {
    fn default() -> Self {
        Self {
            most: usize::MAX,
            since: Timestamp::from_millis(0),
            may_be_narrow: false,
            is_strained: false,
            last_success: Timestamp::from_millis(0),
        }
    }
}

impl KnownWidth {
    /// The object may have forgotten it. It begins narrow if its endpoint is failing.
    pub(crate) const fn forgotten(&mut self, may_be_failing: bool) {
        self.most = usize::MAX;
        self.is_strained = false;
        self.may_be_narrow |= may_be_failing;
    }

    /// A report arrives that may count.
    pub(crate) fn reported(&mut self, has_succeeded: bool, max_leases: usize, now: Timestamp) {
        if has_succeeded {
            self.most = self.most.min(max_leases).saturating_add(1);
            self.is_strained = false;
            self.last_success = now;
        } else {
            self.may_be_narrow = true;
        }
    }

    /// A report of overload that surely counts is stored; it arrived at a time.
    pub(crate) fn overload_stored(
        &mut self,
        arrived: Timestamp,
        max_leases: usize,
        now: Timestamp,
    ) {
        if arrived <= self.last_success {
            return;
        }
        if std::mem::replace(&mut self.is_strained, true) {
            self.most = (self.most.min(max_leases) / 2).max(NARROWEST);
            self.since = now;
        }
    }
}

/// Whether an answer, or none, is a sign of overload, as the documents say.
pub(crate) fn shows_overload(reached: &Reached) -> bool {
    match reached.outcome {
        Outcome::Timeout | Outcome::Unreachable => true,
        _ => matches!(reached.status, Some(429 | 502 | 503 | 504)),
    }
}
