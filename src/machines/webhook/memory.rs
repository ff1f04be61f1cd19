//! What the machine keeps in memory of its tables. Losing it loses nothing: the next command reads the rows again.

use crate::domain::{
    dispatch::Dispatch, occupancy::Occupancy, resend::BulkResend, stats::Counts,
    timestamp::Timestamp, webhook::ReportedStanding,
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
    /// What the workspace has to be told.
    #[must_use]
    pub(super) fn reportable(&self, now: Timestamp) -> ReportedStanding {
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
