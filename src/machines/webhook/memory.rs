//! What the machine keeps in memory of its tables. Losing it loses nothing: the next command reads the rows again.

use crate::{
    domain::{
        dispatch::Dispatch, occupancy::Occupancy, resend::BulkResend, stats::Counts,
        timestamp::Timestamp, webhook::ReportedStanding,
    },
    mutants::Mutant,
};

/// The memory of a machine.
#[derive(Default)]
pub(super) enum Memory {
    /// Not read since the object started, or since a fault.
    #[default]
    Unread,
    /// The webhook has no settings.
    Closed,
    /// The webhook has settings.
    Open(Box<Open>),
}

/// What is kept for a webhook that has settings.
pub(super) struct Open {
    /// Settings, standing and queue.
    pub(super) dispatch: Dispatch,
    /// How many attempts are at the endpoint.
    pub(super) occupancy: Occupancy,
    /// The standing that the workspace was last told.
    pub(super) told: ReportedStanding,
    /// When it was, in this life of the object.
    pub(super) told_at: Timestamp,
    /// The latest resend of many deliveries.
    pub(super) bulk_resend: Option<BulkResend>,
    /// Counts that are not folded into the rows of the hours yet.
    pub(super) counts: Counts,
    /// Since when the log is whole, if anything was deleted for want of storage.
    pub(super) log_since: Option<Timestamp>,
    /// Whether more is being deleted for want of storage; until that has ended, nobody is told since when the log is
    /// whole.
    pub(super) is_trimming: bool,
    /// When to look again for something that can be deleted for want of storage, after there was nothing.
    pub(super) trim_after: Timestamp,
}

impl Open {
    /// What the workspace has to be told, and when; none if it knows it.
    #[must_use]
    pub(super) fn untold(&self, now: Timestamp) -> Option<(Timestamp, ReportedStanding)> {
        let standing = self.reportable(now);
        let wait = standing.told_after(&self.told)?;
        if Mutant::HealthNotTold.is_on() && !wait.is_zero() {
            return None;
        }
        let at = self.told_at.saturating_add(wait);
        // The clock may have been put back since it was told.
        let is_near = at.saturating_duration_since(now) <= wait;
        Some((if is_near { at.max(now) } else { now }, standing))
    }

    fn reportable(&self, now: Timestamp) -> ReportedStanding {
        let log_since = if self.is_trimming {
            self.told.log_since
        } else {
            self.log_since
        };
        ReportedStanding {
            log_since,
            ..self.dispatch.standing.reportable(now)
        }
    }
}
