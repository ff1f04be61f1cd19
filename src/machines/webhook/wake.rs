//! Why a webhook's object wakes: every reason in one list; the alarm is set for the least of them.

use super::{AFTER_FAULTS, Context, Fault, WebhookMachine, memory::Open, tables::WebhookTables};
use crate::{
    domain::{policy::Policy, resend::UNDER_WAY_LIMIT, timestamp::Timestamp},
    machines::sql::Result,
};

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

impl WebhookMachine {
    /// Asks for the alarm at the least of the reasons to wake.
    pub(super) fn arm(&mut self, context: &Context<'_>) -> std::result::Result<(), Fault> {
        let wake = self.next_wake(context)?;
        let wait = self.alarm_after.saturating_duration_since(context.now);
        if wait > AFTER_FAULTS {
            // The clock was put back since.
            self.alarm_after = Timestamp::default();
        }
        self.outputs.arm = wake.map(|(time, _)| time.max(self.alarm_after));
        Ok(())
    }

    /// When the webhook has to wake next, and why; none if nothing will be due.
    ///
    /// # Errors
    /// If the rows cannot be read.
    pub fn next_wake(&mut self, context: &Context<'_>) -> Result<Option<(Timestamp, Reason)>> {
        let Some(reasons) = self.look(context, |turn| {
            let at = |reason: Reason| {
                Some((
                    reason.at(turn.open, turn.tables, turn.now, turn.policy)?,
                    reason,
                ))
            };
            Ok(Reason::ALL.map(at))
        })?
        else {
            return Ok(None);
        };
        let now = context.now;
        let times = reasons.into_iter().flatten().filter_map(|(at, reason)| {
            let at = match reason {
                Reason::Delivery => self.hiring.wake(at, now),
                Reason::Standing if self.is_telling => return None,
                Reason::Standing => at.max(self.tell_after),
                _ => at,
            };
            Some((at, reason))
        });
        let deletion = self
            .has_more_to_delete
            .then_some((self.delete_after, Reason::Deletion));
        Ok(times.chain(deletion).min_by_key(|(at, _)| *at))
    }
}
