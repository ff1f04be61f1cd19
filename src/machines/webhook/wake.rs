//! Why a webhook's object wakes: every reason in one list; the alarm is set for the least of them.

use super::{memory::Open, tables::WebhookTables};
use crate::domain::{policy::Policy, resend::UNDER_WAY_LIMIT, timestamp::Timestamp};

/// A reason to wake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A delivery falls due and may be leased or held, or a lease ends. While all leases are out, what is due waits for
    /// a report or the end of a lease.
    Delivery,
    /// The workspace must be told the standing; or the webhook has been failing for so long that it must be told that.
    Standing,
    /// A bulk resend has none of its deliveries under way.
    Resend,
    /// The storage is nearly full.
    Storage,
    /// A slice was deleted and there is more.
    Deletion,
}

impl Reason {
    /// The reasons that follow from the webhook's tables; the machine adds `Deletion`.
    pub(super) const ALL: [Self; 4] = [Self::Delivery, Self::Standing, Self::Resend, Self::Storage];

    /// When this reason wakes the object, if it does.
    pub(super) fn at(
        self,
        open: &Open,
        tables: &WebhookTables,
        now: Timestamp,
        policy: &Policy,
    ) -> Option<Timestamp> {
        match self {
            Self::Delivery => open.dispatch.next_wake(policy),
            Self::Standing => {
                let untold = open.untold(now).map(|(at, _)| at);
                untold.or_else(|| {
                    let reportable_at = open.dispatch.standing.failing_reportable_at();
                    reportable_at.filter(|time| *time > now)
                })
            }
            Self::Resend => {
                let bulk_resend = open.bulk_resend.as_ref();
                bulk_resend
                    .filter(|bulk_resend| bulk_resend.free_places() == UNDER_WAY_LIMIT)
                    .map(|_| now)
            }
            Self::Storage => {
                let is_nearly_full = tables.is_nearly_full(policy.max_storage);
                is_nearly_full.then(|| now.max(open.trim_after))
            }
            Self::Deletion => None,
        }
    }
}
